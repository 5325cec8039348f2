// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <criterion/criterion.h>

#ifdef XM_HAVE_ZLIB
#include <zlib.h>
#endif
#ifdef XM_HAVE_LZO
#include <lzo/lzo1x.h>
#endif
#ifdef XM_HAVE_SNAPPY
#include <snappy-c.h>
#endif
#ifdef XM_HAVE_ZSTD
#include <zstd.h>
#endif

#include "mem/kdump.h"
#include "mem/mem.h"
#include "support/image-writer.h"

#define PAGE 4096u

/* A page full of fives, by zlib. */
static const uint8_t fives[] = {0x78, 0xda, 0xed, 0xc1, 0x31, 0x0d, 0x00, 0x00, 0x00,
                                0xc3, 0xa0, 0xab, 0xfe, 0x2d, 0xcf, 0xc7, 0x02, 0x14,
                                0x00, 0x00, 0x00, 0xf0, 0x6e, 0x5d, 0x80, 0x50, 0x01};
static uint8_t ones[PAGE];
static struct xvmi_error err;
static char path[64];

/* 100 pages of RAM, of which 2, 3 and 64 were dumped. */
static struct image small_kdump(void)
{
    memset(ones, 1, PAGE);
    struct image image = {0}, notes = {0};
    image_note_prstatus(&notes, 0);
    image_note_qemu(&notes, 0, 440);
    image_note(&notes, "VMCOREINFO", 0, "OSRELEASE=6.1\n", 14);
    image_kdump(&image, 100,
                (struct image_page[]){{2, ones, PAGE, 0},
                                      {3, fives, sizeof(fives), 1},
                                      {64, fives, sizeof(fives), 1}},
                3, &notes);
    image_free(&notes);
    return image;
}

static enum xvmi_status open_image(struct image *image, struct xm_mem **mem)
{
    char uri[80];
    char *saved = image_save(image);
    image_free(image);
    snprintf(path, sizeof(path), "%s", saved);
    snprintf(uri, sizeof(uri), "file:%s", saved);
    enum xvmi_status status = xm_open(uri, mem, &err);
    unlink(saved);
    free(saved);
    return status;
}

static struct xm_mem *opened(struct image *image)
{
    struct xm_mem *mem;
    cr_assert_eq(open_image(image, &mem), XVMI_OK, "%s", err.text);
    return mem;
}

static void refused(struct image *image, enum xvmi_status status, const char *text)
{
    struct xm_mem *mem;
    cr_assert_eq(open_image(image, &mem), status, "%s", err.text);
    cr_assert_null(mem);
    cr_assert_eq(strncmp(err.text, path, strlen(path)), 0, "%s", err.text);
    cr_assert_str_eq(err.text + strlen(path) + 2, text);
}

__attribute__((unused)) static void is_the_small_one(struct xm_mem *mem)
{
    size_t n;
    const struct xvmi_mem_range *ranges = xm_ranges(mem, &n);
    cr_assert_eq(n, 1);
    cr_assert_eq(ranges[0].gpa, 0);
    cr_assert_eq(ranges[0].size, 100 * PAGE);
    cr_assert_null(ranges[0].host);

    uint8_t data[8];
    cr_assert_eq(xm_read(mem, 0x2ffc, data, 8, &err), XVMI_OK, "%s", err.text);
    cr_assert_eq(memcmp(data, "\1\1\1\1\5\5\5\5", 8), 0);
    cr_assert_eq(xm_read(mem, 0x40ff8, data, 8, &err), XVMI_OK, "%s", err.text);
    cr_assert_eq(memcmp(data, "\5\5\5\5\5\5\5\5", 8), 0);
    cr_assert_eq(xm_stats(mem).backend_calls, 3);
    cr_assert_eq(xm_read(mem, 0x2000, data, 8, &err), XVMI_OK);
    cr_assert_eq(xm_stats(mem).backend_calls, 3); /* from the page cache */
    cr_assert_eq(xm_stats(mem).cache_hits, 1);

    cr_assert_eq(xm_read(mem, 0x4000, data, 8, &err), XVMI_ERR_NOT_PRESENT); /* left out */
    cr_assert_str_eq(err.text, "memory at 0x4000 was left out of the dump");
    cr_assert_eq(xm_read(mem, 100 * PAGE, data, 8, &err), XVMI_ERR_NOT_PRESENT);
    cr_assert_str_eq(err.text, "no RAM at guest-physical 0x64000");

    uint64_t start, end;
    cr_assert_eq(xm_next_data(mem, 0, &start, &end, &err), XVMI_OK);
    cr_assert_eq(start, 0x2000);
    cr_assert_eq(end, 0x4000);
    cr_assert_eq(xm_next_data(mem, 0x3004, &start, &end, &err), XVMI_OK);
    cr_assert_eq(start, 0x3004);
    cr_assert_eq(xm_next_data(mem, end, &start, &end, &err), XVMI_OK);
    cr_assert_eq(start, 0x40000);
    cr_assert_eq(end, 0x41000);
    cr_assert_eq(xm_next_data(mem, end, &start, &end, &err), XVMI_ERR_NOT_FOUND);
    cr_assert_str_eq(err.text, "no data at or after 0x41000");

    struct xvmi_vcpu_regs regs;
    cr_assert_eq(xm_regs(mem, 0, &regs, &err), XVMI_OK);
    cr_assert_eq(regs.cr3, IMAGE_REG(0, 52));
    char text[16] = "";
    size_t len;
    cr_assert_eq(xm_vmcoreinfo(mem, text, sizeof(text), &len, &err), XVMI_OK);
    cr_assert_eq(len, 14);
    cr_assert_str_eq(text, "OSRELEASE=6.1\n");
}

