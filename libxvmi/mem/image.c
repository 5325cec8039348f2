// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "mem/image.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/vec.h"
#include "mem/kdump.h"

enum xvmi_status xm_image_add(struct xm_image *image, const char *what, size_t number, uint64_t gpa,
                              uint64_t off, uint64_t size, struct xvmi_error *err)
{
    if (off > image->size || size > image->size - off)
        return xvmi_error_set(err, XVMI_ERR_FORMAT,
                              "%s %zu needs bytes 0x%lx to 0x%lx+0x%lx, the file has 0x%zx: it is "
                              "truncated or damaged",
                              what, number, off, off, size, image->size);
    if (size > UINT64_MAX - gpa)
        return xvmi_error_set(err, XVMI_ERR_FORMAT,
                              "%s %zu at guest-physical 0x%lx, 0x%lx bytes, wraps around", what,
                              number, gpa, size);
    if (!xb_vec_reserve((void **)&image->ranges, &image->cap, image->n + 1, sizeof(*image->ranges)))
        return xvmi_error_set(err, XVMI_ERR_NO_MEMORY, "out of memory for %zu ranges", image->n);
    image->ranges[image->n++] =
        (struct xvmi_mem_range){.gpa = gpa, .size = size, .host = image->map + off};
    return XVMI_OK;
}

/* By address; of two that begin together the longer first. */
static int compare_ranges(const void *a, const void *b)
{
    const struct xvmi_mem_range *x = a, *y = b;
    if (x->gpa != y->gpa)
        return x->gpa < y->gpa ? -1 : 1;
    return (x->size < y->size) - (x->size > y->size);
}

/* `range` begins in `last`. */
static enum xvmi_status check_copy(const struct xvmi_mem_range *last,
                                   const struct xvmi_mem_range *range, size_t *budget,
                                   struct xvmi_error *err)
{
    uint64_t off = range->gpa - last->gpa;
    bool same = range->size <= last->size - off;
    if (same && range->host != last->host + off) {
        if (range->size > *budget)
            return xvmi_error_set(err, XVMI_ERR_LIMIT,
                                  "the image lists more copies of memory than the file can hold");
        *budget -= range->size;
        same = memcmp(range->host, last->host + off, range->size) == 0;
    }
    if (!same)
        return xvmi_error_set(err, XVMI_ERR_FORMAT,
                              "memory at 0x%lx (0x%lx bytes) and at 0x%lx (0x%lx bytes) overlaps "
                              "with different content",
                              last->gpa, last->size, range->gpa, range->size);
    return XVMI_OK;
}

enum xvmi_status xm_image_sort(struct xm_image *image, struct xvmi_error *err)
{
    if (image->n == 0)
        return xvmi_error_set(err, XVMI_ERR_FORMAT, "the image holds no memory");
    qsort(image->ranges, image->n, sizeof(*image->ranges), compare_ranges);
    size_t kept = 1;
    size_t budget = image->size; /* honest copies fit into the file; comparing costs no more */
    for (size_t i = 1; i < image->n; i++) {
        struct xvmi_mem_range *last = &image->ranges[kept - 1];
        const struct xvmi_mem_range *range = &image->ranges[i];
        if (range->gpa - last->gpa < last->size) {
            enum xvmi_status status = check_copy(last, range, &budget, err);
            if (status)
                return status;
        } else if (range->gpa - last->gpa == last->size && range->host == last->host + last->size) {
            last->size += range->size;
        } else {
            image->ranges[kept++] = *range;
        }
    }
    image->n = kept;
    return XVMI_OK;
}

void xm_image_release(struct xm_image *image)
{
    free(image->ranges);
    free(image->regs);
    xm_kdump_close(image->kdump);
    image->ranges = NULL;
    image->regs = NULL;
    image->kdump = NULL;
    image->n = image->cap = image->vcpus = image->regs_cap = 0;
}

static void unmap(struct xm_image *image)
{
    if (image->map)
        munmap((void *)(uintptr_t)image->map, image->size);
    if (image->fd >= 0)
        close(image->fd);
    image->map = NULL;
    image->fd = -1;
}

