// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* The life of a filtered device; work.c does its work. */
#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <linux/if_packet.h>

#include "load.h"
#include "private.h"
#include "skeleton.h"

#define FLOWS   65536u
#define QUEUE   512u
#define TICK_NS 10000000

static enum xvmi_status add_to_epoll(struct xtc *tc, int fd, struct xvmi_error *err)
{
    struct epoll_event event = {.events = EPOLLIN};
    if (epoll_ctl(tc->epoll, EPOLL_CTL_ADD, fd, &event))
        return xvmi_error_set(err, XVMI_ERR_IO, "epoll: %s", strerror(errno));
    return XVMI_OK;
}

/* ---- one direction ---- */

static void close_way(struct xtc *tc, enum xvmi_flow_direction direction)
{
    struct xtc_way *way = &tc->ways[direction];
    if (tc->options.on_exit == XTC_CLOSED)
        way->hook = XTC_NO_HOOK; /* stays on the device */
    else
        xtc_detach(&way->hook);
    xtc_late_free(tc, way);
    if (way->fd < 0)
        return;
    xtc_detach(&way->back);
    xtc_detach(&way->guard);
    close(way->fd);
    way->fd = -1;
}

static enum xvmi_status attach_way(struct xtc *tc, enum xvmi_flow_direction direction,
                                   struct xvmi_error *err)
{
    struct xtc_way *way = &tc->ways[direction];
    bool in = direction == XVMI_FLOW_IN;
    const struct bpf_program *back =
        in ? tc->bpf->progs.xvmi_back_in : tc->bpf->progs.xvmi_back_out;
    const struct bpf_program *hook = in ? tc->bpf->progs.xvmi_in : tc->bpf->progs.xvmi_out;
    bool lasting = tc->options.on_exit == XTC_CLOSED || tc->options.clsact;
    uint32_t key = direction;
    enum xvmi_status status =
        xtc_attach(way->ifindex, true, bpf_program__fd(tc->bpf->progs.xvmi_guard),
                   tc->options.clsact, &way->guard, err);
    if (!status)
        status = xtc_attach(way->ifindex, false, bpf_program__fd(back), tc->options.clsact,
                            &way->back, err);
    if (!status &&
        bpf_map_update_elem(bpf_map__fd(tc->bpf->maps.xvmi_slow), &key, &way->ifindex, BPF_ANY))
        status = xvmi_error_set(err, XVMI_ERR_IO, "map of devices: %s", strerror(errno));
    if (!status)
        status = xtc_attach(tc->ifindex, in, bpf_program__fd(hook), lasting, &way->hook, err);
    return status;
}

static enum xvmi_status open_way(struct xtc *tc, enum xvmi_flow_direction direction,
                                 struct xvmi_error *err)
{
    struct xtc_way *way = &tc->ways[direction];
    enum xvmi_status status = xtc_slow_open(tc->ifindex, direction == XVMI_FLOW_IN,
                                            tc->options.queue, &way->fd, &way->ifindex, err);
    if (status)
        return status;
    struct xtc_path *path = &tc->shared->path[direction];
    way->written = path->left;
    status = add_to_epoll(tc, way->fd, err);
    if (!status)
        status = attach_way(tc, direction, err);
    return status;
}

/* ---- life ---- */

static enum xvmi_status check_options(struct xtc *tc, const struct xtc_options *options,
                                      struct xvmi_error *err)
{
    struct xtc_options *o = &tc->options;
    memcpy(o, options, options->size < sizeof(*o) ? options->size : sizeof(*o));
    if (!o->dev || !o->filter || o->miss > XTC_PASS || o->on_exit > XTC_CLOSED)
        return xvmi_error_set(err, XVMI_ERR_INVALID, "a device and a filter are needed");
    if (!o->flows)
        o->flows = FLOWS;
    if (!o->queue)
        o->queue = QUEUE;
    if (o->queue > XTC_QUEUE_MAX || o->queue < XTC_QUEUE_MIN)
        return xvmi_error_set(err, XVMI_ERR_INVALID, "%u to %u frames may wait", XTC_QUEUE_MIN,
                              XTC_QUEUE_MAX);
    tc->ifindex = (int)if_nametoindex(o->dev);
    o->dev = NULL; /* the caller's */
    if (!tc->ifindex)
        return xvmi_error_set(err, XVMI_ERR_NOT_FOUND,
                              "there is no such device in this network namespace");
    return XVMI_OK;
}

static enum xvmi_status configure(const struct xtc *tc, struct xtc_config *config,
                                  struct xvmi_error *err)
{
    const struct xtc_options *o = &tc->options;
    *config = (struct xtc_config){
        .ifindex = (uint32_t)tc->ifindex,
        .vm = o->vm,
        .queue = o->queue,
        .lane = o->queue / 4,
        .miss = (uint8_t)(o->miss == XTC_HOLD   ? XTC_FATE_HOLD
                          : o->miss == XTC_DROP ? XTC_FATE_DROP
                                                : XTC_FATE_PASS),
        .orphaned = o->on_exit == XTC_OPEN || o->dry_run ? XTC_FATE_PASS : XTC_FATE_DROP,
        .overflow = o->dry_run ? XTC_FATE_PASS : XTC_FATE_DROP,
        .nic = o->nic,
    };
    if (getrandom(&config->mark, sizeof(config->mark), 0) != sizeof(config->mark) ||
        getrandom(&config->secret, sizeof(config->secret), 0) != sizeof(config->secret))
        return xvmi_error_set(err, XVMI_ERR_IO, "no random numbers: %s", strerror(errno));
    config->mark |= 1u << 31; /* never 0 */
    return XVMI_OK;
}

