/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef KERNEL_WRITER_H
#define KERNEL_WRITER_H

/*
 * Puts toy kernels into guest RAM, as a booted kernel lies there: image with code, read-only data
 * (banner, notes, kallsyms, BTF) and data, page tables that map it at its KASLR place, a
 * VMCOREINFO page, the real-mode trampoline, and enough of tasks and namespaces to prove a
 * profile on.
 *
 *     struct kernel_ram ram;
 *     kernel_ram_init(&ram);
 *     struct kernel_writer k = KERNEL_WRITER_DEFAULT;
 *     kernel_write(&ram, &k);
 *     ram.regs[0] = ...
 *     struct xm_mem *mem = kernel_ram_open(&ram, true);
 */

#include "mem/mem.h"
#include "support/kallsyms-writer.h"
#include "type/want.h"

#define KERNEL_RAM_SIZE (32u << 20)

struct kernel_ram {
    uint8_t *ram; /* GPA 0 on */
    struct xvmi_mem_range range;
    struct xvmi_vcpu_regs regs[2];
    unsigned vcpus;
    const char *note; /* the VMCOREINFO that comes with the memory; NULL: none */
};

void kernel_ram_init(struct kernel_ram *ram);
void kernel_ram_fini(struct kernel_ram *ram);
/* Mapped memory, or memory that is read. */
struct xm_mem *kernel_ram_open(struct kernel_ram *ram, bool mapped);

struct kernel_writer {
    /* To be chosen. */
    const char *release;
    uint8_t build_id[20];
    uint64_t phys;  /* where the image lies: a multiple of 2 MiB; it takes 4 MiB */
    uint64_t slide; /* KASLR: added to 0xffffffff81000000 */
    unsigned levels;
    const struct kallsyms_form *form;
    uint64_t vmcoreinfo; /* GPA of that page; 0: none */
    bool vmcoreinfo_has_kallsyms;
    uint64_t trampoline; /* GPA of its page table; 0: none */
    bool booted;         /* read-only data is write-protected */

    /* Filled in by kernel_write(). */
    uint64_t text, root, user_root, phys_base;
    uint64_t banner, notes, init_task, init_net, net_namespace_list, page_offset_base;
    uint64_t free_page; /* a page of the image that was given back: writable, before the banner */
    struct xl_kallsyms_tables tables;
    char info[4096]; /* VMCOREINFO */
};

#define KERNEL_WRITER_DEFAULT                                                                      \
    {                                                                                              \
        .release = "6.1.0-9-toy", .build_id = {0xb1, 0x1d}, .phys = 0x800000, .slide = 0x22000000, \
        .levels = 4, .form = &kallsyms_forms[3], .vmcoreinfo = 0x5000, .trampoline = 0x9a000,      \
        .vmcoreinfo_has_kallsyms = true, .booted = true,                                           \
    }

void kernel_write(struct kernel_ram *ram, struct kernel_writer *k);

/* Offset in the image, and from there a GPA or a place in RAM. */
void *kernel_at(struct kernel_ram *ram, const struct kernel_writer *k, uint64_t gva);

/* What a profile of a toy kernel can hold. */
extern const struct xt_want kernel_wants[];
extern const size_t kernel_wants_n;

#endif
