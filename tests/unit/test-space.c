// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "os/space.h"

/* 16 pages of guest memory at GPA 0, mapped or read through the backend. */
struct guest {
    uint64_t word[16][512];
    struct xvmi_mem_range range;
};

static struct guest guest;

static enum xvmi_status guest_ranges(void *ctx, const struct xvmi_mem_range **ranges, size_t *n,
                                     struct xvmi_error *err)
{
    (void)err;
    struct guest *g = ctx;
    *ranges = &g->range;
    *n = 1;
    return XVMI_OK;
}

static enum xvmi_status guest_read(void *ctx, uint64_t gpa, void *dst, size_t len,
                                   struct xvmi_error *err)
{
    (void)err;
    struct guest *g = ctx;
    memcpy(dst, (uint8_t *)g->word + gpa, len);
    return XVMI_OK;
}

static const struct xvmi_mem_ops guest_ops = {
    .size = sizeof(guest_ops), .ranges = guest_ranges, .read = guest_read};

static struct xm_mem *open_guest(bool mapped)
{
    struct xvmi_error err = XVMI_ERROR_INIT;
    struct xm_mem *mem;
    guest.range = (struct xvmi_mem_range){
        .gpa = 0, .size = sizeof(guest.word), .host = mapped ? (uint8_t *)guest.word : NULL};
    struct xvmi_mem_backend backend = {
        .size = sizeof(backend), .ops = &guest_ops, .ctx = &guest, .live = true};
    cr_assert_eq(xm_new(&backend, "test", &mem, &err), XVMI_OK, "%s", err.text);
    return mem;
}

/* Root in page 1. 0xffff888000000000 (root entry 273) maps all 16 pages at GPA 0 on;
 * 0xffffc90000000000 (entry 402) maps page 15, then page 9. */
static void make_tables(void)
{
    memset(&guest, 0, sizeof(guest));
    guest.word[1][273] = 0x2003;
    guest.word[2][0] = 0x3003;
    guest.word[3][0] = 0x4003;
    for (uint64_t i = 0; i < 16; i++)
        guest.word[4][i] = i << 12 | 3;
    guest.word[1][402] = 0x5003;
    guest.word[5][0] = 0x6003;
    guest.word[6][0] = 0x7003;
    guest.word[7][0] = 0xf003;
    guest.word[7][1] = 0x9003;
    guest.word[15][511] = 0x1122334455667788;
    guest.word[9][0] = 0x99aabbccddeeff00;
}

static void check_reads(bool mapped, bool direct)
{
    make_tables();
    struct xvmi_error err = XVMI_ERROR_INIT;
    struct xm_mem *mem = open_guest(mapped);
    struct xo_space space;
    struct xx_paging paging = {.root = 0x1000, .levels = 4};
    cr_assert_eq(xo_init(&space, mem, paging, true, &err), XVMI_OK);
    if (direct)
        cr_assert_eq(xo_use_direct_map(&space, 0xffff888000000000, &err), XVMI_OK, "%s", err.text);
    for (int round = 0; round < 2; round++) {
        uint64_t value;
        uint32_t half;
        cr_assert_eq(xo_read_u64(&space, 0xffff88800000fff8, &value), XVMI_OK);
        cr_assert_eq(value, 0x1122334455667788);
        cr_assert_eq(xo_read_u32(&space, 0xffff88800000fffc, &half), XVMI_OK);
        cr_assert_eq(half, 0x11223344);
        /* crosses from page 15 to page 9 */
        cr_assert_eq(xo_read_u64(&space, 0xffffc90000000ffc, &value), XVMI_OK);
        cr_assert_eq(value, 0xddeeff0011223344);
        cr_assert_eq(xo_read_u64(&space, 0xffff888000010000, &value), XVMI_ERR_NOT_PRESENT);
    }
    cr_assert_eq(xo_fault(&space, &err), XVMI_ERR_NOT_PRESENT);
    cr_assert_str_eq(err.text, "address 0xffff888000010000: page not present (level 1, entry 16, "
                               "value 0x0)");
    cr_assert_eq(space.reads, 8);
    xo_fini(&space);
    xm_close(mem);
}

Test(space, reads_mapped)
{
    check_reads(true, false);
}

Test(space, reads_mapped_direct)
{
    check_reads(true, true);
}

Test(space, reads_unmapped)
{
    check_reads(false, false);
}

Test(space, reads_unmapped_direct)
{
    check_reads(false, true);
}
