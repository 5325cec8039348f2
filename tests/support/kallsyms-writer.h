/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef KALLSYMS_WRITER_H
#define KALLSYMS_WRITER_H

/*
 * Writes kallsyms tables as scripts/kallsyms.c lays them out, in the forms of all kernels.
 *
 *     struct kallsyms_writer w;
 *     kallsyms_writer_init(&w, &kallsyms_6_1);
 *     kallsyms_writer_add(&w, 'T', "_text", text);
 *     ...in order of address, per-CPU symbols (below 2^31) first
 *     kallsyms_writer_fill(&w, 1200, text);
 *     size_t end = kallsyms_writer_finish(&w, ram, room, gva_of_ram, base, &tables);
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "os/linux/kallsyms.h"

enum kallsyms_addresses { KALLSYMS_PERCPU, KALLSYMS_BASE, KALLSYMS_PLACE };

struct kallsyms_form {
    const char *since;
    unsigned marker_size; /* 8 or 4 */
    bool wide;            /* lengths of two bytes */
    bool seqs;            /* sequence numbers behind the markers */
    bool behind;          /* addresses behind the token index */
    enum kallsyms_addresses addresses;
    unsigned align;
};

extern const struct kallsyms_form kallsyms_forms[];
extern const size_t kallsyms_forms_n;

#define KALLSYMS_WRITER_MAX 4096

struct kallsyms_writer {
    const struct kallsyms_form *form;
    struct {
        char name[300]; /* type first */
        uint64_t addr;
    } symbols[KALLSYMS_WRITER_MAX];
    uint32_t n;
};

void kallsyms_writer_init(struct kallsyms_writer *w, const struct kallsyms_form *form);
void kallsyms_writer_add(struct kallsyms_writer *w, char type, const char *name, uint64_t addr);
/* `n` symbols filler_0, filler_1, … 16 bytes from each other. */
void kallsyms_writer_fill(struct kallsyms_writer *w, uint32_t n, uint64_t from);

/* Writes the tables to `ram`, which the guest sees at `gva`; `base` is relative_base. Returns how
 * many bytes it took; too little room ends the test program. */
size_t kallsyms_writer_finish(const struct kallsyms_writer *w, uint8_t *ram, size_t room,
                              uint64_t gva, uint64_t base, struct xl_kallsyms_tables *tables);

#endif
