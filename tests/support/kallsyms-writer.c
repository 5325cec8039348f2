// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "support/kallsyms-writer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct kallsyms_form kallsyms_forms[] = {
    {"4.6", 8, false, false, false, KALLSYMS_PERCPU, 8},
    {"4.20", 4, false, false, false, KALLSYMS_PERCPU, 8},
    {"4.20, one CPU", 4, false, false, false, KALLSYMS_BASE, 8},
    {"6.1", 4, true, false, false, KALLSYMS_PERCPU, 8},
    {"6.2", 4, true, true, false, KALLSYMS_PERCPU, 8},
    {"6.4", 4, true, false, true, KALLSYMS_PERCPU, 8},
    {"6.15", 4, true, false, true, KALLSYMS_BASE, 8},
    {"7.0", 4, true, false, true, KALLSYMS_PLACE, 4},
};
const size_t kallsyms_forms_n = sizeof(kallsyms_forms) / sizeof(kallsyms_forms[0]);

/* Tokens of several characters, in places of characters that no symbol uses. */
static const struct {
    unsigned char code;
    const char *text;
} words[] = {
    {0, "filler_"}, {1, "tfiller"}, {2, "T__"}, {31, "init_"}, {130, "net"}, {255, "task"},
};

struct out {
    uint8_t *ram;
    size_t room, at;
    uint64_t gva;
    unsigned align;
};

static void put(struct out *out, const void *data, size_t len)
{
    if (len > out->room - out->at) {
        fprintf(stderr, "kallsyms-writer: no room\n");
        abort();
    }
    memcpy(out->ram + out->at, data, len);
    out->at += len;
}

static void put_u32(struct out *out, uint32_t v)
{
    put(out, &v, sizeof(v));
}

static void put_u64(struct out *out, uint64_t v)
{
    put(out, &v, sizeof(v));
}

static void align(struct out *out, unsigned to)
{
    while ((out->gva + out->at) % to)
        put(out, "", 1);
}

/* A table begins here. */
static uint64_t label(struct out *out)
{
    align(out, out->align);
    return out->gva + out->at;
}

void kallsyms_writer_init(struct kallsyms_writer *w, const struct kallsyms_form *form)
{
    w->form = form;
    w->n = 0;
}

void kallsyms_writer_add(struct kallsyms_writer *w, char type, const char *name, uint64_t addr)
{
    if (w->n == KALLSYMS_WRITER_MAX)
        abort();
    w->symbols[w->n].addr = addr;
    snprintf(w->symbols[w->n++].name, sizeof(w->symbols[0].name), "%c%s", type, name);
}

void kallsyms_writer_fill(struct kallsyms_writer *w, uint32_t n, uint64_t from)
{
    for (uint32_t i = 0; i < n; i++) {
        char name[32];
        snprintf(name, sizeof(name), "filler_%u", i);
        kallsyms_writer_add(w, 't', name, from + 16 * i);
    }
}

static size_t compress(const char *name, uint8_t *code)
{
    size_t n = 0;
    while (*name) {
        size_t len = 1;
        code[n] = (uint8_t)*name;
        for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
            if (strncmp(name, words[i].text, strlen(words[i].text)) == 0) {
                code[n] = words[i].code;
                len = strlen(words[i].text);
                break;
            }
        }
        name += len;
        n++;
    }
    return n;
}

static void put_names(struct out *out, const struct kallsyms_writer *w, uint32_t *markers)
{
    size_t start = out->at;
    for (uint32_t i = 0; i < w->n; i++) {
        uint8_t code[300], length[2];
        size_t n = compress(w->symbols[i].name, code);
        if (i % 256 == 0)
            markers[i / 256] = (uint32_t)(out->at - start);
        length[0] = (uint8_t)(w->form->wide && n > 127 ? (n & 0x7f) | 0x80 : n);
        length[1] = (uint8_t)(n >> 7);
        put(out, length, w->form->wide && n > 127 ? 2 : 1);
        put(out, code, n);
    }
}

static void put_tokens(struct out *out, struct xl_kallsyms_tables *tables)
{
    uint16_t index[256];
    tables->token_table = label(out);
    for (unsigned i = 0; i < 256; i++) {
        char text[16] = {i > ' ' && i < 0x7f ? (char)i : 0};
        for (size_t j = 0; j < sizeof(words) / sizeof(words[0]); j++)
            if (words[j].code == i)
                strcpy(text, words[j].text);
        index[i] = (uint16_t)(out->gva + out->at - tables->token_table);
        put(out, text, strlen(text) + 1);
    }
    tables->token_index = label(out);
    put(out, index, sizeof(index));
}

static void put_addresses(struct out *out, const struct kallsyms_writer *w, uint64_t base,
                          struct xl_kallsyms_tables *tables)
{
    tables->offsets = label(out);
    for (uint32_t i = 0; i < w->n; i++) {
        uint64_t addr = w->symbols[i].addr;
        if (w->form->addresses == KALLSYMS_PLACE)
            put_u32(out, (uint32_t)(addr - (out->gva + out->at)));
        else if (w->form->addresses == KALLSYMS_BASE)
            put_u32(out, (uint32_t)(addr - base));
        else
            put_u32(out, addr >> 31 ? (uint32_t)(base - 1 - addr) : (uint32_t)addr);
    }
    if (w->form->addresses == KALLSYMS_PLACE)
        return;
    tables->relative_base = label(out);
    put_u64(out, base);
}

size_t kallsyms_writer_finish(const struct kallsyms_writer *w, uint8_t *ram, size_t room,
                              uint64_t gva, uint64_t base, struct xl_kallsyms_tables *tables)
{
    struct out out = {ram, room, 0, gva, w->form->align};
    uint32_t markers[KALLSYMS_WRITER_MAX / 256 + 1];
    *tables = (struct xl_kallsyms_tables){0};
    if (!w->form->behind)
        put_addresses(&out, w, base, tables);
    tables->num_syms = label(&out);
    put_u32(&out, w->n);
    tables->names = label(&out);
    put_names(&out, w, markers);
    label(&out);
    for (uint32_t i = 0; i < (w->n + 255) / 256; i++)
        put(&out, (uint64_t[]){markers[i]}, w->form->marker_size);
    if (w->form->seqs) {
        label(&out);
        for (uint32_t i = 0; i < w->n; i++)
            put(&out, (uint32_t[]){i * 7}, 3);
    }
    put_tokens(&out, tables);
    if (w->form->behind)
        put_addresses(&out, w, base, tables);
    return out.at;
}
