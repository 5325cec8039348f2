/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XL_IMAGE_H
#define XL_IMAGE_H

/*
 * The kernel's image as its page tables map it, from _text to the end of its data: what is left of
 * vmlinux in a running guest. Known before anything else is, so it works on page tables alone;
 * nothing in it is believed yet.
 */

#include <stdbool.h>

#include <xvmi/profile.h>

#include "mem/mem.h"
#include "xlat/x86_64.h"

/* __START_KERNEL_map: kernel image addresses are this plus the physical one minus phys_base.
 * The image lies below it + 1 GiB, where modules begin; without KASLR below + 512 MiB. */
#define XL_IMAGE_MAP UINT64_C(0xffffffff80000000)
#define XL_IMAGE_MAX (UINT64_C(1) << 30)

/*
 * What the page tables allow, once the kernel has booted (mark_rodata_ro()). Read-only parts are
 * the kernel's for good; among writable ones are gaps and init memory that were given back,
 * and hold anybody's data.
 */
enum xl_part {
    XL_PART_CODE,   /* executable */
    XL_PART_RODATA, /* neither executable nor writable */
    XL_PART_DATA,   /* writable */
};

/* Contiguous in both address spaces, and of one kind. */
struct xl_extent {
    uint64_t gva, gpa, len;
    enum xl_part part;
};

struct xl_image {
    struct xm_mem *mem; /* borrowed */
    uint64_t text;      /* the first mapped address: _text */
    uint64_t phys_base; /* as the kernel's variable of that name has it */
    uint64_t size;      /* bytes mapped */
    struct xl_extent *v;
    size_t n, cap;
};

/* XVMI_ERR_NOT_FOUND: nothing is mapped where a kernel must be. */
XVMI_CHECKED enum xvmi_status xl_image_open(struct xl_image *image, struct xm_mem *mem,
                                            const struct xx_paging *paging, struct xvmi_error *err);
void xl_image_close(struct xl_image *image);

/* Do both addresses lie in one extent? */
bool xl_image_together(const struct xl_image *image, uint64_t a, uint64_t b);

/* The bytes that are mapped in one piece before and from gva on; both 0 when it is not mapped. */
void xl_image_room(const struct xl_image *image, uint64_t gva, uint64_t *before, uint64_t *after);

/* All of it or XVMI_ERR_NOT_PRESENT. */
enum xvmi_status xl_image_read(const struct xl_image *image, uint64_t gva, void *dst, size_t len);

/* `len` bytes from gva on, whole pages; live memory can change between two looks. False: stop. */
typedef bool xl_image_fn(void *arg, uint64_t gva, const uint8_t *data, size_t len);

/* Show all of one kind, in order of address. Pieces are whole extents, or of
 * 1 MiB overlapping by a page where memory is not mapped. */
enum xvmi_status xl_image_each(const struct xl_image *image, enum xl_part part, xl_image_fn *fn,
                               void *arg, struct xvmi_error *err);

/* What an image says of itself, found by its looks. */
struct xl_identity {
    char release[XVMI_RELEASE_MAX + 1]; /* of the banner; "" when there is none */
    /* GNU build-id notes that can be the kernel's: not those of embedded ELF files, nor of modules
     * in memory that the kernel gave back. */
    struct {
        uint8_t id[XVMI_BUILD_ID_MAX];
        size_t len;
    } builds[4];
    size_t n;
};
enum xvmi_status xl_image_identify(const struct xl_image *image, struct xl_identity *identity,
                                   struct xvmi_error *err);

/* The GNU build-id among the notes in [start, end), the image's .notes. 0 bytes: there is none. */
size_t xl_image_build_id(const struct xl_image *image, uint64_t start, uint64_t end,
                         uint8_t id[XVMI_BUILD_ID_MAX]);

#endif
