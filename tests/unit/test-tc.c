// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Frames through a filtered tap: a VMM's end, a bridge, and the wire behind it. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <criterion/criterion.h>
#include <linux/pkt_cls.h>
#include <net/if.h>

#include "filter/engine.h"
#include "support/netbox.h"
#include "tc/tc.h"

#define WEB "default deny\n allow udp dport 53\n allow tcp dport 80\n reject tcp dport 25"

/* The one process of the guest. */
static struct {
    const char *exe;
    unsigned finds;
    uint16_t slow_port; /* looking for its sender takes longer than is allowed, */
    unsigned slow;      /* so often */
} guest = {.exe = "/usr/bin/curl"};

static enum xvmi_status refresh(struct xvmi_vm *vm)
{
    (void)vm;
    return XVMI_OK;
}

static enum xvmi_status find(struct xvmi_finder *finder, const struct xvmi_flow *flow,
                             const struct xvmi_owner_query *query, struct xvmi_owner *answer)
{
    (void)finder;
    (void)query;
    guest.finds++;
    if (guest.slow && flow->lport == guest.slow_port) {
        guest.slow--;
        return XVMI_ERR_LIMIT;
    }
    *answer = (struct xvmi_owner){.kind = XVMI_OWNER_PROCESS,
                                  .n_owners = 1,
                                  .token = {1, 2, 3, 4, 5, 6, (uintptr_t)guest.exe, 0, 0}};
    answer->owners[0].task = (struct xvmi_task){.pid = 42, .comm = "curl"};
    return XVMI_OK;
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
    (void)token;
    return XVMI_ERR_CHANGED;
}

static enum xvmi_status exe(struct xvmi_vm *vm, const struct xvmi_task *task, char *buf,
                            size_t size)
{
    (void)vm;
    (void)task;
    snprintf(buf, size, "%s", guest.exe);
    return XVMI_OK;
}

static const struct xf_guest_ops ops = {.refresh = refresh,
                                        .find = find,
                                        .find_batch = find_batch,
                                        .revalidate = revalidate,
                                        .exe = exe};

static struct netbox box;
static struct xvmi_error err = XVMI_ERROR_INIT;
static struct xtc *tc;
static struct xvmi_filter *filter;
static struct xvmi_policy *policy;
static struct xtc_options how;

static struct xvmi_policy *policy_of(const char *rules)
{
    char text[1024];
    struct xvmi_policy *parsed;
    snprintf(text, sizeof(text), "vm \"web\" {\n%s\n}\n", rules);
    cr_assert_eq(xvmi_policy_parse(text, strlen(text), "p", NULL, &parsed, &err), XVMI_OK, "%s",
                 err.text);
    return parsed;
}

static void make_filter(const char *rules, uint64_t revalidate_ns)
{
    struct xvmi_cache *cache;
    policy = policy_of(rules);
    cr_assert_eq(
        xvmi_cache_new(&(struct xvmi_cache_options){.size = sizeof(struct xvmi_cache_options),
                                                    .memory = 1 << 20},
                       &cache, &err),
        XVMI_OK, "%s", err.text);
    const struct xvmi_filter_options options = {.size = sizeof(options),
                                                .policy = policy,
                                                .cache = cache,
                                                .name = "web",
                                                .revalidate_ns = revalidate_ns};
    cr_assert_eq(xf_filter_new(&options, &ops, &filter, &err), XVMI_OK, "%s", err.text);
    xvmi_cache_unref(cache);
    how.size = sizeof(how);
    how.dev = NETBOX_DEV;
    how.filter = filter;
    how.policy = xvmi_policy_digest(policy);
}

static void open_tc(void)
{
    cr_assert_eq(xtc_open(&how, &tc, &err), XVMI_OK, "%s", err.text);
}

static void work(void)
{
    cr_assert_eq(xtc_work(tc, &err), XVMI_OK, "%s", err.text);
}

static struct xtc_stats stats(void)
{
    struct xtc_stats s = {.size = sizeof(s)};
    xtc_stats(tc, &s);
    return s;
}

static void set_up(void)
{
    if (geteuid())
        cr_skip_test("network namespaces and BPF programs need root");
    netbox_open(&box);
}

static void tear_down(void)
{
    xtc_close(tc);
    xvmi_filter_free(filter);
    xvmi_policy_unref(policy);
}

