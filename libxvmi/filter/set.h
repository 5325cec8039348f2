/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XF_SET_H
#define XF_SET_H

/*
 * The values of a condition, ready to be compared with: numbers and addresses as sorted ranges
 * that do not touch, literal texts in a hash table, patterns compiled.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "filter/glob.h"

struct xf_range {
    uint64_t lo, hi; /* both included */
};

/* An address as a number; IPv4 in `lo`. */
struct xf_addr {
    uint64_t hi, lo;
};

struct xf_addr_range {
    struct xf_addr lo, hi;
};

struct xf_text {
    const char *text; /* borrowed; NULL: an empty slot */
    uint64_t hash;
    size_t len;
};

struct xf_set {
    struct {
        struct xf_range *v;
        size_t n, cap;
    } numbers;
    struct {
        struct xf_addr_range *v;
        size_t n, cap;
    } v4, v6;
    struct {
        struct xf_text *v; /* first as a list, then as a table of cap = 2^n slots */
        size_t n, cap;
    } texts;
    struct {
        struct xf_glob **v;
        size_t n, cap;
    } globs;
};

/* Fill, then seal, then ask. Zero it before. False: out of memory. */
bool xf_set_add_number(struct xf_set *set, uint64_t lo, uint64_t hi);
bool xf_set_add_addr(struct xf_set *set, unsigned family, struct xf_addr_range range);
bool xf_set_add_text(struct xf_set *set, const char *text);     /* borrowed */
bool xf_set_add_glob(struct xf_set *set, struct xf_glob *glob); /* taken over */
bool xf_set_seal(struct xf_set *set);
void xf_set_fini(struct xf_set *set);

uint64_t xf_text_hash(const char *text, size_t len);
struct xf_addr xf_addr_load(unsigned family, const uint8_t bytes[16]);

bool xf_set_has_number(const struct xf_set *set, uint64_t number);
bool xf_set_has_addr(const struct xf_set *set, unsigned family, struct xf_addr addr);
bool xf_set_has_text(const struct xf_set *set, const char *text, size_t len, uint64_t hash);

#endif
