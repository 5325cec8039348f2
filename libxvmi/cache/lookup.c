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
    if (xc_due(hot, now))
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
    memset(answer, 0, offsetof(struct xvmi_answer, stamp)); /* XVMI_MISS, nothing else */
    answer->stamp = xc_stamp(cache, group);
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
    *answer = (struct xvmi_answer){.outcome = XVMI_MISS, .stamp = xc_stamp_with(cache, count + 1)};
}

/* Mark the slot whose tag fits as used in this turn of the hand. A tag is enough: one in some
 * thousand leads to another flow, which then stays a turn longer. */
static inline void mark(struct xc_group *group, unsigned mask)
{
    uint64_t state = atomic_load_explicit(&group->state, memory_order_relaxed);
    if (__builtin_expect(!((unsigned)(state >> XC_SIEVE_MARKS) & mask), 0))
        atomic_fetch_or_explicit(&group->state, xc_sieve_mark((unsigned)__builtin_ctz(mask)),
                                 memory_order_relaxed);
}

/* Everything that can be. */
static __attribute__((noinline)) void look_closely(struct xvmi_cache *cache,
                                                   const struct xvmi_packet *packet, uint32_t group,
                                                   uint16_t tag, uint64_t now,
                                                   struct xvmi_answer *answer,
                                                   struct xvmi_cache_counts *counts)
{
    struct xc_key key = xc_key(&packet->flow);
    if (packet->flags & XVMI_PACKET_OPENS) {
        counts->misses++;
        open_flow(cache, group, tag, &key, answer);
        return;
    }
    struct hot found;
    uint64_t first = (uint64_t)group * XC_WAYS;
    unsigned mask = xc_match(&cache->groups[group], tag);
    int in_group = find(&cache->entries[first], mask, &key, &found);
    if (in_group < 0 || !xc_current(cache, (uint32_t)found.stamp_rule, packet->flow.vm)) {
        counts->misses++;
        counts->busy += in_group == BUSY;
        answer_miss(cache, group, answer);
        return;
    }
    uint64_t slot = first + (unsigned)in_group;
    mark(&cache->groups[group], 1u << in_group);
    if (found.hot & XC_HOT_COUNT)
        count_packet(cache, slot, packet->bytes);
    answer->verdict = (uint8_t)(found.hot & XC_HOT_VERDICT);
    answer->rule = (uint32_t)(found.stamp_rule >> 32);
    answer->pad = 0;
    if (due(cache, found.hot, slot, now)) {
        counts->revalidations++;
        answer->outcome = XVMI_REVALIDATE;
        answer->stamp = xc_stamp(cache, group);
        return;
    }
    answer->outcome = XVMI_HIT;
    answer->stamp = 0;
}

/* What nearly always is: the entry is the flow's, at rest, valid, not due and not counted.
 * False: it is not so, or not that simple. */
static inline bool look_quickly(const struct xvmi_cache *cache, const struct xc_entry *entry,
                                const struct xvmi_flow *flow, uint64_t now,
                                struct xvmi_answer *answer)
{
    uint32_t seq = (uint32_t)atomic_load_explicit(&entry->w[0], memory_order_acquire);
    if ((seq & 1) || !xc_same_flow(entry, flow))
        return false;
    uint64_t w6 = atomic_load_explicit(&entry->w[6], memory_order_acquire);
    uint64_t hot = atomic_load_explicit(&entry->w[7], memory_order_acquire);
    if (seq != (uint32_t)atomic_load_explicit(&entry->w[0], memory_order_relaxed) ||
        (hot & (XC_HOT_COUNT | XC_HOT_PACKETS)) || xc_due(hot, now) ||
        !xc_current(cache, (uint32_t)w6, flow->vm))
        return false;
    answer->outcome = XVMI_HIT;
    answer->verdict = (uint8_t)(hot & XC_HOT_VERDICT);
    answer->pad = 0;
    answer->rule = (uint32_t)(w6 >> 32);
    answer->stamp = 0;
    return true;
}

/* What is known of the packets of a batch. */
struct batch {
    uint32_t group[BATCH];
    uint16_t tag[BATCH];
    const struct xc_entry *entry[BATCH]; /* whose tag fits */
    uint8_t todo[BATCH];
};

/* To the second-level cache: more such fetches are under way at a time than lines can be on their
 * way to the first. 2 to 10 % less time with 8 M flows. */
static inline void fetch_line(const void *line)
{
    __builtin_prefetch(line, 0, 2);
}

static inline __attribute__((always_inline)) void fetch_groups(const struct xvmi_cache *cache,
                                                               xc_hash_fn *hash_of,
                                                               const struct xvmi_packet *packets,
                                                               unsigned n, struct batch *b)
{
    for (unsigned i = 0; i < n; i++) {
        /* Nothing of it is worth a register all the time: they are few. */
        __asm__("" : "+r"(cache));
        uint64_t hash = hash_of(&cache->secret, &packets[i].flow);
        b->group[i] = xc_group_of(cache, hash);
        b->tag[i] = xc_tag_of(hash);
        fetch_line(&cache->groups[b->group[i]]);
    }
}

