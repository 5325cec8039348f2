// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "mem/kdump.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/vec.h"

#define PAGE ((uint64_t)XM_KDUMP_PAGE)

/* One bit for each page, in the image's map. */
struct bitmap {
    const uint8_t *v;
    uint64_t n;
};

struct xm_kdump {
    struct bitmap ram;    /* pages that are RAM */
    struct bitmap stored; /* pages whose content is in the file */
    uint64_t *before;     /* stored pages before each stretch of RANK_PAGES */
    const uint8_t *map;   /* the image's */
    size_t size;
    uint64_t descriptors; /* where they lie: one for each stored page, in order */
};

#define RANK_PAGES UINT64_C(4096)

struct descriptor {
    uint64_t offset;
    uint32_t size;
    uint32_t flags; /* how it is compressed, if it is */
    uint64_t page_flags;
};
_Static_assert(sizeof(struct descriptor) == 24, "as in the file");

/* Places in the header, block 0, and the sub-header, block 1 (makedumpfile: diskdump_mod.h). */
#define HEADER_VERSION       8
#define HEADER_BLOCK_SIZE    428
#define HEADER_SUB_BLOCKS    432
#define HEADER_BITMAP_BLOCKS 436
#define HEADER_MAX_MAPNR     440
#define HEADER_NR_CPUS       460
#define SUB_OFFSET_NOTE      48
#define SUB_MAX_MAPNR_64     96

/* Stretches of the file that the sub-header names: offset, then size. */
static const struct {
    const char *what;
    uint32_t version; /* of the format that brought it */
    size_t at;
} stretches[] = {{"VMCOREINFO", 3, 32}, {"notes", 4, SUB_OFFSET_NOTE}, {"erase info", 5, 64}};

static uint32_t u32_at(const struct xm_image *image, size_t off)
{
    uint32_t v;
    memcpy(&v, image->map + off, sizeof(v));
    return v;
}

static uint64_t u64_at(const struct xm_image *image, size_t off)
{
    uint64_t v;
    memcpy(&v, image->map + off, sizeof(v));
    return v;
}

static enum xvmi_status check_header(struct xm_image *image, struct xvmi_error *err)
{
    if (image->size < 2 * PAGE)
        return xvmi_error_set(err, XVMI_ERR_FORMAT, "0x%zx bytes are too few for a kdump",
                              image->size);
    uint32_t version = u32_at(image, HEADER_VERSION);
    uint64_t block = u32_at(image, HEADER_BLOCK_SIZE);
    uint64_t sub = u32_at(image, HEADER_SUB_BLOCKS);
    uint64_t bitmaps = u32_at(image, HEADER_BITMAP_BLOCKS);
    uint64_t pages = u32_at(image, HEADER_MAX_MAPNR);
    if (version < 1 || version > 6 || block != PAGE || sub < 1)
        return xvmi_error_set(
            err, XVMI_ERR_UNSUPPORTED,
            "a kdump header of version %u with blocks of 0x%lx bytes and a "
            "sub-header of %lu: only x86-64 dumps, versions 1 to 6, are supported",
            version, block, sub);
    if (version == 6)
        pages = u64_at(image, PAGE + SUB_MAX_MAPNR_64);
    /* Two bitmaps of equal size follow the sub-header. */
    if ((1 + sub + bitmaps) * PAGE > image->size || pages > bitmaps / 2 * PAGE * 8)
        return xvmi_error_set(err, XVMI_ERR_FORMAT,
                              "bitmaps of %lu blocks after a sub-header of %lu for %lu pages: the "
                              "file (0x%zx bytes) is truncated or damaged",
                              bitmaps, sub, pages, image->size);
    const uint8_t *first = image->map + (1 + sub) * PAGE;
    image->kdump->ram = (struct bitmap){first, pages};
    image->kdump->stored = (struct bitmap){first + bitmaps / 2 * PAGE, pages};
    image->kdump->descriptors = (1 + sub + bitmaps) * PAGE;
    return XVMI_OK;
}

