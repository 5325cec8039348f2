// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Frames of any bytes through the whole filter, on a guest whose every answer is drawn from the
 * input as well: statuses, owners, names.
 */
#include <stdlib.h>
#include <string.h>

#include "filter/engine.h"

static struct {
    const uint8_t *data;
    size_t len;
} input;

static uint8_t draw(void)
{
    if (!input.len)
        return 0;
    input.len--;
    return *input.data++;
}

static enum xvmi_status status(void)
{
    uint8_t b = draw();
    return b < 200 ? XVMI_OK : (enum xvmi_status) - (b % 14);
}

static void fill(char *buf, size_t size)
{
    size_t n = draw() % (size - 1);
    for (size_t i = 0; i < n; i++)
        buf[i] = (char)draw();
    buf[n] = 0;
}

static enum xvmi_status refresh(struct xvmi_vm *vm)
{
    (void)vm;
    return status();
}

static void draw_task(struct xvmi_task *task)
{
    *task = (struct xvmi_task){.pid = draw(), .uid = draw() % 64u, .start_ns = draw()};
    task->flags = draw() % 4u;
    fill(task->comm, sizeof(task->comm));
}

static enum xvmi_status find(struct xvmi_finder *finder, const struct xvmi_flow *flow,
                             const struct xvmi_owner_query *query, struct xvmi_owner *answer)
{
    (void)finder;
    (void)query;
    if (!xvmi_flow_valid(flow))
        abort();
    memset(answer, 0, sizeof(*answer));
    answer->kind = draw() % 4;
    answer->n_owners = answer->kind ? draw() % (XVMI_OWNERS_MAX + 1u) : 0;
    answer->more = draw() % 2;
    answer->socket.addr = answer->token.sock = draw();
    answer->socket.state = draw() % 13;
    answer->socket.cgroup = draw() % 2;
    for (uint32_t i = 0; i < answer->n_owners; i++)
        draw_task(&answer->owners[i].task);
    return status();
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
    return status();
}

static enum xvmi_status parent(struct xvmi_vm *vm, const struct xvmi_task *task,
                               struct xvmi_task *up)
{
    (void)vm;
    (void)task;
    draw_task(up);
    return status();
}

static enum xvmi_status text(struct xvmi_vm *vm, const struct xvmi_task *task, char *buf,
                             size_t size)
{
    (void)vm;
    (void)task;
    fill(buf, size);
    return status();
}

static enum xvmi_status cmdline(struct xvmi_vm *vm, const struct xvmi_task *task, char *buf,
                                size_t size, size_t *len)
{
    (void)vm;
    (void)task;
    fill(buf, size);
    *len = strlen(buf);
    return status();
}

static enum xvmi_status socket_cgroup(struct xvmi_vm *vm, const struct xvmi_socket *socket,
                                      char *buf, size_t size)
{
    (void)vm;
    (void)socket;
    fill(buf, size);
    return status();
}

static enum xvmi_status clock_of(struct xvmi_vm *vm, uint64_t *ns)
{
    (void)vm;
    *ns = 5000000000u;
    return XVMI_OK;
}

static const struct xf_guest_ops ops = {refresh, find,    find_batch, revalidate,    parent,
                                        text,    cmdline, text,       socket_cgroup, clock_of};

static const char policy_text[] =
    "vm \"*\" { default deny; default in reject\n"
    "audit parent exe \"/bin/*\" parent comm \"a*\"\n allow exe { \"/a\", \"/**b*c\" } tcp\n"
    "deny comm \"[!a-c]*\" log\n reject cmdline \"*x*y\" uid < 10\n allow container \"a/*\"\n"
    "deny age < 10s euid 1-5\n allow icmp type echo-request\n allow in owner kernel\n"
    "allow udp dport 53 netns 0 gid != 3\n allow icmp6 type 128; allow sctp }\n";

static struct xvmi_filter *filter_new(struct xvmi_cache *cache, bool learn)
{
    struct xvmi_policy *policy;
    struct xvmi_filter *filter;
    if (xvmi_policy_parse(policy_text, strlen(policy_text), "p", NULL, &policy, NULL))
        abort();
    const struct xvmi_filter_options options = {
        .size = sizeof(options), .policy = policy, .cache = cache, .name = "x", .learn = learn};
    if (xf_filter_new(&options, &ops, &filter, NULL))
        abort();
    xvmi_policy_unref(policy);
    return filter;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct xvmi_cache *cache;
    const struct xvmi_cache_options options = {.size = sizeof(options), .memory = 1 << 20};
    if (!cache && xvmi_cache_new(&options, &cache, NULL))
        abort();
    input.data = data;
    input.len = size;
    struct xvmi_filter *filter = filter_new(cache, draw() % 2);
    uint64_t now = 1;
    xvmi_cache_new_epoch(cache);
    for (unsigned i = 0; i < 8 && input.len; i++) {
        struct xvmi_filter_event event = {.size = sizeof(event)};
        uint8_t frame[300], length = draw();
        char *json;
        for (unsigned k = 0; k < length; k++)
            frame[k] = draw();
        now += (uint64_t)draw() << 24;
        xvmi_filter_decide(filter, frame, length, draw() % 2, 0, now, &event);
        if (event.action < XVMI_VERDICT_PASS || event.action > XVMI_VERDICT_REJECT ||
            xvmi_filter_event_json(filter, &event, &json))
            abort();
        free(json);
    }
    char *learned;
    struct xvmi_policy *policy;
    if (!xvmi_filter_learned(filter, &learned)) {
        if (xvmi_policy_parse(learned, strlen(learned), "l", NULL, &policy, NULL))
            abort();
        xvmi_policy_unref(policy);
        free(learned);
    }
    xvmi_filter_free(filter);
    return 0;
}
