// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* What cache.h promises, one promise a test; one thread. */
#include <sys/mman.h>
#include <sys/resource.h>

#include <criterion/criterion.h>

#include "support/cache-flows.h"

#define MIB (1u << 20)

static struct xvmi_cache *small_cache(void)
{
    struct xvmi_cache *cache = test_cache(MIB, true);
    cr_assert_not_null(cache);
    return cache;
}

/* One entry, rule 7, token 99. */
static struct xvmi_decision put_one(struct xvmi_cache *cache)
{
    struct xvmi_decision decision = test_decision(7, 99);
    cr_assert_eq(test_put(cache, 1, 1, &decision), XVMI_OK);
    return decision;
}

Test(cache, stores_and_finds)
{
    struct xvmi_cache *cache = small_cache();
    struct xvmi_answer miss = test_look(cache, 1, 1, 0);
    cr_assert_eq(miss.outcome, XVMI_MISS);
    cr_assert_eq(miss.verdict, XVMI_VERDICT_NONE);
    cr_assert_eq(miss.rule, 0);

    struct xvmi_flow flow = test_flow(1, 1);
    struct xvmi_decision decision = test_decision(7, 99);
    decision.verdict = XVMI_VERDICT_DROP;
    decision.validated = 12345;
    cr_assert_eq(xvmi_cache_insert(cache, &flow, &decision, miss.stamp), XVMI_OK);

    struct xvmi_answer hit = test_look(cache, 1, 1, 0);
    cr_assert_eq(hit.outcome, XVMI_HIT);
    cr_assert_eq(hit.verdict, XVMI_VERDICT_DROP);
    cr_assert_eq(hit.rule, 7);
    cr_assert_eq(test_look(cache, 2, 1, 0).outcome, XVMI_MISS);
    cr_assert_eq(test_look(cache, 1, 2, 0).outcome, XVMI_MISS);

    struct xvmi_decision kept;
    cr_assert_eq(xvmi_cache_get(cache, &flow, &kept), XVMI_OK);
    decision.epoch = xvmi_cache_epoch(cache);
    cr_assert_eq(memcmp(&kept, &decision, sizeof(kept)), 0);
    xvmi_cache_unref(cache);
}

Test(cache, each_byte_of_a_flow_matters)
{
    struct xvmi_cache *cache = small_cache();
    struct xvmi_packet packet = test_packet(1, 1, 0);
    struct xvmi_decision decision = test_decision(7, 99);
    cr_assert_eq(test_put(cache, 1, 1, &decision), XVMI_OK);
    for (size_t i = 0; i < sizeof(packet.flow); i++) {
        struct xvmi_packet other = packet;
        ((uint8_t *)&other.flow)[i] ^= 0x80;
        struct xvmi_answer answer;
        cr_assert_eq(xvmi_cache_lookup(cache, &other, 1, 0, &answer, NULL), 0, "byte %zu", i);
        cr_assert_eq(answer.outcome, XVMI_MISS);
    }
    xvmi_cache_unref(cache);
}

Test(cache, batches_answer_as_singles)
{
    enum { N = 1000 };
    static struct xvmi_packet packets[N];
    static struct xvmi_answer answers[N];
    struct xvmi_cache *cache = small_cache();
    for (uint32_t i = 0; i < N; i++) {
        packets[i] = test_packet(1, i, 0);
        struct xvmi_decision decision = test_decision(i + 1, i);
        if (i % 3)
            cr_assert_eq(test_put(cache, 1, i, &decision), XVMI_OK);
    }
    for (size_t n = 0; n <= N; n = n < 70 ? n + 1 : n + 31) {
        struct xvmi_cache_counts counts = {0};
        memset(answers, 0xee, sizeof(answers));
        size_t hits = xvmi_cache_lookup(cache, packets, n, 0, answers, &counts), expected = 0;
        for (uint32_t i = 0; i < n; i++) {
            expected += i % 3 != 0;
            cr_assert_eq(answers[i].outcome, i % 3 ? XVMI_HIT : XVMI_MISS);
            cr_assert_eq(answers[i].rule, i % 3 ? i + 1 : 0);
        }
        cr_assert_eq(hits, expected);
        cr_assert_eq(counts.hits, expected);
        cr_assert_eq(counts.misses, n - expected);
        if (n < N)
            cr_assert_eq(answers[n].outcome, 0xee);
    }
    xvmi_cache_unref(cache);
}

