// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <string.h>

#include "mem/image.h"

/*
 * LiME, version 1: until the end of the file, a header and the bytes of one range.
 * Little-endian; s_addr and e_addr are the first and the last byte's address.
 */
struct header {
    uint32_t magic;
    uint32_t version;
    uint64_t s_addr;
    uint64_t e_addr;
    uint8_t reserved[8];
};
_Static_assert(sizeof(struct header) == 32, "as in the file");

#define MAGIC 0x4c694d45u /* "EMiL" in the file */

static enum xvmi_status check_header(const struct header *header, size_t number, size_t off,
                                     struct xvmi_error *err)
{
    if (header->magic != MAGIC)
        return xvmi_error_set(err, XVMI_ERR_FORMAT, "no LiME header %zu at byte 0x%zx", number,
                              off);
    if (header->version == 2)
        return xvmi_error_set(err, XVMI_ERR_UNSUPPORTED,
                              "LiME range %zu is compressed (AVML): run avml-convert first",
                              number);
    if (header->version != 1)
        return xvmi_error_set(err, XVMI_ERR_UNSUPPORTED, "LiME range %zu has version %u, not 1",
                              number, header->version);
    if (header->e_addr < header->s_addr || header->e_addr == UINT64_MAX)
        return xvmi_error_set(err, XVMI_ERR_FORMAT, "LiME range %zu goes from 0x%lx to 0x%lx",
                              number, header->s_addr, header->e_addr);
    return XVMI_OK;
}

enum xvmi_status xm_lime_read(struct xm_image *image, struct xvmi_error *err)
{
    size_t off = 0;
    for (size_t number = 0; off < image->size; number++) {
        struct header header;
        if (image->size - off < sizeof(header))
            return xvmi_error_set(err, XVMI_ERR_FORMAT,
                                  "LiME header %zu is cut off at the end of the file", number);
        memcpy(&header, image->map + off, sizeof(header));
        enum xvmi_status status = check_header(&header, number, off, err);
        if (status)
            return status;
        off += sizeof(header);
        /* Not more than UINT64_MAX: e_addr is less than that. */
        uint64_t size = header.e_addr - header.s_addr + 1;
        status = xm_image_add(image, "LiME range", number, header.s_addr, off, size, err);
        if (status)
            return status;
        off += size;
    }
    return xm_image_sort(image, err);
}