TestSuite(tc, .init = set_up, .fini = tear_down);

/* A datagram with a number in it. */
static void send_udp(unsigned sport, unsigned dport, unsigned number)
{
    struct frame f = udp4(sport, dport, 18);
    memcpy(f.data + f.len - 4, &number, 4);
    netbox_put(box.guest, &f);
}

/* The same over a connection. */
static void send_ack(unsigned sport, unsigned dport, unsigned number)
{
    struct frame f = tcp4(sport, dport, 0x10);
    memcpy(f.data + f.len - 4, &number, 4);
    netbox_put(box.guest, &f);
}

static unsigned number_of(const struct frame *f)
{
    unsigned number;
    memcpy(&number, f->data + f->len - 4, 4);
    return number;
}

/* The next frame on the wire is the one with this number. On a kernel whose soft interrupts are
 * behind, a frame that came back may be waited for by those after it. */
static void expect(unsigned number)
{
    struct frame f;
    for (int i = 0; tc && i < 500 && !netbox_wait(box.wire, 10); i++)
        work();
    cr_assert(netbox_get(box.wire, &f), "no frame, %u was expected", number);
    cr_assert_eq(number_of(&f), number, "%u instead of %u", number_of(&f), number);
}

/* Nothing else is on its way: the next to arrive is what is sent now, over a known flow. */
static void expect_nothing_before(unsigned dport)
{
    send_udp(1, dport, 99999);
    work();
    expect(99999);
    cr_assert_not(netbox_has(box.wire));
}

Test(tc, held_then_known)
{
    make_filter(WEB, 0);
    open_tc();
    for (unsigned i = 0; i < 20; i++)
        send_udp(4000, 53, i);
    cr_assert_not(netbox_has(box.wire));
    work();
    for (unsigned i = 0; i < 20; i++)
        expect(i);
    for (unsigned i = 20; i < 40; i++) {
        send_udp(4000, 53, i);
        expect(i);
    }
    struct xtc_stats s = stats();
    cr_expect_eq(s.held[0], 20);
    cr_expect_eq(s.sent[0], 20);
    cr_expect_eq(s.passed[0], 20);
    cr_expect_eq(s.overflow[0] + s.lost, 0);
}

/* Who takes long to look up waits alone, and what it sends meanwhile behind it. */
Test(tc, slow_lookup_holds_up_nobody_else)
{
    make_filter("default deny\n allow exe \"/usr/bin/curl\"", 0);
    open_tc();
    guest.slow_port = 4000;
    guest.slow = 3;
    send_udp(4000, 53, 0);
    send_udp(4001, 53, 100);
    send_udp(4000, 53, 1);
    work();
    expect(100);
    cr_expect_eq(guest.slow, 1); /* at once, and when nothing else waited */
    send_udp(4002, 53, 200);
    work();
    expect(200);
    cr_expect_eq(guest.slow, 0);
    cr_assert_not(netbox_has(box.wire));
    send_udp(4000, 53, 2);
    for (unsigned i = 0; i < 3; i++)
        expect(i);
    struct xtc_stats s = stats();
    cr_expect_eq(s.held[0], 5);
    cr_expect_eq(s.sent[0], 5);
    cr_expect_eq(s.lost, 0);
    struct pollfd idle = {.fd = xtc_fd(tc), .events = POLLIN};
    for (int i = 0; i < 100 && poll(&idle, 1, 0); i++) /* a tick, a round */
        work();
    send_udp(4000, 53, 3);
    expect(3);
    cr_expect_eq(stats().held[0], 5);
}

/* In the end it is what cannot be said. */
Test(tc, look_up_that_never_ends)
{
    make_filter("default deny\n allow exe \"/usr/bin/curl\"", 0);
    open_tc();
    guest.slow_port = 4000;
    guest.slow = 1000;
    send_udp(4000, 53, 0);
    for (int i = 0; i < 100 && !stats().denied[0]; i++)
        work();
    cr_expect_eq(stats().denied[0], 1);
    cr_expect_geq(guest.slow, 1000 - 8);
    expect_nothing_before(53);
}

Test(tc, denied_never_arrives)
{
    make_filter(WEB, 0);
    open_tc();
    for (unsigned i = 0; i < 3; i++) {
        send_udp(4000, 123, i);
        work();
    }
    expect_nothing_before(53);
    struct xtc_stats s = stats();
    cr_expect_eq(s.denied[0], 1);
    cr_expect_eq(s.dropped[0], 2);
}

