// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* The filter on a guest that is made up: what is looked up, remembered, looked at again. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>
#include <jansson.h>

#include "filter/engine.h"
#include "support/frame-writer.h"

/* The one process of the guest; criterion runs each test in a process of its own. */
static struct {
    enum xvmi_status find_status;
    struct xvmi_owner owner;
    const char *exe;
    bool same; /* what revalidation says */
    uint64_t clock;
    enum xvmi_status clock_status;
    unsigned finds, full_finds, revalidations, exes;
} guest;

static enum xvmi_status refresh(struct xvmi_vm *vm)
{
    (void)vm;
    return XVMI_OK;
}

static enum xvmi_status find(struct xvmi_finder *finder, const struct xvmi_flow *flow,
                             const struct xvmi_owner_query *query, struct xvmi_owner *answer)
{
    (void)finder;
    (void)flow;
    guest.finds++;
    guest.full_finds += query->want != XVMI_WANT_SOCKET;
    *answer = guest.owner;
    if (query->want == XVMI_WANT_SOCKET)
        answer->n_owners = 0;
    return guest.find_status;
}

static enum xvmi_status find_batch(struct xvmi_finder *finder, const struct xvmi_flow *flows,
                                   size_t n, const struct xvmi_owner_query *query,
                                   struct xvmi_owner *answers, enum xvmi_status *status)
{
    for (size_t i = 0; i < n; i++)
        status[i] = find(finder, &flows[i], query, &answers[i]);
    return XVMI_OK;
}

static enum xvmi_status revalidate(struct xvmi_finder *finder, const struct xvmi_owner_token *token)
{
    (void)finder;
    guest.revalidations++;
    return guest.same && token->sock == guest.owner.token.sock ? XVMI_OK : XVMI_ERR_CHANGED;
}

static enum xvmi_status parent(struct xvmi_vm *vm, const struct xvmi_task *task,
                               struct xvmi_task *up)
{
    (void)vm;
    *up = (struct xvmi_task){.pid = 1, .comm = "init"};
    return task->pid == 1 ? XVMI_ERR_NOT_FOUND : XVMI_OK;
}

static enum xvmi_status exe(struct xvmi_vm *vm, const struct xvmi_task *task, char *buf,
                            size_t size)
{
    (void)vm;
    guest.exes++;
    snprintf(buf, size, "%s", task->pid == 1 ? "/sbin/init" : guest.exe);
    return XVMI_OK;
}

static enum xvmi_status cmdline(struct xvmi_vm *vm, const struct xvmi_task *task, char *buf,
                                size_t size, size_t *len)
{
    (void)vm;
    (void)task;
    (void)size;
    memcpy(buf, "a\0-b\0", *len = 5);
    return XVMI_OK;
}

static enum xvmi_status cgroup(struct xvmi_vm *vm, const struct xvmi_task *task, char *buf,
                               size_t size)
{
    (void)vm;
    (void)task;
    snprintf(buf, size, "/shop/web");
    return XVMI_OK;
}

static enum xvmi_status socket_cgroup(struct xvmi_vm *vm, const struct xvmi_socket *socket,
                                      char *buf, size_t size)
{
    (void)socket;
    return cgroup(vm, NULL, buf, size);
}

static enum xvmi_status guest_clock(struct xvmi_vm *vm, uint64_t *ns)
{
    (void)vm;
    *ns = guest.clock;
    return guest.clock_status;
}

static const struct xf_guest_ops ops = {refresh, find,    find_batch, revalidate,    parent,
                                        exe,     cmdline, cgroup,     socket_cgroup, guest_clock};

static struct xvmi_cache *cache;

static struct xvmi_policy *policy_of(const char *rules)
{
    char text[1024];
    struct xvmi_policy *policy;
    struct xvmi_error err = XVMI_ERROR_INIT;
    snprintf(text, sizeof(text), "vm \"web\" {\n%s\n}\n", rules);
    cr_assert_eq(xvmi_policy_parse(text, strlen(text), "p", NULL, &policy, &err), XVMI_OK, "%s",
                 err.text);
    return policy;
}

static uint64_t still(void *context)
{
    (void)context;
    return 0;
}

static const struct xvmi_nic *guest_nics;
static size_t n_guest_nics;

