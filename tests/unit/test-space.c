// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <string.h>

#include <criterion/criterion.h>

#include "os/space.h"
#include "support/mock-backend.h"
#include "support/pagetable-writer.h"

#define PAGE 4096u

static uint8_t ram[16 * PAGE];
static struct mock mock;
static struct xm_mem *mem;
static struct xo_space space;
static struct xvmi_error err;

/* clang-format off */
static const char tables[] =
    "@0x1000             root\n"
    "  0:    0xb000 PWU  0000000000000000: user memory\n"
    "  273:  0x2000 PW   ffff888000000000: direct map\n"
    "  402:  0x5000 PW   ffffc90000000000: vmalloc\n"
    "  511:  0x8000 PW\n"
    "@0x2000\n"
    "  0:    0x3000 PW\n"
    "@0x3000\n"
    "  0:    0x4000 PW\n"
    "@0x4000             the 16 pages of RAM\n"
    "  0-15: 0x0 PW\n"
    "@0x5000\n"
    "  0:    0x6000 PW\n"
    "@0x6000\n"
    "  0:    0x7000 PW\n"
    "@0x7000\n"
    "  0:    0xf000 PW   ffffc90000000000\n"
    "  1:    0xe000 PW   ffffc90000001000\n"
    "  3:    0x10000 PW  ffffc90000003000: beyond RAM\n"
    "@0x8000\n"
    "  511:  0x9000 PW\n"
    "@0x9000\n"
    "  511:  0xa000 PW\n"
    "@0xa000\n"
    "  511:  0xd000 PW   fffffffffffff000: the last page\n";
/* clang-format on */

#define DIRECT  UINT64_C(0xffff888000000000)
#define VMALLOC UINT64_C(0xffffc90000000000)
#define LAST    UINT64_C(0xfffffffffffff000)

static void set_u64(uint64_t gpa, uint64_t value)
{
    memcpy(ram + gpa, &value, sizeof(value));
}

static void set_up(bool mapped, bool with_tlb)
{
    memset(ram, 0, sizeof(ram));
    pagetable_write(ram, sizeof(ram), tables);
    set_u64(0xfff8, 0x1122334455667788);
    set_u64(0xe000, 0x99aabbccddeeff00);
    set_u64(0xdff8, 0x0102030405060708);
    mock = (struct mock){.ram = ram, .size = sizeof(ram), .n = 1, .live = true};
    mock.ranges[0] =
        (struct xvmi_mem_range){.gpa = 0, .size = sizeof(ram), .host = mapped ? ram : NULL};
    struct xvmi_mem_backend backend = mock_backend(&mock, &mock_ops);
    cr_assert_eq(xm_new(&backend, "mock", &mem, &err), XVMI_OK, "%s", err.text);
    struct xx_paging paging = {.root = 0x1000, .levels = 4};
    cr_assert_eq(xo_init(&space, mem, paging, with_tlb, &err), XVMI_OK, "%s", err.text);
}

static void mapped(void)
{
    set_up(true, true);
}

static void mapped_direct(void)
{
    set_up(true, true);
    cr_assert_eq(xo_use_direct_map(&space, DIRECT, &err), XVMI_OK, "%s", err.text);
}

static void without_tlb(void)
{
    set_up(true, false);
}

static void unmapped(void)
{
    set_up(false, true);
}

static void unmapped_direct(void)
{
    set_up(false, true);
    cr_assert_eq(xo_use_direct_map(&space, DIRECT, &err), XVMI_OK, "%s", err.text);
}

static void done(void)
{
    xo_fini(&space);
    xm_close(mem);
}

static void fault_is(enum xvmi_status status, const char *text)
{
    cr_assert_eq(xo_fault(&space, &err), status);
    cr_assert_str_eq(err.text, text);
}

/* --- reads; the same whatever the memory and the shortcuts --- */

