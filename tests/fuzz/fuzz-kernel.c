// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Damage to a kernel in memory: its page tables, what it says of itself, its lists; then all the
 * way from finding it to a proven profile. */
#include <stdlib.h>

#include "fuzz/patch.h"
#include "os/linux/kernel.h"
#include "support/kernel-writer.h"

static void attach(struct xm_mem *mem, unsigned ways)
{
    static const struct xl_profile_options alone = {.no_cache = true, .no_vmlinux = true};
    struct xvmi_error err = XVMI_ERROR_INIT;
    struct xl_kernel kernel;
    struct xo_space space;
    struct xvmi_profile *profile;
    bool cached;
    if (xl_kernel_find_by(mem, ways, &kernel, &err) ||
        xo_init(&space, mem, kernel.paging, true, &err))
        return;
    if (!xl_profile_get(&kernel, &space, &alone, kernel_wants, kernel_wants_n, &profile, &cached,
                        &err))
        xvmi_profile_unref(profile);
    xo_fini(&space);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static struct kernel_ram ram; /* 32 MiB once, not each time */
    struct kernel_writer toy = KERNEL_WRITER_DEFAULT;
    if (n < 2)
        return 0;
    if (!ram.ram)
        kernel_ram_init(&ram);
    toy.form = &kallsyms_forms[data[0] % kallsyms_forms_n];
    toy.levels = data[1] & 1 ? 5 : 4;
    toy.booted = data[1] & 2;
    kernel_write(&ram, &toy);

    /* What 64 KiB are damaged. */
    const uint64_t places[] = {toy.root, toy.vmcoreinfo, toy.phys + (toy.banner - toy.text),
                               toy.phys + (toy.init_task - toy.text)};
    fuzz_patch(ram.ram + places[data[1] >> 2 & 3], 65536, data + 2, n - 2);
    ram.vcpus = data[1] >> 4 & 1;
    ram.regs[0] = (struct xvmi_vcpu_regs){.valid = XVMI_REG_CR3, .cr3 = toy.root};
    ram.note = data[1] & 0x20 ? toy.info : NULL;

    struct xm_mem *mem = kernel_ram_open(&ram, data[1] & 0x40);
    attach(mem, XL_BY_ALL);
    xm_close(mem);
    memset(ram.ram, 0, 65536); /* the rest is written anew */
    return 0;
}
