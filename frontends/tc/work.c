// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Frames that the agent gets: what is decided, what the kernel remembers of it, the way back. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <linux/if_packet.h>

#include "parse.h"
#include "private.h"
#include "skeleton.h"

/* A flow that is rejected is dropped in the kernel; so often its sender is told again. */
#define REJECT_NS 100000000u
/* A frame that was written is through by the time that write() returns, but for a kernel whose
 * soft interrupts are behind. */
#define THROUGH_NS 20000000u

/* ---- what the kernel remembers ---- */

static struct xtc_entry entry_of(const struct xtc *tc, const struct xvmi_filter_event *event)
{
    const struct xvmi_decision *d = &event->decision;
    struct xtc_entry entry = {
        .verdict = event->action == XVMI_VERDICT_PASS ? XVMI_VERDICT_PASS : XVMI_VERDICT_DROP,
        .epoch = tc->shared->epoch,
        .decided = event->time,
        .due = UINT64_MAX,
    };
    if (d->revalidate == XVMI_REVALIDATE_TIME && d->every < UINT64_MAX - d->validated)
        entry.due = d->validated + d->every;
    if (d->revalidate == XVMI_REVALIDATE_PACKETS)
        entry.packets = d->every < XVMI_PACKETS_MAX ? (uint32_t)d->every : XVMI_PACKETS_MAX;
    if (event->action == XVMI_VERDICT_REJECT && entry.due > event->time + REJECT_NS)
        entry.due = event->time + REJECT_NS;
    entry.watched = event->prove && entry.verdict == XVMI_VERDICT_PASS;
    return entry;
}

/* A single datagram, a question to a name server say, is not worth to be looked after: where the
 * next can wait, it is the second that makes the flow known. */
static bool is_worth_it(const struct xvmi_filter_event *event, const struct xtc_entry *entry,
                        bool held)
{
    return !entry->watched || !held || event->reason == XVMI_REASON_CACHED;
}

static void remember(struct xtc *tc, const struct xvmi_filter_event *event, bool held)
{
    if (!event->cacheable)
        return;
    const struct xtc_entry entry = entry_of(tc, event);
    if (!is_worth_it(event, &entry, held)) {
        xtc_forget(tc, &event->flow);
        return;
    }
    if (entry.watched)
        xtc_watch(tc, &event->flow, event->decision.token, entry.due);
    else
        (void)xtc_unwatch(tc, &event->flow);
    /* Without room for it, the flow's next frame comes to the agent again. */
    (void)bpf_map_update_elem(tc->flows, &event->flow, &entry, BPF_ANY);
    if (entry.verdict != XVMI_VERDICT_PASS || entry.packets)
        xtc_change(tc);
}

/* ---- the way back ---- */

/* `packet` has a vnet header in front. */
static bool send_on(struct xtc *tc, enum xvmi_flow_direction direction, const uint8_t *packet,
                    size_t len)
{
    struct xtc_way *way = &tc->ways[direction];
    if (write(way->fd, packet, len) != (ssize_t)len) {
        tc->stats.lost++;
        return false;
    }
    way->written++;
    way->written_at = xtc_now();
    return true;
}

/* To the guest, past our own egress hook. */
static bool send_to_guest(struct xtc *tc, const uint8_t *frame, size_t len)
{
    struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_ifindex = tc->ifindex, .sll_halen = 6};
    memcpy(to.sll_addr, frame, 6);
    if (sendto(tc->raw, frame, len, MSG_DONTWAIT, (struct sockaddr *)&to, sizeof(to)) < 0)
        return false;
    tc->ways[XVMI_FLOW_IN].written += tc->ways[XVMI_FLOW_IN].fd >= 0;
    return true;
}

static void reject(struct xtc *tc, enum xvmi_flow_direction direction, const uint8_t *frame,
                   size_t len)
{
    uint8_t answer[XTC_VNET_HEADER + XVMI_REJECT_FRAME_MAX] = {0};
    size_t n = xvmi_filter_reject(frame, len, answer + XTC_VNET_HEADER, XVMI_REJECT_FRAME_MAX);
    if (!n)
        return;
    if (direction == XVMI_FLOW_OUT ? send_to_guest(tc, answer + XTC_VNET_HEADER, n)
                                   : send_on(tc, XVMI_FLOW_OUT, answer, XTC_VNET_HEADER + n))
        tc->stats.rejected++;
}

/* ---- deciding ---- */

/* About the frame in the buffer; `held`: it is ours to send on. False: not `within` so long. */
static bool decide(struct xtc *tc, enum xvmi_flow_direction direction, size_t len, bool held,
                   uint64_t within)
{
    struct xvmi_filter_event event = {.size = sizeof(event), .within_ns = within};
    const uint8_t *frame = tc->buffer + XTC_VNET_HEADER;
    xvmi_filter_decide(tc->options.filter, frame, len, direction, tc->options.nic, xtc_now(),
                       &event);
    if (event.unfinished)
        return false;
    remember(tc, &event, held);
    if (event.action == XVMI_VERDICT_PASS && held)
        tc->stats.sent[direction] += send_on(tc, direction, tc->buffer, XTC_VNET_HEADER + len);
    if (event.action != XVMI_VERDICT_PASS && held)
        tc->stats.denied[direction]++;
    if (event.action == XVMI_VERDICT_REJECT)
        reject(tc, direction, frame, len);
    if (tc->options.event)
        tc->options.event(tc->options.context, &event);
    return true;
}