#ifdef XM_HAVE_ZLIB
Test(kdump, pages)
{
    struct image image = small_kdump();
    struct xm_mem *mem = opened(&image);
    is_the_small_one(mem);
    xm_close(mem);
}

Test(kdump, flattened)
{
    struct image plain = small_kdump(), image = {0};
    image_flatten(&image, &plain, 1000);
    image_free(&plain);
    struct xm_mem *mem = opened(&image);
    is_the_small_one(mem);
    xm_close(mem);
}

#else
Test(kdump, pages_of_a_kind_that_was_not_built)
{
    struct image image = small_kdump();
    struct xm_mem *mem = opened(&image);
    uint8_t byte;
    cr_assert_eq(xm_read(mem, 0x2000, &byte, 1, &err), XVMI_OK, "%s", err.text);
    cr_assert_eq(byte, 1);
    cr_assert_eq(xm_read(mem, 0x3000, &byte, 1, &err), XVMI_ERR_UNSUPPORTED);
    cr_assert_str_eq(err.text, "memory at 0x3000: compressed with zlib, which libxvmi was built "
                               "without");
    xm_close(mem);
}
#endif

Test(kdump, flattened_and_damaged)
{
    struct image plain = small_kdump(), image = {0};
    image_flatten(&image, &plain, 1 << 20);
    size_t size = image.n;
    image.n -= 1;
    refused(&image, XVMI_ERR_FORMAT,
            "the flattened dump is truncated: no end mark in 0x63f5 bytes");
    image_flatten(&image, &plain, 1 << 20);
    image.n = 5000;
    refused(&image, XVMI_ERR_FORMAT,
            "the flattened dump is truncated or damaged: a piece of 0x53d6 bytes for 0x0 at byte "
            "0x1000 of 0x1388");
    image_flatten(&image, &plain, 1 << 20);
    image.v[4096] = 0x70; /* the piece's place */
    refused(&image, XVMI_ERR_FORMAT,
            "the flattened dump is truncated or damaged: a piece of 0x53d6 bytes for "
            "0x7000000000000000 at byte 0x1000 of 0x63f6");
    cr_assert_eq(size, 0x63f6);
    image_fill(&image, 0, PAGE);
    memcpy(image.v, "makedumpfile", 12);
    refused(&image, XVMI_ERR_FORMAT,
            "the flattened dump is truncated: no end mark in 0x1000 bytes");
    image_free(&plain);
}

static void put_u32(struct image *image, size_t off, uint32_t v)
{
    memcpy(image->v + off, &v, sizeof(v));
}

static void put_u64(struct image *image, size_t off, uint64_t v)
{
    memcpy(image->v + off, &v, sizeof(v));
}

Test(kdump, truncated)
{
    struct image image = small_kdump();
    image.n = 8191;
    refused(&image, XVMI_ERR_FORMAT, "0x1fff bytes are too few for a kdump");
    image = small_kdump();
    image.n = 4 * PAGE - 1;
    refused(&image, XVMI_ERR_FORMAT,
            "bitmaps of 2 blocks after a sub-header of 1 for 100 pages: the file (0x3fff bytes) is "
            "truncated or damaged");
}

