/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XC_TABLE_H
#define XC_TABLE_H

/*
 * The decision cache's memory, and the small steps that readers and writers share.
 * Why it works is argued at the top of cache.c.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <xvmi/cache.h>

#include "cache/hash.h"
#include "cache/sieve.h"

#define XC_LINE       64
#define XC_VM_FLOORS  4096u
#define XC_STRIPES    4096u
#define XC_READ_TRIES 4

/* What a look-up reads first; all of it in one cache line. */
struct xc_group {
    _Atomic uint64_t state;         /* sieve.h */
    _Atomic uint16_t tags[XC_WAYS]; /* of the key's hash; 0: the slot is empty */
} __attribute__((aligned(32)));

/*
 * One line, and the only other one that a hit reads.
 *   w[0]     sequence number (even: at rest), and above it the VM
 *   w[1..5]  the rest of the key (struct xc_key); addresses at multiples of 16 bytes
 *   w[6]     stamp: the clock when the decision was begun; above it the rule
 *   w[7]     verdict, flags and deadline: XC_HOT_*
 */
struct xc_entry {
    _Atomic uint64_t w[8];
} __attribute__((aligned(XC_LINE)));

/* The deadline is in ns, rounded down: it comes up to 4,095 ns early, never late. */
#define XC_HOT_VERDICT  UINT64_C(0xff)
#define XC_HOT_PACKETS  (UINT64_C(1) << 8) /* look at xc_detail.pace */
#define XC_HOT_COUNT    (UINT64_C(1) << 9) /* count in xc_counter */
#define XC_HOT_IMPORTED (UINT64_C(1) << 10)
#define XC_HOT_TIME     (UINT64_C(1) << 11) /* pace is a period */
#define XC_HOT_DEADLINE (UINT64_MAX << 12)
#define XC_HOT_NEVER    XC_HOT_DEADLINE

/* What only the slow path wants to know; guarded by the entry's sequence number. */
struct xc_detail {
    _Atomic uint64_t token;
    _Atomic uint64_t validated;
    _Atomic uint64_t pace;  /* TIME: ns. PACKETS: how many, and above it how many are left */
    _Atomic uint64_t owner; /* pid, and above it uid */
};

struct xc_counter {
    _Atomic uint64_t packets, bytes;
};

/* Groups share locks: all g with the same g & stripe_mask. */
struct xc_stripe {
    _Atomic uint32_t lock;
    /* The rest is written under the lock. */
    _Atomic uint32_t seq; /* the last sequence number of an entry */
    /* Statistics */
    _Atomic uint64_t inserted, replaced, evicted, removed, refused;
} __attribute__((aligned(XC_LINE)));

struct xvmi_cache {
    struct xc_group *groups;
    struct xc_entry *entries; /* XC_WAYS a group, likewise the next two */
    struct xc_detail *details;
    struct xc_counter *counters; /* NULL: not asked for */
    struct xc_stripe *stripes;
    uint64_t ngroups; /* fits 32 bits */
    uint32_t stripe_mask;
    _Atomic uint32_t clock;       /* how many invalidations of VMs and epochs there were */
    _Atomic uint32_t epoch_floor; /* stamps from here on are valid; the epoch's number */
    struct xc_secret secret;

    /*
     * Whether single look-ups fetch the home slot before they know the tags. Readers turn it off
     * and on as they miss and hit, one in 64 of those whose outcome says otherwise.
     */
    _Atomic bool eager __attribute__((aligned(XC_LINE)));

    _Atomic uint32_t refs __attribute__((aligned(XC_LINE)));
    bool huge_wanted;
    size_t map_size;
    size_t page_size;

    /* By vm % XC_VM_FLOORS: stamps from here on are valid. */
    _Atomic uint32_t vm_floors[XC_VM_FLOORS] __attribute__((aligned(XC_LINE)));
    /* A stripe each: how often decisions in the making were outdated (flow opened, removed). */
    _Atomic uint32_t counts[];
};

/*
 * A hash's place. Bits 32..63 say which group, bits 0..15 the tag, and bits 16..31 which slot is
 * the flow's home in the group. It may be in any slot, but a newcomer gets its home when that is
 * empty: a reader that fetches that before it knows the tags has mostly fetched the right one.
 */
static inline uint32_t xc_group_of(const struct xvmi_cache *cache, uint64_t hash)
{
    return (uint32_t)((hash >> 32) * cache->ngroups >> 32);
}

static inline uint16_t xc_tag_of(uint64_t hash)
{
    return (uint16_t)(hash | 1);
}

static inline unsigned xc_home_of(uint64_t hash)
{
    return (unsigned)(uint16_t)(hash >> 16) * XC_WAYS >> 16;
}

static inline struct xc_stripe *xc_stripe_of(const struct xvmi_cache *cache, uint32_t group)
{
    return &cache->stripes[group & cache->stripe_mask];
}

/* Whether what is due at the deadline in `hot` is due at `now`. */
static inline bool xc_due(uint64_t hot, uint64_t now)
{
    return hot <= (now | ~XC_HOT_DEADLINE);
}

/* Whether a decision begun at this clock still counts. */
static inline bool xc_current(const struct xvmi_cache *cache, uint32_t clock, uint32_t vm)
{
    return clock >= atomic_load_explicit(&cache->epoch_floor, memory_order_acquire) &&
           clock >=
               atomic_load_explicit(&cache->vm_floors[vm % XC_VM_FLOORS], memory_order_acquire);
}

static inline _Atomic uint32_t *xc_count_of(struct xvmi_cache *cache, uint32_t group)
{
    return &cache->counts[group & cache->stripe_mask];
}

static inline uint64_t xc_stamp_with(const struct xvmi_cache *cache, uint32_t count)
{
    return (uint64_t)count << 32 | atomic_load_explicit(&cache->clock, memory_order_acquire);
}

static inline uint64_t xc_stamp(const struct xvmi_cache *cache, uint32_t group)
{
    return xc_stamp_with(cache, atomic_load_explicit(&cache->counts[group & cache->stripe_mask],
                                                     memory_order_acquire));
}

/* A consistent copy of one slot, w[0] without its sequence number. */
struct xc_copy {
    uint64_t w[8];
    uint64_t token, validated, pace, owner;
    uint64_t packets, bytes;
};

/* False when it kept changing. */
bool xc_slot_read(const struct xvmi_cache *cache, uint64_t slot, struct xc_copy *copy);
void xc_copy_out(const struct xvmi_cache *cache, const struct xc_copy *copy, struct xvmi_flow *flow,
                 struct xvmi_decision *decision);

/* Insert with all checks. `keep`: an entry that is there and valid stays, XVMI_ERR_NOT_FOUND
 * (nothing new). `due`: to be revalidated before use. */
enum xvmi_status xc_insert(struct xvmi_cache *cache, const struct xvmi_flow *flow,
                           const struct xvmi_decision *decision, uint64_t stamp, bool keep,
                           bool due);
bool xc_decision_valid(const struct xvmi_cache *cache, const struct xvmi_decision *decision);

/* Remove what fits, decisions in the making included. */
struct xc_target {
    bool all;
    uint32_t vm, pid; /* unless all */
};
uint64_t xc_remove(struct xvmi_cache *cache, const struct xc_target *target);

/* Anonymous zeroed memory of `*size` bytes or less (rounded down to pages), all of it present.
 * NULL: there is none. */
void *xc_map(size_t *size, size_t *page_size, bool *huge_wanted);

#endif
