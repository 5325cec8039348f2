// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * bench-attach URI: how long it takes to attach to a guest (a 512 MiB one is what the bars are
 * for), from its name to a handle that answers:
 *
 *   cached  its profile was made before
 *   new     nothing is known: kernel, symbols and types all come out of the guest's memory
 *
 * The two take turns. Where a new guest's time goes is printed, too.
 */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <xvmi/vm.h>

#include "os/linux/guest.h"
#include "os/linux/kernel.h"

#define ROUNDS 15

enum { CACHED, NEW, NEW_OPEN, NEW_FIND, NEW_PROFILE, SERIES };
static const char *const names[SERIES] = {"cached", "new", "  open", "  find the kernel",
                                          "  make the profile"};
static double ms[SERIES][ROUNDS];

static double now_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

static void check(enum xvmi_status status, const struct xvmi_error *error)
{
    if (status)
        errx(3, "%s", error->text);
}

/* False: the profile was not in the cache. */
static bool attach_cached(const char *uri, int round)
{
    struct xvmi_error error;
    struct xvmi_vm *vm;
    struct xvmi_vm_info info = {.size = sizeof(info)};
    double start = now_ms();
    check(xvmi_vm_open(uri, NULL, &vm, &error), &error);
    ms[CACHED][round] = now_ms() - start;
    xvmi_vm_info(vm, &info);
    xvmi_vm_close(vm);
    return info.profile_cached;
}

/* As xvmi_vm_open() without a cache, and on a host without vmlinux files. */
static void attach_new(const char *uri, int round)
{
    static const struct xl_profile_options alone = {.no_cache = true, .no_vmlinux = true};
    struct xvmi_error error;
    struct xm_mem *mem;
    struct xl_kernel kernel;
    struct xo_space space;
    struct xvmi_profile *profile;
    struct xw_layout layout;
    struct xw_symbols symbols;
    bool cached;
    size_t n;
    const struct xt_want *wants = xl_wants(&n);
    double start = now_ms();
    check(xm_open(uri, &mem, &error), &error);
    double opened = now_ms();
    check(xl_kernel_find(mem, &kernel, &error), &error);
    double found = now_ms();
    check(xo_init(&space, mem, kernel.paging, true, &error), &error);
    check(xl_profile_get(&kernel, &space, &alone, wants, n, &profile, &cached, &error), &error);
    check(xl_layout_fill(profile, kernel.kaslr_offset, &layout, &symbols, &error), &error);
    (void)!xo_use_direct_map(&space, kernel.page_offset, &error);
    double end = now_ms();
    ms[NEW][round] = end - start;
    ms[NEW_OPEN][round] = opened - start;
    ms[NEW_FIND][round] = found - opened;
    ms[NEW_PROFILE][round] = end - found;
    xvmi_profile_unref(profile);
    xo_fini(&space);
    xm_close(mem);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void bar(const char *name, double value, double limit)
{
    printf("bar %s %.2f %.0f %s\n", name, value, limit, value <= limit ? "ok" : "MISS");
}

int main(int argc, char **argv)
{
    if (argc != 2)
        errx(2, "usage: bench-attach URI");
    attach_cached(argv[1], 0); /* fills the cache */
    for (int i = 0; i < ROUNDS; i++) {
        if (!attach_cached(argv[1], i))
            errx(3, "the profile of %s does not stay in the cache", argv[1]);
        attach_new(argv[1], i);
    }
    printf("attach, ms           median     min     max   (%d rounds, %s)\n", ROUNDS, argv[1]);
    for (int s = 0; s < SERIES; s++) {
        qsort(ms[s], ROUNDS, sizeof(ms[s][0]), compare);
        printf("%-19s %7.2f %7.2f %7.2f\n", names[s], ms[s][ROUNDS / 2], ms[s][0],
               ms[s][ROUNDS - 1]);
    }
    bar("attach-cached-ms", ms[CACHED][ROUNDS / 2], 10);
    bar("attach-new-ms", ms[NEW][ROUNDS / 2], 150);
    return 0;
}
