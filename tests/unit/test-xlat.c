// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <string.h>

#include <criterion/criterion.h>

#include "support/pagetable-writer.h"
#include "xlat/tlb.h"
#include "xlat/x86_64.h"

/* 16 pages of RAM for tables; entries may point anywhere. */
static uint8_t ram[16 * 4096];

/* clang-format off */
static const char tables_4[] =
    "@0x1000                    root\n"
    "  0:   0x2000 PWU          0000000000000000\n"
    "  273: 0x3000 PW           ffff888000000000\n"
    "  274: 0x3000 PWS          large pages are not allowed here\n"
    "  275: 0x1000 PW           ffff898000000000: the root itself\n"
    "  276: 0x7ffffffff000 PW   ffff8a0000000000: no RAM there\n"
    "  511: 0x4000 PW           ffffff8000000000\n"
    "@0x2000\n"
    "  0:   0x5000 PWU          0000000000000000\n"
    "@0x5000\n"
    "  2:   0x6000 PWU          0000000000400000\n"
    "@0x6000\n"
    "  1:   0x12345000 PUAN     0000000000401000\n"
    "  2:   0x12346000 WU       0000000000402000: not present\n"
    "  3:   0x12347000 PUS      0000000000403000: bit 7 is an attribute in the last level\n"
    "@0x3000\n"
    "  0:   0x0 PWSG            ffff888000000000: 1 GiB\n"
    "  1:   0x140000000 PWS     ffff888040000000: 1 GiB\n"
    "  2:   0x40001000 PWS      ffff888080000000: 1 GiB, PAT\n"
    "  3:   0x40002000 PWS      ffff8880c0000000: 1 GiB, address not aligned\n"
    "@0x4000\n"
    "  510: 0x7000 PW           ffffffff80000000\n"
    "@0x7000\n"
    "  8:   0x2000000 PWSN      ffffffff81000000: 2 MiB\n"
    "  9:   0x2201000 PWS       ffffffff81200000: 2 MiB, PAT\n"
    "  10:  0x2402000 PWS       ffffffff81400000: 2 MiB, address not aligned\n"
    "  11:  0x8000 PW           ffffffff81600000\n"
    "  12:  0x10000008000 PW    ffffffff81800000: address of 41 bits\n"
    "@0x8000\n"
    "  511: 0xfff000 PW         ffffffff817ff000\n";

static const char tables_5[] =
    "@0x9000                    root\n"
    "  273: 0xa000 PW           ff11000000000000\n"
    "  274: 0xa000 PWS          ff12000000000000\n"
    "  511: 0xb000 PW           ffff000000000000\n"
    "@0xa000\n"
    "  0:   0xc000 PW           ff11000000000000\n"
    "@0xc000\n"
    "  1:   0x40000000 PWS      ff11000040000000: 1 GiB\n"
    "@0xb000\n"
    "  511: 0x4000 PW           ffffff8000000000, as above\n";
/* clang-format on */

static enum xx_step walk_all(const struct xx_paging *paging, uint64_t va, struct xx_walk *walk,
                             struct xx_fault *fault)
{
    enum xx_step step = xx_begin(walk, paging, va, fault);
    for (int i = 0; step == XX_NEED; i++) {
        cr_assert_lt(i, 5);
        if (walk->need > sizeof(ram) - 8) {
            *fault = xx_unreadable(walk, XVMI_ERR_NOT_PRESENT);
            return XX_FAULT;
        }
        uint64_t entry;
        memcpy(&entry, ram + walk->need, sizeof(entry));
        step = xx_feed(walk, entry, fault);
    }
    return step;
}

static struct xx_paging four = {.root = 0x1000, .levels = 4};
static struct xx_paging five = {.root = 0x9000, .levels = 5};

static void write_tables(void)
{
    pagetable_write(ram, sizeof(ram), tables_4);
    pagetable_write(ram, sizeof(ram), tables_5);
}

static void leads_to(const struct xx_paging *paging, uint64_t va, uint64_t gpa, uint64_t left)
{
    struct xx_walk walk;
    struct xx_fault fault;
    cr_assert_eq(walk_all(paging, va, &walk, &fault), XX_DONE, "%lx", va);
    cr_assert_eq(walk.gpa, gpa, "%lx: %lx", va, walk.gpa);
    cr_assert_eq(walk.left, left, "%lx: %lx", va, walk.left);
}

static void faults(const struct xx_paging *paging, uint64_t va, enum xvmi_status status,
                   const char *text)
{
    struct xx_walk walk;
    struct xx_fault fault;
    struct xvmi_error err = XVMI_ERROR_INIT;
    cr_assert_eq(walk_all(paging, va, &walk, &fault), XX_FAULT, "%lx", va);
    cr_assert_eq(fault.va, va);
    cr_assert_eq(xx_fault_text(&fault, &err), status);
    cr_assert_str_eq(err.text, text);
}

