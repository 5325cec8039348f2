// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Texts are what QEMU 7.2 printed, shortened where rows repeat. */
#include <stdio.h>
#include <string.h>

#include <criterion/criterion.h>

#include "kvm/hmp.h"

/* -machine q35 -m 5G -vga std, two NUMA nodes of 2 and 3 GiB, backends "n0" and "n1". */
static const char numa[] =
    "FlatView #0\r\n"
    " AS \"cpu-smm-0\", root: memory\r\n"
    " Root memory region: memory\r\n"
    "  0000000000000000-000000000009ffff (prio 0, ram): wrong\r\n"
    "\r\n"
    "FlatView #1\r\n"
    " AS \"memory\", root: system\r\n"
    " AS \"cpu-memory-0\", root: system\r\n"
    " AS \"vga\", root: bus master container, alias bus master\r\n"
    " Root memory region: system\r\n"
    "  0000000000000000-000000000009ffff (prio 0, ram): n0\r\n"
    "  00000000000a0000-00000000000bffff (prio 1, i/o): vga-lowmem\r\n"
    "  00000000000c0000-00000000000dffff (prio 1, rom): pc.rom\r\n"
    "  00000000000e0000-00000000000fffff (prio 0, rom): pc.bios @0000000000020000\r\n"
    "  0000000000100000-000000007fffffff (prio 0, ram): n0 @0000000000100000 KVM\r\n"
    "  00000000fd000000-00000000fdffffff (prio 1, ram): vga.vram\r\n"
    "  00000000fec00000-00000000fec00fff (prio 0, i/o): ioapic\r\n"
    "  00000000fee00000-00000000feefffff (prio 4096, i/o): apic-msi\r\n"
    "  00000000fffc0000-00000000ffffffff (prio 0, rom): pc.bios\r\n"
    "  0000000100000000-00000001bfffffff (prio 0, ram): n1 KVM\r\n"
    "\r\n"
    "FlatView #2\r\n"
    " AS \"I/O\", root: io\r\n"
    " Root memory region: io\r\n"
    "  0000000000000000-0000000000000007 (prio 0, ram): n0\r\n"
    "\r\n";

/* -m 512 after SeaBIOS ran: parts of the firmware's area are RAM, some write-protected. */
static const char pam[] =
    "FlatView #0\n"
    " AS \"memory\", root: system\n"
    " Root memory region: system\n"
    "  0000000000000000-000000000009ffff (prio 0, ram): pc.ram\n"
    "  00000000000a0000-00000000000bffff (prio 1, i/o): vga-lowmem\n"
    "  00000000000c0000-00000000000cafff (prio 1, rom): pc.ram @00000000000c0000\n"
    "  00000000000cb000-00000000000cdfff (prio 1, ram): pc.ram @00000000000cb000\n"
    "  00000000000ce000-00000000000e3fff (prio 1, rom): pc.ram @00000000000ce000\n"
    "  00000000000e4000-00000000000effff (prio 1, ram): pc.ram @00000000000e4000\n"
    "  00000000000f0000-00000000000fffff (prio 1, rom): pc.ram @00000000000f0000\n"
    "  0000000000100000-000000001fffffff (prio 0, ram): pc.ram @0000000000100000\n"
    "  00000000fffc0000-00000000ffffffff (prio 0, rom): pc.bios\n";

static bool is_named(const void *ctx, const char *name)
{
    for (const char *const *names = ctx; *names; names++) {
        if (!strcmp(*names, name))
            return true;
    }
    return false;
}

static enum xvmi_status parse(const char *text, struct xk_rows *rows, struct xvmi_error *err)
{
    static const char *const names[] = {"n0", "n1", "pc.ram", NULL};
    *rows = (struct xk_rows){0};
    return xk_hmp_mtree(text, is_named, names, rows, err);
}

#define assert_row(row, a, b, off, n)                                                              \
    do {                                                                                           \
        cr_assert_eq((row).gpa, a);                                                                \
        cr_assert_eq((row).size, (b) - (a) + 1);                                                   \
        cr_assert_eq((row).offset, off);                                                           \
        cr_assert_str_eq((row).name, n);                                                           \
    } while (0)

Test(kvm_hmp, mtree_of_two_nodes)
{
    struct xk_rows rows;
    cr_assert_eq(parse(numa, &rows, NULL), XVMI_OK);
    cr_assert_eq(rows.n, 3);
    assert_row(rows.v[0], 0, 0x9ffff, 0, "n0");
    assert_row(rows.v[1], 0x100000, 0x7fffffff, 0x100000, "n0");
    assert_row(rows.v[2], 0x100000000, 0x1bfffffff, 0, "n1");
    xk_rows_fini(&rows);
}

