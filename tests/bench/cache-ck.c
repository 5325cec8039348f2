// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Concurrency Kit's ck_hs, one writer and many readers. */
#include <ck_hs.h>

#include "cache-table.h"

struct node {
    struct bench_key key;
    uint64_t value[2];
};

struct ck_table {
    ck_hs_t hash;
    struct node *nodes;
    uint32_t n, used, slots;
};

static unsigned long hash_of(const void *object, unsigned long seed)
{
    (void)seed;
    return bench_crc(object);
}

static bool same(const void *a, const void *b)
{
    return !memcmp(a, b, sizeof(struct bench_key));
}

static void *take(size_t size)
{
    return malloc(size);
}

static void give(void *p, size_t size, bool defer)
{
    (void)size;
    (void)defer;
    free(p);
}

static struct ck_malloc allocator = {.malloc = take, .free = give};

static void *create(uint32_t n)
{
    struct ck_table *table = calloc(1, sizeof(*table));
    table->n = n;
    table->slots = n < 16 ? 32 : 2u << (32 - __builtin_clz(n - 1));
    table->nodes = calloc(n, sizeof(*table->nodes));
    if (!ck_hs_init(&table->hash, CK_HS_MODE_SPMC | CK_HS_MODE_OBJECT, hash_of, same, &allocator,
                    table->slots, 0)) {
        free(table->nodes);
        free(table);
        return NULL;
    }
    return table;
}

static void destroy(void *p)
{
    struct ck_table *table = p;
    ck_hs_destroy(&table->hash);
    free(table->nodes);
    free(table);
}

static uint32_t insert(void *p, uint32_t from, uint32_t n)
{
    struct ck_table *table = p;
    uint32_t taken = 0;
    for (uint32_t i = from; i < from + n && table->used < table->n; i++) {
        struct node *node = &table->nodes[table->used++];
        node->key = bench_key(i);
        node->value[0] = 1;
        taken += ck_hs_put(&table->hash, CK_HS_HASH(&table->hash, hash_of, node), node);
    }
    return taken;
}

static uint64_t single(void *p, const struct bench_walk *walk)
{
    struct ck_table *table = p;
    uint64_t hits = 0, random = walk->random;
    for (uint64_t k = 0; k < walk->n; k++) {
        struct bench_key key = bench_key(walk->from + bench_below(&random, walk->reach));
        const struct node *node =
            ck_hs_get(&table->hash, CK_HS_HASH(&table->hash, hash_of, &key), &key);
        if (node)
            hits += node->value[0];
    }
    return hits;
}

static double load(void *p)
{
    struct ck_table *table = p;
    return (double)table->used / table->slots;
}

static double bytes(void *p)
{
    return sizeof(struct node) + sizeof(void *) / load(p);
}

const struct bench_ops bench_ck = {
    .name = "ck_hs",
    .create = create,
    .destroy = destroy,
    .insert = insert,
    .single = single,
    .load = load,
    .bytes = bytes,
};
