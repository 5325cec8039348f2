// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* bench-cache's contender number one. */
#include <xvmi/cache.h>

#include "cache-table.h"

/* The cache does not grow and does not chain: with this much room nearly all flows stay. */
#define LOAD            0.60
#define BYTES_PER_ENTRY 98.7

static void *create(uint32_t n)
{
    struct xvmi_cache_options options = {.size = sizeof(options)};
    options.memory = (uint64_t)((double)n * BYTES_PER_ENTRY / LOAD) + (300u << 10);
    struct xvmi_cache *cache;
    struct xvmi_error err;
    if (xvmi_cache_new(&options, &cache, &err)) {
        fprintf(stderr, "%s\n", err.text);
        return NULL;
    }
    return cache;
}

static void destroy(void *table)
{
    xvmi_cache_unref(table);
}

static uint32_t insert(void *table, uint32_t from, uint32_t n)
{
    uint32_t taken = 0;
    struct xvmi_decision decisions[BENCH_BATCH];
    struct xvmi_flow flows[BENCH_BATCH];
    uint64_t stamps[BENCH_BATCH];
    enum xvmi_status statuses[BENCH_BATCH];
    bench_flow(&flows[0], from);
    for (unsigned i = 0; i < BENCH_BATCH; i++) {
        decisions[i] = (struct xvmi_decision){.verdict = XVMI_VERDICT_PASS, .rule = 7, .token = 1};
        /* A miss brings the stamp. Nothing is invalidated here: all flows have the same. */
        stamps[i] = xvmi_cache_stamp(table, &flows[0]);
    }
    for (uint32_t done = 0; done < n; done += BENCH_BATCH) {
        uint32_t m = n - done < BENCH_BATCH ? n - done : BENCH_BATCH;
        for (unsigned i = 0; i < m; i++)
            bench_flow(&flows[i], from + done + i);
        taken += (uint32_t)xvmi_cache_insert_batch(table, flows, decisions, stamps, m, statuses);
    }
    return taken;
}

static uint32_t insert_singly(void *table, uint32_t from, uint32_t n)
{
    uint32_t taken = 0;
    struct xvmi_decision decision = {.verdict = XVMI_VERDICT_PASS, .rule = 7, .token = 1};
    struct xvmi_flow flow;
    bench_flow(&flow, from);
    uint64_t stamp = xvmi_cache_stamp(table, &flow); /* see above */
    for (uint32_t i = from; i < from + n; i++) {
        bench_flow(&flow, i);
        taken += !xvmi_cache_insert(table, &flow, &decision, stamp);
    }
    return taken;
}

static uint64_t single(void *table, const struct bench_walk *walk)
{
    uint64_t hits = 0, random = walk->random;
    struct xvmi_packet packet = {.bytes = 0};
    for (uint64_t k = 0; k < walk->n; k++) {
        struct xvmi_answer answer;
        bench_flow(&packet.flow, walk->from + bench_below(&random, walk->reach));
        hits += xvmi_cache_lookup(table, &packet, 1, 0, &answer, NULL);
    }
    return hits;
}

static uint64_t batch(void *table, const struct bench_walk *walk)
{
    uint64_t hits = 0, random = walk->random;
    struct xvmi_packet packets[BENCH_BATCH] = {0};
    struct xvmi_answer answers[BENCH_BATCH];
    for (uint64_t k = 0; k < walk->n; k += BENCH_BATCH) {
        for (unsigned i = 0; i < BENCH_BATCH; i++)
            bench_flow(&packets[i].flow, walk->from + bench_below(&random, walk->reach));
        hits += xvmi_cache_lookup(table, packets, BENCH_BATCH, 0, answers, NULL);
    }
    return hits;
}

static struct xvmi_cache_stats stats(const struct xvmi_cache *cache)
{
    struct xvmi_cache_stats s = {.size = sizeof(s)};
    xvmi_cache_stats(cache, &s);
    return s;
}

static double load(void *table)
{
    struct xvmi_cache_stats s = stats(table);
    return (double)s.entries / (double)s.capacity;
}

static double bytes(void *table)
{
    struct xvmi_cache_stats s = stats(table);
    return (double)s.memory / (double)s.entries;
}

const struct bench_ops bench_xvmi = {
    .name = "xvmi_cache",
    .create = create,
    .destroy = destroy,
    .insert = insert,
    .insert_singly = insert_singly,
    .single = single,
    .batch = batch,
    .load = load,
    .bytes = bytes,
};
