// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Readers. The argument why this works is at the top of cache.c. */
#include <string.h>

#include "cache/match.h"
#include "cache/table.h"

#define BATCH 32u

enum { ABSENT = -1, BUSY = -2 };

struct hot {
    uint64_t stamp_rule, hot;
};

/* Compare the key of one slot and fetch what a hit needs. 1 same, 0 another, BUSY. */
static inline int read_entry(const struct xc_entry *entry, const struct xc_key *key,
                             struct hot *found)
{
    for (unsigned try = 0; try < XC_READ_TRIES; try++) {
        uint64_t w0 = atomic_load_explicit(&entry->w[0], memory_order_acquire);
        uint64_t diff = (w0 ^ key->w[0]) >> 32;
#pragma GCC unroll 5
        for (unsigned i = 1; i < 6; i++)
            diff |= key->w[i] ^ atomic_load_explicit(&entry->w[i], memory_order_acquire);
        found->stamp_rule = atomic_load_explicit(&entry->w[6], memory_order_acquire);
        found->hot = atomic_load_explicit(&entry->w[7], memory_order_acquire);
        if (!(w0 & 1) && w0 == atomic_load_explicit(&entry->w[0], memory_order_relaxed))
            return !diff;
    }
    return BUSY;
}

/* The slot within the group, ABSENT or BUSY. */
static inline int find(const struct xc_entry *entries, unsigned mask, const struct xc_key *key,
                       struct hot *found)
{
    int result = ABSENT;
    for (; mask; mask &= mask - 1) {
        int slot = __builtin_ctz(mask);
        int same = read_entry(&entries[slot], key, found);
        if (same > 0)
            return slot;
        if (same == BUSY)
            result = BUSY;
    }
    return result;
}

/* Spend one packet; true when none was left. Racing readers go below zero by one each at most. */
static bool pace_spent(_Atomic uint64_t *pace)
{
    uint64_t was = atomic_load_explicit(pace, memory_order_relaxed);
    if ((int32_t)(was >> 32) <= 0)
        return true;
    was = atomic_fetch_sub_explicit(pace, UINT64_C(1) << 32, memory_order_relaxed);
    return (int32_t)(was >> 32) <= 0;
}

static bool due(struct xvmi_cache *cache, uint64_t hot, uint64_t slot, uint64_t now)
{
    if ((now >> XC_DEADLINE_UNIT) >= (hot & XC_HOT_DEADLINE))
        return true;
    return (hot & XC_HOT_PACKETS) && pace_spent(&cache->details[slot].pace);
}

static void count_packet(struct xvmi_cache *cache, uint64_t slot, uint32_t bytes)
{
    atomic_fetch_add_explicit(&cache->counters[slot].packets, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&cache->counters[slot].bytes, bytes, memory_order_relaxed);
}

static inline void answer_miss(const struct xvmi_cache *cache, uint32_t group,
                               struct xvmi_answer *answer)
{
    uint32_t count = atomic_load_explicit(xc_count_of(cache, group), memory_order_acquire);
    *answer = (struct xvmi_answer){.outcome = XVMI_MISS, .stamp = xc_stamp(cache, count)};
}

/* A packet that opens its flow: what is known of the flow is due from now on. */
static __attribute__((noinline)) void open_flow(struct xvmi_cache *cache, uint32_t group,
                                                uint16_t tag, const struct xc_key *key,
                                                struct xvmi_answer *answer)
{
    uint32_t count = atomic_fetch_add_explicit(xc_count_of(cache, group), 1, memory_order_acq_rel);
    unsigned mask = xc_match(&cache->groups[group], tag);
    for (; mask; mask &= mask - 1) {
        struct xc_entry *entry =
            &cache->entries[(uint64_t)group * XC_WAYS + (unsigned)__builtin_ctz(mask)];
        struct hot unused;
        if (read_entry(entry, key, &unused))
            atomic_fetch_and_explicit(&entry->w[7], ~XC_HOT_DEADLINE, memory_order_acq_rel);
    }
    *answer = (struct xvmi_answer){.outcome = XVMI_MISS, .stamp = xc_stamp(cache, count + 1)};
}