static void image_close(void *ctx)
{
    struct xm_image *image = ctx;
    if (!image)
        return;
    xm_image_release(image);
    unmap(image);
    free(image);
}

static enum xvmi_status image_ranges(void *ctx, const struct xvmi_mem_range **ranges, size_t *n,
                                     struct xvmi_error *err)
{
    (void)err;
    const struct xm_image *image = ctx;
    *ranges = image->ranges;
    *n = image->n;
    return XVMI_OK;
}

/* Holes of a sparse file hold nothing. A file system that cannot tell calls all of it data. */
static enum xvmi_status image_next_data(void *ctx, uint64_t gpa, uint64_t *start, uint64_t *end,
                                        struct xvmi_error *err)
{
    const struct xm_image *image = ctx;
    for (size_t i = 0; i < image->n; i++) {
        const struct xvmi_mem_range *range = &image->ranges[i];
        if (range->gpa + range->size <= gpa)
            continue;
        uint64_t from = gpa > range->gpa ? gpa - range->gpa : 0;
        uint64_t base = (uint64_t)(range->host - image->map);
        off_t data = lseek(image->fd, (off_t)(base + from), SEEK_DATA);
        if (data < 0 && errno == ENXIO)
            continue; /* a hole up to the end of the file; the next range may lie before it */
        off_t hole = data < 0 ? -1 : lseek(image->fd, data, SEEK_HOLE);
        if (hole < 0) {
            *start = range->gpa + from;
            *end = range->gpa + range->size;
            return XVMI_OK;
        }
        if ((uint64_t)data - base >= range->size)
            continue;
        *start = range->gpa + ((uint64_t)data - base);
        uint64_t stop = (uint64_t)hole - base;
        *end = range->gpa + (stop < range->size ? stop : range->size);
        return XVMI_OK;
    }
    return xvmi_error_set(err, XVMI_ERR_NOT_FOUND, "no data at or after 0x%lx", gpa);
}

static enum xvmi_status image_regs(void *ctx, unsigned vcpu, struct xvmi_vcpu_regs *regs,
                                   struct xvmi_error *err)
{
    const struct xm_image *image = ctx;
    if (vcpu >= image->vcpus)
        return xvmi_error_set(err, XVMI_ERR_NOT_FOUND, "no vCPU %u: the image tells of %zu", vcpu,
                              image->vcpus);
    *regs = image->regs[vcpu];
    return XVMI_OK;
}

static enum xvmi_status image_vmcoreinfo(void *ctx, void *dst, size_t size, size_t *len,
                                         struct xvmi_error *err)
{
    const struct xm_image *image = ctx;
    if (!image->vmcoreinfo)
        return xvmi_error_set(err, XVMI_ERR_NOT_FOUND, "the image has no VMCOREINFO note");
    *len = image->vmcoreinfo_len;
    if (size > 0)
        memcpy(dst, image->vmcoreinfo, size < *len ? size : *len);
    return XVMI_OK;
}

static enum xvmi_status kdump_read(void *ctx, uint64_t gpa, void *dst, size_t len,
                                   struct xvmi_error *err)
{
    const struct xm_image *image = ctx;
    return xm_kdump_read(image->kdump, gpa, dst, len, err);
}

static enum xvmi_status kdump_next_data(void *ctx, uint64_t gpa, uint64_t *start, uint64_t *end,
                                        struct xvmi_error *err)
{
    const struct xm_image *image = ctx;
    return xm_kdump_next_data(image->kdump, gpa, start, end, err);
}

static const struct xvmi_mem_ops kdump_ops = {
    .size = sizeof(kdump_ops),
    .close = image_close,
    .ranges = image_ranges,
    .read = kdump_read,
    .next_data = kdump_next_data,
    .regs = image_regs,
    .vmcoreinfo = image_vmcoreinfo,
};

