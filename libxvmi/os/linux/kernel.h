/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XL_KERNEL_H
#define XL_KERNEL_H

/*
 * Which kernel runs in this memory, and the profile that fits it.
 *
 *     struct xl_kernel kernel;
 *     xl_kernel_find(mem, &kernel, err);
 *     xo_init(&space, mem, kernel.paging, true, err);
 *     xl_profile_get(&kernel, &space, &options, wants, nwants, &profile, &cached, err);
 *     if (kernel.page_offset)
 *         xo_use_direct_map(&space, kernel.page_offset, err);
 *
 * Everything read here is the guest's word: bounded, and believed only after it agreed with
 * something else.
 */

#include <xvmi/profile.h>

#include "os/linux/kallsyms.h"
#include "os/space.h"
#include "type/want.h"

/* Where the kernel's text is linked, unless CONFIG_PHYSICAL_START was changed. */
#define XL_LINKED_TEXT UINT64_C(0xffffffff81000000)
/* Ways to the kernel. */
#define XL_BY_REGISTERS (1u << 0) /* CR3 of a vCPU */
#define XL_BY_NOTE      (1u << 1) /* the VMCOREINFO that the guest announced to its hypervisor */
#define XL_BY_SCAN      (1u << 2) /* VMCOREINFO pages in all of RAM */
#define XL_BY_ALL       (XL_BY_REGISTERS | XL_BY_NOTE | XL_BY_SCAN)

struct xl_kernel {
    char release[XVMI_RELEASE_MAX + 1];
    uint8_t build_id[XVMI_BUILD_ID_MAX];
    size_t build_id_len;     /* 0: none, or not found yet */
    unsigned found_by;       /* one of XL_BY_* */
    struct xx_paging paging; /* until xl_profile_get() perhaps a process's, good enough to begin */
    uint64_t text;           /* _text: run-time address of the image's first byte */
    uint64_t kaslr_offset;   /* text minus where it was linked; exact once there is a profile */
    uint64_t phys_base;      /* the kernel's variable of that name */
    uint64_t page_offset;    /* start of the direct map; 0 until xl_profile_get(), or not known */
    /* Where kallsyms keeps its tables, as far as VMCOREINFO said; zero: to be found by shape. */
    struct xl_kallsyms_tables kallsyms;
};

/*
 * Find the running kernel. Candidates come, in this order, from the vCPUs' registers, from the
 * VMCOREINFO that the backend knows of, and from all VMCOREINFO pages in RAM; each must be
 * confirmed by what its own page tables show: a kernel image with a banner, whose release and place
 * are those that VMCOREINFO speaks of. A kernel that a vCPU runs on is the live one, whatever
 * older kernels memory still holds. Without registers, of several kernels that all verify the one
 * that booted last is taken if the real-mode trampoline tells which (see kernel.c), else they
 * are an error, not a choice.
 *
 * XVMI_ERR_UNSUPPORTED: none found; the text lists what was tried and why it failed.
 */
XVMI_CHECKED enum xvmi_status xl_kernel_find(struct xm_mem *mem, struct xl_kernel *kernel,
                                             struct xvmi_error *err);
/* The same by some of the ways only: a set of XL_BY_*. */
XVMI_CHECKED enum xvmi_status xl_kernel_find_by(struct xm_mem *mem, unsigned ways,
                                                struct xl_kernel *kernel, struct xvmi_error *err);

/* Zeroed means: the automatic order, with the cache. */
struct xl_profile_options {
    const char *path; /* a profile file or a vmlinux; NULL: find one */
    bool no_cache;    /* neither read nor write the profile cache */
    bool no_vmlinux;  /* do not look for a vmlinux in the usual debug folders */
};

/*
 * A profile that fits the running kernel and has proven itself on it: from options->path, else
 * the first that verifies of: the cache, a vmlinux with this build-id in the usual debug folders,
 * the guest's own BTF and kallsyms. What was made is stored in the cache; failing to do so is no
 * error. *from_cache says whether it was loaded from there.
 *
 * Fills in what only a profile tells: kernel->kaslr_offset, page_offset, build_id; and moves
 * kernel->paging and `space` to the kernel's own page tables, which no process takes along when it
 * ends.
 *
 * XVMI_ERR_MISMATCH: the profile named is of another kernel. XVMI_ERR_UNSUPPORTED: no source gave
 * one; the text says why each failed.
 */
XVMI_CHECKED enum xvmi_status xl_profile_get(struct xl_kernel *kernel, struct xo_space *space,
                                             const struct xl_profile_options *options,
                                             const struct xt_want *wants, size_t nwants,
                                             struct xvmi_profile **profile, bool *from_cache,
                                             struct xvmi_error *err);

/* From the guest alone: types from its BTF, symbols from its kallsyms. */
XVMI_CHECKED enum xvmi_status xl_profile_from_guest(struct xl_kernel *kernel,
                                                    struct xo_space *space,
                                                    const struct xt_want *wants, size_t nwants,
                                                    struct xvmi_profile **profile,
                                                    struct xvmi_error *err);

/*
 * Does the profile fit what is in memory? The banner lies where it says and carries the release,
 * init_task is swapper, the task list is a closed ring, init_net is on the list of namespaces.
 * XVMI_ERR_MISMATCH names the check, what was expected and what was seen.
 */
XVMI_CHECKED enum xvmi_status xl_prove(const struct xl_kernel *kernel, struct xo_space *space,
                                       const struct xvmi_profile *profile, struct xvmi_error *err);

/* Run-time address of a symbol of the profile; 0 when it has no such symbol. */
uint64_t xl_symbol(const struct xl_kernel *kernel, const struct xvmi_profile *profile,
                   const char *name);

#endif