/* Mark the slot as used in this turn of the hand. */
static inline void mark(struct xc_group *group, unsigned slot)
{
    uint64_t bit = xc_sieve_mark(slot);
    if (!(atomic_load_explicit(&group->state, memory_order_relaxed) & bit))
        atomic_fetch_or_explicit(&group->state, bit, memory_order_relaxed);
}

/* Everything that can be. */
static __attribute__((noinline)) void look_closely(struct xvmi_cache *cache,
                                                   const struct xvmi_packet *packet, uint32_t group,
                                                   unsigned mask, uint64_t now,
                                                   struct xvmi_answer *answer,
                                                   struct xvmi_cache_counts *counts)
{
    struct xc_key key = xc_key(&packet->flow);
    struct hot found;
    uint64_t first = (uint64_t)group * XC_WAYS;
    int in_group = find(&cache->entries[first], mask, &key, &found);
    if (in_group < 0 || !xc_current(cache, (uint32_t)found.stamp_rule, packet->flow.vm)) {
        counts->misses++;
        counts->busy += in_group == BUSY;
        answer_miss(cache, group, answer);
        return;
    }
    uint64_t slot = first + (unsigned)in_group;
    mark(&cache->groups[group], (unsigned)in_group);
    if (found.hot & XC_HOT_COUNT)
        count_packet(cache, slot, packet->bytes);
    answer->verdict = (uint8_t)(found.hot >> XC_VERDICT_SHIFT);
    answer->rule = (uint32_t)(found.stamp_rule >> 32);
    answer->pad = 0;
    if (due(cache, found.hot, slot, now)) {
        uint32_t count = atomic_load_explicit(xc_count_of(cache, group), memory_order_acquire);
        counts->revalidations++;
        answer->outcome = XVMI_REVALIDATE;
        answer->stamp = xc_stamp(cache, count);
        return;
    }
    counts->hits++;
    answer->outcome = XVMI_HIT;
    answer->stamp = 0;
}

/* Word i of the key (struct xc_key), read where it is needed: no register has to hold it. */
static inline uint64_t key_word(const struct xvmi_flow *flow, unsigned i)
{
    uint64_t word;
    memcpy(&word, (const uint8_t *)flow + 4 + 8 * (i - 1), sizeof(word));
    return word;
}

/* What nearly always is: one tag fits, the entry is at rest, valid, marked, not due and not
 * counted. False: it is not so, or not that simple. */
static inline bool look_quickly(const struct xvmi_cache *cache, const struct xvmi_flow *flow,
                                uint32_t group, unsigned mask, uint64_t now,
                                struct xvmi_answer *answer)
{
    unsigned in_group = (unsigned)__builtin_ctz(mask);
    const struct xc_entry *entry = &cache->entries[(uint64_t)group * XC_WAYS + in_group];
    uint64_t w0 = atomic_load_explicit(&entry->w[0], memory_order_acquire);
    uint64_t diff = ((w0 >> 32) ^ flow->vm) | (w0 & 1);
#pragma GCC unroll 5
    for (unsigned i = 1; i < 6; i++) {
        diff |= key_word(flow, i) ^ atomic_load_explicit(&entry->w[i], memory_order_acquire);
        __asm__("" : "+r"(diff)); /* one word after the other, rather than all in registers */
    }
    uint64_t w6 = atomic_load_explicit(&entry->w[6], memory_order_acquire);
    uint64_t hot = atomic_load_explicit(&entry->w[7], memory_order_acquire);
    diff |= w0 ^ atomic_load_explicit(&entry->w[0], memory_order_relaxed);
    diff |= hot & (XC_HOT_COUNT | XC_HOT_PACKETS);
    uint64_t state = atomic_load_explicit(&cache->groups[group].state, memory_order_relaxed);
    if (diff || !(state & xc_sieve_mark(in_group)) ||
        (now >> XC_DEADLINE_UNIT) >= (hot & XC_HOT_DEADLINE) ||
        !xc_current(cache, (uint32_t)w6, flow->vm))
        return false;
    answer->outcome = XVMI_HIT;
    answer->verdict = (uint8_t)(hot >> XC_VERDICT_SHIFT);
    answer->pad = 0;
    answer->rule = (uint32_t)(w6 >> 32);
    answer->stamp = 0;
    return true;
}

