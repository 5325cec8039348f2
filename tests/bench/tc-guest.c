// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "filter/engine.h"
#include "tc-guest.h"
#include "tc/tc.h"

#define POLICY "vm \"*\" { default allow; deny exe \"/usr/bin/nmap\" }"

static struct {
    struct xvmi_vm *vm;
    struct xvmi_finder *finder;
    struct xvmi_flow *flows; /* connections that are in the image */
    size_t n;
    struct xvmi_policy *policy;
    struct xf_guest_ops ops;
    struct xvmi_cache *cache;
    struct xvmi_filter *filter;
    struct xtc *tc;
    pthread_t agent;
    bool by_hand;
    volatile bool stop;
} g;

static void check(enum xvmi_status status, const char *text)
{
    if (!status)
        return;
    fprintf(stderr, "bench-tc: %s\n", text);
    exit(1);
}

/* One of the image's connections, another for the next port. */
static const struct xvmi_flow *connection(const struct xvmi_flow *flow)
{
    return &g.flows[(flow->lport + flow->rport) % g.n];
}

static enum xvmi_status find(struct xvmi_finder *finder, const struct xvmi_flow *flow,
                             const struct xvmi_owner_query *query, struct xvmi_owner *answer)
{
    return xf_guest_ops.find(finder, connection(flow), query, answer);
}

static enum xvmi_status find_batch(struct xvmi_finder *finder, const struct xvmi_flow *flows,
                                   size_t n, const struct xvmi_owner_query *query,
                                   struct xvmi_owner *answers, enum xvmi_status *status)
{
    struct xvmi_flow inside[XF_BATCH];
    for (size_t i = 0; i < n; i++)
        inside[i] = *connection(&flows[i]);
    return xf_guest_ops.find_batch(finder, inside, n, query, answers, status);
}

void tc_guest_open(const char *image)
{
    struct xvmi_error err = XVMI_ERROR_INIT;
    struct xvmi_socket *sockets;
    size_t n;
    char uri[4096];
    snprintf(uri, sizeof(uri), "file:%s", image);
    check(xvmi_vm_open(uri, NULL, &g.vm, &err), err.text);
    check(xvmi_finder_new(g.vm, NULL, &g.finder), xvmi_vm_error(g.vm));
    check(xvmi_socket_list(g.vm, XVMI_SOCKET_ALL, &sockets, &n), xvmi_vm_error(g.vm));
    g.flows = calloc(n, sizeof(*g.flows));
    for (size_t i = 0; i < n; i++) {
        const struct xvmi_socket *s = &sockets[i];
        if (s->kind != XVMI_SOCKET_TCP || s->state != XVMI_STATE_ESTABLISHED || !s->file)
            continue;
        struct xvmi_flow *flow = &g.flows[g.n++];
        flow->proto = 6;
        flow->family = (uint8_t)s->family;
        flow->lport = s->lport;
        flow->rport = s->rport;
        memcpy(flow->local, s->local, 16);
        memcpy(flow->remote, s->remote, 16);
    }
    free(sockets);
    check(g.n ? XVMI_OK : XVMI_ERR_NOT_FOUND, "no connections in the image");
    check(xvmi_policy_parse(POLICY, strlen(POLICY), "policy", NULL, &g.policy, &err), err.text);
    g.ops = xf_guest_ops;
    g.ops.find = find;
    g.ops.find_batch = find_batch;
}

void tc_guest_close(void)
{
    free(g.flows);
    xvmi_policy_unref(g.policy);
    xvmi_finder_free(g.finder);
    xvmi_vm_close(g.vm);
}

static void *agent(void *context)
{
    struct xvmi_error err = XVMI_ERROR_INIT;
    struct epoll_event event = {.events = EPOLLIN};
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    (void)context;
    if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, xtc_fd(g.tc), &event))
        abort();
    xtc_hurry();
    while (!g.stop)
        if (epoll_wait(epoll, &event, 1, 100) == 1)
            check(xtc_work(g.tc, &err), err.text);
    close(epoll);
    return NULL;
}

static void make_filter(void)
{
    struct xvmi_error err = XVMI_ERROR_INIT;
    const struct xvmi_cache_options cache = {.size = sizeof(cache), .memory = 16 << 20};
    check(xvmi_cache_new(&cache, &g.cache, &err), err.text);
    const struct xvmi_filter_options options = {.size = sizeof(options),
                                                .vm = g.vm,
                                                .finder = g.finder,
                                                .policy = g.policy,
                                                .cache = g.cache,
                                                .name = "web",
                                                .revalidate_ns = 10000000000u};
    check(xf_filter_new(&options, &g.ops, &g.filter, &err), err.text);
}

static void free_filter(void)
{
    xvmi_filter_free(g.filter);
    xvmi_cache_unref(g.cache);
    g.filter = NULL;
    g.cache = NULL;
}

bool tc_guest_decide(const void *frame, size_t len)
{
    struct xvmi_filter_event event = {.size = sizeof(event)};
    if (!g.filter)
        make_filter();
    xvmi_filter_decide(g.filter, frame, len, XVMI_FLOW_OUT, 0, xf_monotonic(NULL), &event);
    return event.action == XVMI_VERDICT_PASS;
}

void tc_guest_undecide(void)
{
    free_filter();
}

void tc_guest_filter(const char *dev, bool by_hand)
{
    struct xvmi_error err = XVMI_ERROR_INIT;
    make_filter();
    const struct xtc_options how = {.size = sizeof(how), .dev = dev, .filter = g.filter};
    check(xtc_open(&how, &g.tc, &err), err.text);
    g.by_hand = by_hand;
    g.stop = false;
    if (!by_hand && pthread_create(&g.agent, NULL, agent, NULL))
        abort();
}

void tc_guest_work(void)
{
    struct xvmi_error err = XVMI_ERROR_INIT;
    if (!g.by_hand)
        return;
    check(xtc_work(g.tc, &err), err.text);
}

void tc_guest_unfilter(void)
{
    struct xtc_stats s = {.size = sizeof(s)};
    g.stop = true;
    if (!g.by_hand)
        pthread_join(g.agent, NULL);
    g.by_hand = false;
    xtc_stats(g.tc, &s);
    if (s.overflow[0] + s.lost)
        printf("%llu frames did not wait, %llu were lost\n", (unsigned long long)s.overflow[0],
               (unsigned long long)s.lost);
    xtc_close(g.tc);
    free_filter();
}
