/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XL_KALLSYMS_H
#define XL_KALLSYMS_H

/*
 * The symbol table that a running kernel carries (kernel/kallsyms.c, scripts/kallsyms.c).
 *
 * Names are compressed with 256 tokens. The tables moved and changed over the years; which form
 * a kernel has is decided by what its tables look like, never by its version:
 *
 *   < 4.6         absolute addresses: XVMI_ERR_UNSUPPORTED
 *   4.6           32-bit offsets and a base, or (absolute-percpu) negative ones below the base
 *   4.20          32-bit markers
 *   6.1           names of 128 tokens and more have a length of two bytes
 *   6.2           sequence numbers by name, behind markers or at the end: not needed here
 *   6.4           addresses lie behind the token index instead of before the names
 *   7.0           offsets are relative to their own place, no base; tables aligned to 4, not 8
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <xvmi/error.h>

/* Run-time addresses of the tables; zero where not known. */
struct xl_kallsyms_tables {
    uint64_t names, num_syms, token_table, token_index, offsets, relative_base;
};

struct xl_image;
struct xl_kallsyms;

/*
 * Read and check the tables: from `tables` where it names them, and if that leads nowhere (or it
 * is NULL) by their shape in the image. Markers, token index, the order of addresses and the
 * address of _text must agree before anything is believed. `image` is only used during the call.
 *
 * XVMI_ERR_NOT_FOUND: nothing of that shape. XVMI_ERR_UNSUPPORTED: names, but addresses of no
 * known form. XVMI_ERR_LIMIT: memory is so full of look-alikes that the search gave up.
 */
XVMI_CHECKED enum xvmi_status xl_kallsyms_open(const struct xl_image *image,
                                               const struct xl_kallsyms_tables *tables,
                                               struct xl_kallsyms **kallsyms,
                                               struct xvmi_error *err);
void xl_kallsyms_close(struct xl_kallsyms *kallsyms);

size_t xl_kallsyms_count(const struct xl_kallsyms *kallsyms);

/* One symbol. `name` is not terminated and only valid during the call; `type` is as nm(1) prints
 * it; `addr` is the run-time address, for per-CPU symbols of kernels before 6.15 an offset.
 * Return false to stop. */
typedef bool xl_kallsyms_fn(void *arg, const char *name, size_t len, char type, uint64_t addr);

/* All symbols in the table's order, which is by address. Names longer than any kernel allows
 * (512 characters) are left out. */
void xl_kallsyms_each(const struct xl_kallsyms *kallsyms, xl_kallsyms_fn *fn, void *arg);

#endif
