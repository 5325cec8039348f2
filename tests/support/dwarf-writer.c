// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "support/dwarf-writer.h"

static void put(struct dwarf_writer_section *s, const void *data, size_t n)
{
    assert(n <= sizeof(s->p) - s->n);
    memcpy(s->p + s->n, data, n);
    s->n += n;
}

static void put_fixed(struct dwarf_writer_section *s, uint64_t v, size_t n)
{
    put(s, &v, n);
}

static void put_leb(struct dwarf_writer_section *s, uint64_t v)
{
    do {
        uint8_t byte = v & 0x7f;
        v >>= 7;
        put_fixed(s, byte | (v ? 0x80 : 0), 1);
    } while (v);
}

static void put_sleb(struct dwarf_writer_section *s, int64_t v)
{
    for (;;) {
        uint8_t byte = v & 0x7f;
        v >>= 7;
        bool last = (v == 0 && !(byte & 0x40)) || (v == -1 && (byte & 0x40));
        put_fixed(s, byte | (last ? 0 : 0x80), 1);
        if (last)
            return;
    }
}

static size_t put_text(struct dwarf_writer_section *s, const char *text)
{
    size_t at = s->n;
    put(s, text, strlen(text) + 1);
    return at;
}

static unsigned int offset_size(const struct dwarf_writer *w)
{
    return w->wide ? 8 : 4;
}

void dwarf_writer_init(struct dwarf_writer *w, unsigned int version)
{
    memset(w, 0, sizeof(*w));
    w->version = version;
    elf_writer_init(&w->elf);
    put_text(&w->str, "");
    put_text(&w->line_str, "");
    /* The header of .debug_str_offsets; its length is not looked at. */
    put_fixed(&w->str_offsets, 0, 8);
}

static void close_abbrev(struct dwarf_writer *w)
{
    if (w->abbrev_open)
        put_fixed(&w->abbrev, 0, 2);
    w->abbrev_open = false;
}

static void attribute(struct dwarf_writer *w, unsigned int attribute, unsigned int form)
{
    put_leb(&w->abbrev, attribute);
    put_leb(&w->abbrev, form);
}

void dwarf_writer_unit(struct dwarf_writer *w, const char *name)
{
    w->unit = w->info.n;
    w->abbrev_unit = w->abbrev.n;
    w->code = 0;
    if (w->wide)
        put_fixed(&w->info, 0xffffffff, 4);
    put_fixed(&w->info, 0, offset_size(w));
    put_fixed(&w->info, w->version, 2);
    if (w->version >= 5) {
        put_fixed(&w->info, DW_UT_compile, 1);
        put_fixed(&w->info, 8, 1);
    }
    put_fixed(&w->info, w->abbrev_unit, offset_size(w));
    if (w->version < 5)
        put_fixed(&w->info, 8, 1);
    dwarf_writer_die(w, 0, DW_TAG_compile_unit, true);
    dwarf_writer_text(w, DW_AT_producer, DW_FORM_strp, "a writer for tests");
    dwarf_writer_text(w, DW_AT_name, w->version >= 5 ? DW_FORM_line_strp : DW_FORM_strp, name);
}

void dwarf_writer_die(struct dwarf_writer *w, unsigned int label, unsigned int tag, bool children)
{
    assert(label < sizeof(w->labels) / sizeof(w->labels[0]));
    close_abbrev(w);
    w->labels[label] = w->info.n;
    put_leb(&w->info, ++w->code);
    put_leb(&w->abbrev, w->code);
    put_leb(&w->abbrev, tag);
    put_fixed(&w->abbrev, children, 1);
    w->abbrev_open = true;
    if (children)
        w->siblings[w->depth++] = 0;
}

void dwarf_writer_end(struct dwarf_writer *w)
{
    assert(w->depth);
    close_abbrev(w);
    put_fixed(&w->info, 0, 1);
    size_t patch = w->siblings[--w->depth];
    uint32_t here = (uint32_t)(w->info.n - w->unit);
    if (patch)
        memcpy(w->info.p + patch, &here, sizeof(here));
}

