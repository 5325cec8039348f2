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

/* The mapped piece of the direct map that was used last: reads there are one comparison and
 * one addition. */
struct xo_window {
    uint64_t gva;
    uint64_t room; /* addresses from gva on at which 8 bytes can be read; 0: no window */
    const uint8_t *host;
};

struct xo_space {
    struct xo_window near;
    struct xx_tlb *tlb; /* NULL: none, for spaces that live for a few reads */
    uint64_t reads;     /* calls since opening: the cost that callers report */
    struct xm_mem *mem; /* borrowed */
    struct xx_paging paging;
    /* [direct_base, direct_base + direct_size) maps GPA = GVA - direct_base; size 0 until
     * xo_use_direct_map() has checked it against the tables. */
    uint64_t direct_base, direct_size;
    struct xx_fault fault; /* of the last failed call */
};

XVMI_CHECKED enum xvmi_status xo_init(struct xo_space *space, struct xm_mem *mem,
                                      struct xx_paging paging, bool with_tlb,
                                      struct xvmi_error *err);
void xo_fini(struct xo_space *space);

/* Believe a direct map at `base` (the GVA of GPA 0) if samples over all of RAM agree with the page
 * tables: none may be mapped to elsewhere, and at least half must be mapped (ranges of
 * firmware and video memory are not). XVMI_ERR_MISMATCH otherwise; the space goes on without. */
XVMI_CHECKED enum xvmi_status xo_use_direct_map(struct xo_space *space, uint64_t base,
                                                struct xvmi_error *err);

/* All of it or a failure; crosses pages. */
enum xvmi_status xo_read(struct xo_space *space, uint64_t gva, void *dst, size_t len);

/* Whether it is known without any further look where 8 bytes at gva lie on the host. */
static inline bool xo_hot(const struct xo_space *space, uint64_t gva, const void **host)
{
    uint64_t off = gva - space->near.gva;
    if (off < space->near.room) {
        *host = space->near.host + off;
        return true;
    }
    return space->tlb && xx_tlb_host(space->tlb, gva, 8, host);
}

/* One load each, at any alignment: a live guest changes the value, it must not be read twice. */
struct xo_u64 {
    uint64_t v;
} __attribute__((packed, may_alias));
struct xo_u32 {
    uint32_t v;
} __attribute__((packed, may_alias));

static inline enum xvmi_status xo_read_u64(struct xo_space *space, uint64_t gva, uint64_t *value)
{
    const void *host;
    if (__builtin_expect(xo_hot(space, gva, &host), 1)) {
        space->reads++;
        *value = ((const volatile struct xo_u64 *)host)->v;
        return XVMI_OK;
    }
    /* Not into *value: a caller's local then stays in a register. */
    uint64_t cold;
    enum xvmi_status status = xo_read(space, gva, &cold, sizeof(cold));
    if (!status)
        *value = cold;
    return status;
}

static inline enum xvmi_status xo_read_u32(struct xo_space *space, uint64_t gva, uint32_t *value)
{
    const void *host;
    if (__builtin_expect(xo_hot(space, gva, &host), 1)) {
        space->reads++;
        *value = ((const volatile struct xo_u32 *)host)->v;
        return XVMI_OK;
    }
    /* Not into *value: a caller's local then stays in a register. */
    uint32_t cold;
    enum xvmi_status status = xo_read(space, gva, &cold, sizeof(cold));
    if (!status)
        *value = cold;
    return status;
}

/* Up to size - 1 bytes until the first NUL, always terminated (empty after a failure); a string
 * that does not end within `size` bytes is cut and *cut set (cut may be NULL). Never looks at
 * pages beyond the end of the string. */
enum xvmi_status xo_read_str(struct xo_space *space, uint64_t gva, char *dst, size_t size,
                             bool *cut);

/* The GPA behind gva and how many bytes are contiguous from there: at least to the end of its
 * 4 KiB page. Nothing says yet that there is RAM. */
enum xvmi_status xo_translate(struct xo_space *space, uint64_t gva, uint64_t *gpa, uint64_t *left);

/* `len` bytes at gva as a pointer when they are mapped and contiguous, else NULL (no fault set). */
const void *xo_ptr(struct xo_space *space, uint64_t gva, size_t len);

/* These addresses are going to be read: bring them near, together. Hints: those that it is not
 * cheap to say where they lie are left out, and nothing fails. At most XO_EXPECT_MAX. */
#define XO_EXPECT_MAX 64
void xo_expect(struct xo_space *space, const uint64_t *gva, size_t n);

/* Forget translations and cached pages: a new look at a live guest. Due also on every space over
 * a memory whose xm_refresh() said "changed". */
void xo_invalidate(struct xo_space *space);

/* A new look as well, where translations of before will do. */
void xo_renew(struct xo_space *space);

/* The last fault as text in `err`; returns its status. Spaces without a fault: XVMI_ERR_INVALID. */
enum xvmi_status xo_fault(const struct xo_space *space, struct xvmi_error *err);

#endif