/* A socket that sends to the guest, and receives nothing. */
static enum xvmi_status open_raw(struct xtc *tc, uint32_t mark, struct xvmi_error *err)
{
    tc->raw = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    if (tc->raw < 0 || setsockopt(tc->raw, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)))
        return xvmi_error_set(err, errno == EPERM ? XVMI_ERR_PERMISSION : XVMI_ERR_IO,
                              "packet socket: %s", strerror(errno));
    return XVMI_OK;
}

/* Does it matter by which address the guest sends? */
static void set_mac(struct xtc *tc)
{
    static const uint8_t none[6];
    memcpy(tc->shared->mac, tc->options.mac, 6);
    tc->shared->own_mac =
        xvmi_filter_needs(tc->options.filter) & XVMI_NEED_MAC && memcmp(tc->options.mac, none, 6);
}

static enum xvmi_status set_up(struct xtc *tc, struct xvmi_error *err)
{
    struct xtc_config config;
    enum xvmi_status status = configure(tc, &config, err);
    if (!status)
        status = open_raw(tc, config.mark, err);
    if (!status)
        status = xtc_load(tc, &config, err);
    if (status)
        return status;
    tc->shared = &tc->bpf->bss->shared;
    set_mac(tc);
    tc->flows = bpf_map__fd(tc->bpf->maps.xvmi_flows);
    tc->ring = ring_buffer__new(bpf_map__fd(tc->bpf->maps.xvmi_told), xtc_be_told, tc, NULL);
    tc->epoll = epoll_create1(EPOLL_CLOEXEC);
    tc->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    tc->rounds.timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    tc->more = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (!tc->ring || tc->more < 0 || tc->epoll < 0 || tc->timer < 0 || tc->rounds.timer < 0)
        return xvmi_error_set(err, XVMI_ERR_IO, "event loop: %s", strerror(errno));
    status = add_to_epoll(tc, ring_buffer__epoll_fd(tc->ring), err);
    if (!status)
        status = add_to_epoll(tc, tc->timer, err);
    if (!status)
        status = add_to_epoll(tc, tc->more, err);
    if (!status)
        status = add_to_epoll(tc, tc->rounds.timer, err);
    if (!status)
        status = xtc_links_open(&tc->links, err);
    if (!status)
        status = add_to_epoll(tc, tc->links, err);
    if (!status && xvmi_filter_needs(tc->options.filter) & XVMI_NEED_INCOMING)
        status = open_way(tc, XVMI_FLOW_IN, err);
    if (!status)
        status = open_way(tc, XVMI_FLOW_OUT, err);
    return status;
}

static int no_message(enum libbpf_print_level level, const char *fmt, va_list args)
{
    (void)level;
    (void)fmt;
    (void)args;
    return 0;
}

enum xvmi_status xtc_open(const struct xtc_options *options, struct xtc **out,
                          struct xvmi_error *err)
{
    struct xtc *tc = calloc(1, sizeof(*tc));
    *out = NULL;
    if (!tc)
        return xvmi_error_set(err, XVMI_ERR_NO_MEMORY, "out of memory");
    libbpf_set_print(no_message); /* what matters comes as an error */
    tc->epoll = tc->more = tc->timer = tc->rounds.timer = tc->raw = tc->links = -1;
    for (int i = 0; i < 2; i++) {
        tc->ways[i].fd = -1;
        tc->ways[i].hook = tc->ways[i].back = tc->ways[i].guard = XTC_NO_HOOK;
    }
    enum xvmi_status status = check_options(tc, options, err);
    if (!status)
        status = set_up(tc, err);
    if (!status) {
        *out = tc;
        return XVMI_OK;
    }
    tc->options.on_exit = XTC_OPEN; /* but what an earlier agent left is still there */
    xtc_close(tc);
    return xvmi_error_frame(err, status, "%s", options->dev ? options->dev : "device");
}

void xtc_close(struct xtc *tc)
{
    if (!tc)
        return;
    close_way(tc, XVMI_FLOW_OUT);
    close_way(tc, XVMI_FLOW_IN);
    ring_buffer__free(tc->ring);
    xtc_bpf__destroy(tc->bpf);
    if (tc->epoll >= 0)
        close(tc->epoll);
    if (tc->timer >= 0)
        close(tc->timer);
    if (tc->more >= 0)
        close(tc->more);
    if (tc->rounds.timer >= 0)
        close(tc->rounds.timer);
    if (tc->raw >= 0)
        close(tc->raw);
    if (tc->links >= 0)
        close(tc->links);
    free(tc);
}