/* Whenever the agent gets to it, no frame overtakes another of its flow. */
Test(tc, order_within_flows)
{
    unsigned next[8] = {0}, sent[8] = {0}, state = 1, got = 0, all = 0;
    make_filter(WEB, 0);
    how.queue = 4096;
    open_tc();
    for (unsigned i = 0; i < 4000; i++) {
        state = state * 1103515245 + 12345;
        unsigned flow = state >> 16 & 7;
        send_udp(5000 + flow, 53, flow << 16 | sent[flow]++);
        all++;
        if ((state >> 20) % 7 == 0)
            work();
        if (i % 500 == 499) /* all are unknown again */
            cr_assert_eq(xtc_renew(tc, filter, 1, &err), XVMI_OK);
        while (netbox_has(box.wire)) {
            struct frame f;
            cr_assert(netbox_get(box.wire, &f));
            unsigned n = number_of(&f);
            cr_assert_eq(n & 0xffff, next[n >> 16], "flow %u: %u instead of %u", n >> 16,
                         n & 0xffff, next[n >> 16]);
            next[n >> 16]++;
            got++;
        }
    }
    while (got < all) {
        struct frame f;
        work();
        cr_assert(netbox_get(box.wire, &f), "%u of %u arrived", got, all);
        cr_assert_eq(number_of(&f) & 0xffff, next[number_of(&f) >> 16]++);
        got++;
    }
    struct xtc_stats s = stats();
    cr_expect_eq(s.overflow[0], 0);
    cr_expect_gt(s.passed[0], 100);
    cr_expect_gt(s.held[0], 100);
}

Test(tc, opening_is_never_known)
{
    struct frame syn = tcp4(5000, 80, 0x02), data = tcp4(5000, 80, 0x10), f;
    make_filter(WEB, 0);
    open_tc();
    for (int i = 0; i < 2; i++) {
        netbox_put(box.guest, &syn);
        cr_assert_not(netbox_has(box.wire));
        work();
        cr_assert(netbox_get(box.wire, &f));
        cr_expect_arr_eq(f.data, syn.data, syn.len);
        netbox_put(box.guest, &data);
        cr_assert(netbox_get(box.wire, &f));
    }
    struct xtc_stats s = stats();
    cr_expect_eq(s.held[0], 2);
    cr_expect_eq(s.passed[0], 2);
}

Test(tc, miss_drop)
{
    struct frame syn = tcp4(5000, 80, 0x02), f;
    make_filter(WEB, 0);
    how.miss = XTC_DROP;
    open_tc();
    netbox_put(box.guest, &syn);
    work();
    cr_assert_not(netbox_has(box.wire));
    netbox_put(box.guest, &syn); /* sent again */
    cr_assert(netbox_get(box.wire, &f));
    send_udp(4000, 123, 0);
    work();
    send_udp(4000, 123, 1);
    send_udp(1, 53, 2);
    work();
    expect_nothing_before(53);
    struct xtc_stats s = stats();
    cr_expect_eq(s.missed[0], 3);
    cr_expect_eq(s.told[0], 3);
    cr_expect_eq(s.held[0] + s.untold[0], 0);
    cr_expect_eq(s.dropped[0], 1);
}

Test(tc, miss_pass)
{
    struct frame syn = tcp4(5000, 22, 0x02), f;
    make_filter(WEB, 0);
    how.miss = XTC_PASS;
    open_tc();
    netbox_put(box.guest, &syn);
    cr_assert(netbox_get(box.wire, &f));
    work();
    netbox_put(box.guest, &syn);
    send_udp(4000, 123, 7);
    expect(7);
    work();
    send_udp(4000, 123, 8);
    expect_nothing_before(53);
    cr_expect_eq(stats().dropped[0], 2);
}

Test(tc, rejected_is_told)
{
    struct frame syn = tcp4(5000, 25, 0x02), f;
    make_filter(WEB, 0);
    open_tc();
    netbox_put(box.guest, &syn);
    work();
    cr_assert(netbox_get(box.guest, &f));
    cr_expect_eq(f.data[34 + 13] & 0x04, 0x04, "no RST");
    cr_expect_arr_eq(f.data + 26, syn.data + 30, 4);
    cr_expect_eq(stats().rejected, 1);
    expect_nothing_before(53);
}

