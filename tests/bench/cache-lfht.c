// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* liburcu's rculfhash under QSBR, the flavour whose readers pay nothing. */
#define _LGPL_SOURCE
#include <urcu/urcu-qsbr.h>

#include <urcu/rculfhash.h>

#include "cache-table.h"

struct node {
    struct cds_lfht_node link;
    struct bench_key key;
    uint64_t value[2];
};

struct lfht_table {
    struct cds_lfht *hash;
    struct node *nodes;
    uint32_t n, used, buckets;
};

static void *create(uint32_t n)
{
    static bool registered;
    if (!registered)
        urcu_qsbr_register_thread();
    registered = true;
    struct lfht_table *table = calloc(1, sizeof(*table));
    table->n = n;
    table->buckets = n < 16 ? 16 : 1u << (32 - __builtin_clz(n - 1));
    table->nodes = calloc(n, sizeof(*table->nodes));
    table->hash = cds_lfht_new_flavor(table->buckets, table->buckets, table->buckets, 0,
                                      &urcu_qsbr_flavor, NULL);
    return table;
}

static void destroy(void *p)
{
    struct lfht_table *table = p;
    for (uint32_t i = 0; i < table->used; i++)
        cds_lfht_del(table->hash, &table->nodes[i].link);
    urcu_qsbr_synchronize_rcu();
    cds_lfht_destroy(table->hash, NULL);
    free(table->nodes);
    free(table);
}

static int same(struct cds_lfht_node *link, const void *key)
{
    struct node *node = caa_container_of(link, struct node, link);
    return !memcmp(&node->key, key, sizeof(node->key));
}

static uint32_t insert(void *p, uint32_t from, uint32_t n)
{
    struct lfht_table *table = p;
    uint32_t i = 0;
    for (; i < n && table->used < table->n; i++) {
        struct node *node = &table->nodes[table->used++];
        node->key = bench_key(from + i);
        node->value[0] = 1;
        cds_lfht_add_unique(table->hash, bench_crc(&node->key), same, &node->key, &node->link);
    }
    return i;
}

static uint64_t single(void *p, const struct bench_walk *walk)
{
    struct lfht_table *table = p;
    uint64_t hits = 0, random = walk->random;
    for (uint64_t k = 0; k < walk->n; k++) {
        struct bench_key key = bench_key(walk->from + bench_below(&random, walk->reach));
        struct cds_lfht_iter iter;
        urcu_qsbr_read_lock();
        cds_lfht_lookup(table->hash, bench_crc(&key), same, &key, &iter);
        struct cds_lfht_node *link = cds_lfht_iter_get_node(&iter);
        if (link)
            hits += caa_container_of(link, struct node, link)->value[0];
        urcu_qsbr_read_unlock();
    }
    urcu_qsbr_quiescent_state();
    return hits;
}

static double load(void *p)
{
    struct lfht_table *table = p;
    return (double)table->used / table->buckets;
}

static double bytes(void *p)
{
    return sizeof(struct node) + sizeof(struct cds_lfht_node) / load(p);
}

const struct bench_ops bench_lfht = {
    .name = "rculfhash",
    .create = create,
    .destroy = destroy,
    .insert = insert,
    .single = single,
    .load = load,
    .bytes = bytes,
};