Test(cache, inserts_in_batches)
{
    enum { N = 50 };
    struct xvmi_cache *cache = small_cache();
    struct xvmi_flow flows[N];
    struct xvmi_decision decisions[N];
    uint64_t stamps[N];
    enum xvmi_status statuses[N];
    for (uint32_t i = 0; i < N; i++) {
        flows[i] = test_flow(1, i);
        decisions[i] = test_decision(i + 1, i);
        stamps[i] = xvmi_cache_stamp(cache, &flows[i]);
    }
    decisions[20].verdict = XVMI_VERDICT_NONE;
    flows[49] = flows[48]; /* twice the same: the later one stays */
    stamps[49] = stamps[48];
    cr_assert_eq(xvmi_cache_insert_batch(cache, flows, decisions, stamps, 0, statuses), 0);
    cr_assert_eq(xvmi_cache_insert_batch(cache, flows, decisions, stamps, N, statuses), N - 1);
    for (uint32_t i = 0; i < N - 2; i++) {
        cr_assert_eq(statuses[i], i == 20 ? XVMI_ERR_INVALID : XVMI_OK);
        cr_assert_eq(test_look(cache, 1, i, 0).rule, i == 20 ? 0 : i + 1);
    }
    cr_assert_eq(test_look(cache, 1, 48, 0).rule, 50);
    xvmi_cache_new_epoch(cache);
    cr_assert_eq(xvmi_cache_insert_batch(cache, flows, decisions, stamps, N, statuses), 0);
    cr_assert_eq(statuses[0], XVMI_ERR_CHANGED);
    xvmi_cache_unref(cache);
}

Test(cache, replaces)
{
    struct xvmi_cache *cache = small_cache();
    put_one(cache);
    struct xvmi_decision other = test_decision(8, 100);
    cr_assert_eq(test_put(cache, 1, 1, &other), XVMI_OK);
    cr_assert_eq(test_look(cache, 1, 1, 0).rule, 8);
    struct xvmi_cache_stats stats = test_stats(cache);
    cr_assert_eq(stats.entries, 1);
    cr_assert_eq(stats.inserted, 1);
    cr_assert_eq(stats.replaced, 1);
    xvmi_cache_unref(cache);
}

Test(cache, time_runs_out)
{
    struct xvmi_cache *cache = small_cache();
    struct xvmi_decision decision = test_decision(7, 99);
    decision.revalidate = XVMI_REVALIDATE_TIME;
    decision.every = 1000000;
    decision.validated = 5000000;
    cr_assert_eq(test_put(cache, 1, 1, &decision), XVMI_OK);
    cr_assert_eq(test_look(cache, 1, 1, 5000000).outcome, XVMI_HIT);
    cr_assert_eq(test_look(cache, 1, 1, 6000000 - 4096 - 1).outcome, XVMI_HIT);
    struct xvmi_answer due = test_look(cache, 1, 1, 6000000);
    cr_assert_eq(due.outcome, XVMI_REVALIDATE);
    cr_assert_eq(due.verdict, XVMI_VERDICT_PASS);
    cr_assert_eq(due.rule, 7);
    /* An older clock is another thread's: harmless. */
    cr_assert_eq(test_look(cache, 1, 1, 0).outcome, XVMI_HIT);

    struct xvmi_flow flow = test_flow(1, 1);
    cr_assert_eq(xvmi_cache_revalidate(cache, &flow, 98, 6000000, due.stamp), XVMI_ERR_MISMATCH);
    cr_assert_eq(test_look(cache, 1, 1, 6000000).outcome, XVMI_REVALIDATE);
    cr_assert_eq(xvmi_cache_revalidate(cache, &flow, 99, 6000000, due.stamp), XVMI_OK);
    cr_assert_eq(test_look(cache, 1, 1, 6990000).outcome, XVMI_HIT);
    cr_assert_eq(test_look(cache, 1, 1, 7000000).outcome, XVMI_REVALIDATE);
    struct xvmi_decision kept;
    cr_assert_eq(xvmi_cache_get(cache, &flow, &kept), XVMI_OK);
    cr_assert_eq(kept.validated, 6000000);
    cr_assert_eq(kept.every, 1000000);
    xvmi_cache_unref(cache);
}

