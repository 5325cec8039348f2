// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "os/linux/image.h"
#include "os/linux/kernel.h"
#include "support/kernel-writer.h"

static struct kernel_ram ram;
static struct kernel_writer toy;
static struct xm_mem *mem;
static struct xl_kernel kernel;
static struct xo_space space;
static struct xvmi_profile *profile;
static struct xvmi_error err;

static void set_up(void)
{
    kernel_ram_init(&ram);
    toy = (struct kernel_writer)KERNEL_WRITER_DEFAULT;
}

static void close_memory(void)
{
    xvmi_profile_unref(profile);
    profile = NULL;
    xo_fini(&space);
    xm_close(mem);
    mem = NULL;
}

static void tear_down(void)
{
    close_memory();
    kernel_ram_fini(&ram);
}

TestSuite(kernel, .init = set_up, .fini = tear_down);

/* A vCPU that uses these page tables. */
static void run_on(uint64_t cr3, unsigned levels)
{
    ram.vcpus = 1;
    ram.regs[0] = (struct xvmi_vcpu_regs){
        .valid = XVMI_REG_CR3 | XVMI_REG_CR4, .cr3 = cr3, .cr4 = levels == 5 ? 1 << 12 : 0};
}

static void open_memory(bool mapped)
{
    close_memory();
    mem = kernel_ram_open(&ram, mapped);
}

static void expect_found(const struct kernel_writer *k, unsigned ways, unsigned by)
{
    open_memory(true);
    cr_assert_eq(xl_kernel_find_by(mem, ways, &kernel, &err), XVMI_OK, "%s", err.text);
    cr_assert_eq(kernel.found_by, by, "found by %u", kernel.found_by);
    cr_assert_str_eq(kernel.release, k->release);
    cr_assert_eq(kernel.text, k->text);
    cr_assert_eq(kernel.kaslr_offset, k->slide);
    cr_assert_eq(kernel.phys_base, k->phys_base);
    cr_assert_eq(kernel.paging.levels, k->levels);
    cr_assert_eq(kernel.build_id_len, 20);
    cr_assert_eq(memcmp(kernel.build_id, k->build_id, 20), 0);
}

static void expect_error(unsigned ways, enum xvmi_status status, const char *text)
{
    open_memory(true);
    cr_assert_eq(xl_kernel_find_by(mem, ways, &kernel, &err), status, "%s", err.text);
    cr_assert_str_eq(err.text, text);
}

Test(kernel, by_registers)
{
    kernel_write(&ram, &toy);
    run_on(toy.root, 4);
    expect_found(&toy, XL_BY_ALL, XL_BY_REGISTERS);
    cr_assert_eq(kernel.paging.root, toy.root);
    cr_assert_eq(kernel.kallsyms.names, 0);
}

Test(kernel, by_registers_without_cr4)
{
    for (toy.levels = 4; toy.levels <= 5; toy.levels++) {
        kernel_write(&ram, &toy);
        run_on(toy.root, toy.levels);
        ram.regs[0].valid = XVMI_REG_CR3;
        expect_found(&toy, XL_BY_REGISTERS, XL_BY_REGISTERS);
    }
}

Test(kernel, by_registers_of_a_process_that_ends)
{
    for (toy.levels = 4; toy.levels <= 5; toy.levels++) {
        kernel_write(&ram, &toy);
        uint8_t *of_process = ram.ram + 0x20000;
        memcpy(of_process, ram.ram + toy.root, 4096);
        *(uint64_t *)(of_process + 511 * 8) ^= 0x20;                            /* accessed */
        *(uint64_t *)(of_process + (toy.levels == 5 ? 400 : 272) * 8) = 0x3003; /* its LDT */
        run_on(0x20000, toy.levels);
        expect_found(&toy, XL_BY_REGISTERS, XL_BY_REGISTERS);
        cr_assert_eq(kernel.paging.root, toy.root);
        /* Nothing in the image is like it: as good as it gets. */
        *(uint64_t *)(of_process + 300 * 8) = 0x4003;
        expect_found(&toy, XL_BY_REGISTERS, XL_BY_REGISTERS);
        cr_assert_eq(kernel.paging.root, 0x20000);
    }
}