static struct xvmi_filter *filter_with(const char *rules, bool dry_run, bool learn)
{
    struct xvmi_filter *filter;
    struct xvmi_error err = XVMI_ERROR_INIT;
    struct xvmi_policy *policy = policy_of(rules);
    if (!cache)
        cr_assert_eq(
            xvmi_cache_new(&(struct xvmi_cache_options){.size = sizeof(struct xvmi_cache_options),
                                                        .memory = 1 << 20},
                           &cache, &err),
            XVMI_OK, "%s", err.text);
    guest.exe = guest.exe ? guest.exe : "/usr/bin/curl";
    guest.same = true;
    guest.owner.kind = XVMI_OWNER_PROCESS;
    guest.owner.n_owners = 1;
    guest.owner.owners[0].task =
        (struct xvmi_task){.pid = 42, .uid = 33, .start_ns = 49000000000u, .comm = "curl"};
    guest.owner.socket.uid = 33;
    guest.owner.socket.state = XVMI_STATE_ESTABLISHED;
    guest.owner.token = (struct xvmi_owner_token){1, 2, 3, 4, 5, 6};
    const struct xvmi_filter_options options = {
        .size = sizeof(options),
        .policy = policy,
        .cache = cache,
        .name = "web",
        .number = 3,
        .dry_run = dry_run,
        .learn = learn,
        .clock = still,
        .nics = guest_nics,
        .n_nics = n_guest_nics,
    };
    cr_assert_eq(xf_filter_new(&options, &ops, &filter, &err), XVMI_OK, "%s", err.text);
    xvmi_policy_unref(policy);
    return filter;
}

static struct xvmi_filter *filter_new(const char *rules)
{
    return filter_with(rules, false, false);
}

static struct xvmi_filter *filter_of(const char *rules, const struct xvmi_nic *nics, size_t n)
{
    guest_nics = nics;
    n_guest_nics = n;
    return filter_with(rules, false, false);
}

static struct xvmi_filter_event decide(struct xvmi_filter *filter, const struct frame *f,
                                       uint64_t now)
{
    struct xvmi_filter_event event = {.size = sizeof(event)};
    xvmi_filter_decide(filter, f->data, f->len, XVMI_FLOW_OUT, 0, now, &event);
    return event;
}

#define S 1000000000ull

Test(engine, remembers_and_looks_again)
{
    struct xvmi_filter *filter = filter_new("default deny\nallow exe \"/usr/bin/curl\"");
    struct frame syn = tcp4(5000, 80, 2), data = tcp4(5000, 80, 0x10);
    struct xvmi_filter_event e = decide(filter, &syn, S);
    cr_expect(e.verdict == XVMI_VERDICT_PASS && e.reason == XVMI_REASON_RULE && e.rule == 1);
    cr_expect(e.line == 3 && e.cacheable && e.decision.pid == 42 && e.owner);
    cr_expect_eq(e.decision.token, xvmi_owner_token_number(&guest.owner.token));
    e = decide(filter, &data, S + 1);
    cr_expect(e.verdict == XVMI_VERDICT_PASS && e.reason == XVMI_REASON_CACHED && e.rule == 1);
    cr_expect_eq(guest.finds, 1);
    decide(filter, &syn, S + 2); /* a new connection is never taken on trust */
    cr_expect_eq(guest.finds, 2);
    e = decide(filter, &data, S + 2 * S);
    cr_expect(e.reason == XVMI_REASON_CACHED && guest.revalidations == 1 && guest.finds == 2);
    guest.same = false; /* exec */
    guest.exe = "/usr/bin/nmap";
    e = decide(filter, &data, S + 4 * S);
    cr_expect(e.verdict == XVMI_VERDICT_DROP && e.reason == XVMI_REASON_DEFAULT && e.line == 2);
    cr_expect_eq(guest.finds, 3);
    guest.same = true;
    e = decide(filter, &data, S + 4 * S + 1);
    cr_expect(e.verdict == XVMI_VERDICT_DROP && e.reason == XVMI_REASON_CACHED && e.rule == 0);
    xvmi_filter_free(filter);
}

Test(engine, a_token_is_not_enough_for_ever)
{
    struct xvmi_filter *filter = filter_new("default deny\nallow exe \"/usr/bin/curl\"");
    struct frame data = tcp4(5000, 80, 0x10);
    for (unsigned i = 0; i <= XF_TOKEN_USES + 1; i++)
        decide(filter, &data, (1 + 2 * i) * S);
    cr_expect_eq(guest.revalidations, XF_TOKEN_USES);
    cr_expect_eq(guest.finds, 2);
    xvmi_filter_free(filter);
}