static void check_reads(void)
{
    for (int round = 0; round < 2; round++) {
        uint64_t value;
        uint32_t half;
        cr_assert_eq(xo_read_u64(&space, DIRECT + 0xfff8, &value), XVMI_OK);
        cr_assert_eq(value, 0x1122334455667788);
        cr_assert_eq(xo_read_u32(&space, DIRECT + 0xfffc, &half), XVMI_OK);
        cr_assert_eq(half, 0x11223344);
        cr_assert_eq(xo_read_u64(&space, VMALLOC + 0xff8, &value), XVMI_OK);
        cr_assert_eq(value, 0x1122334455667788);
        cr_assert_eq(xo_read_u64(&space, VMALLOC + 0xffc, &value), XVMI_OK); /* on two pages */
        cr_assert_eq(value, 0xddeeff0011223344);
        cr_assert_eq(xo_read_u64(&space, LAST + 0xff8, &value), XVMI_OK);
        cr_assert_eq(value, 0x0102030405060708);

        cr_assert_eq(xo_read_u64(&space, DIRECT + 0x10000, &value), XVMI_ERR_NOT_PRESENT);
        fault_is(XVMI_ERR_NOT_PRESENT, "address 0xffff888000010000: page not present (level 1, "
                                       "entry 16, value 0x0)");
        cr_assert_eq(xo_read_u64(&space, VMALLOC + 0x1ffc, &value), XVMI_ERR_NOT_PRESENT);
        fault_is(XVMI_ERR_NOT_PRESENT, "address 0xffffc90000002000: page not present (level 1, "
                                       "entry 2, value 0x0)");
        cr_assert_eq(xo_read_u64(&space, VMALLOC + 0x3000, &value), XVMI_ERR_NOT_PRESENT);
        fault_is(XVMI_ERR_NOT_PRESENT,
                 "address 0xffffc90000003000: memory at guest-physical 0x10000: not present");
        cr_assert_eq(xo_read_u64(&space, LAST + 0xff9, &value), XVMI_ERR_NOT_PRESENT);
        fault_is(XVMI_ERR_NOT_PRESENT,
                 "address 0xfffffffffffffff9: the read goes beyond the last address");
        cr_assert_eq(xo_read_u32(&space, UINT64_MAX, &half), XVMI_ERR_NOT_PRESENT);
        cr_assert_eq(xo_read_u64(&space, 0x8000000000000000, &value), XVMI_ERR_NOT_PRESENT);
        fault_is(XVMI_ERR_NOT_PRESENT,
                 "address 0x8000000000000000: not canonical with 4-level paging");
    }
    cr_assert_eq(space.reads, 22);
}

Test(space, reads_mapped, .init = mapped, .fini = done)
{
    check_reads();
}

Test(space, reads_mapped_direct, .init = mapped_direct, .fini = done)
{
    check_reads();
}

Test(space, reads_without_tlb, .init = without_tlb, .fini = done)
{
    check_reads();
}

Test(space, reads_unmapped, .init = unmapped, .fini = done)
{
    check_reads();
}

Test(space, reads_unmapped_direct, .init = unmapped_direct, .fini = done)
{
    check_reads();
}

Test(space, reads_of_any_length, .init = mapped, .fini = done)
{
    uint8_t data[2 * PAGE];
    cr_assert_eq(xo_read(&space, VMALLOC, data, sizeof(data)), XVMI_OK);
    cr_assert_eq(memcmp(data, ram + 0xf000, PAGE), 0);
    cr_assert_eq(memcmp(data + PAGE, ram + 0xe000, PAGE), 0);
    cr_assert_eq(xo_read(&space, VMALLOC, data, 0), XVMI_OK);
    cr_assert_eq(xo_read(&space, 0x8000000000000000, data, 0), XVMI_OK); /* nothing is read */
    cr_assert_eq(xo_read(&space, LAST, data, PAGE), XVMI_OK);
    cr_assert_eq(xo_read(&space, LAST, data, PAGE + 1), XVMI_ERR_NOT_PRESENT);
}

