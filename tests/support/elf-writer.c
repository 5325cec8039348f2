// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "support/elf-writer.h"

void elf_writer_init(struct elf_writer *w)
{
    memset(w, 0, sizeof(*w));
    w->type = ET_EXEC;
    w->machine = EM_X86_64;
    w->n = 1;
    w->names_len = 1;
    w->strings_len = 1;
    w->n_symbols = 1;
    w->first_global = 1;
}

static uint32_t add_text(char *pool, size_t size, size_t *len, const char *text)
{
    size_t at = *len, n = strlen(text) + 1;
    assert(n <= size - at);
    memcpy(pool + at, text, n);
    *len += n;
    return (uint32_t)at;
}

Elf64_Shdr *elf_writer_section(struct elf_writer *w, const char *name, Elf64_Word type,
                               Elf64_Xword flags, Elf64_Addr addr, const void *data, size_t size)
{
    assert(w->n < ELF_WRITER_SECTIONS);
    Elf64_Shdr *h = &w->sections[w->n];
    *h = (Elf64_Shdr){.sh_name = add_text(w->names, sizeof(w->names), &w->names_len, name),
                      .sh_type = type,
                      .sh_flags = flags,
                      .sh_addr = addr,
                      .sh_size = size,
                      .sh_addralign = 1};
    w->data[w->n] = malloc(size + 1);
    assert(w->data[w->n]);
    memcpy(w->data[w->n++], data, size);
    return h;
}

/* RFC 1950 and 1951: one stored block. */
static size_t zlib_store(uint8_t *out, const uint8_t *data, size_t size)
{
    assert(size <= 0xffff);
    const uint8_t head[] = {
        0x78, 0x01, 1, size & 0xff, size >> 8 & 0xff, ~size & 0xff, ~size >> 8 & 0xff};
    memcpy(out, head, sizeof(head));
    memcpy(out + sizeof(head), data, size);
    uint32_t a = 1, b = 0;
    for (size_t i = 0; i < size; i++) {
        a = (a + data[i]) % 65521;
        b = (b + a) % 65521;
    }
    const uint8_t adler[] = {b >> 8 & 0xff, b & 0xff, a >> 8 & 0xff, a & 0xff};
    memcpy(out + sizeof(head) + size, adler, sizeof(adler));
    return sizeof(head) + size + sizeof(adler);
}

void elf_writer_compressed(struct elf_writer *w, const char *name, const void *data, size_t size,
                           uint64_t claim)
{
    static uint8_t buffer[sizeof(Elf64_Chdr) + (1 << 16) + 16];
    Elf64_Chdr h = {.ch_type = ELFCOMPRESS_ZLIB, .ch_size = claim, .ch_addralign = 1};
    memcpy(buffer, &h, sizeof(h));
    size_t n = sizeof(h) + zlib_store(buffer + sizeof(h), data, size);
    Elf64_Shdr *section = elf_writer_section(w, name, SHT_PROGBITS, SHF_COMPRESSED, 0, buffer, n);
    section->sh_addralign = 8;
}

void elf_writer_build_id(struct elf_writer *w, const void *id, size_t len)
{
    uint8_t note[256] = {0};
    Elf64_Nhdr h = {.n_namesz = 4, .n_descsz = (Elf64_Word)len, .n_type = NT_GNU_BUILD_ID};
    assert(len <= sizeof(note) - sizeof(h) - 8);
    memcpy(note, &h, sizeof(h));
    memcpy(note + sizeof(h), "GNU", 4);
    memcpy(note + sizeof(h) + 4, id, len);
    Elf64_Shdr *section = elf_writer_section(w, ".notes", SHT_NOTE, SHF_ALLOC, 0, note,
                                             sizeof(h) + 4 + (len + 3) / 4 * 4);
    section->sh_addralign = 4;
}

void elf_writer_symbol(struct elf_writer *w, const char *name, unsigned char bind,
                       Elf64_Half section, uint64_t value)
{
    assert(w->n_symbols < sizeof(w->symbols) / sizeof(w->symbols[0]));
    w->symbols[w->n_symbols++] =
        (Elf64_Sym){.st_name = add_text(w->strings, sizeof(w->strings), &w->strings_len, name),
                    .st_info = (unsigned char)ELF64_ST_INFO(bind, STT_OBJECT),
                    .st_shndx = section,
                    .st_value = value};
    if (bind == STB_LOCAL)
        w->first_global = w->n_symbols;
}

static void add_symtab(struct elf_writer *w)
{
    if (w->n_symbols == 1)
        return;
    Elf64_Shdr *h = elf_writer_section(w, ".symtab", SHT_SYMTAB, 0, 0, w->symbols,
                                       w->n_symbols * sizeof(w->symbols[0]));
    h->sh_link = w->n;
    h->sh_info = w->first_global;
    h->sh_entsize = sizeof(Elf64_Sym);
    h->sh_addralign = 8;
    elf_writer_section(w, ".strtab", SHT_STRTAB, 0, 0, w->strings, w->strings_len);
}

void *elf_writer_finish(struct elf_writer *w, size_t *size)
{
    add_symtab(w);
    Elf64_Shdr *names = elf_writer_section(w, ".shstrtab", SHT_STRTAB, 0, 0, "", 0);
    free(w->data[w->n - 1]);
    w->data[w->n - 1] = malloc(w->names_len);
    assert(w->data[w->n - 1]);
    memcpy(w->data[w->n - 1], w->names, w->names_len);
    names->sh_size = w->names_len;

    size_t at = sizeof(Elf64_Ehdr);
    for (unsigned int i = 1; i < w->n; i++) {
        at = (at + 15) / 16 * 16;
        w->sections[i].sh_offset = at;
        at += w->sections[i].sh_type == SHT_NOBITS ? 0 : w->sections[i].sh_size;
    }
    size_t table = (at + 15) / 16 * 16;
    *size = table + w->n * sizeof(w->sections[0]);
    uint8_t *file = calloc(1, *size);
    assert(file);
    Elf64_Ehdr h = {
        .e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
        .e_type = w->type,
        .e_machine = w->machine,
        .e_version = EV_CURRENT,
        .e_shoff = table,
        .e_ehsize = sizeof(h),
        .e_shentsize = sizeof(Elf64_Shdr),
        .e_shnum = (Elf64_Half)w->n,
        .e_shstrndx = (Elf64_Half)(w->n - 1)};
    memcpy(file, &h, sizeof(h));
    for (unsigned int i = 1; i < w->n; i++) {
        if (w->sections[i].sh_type != SHT_NOBITS)
            memcpy(file + w->sections[i].sh_offset, w->data[i], w->sections[i].sh_size);
        free(w->data[i]);
    }
    memcpy(file + table, w->sections, w->n * sizeof(w->sections[0]));
    return file;
}