Test(engine, closing_connections_keep_their_verdict)
{
    struct xvmi_filter *filter = filter_new("default deny\nallow comm \"curl\"");
    struct frame data = tcp4(5000, 80, 0x10), syn = tcp4(5000, 80, 2);
    guest.owner.socket.addr = guest.owner.token.sock;
    cr_expect_eq(decide(filter, &data, S).verdict, XVMI_VERDICT_PASS);
    guest.same = false; /* closed, the rest is sent without it */
    guest.owner.kind = XVMI_OWNER_ORPHAN;
    guest.owner.n_owners = 0;
    guest.owner.socket.state = XVMI_STATE_FIN_WAIT1;
    struct xvmi_filter_event e = decide(filter, &data, 3 * S);
    cr_expect(e.verdict == XVMI_VERDICT_PASS && e.reason == XVMI_REASON_CACHED && e.rule == 1 &&
              e.line == 3 && !e.uncertain);
    e = decide(filter, &data, 3 * S + 1);
    cr_expect(e.verdict == XVMI_VERDICT_PASS && e.reason == XVMI_REASON_CACHED);
    guest.owner.socket.addr++; /* another socket on the same flow */
    e = decide(filter, &data, 5 * S);
    cr_expect(e.verdict == XVMI_VERDICT_DROP && e.uncertain && e.rule == 0);
    guest.owner.socket.state = XVMI_STATE_TIME_WAIT;
    e = decide(filter, &syn, 7 * S);
    cr_expect_eq(e.verdict, XVMI_VERDICT_DROP);
    xvmi_filter_free(filter);
}

/* Users are those of one socket among several: that is no answer. */
Test(engine, sockets_of_several_users)
{
    struct xvmi_filter *filter = filter_new("default deny\nallow uid 33 udp");
    struct frame data = udp4(4000, 53, 18);
    bool same;
    struct xvmi_filter_event e = decide(filter, &data, S);
    cr_expect(e.verdict == XVMI_VERDICT_PASS && !e.uncertain);
    guest.owner.mixed = true;
    xvmi_filter_prove(filter, &e.flow, &e.decision.token, 1, &same);
    cr_expect(!same);
    e = decide(filter, &data, S + 1);
    cr_expect(e.verdict == XVMI_VERDICT_DROP && e.uncertain);
    xvmi_filter_free(filter);
}

/* Nothing opens a UDP flow: each frame asks whether the sender is the same. */
Test(engine, unopened_flows_are_proven)
{
    struct xvmi_filter *filter = filter_new("default deny\nallow exe \"/usr/bin/curl\"");
    struct frame data = udp4(4000, 53, 18), syn = tcp4(5000, 80, 2);
    bool same = false;
    struct xvmi_filter_event e = decide(filter, &data, S);
    cr_expect(e.verdict == XVMI_VERDICT_PASS && e.reason == XVMI_REASON_RULE && e.prove);
    xvmi_filter_prove(filter, &e.flow, &e.decision.token, 1, &same);
    cr_expect(same);
    e = decide(filter, &data, S + 1);
    cr_expect(e.verdict == XVMI_VERDICT_PASS && e.reason == XVMI_REASON_CACHED && e.prove);
    cr_expect(guest.finds == 3 && guest.exes == 1);
    guest.owner.n_owners = 2; /* somebody else got hold of the socket as well */
    guest.owner.owners[1].task = (struct xvmi_task){.pid = 43, .addr = 77, .start_ns = 5};
    xvmi_filter_prove(filter, &e.flow, &e.decision.token, 1, &same);
    cr_expect(!same);
    e = decide(filter, &data, S + 2);
    cr_expect(e.reason == XVMI_REASON_RULE && e.owner && e.owner->n_owners == 2);
    guest.owner.token.sock++; /* another socket on the port */
    guest.exe = "/usr/bin/nmap";
    e = decide(filter, &data, S + 3);
    cr_expect(e.verdict == XVMI_VERDICT_DROP && e.reason == XVMI_REASON_DEFAULT);
    guest.find_status = XVMI_ERR_CHANGED; /* it cannot be said */
    xvmi_filter_prove(filter, &e.flow, &e.decision.token, 1, &same);
    cr_expect(!same);
    guest.find_status = XVMI_OK;
    cr_expect_not(decide(filter, &syn, S).prove);
    xvmi_filter_free(filter);
}

Test(engine, what_can_change_is_decided_anew)
{
    struct xvmi_filter *filter = filter_new("default deny\nallow comm \"curl\"");
    struct frame data = tcp4(5000, 80, 0x10);
    decide(filter, &data, S);
    decide(filter, &data, 3 * S);
    cr_expect(guest.revalidations == 0 && guest.finds == 2);
    xvmi_filter_free(filter);
}