static enum xvmi_status check_stretches(const struct xm_image *image, struct xvmi_error *err)
{
    for (size_t i = 0; i < sizeof(stretches) / sizeof(stretches[0]); i++) {
        uint64_t off = u64_at(image, PAGE + stretches[i].at);
        uint64_t size = u64_at(image, PAGE + stretches[i].at + 8);
        if (u32_at(image, HEADER_VERSION) >= stretches[i].version &&
            (off > image->size || size > image->size - off))
            return xvmi_error_set(err, XVMI_ERR_FORMAT,
                                  "%s at 0x%lx, 0x%lx bytes, outside the file (0x%zx bytes)",
                                  stretches[i].what, off, size, image->size);
    }
    return XVMI_OK;
}

/* Registers and VMCOREINFO, from the notes that the kernel or QEMU wrote. */
static enum xvmi_status read_notes(struct xm_image *image, struct xvmi_error *err)
{
    if (u32_at(image, HEADER_VERSION) < 4)
        return XVMI_OK;
    uint64_t off = u64_at(image, PAGE + SUB_OFFSET_NOTE);
    return xm_notes_read(image, image->map + off, u64_at(image, PAGE + SUB_OFFSET_NOTE + 8), err);
}

/* The first page at or after `from` whose bit is `set`; n when there is none. */
static uint64_t find_bit(const struct bitmap *bitmap, uint64_t from, bool set)
{
    uint8_t skip = set ? 0 : 0xff;
    while (from < bitmap->n) {
        uint8_t byte = bitmap->v[from / 8];
        if (byte == skip)
            from = (from / 8 + 1) * 8;
        else if ((byte >> from % 8 & 1) == set)
            return from;
        else
            from++;
    }
    return bitmap->n;
}

/* The next run of set bits at or after *from; false when there is none. */
static bool next_run(const struct bitmap *bitmap, uint64_t *from, uint64_t *to)
{
    *from = find_bit(bitmap, *from, true);
    *to = find_bit(bitmap, *from, false);
    return *from < *to;
}

/* How many of the pages in [from, to) are stored; `from` is a multiple of 8. */
static uint64_t count_stored(const struct bitmap *bitmap, uint64_t from, uint64_t to)
{
    uint64_t count = 0;
    for (; from + 8 <= to; from += 8)
        count += (unsigned)__builtin_popcount(bitmap->v[from / 8]);
    if (from < to)
        count += (unsigned)__builtin_popcount(bitmap->v[from / 8] & ((1u << (to - from)) - 1));
    return count;
}

static enum xvmi_status index_stored(struct xm_kdump *kdump, struct xvmi_error *err)
{
    uint64_t n = kdump->stored.n / RANK_PAGES + 1, total = 0;
    kdump->before = malloc(n * sizeof(*kdump->before));
    if (!kdump->before)
        return xvmi_error_set(err, XVMI_ERR_NO_MEMORY, "out of memory for a kdump");
    for (uint64_t i = 0; i < n; i++) {
        uint64_t end = (i + 1) * RANK_PAGES;
        kdump->before[i] = total;
        total += count_stored(&kdump->stored, i * RANK_PAGES,
                              end < kdump->stored.n ? end : kdump->stored.n);
    }
    if (total > (kdump->size - kdump->descriptors) / sizeof(struct descriptor))
        return xvmi_error_set(err, XVMI_ERR_FORMAT,
                              "%lu pages after byte 0x%lx: the file (0x%zx bytes) is truncated or "
                              "damaged",
                              total, kdump->descriptors, kdump->size);
    return XVMI_OK;
}