static const struct xvmi_mem_ops image_ops = {
    .size = sizeof(image_ops),
    .close = image_close,
    .ranges = image_ranges,
    .next_data = image_next_data,
    .regs = image_regs,
    .vmcoreinfo = image_vmcoreinfo,
};

enum xvmi_status xm_raw_read(struct xm_image *image, struct xvmi_error *err)
{
    if (image->size < 4096)
        return xvmi_error_set(err, XVMI_ERR_FORMAT,
                              "%zu bytes are neither a known image format nor a page of raw memory",
                              image->size);
    return xm_image_add(image, "raw memory", 0, 0, 0, image->size, err);
}

static enum xvmi_status map_fd(struct xm_image *image, struct xvmi_error *err)
{
    struct stat st;
    if (fstat(image->fd, &st) < 0)
        return xvmi_error_set(err, XVMI_ERR_IO, "cannot stat it: %s", strerror(errno));
    if (!S_ISREG(st.st_mode))
        return xvmi_error_set(err, XVMI_ERR_INVALID, "not a regular file");
    if (st.st_size == 0)
        return xvmi_error_set(err, XVMI_ERR_FORMAT, "the file is empty");
    image->size = (size_t)st.st_size;
    void *map = mmap(NULL, image->size, PROT_READ, MAP_SHARED, image->fd, 0);
    if (map == MAP_FAILED)
        return xvmi_error_set(err, XVMI_ERR_IO, "cannot map %zu bytes of it: %s", image->size,
                              strerror(errno));
    image->map = map;
    return XVMI_OK;
}

static enum xvmi_status map_path(struct xm_image *image, const char *path, struct xvmi_error *err)
{
    image->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (image->fd < 0) {
        enum xvmi_status status = errno == ENOENT || errno == ENOTDIR ? XVMI_ERR_NOT_FOUND
                                  : errno == EACCES                   ? XVMI_ERR_PERMISSION
                                                                      : XVMI_ERR_IO;
        return xvmi_error_set(err, status, "cannot open it: %s", strerror(errno));
    }
    return map_fd(image, err);
}

/* Makedumpfile's way of writing to a pipe: put the pieces in their places and go on with that. */
static enum xvmi_status read_flattened(struct xm_image *image, struct xvmi_error *err)
{
    int fd;
    enum xvmi_status status = xm_flat_rearrange(image->map, image->size, &fd, err);
    if (status)
        return status;
    unmap(image);
    image->fd = fd;
    status = map_fd(image, err);
    return status ? status : xm_kdump_open(image, err);
}

static enum xvmi_status read_by_magic(struct xm_image *image, struct xvmi_error *err)
{
    static const struct {
        const char *magic;
        size_t len;
        enum xvmi_status (*read)(struct xm_image *, struct xvmi_error *);
    } formats[] = {
        {"\177ELF", 4, xm_elfcore_read},
        {"EMiL", 4, xm_lime_read},
        {"KDUMP   ", 8, xm_kdump_open},
        {"makedumpfile", 13, read_flattened},
    };
    for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
        if (image->size >= formats[i].len &&
            memcmp(image->map, formats[i].magic, formats[i].len) == 0)
            return formats[i].read(image, err);
    return xm_raw_read(image, err);
}

enum xvmi_status xm_image_open(const char *path, struct xvmi_mem_backend *backend,
                               struct xvmi_error *err)
{
    struct xm_image *image = calloc(1, sizeof(*image));
    if (!image)
        return xvmi_error_set(err, XVMI_ERR_NO_MEMORY, "out of memory");
    image->fd = -1;
    enum xvmi_status status = map_path(image, path, err);
    if (!status)
        status = read_by_magic(image, err);
    if (status) {
        image_close(image);
        return xvmi_error_frame(err, status, "%s", path);
    }
    *backend = (struct xvmi_mem_backend){
        .size = sizeof(*backend),
        .ops = image->kdump ? &kdump_ops : &image_ops,
        .ctx = image,
        .vcpus = (unsigned)image->vcpus,
        .live = false,
    };
    return XVMI_OK;
}