Test(engine, asks_for_no_more_than_needed)
{
    struct xvmi_filter *filter = filter_new("default deny\nallow tcp dport 80\nallow uid 33");
    struct frame web = tcp4(5000, 80, 2), other = tcp4(5000, 81, 2);
    cr_expect_eq(decide(filter, &web, S).verdict, XVMI_VERDICT_PASS);
    cr_expect_eq(guest.finds, 0);
    cr_expect_eq(decide(filter, &other, S).verdict, XVMI_VERDICT_PASS);
    cr_expect(guest.finds == 1 && guest.full_finds == 0 && guest.exes == 0);
    xvmi_filter_free(filter);
}

Test(engine, reload_forgets)
{
    struct xvmi_filter *filter = filter_new("default deny\nallow tcp");
    struct frame data = tcp4(5000, 80, 0x10);
    struct xvmi_error err = XVMI_ERROR_INIT;
    struct xvmi_policy *policy = policy_of("default deny"), *other;
    cr_expect_eq(decide(filter, &data, S).verdict, XVMI_VERDICT_PASS);
    cr_assert_eq(xvmi_policy_parse("vm \"db\" { default deny }", 24, "q", NULL, &other, &err),
                 XVMI_OK);
    cr_expect_eq(xvmi_filter_reload(filter, other, &err), XVMI_ERR_NOT_FOUND);
    cr_expect_str_eq(err.text, "q: no vm block is for the guest 'web'");
    cr_expect_eq(decide(filter, &data, S).reason, XVMI_REASON_CACHED);
    cr_expect_eq(xvmi_filter_reload(filter, policy, &err), XVMI_OK);
    struct xvmi_filter_event e = decide(filter, &data, S);
    cr_expect(e.verdict == XVMI_VERDICT_DROP && e.reason == XVMI_REASON_DEFAULT);
    xvmi_policy_unref(policy);
    xvmi_policy_unref(other);
    xvmi_filter_free(filter);
}

Test(engine, unreadable_and_unknown)
{
    struct xvmi_filter *filter = filter_new("default allow\ndeny exe \"/usr/bin/nmap\"");
    struct frame data = tcp4(5000, 80, 0x10);
    guest.find_status = XVMI_ERR_CHANGED;
    struct xvmi_filter_event e = decide(filter, &data, S);
    cr_expect(e.verdict == XVMI_VERDICT_DROP && e.uncertain && e.lookup == XVMI_ERR_CHANGED);
    guest.find_status = XVMI_OK;
    e = decide(filter, &data, S + S / 5); /* soon tried again */
    cr_expect(e.verdict == XVMI_VERDICT_PASS && !e.uncertain);
    guest.owner.kind = XVMI_OWNER_NONE;
    guest.owner.n_owners = 0;
    struct frame other = tcp4(5001, 80, 2);
    e = decide(filter, &other, S);
    cr_expect(e.verdict == XVMI_VERDICT_DROP && e.uncertain && e.rule == 1);
    struct xvmi_filter_stats stats = {.size = sizeof(stats)};
    xvmi_filter_stats(filter, &stats);
    cr_expect(stats.frames == 3 && stats.unreadable == 1 && stats.unknown == 1 &&
              stats.dropped == 2 && stats.passed == 1);
    xvmi_filter_free(filter);
}

static void is_spoofed(struct xvmi_filter *filter, const struct frame *frame, uint64_t now)
{
    struct xvmi_filter_event e = decide(filter, frame, now);
    cr_expect_eq(e.verdict, XVMI_VERDICT_DROP);
    cr_expect_eq(e.reason, XVMI_REASON_SPOOFED, "%s", xvmi_filter_reason_text(e.reason));
    cr_expect(e.log && !e.rule && !e.file);
    cr_expect(!e.owner || e.owner->kind == XVMI_OWNER_NONE);
}

static struct frame icmp4(uint8_t type)
{
    struct frame f;
    frame_ether(&f);
    frame_ip4(&f, 1, "10.0.0.2", "192.0.2.1");
    frame_put(&f, (uint8_t[8]){type, 0, 0, 0, 0, 7}, 8);
    frame_end(&f);
    return f;
}

static struct frame igmp4(void)
{
    struct frame f;
    frame_ether(&f);
    frame_ip4(&f, 2, "10.0.0.2", "224.0.0.22");
    frame_zero(&f, 8);
    frame_end(&f);
    return f;
}