/* A large segment that the guest left to its device to cut and to sum up. */
Test(tc, offloads_survive)
{
    static uint8_t out[NETBOX_HEADER + 4096], in[sizeof(out) + 64];
    struct virtio_net_hdr_v1 *header = (struct virtio_net_hdr_v1 *)out;
    struct virtio_net_hdr_v1 *got = (struct virtio_net_hdr_v1 *)in;
    struct frame f = tcp4(5000, 80, 0x10);
    size_t len = sizeof(out) - NETBOX_HEADER;
    *header = (struct virtio_net_hdr_v1){.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
                                         .gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
                                         .hdr_len = 54,
                                         .gso_size = 1448,
                                         .csum_start = 34,
                                         .csum_offset = 16};
    memcpy(out + NETBOX_HEADER, f.data, f.len);
    for (size_t i = f.len; i < len; i++)
        out[NETBOX_HEADER + i] = (uint8_t)(i * 7);
    out[NETBOX_HEADER + 16] = (uint8_t)((len - 14) >> 8);
    out[NETBOX_HEADER + 17] = (uint8_t)(len - 14);
    make_filter(WEB, 0);
    open_tc();
    for (int known = 0; known < 2; known++) {
        netbox_put_raw(box.guest, out, sizeof(out));
        if (!known) {
            cr_assert_not(netbox_has(box.wire));
            work();
        }
        cr_assert_eq(netbox_get_raw(box.wire, in, sizeof(in)), sizeof(out));
        cr_expect_eq(got->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM, VIRTIO_NET_HDR_F_NEEDS_CSUM);
        cr_expect_eq(got->gso_type, VIRTIO_NET_HDR_GSO_TCPV4);
        cr_expect_eq(got->gso_size, 1448);
        cr_expect_eq(got->csum_start, 34);
        cr_expect_eq(got->csum_offset, 16);
        cr_expect_arr_eq(in + NETBOX_HEADER, out + NETBOX_HEADER, len);
    }
    cr_expect_eq(stats().held[0], 1);
    cr_expect_eq(stats().passed[0], 1);
}

Test(tc, tagged)
{
    struct frame f = udp4(4000, 53, 18), tagged, got;
    tagged.len = 0;
    frame_put(&tagged, f.data, 12);
    frame_put(&tagged, "\x81\x00\x20\x07", 4);
    frame_put(&tagged, f.data + 12, f.len - 12);
    make_filter(WEB, 0);
    open_tc();
    for (int i = 0; i < 2; i++) {
        netbox_put(box.guest, &tagged);
        work();
        cr_assert(netbox_get(box.wire, &got));
        cr_assert_eq(got.len, tagged.len);
        cr_expect_arr_eq(got.data, tagged.data, tagged.len);
    }
    cr_expect_eq(stats().passed[0], 1);
}

Test(tc, several_queues)
{
    int second = netbox_tap(NETBOX_DEV, true);
    struct frame f = udp4(4000, 53, 18), got;
    make_filter(WEB, 0);
    open_tc();
    for (int i = 0; i < 4; i++) {
        netbox_put(i & 1 ? second : box.guest, &f);
        work();
        cr_assert(netbox_get(box.wire, &got));
    }
    cr_expect_eq(stats().held[0], 1);
    cr_expect_eq(stats().passed[0], 3);
    close(second);
}

static struct frame ip6_tcp(uint8_t flags)
{
    struct frame f;
    frame_ether(&f);
    frame_ip6(&f, 6, "2001:db8::2", "2001:db8::1");
    frame_tcp(&f, 5000, 80, flags);
    frame_end(&f);
    return f;
}