Test(kdump, absurd_header)
{
    struct image image = small_kdump();
    put_u32(&image, KDUMP_VERSION, 7);
    refused(&image, XVMI_ERR_UNSUPPORTED,
            "a kdump header of version 7 with blocks of 0x1000 bytes and a sub-header of 1: only "
            "x86-64 dumps, versions 1 to 6, are supported");
    image = small_kdump();
    put_u32(&image, KDUMP_BLOCK_SIZE, 0);
    refused(&image, XVMI_ERR_UNSUPPORTED,
            "a kdump header of version 6 with blocks of 0x0 bytes and a sub-header of 1: only "
            "x86-64 dumps, versions 1 to 6, are supported");
    image = small_kdump();
    put_u32(&image, KDUMP_BITMAP_BLOCKS, UINT32_MAX);
    refused(&image, XVMI_ERR_FORMAT,
            "bitmaps of 4294967295 blocks after a sub-header of 1 for 100 pages: the file (0x53d6 "
            "bytes) is truncated or damaged");
    image = small_kdump();
    put_u64(&image, KDUMP_MAX_MAPNR, 4096 * 8 + 1);
    refused(&image, XVMI_ERR_FORMAT,
            "bitmaps of 2 blocks after a sub-header of 1 for 32769 pages: the file (0x53d6 bytes) "
            "is truncated or damaged");
    image = small_kdump();
    put_u64(&image, KDUMP_NOTE_SIZE, UINT64_MAX);
    refused(&image, XVMI_ERR_FORMAT,
            "notes at 0x507e, 0xffffffffffffffff bytes, outside the file (0x53d6 bytes)");
}

#ifdef XM_HAVE_ZLIB
/* What a page's descriptor claims is only looked at when the page is read. */
static void page_fails(struct image *image, uint64_t gpa, enum xvmi_status status, const char *text)
{
    struct xm_mem *mem = opened(image);
    uint8_t byte;
    cr_assert_eq(xm_read(mem, gpa, &byte, 1, &err), status, "%s", err.text);
    cr_assert_str_eq(err.text, text);
    cr_assert_eq(xm_read(mem, 0x40000, &byte, 1, &err), XVMI_OK, "%s", err.text);
    cr_assert_eq(byte, 5);
    xm_close(mem);
}

Test(kdump, absurd_pages)
{
    struct image image = small_kdump();
    put_u64(&image, KDUMP_DESCRIPTOR, UINT64_MAX / 2);
    page_fails(
        &image, 0x2000, XVMI_ERR_FORMAT,
        "memory at 0x2000: 0x1000 bytes at 0x7fffffffffffffff of the file (0x53d6 bytes): it "
        "is truncated or damaged");
    image = small_kdump();
    put_u32(&image, KDUMP_DESCRIPTOR + 8, UINT32_MAX);
    page_fails(&image, 0x2000, XVMI_ERR_FORMAT,
               "memory at 0x2000: 0xffffffff bytes at 0x4048 of the file (0x53d6 bytes): it is "
               "truncated or damaged");
    image = small_kdump();
    put_u32(&image, KDUMP_DESCRIPTOR + 8, PAGE - 1);
    page_fails(&image, 0x2000, XVMI_ERR_FORMAT,
               "memory at 0x2000: 0xfff bytes (compression: none) are not a page");
    image = small_kdump();
    put_u32(&image, KDUMP_DESCRIPTOR + 24 + 12, 3);
    page_fails(&image, 0x3000, XVMI_ERR_UNSUPPORTED,
               "memory at 0x3000: compression 0x3 is not known");
    image = small_kdump();
    put_u32(&image, KDUMP_DESCRIPTOR + 24 + 8, 10); /* cuts the compressed bytes */
    page_fails(&image, 0x3000, XVMI_ERR_FORMAT,
               "memory at 0x3000: 0xa bytes (compression: zlib) are not a page");
}

#endif

/* --- each way to compress that was built in --- */

static uint8_t text_page[PAGE], packed[2 * PAGE];

__attribute__((unused)) static void fill_text_page(void)
{
    for (size_t i = 0; i < PAGE; i++)
        text_page[i] = (uint8_t)("a page of text "[i % 15] + i / 512);
}