int xtc_fd(const struct xtc *tc)
{
    return tc->epoll;
}

const char *xtc_attached_by(const struct xtc *tc)
{
    return tc->ways[XVMI_FLOW_OUT].hook.link >= 0 ? "tcx" : "clsact";
}

bool xtc_took_over(const struct xtc *tc)
{
    return tc->took_over;
}

enum xvmi_status xtc_renew(struct xtc *tc, struct xvmi_filter *filter, uint64_t policy,
                           struct xvmi_error *err)
{
    bool in = xvmi_filter_needs(filter) & XVMI_NEED_INCOMING;
    enum xvmi_status status = XVMI_OK;
    tc->options.filter = filter;
    set_mac(tc);
    xtc_watch_none(tc);
    tc->shared->policy = xtc_policy_id(tc, policy);
    __atomic_store_n(&tc->shared->epoch, tc->shared->epoch + 1, __ATOMIC_RELEASE);
    xtc_change(tc);
    if (in && tc->ways[XVMI_FLOW_IN].fd < 0)
        status = open_way(tc, XVMI_FLOW_IN, err);
    else if (!in && tc->ways[XVMI_FLOW_IN].fd >= 0) {
        xtc_detach(&tc->ways[XVMI_FLOW_IN].hook);
        close_way(tc, XVMI_FLOW_IN);
    }
    return status;
}

/* ---- work ---- */

/* Ticks while something is in flight. */
static void set_timer(struct xtc *tc)
{
    bool wanted = false;
    for (int i = 0; i < 2; i++) {
        const struct xtc_path *path = &tc->shared->path[i];
        if (tc->ways[i].fd >= 0)
            wanted |= __atomic_load_n(&path->held, __ATOMIC_RELAXED) != path->released;
    }
    if (wanted == tc->ticking)
        return;
    struct itimerspec when = {{0, TICK_NS}, {0, TICK_NS}};
    if (!wanted)
        when = (struct itimerspec){0};
    tc->ticking = !timerfd_settime(tc->timer, 0, &when, NULL) && wanted;
    tc->ways[0].snapped = tc->ways[1].snapped = false;
}

/* Something happened to some device: is ours still there? */
static bool is_gone(const struct xtc *tc)
{
    char name[IF_NAMESIZE];
    return xtc_links_changed(tc->links) && !if_indextoname((unsigned)tc->ifindex, name);
}

enum xvmi_status xtc_work(struct xtc *tc, struct xvmi_error *err)
{
    uint64_t ticks = 0;
    if (tc->ticking && read(tc->timer, &ticks, sizeof(ticks)) < 0)
        ticks = 0;
    if (is_gone(tc))
        return xvmi_error_set(err, XVMI_ERR_GONE, "the device is gone");
    for (int i = 0; i < 2; i++) {
        if (tc->ways[i].fd < 0)
            continue;
        bool all = xtc_drain(tc, (enum xvmi_flow_direction)i);
        xtc_settle(tc, (enum xvmi_flow_direction)i, xtc_now());
        if (all)
            xtc_try_late(tc, (enum xvmi_flow_direction)i);
        xtc_settle(tc, (enum xvmi_flow_direction)i, xtc_now());
        if (ticks && all && !tc->ways[i].n_acks && !tc->ways[i].n_late)
            xtc_tick(tc, (enum xvmi_flow_direction)i);
    }
    xtc_watch_work(tc);
    int told = ring_buffer__consume(tc->ring);
    set_timer(tc);
    if (told < 0)
        return xvmi_error_set(err, XVMI_ERR_IO, "ring buffer: %s", strerror(-told));
    return XVMI_OK;
}

/* ---- figures ---- */

static void add_counts(struct xtc *tc, uint32_t direction, struct xtc_stats *stats)
{
    int cpus = libbpf_num_possible_cpus();
    if (cpus <= 0)
        return;
    struct xtc_counts *counts = calloc((size_t)cpus, sizeof(*counts));
    if (counts && !bpf_map_lookup_elem(bpf_map__fd(tc->bpf->maps.xvmi_counts), &direction, counts))
        for (int i = 0; i < cpus; i++) {
            stats->passed[direction] += counts[i].passed;
            stats->dropped[direction] += counts[i].dropped;
            stats->held[direction] += counts[i].held;
            stats->missed[direction] += counts[i].missed;
            stats->told[direction] += counts[i].told;
            stats->untold[direction] += counts[i].untold;
            stats->overflow[direction] += counts[i].overflow;
            stats->orphaned[direction] += counts[i].orphaned;
        }
    free(counts);
}

void xtc_stats(struct xtc *tc, struct xtc_stats *out)
{
    struct xtc_stats stats = tc->stats;
    add_counts(tc, XVMI_FLOW_OUT, &stats);
    add_counts(tc, XVMI_FLOW_IN, &stats);
    stats.size = out->size < sizeof(stats) ? out->size : sizeof(stats);
    memcpy(out, &stats, stats.size);
}
