// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <string.h>

#include <criterion/criterion.h>

#include "kvm/cmdline.h"
#include "kvm/process.h"

/* A command line as /proc shows it, from words with one space between. */
static struct xk_cmdline words(const char *text)
{
    static char buf[4096];
    size_t len = strlen(text) + 1;
    memcpy(buf, text, len);
    for (size_t i = 0; i < len; i++) {
        if (buf[i] == ' ')
            buf[i] = 0;
    }
    return (struct xk_cmdline){buf, len};
}

static void qmp_is(const char *text, unsigned index, const char *want)
{
    char path[XK_PATH_MAX];
    enum xvmi_status s = xk_cmdline_qmp(words(text), index, path);
    cr_assert_eq(s, want ? XVMI_OK : XVMI_ERR_NOT_FOUND, "%s", text);
    if (want)
        cr_assert_str_eq(path, want);
}

Test(kvm_cmdline, qmp_sockets)
{
    qmp_is("qemu -m 512 -qmp unix:/run/a.sock,server=on,wait=off", 0, "/run/a.sock");
    qmp_is("qemu -m 512 -qmp unix:/run/a.sock,server=on,wait=off", 1, NULL);
    qmp_is("qemu --qmp unix:a,,b,server,nowait", 0, "a,b");
    qmp_is("qemu -qmp unix:a,server=on -qmp-pretty unix:b,server=on", 1, "b");
    qmp_is("qemu -qmp unix:a,server=on -qmp unix:b,server=on", 1, "b");
    qmp_is("qemu -chardev socket,id=c,path=/m,server=on -mon chardev=c,mode=control", 0, "/m");
    qmp_is("qemu -mon c,mode=control -chardev socket,server=on,path=/m,id=c", 0, "/m");
    qmp_is("qemu -qmp unix:client", 0, NULL);
    qmp_is("qemu -qmp unix:client,server=off", 0, NULL);
    qmp_is("qemu -qmp tcp:localhost:1,server=on", 0, NULL);
    qmp_is("qemu -qmp unix:,server=on", 0, NULL);
    qmp_is("qemu -qmp", 0, NULL);
    qmp_is("qemu -monitor unix:a,server=on", 0, NULL);
    qmp_is("qemu -chardev socket,id=c,path=/m,server=on -mon chardev=c", 0, NULL);
    qmp_is("qemu -chardev socket,id=c,fd=3,server=on -mon chardev=c,mode=control", 0, NULL);
    qmp_is("qemu -chardev socket,id=cc,path=/m,server=on -mon chardev=c,mode=control", 0, NULL);
    qmp_is("", 0, NULL);
}

static void machine_is(const char *text, uint64_t size, uint64_t low)
{
    struct xk_machine m;
    struct xvmi_error err = XVMI_ERROR_INIT;
    cr_assert_eq(xk_cmdline_machine(words(text), &m, &err), XVMI_OK, "%s: %s", text, err.text);
    cr_assert_eq(m.size, size, "%s: %lx", text, m.size);
    cr_assert_eq(m.low, low, "%s: %lx", text, m.low);
}

Test(kvm_cmdline, machines)
{
    machine_is("qemu", 128ull << 20, 128ull << 20);
    machine_is("qemu -m 512", 512ull << 20, 512ull << 20);
    machine_is("qemu -machine q35,accel=tcg -m 6144", 6ull << 30, 0x80000000);
    machine_is("qemu -M pc-q35-7.2 -m 2815M", 2815ull << 20, 2815ull << 20);
    machine_is("qemu -M pc-q35-7.2 -m 2816M", 2816ull << 20, 0x80000000);
    machine_is("qemu -m size=4G -machine accel=kvm", 4ull << 30, 0xc0000000);
    machine_is("qemu -machine type=microvm -m 4g", 4ull << 30, 0xc0000000);
    machine_is("qemu -machine memory-backend=m,type=q35 -m 1G", 1ull << 30, 1ull << 30);
}

static void machine_refused(const char *text, const char *why)
{
    struct xk_machine m;
    struct xvmi_error err = XVMI_ERROR_INIT;
    cr_assert_eq(xk_cmdline_machine(words(text), &m, &err), XVMI_ERR_UNSUPPORTED, "%s", text);
    cr_assert(strstr(err.text, why), "%s", err.text);
}

Test(kvm_cmdline, machines_that_do_not_tell)
{
    machine_refused("qemu -numa node,memdev=a", "NUMA");
    machine_refused("qemu -m 1G,slots=4,maxmem=8G", "hotplug");
    machine_refused("qemu -m 1Q", "unusual -m");
    machine_refused("qemu -m 0", "unusual -m");
    machine_refused("qemu -m 99999999999999999999999", "unusual -m");
    machine_refused("qemu -m 513G", "unusual -m");
    machine_refused("qemu -m -5", "unusual -m");
    machine_refused("qemu -machine virt", "not a machine of type");
    machine_refused("qemu -machine q35,max-ram-below-4g=1G", "max-ram-below-4g");
    machine_refused("qemu -readconfig file", "configuration from a file");
}

Test(kvm_maps, lines)
{
    struct xk_vma v;
    cr_assert(xk_maps_parse("7fa503fff000-7fa583fff000 rw-s 00001000 00:01 1029                "
                            "       /memfd:memory-backend-memfd (deleted)\n",
                            &v));
    cr_assert_eq(v.start, 0x7fa503fff000);
    cr_assert_eq(v.end, 0x7fa583fff000);
    cr_assert_eq(v.offset, 0x1000);
    cr_assert_eq(v.inode, 1029);
    cr_assert_eq(v.minor, 1);
    cr_assert(v.readable && v.writable && v.shared && v.file && !v.executable);
    cr_assert(xk_maps_parse("7fa584000000-7fa585fff000 ---p 00000000 00:00 0 \n", &v));
    cr_assert(!v.readable && !v.writable && !v.shared && !v.file);
    cr_assert(!xk_maps_parse("", &v));
    cr_assert(!xk_maps_parse("2000-1000 rw-p 0 0:0 0\n", &v));
    cr_assert(!xk_maps_parse("1000-3000 rw-p ffffffffffffffff 0:0 0\n", &v));
    cr_assert(!xk_maps_parse("1000-3000 rw 0 0:0 0\n", &v));
    cr_assert(!xk_maps_parse("1000-3000 rw-p\n", &v));
}

Test(kvm_maps, find)
{
    struct xk_vma v[] = {{.start = 0x1000, .end = 0x2000}, {.start = 0x4000, .end = 0x5000}};
    struct xk_maps maps = {.v = v, .n = 2};
    cr_assert_null(xk_maps_find(&maps, 0xfff));
    cr_assert_eq(xk_maps_find(&maps, 0x1000), &v[0]);
    cr_assert_eq(xk_maps_find(&maps, 0x1fff), &v[0]);
    cr_assert_null(xk_maps_find(&maps, 0x2000));
    cr_assert_eq(xk_maps_find(&maps, 0x4fff), &v[1]);
    cr_assert_null(xk_maps_find(&maps, 0x5000));
}