Test(kernel, by_registers_in_user_mode_under_pti)
{
    toy.slide = 0;
    kernel_write(&ram, &toy);
    run_on(toy.user_root | 0x803, 4); /* PCID in the low bits */
    expect_found(&toy, XL_BY_ALL, XL_BY_REGISTERS);
    cr_assert_eq(kernel.paging.root, toy.root);
}

Test(kernel, by_the_second_vcpu)
{
    kernel_write(&ram, &toy);
    run_on(0, 4);
    ram.vcpus = 2;
    ram.regs[1] = ram.regs[0];
    ram.regs[1].cr3 = toy.root;
    ram.regs[0].cr3 = 0x1000; /* real mode, or a guest in the guest */
    expect_found(&toy, XL_BY_REGISTERS, XL_BY_REGISTERS);
}

Test(kernel, by_registers_a_note_adds_what_it_knows)
{
    kernel_write(&ram, &toy);
    run_on(toy.root, 4);
    ram.note = toy.info;
    expect_found(&toy, XL_BY_REGISTERS, XL_BY_REGISTERS);
    cr_assert_eq(kernel.kallsyms.names, toy.tables.names);
}

Test(kernel, by_note)
{
    kernel_write(&ram, &toy);
    ram.note = toy.info;
    expect_found(&toy, XL_BY_ALL, XL_BY_NOTE);
    cr_assert_eq(kernel.paging.root, toy.root);
    cr_assert_eq(kernel.kallsyms.token_index, toy.tables.token_index);
}

Test(kernel, by_scan_4_and_5_levels)
{
    for (toy.levels = 4; toy.levels <= 5; toy.levels++) {
        kernel_write(&ram, &toy);
        expect_found(&toy, XL_BY_ALL, XL_BY_SCAN);
        cr_assert_eq(kernel.paging.root, toy.root);
    }
}

Test(kernel, before_it_write_protects_anything)
{
    toy.booted = false;
    kernel_write(&ram, &toy);
    expect_found(&toy, XL_BY_ALL, XL_BY_SCAN);
}

Test(kernel, linked_elsewhere)
{
    /* CONFIG_PHYSICAL_START: KERNELOFFSET is right all the same. */
    kernel_write(&ram, &toy);
    char *offset = strstr((char *)ram.ram + toy.vmcoreinfo, "KERNELOFFSET=22000000");
    memcpy(offset, "KERNELOFFSET=21000000", 21);
    open_memory(true);
    cr_assert_eq(xl_kernel_find(mem, &kernel, &err), XVMI_OK, "%s", err.text);
    cr_assert_eq(kernel.kaslr_offset, 0x21000000);
}

/* Two kernels in one memory */

static struct kernel_writer stale(void)
{
    struct kernel_writer k = KERNEL_WRITER_DEFAULT;
    k.release = "5.10.0-1-stale";
    k.build_id[0] = 0x55;
    k.phys = 0x1000000;
    k.slide = 0x1000000;
    k.vmcoreinfo = 0x4000;
    return k;
}

Test(kernel, the_one_that_a_vcpu_runs_on)
{
    struct kernel_writer old = stale();
    kernel_write(&ram, &old);
    kernel_write(&ram, &toy);
    ram.note = old.info;
    run_on(toy.root, 4);
    expect_found(&toy, XL_BY_ALL, XL_BY_REGISTERS);
    cr_assert_eq(kernel.kallsyms.names, 0); /* nothing of the other's note */
    run_on(old.root, 4);
    expect_found(&old, XL_BY_ALL, XL_BY_REGISTERS);
}