void dwarf_writer_unit_end(struct dwarf_writer *w)
{
    dwarf_writer_end(w);
    assert(w->depth == 0);
    put_fixed(&w->abbrev, 0, 1);
    size_t at = w->unit + (w->wide ? 4 : 0);
    uint64_t length = w->info.n - at - offset_size(w);
    memcpy(w->info.p + at, &length, offset_size(w));
    for (unsigned int i = 0; i < w->n_refs; i++) {
        uint64_t target = w->labels[w->refs[i].label] - (w->refs[i].whole_section ? 0 : w->unit);
        memcpy(w->info.p + w->refs[i].at, &target, w->refs[i].size);
    }
    w->n_refs = 0;
}

void dwarf_writer_text(struct dwarf_writer *w, unsigned int which, unsigned int form,
                       const char *text)
{
    attribute(w, which, form);
    switch (form) {
    case DW_FORM_string:
        put_text(&w->info, text);
        break;
    case DW_FORM_strp:
        put_fixed(&w->info, put_text(&w->str, text), offset_size(w));
        break;
    case DW_FORM_line_strp:
        put_fixed(&w->info, put_text(&w->line_str, text), offset_size(w));
        break;
    case DW_FORM_strx1:
        put_fixed(&w->info, (w->str_offsets.n - 8) / offset_size(w), 1);
        put_fixed(&w->str_offsets, put_text(&w->str, text), offset_size(w));
        break;
    default:
        assert(!"a form for text");
    }
}

void dwarf_writer_number(struct dwarf_writer *w, unsigned int which, unsigned int form,
                         uint64_t value)
{
    attribute(w, which, form);
    switch (form) {
    case DW_FORM_data1:
    case DW_FORM_flag:
        put_fixed(&w->info, value, 1);
        break;
    case DW_FORM_data2:
        put_fixed(&w->info, value, 2);
        break;
    case DW_FORM_data4:
        put_fixed(&w->info, value, 4);
        break;
    case DW_FORM_data8:
        put_fixed(&w->info, value, 8);
        break;
    case DW_FORM_sec_offset:
        put_fixed(&w->info, value, offset_size(w));
        break;
    case DW_FORM_udata:
        put_leb(&w->info, value);
        break;
    case DW_FORM_sdata:
        put_sleb(&w->info, (int64_t)value);
        break;
    case DW_FORM_implicit_const:
        put_sleb(&w->abbrev, (int64_t)value);
        break;
    case DW_FORM_flag_present:
        break;
    default:
        assert(!"a form for numbers");
    }
}

void dwarf_writer_block(struct dwarf_writer *w, unsigned int which, unsigned int form,
                        const void *data, size_t n)
{
    attribute(w, which, form);
    if (form == DW_FORM_block1)
        put_fixed(&w->info, n, 1);
    else
        put_leb(&w->info, n);
    put(&w->info, data, n);
}

void dwarf_writer_ref(struct dwarf_writer *w, unsigned int which, unsigned int form,
                      unsigned int label)
{
    unsigned int size = form == DW_FORM_ref_addr ? offset_size(w) : form == DW_FORM_ref4 ? 4 : 8;
    attribute(w, which, form);
    assert(w->n_refs < sizeof(w->refs) / sizeof(w->refs[0]));
    w->refs[w->n_refs].at = w->info.n;
    w->refs[w->n_refs].label = label;
    w->refs[w->n_refs].size = size;
    w->refs[w->n_refs++].whole_section = form == DW_FORM_ref_addr;
    put_fixed(&w->info, 0, size);
}

void dwarf_writer_sibling(struct dwarf_writer *w)
{
    attribute(w, DW_AT_sibling, DW_FORM_ref4);
    w->siblings[w->depth - 1] = w->info.n;
    put_fixed(&w->info, 0, 4);
}

static void section(struct dwarf_writer *w, const char *name, const struct dwarf_writer_section *s)
{
    if (w->compress)
        elf_writer_compressed(&w->elf, name, s->p, s->n, s->n);
    else
        elf_writer_section(&w->elf, name, SHT_PROGBITS, 0, 0, s->p, s->n);
}

void *dwarf_writer_finish(struct dwarf_writer *w, size_t *size)
{
    section(w, ".debug_info", &w->info);
    section(w, ".debug_abbrev", &w->abbrev);
    section(w, ".debug_str", &w->str);
    section(w, ".debug_line_str", &w->line_str);
    section(w, ".debug_str_offsets", &w->str_offsets);
    return elf_writer_finish(&w->elf, size);
}