Test(cache, long_periods_do_not_wrap)
{
    struct xvmi_cache *cache = small_cache();
    struct xvmi_decision decision = test_decision(7, 99);
    decision.revalidate = XVMI_REVALIDATE_TIME;
    decision.every = UINT64_MAX;
    decision.validated = UINT64_MAX / 4;
    cr_assert_eq(test_put(cache, 1, 1, &decision), XVMI_OK);
    cr_assert_eq(test_look(cache, 1, 1, INT64_MAX).outcome, XVMI_HIT);
    decision.every = 1;
    cr_assert_eq(test_put(cache, 1, 1, &decision), XVMI_OK);
    cr_assert_eq(test_look(cache, 1, 1, decision.validated + 1).outcome, XVMI_REVALIDATE);
    xvmi_cache_unref(cache);
}

Test(cache, packets_run_out)
{
    struct xvmi_cache *cache = small_cache();
    struct xvmi_decision decision = test_decision(7, 99);
    decision.revalidate = XVMI_REVALIDATE_PACKETS;
    decision.every = 3;
    cr_assert_eq(test_put(cache, 1, 1, &decision), XVMI_OK);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 3; i++)
            cr_assert_eq(test_look(cache, 1, 1, 0).outcome, XVMI_HIT);
        for (int i = 0; i < 5; i++)
            cr_assert_eq(test_look(cache, 1, 1, 0).outcome, XVMI_REVALIDATE);
        struct xvmi_flow flow = test_flow(1, 1);
        cr_assert_eq(xvmi_cache_revalidate(cache, &flow, 99, 0, xvmi_cache_stamp(cache, &flow)),
                     XVMI_OK);
    }
    xvmi_cache_unref(cache);
}

Test(cache, opening_packet_never_uses_an_old_entry)
{
    struct xvmi_cache *cache = small_cache();
    put_one(cache);
    struct xvmi_flow flow = test_flow(1, 1);
    uint64_t before = xvmi_cache_stamp(cache, &flow);
    struct xvmi_answer answer = test_open(cache, 1, 1);
    cr_assert_eq(answer.outcome, XVMI_MISS);
    cr_assert_eq(answer.verdict, XVMI_VERDICT_NONE);
    /* Later packets may not trust it either before somebody looked. */
    cr_assert_eq(test_look(cache, 1, 1, 0).outcome, XVMI_REVALIDATE);

    /* A decision begun before the packet comes too late; one begun after it is kept. */
    struct xvmi_decision decision = test_decision(8, 100);
    cr_assert_eq(xvmi_cache_insert(cache, &flow, &decision, before), XVMI_ERR_CHANGED);
    cr_assert_eq(xvmi_cache_revalidate(cache, &flow, 99, 0, before), XVMI_ERR_CHANGED);
    cr_assert_eq(test_look(cache, 1, 1, 0).outcome, XVMI_REVALIDATE);
    cr_assert_eq(xvmi_cache_insert(cache, &flow, &decision, answer.stamp), XVMI_OK);
    cr_assert_eq(test_look(cache, 1, 1, 0).rule, 8);
    cr_assert_eq(test_look(cache, 1, 1, 0).outcome, XVMI_HIT);
    cr_assert_eq(test_stats(cache).refused, 2);
    xvmi_cache_unref(cache);
}

Test(cache, new_epoch_outdates_all)
{
    struct xvmi_cache *cache = small_cache();
    put_one(cache);
    struct xvmi_flow flow = test_flow(1, 1);
    uint64_t before = xvmi_cache_stamp(cache, &flow);
    uint32_t first = xvmi_cache_epoch(cache);
    uint32_t second = xvmi_cache_new_epoch(cache);
    cr_assert_gt(second, first);
    cr_assert_eq(xvmi_cache_epoch(cache), second);
    cr_assert_eq(test_look(cache, 1, 1, 0).outcome, XVMI_MISS);
    struct xvmi_decision decision = test_decision(9, 1);
    cr_assert_eq(xvmi_cache_get(cache, &flow, &decision), XVMI_ERR_NOT_FOUND);
    cr_assert_eq(xvmi_cache_revalidate(cache, &flow, 99, 0, xvmi_cache_stamp(cache, &flow)),
                 XVMI_ERR_NOT_FOUND);
    cr_assert_eq(xvmi_cache_insert(cache, &flow, &decision, before), XVMI_ERR_CHANGED);
    cr_assert_eq(test_put(cache, 1, 1, &decision), XVMI_OK);
    cr_assert_eq(test_look(cache, 1, 1, 0).outcome, XVMI_HIT);
    xvmi_cache_unref(cache);
}

