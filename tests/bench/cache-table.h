/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef BENCH_CACHE_TABLE_H
#define BENCH_CACHE_TABLE_H

/*
 * A contender of bench-cache: a table from flows to verdicts. Flow number i of the table is made
 * from i inside the timed loop, the same way for all; `reach` is how many numbers to draw from,
 * `from` the first: numbers that were not inserted are misses.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <xvmi/flow.h>

#include "bench.h"

enum { BENCH_BATCH = 32 };

struct bench_walk {
    uint32_t from, reach;
    uint64_t n; /* look-ups */
    uint64_t random;
};

struct bench_ops {
    const char *name;
    /* A table for `n` flows, with room to insert them all; NULL: not possible here. */
    void *(*create)(uint32_t n);
    void (*destroy)(void *table);
    /* Numbers from..from+n-1; returns how many were taken. */
    uint32_t (*insert)(void *table, uint32_t from, uint32_t n);
    uint32_t (*insert_singly)(void *table, uint32_t from, uint32_t n); /* NULL: insert() does */
    /* Look up one by one, or in batches of BENCH_BATCH (NULL: cannot); return the hits, each of
       which has handed out its value. */
    uint64_t (*single)(void *table, const struct bench_walk *walk);
    uint64_t (*batch)(void *table, const struct bench_walk *walk);
    /* How full it is, and bytes for each entry that it holds. */
    double (*load)(void *table);
    double (*bytes)(void *table);
};

extern const struct bench_ops bench_xvmi;
extern const struct bench_ops bench_rte;
extern const struct bench_ops bench_lfht;
extern const struct bench_ops bench_ck;

/*
 * Flow number i: every 32-bit number another flow. Made of whole words, as each contender reads
 * them: a word that is read right after its bytes were stored one by one costs more than all
 * the rest, and that is a matter of the caller.
 */
static inline void bench_words(uint32_t i, uint64_t word[5])
{
    uint64_t ports = (uint64_t)(1024 + (uint16_t)(i >> 3)) | UINT64_C(443) << 16;
    word[0] = 10 | (uint64_t)(i & 7) << 24; /* 10.0.0.(i & 7) */
    word[1] = 0;
    word[2] = i * 0x9e3779b1u;
    word[3] = 0;
    word[4] = (ports & 0xffffffff) | UINT64_C(2) << 32 | UINT64_C(6) << 40; /* IPv4, TCP */
}

static inline void bench_flow(struct xvmi_flow *flow, uint32_t i)
{
    uint64_t word[5];
    bench_words(i, word);
    flow->vm = 1 + (i & 7);
    for (unsigned k = 0; k < 5; k++)
        memcpy(flow->local + 8 * k, &word[k], 8);
}

/* Peers' key: the same, in a size that rte_hash has a fast comparison for. */
struct bench_key {
    uint64_t word[6];
};

static inline struct bench_key bench_key(uint32_t i)
{
    struct bench_key key;
    bench_words(i, key.word);
    key.word[5] = 1 + (i & 7);
    return key;
}

/* CRC32C over a key, as rte_hash uses by default, for the peers that bring no hash. */
uint64_t bench_crc(const struct bench_key *key);

#endif
