// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "os/linux/vmcoreinfo.h"
#include "support/mock-backend.h"

/* As a 6.1 kernel writes it, shortened. */
static const char text[] = "OSRELEASE=6.1.0-50-cloud-amd64\n"
                           "BUILD-ID=bb603a9147d3efe4744bf83c83eee397c591cc20\n"
                           "PAGESIZE=4096\n"
                           "SYMBOL(init_uts_ns)=ffffffffb4619a40\n"
                           "SYMBOL(swapper_pg_dir)=ffffffffb4610000\n"
                           "SYMBOL(_stext)=ffffffffb2e00000\n"
                           "SIZE(list_head)=16\n"
                           "NUMBER(phys_base)=-482344960\n"
                           "NUMBER(pgtable_l5_enabled)=0\n"
                           "KERNELOFFSET=31e00000\n"
                           "NUMBER(KERNEL_IMAGE_SIZE)=1073741824\n"
                           "SYMBOL(kallsyms_names)=ffffffffb3f74d18\n"
                           "SYMBOL(kallsyms_num_syms)=ffffffffb3f74d10\n"
                           "SYMBOL(kallsyms_token_table)=ffffffffb40c88e8\n"
                           "SYMBOL(kallsyms_token_index)=ffffffffb40c8c80\n"
                           "SYMBOL(kallsyms_offsets)=ffffffffb3f1fad8\n"
                           "SYMBOL(kallsyms_relative_base)=ffffffffb3f74d08\n";

static struct xl_vmcoreinfo info;
static struct xvmi_error err;

static enum xvmi_status parse(const char *s)
{
    return xl_vmcoreinfo_parse(s, strlen(s), &info, &err);
}

Test(vmcoreinfo, of_a_real_kernel)
{
    cr_assert_eq(parse(text), XVMI_OK, "%s", err.text);
    cr_assert_str_eq(info.release, "6.1.0-50-cloud-amd64");
    cr_assert_eq(info.build_id_len, 20);
    cr_assert_eq(info.build_id[0], 0xbb);
    cr_assert_eq(info.build_id[19], 0x20);
    cr_assert_eq(info.swapper_pg_dir, 0xffffffffb4610000);
    cr_assert_eq(info.phys_base, (uint64_t)-482344960);
    cr_assert_eq(info.kernel_offset, 0x31e00000);
    cr_assert_eq(info.levels, 4);
    cr_assert_eq(info.kallsyms.names, 0xffffffffb3f74d18);
    cr_assert_eq(info.kallsyms.num_syms, 0xffffffffb3f74d10);
    cr_assert_eq(info.kallsyms.token_table, 0xffffffffb40c88e8);
    cr_assert_eq(info.kallsyms.token_index, 0xffffffffb40c8c80);
    cr_assert_eq(info.kallsyms.offsets, 0xffffffffb3f1fad8);
    cr_assert_eq(info.kallsyms.relative_base, 0xffffffffb3f74d08);
}

#define NEEDED "OSRELEASE=5.4.0\nSYMBOL(swapper_pg_dir)=ffffffff82610000\nNUMBER(phys_base)=0\n"

Test(vmcoreinfo, of_an_old_kernel)
{
    cr_assert_eq(parse(NEEDED), XVMI_OK, "%s", err.text);
    cr_assert_eq(info.levels, 4);
    cr_assert_eq(info.build_id_len, 0);
    cr_assert_eq(info.kallsyms.names, 0);
    cr_assert_eq(parse(NEEDED "NUMBER(pgtable_l5_enabled)=1"), XVMI_OK); /* no newline at the end */
    cr_assert_eq(info.levels, 5);
}

Test(vmcoreinfo, build_ids_known_to_be_garbage)
{
    cr_assert_eq(parse(NEEDED "BUILD-ID=1400000003000000474e5500a1b2c3d4e5f60718\n"), XVMI_OK);
    cr_assert_eq(info.build_id_len, 0);
    static const char *const bad[] = {"BUILD-ID=abc\n", "BUILD-ID=\n", "BUILD-ID=zz\n",
                                      "BUILD-ID=ABCD\n"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char all[300];
        snprintf(all, sizeof(all), NEEDED "%s", bad[i]);
        cr_assert_eq(parse(all), XVMI_OK);
        cr_assert_eq(info.build_id_len, 0, "%s", bad[i]);
    }
}

static void expect_error(const char *s, const char *expected)
{
    cr_assert_eq(parse(s), XVMI_ERR_FORMAT, "'%s'", s);
    cr_assert_str_eq(err.text, expected);
}