Test(kernel, the_one_that_booted_last)
{
    struct kernel_writer old = stale();
    kernel_write(&ram, &old);
    kernel_write(&ram, &toy); /* over the other's trampoline */
    expect_found(&toy, XL_BY_ALL, XL_BY_SCAN);
    kernel_write(&ram, &old);
    expect_found(&old, XL_BY_ALL, XL_BY_SCAN);
}

Test(kernel, no_guess_between_two)
{
    struct kernel_writer old = stale();
    old.trampoline = toy.trampoline = 0;
    kernel_write(&ram, &old);
    kernel_write(&ram, &toy);
    expect_error(XL_BY_ALL, XVMI_ERR_UNSUPPORTED,
                 "finding the kernel: memory holds 2 kernels (5.10.0-1-stale at "
                 "0xffffffffff000000, 6.1.0-9-toy at 0xffffffffdd800000) and nothing tells "
                 "which one runs: use an image with vCPU registers");
}

Test(kernel, remains_of_another_do_not_count)
{
    struct kernel_writer old = stale();
    old.trampoline = toy.trampoline = 0;
    kernel_write(&ram, &old);
    kernel_write(&ram, &toy);
    memset(ram.ram + old.root, 0xcc, 4096); /* its page tables were reused */
    expect_found(&toy, XL_BY_ALL, XL_BY_SCAN);
}

/* What a guest's users can put into memory */

Test(kernel, a_copy_of_vmcoreinfo_is_no_second_kernel)
{
    kernel_write(&ram, &toy);
    memcpy(ram.ram + 0x7000, toy.info, sizeof(toy.info));
    strcat((char *)ram.ram + 0x7000, "CRASHTIME=1\n");
    char *offset = strstr((char *)ram.ram + 0x7000, "BUILD-ID=b1");
    memcpy(offset, "BUILD-ID=b2", 11);
    expect_found(&toy, XL_BY_ALL, XL_BY_SCAN);
}

Test(kernel, a_forged_vmcoreinfo)
{
    kernel_write(&ram, &toy);
    toy.vmcoreinfo = 0;
    char *forged = (char *)ram.ram + 0x5000;
    memcpy(strstr(forged, "OSRELEASE=6.1.0-9-toy"), "OSRELEASE=6.1.0-9-lie", 21);
    expect_error(XL_BY_SCAN, XVMI_ERR_UNSUPPORTED,
                 "no Linux kernel found in toy (has it booted yet?): VMCOREINFO of 6.1.0-9-lie: "
                 "its page tables show 6.1.0-9-toy, phys_base 0xffffffffdd800000, but it speaks of "
                 "phys_base 0xffffffffdd800000");
}

Test(kernel, a_banner_and_notes_in_pages_given_back)
{
    kernel_write(&ram, &toy);
    char *page = kernel_at(&ram, &toy, toy.free_page);
    strcpy(page, "Linux version 9.9.9-evil (x) ");
    memcpy(page + 0x100, kernel_at(&ram, &toy, toy.notes), 0x100);
    page[0x100 + 0x28] ^= 0x7f;
    run_on(toy.root, 4);
    expect_found(&toy, XL_BY_ALL, XL_BY_REGISTERS);
}

/* Nothing to be found */

Test(kernel, empty_memory)
{
    expect_error(XL_BY_ALL, XVMI_ERR_UNSUPPORTED,
                 "no Linux kernel found in toy (has it booted yet?): no vCPU registers are known; "
                 "no note; no VMCOREINFO in memory");
    run_on(0x2000, 4);
    expect_error(XL_BY_ALL, XVMI_ERR_UNSUPPORTED,
                 "no Linux kernel found in toy (has it booted yet?): vCPU registers: page tables "
                 "at 0x2000 (4 levels) map no kernel image; no note; no VMCOREINFO in memory");
}

Test(kernel, another_system)
{
    kernel_write(&ram, &toy);
    memset(kernel_at(&ram, &toy, toy.banner), 'x', 14);
    run_on(toy.root, 4);
    expect_error(XL_BY_REGISTERS, XVMI_ERR_UNSUPPORTED,
                 "no Linux kernel found in toy (has it booted yet?): vCPU registers: page tables "
                 "at 0xa00000 (4 levels): no banner in what they map from 0xffffffffa3000000 on");
}