/* What the kernel sends without a socket is its own, packet by packet: what else nobody seems to
 * have sent is not. */
Test(engine, answers_of_the_kernel)
{
    struct xvmi_filter *filter = filter_new("default deny\nallow owner kernel");
    struct frame reset = tcp4(81, 5000, 0x14), data = tcp4(81, 5000, 0x10), reply = icmp4(0),
                 ask = icmp4(8), group = igmp4();
    guest.owner = (struct xvmi_owner){0};
    char *text;
    struct xvmi_filter_event e = decide(filter, &reset, S);
    cr_expect(e.verdict == XVMI_VERDICT_PASS && e.rule == 1 && !e.uncertain && !e.cacheable);
    cr_expect_eq(e.owner->kind, XVMI_OWNER_KERNEL);
    cr_assert_eq(xvmi_filter_event_json(filter, &e, &text), XVMI_OK);
    cr_expect(strstr(text, "\"owner\":{\"kind\":\"kernel\",\"via\":\"none,none\"}"), "%s", text);
    free(text);
    cr_expect_eq(decide(filter, &data, S).verdict, XVMI_VERDICT_DROP);
    cr_expect_eq(decide(filter, &reply, S).verdict, XVMI_VERDICT_PASS);
    cr_expect_eq(decide(filter, &ask, S).verdict, XVMI_VERDICT_DROP);
    cr_expect_eq(decide(filter, &group, S).verdict, XVMI_VERDICT_PASS);
    guest.owner.foreign = true;
    reply = icmp4(0);
    is_spoofed(filter, &reply, 2 * S);
    xvmi_filter_free(filter);
    /* What it receives is not its own. */
    filter = filter_new("default deny\ndefault in deny\nallow in owner kernel");
    guest.owner = (struct xvmi_owner){0};
    e = (struct xvmi_filter_event){.size = sizeof(e)};
    xvmi_filter_decide(filter, reply.data, reply.len, XVMI_FLOW_IN, 0, 3 * S, &e);
    cr_expect_eq(e.verdict, XVMI_VERDICT_DROP);
    xvmi_filter_free(filter);
    /* It is no process and no user. */
    filter = filter_new("default allow\ndeny exe \"/usr/bin/nmap\"\ndeny uid 0\ndeny netns 0\n"
                        "deny cgroup \"/\"");
    guest.owner = (struct xvmi_owner){0};
    e = decide(filter, &reset, 3 * S);
    cr_expect(e.verdict == XVMI_VERDICT_PASS && e.reason == XVMI_REASON_DEFAULT && !e.uncertain);
    xvmi_filter_free(filter);
}

/* What was not found within a part of the time is nothing that the filter counts or keeps. */
Test(engine, unfinished)
{
    struct xvmi_filter *filter = filter_new("default allow\ndeny exe \"/usr/bin/nmap\"");
    struct frame data = tcp4(5000, 80, 0x10);
    struct xvmi_filter_event e = {.size = sizeof(e), .within_ns = 1000000};
    struct xvmi_filter_stats stats = {.size = sizeof(stats)};
    guest.find_status = XVMI_ERR_LIMIT;
    xvmi_filter_decide(filter, data.data, data.len, XVMI_FLOW_OUT, 0, S, &e);
    cr_expect(e.unfinished && !e.cacheable && e.verdict == XVMI_VERDICT_NONE);
    xvmi_filter_stats(filter, &stats);
    cr_expect(!stats.frames && !stats.lookups && !stats.unreadable && !stats.dropped);
    e.within_ns = 1000000000; /* more than the filter allows: its last word */
    xvmi_filter_decide(filter, data.data, data.len, XVMI_FLOW_OUT, 0, S, &e);
    cr_expect(!e.unfinished && e.uncertain && e.verdict == XVMI_VERDICT_DROP);
    guest.find_status = XVMI_OK;
    struct frame other = tcp4(5001, 80, 0x10);
    e.within_ns = 1000000;
    xvmi_filter_decide(filter, other.data, other.len, XVMI_FLOW_OUT, 0, S, &e);
    cr_expect(!e.unfinished && e.cacheable && e.verdict == XVMI_VERDICT_PASS);
    xvmi_filter_stats(filter, &stats);
    cr_expect(stats.frames == 2 && stats.unreadable == 1 && stats.passed == 1);
    xvmi_filter_free(filter);
}

