/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XB_ARENA_H
#define XB_ARENA_H

/* Memory that is given back all at once: what belongs together lives and dies together. */

#include <stdalign.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

struct xb_arena_chunk {
    struct xb_arena_chunk *next;
    alignas(max_align_t) char bytes[];
};

/* Zero it before use. */
struct xb_arena {
    struct xb_arena_chunk *chunks;
    size_t used, cap; /* of the newest chunk */
};

/* Zeroed memory, NULL when the host has none. */
static inline void *xb_arena_alloc(struct xb_arena *arena, size_t size)
{
    const size_t chunk = 64 << 10, align = alignof(max_align_t);
    if (size > SIZE_MAX / 2)
        return NULL;
    size = (size + align - 1) & ~(align - 1);
    if (size > arena->cap - arena->used) {
        size_t cap = size > chunk ? size : chunk;
        struct xb_arena_chunk *c = malloc(sizeof(*c) + cap);
        if (!c)
            return NULL;
        c->next = arena->chunks;
        arena->chunks = c;
        arena->used = 0;
        arena->cap = cap;
    }
    void *p = arena->chunks->bytes + arena->used;
    arena->used += size;
    return memset(p, 0, size);
}

/* A copy with a NUL behind it. */
static inline char *xb_arena_text(struct xb_arena *arena, const char *text, size_t len)
{
    char *copy = xb_arena_alloc(arena, len + 1);
    if (copy && len)
        memcpy(copy, text, len);
    return copy;
}

/* Forget what was allocated; the newest chunk is kept for what comes. */
static inline void xb_arena_reset(struct xb_arena *arena)
{
    while (arena->chunks && arena->chunks->next) {
        struct xb_arena_chunk *next = arena->chunks->next;
        arena->chunks->next = next->next;
        free(next);
    }
    arena->used = 0;
}

static inline void xb_arena_fini(struct xb_arena *arena)
{
    while (arena->chunks) {
        struct xb_arena_chunk *next = arena->chunks->next;
        free(arena->chunks);
        arena->chunks = next;
    }
    arena->used = arena->cap = 0;
}

#endif