Test(cache, invalidates_one_guest)
{
    struct xvmi_cache *cache = small_cache();
    struct xvmi_decision decision = test_decision(7, 99);
    for (uint32_t vm = 1; vm <= 3; vm++)
        for (uint32_t i = 0; i < 20; i++)
            cr_assert_eq(test_put(cache, vm, i, &decision), XVMI_OK);
    struct xvmi_flow flow = test_flow(2, 5);
    uint64_t before = xvmi_cache_stamp(cache, &flow);
    xvmi_cache_invalidate_vm(cache, 2);
    for (uint32_t vm = 1; vm <= 3; vm++)
        for (uint32_t i = 0; i < 20; i++)
            cr_assert_eq(test_look(cache, vm, i, 0).outcome, vm == 2 ? XVMI_MISS : XVMI_HIT);
    cr_assert_eq(xvmi_cache_insert(cache, &flow, &decision, before), XVMI_ERR_CHANGED);
    cr_assert_eq(test_put(cache, 2, 5, &decision), XVMI_OK);
    cr_assert_eq(test_look(cache, 2, 5, 0).outcome, XVMI_HIT);
    xvmi_cache_unref(cache);
}

Test(cache, invalidates_one_flow)
{
    struct xvmi_cache *cache = small_cache();
    put_one(cache);
    struct xvmi_flow flow = test_flow(1, 1);
    uint64_t before = xvmi_cache_stamp(cache, &flow);
    cr_assert(xvmi_cache_invalidate_flow(cache, &flow));
    cr_assert_not(xvmi_cache_invalidate_flow(cache, &flow));
    cr_assert_eq(test_look(cache, 1, 1, 0).outcome, XVMI_MISS);
    struct xvmi_decision decision = test_decision(7, 99);
    cr_assert_eq(xvmi_cache_insert(cache, &flow, &decision, before), XVMI_ERR_CHANGED);
    cr_assert_eq(test_stats(cache).entries, 0);
    xvmi_cache_unref(cache);
}

Test(cache, invalidates_one_owner)
{
    struct xvmi_cache *cache = small_cache();
    for (uint32_t vm = 1; vm <= 2; vm++) {
        for (uint32_t i = 0; i < 100; i++) {
            struct xvmi_decision decision = test_decision(1, i % 10); /* pid i % 10 + 1 */
            cr_assert_eq(test_put(cache, vm, i, &decision), XVMI_OK);
        }
    }
    struct xvmi_flow flow = test_flow(1, 500);
    uint64_t before = xvmi_cache_stamp(cache, &flow);
    cr_assert_eq(xvmi_cache_invalidate_owner(cache, 1, 4), 10);
    cr_assert_eq(xvmi_cache_invalidate_owner(cache, 1, 4), 0);
    for (uint32_t vm = 1; vm <= 2; vm++)
        for (uint32_t i = 0; i < 100; i++)
            cr_assert_eq(test_look(cache, vm, i, 0).outcome,
                         vm == 1 && i % 10 == 3 ? XVMI_MISS : XVMI_HIT);
    /* The owner of a decision in the making is not known yet: it could be that one. */
    struct xvmi_decision decision = test_decision(1, 3);
    cr_assert_eq(xvmi_cache_insert(cache, &flow, &decision, before), XVMI_ERR_CHANGED);
    xvmi_cache_unref(cache);
}