bool xtc_decide(struct xtc *tc, enum xvmi_flow_direction direction, size_t len, uint64_t within)
{
    return decide(tc, direction, len - XTC_VNET_HEADER, true, within);
}

/* The lane that the BPF program took for the frame in the buffer. */
static uint16_t lane_of(const struct xtc *tc, enum xvmi_flow_direction direction, size_t len)
{
    const uint8_t *frame = tc->buffer + XTC_VNET_HEADER;
    struct xvmi_flow flow = {
        .vm = tc->options.vm, .direction = (uint8_t)direction, .nic = tc->options.nic};
    struct xtc_frame parsed = {
        .data = frame,
        .end = frame + len,
        .len = (uint32_t)len,
        .in = direction == XVMI_FLOW_IN,
    };
    int opens;
    if (!xtc_parse(&parsed, &flow, &opens))
        return 0;
    return (uint16_t)xtc_lane_of(&flow, tc->bpf->rodata->config.secret);
}

/* The packet in the buffer: at once, or later. */
static void take(struct xtc *tc, enum xvmi_flow_direction direction, size_t len)
{
    struct xtc_way *way = &tc->ways[direction];
    const uint16_t lane = lane_of(tc, direction, len - XTC_VNET_HEADER);
    const bool behind = way->n_late && xtc_is_behind(way, lane);
    if (!behind && xtc_decide(tc, direction, len, XTC_SLICE_NS)) {
        way->acks[way->n_acks++] = lane;
        return;
    }
    if (xtc_put_aside(tc, way, lane, len, !behind))
        return;
    tc->stats.lost++;
    way->acks[way->n_acks++] = lane;
}

bool xtc_drain(struct xtc *tc, enum xvmi_flow_direction direction)
{
    struct xtc_way *way = &tc->ways[direction];
    while (way->n_acks < XTC_BATCH) {
        ssize_t n = read(way->fd, tc->buffer, sizeof(tc->buffer));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return true;
        if ((size_t)n < XTC_VNET_HEADER)
            continue;
        take(tc, direction, (size_t)n);
        xtc_settle(tc, direction, way->written_at);
    }
    return false;
}

/* The VLAN tag goes back to where it was. */
static size_t put_together(struct xtc *tc, const struct xtc_told *told)
{
    uint8_t *frame = tc->buffer + XTC_VNET_HEADER;
    size_t tag = told->proto ? 4 : 0, head = told->have < 12 ? told->have : 12;
    size_t len = told->len + tag, max = sizeof(tc->buffer) - XTC_VNET_HEADER;
    if (len > max)
        len = max;
    memset(frame, 0, len);
    memcpy(frame, told->data, head);
    if (tag) {
        uint8_t tci[2] = {(uint8_t)(told->tci >> 8), (uint8_t)told->tci};
        memcpy(frame + 12, &told->proto, 2);
        memcpy(frame + 14, tci, 2);
    }
    memcpy(frame + head + tag, told->data + head, told->have - head);
    return len;
}

int xtc_be_told(void *context, void *data, size_t size)
{
    struct xtc *tc = context;
    const struct xtc_told *told = data;
    if (size < sizeof(*told) || told->have > XTC_TOLD_BYTES || told->have > told->len)
        return 0;
    size_t len = put_together(tc, told);
    decide(tc, told->direction ? XVMI_FLOW_IN : XVMI_FLOW_OUT, len, false, 0);
    return 0;
}

/* ---- lanes ---- */

void xtc_settle(struct xtc *tc, enum xvmi_flow_direction direction, uint64_t now)
{
    struct xtc_way *way = &tc->ways[direction];
    struct xtc_path *path = &tc->shared->path[direction];
    uint32_t left = __atomic_load_n(&path->left, __ATOMIC_ACQUIRE);
    if (!way->n_acks)
        return;
    if (left != way->written) {
        if (now - way->written_at < THROUGH_NS)
            return;
        way->written = left; /* lost: the device was down, say */
    }
    for (uint32_t i = 0; i < way->n_acks; i++) {
        struct xtc_lane *lane = &path->lanes[way->acks[i]];
        __atomic_store_n(&lane->acked, lane->acked + 1, __ATOMIC_RELEASE);
    }
    __atomic_store_n(&path->released, path->released + way->n_acks, __ATOMIC_RELEASE);
    way->n_acks = 0;
}

/*
 * Called when the queue was read to its end. What had entered a lane a tick ago is not under way
 * any more. Counts differ when the kernel cut a frame to pieces because our device does not take
 * it whole (fragmentation of UDP by the device, which Linux guests stopped using in 4.14), or had
 * no memory.
 */
void xtc_tick(struct xtc *tc, enum xvmi_flow_direction direction)
{
    struct xtc_way *way = &tc->ways[direction];
    struct xtc_path *path = &tc->shared->path[direction];
    for (uint32_t i = 0; i < XTC_LANES; i++) {
        struct xtc_lane *lane = &path->lanes[i];
        uint32_t entered = __atomic_load_n(&lane->entered, __ATOMIC_ACQUIRE), to = lane->acked;
        if (way->snapped && (int32_t)(way->snap[i] - to) > 0)
            to = way->snap[i];
        if ((int32_t)(to - entered) > 0)
            to = entered;
        path->released += to - lane->acked;
        __atomic_store_n(&lane->acked, to, __ATOMIC_RELEASE);
        way->snap[i] = entered;
    }
    way->snapped = true;
}