__attribute__((unused)) static void unpacks(unsigned flag, const char *name, size_t size)
{
    uint8_t page[PAGE + 1];
    page[PAGE] = 0xee;
    cr_assert_eq(xm_kdump_unpack(flag, packed, size, page, &err), XVMI_OK, "%s", err.text);
    cr_assert_eq(memcmp(page, text_page, PAGE), 0);
    for (size_t cut = 0; cut < size; cut++)
        cr_assert_eq(xm_kdump_unpack(flag, packed, cut, page, &err), XVMI_ERR_FORMAT);
    char want[100];
    snprintf(want, sizeof(want), "0x%zx bytes (compression: %s) are not a page", size - 1, name);
    cr_assert_str_eq(err.text, want);
    cr_assert_eq(page[PAGE], 0xee);
}

#ifdef XM_HAVE_ZLIB
Test(unpack, zlib, .init = fill_text_page)
{
    uLongf size = sizeof(packed);
    cr_assert_eq(compress(packed, &size, text_page, PAGE), Z_OK);
    unpacks(1, "zlib", size);
    uint8_t two_pages[2 * PAGE] = {0}, page[PAGE];
    size = sizeof(packed);
    cr_assert_eq(compress(packed, &size, two_pages, sizeof(two_pages)), Z_OK);
    cr_assert_eq(xm_kdump_unpack(1, packed, size, page, &err), XVMI_ERR_FORMAT);
    size = sizeof(packed);
    cr_assert_eq(compress(packed, &size, two_pages, PAGE - 1), Z_OK);
    cr_assert_eq(xm_kdump_unpack(1, packed, size, page, &err), XVMI_ERR_FORMAT);
}
#endif

#ifdef XM_HAVE_LZO
Test(unpack, lzo, .init = fill_text_page)
{
    static uint8_t work[LZO1X_1_MEM_COMPRESS];
    lzo_uint size = sizeof(packed);
    cr_assert_eq(lzo1x_1_compress(text_page, PAGE, packed, &size, work), LZO_E_OK);
    unpacks(2, "lzo", size);
}
#endif

#ifdef XM_HAVE_SNAPPY
Test(unpack, snappy, .init = fill_text_page)
{
    size_t size = sizeof(packed);
    cr_assert_eq(snappy_compress((char *)text_page, PAGE, (char *)packed, &size), SNAPPY_OK);
    unpacks(4, "snappy", size);
}
#endif

#ifdef XM_HAVE_ZSTD
Test(unpack, zstd, .init = fill_text_page)
{
    size_t size = ZSTD_compress(packed, sizeof(packed), text_page, PAGE, 1);
    cr_assert_not(ZSTD_isError(size));
    unpacks(0x20, "zstd", size);
}
#endif

Test(kdump, descriptors_cut_off)
{
    struct image image = small_kdump();
    image.n = KDUMP_DESCRIPTOR + 3 * 24 - 1;
    put_u64(&image, KDUMP_NOTE_SIZE, 0);
    put_u64(&image, KDUMP_NOTE_OFFSET, 0);
    refused(&image, XVMI_ERR_FORMAT,
            "3 pages after byte 0x4000: the file (0x4047 bytes) is truncated or damaged");
}

#ifdef XM_HAVE_ZLIB
/* More pages than one stretch of the index of stored pages. */
Test(kdump, many_pages)
{
    static struct image_page pages[10000];
    memset(ones, 1, PAGE);
    for (size_t i = 0; i < 10000; i++)
        pages[i] = (struct image_page){i + i / 10, fives, sizeof(fives), 1}; /* 10 of 11 */
    pages[9999].data = ones;
    pages[9999].size = PAGE;
    pages[9999].flags = 0;
    struct image image = {0};
    image_kdump(&image, 11000, pages, 10000, NULL);
    struct xm_mem *mem = opened(&image);
    uint8_t byte;
    for (size_t i = 0; i < 11000; i += 5) {
        enum xvmi_status status = xm_read(mem, i * PAGE + 7, &byte, 1, &err);
        cr_assert_eq(status, i % 11 == 10 ? XVMI_ERR_NOT_PRESENT : XVMI_OK, "%zu: %s", i, err.text);
    }
    cr_assert_eq(xm_read(mem, pages[9999].number * PAGE, &byte, 1, &err), XVMI_OK);
    cr_assert_eq(byte, 1);
    cr_assert_eq(xm_read(mem, pages[9998].number * PAGE, &byte, 1, &err), XVMI_OK);
    cr_assert_eq(byte, 5);
    xm_close(mem);
}
#endif
