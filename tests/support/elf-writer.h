/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef ELF_WRITER_H
#define ELF_WRITER_H

/*
 * Makes 64-bit little-endian ELF files of sections, for tests of whoever reads a vmlinux.
 *
 *     struct elf_writer w;
 *     elf_writer_init(&w);
 *     elf_writer_section(&w, ".BTF", SHT_PROGBITS, 0, 0, blob, size);
 *     void *file = elf_writer_finish(&w, &file_size);
 */

#include <elf.h>
#include <stddef.h>
#include <stdint.h>

#define ELF_WRITER_SECTIONS 32

struct elf_writer {
    Elf64_Half type, machine; /* ET_EXEC, EM_X86_64; to be changed before finish */
    unsigned int n;
    Elf64_Shdr sections[ELF_WRITER_SECTIONS];
    void *data[ELF_WRITER_SECTIONS];
    char names[1024];
    size_t names_len;
    Elf64_Sym symbols[64];
    unsigned int n_symbols, first_global;
    char strings[4096];
    size_t strings_len;
};

void elf_writer_init(struct elf_writer *w);
/* The header of the new section, to be changed before finish. `data` is copied. */
Elf64_Shdr *elf_writer_section(struct elf_writer *w, const char *name, Elf64_Word type,
                               Elf64_Xword flags, Elf64_Addr addr, const void *data, size_t size);
/* A section compressed as SHF_COMPRESSED has it; `claim` is the size that its header states. */
void elf_writer_compressed(struct elf_writer *w, const char *name, const void *data, size_t size,
                           uint64_t claim);
void elf_writer_build_id(struct elf_writer *w, const void *id, size_t len);
/* Symbols go to .symtab, in the order of calls; local ones first, as ELF wants them. */
void elf_writer_symbol(struct elf_writer *w, const char *name, unsigned char bind,
                       Elf64_Half section, uint64_t value);
/* The file, to be freed by the caller; the writer can then not be used any more. */
void *elf_writer_finish(struct elf_writer *w, size_t *size);

#endif
