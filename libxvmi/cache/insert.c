// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Writers. The argument why this works is at the top of cache.c. */
#include <sched.h>

#include "cache/match.h"
#include "cache/table.h"

/* What one writer works on while it holds the lock. */
struct place {
    struct xvmi_cache *cache;
    struct xc_stripe *stripe;
    struct xc_group *group;
    _Atomic uint32_t *count;
    uint64_t first; /* slot number of the group's first slot */
    unsigned home;  /* the slot in the group that the flow should have */
    uint16_t tag;
};

static inline void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static void lock(struct xc_stripe *stripe)
{
    unsigned spins = 0;
    while (atomic_exchange_explicit(&stripe->lock, 1, memory_order_acquire))
        while (atomic_load_explicit(&stripe->lock, memory_order_relaxed))
            if (++spins % 64)
                relax();
            else
                sched_yield(); /* its holder may be waiting for this CPU */
}

static void unlock(struct xc_stripe *stripe)
{
    atomic_store_explicit(&stripe->lock, 0, memory_order_release);
}

/* Statistics have one writer at a time: the lock's holder. */
static void add(_Atomic uint64_t *n)
{
    atomic_store_explicit(n, atomic_load_explicit(n, memory_order_relaxed) + 1,
                          memory_order_relaxed);
}

static struct place locate(struct xvmi_cache *cache, const struct xvmi_flow *flow)
{
    uint64_t hash = xc_hash(&cache->secret, flow);
    uint32_t g = xc_group_of(cache, hash);
    return (struct place){
        .cache = cache,
        .stripe = xc_stripe_of(cache, g),
        .group = &cache->groups[g],
        .count = xc_count_of(cache, g),
        .first = (uint64_t)g * XC_WAYS,
        .home = xc_home_of(hash),
        .tag = xc_tag_of(hash),
    };
}

/* Under the lock entries are at rest: the key alone decides. -1: not there. */
static int find_locked(const struct place *at, const struct xc_key *key)
{
    unsigned mask = xc_match(at->group, at->tag);
    for (; mask; mask &= mask - 1) {
        int slot = __builtin_ctz(mask);
        const struct xc_entry *entry = &at->cache->entries[at->first + (unsigned)slot];
        uint64_t diff =
            (atomic_load_explicit(&entry->w[0], memory_order_relaxed) ^ key->w[0]) >> 32;
        for (unsigned i = 1; i < 6; i++)
            diff |= key->w[i] ^ atomic_load_explicit(&entry->w[i], memory_order_relaxed);
        if (!diff)
            return slot;
    }
    return -1;
}

/* Make the sequence number odd; returns the word that makes it even again. Numbers come from the
 * stripe, so that nobody waits for the memory of an entry that will only be written. */
static uint64_t write_begin(struct xc_stripe *stripe, struct xc_entry *entry,
                            const struct xc_key *key)
{
    uint32_t seq = atomic_load_explicit(&stripe->seq, memory_order_relaxed);
    atomic_store_explicit(&stripe->seq, seq + 2, memory_order_relaxed);
    atomic_store_explicit(&entry->w[0], key->w[0] | (seq + 1), memory_order_relaxed);
    return key->w[0] | (uint32_t)(seq + 2);
}

static void write_end(struct xc_entry *entry, uint64_t w0)
{
    atomic_store_explicit(&entry->w[0], w0, memory_order_release);
}

static void set(_Atomic uint64_t *word, uint64_t value)
{
    atomic_store_explicit(word, value, memory_order_release);
}

/* When a decision that was checked at `validated` is due again, as the hot word has it. */
static uint64_t deadline(uint64_t hot, uint64_t pace, uint64_t validated)
{
    if (!(hot & XC_HOT_TIME))
        return XC_HOT_NEVER;
    if (pace >= UINT64_MAX - validated)
        return XC_HOT_NEVER;
    return (validated + pace) & XC_HOT_DEADLINE;
}

static uint64_t hot_of(const struct xvmi_decision *decision, bool is_due)
{
    uint64_t hot = decision->verdict;
    if (decision->revalidate == XVMI_REVALIDATE_TIME)
        hot |= XC_HOT_TIME;
    if (decision->revalidate == XVMI_REVALIDATE_PACKETS)
        hot |= XC_HOT_PACKETS;
    if (decision->flags & XVMI_DECISION_COUNT)
        hot |= XC_HOT_COUNT;
    if (is_due)
        return hot | XC_HOT_IMPORTED;
    return hot | deadline(hot, decision->every, decision->validated);
}

static uint64_t pace_of(const struct xvmi_decision *decision)
{
    return decision->revalidate == XVMI_REVALIDATE_PACKETS ? decision->every << 32 | decision->every
                                                           : decision->every;
}

