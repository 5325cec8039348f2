/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XT_NAMES_H
#define XT_NAMES_H

/*
 * A small set of wanted names, asked for each of some 100,000 names that a kernel has: most
 * answers are "no" and must be cheap. The strings are borrowed.
 */

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct xt_name {
    const char *text;
    size_t len; /* 0: free */
    uint32_t value;
};

struct xt_names {
    struct xt_name *slots; /* a power of two of them, at most half full */
    uint32_t mask;
};

/* First and last 8 bytes and the length: kernel names share prefixes, hardly ever all three. */
static inline uint32_t xt_name_hash(const char *text, size_t len)
{
    uint64_t head = 0, tail = 0;
    if (len >= 8) {
        memcpy(&head, text, 8);
        memcpy(&tail, text + len - 8, 8);
    } else {
        for (size_t i = 0; i < len; i++)
            head = head << 8 | (uint8_t)text[i];
    }
    uint64_t h = (head ^ (tail << 29 | tail >> 35) ^ len) * 0x9e3779b97f4a7c15ULL;
    return (uint32_t)(h >> 32);
}

static inline bool xt_names_init(struct xt_names *names, size_t n)
{
    uint32_t size = 16;
    while (size < 2 * n)
        size *= 2;
    names->slots = calloc(size, sizeof(*names->slots));
    names->mask = size - 1;
    return names->slots;
}

static inline void xt_names_fini(struct xt_names *names)
{
    free(names->slots);
}

/* The slot of a name, or the free one where it belongs. */
static inline struct xt_name *xt_names_slot(const struct xt_names *names, const char *text,
                                            size_t len)
{
    for (uint32_t i = xt_name_hash(text, len);; i++) {
        struct xt_name *slot = &names->slots[i & names->mask];
        if (!slot->len || (slot->len == len && memcmp(slot->text, text, len) == 0))
            return slot;
    }
}

/* NULL when the name is not in the set. */
static inline const struct xt_name *xt_names_find(const struct xt_names *names, const char *text,
                                                  size_t len)
{
    const struct xt_name *slot = xt_names_slot(names, text, len);
    return slot->len ? slot : NULL;
}

#endif