/* Each kind of frame comes out as it went in, once. */
Test(tc, other_frames)
{
    struct frame frames[6] = {ip6_tcp(0x02), ip6_tcp(0x10), udp4(4000, 53, 64), udp4(4000, 53, 64)};
    struct frame got;
    frames[2].data[20] = 0x20; /* a datagram in two pieces */
    frames[3].data[21] = 0x08;
    frame_ether(&frames[4]); /* ARP */
    frame_put(&frames[4], "\x08\x06\0\1\x08\0\6\4\0\1", 10);
    frame_zero(&frames[4], 38);
    frames[5] = udp4(4000, 53, 18); /* cut short: malformed */
    frames[5].data[17] += 4;
    make_filter(WEB, 0);
    open_tc();
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 6; i++) {
            netbox_put(box.guest, &frames[i]);
            work();
        }
        for (int i = 0; i < 5; i++) {
            cr_assert(netbox_get(box.wire, &got), "frame %d", i);
            cr_assert_eq(got.len, frames[i].len, "frame %d", i);
            cr_expect_arr_eq(got.data, frames[i].data, got.len, "frame %d", i);
        }
        cr_assert_not(netbox_has(box.wire));
    }
    cr_expect_eq(stats().passed[0], 2); /* of the known flow; all else is decided each time */
    cr_expect_eq(stats().denied[0], 2);
}

Test(tc, rejected_on_its_way_in)
{
    struct frame syn = tcp4(5000, 22, 0x02), f;
    make_filter("default allow\n reject in tcp dport 22\n default in allow", 0);
    open_tc();
    netbox_put(box.wire, &syn);
    work();
    cr_assert(netbox_get(box.wire, &f));
    cr_expect_eq(f.data[34 + 13] & 0x04, 0x04, "no RST");
    cr_assert_not(netbox_has(box.guest));
    cr_expect_eq(stats().rejected, 1);
}

Test(tc, incoming)
{
    struct frame good = udp4(53, 4000, 18), bad = udp4(54, 4000, 18), f;
    make_filter("default allow\n allow in udp sport 53\n default in deny", 0);
    open_tc();
    for (int i = 0; i < 2; i++) {
        netbox_put(box.wire, &bad);
        netbox_put(box.wire, &good);
        work();
        cr_assert(netbox_get(box.guest, &f));
        cr_expect_eq(f.data[35], 53);
        cr_assert_not(netbox_has(box.guest));
    }
    struct xtc_stats s = stats();
    cr_expect_eq(s.held[1], 2);
    cr_expect_eq(s.dropped[1], 1);
    cr_expect_eq(s.passed[1], 1);
    /* A policy without such rules does not look at what comes in. */
    struct xvmi_policy *other = policy_of("default allow");
    cr_assert_eq(xvmi_filter_reload(filter, other, &err), XVMI_OK);
    cr_assert_eq(xtc_renew(tc, filter, 2, &err), XVMI_OK);
    xvmi_policy_unref(other);
    netbox_put(box.wire, &bad);
    cr_assert(netbox_get(box.guest, &f));
    cr_expect_eq(stats().held[1], 2);
}

Test(tc, another_policy_is_at_once)
{
    make_filter(WEB, 0);
    open_tc();
    send_udp(4000, 53, 1);
    work();
    send_udp(4000, 53, 2);
    expect(1);
    expect(2);
    struct xvmi_policy *other = policy_of("default deny\n allow udp dport 123");
    cr_assert_eq(xvmi_filter_reload(filter, other, &err), XVMI_OK);
    cr_assert_eq(xtc_renew(tc, filter, xvmi_policy_digest(other), &err), XVMI_OK);
    send_udp(4000, 53, 3);
    work();
    expect_nothing_before(123);
    xvmi_policy_unref(other);
}

/* What is due goes on while the agent looks again, and no longer than that. */
Test(tc, looked_at_again)
{
    make_filter("default deny\n allow exe \"/usr/bin/curl\"", 1);
    open_tc();
    send_ack(4000, 53, 0);
    work();
    expect(0);
    unsigned finds = guest.finds, i = 1;
    while (!stats().told[0]) { /* the kernel's clock is a coarse one */
        send_ack(4000, 53, i);
        expect(i++);
    }
    guest.exe = "/usr/bin/nmap";
    work();
    cr_expect_gt(guest.finds, finds);
    cr_expect_eq(stats().held[0], 1);
    send_ack(4000, 53, i);
    cr_expect_eq(stats().dropped[0], 1);
    cr_assert_not(netbox_has(box.wire));
}

/* Two datagrams, by which a flow that nothing opens becomes known. */
static void make_known(void)
{
    for (unsigned i = 0; i < 2; i++) {
        send_udp(4000, 53, i);
        work();
        expect(i);
    }
    cr_assert_eq(stats().held[0], 2);
}