Test(space, the_backend_is_gone, .init = unmapped, .fini = done)
{
    uint64_t value;
    mock.bad_to = sizeof(ram);
    mock.bad_status = XVMI_ERR_GONE;
    cr_assert_eq(xo_read_u64(&space, DIRECT, &value), XVMI_ERR_GONE);
    fault_is(XVMI_ERR_GONE, "address 0xffff888000000000: page table entry at guest-physical "
                            "0x1888: guest is gone (level 4, entry 273)");
    mock.bad_to = 0;
    cr_assert_eq(xo_read_u64(&space, DIRECT, &value), XVMI_OK);
    xo_invalidate(&space);
    cr_assert_eq(xo_read_u64(&space, DIRECT + 0x1000, &value), XVMI_OK);
    mock.bad_from = 0xf000;
    mock.bad_to = sizeof(ram);
    cr_assert_eq(xo_read_u64(&space, VMALLOC, &value), XVMI_ERR_GONE);
    fault_is(XVMI_ERR_GONE, "address 0xffffc90000000000: memory at guest-physical 0xf000: guest is "
                            "gone");
}

/* --- strings --- */

static void check_strings(void)
{
    char text[16];
    bool cut;
    memcpy(ram + 0xe100, "swapper/0", 10);
    cr_assert_eq(xo_read_str(&space, VMALLOC + 0x1100, text, sizeof(text), &cut), XVMI_OK);
    cr_assert_str_eq(text, "swapper/0");
    cr_assert_not(cut);
    cr_assert_eq(xo_read_str(&space, VMALLOC + 0x1100, text, 10, &cut), XVMI_OK); /* just fits */
    cr_assert_str_eq(text, "swapper/0");
    cr_assert_not(cut);
    cr_assert_eq(xo_read_str(&space, VMALLOC + 0x1100, text, 9, &cut), XVMI_OK);
    cr_assert_str_eq(text, "swapper/");
    cr_assert(cut);
    cr_assert_eq(xo_read_str(&space, VMALLOC + 0x1100, text, 1, NULL), XVMI_OK);
    cr_assert_str_eq(text, "");
}

Test(space, strings, .init = mapped, .fini = done)
{
    check_strings();
}

Test(space, strings_unmapped, .init = unmapped_direct, .fini = done)
{
    check_strings();
}

Test(space, strings_at_the_end_of_a_page, .init = mapped, .fini = done)
{
    char text[16];
    bool cut;
    memcpy(ram + 0xfffc, "abcd", 4); /* goes on in the next page */
    memcpy(ram + 0xe000, "efg", 4);
    cr_assert_eq(xo_read_str(&space, VMALLOC + 0xffc, text, sizeof(text), &cut), XVMI_OK);
    cr_assert_str_eq(text, "abcdefg");
    memcpy(ram + 0xeffc, "xyz", 4); /* ends where nothing follows */
    cr_assert_eq(xo_read_str(&space, VMALLOC + 0x1ffc, text, sizeof(text), &cut), XVMI_OK);
    cr_assert_str_eq(text, "xyz");
    ram[0xefff] = '!'; /* does not end */
    cr_assert_eq(xo_read_str(&space, VMALLOC + 0x1ffc, text, sizeof(text), &cut),
                 XVMI_ERR_NOT_PRESENT);
    cr_assert_str_eq(text, "");
    cr_assert_eq(space.fault.va, VMALLOC + 0x2000);
    memset(ram + 0xdff0, 'z', 16); /* at the last address */
    cr_assert_eq(xo_read_str(&space, UINT64_MAX - 7, text, sizeof(text), &cut),
                 XVMI_ERR_NOT_PRESENT);
    cr_assert_str_eq(text, "");
    fault_is(XVMI_ERR_NOT_PRESENT,
             "address 0xfffffffffffffff8: the read goes beyond the last address");
    cr_assert_eq(xo_read_str(&space, UINT64_MAX - 7, text, 8, &cut), XVMI_OK);
    cr_assert_str_eq(text, "zzzzzzz");
    cr_assert(cut);
}

/* --- translation and pointers --- */