Test(engine, what_has_no_owner)
{
    struct xvmi_filter *filter = filter_new("default allow");
    struct frame f;
    frame_ether(&f);
    frame_put16(&f, 0x0806);
    frame_zero(&f, 28);
    struct xvmi_filter_event e = decide(filter, &f, S);
    cr_expect(e.verdict == XVMI_VERDICT_PASS && e.reason == XVMI_REASON_ARP && !e.cacheable);
    f.data[12] = 0x99;
    e = decide(filter, &f, S);
    cr_expect(e.verdict == XVMI_VERDICT_DROP && e.reason == XVMI_REASON_OTHER);
    f.len = 9;
    e = decide(filter, &f, S);
    cr_expect(e.verdict == XVMI_VERDICT_DROP && e.reason == XVMI_REASON_MALFORMED);
    cr_expect_str_eq(e.malformed, "frame length");
    xvmi_filter_free(filter);
}

Test(engine, fragments_follow)
{
    struct xvmi_filter *filter = filter_new("default deny\nallow udp dport 53");
    struct frame first = udp4(1000, 53, 64), later = first;
    first.data[first.ip + 6] = 0x20;
    later.data[later.ip + 7] = 9;
    cr_expect_eq(decide(filter, &later, S).verdict, XVMI_VERDICT_DROP);
    cr_expect_eq(decide(filter, &first, S).verdict, XVMI_VERDICT_PASS);
    struct xvmi_filter_event e = decide(filter, &later, S);
    cr_expect(e.verdict == XVMI_VERDICT_PASS && e.reason == XVMI_REASON_FRAGMENT && e.rule == 1);
    xvmi_filter_free(filter);
}

Test(engine, icmp_types_are_not_remembered_by_flow)
{
    struct xvmi_filter *filter = filter_new("default deny\nallow icmp type 8");
    struct frame f;
    frame_ether(&f);
    frame_ip4(&f, 1, "10.0.0.2", "10.0.0.3");
    frame_put(&f, "\x08\0\0\0\x12\x34\0\x01", 8);
    frame_end(&f);
    struct xvmi_filter_event e = decide(filter, &f, S);
    cr_expect(e.verdict == XVMI_VERDICT_PASS && !e.cacheable);
    f.data[34] = 0; /* same flow, another type */
    cr_expect_eq(decide(filter, &f, S).verdict, XVMI_VERDICT_DROP);
    xvmi_filter_free(filter);
}

Test(engine, incoming_only_when_asked)
{
    struct xvmi_filter *filter = filter_new("default deny");
    struct frame f = tcp4(80, 5000, 0x10);
    struct xvmi_filter_event e = {.size = sizeof(e)};
    xvmi_filter_decide(filter, f.data, f.len, XVMI_FLOW_IN, 0, S, &e);
    cr_expect(e.verdict == XVMI_VERDICT_PASS && e.reason == XVMI_REASON_UNFILTERED);
    xvmi_filter_free(filter);
    filter = filter_new("default deny\ndefault in reject");
    xvmi_filter_decide(filter, f.data, f.len, XVMI_FLOW_IN, 0, S, &e);
    cr_expect(e.verdict == XVMI_VERDICT_REJECT && e.reason == XVMI_REASON_DEFAULT);
    xvmi_filter_free(filter);
}

Test(engine, dry_run_lets_pass)
{
    struct xvmi_filter *filter = filter_with("default deny", true, false);
    struct frame data = tcp4(5000, 80, 0x10);
    struct xvmi_filter_event e = decide(filter, &data, S);
    cr_expect(e.verdict == XVMI_VERDICT_DROP && e.action == XVMI_VERDICT_PASS);
    cr_expect_eq(e.decision.verdict, XVMI_VERDICT_PASS);
    e = decide(filter, &data, S + 1);
    cr_expect_eq(e.reason, XVMI_REASON_CACHED);
    cr_expect(e.verdict == XVMI_VERDICT_DROP && e.action == XVMI_VERDICT_PASS);
    cr_expect_eq(e.decision.verdict, XVMI_VERDICT_PASS);
    xvmi_filter_free(filter);
}

static void foreign(void)
{
    guest.owner = (struct xvmi_owner){.foreign = true};
}

