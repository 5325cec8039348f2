// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <stdlib.h>
#include <string.h>

#include "base/vec.h"
#include "filter/set.h"

bool xf_set_add_number(struct xf_set *set, uint64_t lo, uint64_t hi)
{
    struct xf_range range = {lo, hi};
    return xb_vec_push(&set->numbers, range);
}

bool xf_set_add_addr(struct xf_set *set, unsigned family, struct xf_addr_range range)
{
    return family == 2 ? xb_vec_push(&set->v4, range) : xb_vec_push(&set->v6, range);
}

bool xf_set_add_text(struct xf_set *set, const char *text)
{
    struct xf_text entry = {.text = text, .len = strlen(text)};
    entry.hash = xf_text_hash(text, entry.len);
    return xb_vec_push(&set->texts, entry);
}

bool xf_set_add_glob(struct xf_set *set, struct xf_glob *glob)
{
    if (xb_vec_push(&set->globs, glob))
        return true;
    free(glob);
    return false;
}

void xf_set_fini(struct xf_set *set)
{
    for (size_t i = 0; i < set->globs.n; i++)
        free(set->globs.v[i]);
    free(set->globs.v);
    free(set->texts.v);
    free(set->numbers.v);
    free(set->v4.v);
    free(set->v6.v);
}

/* ---- sealing ---- */

static int compare_u64(uint64_t a, uint64_t b)
{
    return a < b ? -1 : a > b;
}

static int compare_addr(struct xf_addr a, struct xf_addr b)
{
    return a.hi != b.hi ? compare_u64(a.hi, b.hi) : compare_u64(a.lo, b.lo);
}

static int by_number(const void *a, const void *b)
{
    return compare_u64(((const struct xf_range *)a)->lo, ((const struct xf_range *)b)->lo);
}

static int by_addr(const void *a, const void *b)
{
    return compare_addr(((const struct xf_addr_range *)a)->lo,
                        ((const struct xf_addr_range *)b)->lo);
}

/* Sort, and join what overlaps. */
static void seal_numbers(struct xf_set *set)
{
    struct xf_range *v = set->numbers.v;
    size_t n = 0;
    if (!set->numbers.n)
        return;
    qsort(v, set->numbers.n, sizeof(*v), by_number);
    for (size_t i = 1; i < set->numbers.n; i++)
        if (v[i].lo > v[n].hi)
            v[++n] = v[i];
        else if (v[i].hi > v[n].hi)
            v[n].hi = v[i].hi;
    set->numbers.n = n + 1;
}

static size_t seal_addrs(struct xf_addr_range *v, size_t count)
{
    size_t n = 0;
    if (!count)
        return 0;
    qsort(v, count, sizeof(*v), by_addr);
    for (size_t i = 1; i < count; i++)
        if (compare_addr(v[i].lo, v[n].hi) > 0)
            v[++n] = v[i];
        else if (compare_addr(v[i].hi, v[n].hi) > 0)
            v[n].hi = v[i].hi;
    return n + 1;
}

static struct xf_text *find_slot(struct xf_text *table, size_t cap, const char *text, size_t len,
                                 uint64_t hash)
{
    for (size_t i = (size_t)hash;; i++) {
        struct xf_text *slot = &table[i & (cap - 1)];
        if (!slot->text ||
            (slot->hash == hash && slot->len == len && !memcmp(slot->text, text, len)))
            return slot;
    }
}

static bool seal_texts(struct xf_set *set)
{
    size_t cap = 2;
    if (!set->texts.n)
        return true;
    while (cap < set->texts.n * 2)
        cap *= 2;
    struct xf_text *table = calloc(cap, sizeof(*table));
    if (!table)
        return false;
    for (size_t i = 0; i < set->texts.n; i++) {
        struct xf_text *t = &set->texts.v[i];
        *find_slot(table, cap, t->text, t->len, t->hash) = *t;
    }
    free(set->texts.v);
    set->texts.v = table;
    set->texts.cap = cap;
    return true;
}

bool xf_set_seal(struct xf_set *set)
{
    seal_numbers(set);
    set->v4.n = seal_addrs(set->v4.v, set->v4.n);
    set->v6.n = seal_addrs(set->v6.v, set->v6.n);
    return seal_texts(set);
}

/* ---- asking ---- */

/* FNV-1a. Not keyed: whoever chooses the text does not choose what is in the table. */
uint64_t xf_text_hash(const char *text, size_t len)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ (unsigned char)text[i]) * 0x100000001b3u;
    return hash ^ hash >> 32;
}

struct xf_addr xf_addr_load(unsigned family, const uint8_t bytes[16])
{
    struct xf_addr addr = {0};
    if (family == 2) {
        for (unsigned i = 0; i < 4; i++)
            addr.lo = addr.lo << 8 | bytes[i];
        return addr;
    }
    for (unsigned i = 0; i < 8; i++) {
        addr.hi = addr.hi << 8 | bytes[i];
        addr.lo = addr.lo << 8 | bytes[8 + i];
    }
    return addr;
}

bool xf_set_has_number(const struct xf_set *set, uint64_t number)
{
    size_t lo = 0, hi = set->numbers.n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (number > set->numbers.v[mid].hi)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < set->numbers.n && number >= set->numbers.v[lo].lo;
}

bool xf_set_has_addr(const struct xf_set *set, unsigned family, struct xf_addr addr)
{
    const struct xf_addr_range *v = family == 2 ? set->v4.v : set->v6.v;
    size_t n = family == 2 ? set->v4.n : set->v6.n, lo = 0, hi = n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (compare_addr(addr, v[mid].hi) > 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < n && compare_addr(addr, v[lo].lo) >= 0;
}

bool xf_set_has_text(const struct xf_set *set, const char *text, size_t len, uint64_t hash)
{
    if (set->texts.n && find_slot(set->texts.v, set->texts.cap, text, len, hash)->text)
        return true;
    for (size_t i = 0; i < set->globs.n; i++)
        if (xf_glob_match(set->globs.v[i], text, len))
            return true;
    return false;
}