Test(kvm_hmp, mtree_with_write_protected_ram)
{
    struct xk_rows rows;
    cr_assert_eq(parse(pam, &rows, NULL), XVMI_OK);
    cr_assert_eq(rows.n, 7);
    assert_row(rows.v[1], 0xc0000, 0xcafff, 0xc0000, "pc.ram");
    assert_row(rows.v[6], 0x100000, 0x1fffffff, 0x100000, "pc.ram");
    xk_rows_fini(&rows);
}

static void refuse(const char *row, enum xvmi_status status, const char *text)
{
    char all[4096];
    struct xk_rows rows;
    struct xvmi_error err = XVMI_ERROR_INIT;
    snprintf(all, sizeof(all), "FlatView #0\n AS \"memory\", root: system\n%s", row);
    cr_assert_eq(parse(all, &rows, &err), status, "%s", row);
    cr_assert(strstr(err.text, text), "'%s' has no '%s'", err.text, text);
    xk_rows_fini(&rows);
}

Test(kvm_hmp, mtree_that_lies)
{
    refuse("", XVMI_ERR_NOT_FOUND, "shows no RAM");
    refuse("  0-ffffffffffffffff (prio 0, ram): n0\n", XVMI_ERR_FORMAT, "a range of");
    refuse("  2000-1fff (prio 0, ram): n0\n", XVMI_ERR_FORMAT, "a range of");
    refuse("  5000-1fff (prio 0, ram): n0\n", XVMI_ERR_FORMAT, "a range of");
    refuse("  fffffffff0000-10000000000fff (prio 0, ram): n0\n", XVMI_ERR_FORMAT, "a range of");
    refuse("  0-1fff (prio 0, ram): n0\n  1000-2fff (prio 0, ram): n1\n", XVMI_ERR_FORMAT,
           "overlaps");
    refuse("  4000-4fff (prio 0, ram): n0\n  1000-2fff (prio 0, ram): n1\n", XVMI_ERR_FORMAT,
           "overlaps");
    refuse("  0-1fff (prio 0, ram): n0 @ffffffffffffffff\n", XVMI_ERR_FORMAT, "offset");
}

Test(kvm_hmp, mtree_rows_that_are_none)
{
    refuse("  0-1fff (prio 0, ram)\n", XVMI_ERR_NOT_FOUND, "no RAM");
    refuse("  0-1fff (prio 0, i/o): n0\n", XVMI_ERR_NOT_FOUND, "no RAM");
    refuse("  0-1fff (prio 0, romd): n0\n", XVMI_ERR_NOT_FOUND, "no RAM");
    refuse("  0-1fff (prio 0\n", XVMI_ERR_NOT_FOUND, "no RAM");
    refuse("  0-1ffg (prio 0, ram): n0\n", XVMI_ERR_NOT_FOUND, "no RAM");
    refuse("  0-00000000000001fff (prio 0, ram): n0\n", XVMI_ERR_NOT_FOUND, "no RAM");
    struct xk_rows rows;
    cr_assert_eq(parse("unknown command: 'info mtree'\n", &rows, NULL), XVMI_ERR_FORMAT);
    cr_assert_eq(parse("", &rows, NULL), XVMI_ERR_FORMAT);
}

Test(kvm_hmp, mtree_with_too_many_rows)
{
    size_t cap = (XK_ROWS_MAX + 2) * 64, at = 0;
    char *text = malloc(cap);
    struct xk_rows rows;
    at += (size_t)snprintf(text, cap, " AS \"memory\", root: system\n");
    for (unsigned i = 0; i <= XK_ROWS_MAX; i++)
        at += (size_t)snprintf(text + at, cap - at, "  %x000-%xfff (prio 0, ram): n0\n", i, i);
    cr_assert_eq(parse(text, &rows, NULL), XVMI_ERR_LIMIT);
    xk_rows_fini(&rows);
    free(text);
}

