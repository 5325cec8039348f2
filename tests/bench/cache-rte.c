// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* DPDK's rte_hash with lock-free readers, its default hash (CRC32C), and data in the slot. */
#include <errno.h>
#include <sys/mman.h>

#include <rte_eal.h>
#include <rte_hash.h>
#include <rte_malloc.h>
#include <rte_memory.h>

#include "cache-table.h"

struct rte_table {
    struct rte_hash *hash;
    uint64_t bytes;
};

/* EAL takes its memory from a memfd if it gets one, and there are no huge pages in that. */
int memfd_create(const char *name, unsigned flags)
{
    (void)name;
    (void)flags;
    errno = ENOSYS;
    return -1;
}

static int want_huge(const struct rte_memseg_list *list, void *arg)
{
    (void)arg;
    uintptr_t start = ((uintptr_t)list->base_va + (2u << 20) - 1) & ~(uintptr_t)((2u << 20) - 1);
    uintptr_t end = (uintptr_t)list->base_va + list->len;
    if (start < end)
        madvise((void *)start, end - start, MADV_HUGEPAGE);
    return 0;
}

/* Its own memory, from huge pages that the kernel makes as it does for the others. */
static bool start(void)
{
    static int started;
    if (!started) {
        char *argv[] = {"bench-cache", "--no-huge", "--no-pci", "--no-telemetry",
                        "--no-shconf", "-m",        "3000",     "-l",
                        "0",           NULL};
        started = rte_eal_init(sizeof(argv) / sizeof(*argv) - 1, argv) < 0 ? -1 : 1;
        if (started > 0)
            rte_memseg_list_walk(want_huge, NULL);
    }
    return started > 0;
}

static uint64_t heap_used(void)
{
    struct rte_malloc_socket_stats stats;
    return rte_malloc_get_socket_stats(0, &stats) ? 0 : stats.heap_allocsz_bytes;
}

static void *create(uint32_t n)
{
    if (!start())
        return NULL;
    struct rte_table *table = calloc(1, sizeof(*table));
    struct rte_hash_parameters parameters = {
        .name = "bench",
        /* It rounds its buckets up to a power of two anyway. */
        .entries = n < 16 ? 16 : 1u << (32 - __builtin_clz(n - 1)),
        .key_len = sizeof(struct bench_key),
        .extra_flag = RTE_HASH_EXTRA_FLAGS_RW_CONCURRENCY_LF,
    };
    uint64_t before = heap_used();
    table->hash = rte_hash_create(&parameters);
    if (!table->hash) {
        free(table);
        return NULL;
    }
    table->bytes = heap_used() - before;
    return table;
}

static void destroy(void *p)
{
    struct rte_table *table = p;
    rte_hash_free(table->hash);
    free(table);
}

static uint32_t insert(void *p, uint32_t from, uint32_t n)
{
    struct rte_table *table = p;
    uint32_t taken = 0;
    for (uint32_t i = from; i < from + n; i++) {
        struct bench_key key = bench_key(i);
        taken += !rte_hash_add_key_data(table->hash, &key, (void *)(uintptr_t)1);
    }
    return taken;
}

static uint64_t single(void *p, const struct bench_walk *walk)
{
    struct rte_table *table = p;
    uint64_t hits = 0, random = walk->random;
    for (uint64_t k = 0; k < walk->n; k++) {
        struct bench_key key = bench_key(walk->from + bench_below(&random, walk->reach));
        void *data;
        if (rte_hash_lookup_data(table->hash, &key, &data) >= 0)
            hits += (uintptr_t)data;
    }
    return hits;
}

static uint64_t batch(void *p, const struct bench_walk *walk)
{
    struct rte_table *table = p;
    uint64_t hits = 0, random = walk->random;
    struct bench_key keys[BENCH_BATCH];
    const void *ptrs[BENCH_BATCH];
    void *data[BENCH_BATCH];
    for (unsigned i = 0; i < BENCH_BATCH; i++)
        ptrs[i] = &keys[i];
    for (uint64_t k = 0; k < walk->n; k += BENCH_BATCH) {
        uint64_t mask = 0;
        for (unsigned i = 0; i < BENCH_BATCH; i++)
            keys[i] = bench_key(walk->from + bench_below(&random, walk->reach));
        rte_hash_lookup_bulk_data(table->hash, ptrs, BENCH_BATCH, &mask, data);
        hits += (uint64_t)__builtin_popcountll(mask);
    }
    return hits;
}

static double load(void *p)
{
    struct rte_table *table = p;
    return (double)rte_hash_count(table->hash) / (double)rte_hash_max_key_id(table->hash);
}

static double bytes(void *p)
{
    struct rte_table *table = p;
    return (double)table->bytes / (double)rte_hash_count(table->hash);
}

const struct bench_ops bench_rte = {
    .name = "rte_hash",
    .create = create,
    .destroy = destroy,
    .insert = insert,
    .single = single,
    .batch = batch,
    .load = load,
    .bytes = bytes,
};