Test(space, translate, .init = mapped_direct, .fini = done)
{
    uint64_t gpa, left;
    cr_assert_eq(xo_translate(&space, DIRECT + 0x1234, &gpa, &left), XVMI_OK);
    cr_assert_eq(gpa, 0x1234);
    cr_assert_eq(left, sizeof(ram) - 0x1234);
    for (int i = 0; i < 2; i++) { /* by the tables, by the TLB */
        cr_assert_eq(xo_translate(&space, VMALLOC + 0x1234, &gpa, &left), XVMI_OK);
        cr_assert_eq(gpa, 0xe234);
        cr_assert_eq(left, PAGE - 0x234);
    }
    cr_assert_eq(xo_translate(&space, VMALLOC + 0x2000, &gpa, &left), XVMI_ERR_NOT_PRESENT);
}

Test(space, pointers, .init = mapped_direct, .fini = done)
{
    cr_assert_eq(xo_ptr(&space, DIRECT + 0xff8, PAGE), ram + 0xff8);
    cr_assert_eq(xo_ptr(&space, VMALLOC + 0xff8, 8), ram + 0xfff8);
    cr_assert_null(xo_ptr(&space, VMALLOC + 0xff8, 9)); /* the next page lies elsewhere */
    cr_assert_null(xo_ptr(&space, VMALLOC + 0x2000, 1));
    cr_assert_null(xo_ptr(&space, VMALLOC + 0x3000, 1));
    cr_assert_null(xo_ptr(&space, DIRECT + 0xfff8, 9));
    fault_is(XVMI_ERR_INVALID, "no fault");
}

Test(space, no_pointers_into_unmapped_memory, .init = unmapped, .fini = done)
{
    cr_assert_null(xo_ptr(&space, DIRECT, 1));
}

Test(space, invalidate_forgets, .init = unmapped, .fini = done)
{
    uint64_t value;
    cr_assert_eq(xo_read_u64(&space, VMALLOC + 0xff8, &value), XVMI_OK);
    pagetable_write(ram, sizeof(ram), "@0x7000\n 0: 0xd000 PW\n");
    cr_assert_eq(xo_read_u64(&space, VMALLOC + 0xff8, &value), XVMI_OK);
    cr_assert_eq(value, 0x1122334455667788);
    xo_invalidate(&space);
    cr_assert_eq(xo_read_u64(&space, VMALLOC + 0xff8, &value), XVMI_OK);
    cr_assert_eq(value, 0x0102030405060708);
}

/* --- the direct map must prove itself --- */

static void no_direct_map(uint64_t base, enum xvmi_status status, const char *text)
{
    cr_assert_eq(xo_use_direct_map(&space, base, &err), status);
    cr_assert_str_eq(err.text, text);
    cr_assert_eq(space.direct_size, 0);
    uint64_t value;
    cr_assert_eq(xo_read_u64(&space, DIRECT + 0xfff8, &value), XVMI_OK);
    cr_assert_eq(value, 0x1122334455667788);
}

Test(space, direct_map_at_a_wrong_place, .init = mapped, .fini = done)
{
    no_direct_map(VMALLOC, XVMI_ERR_MISMATCH,
                  "direct map at 0xffffc90000000000: address 0xffffc90000000000 is mapped to "
                  "guest-physical 0xf000, not 0x0");
    no_direct_map(DIRECT + 0x1000, XVMI_ERR_MISMATCH,
                  "direct map at 0xffff888000001000: address 0xffff888000001000 is mapped to "
                  "guest-physical 0x1000, not 0x0");
    no_direct_map(0xffff880000000000, XVMI_ERR_MISMATCH,
                  "direct map at 0xffff880000000000: only 0 of 64 samples are mapped there");
    no_direct_map(DIRECT + 8, XVMI_ERR_MISMATCH, "no direct map can be at 0xffff888000000008");
    no_direct_map(0, XVMI_ERR_MISMATCH, "no direct map can be at 0x0000000000000000");
    no_direct_map(LAST, XVMI_ERR_MISMATCH, "no direct map can be at 0xfffffffffffff000");
}

