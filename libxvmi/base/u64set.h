/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XB_U64SET_H
#define XB_U64SET_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

/* A growing set of numbers other than 0 (addresses): which objects a walk has seen. Zero it
 * before use, free(set.slots) after. */
struct xb_u64set {
    uint64_t *slots; /* 0: empty */
    size_t n, cap;   /* cap is a power of two */
};

static inline size_t xb_u64set_slot(const struct xb_u64set *set, uint64_t value)
{
    size_t i = (size_t)(value * 0x9e3779b97f4a7c15u >> 20);
    while (set->slots[i & (set->cap - 1)] && set->slots[i & (set->cap - 1)] != value)
        i++;
    return i & (set->cap - 1);
}

static inline bool xb_u64set_grow(struct xb_u64set *set)
{
    struct xb_u64set grown = {.n = set->n, .cap = set->cap ? set->cap * 2 : 64};
    grown.slots = calloc(grown.cap, sizeof(*grown.slots));
    if (!grown.slots)
        return false;
    for (size_t i = 0; i < set->cap; i++)
        if (set->slots[i])
            grown.slots[xb_u64set_slot(&grown, set->slots[i])] = set->slots[i];
    free(set->slots);
    *set = grown;
    return true;
}

/* 1: added, 0: it was there, -1: out of memory. */
static inline int xb_u64set_add(struct xb_u64set *set, uint64_t value)
{
    if (set->n * 2 >= set->cap && !xb_u64set_grow(set))
        return -1;
    size_t i = xb_u64set_slot(set, value);
    if (set->slots[i])
        return 0;
    set->slots[i] = value;
    set->n++;
    return 1;
}

static inline bool xb_u64set_has(const struct xb_u64set *set, uint64_t value)
{
    return set->cap && set->slots[xb_u64set_slot(set, value)];
}

#endif