/* Store everything, let it be seen unless it was outdated meanwhile. */
static bool write_slot(const struct place *at, unsigned slot, const struct xc_key *key,
                       const struct xvmi_decision *decision, uint64_t stamp, bool is_due)
{
    struct xc_entry *entry = &at->cache->entries[at->first + slot];
    struct xc_detail *detail = &at->cache->details[at->first + slot];
    uint64_t w0 = write_begin(at->stripe, entry, key);
    for (unsigned i = 1; i < 6; i++)
        set(&entry->w[i], key->w[i]);
    set(&entry->w[6], (uint64_t)decision->rule << 32 | (uint32_t)stamp);
    set(&entry->w[7], hot_of(decision, is_due));
    set(&detail->token, decision->token);
    set(&detail->validated, decision->validated);
    set(&detail->pace, pace_of(decision));
    set(&detail->owner, (uint64_t)decision->uid << 32 | decision->pid);
    if (at->cache->counters) {
        set(&at->cache->counters[at->first + slot].packets, decision->packets);
        set(&at->cache->counters[at->first + slot].bytes, decision->bytes);
    }
    atomic_store_explicit(&at->group->tags[slot], at->tag, memory_order_release);
    bool in_time = atomic_fetch_add_explicit(at->count, 0, memory_order_acq_rel) == stamp >> 32;
    if (!in_time) {
        /* A reader may have seen the tag already: no clock reads 0, so it cannot hit either. */
        atomic_store_explicit(&at->group->tags[slot], 0, memory_order_release);
        set(&entry->w[6], 0);
    }
    write_end(entry, w0);
    return in_time;
}

/* Of empty slots the one that readers expect. */
static unsigned best_empty(unsigned empty, unsigned home)
{
    return empty >> home & 1 ? home : (unsigned)__builtin_ctz(empty);
}

/* A slot for a new flow: an empty one, else the one whose turn it is. */
static unsigned take_slot(const struct place *at, bool *evicted)
{
    uint64_t state = atomic_load_explicit(&at->group->state, memory_order_relaxed);
    unsigned empty = xc_match(at->group, 0), pos, slot;
    if (empty) {
        slot = best_empty(empty, at->home);
        pos = xc_sieve_position(state, slot);
    } else {
        state = xc_sieve_advance(state);
        pos = xc_sieve_hand(state);
        slot = xc_sieve_slot(state, pos);
    }
    *evicted = !empty;
    atomic_store_explicit(&at->group->state, xc_sieve_renew(state, pos), memory_order_relaxed);
    return slot;
}

static bool outdated(const struct place *at, uint32_t vm, uint64_t stamp)
{
    return stamp >> 32 != atomic_load_explicit(at->count, memory_order_acquire) ||
           !xc_current(at->cache, (uint32_t)stamp, vm);
}

static enum xvmi_status insert_locked(const struct place *at, const struct xc_key *key, uint32_t vm,
                                      const struct xvmi_decision *decision, uint64_t stamp,
                                      bool keep, bool is_due)
{
    if (outdated(at, vm, stamp)) {
        add(&at->stripe->refused);
        return XVMI_ERR_CHANGED;
    }
    int slot = find_locked(at, key);
    bool evicted = false, fresh = slot < 0;
    if (fresh) {
        slot = (int)take_slot(at, &evicted);
    } else if (keep) {
        uint64_t w6 = atomic_load_explicit(&at->cache->entries[at->first + (unsigned)slot].w[6],
                                           memory_order_relaxed);
        if (xc_current(at->cache, (uint32_t)w6, vm))
            return XVMI_ERR_NOT_FOUND;
    }
    if (evicted)
        add(&at->stripe->evicted);
    add(fresh ? &at->stripe->inserted : &at->stripe->replaced);
    if (write_slot(at, (unsigned)slot, key, decision, stamp, is_due))
        return XVMI_OK;
    add(&at->stripe->removed);
    add(&at->stripe->refused);
    return XVMI_ERR_CHANGED;
}

bool xc_decision_valid(const struct xvmi_cache *cache, const struct xvmi_decision *decision)
{
    if (decision->verdict == XVMI_VERDICT_NONE || decision->pad ||
        decision->flags & ~(XVMI_DECISION_COUNT | XVMI_DECISION_IMPORTED))
        return false;
    if ((decision->flags & XVMI_DECISION_COUNT) && !cache->counters)
        return false;
    switch (decision->revalidate) {
    case XVMI_REVALIDATE_NEVER:
        return !decision->every;
    case XVMI_REVALIDATE_PACKETS:
        return decision->every >= 1 && decision->every <= XVMI_PACKETS_MAX;
    case XVMI_REVALIDATE_TIME:
        return decision->every >= 1;
    default:
        return false;
    }
}