Test(space, direct_map_with_unmapped_pages, .init = mapped, .fini = done)
{
    pagetable_write(ram, sizeof(ram), "@0x4000\n 0-7: 0x0 -\n");
    cr_assert_eq(xo_use_direct_map(&space, DIRECT, &err), XVMI_OK);
    pagetable_write(ram, sizeof(ram), "@0x4000\n 0-8: 0x0 -\n");
    no_direct_map(DIRECT, XVMI_ERR_MISMATCH,
                  "direct map at 0xffff888000000000: only 28 of 64 samples are mapped there");
}

Test(space, direct_map_with_damaged_tables, .init = mapped, .fini = done)
{
    pagetable_write(ram, sizeof(ram), "@0x1000\n 273: 0x2000 PWS\n");
    cr_assert_eq(xo_use_direct_map(&space, DIRECT, &err), XVMI_ERR_FORMAT);
    cr_assert_str_eq(err.text,
                     "direct map at 0xffff888000000000: address 0xffff888000000000: page table "
                     "entry has reserved bits set (level 4, entry 273, value 0x2083)");
}

/* RAM in two pieces: the hole between them is not memory, and the window follows the reader. */
Test(space, direct_map_over_a_hole, .init = mapped, .fini = done)
{
    mock.ranges[0].size = 0xc000;
    mock.ranges[1] = (struct xvmi_mem_range){.gpa = 0xd000, .size = 0x3000, .host = ram + 0xd000};
    mock.n = 2;
    mock.changed = true;
    bool changed;
    cr_assert_eq(xm_refresh(mem, &changed, &err), XVMI_OK);
    cr_assert_eq(xo_use_direct_map(&space, DIRECT, &err), XVMI_OK, "%s", err.text);
    for (int i = 0; i < 2; i++) {
        uint64_t value;
        cr_assert_eq(xo_read_u64(&space, DIRECT + 0xbff8, &value), XVMI_OK);
        cr_assert_eq(space.near.gva, DIRECT);
        cr_assert_eq(xo_read_u64(&space, DIRECT + 0xfff8, &value), XVMI_OK);
        cr_assert_eq(value, 0x1122334455667788);
        cr_assert_eq(space.near.gva, DIRECT + 0xd000);
        cr_assert_eq(xo_read_u64(&space, DIRECT + 0xbffc, &value), XVMI_ERR_NOT_PRESENT);
        cr_assert_eq(xo_read_u64(&space, DIRECT + 0xc000, &value), XVMI_ERR_NOT_PRESENT);
        fault_is(XVMI_ERR_NOT_PRESENT,
                 "address 0xffff88800000c000: memory at guest-physical 0xc000: not present");
    }
}

static const void *hot(uint64_t gva)
{
    const void *host;
    return xo_hot(&space, gva, &host) ? host : NULL;
}

/* A hot read stays one comparison and no walk: nothing but the count of reads changes. */
Test(space, hot_reads, .init = mapped_direct, .fini = done)
{
    uint64_t value;
    cr_assert_null(hot(DIRECT));
    cr_assert_eq(xo_read_u64(&space, DIRECT, &value), XVMI_OK);
    cr_assert_eq(hot(DIRECT), ram);
    cr_assert_eq(hot(DIRECT + 0xfff8), ram + 0xfff8);
    cr_assert_null(hot(DIRECT + 0xfff9));
    cr_assert_eq(xo_read_u64(&space, VMALLOC, &value), XVMI_OK);
    cr_assert_eq(hot(VMALLOC + 0xff8), ram + 0xfff8);
    cr_assert_null(hot(VMALLOC + 0xff9));
    xo_invalidate(&space);
    cr_assert_null(hot(DIRECT));
    cr_assert_null(hot(VMALLOC));
}

Test(space, paging_that_does_not_exist, .init = mapped, .fini = done)
{
    struct xo_space other;
    struct xx_paging paging = {.root = 0x1000, .levels = 3};
    cr_assert_eq(xo_init(&other, mem, paging, true, &err), XVMI_ERR_INVALID);
    cr_assert_str_eq(err.text, "paging with 3 levels");
}