Test(tc, one_datagram_is_not_looked_after)
{
    make_filter("default deny\n allow exe \"/usr/bin/curl\"", 0);
    open_tc();
    make_known();
    send_udp(4000, 53, 2);
    expect(2);
    cr_expect_eq(stats().held[0], 2);
    cr_expect_eq(stats().passed[0], 1);
}

/* Nothing opens a UDP flow: who took over its port is found out without a packet. */
Test(tc, taken_over)
{
    make_filter("default deny\n allow exe \"/usr/bin/curl\"", 0);
    open_tc();
    make_known();
    guest.exe = "/usr/bin/nmap";
    for (int i = 0; i < 1000 && !stats().changed; i++) {
        struct pollfd round = {.fd = xtc_fd(tc), .events = POLLIN};
        cr_assert_eq(poll(&round, 1, 10000), 1);
        work();
    }
    cr_expect_eq(stats().changed, 1);
    send_udp(4000, 53, 2);
    cr_expect_eq(stats().held[0], 3);
    work();
    cr_expect_eq(stats().denied[0], 1);
    cr_assert_not(netbox_has(box.wire));
}

/* An agent that is behind cannot say that the port is still the same process's. */
Test(tc, unproven)
{
    unsigned i = 2;
    make_filter("default deny\n allow exe \"/usr/bin/curl\"", 0);
    open_tc();
    make_known();
    while (stats().held[0] == 2) {
        send_udp(4000, 53, i);
        expect(i++);
    }
    cr_expect_eq(stats().sent[0], 3);
    cr_expect_eq(stats().changed, 0);
    send_udp(4000, 53, i);
    expect(i);
}

Test(tc, overflow)
{
    make_filter(WEB, 0);
    how.queue = 16;
    open_tc();
    for (unsigned i = 0; i < 10; i++) /* a fourth of the queue for one flow */
        send_udp(4000, 53, i);
    cr_expect_eq(stats().held[0], 4);
    cr_expect_eq(stats().overflow[0], 6);
    for (unsigned i = 10; i < 40; i++)
        send_udp(4000 + i, 53, i);
    cr_expect_eq(stats().held[0], 16);
    cr_expect_eq(stats().overflow[0], 6 + 30 - 12);
    work();
    for (unsigned i = 0; i < 16; i++) {
        struct frame f;
        cr_assert(netbox_get(box.wire, &f));
    }
    send_udp(4000, 53, 77);
    expect(77);
    cr_expect_eq(stats().passed[0], 1);
}

/* ---- other programs ---- */

/* A program that says the same to each frame. */
static int program(int verdict)
{
    const struct bpf_insn code[] = {
        {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = verdict},
        {.code = BPF_JMP | BPF_EXIT},
    };
    int fd = bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "other", "GPL", code, 2, NULL);
    cr_assert_geq(fd, 0);
    return fd;
}

static uint32_t attach_other(int verdict)
{
    LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)if_nametoindex(NETBOX_DEV),
                .attach_point = BPF_TC_INGRESS);
    LIBBPF_OPTS(bpf_tc_opts, opts, .prog_fd = program(verdict), .handle = 1, .priority = 20);
    int made = bpf_tc_hook_create(&hook);
    cr_assert(!made || made == -EEXIST);
    cr_assert_eq(bpf_tc_attach(&hook, &opts), 0);
    return opts.prog_id;
}

static uint32_t find_other(void)
{
    LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)if_nametoindex(NETBOX_DEV),
                .attach_point = BPF_TC_INGRESS);
    LIBBPF_OPTS(bpf_tc_opts, opts, .handle = 1, .priority = 20);
    return bpf_tc_query(&hook, &opts) ? 0 : opts.prog_id;
}

static void beside_others(bool clsact)
{
    uint32_t other = attach_other(TC_ACT_SHOT);
    make_filter(WEB, 0);
    how.clsact = clsact;
    open_tc();
    cr_expect_str_eq(xtc_attached_by(tc), clsact ? "clsact" : xtc_attached_by(tc));
    send_udp(4000, 53, 0);
    work();
    send_udp(4000, 53, 1);
    cr_expect_eq(stats().sent[0], 1);
    cr_expect_eq(stats().passed[0], 1);
    cr_assert_not(netbox_has(box.wire), "the other program had no say");
    xtc_close(tc);
    tc = NULL;
    cr_expect_eq(find_other(), other);
}