Test(vmcoreinfo, what_is_none)
{
    static const char none[] = "no VMCOREINFO: it has no release";
    expect_error("", none);
    expect_error("OSRELEASE=", none);
    expect_error("OSRELEASE=\nSYMBOL(swapper_pg_dir)=1\n", none);
    expect_error("OSRELEASE=a b\n", none);
    expect_error("OSRELEASE=a\033b\n", none);
    expect_error("OSRELEASE=66666666666666666666666666666666666666666666666666666666666666666\n",
                 none);
    expect_error("OSRELEASE=6.1\n", "VMCOREINFO of 6.1 lacks swapper_pg_dir");
    expect_error("OSRELEASE=6.1\nSYMBOL(swapper_pg_dir)=11112222333344445\n",
                 "VMCOREINFO of 6.1 lacks swapper_pg_dir");
    expect_error("OSRELEASE=6.1\nSYMBOL(swapper_pg_dir)=0x1000\n",
                 "VMCOREINFO of 6.1 lacks swapper_pg_dir");
    expect_error("OSRELEASE=6.1\nSYMBOL(swapper_pg_dir)=1000\n",
                 "VMCOREINFO of 6.1 lacks phys_base");
    expect_error("OSRELEASE=6.1\nSYMBOL(swapper_pg_dir)=1000\nNUMBER(phys_base)=-\n",
                 "VMCOREINFO of 6.1 lacks phys_base");
    expect_error("OSRELEASE=6.1\nSYMBOL(swapper_pg_dir)=1000\nNUMBER(phys_base)=1f\n",
                 "VMCOREINFO of 6.1 lacks phys_base");
}

Test(vmcoreinfo, ends_at_a_page_whatever_it_says)
{
    char *big = malloc(8192);
    memset(big, 'x', 8192);
    memcpy(big, "OSRELEASE=6.1\n", 14);
    cr_assert_eq(xl_vmcoreinfo_parse(big, 8192, &info, &err), XVMI_ERR_FORMAT);
    cr_assert_str_eq(err.text, "VMCOREINFO of 6.1 lacks swapper_pg_dir");
    free(big);
}

/* Scans */

#define PAGE 4096
#define ROOM (200 * PAGE)

static struct mock mock;
static struct xm_mem *mem;
static struct xl_vmcoreinfo *found;
static size_t n;
static bool more;

static void set_up(void)
{
    memset(&mock, 0, sizeof(mock));
    mock.ram = calloc(1, ROOM);
    mock.size = ROOM;
    mock.ranges[0] = (struct xvmi_mem_range){0x800, ROOM - 0x800, NULL};
    mock.n = 1;
    found = NULL;
}

static void tear_down(void)
{
    free(found);
    xm_close(mem);
    free(mock.ram);
}

TestSuite(vmcoreinfo_scan, .init = set_up, .fini = tear_down);

static void put(unsigned page, size_t off, unsigned version)
{
    sprintf((char *)mock.ram + page * PAGE + off,
            "OSRELEASE=6.%u\nSYMBOL(swapper_pg_dir)=ffffffff82610000\nNUMBER(phys_base)=0\n",
            version);
}

static void scan(bool mapped)
{
    mock.ranges[0].host = mapped ? mock.ram + 0x800 : NULL;
    struct xvmi_mem_backend backend = mock_backend(&mock, &mock_ops);
    cr_assert_eq(xm_new(&backend, "mock", &mem, &err), XVMI_OK, "%s", err.text);
    cr_assert_eq(xl_vmcoreinfo_scan(mem, &found, &n, &more, &err), XVMI_OK, "%s", err.text);
}

Test(vmcoreinfo_scan, finds_each_once)
{
    for (int mapped = 0; mapped < 2; mapped++) {
        put(0, 0, 99); /* not in RAM as a whole */
        put(1, 0, 1);
        put(7, 0, 5);
        put(8, 16, 7); /* not at the start of its page */
        put(100, 0, 1);
        put(199, 0, 3);
        scan(mapped);
        cr_assert_eq(n, 3);
        cr_assert_not(more);
        cr_assert_str_eq(found[0].release, "6.1");
        cr_assert_str_eq(found[1].release, "6.5");
        cr_assert_str_eq(found[2].release, "6.3");
        free(found);
        found = NULL;
        xm_close(mem);
        mem = NULL;
    }
}

Test(vmcoreinfo_scan, nothing)
{
    strcpy((char *)mock.ram + PAGE, "OSRELEASE=6.1\n"); /* leads nowhere */
    scan(true);
    cr_assert_eq(n, 0);
}

Test(vmcoreinfo_scan, a_flood_of_forgeries_is_bounded)
{
    for (unsigned i = 1; i < 200; i++)
        put(i, 0, i);
    scan(true);
    cr_assert_eq(n, XL_VMCOREINFO_MAX);
    cr_assert(more);
}

Test(vmcoreinfo_scan, pages_that_cannot_be_read_are_passed_over)
{
    put(1, 0, 1);
    put(50, 0, 2);
    put(51, 0, 3);
    mock.bad_from = 50 * PAGE;
    mock.bad_to = 51 * PAGE;
    mock.bad_status = XVMI_ERR_NOT_PRESENT;
    scan(false);
    cr_assert_eq(n, 2);
    xm_close(mem);
    free(found);
    found = NULL;
    mock.bad_status = XVMI_ERR_GONE;
    mock.ranges[0].host = NULL;
    struct xvmi_mem_backend backend = mock_backend(&mock, &mock_ops);
    cr_assert_eq(xm_new(&backend, "mock", &mem, &err), XVMI_OK);
    cr_assert_eq(xl_vmcoreinfo_scan(mem, &found, &n, &more, &err), XVMI_ERR_GONE);
    cr_assert_str_eq(err.text, "scanning memory for VMCOREINFO: mock: 0x32000 is bad");
}