static inline void look(struct xvmi_cache *cache, const struct xvmi_packet *packet, uint32_t group,
                        unsigned mask, uint64_t now, struct xvmi_answer *answer,
                        struct xvmi_cache_counts *counts)
{
    if (!mask) {
        counts->misses++;
        answer_miss(cache, group, answer);
    } else if (look_quickly(cache, &packet->flow, group, mask, now, answer)) {
        counts->hits++;
    } else {
        look_closely(cache, packet, group, mask, now, answer, counts);
    }
}

/* Three passes, so that the memory accesses of each overlap: groups, entries, answers. */
static void look_batch(struct xvmi_cache *cache, const struct xvmi_packet *packets, unsigned n,
                       uint64_t now, struct xvmi_answer *answers, struct xvmi_cache_counts *counts)
{
    uint64_t hash[BATCH];
    unsigned mask[BATCH];
    for (unsigned i = 0; i < n; i++) {
        struct xc_key key = xc_key(&packets[i].flow);
        hash[i] = xc_hash(&cache->secret, &key);
        __builtin_prefetch(&cache->groups[xc_group_of(cache, hash[i])]);
    }
    for (unsigned i = 0; i < n; i++) {
        uint32_t group = xc_group_of(cache, hash[i]);
        mask[i] = xc_match(&cache->groups[group], xc_tag_of(hash[i]));
        if (mask[i])
            __builtin_prefetch(
                &cache->entries[(uint64_t)group * XC_WAYS + (unsigned)__builtin_ctz(mask[i])]);
    }
    for (unsigned i = 0; i < n; i++) {
        uint32_t group = xc_group_of(cache, hash[i]);
        if (__builtin_expect(packets[i].flags & XVMI_PACKET_OPENS, 0)) {
            struct xc_key key = xc_key(&packets[i].flow);
            open_flow(cache, group, xc_tag_of(hash[i]), &key, &answers[i]);
            counts->misses++;
        } else {
            look(cache, &packets[i], group, mask[i], now, &answers[i], counts);
        }
    }
}

static void add_counts(struct xvmi_cache_counts *to, const struct xvmi_cache_counts *counts)
{
    to->hits += counts->hits;
    to->misses += counts->misses;
    to->revalidations += counts->revalidations;
    to->busy += counts->busy;
}

static __attribute__((noinline)) size_t look_all(struct xvmi_cache *cache,
                                                 const struct xvmi_packet *packets, size_t n,
                                                 uint64_t now, struct xvmi_answer *answers,
                                                 struct xvmi_cache_counts *counts)
{
    struct xvmi_cache_counts own = {0};
    for (size_t done = 0; done < n; done += BATCH) {
        unsigned m = n - done < BATCH ? (unsigned)(n - done) : BATCH;
        look_batch(cache, packets + done, m, now, answers + done, &own);
    }
    if (counts)
        add_counts(counts, &own);
    return own.hits;
}

size_t xvmi_cache_lookup(struct xvmi_cache *cache, const struct xvmi_packet *packets, size_t n,
                         uint64_t now, struct xvmi_answer *answers,
                         struct xvmi_cache_counts *counts)
{
    if (n == 1 && !(packets->flags & XVMI_PACKET_OPENS)) {
        struct xc_key key = xc_key(&packets->flow);
        uint64_t hash = xc_hash(&cache->secret, &key);
        uint32_t group = xc_group_of(cache, hash);
        unsigned mask = xc_match(&cache->groups[group], xc_tag_of(hash));
        if (!mask) {
            answer_miss(cache, group, answers);
            if (counts)
                counts->misses++;
            return 0;
        }
        if (look_quickly(cache, &packets->flow, group, mask, now, answers)) {
            if (counts)
                counts->hits++;
            return 1;
        }
    }
    return look_all(cache, packets, n, now, answers, counts);
}