Test(tc, beside_others_tcx)
{
    beside_others(false);
}

Test(tc, beside_others_clsact)
{
    beside_others(true);
}

Test(tc, one_agent_a_device)
{
    struct xtc *second;
    make_filter(WEB, 0);
    open_tc();
    cr_assert_eq(xtc_open(&how, &second, &err), XVMI_ERR_LIMIT, "%s", err.text);
    cr_assert_null(second);
    how.dev = "tap7";
    cr_assert_eq(xtc_open(&how, &second, &err), XVMI_ERR_NOT_FOUND);
    cr_expect_str_eq(err.text, "tap7: there is no such device in this network namespace");
    how.dev = NETBOX_DEV;
    send_udp(4000, 53, 1);
    work();
    expect(1);
}

Test(tc, device_goes_away)
{
    make_filter(WEB, 0);
    open_tc();
    work();
    close(box.guest);
    cr_assert_eq(xtc_work(tc, &err), XVMI_ERR_GONE);
    cr_expect_str_eq(err.text, "the device is gone");
}

Test(tc, closing_opens)
{
    make_filter(WEB, 0);
    open_tc();
    send_udp(4000, 123, 1);
    work();
    xtc_close(tc);
    tc = NULL;
    send_udp(4000, 123, 2);
    expect(2);
}

/* ---- an agent that is killed ---- */

/* Decides about 53 (known then, allowed) and 123 (known, denied), and is killed. */
static void kill_an_agent(void)
{
    int ready[2];
    char byte;
    cr_assert_eq(pipe(ready), 0);
    pid_t child = fork();
    cr_assert_geq(child, 0);
    if (!child) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (xtc_open(&how, &tc, &err))
            _exit(1);
        for (unsigned i = 0; i < 2; i++)
            send_udp(4000, i ? 123 : 53, i);
        if (xtc_work(tc, &err) || write(ready[1], "", 1) != 1)
            _exit(1);
        pause();
        _exit(1);
    }
    close(ready[1]);
    cr_assert_eq(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    expect(0);
    kill(child, SIGKILL);
    cr_assert_eq(waitpid(child, NULL, 0), child);
}

static void killed_open(bool clsact)
{
    make_filter(WEB, 0);
    how.clsact = clsact;
    kill_an_agent();
    send_udp(4000, 53, 10);
    send_udp(4000, 123, 11);
    send_udp(4000, 99, 12);
    expect(10);
    expect(11);
    expect(12);
    open_tc();
    send_udp(4000, 123, 13);
    work();
    expect_nothing_before(53);
}

Test(tc, killed_open_tcx)
{
    killed_open(false);
}

Test(tc, killed_open_clsact)
{
    killed_open(true);
}

Test(tc, killed_closed)
{
    make_filter(WEB, 0);
    how.on_exit = XTC_CLOSED;
    kill_an_agent();
    send_udp(4000, 123, 11);
    send_udp(4000, 99, 12);
    send_udp(4000, 53, 10);
    expect(10);
    cr_assert_not(netbox_has(box.wire));
    /* What it knew is known to the next. */
    open_tc();
    cr_assert(xtc_took_over(tc));
    send_udp(4000, 123, 13);
    send_udp(4000, 53, 14);
    expect(14);
    cr_expect_eq(stats().held[0], 0);
    cr_expect_eq(stats().passed[0], 1);
    cr_expect_eq(stats().dropped[0], 1);
    xtc_close(tc);
    /* Under another policy it is void. */
    how.policy++;
    open_tc();
    cr_assert(xtc_took_over(tc));
    send_udp(4000, 53, 15);
    cr_assert_not(netbox_has(box.wire));
    work();
    expect(15);
    xtc_close(tc);
    /* So is what a dry run decided, or what is decided in one. */
    how.dry_run = true;
    open_tc();
    send_udp(4000, 53, 17);
    cr_assert_not(netbox_has(box.wire));
    work();
    expect(17);
    xtc_close(tc);
    how.dry_run = false;
    open_tc();
    send_udp(4000, 53, 18);
    cr_assert_not(netbox_has(box.wire));
    work();
    expect(18);
    xtc_close(tc);
    how.on_exit = XTC_OPEN;
    open_tc();
    xtc_close(tc);
    tc = NULL;
    send_udp(4000, 99, 16);
    expect(16);
}
