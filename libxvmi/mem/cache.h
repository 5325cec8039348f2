/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XM_CACHE_H
#define XM_CACHE_H

/*
 * Copies of guest pages, for backends that cannot map. Bounded: 4096 pages (16 MiB, touched
 * only as far as used), 4 ways, the oldest way of a full set goes. A page is valid in the
 * epoch it was read in; a new epoch empties the cache in O(1).
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define XM_PAGE 4096u

struct xm_cache;
struct xm_cache_slot;

struct xm_cache *xm_cache_new(void); /* NULL: out of memory */
void xm_cache_free(struct xm_cache *cache);

/* `gpa` is page-aligned everywhere. NULL when the page is not there. */
const uint8_t *xm_cache_find(const struct xm_cache *cache, uint64_t gpa);

/*
 * Room for a page: fill the slot's data, then commit or drop it. Slots may be open side by
 * side (a batch); NULL when all ways of its set are open, or one is for this very page.
 */
struct xm_cache_slot *xm_cache_reserve(struct xm_cache *cache, uint64_t gpa);
uint8_t *xm_cache_data(struct xm_cache *cache, const struct xm_cache_slot *slot);
void xm_cache_commit(struct xm_cache *cache, struct xm_cache_slot *slot);
void xm_cache_drop(struct xm_cache_slot *slot);

void xm_cache_new_epoch(struct xm_cache *cache);

#endif