Test(xlat, pages, .init = write_tables)
{
    leads_to(&four, 0x401000, 0x12345000, 0x1000);
    leads_to(&four, 0x401fff, 0x12345fff, 1);
    leads_to(&four, 0x403008, 0x12347008, 0xff8);
    leads_to(&four, 0xffffffff817fffff, 0xffffff, 1);
}

Test(xlat, pages_of_2_mib, .init = write_tables)
{
    leads_to(&four, 0xffffffff81000000, 0x2000000, 0x200000);
    leads_to(&four, 0xffffffff811fffff, 0x21fffff, 1);
    leads_to(&four, 0xffffffff81234567, 0x2234567, 0x200000 - 0x34567);
}

Test(xlat, pages_of_1_gib, .init = write_tables)
{
    leads_to(&four, 0xffff888000000000, 0, 0x40000000);
    leads_to(&four, 0xffff88807fffffff, 0x17fffffff, 1);
    leads_to(&four, 0xffff888080000000, 0x40000000, 0x40000000);
}

Test(xlat, five_levels, .init = write_tables)
{
    leads_to(&five, 0xff11000040000123, 0x40000123, 0x40000000 - 0x123);
    leads_to(&five, 0xffffffff81000000, 0x2000000, 0x200000);
}

/* PCID in the low bits of CR3, no-flush in bit 63. */
Test(xlat, root_is_masked, .init = write_tables)
{
    struct xx_paging cr3 = {.root = 0x8000000000001fff, .levels = 4};
    leads_to(&cr3, 0x401000, 0x12345000, 0x1000);
}

/* The top entry that points at the root: every level is a table again, the last one a page. */
Test(xlat, a_table_that_holds_itself_ends, .init = write_tables)
{
    leads_to(&four, 0xffff898000000000 | 275ul << 30 | 275ul << 21 | 275ul << 12 | 0x10, 0x1010,
             0xff0);
}

Test(xlat, not_present, .init = write_tables)
{
    faults(&four, 0x402000, XVMI_ERR_NOT_PRESENT,
           "address 0x0000000000402000: page not present (level 1, entry 2, value 0x12346006)");
    faults(&four, 0x600000, XVMI_ERR_NOT_PRESENT,
           "address 0x0000000000600000: page not present (level 2, entry 3, value 0x0)");
    faults(&four, 0xffff888100000000, XVMI_ERR_NOT_PRESENT,
           "address 0xffff888100000000: page not present (level 3, entry 4, value 0x0)");
    faults(&four, 0xffffc90000000000, XVMI_ERR_NOT_PRESENT,
           "address 0xffffc90000000000: page not present (level 4, entry 402, value 0x0)");
    faults(&five, 0xff10000000000000, XVMI_ERR_NOT_PRESENT,
           "address 0xff10000000000000: page not present (level 5, entry 272, value 0x0)");
}

Test(xlat, reserved_bits, .init = write_tables)
{
    faults(&four, 0xffff890000000000, XVMI_ERR_FORMAT,
           "address 0xffff890000000000: page table entry has reserved bits set (level 4, entry "
           "274, value 0x3083)");
    faults(&four, 0xffff8880c0000000, XVMI_ERR_FORMAT,
           "address 0xffff8880c0000000: page table entry has reserved bits set (level 3, entry 3, "
           "value 0x40002083)");
    faults(&four, 0xffffffff81400000, XVMI_ERR_FORMAT,
           "address 0xffffffff81400000: page table entry has reserved bits set (level 2, entry "
           "10, value 0x2402083)");
    faults(&five, 0xff12000000000000, XVMI_ERR_FORMAT,
           "address 0xff12000000000000: page table entry has reserved bits set (level 5, entry "
           "274, value 0xa083)");
}

/* A bit of the address is only reserved when the width is known to exclude it. */
Test(xlat, width_of_physical_addresses, .init = write_tables)
{
    struct xx_paging narrow = {.root = 0x1000, .levels = 4, .phys_bits = 40};
    leads_to(&narrow, 0xffffffff81000000, 0x2000000, 0x200000);
    faults(&narrow, 0xffffffff81800000, XVMI_ERR_FORMAT,
           "address 0xffffffff81800000: page table entry has reserved bits set (level 2, entry "
           "12, value 0x10000008003)");
    faults(&four, 0xffffffff81800000, XVMI_ERR_NOT_PRESENT,
           "address 0xffffffff81800000: page table entry at guest-physical 0x10000008000: not "
           "present (level 1, entry 0)");
}

Test(xlat, table_outside_ram, .init = write_tables)
{
    faults(&four, 0xffff8a0000000000, XVMI_ERR_NOT_PRESENT,
           "address 0xffff8a0000000000: page table entry at guest-physical 0x7ffffffff000: not "
           "present (level 3, entry 0)");
}