Test(cache, counts_where_asked)
{
    struct xvmi_cache *cache = small_cache();
    struct xvmi_decision decision = test_decision(7, 99);
    decision.flags = XVMI_DECISION_COUNT;
    decision.packets = 5;
    decision.bytes = 50;
    cr_assert_eq(test_put(cache, 1, 1, &decision), XVMI_OK);
    decision.flags = 0;
    cr_assert_eq(test_put(cache, 1, 2, &decision), XVMI_OK);
    for (int i = 0; i < 10; i++) {
        test_look(cache, 1, 1, 0);
        test_look(cache, 1, 2, 0);
    }
    struct xvmi_flow flow = test_flow(1, 1);
    cr_assert_eq(xvmi_cache_get(cache, &flow, &decision), XVMI_OK);
    cr_assert_eq(decision.packets, 15);
    cr_assert_eq(decision.bytes, 1050);
    flow = test_flow(1, 2);
    cr_assert_eq(xvmi_cache_get(cache, &flow, &decision), XVMI_OK);
    cr_assert_eq(decision.packets, 0);
    xvmi_cache_unref(cache);
}

Test(cache, refuses_what_the_header_forbids)
{
    struct xvmi_cache *cache = test_cache(MIB, false);
    struct xvmi_flow flow = test_flow(1, 2);
    struct xvmi_decision good = test_decision(1, 1), bad;
    uint64_t stamp = xvmi_cache_stamp(cache, &flow);
#define refused(change)                                                                            \
    (bad = good, (void)(change), xvmi_cache_insert(cache, &flow, &bad, stamp) == XVMI_ERR_INVALID)
    cr_assert(refused(bad.verdict = XVMI_VERDICT_NONE));
    cr_assert(refused(bad.revalidate = 3));
    cr_assert(refused(bad.every = 1));
    cr_assert(refused(bad.revalidate = XVMI_REVALIDATE_TIME));
    cr_assert(refused(bad.revalidate = XVMI_REVALIDATE_PACKETS));
    cr_assert(refused((bad.revalidate = XVMI_REVALIDATE_PACKETS, bad.every = 1ull << 31)));
    cr_assert(refused(bad.flags = 4));
    cr_assert(refused(bad.flags = XVMI_DECISION_COUNT)); /* made without counters */
    cr_assert(refused(bad.pad = 1));
#undef refused
    cr_assert_eq(xvmi_cache_insert(cache, &flow, &good, stamp + 1), XVMI_ERR_INVALID);
    cr_assert_eq(xvmi_cache_revalidate(cache, &flow, 1, 0, stamp + 1), XVMI_ERR_INVALID);
    flow.local[5] = 1; /* IPv4 has four bytes */
    cr_assert_eq(xvmi_cache_insert(cache, &flow, &good, stamp), XVMI_ERR_INVALID);
    flow = test_flow(1, 2);
    flow.family = 3;
    cr_assert_eq(xvmi_cache_insert(cache, &flow, &good, stamp), XVMI_ERR_INVALID);
    flow = test_flow(1, 2);
    flow.direction = 2;
    cr_assert_eq(xvmi_cache_insert(cache, &flow, &good, stamp), XVMI_ERR_INVALID);
    cr_assert_eq(test_stats(cache).entries, 0);
    xvmi_cache_unref(cache);
}

Test(cache, bounded_and_flat)
{
    struct xvmi_cache *cache = small_cache();
    struct xvmi_cache_stats stats = test_stats(cache);
    cr_assert_leq(stats.memory, MIB);
    cr_assert_gt(stats.capacity, MIB / 128);
    struct xvmi_decision decision = test_decision(1, 1);
    uint32_t n = (uint32_t)stats.capacity * 20;
    for (uint32_t i = 0; i < n; i++) {
        cr_assert_eq(test_put(cache, 1, i, &decision), XVMI_OK);
        cr_assert_eq(test_look(cache, 1, i, 0).outcome, XVMI_HIT);
    }
    stats = test_stats(cache);
    cr_assert_eq(stats.entries, stats.capacity);
    cr_assert_eq(stats.inserted, n);
    cr_assert_eq(stats.evicted, n - stats.capacity);
    cr_assert_leq(stats.memory, MIB);
    uint64_t cursor = 0, seen = 0;
    struct xvmi_flow flow;
    while (xvmi_cache_next(cache, &cursor, &flow, &decision))
        seen++;
    cr_assert_eq(seen, stats.capacity);
    xvmi_cache_unref(cache);
}

