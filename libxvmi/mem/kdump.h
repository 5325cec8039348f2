/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XM_KDUMP_H
#define XM_KDUMP_H

/*
 * Compressed kdump images (makedumpfile, QEMU's dump-guest-memory -z). Read here and not
 * through libkdumpfile: 0.5.1, what Debian 12 has, writes to freed memory whenever such a
 * dump is closed (fixed later), and out of bounds when a page's descriptor lies.
 */

#include "mem/image.h"

struct xm_kdump;

#define XM_KDUMP_PAGE 4096u

/* Fill in the image's ranges (without `host`), registers and VMCOREINFO, and image->kdump. */
XVMI_CHECKED enum xvmi_status xm_kdump_open(struct xm_image *image, struct xvmi_error *err);
void xm_kdump_close(struct xm_kdump *kdump);

/* As the functions of struct xvmi_mem_ops. */
XVMI_CHECKED enum xvmi_status xm_kdump_read(struct xm_kdump *kdump, uint64_t gpa, void *dst,
                                            size_t len, struct xvmi_error *err);
XVMI_CHECKED enum xvmi_status xm_kdump_next_data(struct xm_kdump *kdump, uint64_t gpa,
                                                 uint64_t *start, uint64_t *end,
                                                 struct xvmi_error *err);

/* Unpack one page of XM_KDUMP_PAGE bytes; `compression` as a page's descriptor has it. */
XVMI_CHECKED enum xvmi_status xm_kdump_unpack(unsigned compression, const uint8_t *src, size_t size,
                                              uint8_t *page, struct xvmi_error *err);

/* Undo makedumpfile's flattening, done for writing to a pipe, of `size` bytes at `map` into *fd, a
 * new nameless file in $TMPDIR or /var/tmp. */
XVMI_CHECKED enum xvmi_status xm_flat_rearrange(const uint8_t *map, size_t size, int *fd,
                                                struct xvmi_error *err);

#endif
