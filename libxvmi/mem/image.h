/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XM_IMAGE_H
#define XM_IMAGE_H

/*
 * Memory in a file. image.c recognises the format by its first bytes, maps the file, and
 * has the format's reader describe it: readers work on the mapped bytes alone.
 *
 * The file must not be truncated while it is open: reading a mapped page that is no longer
 * there kills the process (SIGBUS). Growing or rewriting it is harmless.
 */

#include <xvmi/mem.h>

struct xm_image {
    int fd; /* -1 for an image that never was a file (fuzzing) */
    const uint8_t *map;
    size_t size;
    struct xvmi_mem_range *ranges;
    size_t n, cap;
    struct xvmi_vcpu_regs *regs; /* one for each vCPU the image tells of */
    size_t vcpus, regs_cap;
    size_t prstatus_notes, qemu_notes, note_bytes; /* read so far */
    const uint8_t *vmcoreinfo;                     /* in the map */
    size_t vmcoreinfo_len;
    struct xm_kdump *kdump; /* not NULL: pages are unpacked on demand, no range is mapped */
};

/* Open PATH, whatever it holds: an ELF core, LiME, a compressed kdump (also flattened), or
 * else raw memory from GPA 0 on, without the hole that RAM over 2 GiB has. On success the backend
 * owns what it needs. */
XVMI_CHECKED enum xvmi_status xm_image_open(const char *path, struct xvmi_mem_backend *backend,
                                            struct xvmi_error *err);

/* The readers: they fill in everything but fd, map and size. xm_image_release() frees what they
 * filled in, also after a failure. */
XVMI_CHECKED enum xvmi_status xm_elfcore_read(struct xm_image *image, struct xvmi_error *err);
XVMI_CHECKED enum xvmi_status xm_lime_read(struct xm_image *image, struct xvmi_error *err);
XVMI_CHECKED enum xvmi_status xm_raw_read(struct xm_image *image, struct xvmi_error *err);
void xm_image_release(struct xm_image *image);

/* Add [gpa, gpa + size) that lies at file offset `off`; size is not 0. `what` and `number`
 * ("segment", 3) are for the error. */
XVMI_CHECKED enum xvmi_status xm_image_add(struct xm_image *image, const char *what, size_t number,
                                           uint64_t gpa, uint64_t off, uint64_t size,
                                           struct xvmi_error *err);

/* Sort the ranges and join those that go on in memory and file. One that lies wholly in another and
 * says the same is dropped (kexec's /proc/vmcore lists the kernel text twice); any other overlap is
 * an error. */
XVMI_CHECKED enum xvmi_status xm_image_sort(struct xm_image *image, struct xvmi_error *err);

/* ELF notes of a core: registers and VMCOREINFO. `data` lies in the image's map. */
XVMI_CHECKED enum xvmi_status xm_notes_read(struct xm_image *image, const uint8_t *data,
                                            size_t size, struct xvmi_error *err);

#endif