Test(kernel, page_tables_that_loop)
{
    uint64_t *table = (uint64_t *)(ram.ram + 0x2000);
    for (int i = 0; i < 512; i++)
        table[i] = 0x2003;
    run_on(0x2000, 4);
    open_memory(true);
    cr_assert_eq(xl_kernel_find(mem, &kernel, &err), XVMI_ERR_UNSUPPORTED);
    cr_assert_not_null(strstr(err.text, "no kernel image is like that"), "%s", err.text);
}

/* Profiles */

static enum xvmi_status get(const struct xl_profile_options *options)
{
    bool cached;
    cr_assert_eq(xl_kernel_find(mem, &kernel, &err), XVMI_OK, "%s", err.text);
    xo_fini(&space); /* of an earlier call */
    cr_assert_eq(xo_init(&space, mem, kernel.paging, true, &err), XVMI_OK);
    enum xvmi_status status = xl_profile_get(&kernel, &space, options, kernel_wants, kernel_wants_n,
                                             &profile, &cached, &err);
    cr_assert_not(cached);
    return status;
}
static const struct xl_profile_options alone = {.no_cache = true, .no_vmlinux = true};

static void expect_profile(void)
{
    struct xvmi_member member;
    cr_assert_eq(get(&alone), XVMI_OK, "%s", err.text);
    cr_assert_eq(xvmi_profile_member(profile, "net", "list", &member), XVMI_OK);
    cr_assert_eq(member.offset, 0x20);
    cr_assert_eq(xl_symbol(&kernel, profile, "init_task"), toy.init_task);
    cr_assert_eq(xl_symbol(&kernel, profile, "page_offset_base"), toy.page_offset_base);
    cr_assert_eq(xl_symbol(&kernel, profile, "nothing"), 0);
    cr_assert_eq(kernel.page_offset, 0xffff9abc40000000);
    cr_assert_eq(kernel.kaslr_offset, toy.slide);
    cr_assert_eq(kernel.paging.root, toy.root);
    cr_assert_eq(space.paging.root, toy.root);
    cr_assert_eq(xvmi_profile_source(profile), XVMI_SOURCE_BTF);
    cr_assert_str_eq(xvmi_profile_release(profile), toy.release);
    size_t len;
    const uint8_t *id = xvmi_profile_build_id(profile, &len);
    cr_assert_eq(len, 20);
    cr_assert_eq(memcmp(id, toy.build_id, 20), 0);
}

Test(kernel, profile_of_every_form_of_kallsyms)
{
    for (size_t i = 0; i < kallsyms_forms_n; i++) {
        toy.form = &kallsyms_forms[i];
        kernel_write(&ram, &toy);
        open_memory(i % 2);
        expect_profile();
    }
}

Test(kernel, profile_without_any_help)
{
    toy.vmcoreinfo = 0;
    kernel_write(&ram, &toy);
    /* A process's page tables, that end with it. */
    memcpy(ram.ram + 0x20000, ram.ram + toy.root, 4096);
    run_on(0x20000, 4);
    open_memory(true);
    expect_profile();
}

Test(kernel, build_id_settled_by_kallsyms)
{
    kernel_write(&ram, &toy);
    toy.vmcoreinfo_has_kallsyms = false;
    /* An embedded file with notes that nothing sets apart. */
    memcpy(kernel_at(&ram, &toy, toy.notes + 0x600), kernel_at(&ram, &toy, toy.notes), 0x100);
    *(uint8_t *)kernel_at(&ram, &toy, toy.notes + 0x600 + 0x28) ^= 1;
    run_on(toy.root, 4);
    open_memory(true);
    expect_profile();
}

