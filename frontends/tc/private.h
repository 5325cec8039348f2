/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XTC_PRIVATE_H
#define XTC_PRIVATE_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include <bpf/libbpf.h>

#include "attach.h"
#include "shared.h"
#include "slow.h"
#include "tc.h"

/* Frames read before others have their turn. */
#define XTC_BATCH 64u

/* What a look-up may take before others have their turn. Each further try may take twice as long;
 * shifted by 30, it is more than any filter allows. */
#define XTC_SLICE_NS UINT64_C(1000000)

/* A frame whose look-up takes long, see late.c. */
struct xtc_late {
    uint8_t *packet; /* with its vnet header */
    size_t len;
    uint16_t lane;
    uint8_t tries;
};

/* One direction. */
struct xtc_way {
    int fd; /* of the slow device; -1: the direction is not filtered */
    int ifindex;
    struct xtc_hook hook, back, guard;
    uint32_t written;         /* frames sent on, to compare with xtc_path.left */
    uint64_t written_at;      /* when the last one was */
    uint16_t acks[XTC_BATCH]; /* lanes of frames that are dealt with, but maybe not through */
    uint32_t n_acks;
    struct xtc_late *late; /* oldest first; [options.queue] */
    uint32_t n_late;
    bool snapped; /* `snap` is `entered` of all lanes at the last tick */
    uint32_t snap[XTC_LANES];
};

/* A known flow that nothing opens, see watch.c. */
struct xtc_watch {
    struct xvmi_flow flow;
    uint64_t token; /* its sender */
    uint64_t until; /* then it is forgotten, unless it was decided about anew */
};

#define XTC_WATCH_WAYS 4u
struct xtc_watch_set {
    uint32_t n;
    struct xtc_watch watches[XTC_WATCH_WAYS];
};

struct xtc_rounds {
    int timer;             /* for the next round */
    bool running;          /* there was a watch when the last one ended, or since */
    uint32_t next;         /* the set at which the round is; 0: between two */
    uint32_t n;            /* watches */
    uint64_t began, spent; /* in the round, ns */
    struct xtc_watch_set sets[XTC_LANES];
};

struct xtc {
    struct xtc_options options;
    int ifindex;
    struct xtc_bpf *bpf;
    struct xtc_shared *shared;
    int flows; /* the map's descriptor; `bpf` owns it */
    struct ring_buffer *ring;
    int epoll, timer, raw;
    int more;  /* an eventfd: there are late frames */
    int links; /* hears of devices that come and go */
    bool took_over, ticking;
    struct xtc_way ways[2]; /* by enum xvmi_flow_direction */
    struct xtc_rounds rounds;
    struct xtc_stats stats;
    uint8_t buffer[XTC_VNET_HEADER + 65536 + 64]; /* a header and a frame */
};

/* What a dry run decided is not for those that are serious. */
static inline uint64_t xtc_policy_id(const struct xtc *tc, uint64_t policy)
{
    return tc->options.dry_run ? ~policy : policy;
}

/* ring_buffer_sample_fn */
int xtc_be_told(void *tc, void *data, size_t size);
/* What waits of one direction, up to XTC_BATCH frames; false when there is more. */
bool xtc_drain(struct xtc *tc, enum xvmi_flow_direction direction);
/* Open the lanes of frames that are through. */
void xtc_settle(struct xtc *tc, enum xvmi_flow_direction direction, uint64_t now);
/* From time to time while frames are in flight: forget those that were lost on the way. */
void xtc_tick(struct xtc *tc, enum xvmi_flow_direction direction);

/* Decide about the packet in the buffer, which is held, within so long; false: not yet. */
bool xtc_decide(struct xtc *tc, enum xvmi_flow_direction direction, size_t len, uint64_t within);
/* Is a late frame of this lane? */
bool xtc_is_behind(const struct xtc_way *way, uint16_t lane);
/* The packet in the buffer waits; false: there is no memory. */
bool xtc_put_aside(struct xtc *tc, struct xtc_way *way, uint16_t lane, size_t len, bool tried);
/* One of the late ones has its turn. */
void xtc_try_late(struct xtc *tc, enum xvmi_flow_direction direction);
void xtc_late_free(struct xtc *tc, struct xtc_way *way);

/* Look after a flow that the kernel knows from now on; `due`: when it tells of it again. */
void xtc_watch(struct xtc *tc, const struct xvmi_flow *flow, uint64_t token, uint64_t due);
bool xtc_unwatch(struct xtc *tc, const struct xvmi_flow *flow); /* it was */
/* Nor does the kernel know it any more, if it was looked after. */
void xtc_forget(struct xtc *tc, const struct xvmi_flow *flow);
void xtc_watch_none(struct xtc *tc);
/* A part of a round, when it is time. */
void xtc_watch_work(struct xtc *tc);

static inline uint64_t xtc_now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* The programs look at what is decided anew, even for flows that have just passed. */
static inline void xtc_change(struct xtc *tc)
{
    __atomic_store_n(&tc->shared->change, tc->shared->change + 1, __ATOMIC_RELEASE);
}

#endif
