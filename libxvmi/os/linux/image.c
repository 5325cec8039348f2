// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "os/linux/image.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/vec.h"

#define SLOT (UINT64_C(2) << 20) /* KASLR and the linker place the image at a multiple of this */
/* Parts of an image are closer to each other than it is to modules; freed init memory is a hole. */
#define MAX_HOLE    (UINT64_C(32) << 20)
#define MAX_SIZE    (UINT64_C(256) << 20) /* the largest builds, sanitizers and all, take half */
#define MAX_EXTENTS 8192
#define PIECE       ((size_t)1 << 20)
#define OVERLAP     4096

/* What lies at gva: an extent to the end of its page, or false and the size of the hole. */
static bool look_up(struct xm_mem *mem, const struct xx_paging *paging, uint64_t gva,
                    struct xl_extent *extent, uint64_t *hole)
{
    struct xx_walk walk;
    struct xx_fault fault = {0};
    bool exec = true, write = true;
    unsigned level = paging->levels;
    enum xx_step step = xx_begin(&walk, paging, gva, &fault);
    while (step == XX_NEED) {
        uint64_t entry;
        level = walk.level;
        if (xm_read_entry(mem, walk.need, &entry, NULL))
            break;
        exec = exec && !(entry >> 63);
        write = write && (entry & 2);
        step = xx_feed(&walk, entry, &fault);
    }
    if (step == XX_DONE) {
        enum xl_part part = exec ? XL_PART_CODE : write ? XL_PART_DATA : XL_PART_RODATA;
        *extent = (struct xl_extent){gva, walk.gpa, walk.left, part};
        return true;
    }
    uint64_t covers = UINT64_C(1) << (12 + 9 * (level - 1));
    *hole = covers - (gva & (covers - 1));
    return false;
}

static bool add(struct xl_image *image, struct xl_extent extent)
{
    struct xl_extent *last = image->n ? &image->v[image->n - 1] : NULL;
    image->size += extent.len;
    if (last && last->gva + last->len == extent.gva && last->gpa + last->len == extent.gpa &&
        last->part == extent.part) {
        last->len += extent.len;
        return true;
    }
    return xb_vec_push(image, extent);
}

static enum xvmi_status collect(struct xl_image *image, const struct xx_paging *paging,
                                struct xvmi_error *err)
{
    uint64_t hole = 0, room;
    for (uint64_t off = 0; off < XL_IMAGE_MAX; off += room) {
        struct xl_extent extent = {0};
        if (!look_up(image->mem, paging, XL_IMAGE_MAP + off, &extent, &room)) {
            hole += room;
            if (image->n && hole > MAX_HOLE)
                break;
            if (!image->n) /* to the next place where an image can begin */
                room = SLOT - off % SLOT > room ? SLOT - off % SLOT : room;
            continue;
        }
        room = extent.len < XL_IMAGE_MAX - off ? extent.len : XL_IMAGE_MAX - off;
        extent.len = room;
        hole = 0;
        if (!add(image, extent))
            return xvmi_error_set(err, XVMI_ERR_NO_MEMORY, "out of memory");
        if (image->n > MAX_EXTENTS || image->size > MAX_SIZE)
            return xvmi_error_set(err, XVMI_ERR_LIMIT,
                                  "0x%lx bytes in %zu pieces are mapped from 0x%lx on: no kernel "
                                  "image is like that",
                                  image->size, image->n, image->v[0].gva);
    }
    if (!image->n)
        return xvmi_error_set(err, XVMI_ERR_NOT_FOUND,
                              "page tables at 0x%lx (%u levels) map no kernel image", paging->root,
                              paging->levels);
    return XVMI_OK;
}

enum xvmi_status xl_image_open(struct xl_image *image, struct xm_mem *mem,
                               const struct xx_paging *paging, struct xvmi_error *err)
{
    *image = (struct xl_image){.mem = mem};
    enum xvmi_status status = collect(image, paging, err);
    if (status) {
        xl_image_close(image);
        return status;
    }
    image->text = image->v[0].gva;
    image->phys_base = image->v[0].gpa - (image->text - XL_IMAGE_MAP);
    return XVMI_OK;
}

void xl_image_close(struct xl_image *image)
{
    free(image->v);
    *image = (struct xl_image){0};
}

/* The extent that holds gva, or the next one; n when there is none. */
static size_t find_extent(const struct xl_image *image, uint64_t gva)
{
    size_t low = 0, high = image->n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (image->v[mid].gva + image->v[mid].len <= gva)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

bool xl_image_together(const struct xl_image *image, uint64_t a, uint64_t b)
{
    size_t i = find_extent(image, a);
    return i < image->n && a >= image->v[i].gva && b >= image->v[i].gva &&
           b - image->v[i].gva < image->v[i].len;
}

void xl_image_room(const struct xl_image *image, uint64_t gva, uint64_t *before, uint64_t *after)
{
    *before = *after = 0;
    size_t at = find_extent(image, gva);
    if (at == image->n || gva < image->v[at].gva)
        return;
    size_t low = at, high = at;
    while (low > 0 && image->v[low - 1].gva + image->v[low - 1].len == image->v[low].gva)
        low--;
    while (high + 1 < image->n && image->v[high].gva + image->v[high].len == image->v[high + 1].gva)
        high++;
    *before = gva - image->v[low].gva;
    *after = image->v[high].gva + image->v[high].len - gva;
}

enum xvmi_status xl_image_read(const struct xl_image *image, uint64_t gva, void *dst, size_t len)
{
    uint8_t *out = dst;
    for (size_t i = find_extent(image, gva); len > 0; i++) {
        if (i == image->n || gva < image->v[i].gva)
            return XVMI_ERR_NOT_PRESENT;
        uint64_t off = gva - image->v[i].gva;
        uint64_t left = image->v[i].len - off;
        size_t take = len < left ? len : (size_t)left;
        enum xvmi_status status = xm_read(image->mem, image->v[i].gpa + off, out, take, NULL);
        if (status)
            return status;
        gva += take;
        out += take;
        len -= take;
    }
    return XVMI_OK;
}

/* An extent that the host has not mapped in one piece. False when fn had enough. */
static bool each_piece(const struct xl_image *image, const struct xl_extent *extent,
                       uint8_t *buffer, xl_image_fn *fn, void *arg)
{
    for (uint64_t off = 0;; off += PIECE - OVERLAP) {
        size_t take = extent->len - off < PIECE ? (size_t)(extent->len - off) : PIECE;
        /* Page tables can name memory that is not there; the rest may still do. */
        if (!xm_read(image->mem, extent->gpa + off, buffer, take, NULL) &&
            !fn(arg, extent->gva + off, buffer, take))
            return false;
        if (take == extent->len - off)
            return true;
    }
}

enum xvmi_status xl_image_each(const struct xl_image *image, enum xl_part part, xl_image_fn *fn,
                               void *arg, struct xvmi_error *err)
{
    xb_auto_free uint8_t *buffer = NULL;
    bool go_on = true;
    for (size_t i = 0; i < image->n && go_on; i++) {
        const struct xl_extent *extent = &image->v[i];
        if (extent->part != part)
            continue;
        const uint8_t *data = xm_ptr(image->mem, extent->gpa, extent->len, NULL);
        if (data) {
            go_on = fn(arg, extent->gva, data, extent->len);
            continue;
        }
        if (!buffer)
            buffer = malloc(PIECE);
        if (!buffer)
            return xvmi_error_set(err, XVMI_ERR_NO_MEMORY, "out of memory");
        go_on = each_piece(image, extent, buffer, fn, arg);
    }
    return XVMI_OK;
}