/* xvmi_flow_valid() by words, for the reason that xc_flow_word() has. */
static bool key_valid(const struct xc_key *key, const struct xvmi_flow *flow)
{
    static const union {
        uint8_t bytes[8];
        uint64_t word;
    } behind_v4 = {{0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff}};
    if (flow->direction > XVMI_FLOW_IN)
        return false;
    if (flow->family == 10)
        return true;
    return flow->family == 2 &&
           !(((key->w[2] | key->w[4]) & behind_v4.word) | key->w[3] | key->w[5]);
}

static bool allowed(const struct xvmi_cache *cache, const struct xc_key *key,
                    const struct xvmi_flow *flow, const struct xvmi_decision *decision,
                    uint64_t stamp)
{
    return key_valid(key, flow) && xc_decision_valid(cache, decision) &&
           (uint32_t)stamp <= atomic_load_explicit(&cache->clock, memory_order_acquire);
}

/* The memory accesses of an insert are begun before the lock, whose instruction waits for all
 * stores and holds up all loads. First what the hash tells, */
static void fetch_group(const struct place *at)
{
    __builtin_prefetch(at->group, 1);
    __builtin_prefetch(at->stripe, 1);
}

/* then the slot that a new flow will probably get. */
static void fetch_slot(const struct place *at)
{
    uint64_t state = atomic_load_explicit(&at->group->state, memory_order_relaxed);
    unsigned empty = xc_match(at->group, 0), slot;
    if (empty) {
        slot = best_empty(empty, at->home);
    } else {
        state = xc_sieve_advance(state);
        slot = xc_sieve_slot(state, xc_sieve_hand(state));
    }
    __builtin_prefetch(&at->cache->entries[at->first + slot], 1);
    __builtin_prefetch(&at->cache->details[at->first + slot], 1);
}

enum xvmi_status xc_insert(struct xvmi_cache *cache, const struct xvmi_flow *flow,
                           const struct xvmi_decision *decision, uint64_t stamp, bool keep,
                           bool is_due)
{
    struct xc_key key = xc_key(flow);
    if (!allowed(cache, &key, flow, decision, stamp))
        return XVMI_ERR_INVALID;
    struct place at = locate(cache, flow);
    fetch_group(&at);
    fetch_slot(&at);
    lock(at.stripe);
    enum xvmi_status status = insert_locked(&at, &key, flow->vm, decision, stamp, keep, is_due);
    unlock(at.stripe);
    return status;
}

enum xvmi_status xvmi_cache_insert(struct xvmi_cache *cache, const struct xvmi_flow *flow,
                                   const struct xvmi_decision *decision, uint64_t stamp)
{
    return xc_insert(cache, flow, decision, stamp, false, false);
}

size_t xvmi_cache_insert_batch(struct xvmi_cache *cache, const struct xvmi_flow *flows,
                               const struct xvmi_decision *decisions, const uint64_t *stamps,
                               size_t n, enum xvmi_status *statuses)
{
    enum { BATCH = 32 };
    struct place at[BATCH];
    struct xc_key keys[BATCH];
    size_t kept = 0;
    for (size_t done = 0; done < n; done += BATCH) {
        size_t m = n - done < BATCH ? n - done : BATCH;
        for (size_t i = 0; i < m; i++) {
            keys[i] = xc_key(&flows[done + i]);
            at[i] = locate(cache, &flows[done + i]);
            fetch_group(&at[i]);
        }
        for (size_t i = 0; i < m; i++)
            fetch_slot(&at[i]);
        for (size_t i = 0; i < m; i++) {
            size_t k = done + i;
            statuses[k] = XVMI_ERR_INVALID;
            if (!allowed(cache, &keys[i], &flows[k], &decisions[k], stamps[k]))
                continue;
            lock(at[i].stripe);
            statuses[k] = insert_locked(&at[i], &keys[i], flows[k].vm, &decisions[k], stamps[k],
                                        false, false);
            unlock(at[i].stripe);
            kept += !statuses[k];
        }
    }
    return kept;
}