/* Flows that are used stay while ten times the capacity of others come by once. */
Test(cache, flood_does_not_wash_out)
{
    struct xvmi_cache *cache = small_cache();
    uint32_t good = (uint32_t)test_stats(cache).capacity / 4;
    struct xvmi_decision decision = test_decision(1, 1);
    for (uint32_t i = 0; i < good; i++)
        cr_assert_eq(test_put(cache, 1, i, &decision), XVMI_OK);
    uint32_t hits = 0, flood = 1000000;
    for (uint32_t round = 0; round < 10; round++) {
        for (uint32_t i = 0; i < good; i++)
            hits += test_look(cache, 1, i, 0).outcome == XVMI_HIT;
        for (uint32_t i = 0; i < 4 * good; i++)
            cr_assert_eq(test_put(cache, 1, flood++, &decision), XVMI_OK);
    }
    cr_assert_gt(hits, good * 9);
    xvmi_cache_unref(cache);
}

Test(cache, sizes_out_of_range)
{
    struct xvmi_cache *cache;
    struct xvmi_error err;
    struct xvmi_cache_options options = {.size = sizeof(options)};
    static const uint64_t bad[] = {0,          1,         4096,      XVMI_CACHE_MEMORY_MIN - 1,
                                   UINT64_MAX, INT64_MAX, 1ull << 60};
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        options.memory = bad[i];
        cr_assert_eq(xvmi_cache_new(&options, &cache, &err), XVMI_ERR_LIMIT);
        cr_assert_null(cache);
        cr_assert(strstr(err.text, "cache: "));
    }
    options.size = 0;
    cr_assert_eq(xvmi_cache_new(&options, &cache, &err), XVMI_ERR_INVALID);
    options.size = sizeof(options);
    options.memory = XVMI_CACHE_MEMORY_MIN;
    cr_assert_eq(xvmi_cache_new(&options, &cache, NULL), XVMI_OK);
    cr_assert_leq(test_stats(cache).memory, options.memory);
    xvmi_cache_unref(cache);
    xvmi_cache_unref(NULL);
}

Test(cache, odd_sizes)
{
    for (uint64_t memory = XVMI_CACHE_MEMORY_MIN; memory < 9 * MIB; memory += 333333) {
        struct xvmi_cache *cache = test_cache(memory, memory & 1);
        cr_assert_not_null(cache);
        struct xvmi_cache_stats stats = test_stats(cache);
        cr_assert_leq(stats.memory, memory);
        cr_assert_eq(stats.capacity % 12, 0);
        struct xvmi_decision decision = test_decision(1, 1);
        for (uint32_t i = 0; i < 3 * stats.capacity; i++)
            cr_assert_eq(test_put(cache, 1, i, &decision), XVMI_OK);
        xvmi_cache_unref(cache);
    }
}

Test(cache, no_memory)
{
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    struct rlimit was, tight;
    getrlimit(RLIMIT_AS, &was);
    tight = was;
    tight.rlim_cur = 64 * MIB;
    cr_assert_eq(setrlimit(RLIMIT_AS, &tight), 0);
    struct xvmi_error err = XVMI_ERROR_INIT;
    struct xvmi_cache_options options = {.size = sizeof(options), .memory = 512 * MIB};
    struct xvmi_cache *cache;
    void *probe = mmap(NULL, 512 * MIB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (probe != MAP_FAILED) { /* qemu-user takes note of the limit, but not more */
        munmap(probe, 512 * MIB);
        return;
    }
    enum xvmi_status status = xvmi_cache_new(&options, &cache, &err);
    setrlimit(RLIMIT_AS, &was);
    cr_assert_eq(status, XVMI_ERR_NO_MEMORY);
    cr_assert_null(cache);
#endif
}

Test(cache, references)
{
    struct xvmi_cache *cache = small_cache();
    cr_assert_eq(xvmi_cache_ref(cache), cache);
    xvmi_cache_unref(cache);
    put_one(cache);
    cr_assert_eq(test_look(cache, 1, 1, 0).outcome, XVMI_HIT);
    xvmi_cache_unref(cache);
}

Test(cache, old_callers_get_the_statistics_they_know)
{
    struct xvmi_cache *cache = small_cache();
    struct xvmi_cache_stats stats;
    memset(&stats, 0xee, sizeof(stats));
    stats.size = offsetof(struct xvmi_cache_stats, page_size);
    xvmi_cache_stats(cache, &stats);
    cr_assert_leq(stats.memory, MIB);
    cr_assert_eq(stats.page_size, 0xeeeeeeeeeeeeeeee);
    xvmi_cache_unref(cache);
}
