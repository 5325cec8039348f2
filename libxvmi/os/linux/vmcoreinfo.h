/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XL_VMCOREINFO_H
#define XL_VMCOREINFO_H

/*
 * VMCOREINFO: what a kernel with CONFIG_VMCORE_INFO (CONFIG_CRASH_CORE before 6.9) writes about
 * itself for crash dumps, KEY=VALUE lines in one page (kernel/vmcore_info.c, for x86
 * arch/x86/kernel/vmcore_info_64.c). Any program in the guest can write a page like that:
 * what it says is a lead, not a fact.
 */

#include <stdbool.h>

#include <xvmi/profile.h>

#include "mem/mem.h"
#include "os/linux/kallsyms.h"

#define XL_VMCOREINFO_SIZE 4096 /* VMCOREINFO_BYTES: one page */
/* Different texts kept of one memory: kernels of earlier boots, a crash kernel, forgeries. */
#define XL_VMCOREINFO_MAX 64

struct xl_vmcoreinfo {
    char release[XVMI_RELEASE_MAX + 1];
    /* Empty when absent, or when it is what kernels wrote for some months of 2024 (5.15.168,
     * 6.1.113 to .118, 6.6.55 to .62, 6.10.14, 6.11.3 to .9): part of the note's header. */
    uint8_t build_id[XVMI_BUILD_ID_MAX];
    size_t build_id_len;
    uint64_t swapper_pg_dir; /* run-time address */
    uint64_t phys_base;
    uint64_t kernel_offset;             /* KASLR */
    unsigned levels;                    /* of page tables */
    struct xl_kallsyms_tables kallsyms; /* since 6.0; without markers */
};

/* XVMI_ERR_FORMAT: no VMCOREINFO, or it lacks what leads to the page tables. */
XVMI_CHECKED enum xvmi_status xl_vmcoreinfo_parse(const void *text, size_t len,
                                                  struct xl_vmcoreinfo *info,
                                                  struct xvmi_error *err);

/* All that are in memory and differ, at most XL_VMCOREINFO_MAX. `*more` is set when there were
 * others. `*v` is the caller's to free. */
XVMI_CHECKED enum xvmi_status xl_vmcoreinfo_scan(struct xm_mem *mem, struct xl_vmcoreinfo **v,
                                                 size_t *n, bool *more, struct xvmi_error *err);

#endif
