/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef DWARF_WRITER_H
#define DWARF_WRITER_H

/*
 * Makes DWARF for tests, entry by entry. Every entry gets an abbreviation of its own. Entries are
 * referred to by labels, small numbers that the test chooses, before or after they exist.
 *
 *     struct dwarf_writer w;
 *     dwarf_writer_init(&w, 5);
 *     dwarf_writer_unit(&w, "net/ipv4/raw.c");
 *     dwarf_writer_die(&w, 1, DW_TAG_base_type, false);
 *     dwarf_writer_number(&w, DW_AT_byte_size, DW_FORM_data1, 4);
 *     dwarf_writer_die(&w, 0, DW_TAG_structure_type, true);
 *     dwarf_writer_text(&w, DW_AT_name, DW_FORM_strp, "point");
 *     dwarf_writer_sibling(&w);
 *     ... members ...
 *     dwarf_writer_end(&w);        of the struct's children
 *     dwarf_writer_unit_end(&w);
 *     void *file = dwarf_writer_finish(&w, &size);
 */

#include <dwarf.h>
#include <stdbool.h>

#include "support/elf-writer.h"

struct dwarf_writer_section {
    uint8_t p[1 << 16];
    size_t n;
};

struct dwarf_writer {
    struct elf_writer elf; /* more sections and symbols can be added */
    unsigned int version;
    bool wide;     /* 64-bit offsets */
    bool compress; /* .debug_info and .debug_abbrev */
    struct dwarf_writer_section info, abbrev, str, line_str, str_offsets;
    size_t unit, abbrev_unit;
    unsigned int code;
    bool abbrev_open;
    size_t labels[64];
    struct {
        size_t at;
        unsigned int label, size;
        bool whole_section;
    } refs[256];
    unsigned int n_refs;
    size_t siblings[16]; /* where to patch, per open level; 0: none */
    unsigned int depth;
};

void dwarf_writer_init(struct dwarf_writer *w, unsigned int version);
void dwarf_writer_unit(struct dwarf_writer *w, const char *name);
void dwarf_writer_unit_end(struct dwarf_writer *w);

void dwarf_writer_die(struct dwarf_writer *w, unsigned int label, unsigned int tag, bool children);
void dwarf_writer_end(struct dwarf_writer *w);

/* Attributes of the last entry. */
void dwarf_writer_text(struct dwarf_writer *w, unsigned int attribute, unsigned int form,
                       const char *text);
void dwarf_writer_number(struct dwarf_writer *w, unsigned int attribute, unsigned int form,
                         uint64_t value);
void dwarf_writer_block(struct dwarf_writer *w, unsigned int attribute, unsigned int form,
                        const void *data, size_t n);
void dwarf_writer_ref(struct dwarf_writer *w, unsigned int attribute, unsigned int form,
                      unsigned int label);
/* DW_AT_sibling, right for a child-bearing entry once it is ended. */
void dwarf_writer_sibling(struct dwarf_writer *w);

/* A vmlinux with these sections, to be freed by the caller. */
void *dwarf_writer_finish(struct dwarf_writer *w, size_t *size);

#endif
