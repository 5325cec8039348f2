// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "mem/cache.h"

#include <stdlib.h>
#include <sys/mman.h>

#define SETS 1024u
#define WAYS 4u

struct xm_cache_slot {
    uint64_t gpa;
    uint64_t epoch; /* valid when equal to the cache's; 0 never is */
    bool open;      /* between reserve and commit */
};

struct xm_cache {
    uint64_t epoch; /* from 1; 64 bits do not wrap */
    uint8_t *data;  /* SETS * WAYS pages */
    uint8_t next[SETS];
    struct xm_cache_slot slot[SETS][WAYS];
};

struct xm_cache *xm_cache_new(void)
{
    struct xm_cache *cache = calloc(1, sizeof(*cache));
    if (!cache)
        return NULL;
    cache->epoch = 1;
    cache->data = mmap(NULL, (size_t)SETS * WAYS * XM_PAGE, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (cache->data == MAP_FAILED) {
        free(cache);
        return NULL;
    }
    return cache;
}

void xm_cache_free(struct xm_cache *cache)
{
    if (!cache)
        return;
    munmap(cache->data, (size_t)SETS * WAYS * XM_PAGE);
    free(cache);
}

static size_t set_of(uint64_t gpa)
{
    return (gpa / XM_PAGE) % SETS;
}

uint8_t *xm_cache_data(struct xm_cache *cache, const struct xm_cache_slot *slot)
{
    return cache->data + (size_t)(slot - &cache->slot[0][0]) * XM_PAGE;
}

const uint8_t *xm_cache_find(const struct xm_cache *cache, uint64_t gpa)
{
    const struct xm_cache_slot *set = cache->slot[set_of(gpa)];
    for (size_t way = 0; way < WAYS; way++)
        if (set[way].gpa == gpa && set[way].epoch == cache->epoch && !set[way].open)
            return cache->data + (size_t)(&set[way] - &cache->slot[0][0]) * XM_PAGE;
    return NULL;
}

struct xm_cache_slot *xm_cache_reserve(struct xm_cache *cache, uint64_t gpa)
{
    size_t set = set_of(gpa);
    for (size_t way = 0; way < WAYS; way++)
        if (cache->slot[set][way].gpa == gpa && cache->slot[set][way].open)
            return NULL;
    for (size_t tries = 0; tries < WAYS; tries++) {
        struct xm_cache_slot *slot = &cache->slot[set][cache->next[set]++ % WAYS];
        if (slot->open)
            continue;
        *slot = (struct xm_cache_slot){.gpa = gpa, .open = true};
        return slot;
    }
    return NULL;
}

void xm_cache_commit(struct xm_cache *cache, struct xm_cache_slot *slot)
{
    slot->epoch = cache->epoch;
    slot->open = false;
}

void xm_cache_drop(struct xm_cache_slot *slot)
{
    slot->open = false; /* its epoch is 0 */
}

void xm_cache_new_epoch(struct xm_cache *cache)
{
    cache->epoch++;
}