static void expect_mismatch(const char *text)
{
    open_memory(true);
    cr_assert_eq(get(&alone), XVMI_ERR_MISMATCH, "%s", err.text);
    cr_assert_null(profile);
    static const char frame[] = "the guest's own BTF and kallsyms: the profile does not fit this "
                                "kernel: ";
    cr_assert_eq(strncmp(err.text, frame, strlen(frame)), 0, "%s", err.text);
    cr_assert_str_eq(err.text + strlen(frame), text);
}

Test(kernel, proof_by_name_of_init_task)
{
    kernel_write(&ram, &toy);
    strcpy(kernel_at(&ram, &toy, toy.init_task + 0x80), "systemd");
    expect_mismatch("init_task.comm at 0xffffffffa3210080: expected 'swapper/0', saw 'systemd'");
    strcpy(kernel_at(&ram, &toy, toy.init_task + 0x80), "swapper");
    open_memory(true);
    cr_assert_eq(get(&alone), XVMI_OK, "%s", err.text);
}

Test(kernel, proof_by_ring_of_tasks)
{
    kernel_write(&ram, &toy);
    uint64_t elsewhere = toy.init_task + 0x2040;
    memcpy(kernel_at(&ram, &toy, toy.init_task + 0x1040), &elsewhere, 8);
    expect_mismatch("init_task.tasks: expected a ring of links, but from 0xffffffffa3211040 next "
                    "is 0xffffffffa3212040, and back from there is 0x0");
    elsewhere = 0x10;
    memcpy(kernel_at(&ram, &toy, toy.init_task + 0x1040), &elsewhere, 8);
    expect_mismatch("init_task.tasks: a task on the list cannot be read: address "
                    "0x0000000000000018: page not present (level 4, entry 0, value 0x0)");
}

Test(kernel, proof_by_net_namespaces)
{
    kernel_write(&ram, &toy);
    uint64_t head = toy.net_namespace_list;
    memcpy(kernel_at(&ram, &toy, head), &head, 8);
    expect_mismatch("net_namespace_list at 0xffffffffa3230000: expected init_net "
                    "(0xffffffffa3220000) on it, saw 0 others");
    uint64_t loop = toy.init_net + 0x500;
    memcpy(kernel_at(&ram, &toy, head), &loop, 8);
    memcpy(kernel_at(&ram, &toy, loop), &loop, 8);
    expect_mismatch("net_namespace_list at 0xffffffffa3230000: expected init_net "
                    "(0xffffffffa3220000) on it, saw 65536 others and no end");
}

Test(kernel, profile_of_another_build)
{
    kernel_write(&ram, &toy);
    open_memory(true);
    expect_profile();
    char path[] = "/tmp/xvmi-test-XXXXXX";
    cr_assert_geq(mkstemp(path), 0);
    cr_assert_eq(xvmi_profile_save(profile, path, &err), XVMI_OK, "%s", err.text);
    struct xl_profile_options named = {.path = path, .no_cache = true};
    open_memory(true);
    cr_assert_eq(get(&named), XVMI_OK, "%s", err.text);
    /* The same release, built anew. */
    toy.build_id[0] = 0xb2;
    kernel_write(&ram, &toy);
    open_memory(true);
    cr_assert_eq(get(&named), XVMI_ERR_MISMATCH);
    unlink(path);
    cr_assert_not_null(strstr(err.text, ": build-id: the guest's kernel is b21d0000..., the "
                                        "profile is of b11d0000..."),
                       "%s", err.text);
    cr_assert_eq(get(&named), XVMI_ERR_NOT_FOUND);
}

Test(kernel, without_btf)
{
    kernel_write(&ram, &toy);
    memset(kernel_at(&ram, &toy, toy.text + 0x180000), 0, 64);
    open_memory(true);
    cr_assert_eq(get(&alone), XVMI_ERR_FORMAT);
    cr_assert_eq(strncmp(err.text, "the guest's own BTF and kallsyms: BTF", 37), 0, "%s", err.text);
}