uint64_t xvmi_cache_stamp(const struct xvmi_cache *cache, const struct xvmi_flow *flow)
{
    struct xc_key key = xc_key(flow);
    uint32_t group = xc_group_of(cache, xc_hash(&cache->secret, &key));
    return xc_stamp(cache, atomic_load_explicit(xc_count_of(cache, group), memory_order_acquire));
}

bool xc_slot_read(const struct xvmi_cache *cache, uint64_t slot, struct xc_copy *copy)
{
    const struct xc_entry *entry = &cache->entries[slot];
    const struct xc_detail *detail = &cache->details[slot];
    for (unsigned try = 0; try < XC_READ_TRIES; try++) {
        uint64_t w0 = atomic_load_explicit(&entry->w[0], memory_order_acquire);
        for (unsigned i = 1; i < 8; i++)
            copy->w[i] = atomic_load_explicit(&entry->w[i], memory_order_acquire);
        copy->token = atomic_load_explicit(&detail->token, memory_order_acquire);
        copy->validated = atomic_load_explicit(&detail->validated, memory_order_acquire);
        copy->pace = atomic_load_explicit(&detail->pace, memory_order_acquire);
        copy->owner = atomic_load_explicit(&detail->owner, memory_order_acquire);
        copy->packets = copy->bytes = 0;
        if (cache->counters) {
            const struct xc_counter *counter = &cache->counters[slot];
            copy->packets = atomic_load_explicit(&counter->packets, memory_order_acquire);
            copy->bytes = atomic_load_explicit(&counter->bytes, memory_order_acquire);
        }
        copy->w[0] = w0 & ~(uint64_t)UINT32_MAX;
        if (!(w0 & 1) && w0 == atomic_load_explicit(&entry->w[0], memory_order_relaxed))
            return true;
    }
    return false;
}

void xc_copy_out(const struct xvmi_cache *cache, const struct xc_copy *copy, struct xvmi_flow *flow,
                 struct xvmi_decision *decision)
{
    uint64_t hot = copy->w[7];
    flow->vm = (uint32_t)(copy->w[0] >> 32);
    memcpy(flow->local, &copy->w[1], sizeof(*flow) - sizeof(flow->vm));
    *decision = (struct xvmi_decision){
        .verdict = (uint8_t)(hot >> XC_VERDICT_SHIFT),
        .rule = (uint32_t)(copy->w[6] >> 32),
        .epoch = xvmi_cache_epoch(cache),
        .pid = (uint32_t)copy->owner,
        .uid = (uint32_t)(copy->owner >> 32),
        .token = copy->token,
        .validated = copy->validated,
    };
    if (hot & XC_HOT_TIME) {
        decision->revalidate = XVMI_REVALIDATE_TIME;
        decision->every = copy->pace;
    } else if (hot & XC_HOT_PACKETS) {
        decision->revalidate = XVMI_REVALIDATE_PACKETS;
        decision->every = (uint32_t)copy->pace;
    }
    if (hot & XC_HOT_IMPORTED)
        decision->flags |= XVMI_DECISION_IMPORTED;
    if (hot & XC_HOT_COUNT) {
        decision->flags |= XVMI_DECISION_COUNT;
        decision->packets = copy->packets;
        decision->bytes = copy->bytes;
    }
}

enum xvmi_status xvmi_cache_get(const struct xvmi_cache *cache, const struct xvmi_flow *flow,
                                struct xvmi_decision *decision)
{
    struct xc_key key = xc_key(flow);
    uint64_t hash = xc_hash(&cache->secret, &key);
    uint32_t group = xc_group_of(cache, hash);
    unsigned mask = xc_match(&cache->groups[group], xc_tag_of(hash));
    for (; mask; mask &= mask - 1) {
        struct xc_copy copy;
        uint64_t slot = (uint64_t)group * XC_WAYS + (unsigned)__builtin_ctz(mask);
        if (!xc_slot_read(cache, slot, &copy) || memcmp(copy.w, key.w, sizeof(key.w)) ||
            !xc_current(cache, (uint32_t)copy.w[6], flow->vm))
            continue;
        struct xvmi_flow same;
        xc_copy_out(cache, &copy, &same, decision);
        return XVMI_OK;
    }
    return XVMI_ERR_NOT_FOUND;
}