/* Answers those whose tag is nowhere; the others' numbers go to todo[]. Returns how many. */
static inline unsigned fetch_entries(const struct xvmi_cache *cache,
                                     const struct xvmi_packet *packets, unsigned n, struct batch *b,
                                     struct xvmi_answer *answers)
{
    unsigned todo = 0;
    for (unsigned i = 0; i < n; i++) {
        struct xc_group *group = &cache->groups[b->group[i]];
        unsigned mask = xc_match(group, b->tag[i]);
        if (mask) {
            b->entry[i] =
                &cache->entries[(uint64_t)b->group[i] * XC_WAYS + (unsigned)__builtin_ctz(mask)];
            fetch_line(b->entry[i]);
            mark(group, mask);
        } else if (!(packets[i].flags & XVMI_PACKET_OPENS)) {
            answer_miss(cache, b->group[i], &answers[i]);
            continue;
        }
        b->todo[todo++] = (uint8_t)i;
    }
    return todo;
}

/* Three passes, so that the memory accesses of each overlap: groups, entries, answers. */
static void look_batch(struct xvmi_cache *cache, const struct xvmi_packet *packets, unsigned n,
                       uint64_t now, struct xvmi_answer *answers, struct xvmi_cache_counts *counts)
{
    struct batch b;
    if (cache->secret.aes)
        fetch_groups(cache, xc_hash_aes, packets, n, &b);
    else
        fetch_groups(cache, xc_hash_plain, packets, n, &b);
    unsigned todo = fetch_entries(cache, packets, n, &b, answers);
    counts->misses += n - todo;
    for (unsigned k = 0; k < todo; k++) {
        unsigned i = b.todo[k];
        const struct xvmi_packet *packet = &packets[i];
        if (__builtin_expect(packet->flags & XVMI_PACKET_OPENS, 0) ||
            !look_quickly(cache, b.entry[i], &packet->flow, now, &answers[i]))
            look_closely(cache, packet, b.group[i], b.tag[i], now, &answers[i], counts);
    }
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
    own.hits = n - own.misses - own.revalidations;
    if (counts) {
        counts->hits += own.hits;
        counts->misses += own.misses;
        counts->revalidations += own.revalidations;
        counts->busy += own.busy;
    }
    return own.hits;
}

/* A fact about single look-ups that is written rarely: see xvmi_cache.eager. */
static inline void learn(struct xvmi_cache *cache, bool was, bool is, uint64_t hash)
{
    if (was != is && !(hash >> 58))
        atomic_store_explicit(&cache->eager, is, memory_order_relaxed);
}

/* One packet that does not open its flow. */
static inline __attribute__((always_inline)) size_t look_once(
    struct xvmi_cache *cache, xc_hash_fn *hash_of, const struct xvmi_packet *packet, uint64_t now,
    struct xvmi_answer *answer, struct xvmi_cache_counts *counts)
{
    uint64_t hash = hash_of(&cache->secret, &packet->flow);
    uint32_t g = xc_group_of(cache, hash);
    struct xc_group *group = &cache->groups[g];
    bool eager = atomic_load_explicit(&cache->eager, memory_order_relaxed);
    if (eager)
        __builtin_prefetch(&cache->entries[(uint64_t)g * XC_WAYS + xc_home_of(hash)]);
    unsigned mask = xc_match(group, xc_tag_of(hash));
    if (!mask) {
        learn(cache, eager, false, hash);
        answer_miss(cache, g, answer);
        if (counts)
            counts->misses++;
        return 0;
    }
    learn(cache, eager, true, hash);
    mark(group, mask);
    const struct xc_entry *entry =
        &cache->entries[(uint64_t)g * XC_WAYS + (unsigned)__builtin_ctz(mask)];
    if (!look_quickly(cache, entry, &packet->flow, now, answer))
        return look_all(cache, packet, 1, now, answer, counts);
    if (counts)
        counts->hits++;
    return 1;
}

/* Where there is no AES. */
static __attribute__((noinline)) size_t look_once_plain(struct xvmi_cache *cache,
                                                        const struct xvmi_packet *packet,
                                                        uint64_t now, struct xvmi_answer *answer,
                                                        struct xvmi_cache_counts *counts)
{
    return look_once(cache, xc_hash_plain, packet, now, answer, counts);
}

size_t xvmi_cache_lookup(struct xvmi_cache *cache, const struct xvmi_packet *packets, size_t n,
                         uint64_t now, struct xvmi_answer *answers,
                         struct xvmi_cache_counts *counts)
{
    if (n != 1 || packets->flags & XVMI_PACKET_OPENS)
        return look_all(cache, packets, n, now, answers, counts);
    if (!cache->secret.aes)
        return look_once_plain(cache, packets, now, answers, counts);
    return look_once(cache, xc_hash_aes, packets, now, answers, counts);
}

uint64_t xvmi_cache_stamp(const struct xvmi_cache *cache, const struct xvmi_flow *flow)
{
    return xc_stamp(cache, xc_group_of(cache, xc_hash(&cache->secret, flow)));
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
    memcpy(&flow->lport, &copy->w[1], 8);
    memcpy(flow->local, &copy->w[2], 32);
    *decision = (struct xvmi_decision){
        .verdict = (uint8_t)(hot & XC_HOT_VERDICT),
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
    uint64_t hash = xc_hash(&cache->secret, flow);
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