Test(kvm_hmp, gpa2hva)
{
    struct xvmi_error err = XVMI_ERROR_INIT;
    uint64_t hva;
    cr_assert_eq(xk_hmp_gpa2hva("Host virtual address for 0x100000000 (n1) is 0x7fa443c00000\r\n",
                                0x100000000, "n1", &hva, NULL),
                 XVMI_OK);
    cr_assert_eq(hva, 0x7fa443c00000);
    cr_assert_eq(xk_hmp_gpa2hva("No memory is mapped at address 0x80000000\r\n", 0x80000000, "n0",
                                &hva, &err),
                 XVMI_ERR_CHANGED);
    cr_assert_str_eq(err.text, "the address of guest memory 0x80000000 (n0): QEMU says 'No memory "
                               "is mapped at address 0x80000000'");
    static const char *const wrong[] = {
        "Memory at address 0xa0000 is not RAM",
        "Host virtual address for 0x1000 (n1) is 0x7fa443c00000",
        "Host virtual address for 0x0 (n2) is 0x7fa443c00000",
        "Host virtual address for 0x0 (n1) is (nil)",
        "Host virtual address for 0x0 (n1) is 0x0",
        "Host virtual address for 0x0 (n1) is 0x7fa443c00000 and more",
        "Host virtual address for 0x0 (n1) is 0x11112222333344445",
        "",
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        cr_assert_eq(xk_hmp_gpa2hva(wrong[i], 0, "n1", &hva, NULL), XVMI_ERR_CHANGED);
}

/* A Linux 6.1 guest in the kernel. */
static const char long_mode[] =
    "\r\nCPU#0\r\n"
    "RAX=0000000000000000 RBX=0000000000000000 RCX=0000000000000001 RDX=0000000000000000\r\n"
    "RSI=ffffffffb7b4f5a3 RDI=00000000000064ec RBP=ffffffffb821a940 RSP=ffffffffb8203e90\r\n"
    "RIP=ffffffffb77c3d7b RFL=00000246 [---Z-P-] CPL=0 II=0 A20=1 SMM=0 HLT=1\r\n"
    "ES =0000 0000000000000000 ffffffff 00cff300\r\n"
    "CS =0010 0000000000000000 ffffffff 00af9b00 DPL=0 CS64 [-RA]\r\n"
    "FS =0000 0000000000000000 ffffffff 00cff300\r\n"
    "GS =0000 ffff8a6e1ec00000 ffffffff 00cff300\r\n"
    "GDT=     fffffe0000001000 0000007f\r\n"
    "IDT=     fffffe0000000000 00000fff\r\n"
    "CR0=80050033 CR2=00007f3a0d1c2000 CR3=00000000023ba000 CR4=000006f0\r\n"
    "EFER=0000000000000d01\r\n";

Test(kvm_hmp, registers_in_long_mode)
{
    struct xvmi_vcpu_regs r;
    cr_assert_eq(xk_hmp_registers(long_mode, &r, NULL), XVMI_OK);
    cr_assert_eq(r.valid, XVMI_REG_RIP | XVMI_REG_RSP | XVMI_REG_CR0 | XVMI_REG_CR3 | XVMI_REG_CR4 |
                              XVMI_REG_EFER | XVMI_REG_GS_BASE | XVMI_REG_IDT_BASE);
    cr_assert_eq(r.rip, 0xffffffffb77c3d7b);
    cr_assert_eq(r.rsp, 0xffffffffb8203e90);
    cr_assert_eq(r.cr0, 0x80050033);
    cr_assert_eq(r.cr3, 0x23ba000);
    cr_assert_eq(r.cr4, 0x6f0);
    cr_assert_eq(r.efer, 0xd01);
    cr_assert_eq(r.gs_base, 0xffff8a6e1ec00000);
    cr_assert_eq(r.idt_base, 0xfffffe0000000000);
}

Test(kvm_hmp, registers_in_real_mode)
{
    struct xvmi_vcpu_regs r;
    cr_assert_eq(xk_hmp_registers("EIP=0000fff0 EFL=00000002\nGS =0000 000000a0 0000ffff 00009300\n"
                                  "CR0=60000010 CR2=00000000 CR3=00000000 CR4=00000000\n",
                                  &r, NULL),
                 XVMI_OK);
    cr_assert_eq(r.valid,
                 XVMI_REG_RIP | XVMI_REG_CR0 | XVMI_REG_CR3 | XVMI_REG_CR4 | XVMI_REG_GS_BASE);
    cr_assert_eq(r.rip, 0xfff0);
    cr_assert_eq(r.gs_base, 0xa0);
}

Test(kvm_hmp, registers_that_are_none)
{
    struct xvmi_vcpu_regs r;
    struct xvmi_error err = XVMI_ERROR_INIT;
    cr_assert_eq(xk_hmp_registers("PC=ffff800008000000 X0=1\n", &r, &err), XVMI_ERR_FORMAT);
    cr_assert_eq(xk_hmp_registers("", &r, &err), XVMI_ERR_FORMAT);
    cr_assert_eq(xk_hmp_registers("CR3=xyz\n", &r, &err), XVMI_ERR_FORMAT);
    cr_assert_eq(xk_hmp_registers("XCR3=1\n", &r, &err), XVMI_ERR_FORMAT);
    cr_assert_eq(xk_hmp_registers("GS =0000\nCR3=1 CR0=", &r, &err), XVMI_OK);
    cr_assert_eq(r.valid, XVMI_REG_CR3);
}