static enum xvmi_status read_page(const struct xm_kdump *kdump, uint64_t page, uint8_t *dst,
                                  struct xvmi_error *err)
{
    if (find_bit(&kdump->stored, page, true) != page)
        return xvmi_error_set(err, XVMI_ERR_NOT_PRESENT, "memory at 0x%lx was left out of the dump",
                              page * PAGE);
    uint64_t first = page / RANK_PAGES * RANK_PAGES;
    uint64_t number = kdump->before[page / RANK_PAGES] + count_stored(&kdump->stored, first, page);
    struct descriptor d;
    memcpy(&d, kdump->map + kdump->descriptors + number * sizeof(d), sizeof(d));
    if (d.offset > kdump->size || d.size > kdump->size - d.offset)
        return xvmi_error_set(
            err, XVMI_ERR_FORMAT,
            "memory at 0x%lx: 0x%x bytes at 0x%lx of the file (0x%zx bytes): it is "
            "truncated or damaged",
            page * PAGE, d.size, d.offset, kdump->size);
    enum xvmi_status status = xm_kdump_unpack(d.flags, kdump->map + d.offset, d.size, dst, err);
    return status ? xvmi_error_frame(err, status, "memory at 0x%lx", page * PAGE) : XVMI_OK;
}

/* RAM as the first bitmap has it, whether its content was dumped or left out. */
static enum xvmi_status read_ranges(struct xm_image *image, struct xvmi_error *err)
{
    for (uint64_t from = 0, to; next_run(&image->kdump->ram, &from, &to); from = to) {
        struct xvmi_mem_range range = {.gpa = from * PAGE, .size = (to - from) * PAGE};
        if (!xb_vec_reserve((void **)&image->ranges, &image->cap, image->n + 1, sizeof(range)))
            return xvmi_error_set(err, XVMI_ERR_NO_MEMORY, "out of memory for %zu ranges",
                                  image->n);
        image->ranges[image->n++] = range;
    }
    if (image->n == 0)
        return xvmi_error_set(err, XVMI_ERR_FORMAT, "the image holds no memory");
    return XVMI_OK;
}

enum xvmi_status xm_kdump_open(struct xm_image *image, struct xvmi_error *err)
{
    image->kdump = calloc(1, sizeof(*image->kdump));
    if (!image->kdump)
        return xvmi_error_set(err, XVMI_ERR_NO_MEMORY, "out of memory for a kdump");
    image->kdump->map = image->map;
    image->kdump->size = image->size;
    enum xvmi_status status = check_header(image, err);
    if (!status)
        status = check_stretches(image, err);
    if (!status)
        status = index_stored(image->kdump, err);
    if (!status)
        status = read_notes(image, err);
    return status ? status : read_ranges(image, err);
}

void xm_kdump_close(struct xm_kdump *kdump)
{
    if (!kdump)
        return;
    free(kdump->before);
    free(kdump);
}

enum xvmi_status xm_kdump_read(struct xm_kdump *kdump, uint64_t gpa, void *dst, size_t len,
                               struct xvmi_error *err)
{
    uint8_t *out = dst;
    while (len > 0) {
        uint8_t page[XM_KDUMP_PAGE];
        size_t off = gpa % PAGE;
        size_t take = len < PAGE - off ? len : PAGE - off;
        bool whole = take == PAGE;
        enum xvmi_status status = read_page(kdump, gpa / PAGE, whole ? out : page, err);
        if (status)
            return status;
        if (!whole)
            memcpy(out, page + off, take);
        gpa += take;
        out += take;
        len -= take;
    }
    return XVMI_OK;
}

enum xvmi_status xm_kdump_next_data(struct xm_kdump *kdump, uint64_t gpa, uint64_t *start,
                                    uint64_t *end, struct xvmi_error *err)
{
    uint64_t from = gpa / PAGE, to;
    if (!next_run(&kdump->stored, &from, &to))
        return xvmi_error_set(err, XVMI_ERR_NOT_FOUND, "no data at or after 0x%lx", gpa);
    *start = from * PAGE > gpa ? from * PAGE : gpa;
    *end = to * PAGE;
    return XVMI_OK;
}