static enum xvmi_status revalidate_locked(const struct place *at, const struct xc_key *key,
                                          uint32_t vm, uint64_t token, uint64_t now, uint64_t stamp)
{
    if (outdated(at, vm, stamp)) {
        add(&at->stripe->refused);
        return XVMI_ERR_CHANGED;
    }
    int slot = find_locked(at, key);
    if (slot < 0)
        return XVMI_ERR_NOT_FOUND;
    struct xc_entry *entry = &at->cache->entries[at->first + (unsigned)slot];
    struct xc_detail *detail = &at->cache->details[at->first + (unsigned)slot];
    if (!xc_current(at->cache, (uint32_t)atomic_load(&entry->w[6]), vm))
        return XVMI_ERR_NOT_FOUND;
    if (atomic_load(&detail->token) != token)
        return XVMI_ERR_MISMATCH;
    uint64_t hot = atomic_load(&entry->w[7]) & ~(XC_HOT_DEADLINE | XC_HOT_IMPORTED);
    uint64_t pace = atomic_load(&detail->pace);
    if (hot & XC_HOT_PACKETS)
        pace = pace << 32 | (uint32_t)pace;

    uint64_t w0 = write_begin(at->stripe, entry, key);
    set(&entry->w[7], hot | deadline(hot, pace, now));
    set(&detail->pace, pace);
    set(&detail->validated, now);
    bool in_time = atomic_fetch_add_explicit(at->count, 0, memory_order_acq_rel) == stamp >> 32;
    if (!in_time) {
        set(&entry->w[7], hot);
        add(&at->stripe->refused);
    }
    write_end(entry, w0);
    return in_time ? XVMI_OK : XVMI_ERR_CHANGED;
}

enum xvmi_status xvmi_cache_revalidate(struct xvmi_cache *cache, const struct xvmi_flow *flow,
                                       uint64_t token, uint64_t now, uint64_t stamp)
{
    if ((uint32_t)stamp > atomic_load_explicit(&cache->clock, memory_order_acquire))
        return XVMI_ERR_INVALID;
    struct xc_key key = xc_key(flow);
    struct place at = locate(cache, flow);
    lock(at.stripe);
    enum xvmi_status status = revalidate_locked(&at, &key, flow->vm, token, now, stamp);
    unlock(at.stripe);
    return status;
}

static void remove_slot(const struct place *at, unsigned slot)
{
    atomic_store_explicit(&at->group->tags[slot], 0, memory_order_release);
    add(&at->stripe->removed);
}

bool xvmi_cache_invalidate_flow(struct xvmi_cache *cache, const struct xvmi_flow *flow)
{
    struct xc_key key = xc_key(flow);
    struct place at = locate(cache, flow);
    lock(at.stripe);
    atomic_fetch_add_explicit(at.count, 1, memory_order_acq_rel);
    int slot = find_locked(&at, &key);
    bool valid = false;
    if (slot >= 0) {
        uint64_t w6 = atomic_load(&cache->entries[at.first + (unsigned)slot].w[6]);
        valid = xc_current(cache, (uint32_t)w6, flow->vm);
        remove_slot(&at, (unsigned)slot);
    }
    unlock(at.stripe);
    return valid;
}

static bool fits(const struct place *at, unsigned slot, const struct xc_target *target)
{
    if (!atomic_load_explicit(&at->group->tags[slot], memory_order_acquire))
        return false;
    if (target->all)
        return true;
    uint64_t w0 =
        atomic_load_explicit(&at->cache->entries[at->first + slot].w[0], memory_order_acquire);
    uint64_t owner =
        atomic_load_explicit(&at->cache->details[at->first + slot].owner, memory_order_acquire);
    return (uint32_t)(w0 >> 32) == target->vm && (uint32_t)owner == target->pid;
}

static uint64_t remove_from_group(const struct place *at, const struct xc_target *target)
{
    uint64_t removed = 0;
    lock(at->stripe);
    for (unsigned slot = 0; slot < XC_WAYS; slot++) {
        if (!fits(at, slot, target))
            continue;
        uint64_t w6 = atomic_load(&at->cache->entries[at->first + slot].w[6]);
        removed += xc_current(at->cache, (uint32_t)w6, target->vm);
        remove_slot(at, slot);
    }
    unlock(at->stripe);
    return removed;
}

uint64_t xc_remove(struct xvmi_cache *cache, const struct xc_target *target)
{
    for (uint32_t i = 0; i <= cache->stripe_mask; i++)
        atomic_fetch_add_explicit(&cache->counts[i], 1, memory_order_acq_rel);
    uint64_t removed = 0;
    for (uint32_t g = 0; g < cache->ngroups; g++) {
        struct place at = {
            .cache = cache,
            .stripe = xc_stripe_of(cache, g),
            .group = &cache->groups[g],
            .count = xc_count_of(cache, g),
            .first = (uint64_t)g * XC_WAYS,
        };
        /* A first look without the lock: whatever it misses began after the counts were raised. */
        bool any = false;
        for (unsigned slot = 0; slot < XC_WAYS && !any; slot++)
            any = fits(&at, slot, target);
        if (any)
            removed += remove_from_group(&at, target);
    }
    return removed;
}

uint64_t xvmi_cache_invalidate_owner(struct xvmi_cache *cache, uint32_t vm, uint32_t pid)
{
    return xc_remove(cache, &(struct xc_target){.vm = vm, .pid = pid});
}