/* An address that is not the guest's has no owner, and rules on owners do not let it pass. */
Test(engine, spoofed_address)
{
    struct xvmi_filter *filter = filter_new("default allow\ndeny exe \"/bin/nc\"\naudit uid 7");
    struct frame data = tcp4(5000, 80, 0x10);
    struct xvmi_filter_stats stats = {.size = sizeof(stats)};
    foreign();
    is_spoofed(filter, &data, S);
    struct xvmi_filter_event e = decide(filter, &data, S + 1);
    cr_expect(e.verdict == XVMI_VERDICT_DROP && e.reason == XVMI_REASON_CACHED);
    xvmi_filter_stats(filter, &stats);
    cr_expect_eq(stats.spoofed, 1);
    guest.find_status = XVMI_ERR_NOT_PRESENT; /* what is not known is not forged */
    data = tcp4(5001, 80, 0x10);
    cr_expect_neq(decide(filter, &data, 2 * S).reason, XVMI_REASON_SPOOFED);
    xvmi_filter_free(filter);
}

/* Who asks nothing about senders pays nothing, unless he says the word. */
Test(engine, spoofed_address_when_asked)
{
    struct frame data = tcp4(5000, 80, 0x10);
    struct xvmi_filter *filter = filter_new("default allow\nallow tcp dport 80");
    foreign();
    cr_expect_eq(decide(filter, &data, S).verdict, XVMI_VERDICT_PASS);
    cr_expect_eq(guest.finds, 0);
    xvmi_filter_free(filter);
    filter = filter_new("default allow\nallow tcp dport 80\nspoofed deny");
    foreign();
    data = tcp4(5001, 80, 0x10);
    is_spoofed(filter, &data, 2 * S);
    cr_expect_eq(guest.finds, 1);
    xvmi_filter_free(filter);
    filter = filter_new("default deny\nallow owner none tcp dport 80\nspoofed allow");
    foreign();
    data = tcp4(5002, 80, 0x10);
    struct xvmi_filter_event e = decide(filter, &data, 3 * S);
    cr_expect(e.verdict == XVMI_VERDICT_PASS && e.reason == XVMI_REASON_RULE);
    xvmi_filter_free(filter);
}

/* The frame's MAC address counts before what is known of its flow. */
Test(engine, spoofed_mac)
{
    const struct xvmi_nic nics[2] = {{.mac = {2, 0, 0, 0, 0, 1}}, {.mac = {0}}};
    struct frame data = tcp4(5000, 80, 0x10), arp;
    struct xvmi_filter *filter =
        filter_of("default deny\nallow exe \"/usr/bin/curl\"\nmac own", nics, 2);
    cr_expect(xvmi_filter_needs(filter) & XVMI_NEED_MAC);
    cr_expect_eq(decide(filter, &data, S).verdict, XVMI_VERDICT_PASS);
    data.data[11] = 9;
    is_spoofed(filter, &data, S);
    cr_expect(!decide(filter, &data, S).cacheable);
    data.data[11] = 1;
    cr_expect_eq(decide(filter, &data, S).reason, XVMI_REASON_CACHED);
    frame_ether(&arp);
    frame_put16(&arp, 0x0806);
    frame_zero(&arp, 28);
    cr_expect_eq(decide(filter, &arp, S).reason, XVMI_REASON_ARP);
    arp.data[11] = 9;
    is_spoofed(filter, &arp, S);
    /* A device whose address is not known, and one that is not known itself. */
    for (uint8_t nic = 1; nic < 3; nic++) {
        struct xvmi_filter_event e = {.size = sizeof(e)};
        xvmi_filter_decide(filter, arp.data, arp.len, XVMI_FLOW_OUT, nic, S, &e);
        cr_expect_eq(e.reason, XVMI_REASON_ARP);
    }
    xvmi_filter_free(filter);
    filter = filter_of(
        "default allow\ndeny exe \"/usr/bin/curl\"\nmac own\nspoofed allow\nunknown allow", nics,
        1);
    cr_expect_eq(decide(filter, &data, 2 * S).verdict, XVMI_VERDICT_DROP);
    data.data[11] = 9; /* nobody's, so not curl's */
    cr_expect_eq(decide(filter, &data, 2 * S).verdict, XVMI_VERDICT_PASS);
    xvmi_filter_free(filter);
}

/* By the guest's clock, whatever time it is here. */
Test(engine, age)
{
    struct xvmi_filter *filter = filter_new("default deny\nallow age < 2s");
    struct frame data = tcp4(5000, 80, 0x10), second = tcp4(5001, 80, 2), third = tcp4(5002, 80, 2);
    guest.clock = 49 * S + S;
    cr_expect_eq(decide(filter, &data, S).verdict, XVMI_VERDICT_PASS);
    guest.clock = 49 * S + 2 * S;
    cr_expect_eq(decide(filter, &second, S + 1).verdict, XVMI_VERDICT_DROP);
    guest.clock = 49 * S - 1; /* before the tick in which it started */
    cr_expect_eq(decide(filter, &second, S + 2).verdict, XVMI_VERDICT_PASS);
    guest.clock_status = XVMI_ERR_UNSUPPORTED;
    struct xvmi_filter_event e = decide(filter, &third, S + 3);
    cr_expect(e.verdict == XVMI_VERDICT_DROP && e.uncertain);
    xvmi_filter_free(filter);
}

