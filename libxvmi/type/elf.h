/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XT_ELF_H
#define XT_ELF_H

/* A kernel's ELF file: mapped, its sections found through libelf. */

#include <libelf.h>

#include "type/builder.h"

struct xt_bytes {
    const uint8_t *p;
    size_t n;
};

struct xt_elf {
    void *map;
    size_t size;
    Elf *elf;
    size_t names;    /* index of the section with the sections' names */
    uint64_t banner; /* address of linux_banner, 0: not seen among the symbols */
};

/* A vmlinux: 64 bit, little endian, x86-64, linked. */
XVMI_CHECKED enum xvmi_status xt_elf_open(const char *path, struct xt_elf *elf,
                                          struct xvmi_error *err);
/* The same from memory, which is borrowed. */
XVMI_CHECKED enum xvmi_status xt_elf_open_memory(void *data, size_t size, struct xt_elf *elf,
                                                 struct xvmi_error *err);
void xt_elf_close(struct xt_elf *elf);

/* The content of a section, decompressed; XVMI_ERR_NOT_FOUND (without text) when the file has no
 * such section or keeps no content for it. Valid until xt_elf_close(). */
XVMI_CHECKED enum xvmi_status xt_elf_section(struct xt_elf *elf, const char *name,
                                             struct xt_bytes *bytes, struct xvmi_error *err);

/* Offer all defined symbols, global ones first. */
XVMI_CHECKED enum xvmi_status xt_elf_symbols(struct xt_elf *elf, struct xt_builder *builder,
                                             struct xvmi_error *err);

/* Build-id and release, as far as the file tells; call it after xt_elf_symbols(). */
void xt_elf_identity(struct xt_elf *elf, struct xt_builder *builder);

/* These bytes are not needed soon: pages of the file that we only passed through should not count
 * as our memory. They can still be read. */
void xt_elf_forget(const struct xt_elf *elf, const uint8_t *p, size_t n);

#endif
