/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef FUZZ_IMAGE_H
#define FUZZ_IMAGE_H

#include <stdlib.h>
#include <string.h>

#include "mem/image.h"

static inline void must(bool ok)
{
    if (!ok)
        abort();
}

static inline void check_image(const struct xm_image *image)
{
    must(image->n > 0);
    uint64_t end = 0;
    uint8_t sum = 0;
    for (size_t i = 0; i < image->n; i++) {
        const struct xvmi_mem_range *range = &image->ranges[i];
        must(range->size > 0 && range->gpa >= end && range->size <= UINT64_MAX - range->gpa);
        end = range->gpa + range->size;
        must(range->host >= image->map);
        must(range->size <= image->size - (size_t)(range->host - image->map));
        sum += range->host[0] + range->host[range->size - 1];
    }
    for (size_t i = 0; i < image->vmcoreinfo_len; i++)
        sum += image->vmcoreinfo[i];
    __asm__ volatile("" ::"r"(sum)); /* the reads are what counts */
}

/* `data` belongs to libFuzzer: a read outside it is seen by AddressSanitizer. */
static inline int fuzz_image(enum xvmi_status (*read)(struct xm_image *, struct xvmi_error *),
                             const uint8_t *data, size_t size)
{
    struct xm_image image = {.fd = -1, .map = data, .size = size};
    struct xvmi_error err = XVMI_ERROR_INIT;
    if (!read(&image, &err))
        check_image(&image);
    else
        must(err.text[0]);
    xm_image_release(&image);
    return 0;
}

#endif