Test(engine, learns)
{
    struct xvmi_filter *filter = filter_with("default deny", false, true);
    struct frame a = tcp4(40000, 443, 2), b = tcp4(40001, 80, 2), c = udp4(40000, 53, 1),
                 d = tcp4(80, 50000, 0x12);
    char *text, *want = "# Written from traffic that was seen: read it before it is used.\n"
                        "learned\n"
                        "vm \"web\" {\n"
                        "    default deny log\n"
                        "    allow owner kernel proto igmp\n"
                        "    allow exe \"/opt/a[*]\\\"b\" tcp dport { 53 }\n"
                        "    allow exe \"/usr/bin/curl\" tcp dport { 80, 443 }\n"
                        "    allow exe \"/usr/bin/curl\" tcp sport { 80 }\n"
                        "    allow exe \"/usr/bin/curl\" udp dport { 53 }\n"
                        "    # 1 packets had no owner that could be named\n"
                        "    # 1 frames were neither ARP nor IP: other allow\n"
                        "}\n";
    struct frame lldp, group = igmp4();
    frame_ether(&lldp);
    frame_put16(&lldp, 0x88cc);
    decide(filter, &a, S);
    decide(filter, &b, S);
    decide(filter, &c, S);
    cr_expect_eq(decide(filter, &d, S).action, XVMI_VERDICT_PASS);
    guest.exe = "/opt/a*\"b";
    a = tcp4(40005, 53, 2);
    decide(filter, &a, S);
    guest.owner.kind = XVMI_OWNER_NONE;
    a = tcp4(40006, 53, 2);
    decide(filter, &a, S);
    guest.owner = (struct xvmi_owner){0};
    decide(filter, &group, S);
    decide(filter, &lldp, S);
    cr_assert_eq(xvmi_filter_learned(filter, &text), XVMI_OK);
    cr_expect_str_eq(text, want);
    struct xvmi_policy *policy;
    cr_assert_eq(xvmi_policy_parse(text, strlen(text), "l", NULL, &policy, NULL), XVMI_OK);
    cr_expect(xvmi_policy_learned(policy));
    xvmi_policy_unref(policy);
    free(text);
    xvmi_filter_free(filter);
}

Test(engine, events)
{
    struct xvmi_filter *filter = filter_new("default deny\nreject tcp dport 80 log");
    struct frame data = tcp4(5000, 80, 0x10);
    struct xvmi_filter_event e = decide(filter, &data, 77);
    char *text;
    memcpy(guest.owner.owners[0].task.comm, "cu\xffrl\n", 7);
    cr_assert_eq(xvmi_filter_event_json(filter, &e, &text), XVMI_OK);
    cr_expect_str_eq(
        text,
        "{\"time\":77,\"vm\":\"web\",\"flow\":{\"proto\":\"tcp\",\"direction\":\"out\",\"local\":"
        "\"10.0.0.2\",\"lport\":5000,\"remote\":\"192.0.2.1\",\"rport\":80},\"verdict\":"
        "\"reject\",\"action\":\"reject\",\"reason\":\"rule\",\"rule\":{\"number\":1,\"file\":"
        "\"p\",\"line\":3,\"column\":1},\"audit\":null,\"log\":true,\"uncertain\":false,"
        "\"cached\":false,\"owner\":{\"kind\":\"process\",\"via\":\"none,none\",\"socket_uid\":33,"
        "\"netns\":0,\"pid\":42,\"uid\":33,\"comm\":\"cu\xef\xbf\xbdrl\\n\",\"exe\":"
        "\"/usr/bin/curl\",\"cgroup\":\"/shop/web\",\"ancestry\":[{\"pid\":1,\"uid\":0,\"comm\":"
        "\"init\",\"exe\":\"/sbin/init\"}],\"holders\":1,\"more\":false},\"latency_ns\":0}");
    free(text);
    e = decide(filter, &data, 78);
    cr_assert_eq(xvmi_filter_event_json(filter, &e, &text), XVMI_OK);
    cr_expect(strstr(text, "\"reason\":\"cached\"") && strstr(text, "\"owner\":null"));
    free(text);
    xvmi_filter_free(filter);
}