Test(xlat, not_canonical, .init = write_tables)
{
    faults(&four, 0x800000000000, XVMI_ERR_NOT_PRESENT,
           "address 0x0000800000000000: not canonical with 4-level paging");
    faults(&four, 0xffff7fffffffffff, XVMI_ERR_NOT_PRESENT,
           "address 0xffff7fffffffffff: not canonical with 4-level paging");
    faults(&four, 0xff11000000000000, XVMI_ERR_NOT_PRESENT,
           "address 0xff11000000000000: not canonical with 4-level paging");
    faults(&five, 0x0100000000000000, XVMI_ERR_NOT_PRESENT,
           "address 0x0100000000000000: not canonical with 5-level paging");
    faults(&five, 0xfeffffffffffffff, XVMI_ERR_NOT_PRESENT,
           "address 0xfeffffffffffffff: not canonical with 5-level paging");
    /* the edges that are */
    faults(&four, 0x7fffffffffff, XVMI_ERR_NOT_PRESENT,
           "address 0x00007fffffffffff: page not present (level 4, entry 255, value 0x0)");
    faults(&four, 0xffff800000000000, XVMI_ERR_NOT_PRESENT,
           "address 0xffff800000000000: page not present (level 4, entry 256, value 0x0)");
}

Test(xlat, words_for_the_other_faults)
{
    struct xvmi_error err = XVMI_ERROR_INIT;
    struct xx_fault fault = {
        .status = XVMI_ERR_GONE, .why = XX_NO_MEMORY, .va = 0x1000, .gpa = 0x2000};
    cr_assert_eq(xx_fault_text(&fault, &err), XVMI_ERR_GONE);
    cr_assert_str_eq(err.text, "address 0x0000000000001000: memory at guest-physical 0x2000: "
                               "guest is gone");
    fault = (struct xx_fault){.status = XVMI_ERR_NOT_PRESENT, .why = XX_WRAPS, .va = UINT64_MAX};
    cr_assert_eq(xx_fault_text(&fault, &err), XVMI_ERR_NOT_PRESENT);
    cr_assert_str_eq(err.text, "address 0xffffffffffffffff: the read goes beyond the last address");
    fault = (struct xx_fault){0};
    cr_assert_eq(xx_fault_text(&fault, &err), XVMI_ERR_INVALID);
    cr_assert_str_eq(err.text, "no fault");
    cr_assert_eq(xx_fault_text(&fault, NULL), XVMI_ERR_INVALID);
}

static const void *host(struct xx_tlb *tlb, uint64_t va, uint64_t len)
{
    const void *at;
    return xx_tlb_host(tlb, va, len, &at) ? at : NULL;
}

Test(tlb, finds_only_what_was_inserted)
{
    static struct xx_tlb tlb;
    const uint64_t va = 0xffffffff81000000, other = va + XX_TLB_SLOTS * XX_PAGE; /* same slot */
    uint64_t gpa;
    cr_assert_not(xx_tlb_gpa(&tlb, 0, &gpa));
    cr_assert_not(xx_tlb_gpa(&tlb, UINT64_MAX, &gpa));
    cr_assert_null(host(&tlb, 0, 1));
    xx_tlb_insert(&tlb, va + 0x123, 0x2000123, ram);
    cr_assert(xx_tlb_gpa(&tlb, va + 0xfff, &gpa));
    cr_assert_eq(gpa, 0x2000fff);
    cr_assert_not(xx_tlb_gpa(&tlb, va + 0x1000, &gpa));
    cr_assert_not(xx_tlb_gpa(&tlb, other, &gpa));
    cr_assert_eq(host(&tlb, va + 0xff8, 8), ram + 0xff8);
    cr_assert_null(host(&tlb, va + 0xff9, 8));
    cr_assert_eq(host(&tlb, va, 4096), ram);
    cr_assert_null(host(&tlb, va, 4097));
    cr_assert_null(host(&tlb, other, 8));
    xx_tlb_insert(&tlb, other, 0x3000, NULL); /* takes the slot, not mapped */
    cr_assert_not(xx_tlb_gpa(&tlb, va, &gpa));
    cr_assert(xx_tlb_gpa(&tlb, other + 8, &gpa));
    cr_assert_eq(gpa, 0x3008);
    cr_assert_null(host(&tlb, other, 1));
    xx_tlb_clear(&tlb);
    cr_assert_not(xx_tlb_gpa(&tlb, other, &gpa));
}

/* The first and the last page of the address space are no neighbours. */
Test(tlb, ends_of_the_address_space)
{
    static struct xx_tlb tlb;
    xx_tlb_insert(&tlb, 0, 0, ram);
    xx_tlb_insert(&tlb, UINT64_MAX, 0x1000, ram + 0x1000);
    cr_assert_eq(host(&tlb, 0, 8), ram);
    cr_assert_eq(host(&tlb, UINT64_MAX - 7, 8), ram + 0x1ff8);
    cr_assert_null(host(&tlb, UINT64_MAX - 6, 8));
}
