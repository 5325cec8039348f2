/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XT_DWARF_SCAN_H
#define XT_DWARF_SCAN_H

/*
 * Finds types by name in .debug_info, fast: a kernel has some four million top-level DIEs, of
 * which a hundred are wanted. Attributes are not decoded but stepped over, as the abbreviation
 * says once for all DIEs that use it. What is found is then read by libdwarf (dwarf.c).
 *
 * DWARF 2 to 5, 32- and 64-bit offsets. All sections are untrusted.
 */

#include "type/elf.h"

struct xt_dwarf {
    struct xt_bytes info, abbrev, str, line_str, str_offsets;
    struct xt_bytes addr; /* not read by us: libdwarf insists on it */
};

struct xt_unit {
    size_t at;   /* offset of the unit in .debug_info */
    size_t end;  /* of what follows it */
    size_t dies; /* of its first DIE */
    uint64_t abbrev;
    uint64_t str_base; /* where its part of .debug_str_offsets begins */
    const char *name;  /* its source file; "" when it has none */
    uint8_t version, offset_size, address_size;
    bool skip; /* a type unit or half of a split one: nothing for us */
};

/* An abbreviation prepared for stepping. */
struct xt_abbrev {
    uint16_t tag; /* 0: there is none of this code */
    bool children;
    bool declaration;
    uint32_t steps; /* where its steps begin */
};

struct xt_scan {
    const struct xt_dwarf *dwarf;
    /* The table at offset `loaded`, for units of `loaded_for`: the steps depend on both. */
    uint64_t loaded;
    uint32_t loaded_for;
    struct {
        struct xt_abbrev *v;
        size_t n, cap;
    } abbrevs; /* by code */
    struct {
        uint8_t *v;
        size_t n, cap;
    } steps;
};

struct xt_die {
    size_t at; /* offset in .debug_info */
    uint16_t tag;
    const char *name; /* never NULL */
    size_t name_len;
};

/* Called for each complete named struct and union and, if asked for, each enumerator. Anything
 * but XVMI_OK ends the scan. */
typedef enum xvmi_status xt_die_fn(void *ctx, const struct xt_die *die, struct xvmi_error *err);

void xt_scan_init(struct xt_scan *scan, const struct xt_dwarf *dwarf);
void xt_scan_fini(struct xt_scan *scan);

/* The unit at offset `at` and the name in its first DIE. */
XVMI_CHECKED enum xvmi_status xt_unit_read(const struct xt_dwarf *dwarf, size_t at,
                                           struct xt_unit *unit, struct xvmi_error *err);

XVMI_CHECKED enum xvmi_status xt_unit_scan(struct xt_scan *scan, const struct xt_unit *unit,
                                           bool enumerators, xt_die_fn *fn, void *ctx,
                                           struct xvmi_error *err);

#endif
