/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XE_MAPS_H
#define XE_MAPS_H

/*
 * Pages of a domain, mapped when they are wanted and kept for the next time.
 *
 * Mapping costs a system call, an hypercall and a page fault's work, so pages are mapped sixteen at
 * a time, aligned, and many of these groups in one call when they are known beforehand. What is
 * mapped stays so until the next round at least: pointers are good that long. A round begins with
 * xe_maps_round(): mappings of pages that are behind other frames now go, and the oldest ones if
 * there are more than should be kept. In between, a page whose frame is another is mapped anew when
 * it is asked for.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <xvmi/error.h>
#include <xvmi/mem.h>

#define XE_PAGE     4096u
#define XE_GROUP    16u            /* pages */
#define XE_KEPT     (16u * 1024)   /* pages: what a round may begin with, 64 MiB */
#define XE_MOST     (64u * 1024)   /* pages: what a round may map */
#define XE_NO_FRAME (~UINT64_C(0)) /* there is no memory at this page */
#define XE_BATCH    ((size_t)512)  /* pages a call */

/* Where pages come from. */
struct xe_source {
    void *ctx;
    /* The frame by which Xen knows page number `page`, or XE_NO_FRAME. */
    uint64_t (*frame)(void *ctx, uint64_t page);
    /* Map n frames side by side; fails[i] is the errno of each. NULL and errno when nothing was. */
    void *(*map)(void *ctx, const uint64_t *frames, size_t n, int *fails);
    void (*unmap)(void *ctx, void *at, size_t n);
};

struct xe_maps;

XVMI_CHECKED enum xvmi_status xe_maps_new(const struct xe_source *source, struct xe_maps **maps,
                                          struct xvmi_error *err);
void xe_maps_free(struct xe_maps *maps);

/* The page's bytes. XVMI_ERR_NOT_PRESENT: it is ballooned out, somebody else's, or no memory.
 * XVMI_ERR_LIMIT: no more can be mapped in this round; xe_maps_copy() still reads. */
XVMI_CHECKED enum xvmi_status xe_maps_page(struct xe_maps *maps, uint64_t page,
                                           const uint8_t **host, struct xvmi_error *err);

/* Map the groups of all these pages in one call, as far as there is room. */
void xe_maps_expect(struct xe_maps *maps, const struct xvmi_mem_read *reads, size_t n);

/* Copy from guest-physical memory by mappings that do not outlive the call. */
XVMI_CHECKED enum xvmi_status xe_maps_copy(struct xe_maps *maps, uint64_t gpa, void *dst,
                                           size_t len, struct xvmi_error *err);

/* Which of the n <= XE_BATCH pages from `page` on are there: present[i]. */
XVMI_CHECKED enum xvmi_status xe_maps_probe(struct xe_maps *maps, uint64_t page, size_t step,
                                            size_t n, bool *present, struct xvmi_error *err);

/* Whether something was unmapped: pointers may be dead. All of it when `drop_all`. */
bool xe_maps_round(struct xe_maps *maps, bool drop_all);
bool xe_maps_full(const struct xe_maps *maps); /* a round would unmap something */

size_t xe_maps_pages(const struct xe_maps *maps); /* mapped now */

#endif
