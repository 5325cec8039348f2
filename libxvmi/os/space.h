/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XO_SPACE_H
#define XO_SPACE_H

/*
 * A guest-virtual address space: physical memory (mem/) seen through page tables
 * (xlat/). One for the kernel, with a software TLB and the direct-map shortcut; short-lived
 * ones for user memory of a task.
 *
 * Failures are common here and must be cheap: reads return a status and leave a
 * struct xx_fault in the space; xo_fault() turns it into text when somebody wants it.
 */

#include <xvmi/error.h>

#include "mem/mem.h"
#include "xlat/tlb.h"
#include "xlat/x86_64.h"

struct xo_space {
    struct xm_mem *mem;
    struct xx_paging paging; /* root table, levels */
    /* [direct_base, direct_base + direct_size) maps GPA = GVA - direct_base; size 0 until
     * xo_use_direct_map() has checked it against the tables. */
    uint64_t direct_base, direct_size;
    struct xx_fault fault; /* of the last failed call */
    uint64_t reads;        /* calls since opening: the cost that callers report */
    struct xx_tlb *tlb;    /* NULL: none, for spaces that live for a few reads */
};

XVMI_CHECKED enum xvmi_status xo_init(struct xo_space *space, struct xm_mem *mem,
                                      struct xx_paging paging, bool with_tlb,
                                      struct xvmi_error *err);
void xo_fini(struct xo_space *space);

/* Believe a direct map at `base` if samples over all of RAM agree with the page tables. */
XVMI_CHECKED enum xvmi_status xo_use_direct_map(struct xo_space *space, uint64_t base,
                                                struct xvmi_error *err);

/* All of it or a failure; crosses pages. */
enum xvmi_status xo_read(struct xo_space *space, uint64_t gva, void *dst, size_t len);
enum xvmi_status xo_read_u64(struct xo_space *space, uint64_t gva, uint64_t *value);
enum xvmi_status xo_read_u32(struct xo_space *space, uint64_t gva, uint32_t *value);

/* Up to size - 1 bytes until the first NUL, always terminated; a string that does not end is cut
 * and *cut set (cut may be NULL). */
enum xvmi_status xo_read_str(struct xo_space *space, uint64_t gva, char *dst, size_t size,
                             bool *cut);

/* The GPA behind gva and how many bytes are contiguous from there in its page. */
enum xvmi_status xo_translate(struct xo_space *space, uint64_t gva, uint64_t *gpa, uint64_t *left);

/* `len` bytes at gva as a pointer when they are mapped and contiguous, else NULL (no fault set). */
const void *xo_ptr(struct xo_space *space, uint64_t gva, size_t len);

/* Forget translations and cached pages: a new look at a live guest. */
void xo_invalidate(struct xo_space *space);

/* The last fault as text in `err`; returns its status. */
enum xvmi_status xo_fault(const struct xo_space *space, struct xvmi_error *err);

#endif
