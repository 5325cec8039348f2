// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * xen-look URI LOOKUPS: looks up the owners of a domain's sockets over and over and prints how many
 * pages are mapped as it goes. Exit status 0: they stay few.
 *
 * xen-look URI bench: the time of a look-up against the same on a copy of the memory, and what
 * mapping costs page by page and many at once. Of a guest that stands still.
 *
 * xen-look URI pages: how many pages of the domain are there, and how many are not.
 */
#include <dlfcn.h>
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <xvmi/owner.h>

#include "../bench/rounds.h"

#define ROUNDS    7
#define PER_ROUND 2000
#define FLOWS     64
#define PAGE      UINT64_C(4096)
#define APART     UINT64_C(65536) /* addresses that the driver never maps together by itself */
#define SPREAD    256

static struct xvmi_mem_backend backend; /* the driver's, for what the handle does not show */

/* A copy of the memory, that the driver lends its knowledge of page tables. */
static struct xvmi_mem_range copy[4];
static size_t n_copy;

static enum xvmi_status copy_ranges(void *ctx, const struct xvmi_mem_range **ranges, size_t *n,
                                    struct xvmi_error *error)
{
    (void)ctx;
    (void)error;
    *ranges = copy;
    *n = n_copy;
    return XVMI_OK;
}

static enum xvmi_status copy_regs(void *ctx, unsigned vcpu, struct xvmi_vcpu_regs *regs,
                                  struct xvmi_error *error)
{
    return backend.ops->regs(ctx, vcpu, regs, error);
}

static enum xvmi_status copy_from_tables(void *ctx, uint64_t addr, uint64_t *gpa,
                                         struct xvmi_error *error)
{
    return backend.ops->from_tables(ctx, addr, gpa, error);
}

static size_t count_missing(uint64_t gpa, uint64_t size, uint8_t *at)
{
    size_t missing = 0;
    for (uint64_t off = 0; off < size; off += PAGE)
        missing += backend.ops->read(backend.ctx, gpa + off, at + off, PAGE, NULL) != XVMI_OK;
    return missing;
}

static void make_copy(void)
{
    const struct xvmi_mem_range *ranges;
    struct xvmi_error error = XVMI_ERROR_INIT;
    if (backend.ops->ranges(backend.ctx, &ranges, &n_copy, &error) || n_copy > 4)
        errx(1, "ranges: %s", error.text);
    for (size_t i = 0; i < n_copy; i++) {
        int fd = memfd_create("copy", MFD_CLOEXEC);
        if (fd < 0 || ftruncate(fd, (off_t)ranges[i].size))
            err(1, "memfd");
        uint8_t *at =
            mmap(NULL, ranges[i].size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
        if (at == MAP_FAILED)
            err(1, "mmap");
        size_t missing = 0;
        for (uint64_t off = 0; off < ranges[i].size; off += 512 * PAGE) {
            uint64_t len = ranges[i].size - off < 512 * PAGE ? ranges[i].size - off : 512 * PAGE;
            if (backend.ops->read(backend.ctx, ranges[i].gpa + off, at + off, len, NULL))
                missing += count_missing(ranges[i].gpa + off, len, at + off);
        }
        copy[i] = (struct xvmi_mem_range){ranges[i].gpa, ranges[i].size, at};
        printf("%lu pages, %zu are not there\n", ranges[i].size / PAGE, missing);
    }
}

/* Pages of the domain in our address space. */
static size_t mapped_pages(void)
{
    char line[512];
    unsigned long from, to, bytes = 0;
    FILE *f = fopen("/proc/self/maps", "re");
    while (f && fgets(line, sizeof(line), f))
        if (strstr(line, "privcmd") && sscanf(line, "%lx-%lx", &from, &to) == 2)
            bytes += to - from;
    if (f)
        fclose(f);
    return bytes / PAGE;
}

struct side {
    struct xvmi_vm *vm;
    struct xvmi_finder *finder;
    struct xvmi_flow flows[FLOWS];
    int pids[FLOWS];
    size_t n, next;
};

static bool look(struct side *side, size_t i, int *pid)
{
    struct xvmi_owner owner;
    if (xvmi_owner_find(side->finder, &side->flows[i], NULL, &owner))
        return false;
    *pid = owner.n_owners ? owner.owners[0].task.pid : 0;
    return true;
}

static void take_flows(struct side *side)
{
    struct xvmi_socket *sockets;
    static const uint8_t any[16];
    size_t n;
    if (xvmi_socket_list(side->vm,
                         XVMI_SOCKET_BIT(XVMI_SOCKET_TCP) | XVMI_SOCKET_BIT(XVMI_SOCKET_UDP),
                         &sockets, &n))
        errx(1, "sockets: %s", xvmi_vm_error(side->vm));
    side->n = 0;
    for (size_t i = 0; i < n && side->n < FLOWS; i++) {
        struct xvmi_flow *flow = &side->flows[side->n];
        if (sockets[i].family != 2 || !memcmp(sockets[i].local, any, 16))
            continue;
        *flow = (struct xvmi_flow){.family = 2,
                                   .proto = sockets[i].kind == XVMI_SOCKET_TCP ? 6 : 17,
                                   .lport = sockets[i].lport,
                                   .rport = sockets[i].rport};
        memcpy(flow->local, sockets[i].local, 4);
        memcpy(flow->remote, sockets[i].remote, 4);
        if (look(side, side->n, &side->pids[side->n]) && side->pids[side->n])
            side->n++;
    }
    free(sockets);
    if (!side->n)
        errx(1, "the domain has no socket to look up: run guest-helper zoo in it");
}

static void open_side(struct side *side, struct xvmi_vm *vm)
{
    side->vm = vm;
    if (xvmi_finder_new(vm, NULL, &side->finder))
        errx(1, "finder: %s", xvmi_vm_error(vm));
}

static double time_lookups(void *ctx)
{
    struct side *side = ctx;
    int pid;
    double began = bench_now();
    for (int i = 0; i < PER_ROUND; i++)
        if (!look(side, side->next++ % side->n, &pid))
            return -1;
    return (bench_now() - began) / PER_ROUND * 1e6;
}

/* Read from pages that are far apart: with one call for all, or one for each. */
static double time_mapping(bool together)
{
    static struct xvmi_mem_read reads[SPREAD];
    uint64_t room = copy[0].size / APART, first = (uint64_t)(together ? 0 : SPREAD);
    uint8_t bytes[SPREAD];
    bool changed;
    struct xvmi_error error = XVMI_ERROR_INIT;
    size_t n = room / 2 < SPREAD ? room / 2 : SPREAD;
    for (size_t i = 0; i < n; i++)
        reads[i] =
            (struct xvmi_mem_read){.gpa = (first + i) % room * APART, .dst = &bytes[i], .len = 1};
    (void)!backend.ops->refresh(backend.ctx, &changed, &error);
    double began = bench_now();
    if (together)
        (void)!backend.ops->read_batch(backend.ctx, reads, n, &error);
    for (size_t i = 0; i < n && !together; i++)
        (void)!backend.ops->read(backend.ctx, reads[i].gpa, reads[i].dst, 1, NULL);
    return (bench_now() - began) / (double)n * 1e6;
}

static void open_driver(const char *rest)
{
    char path[512];
    struct xvmi_error error = XVMI_ERROR_INIT;
    snprintf(path, sizeof(path), "%s/xvmi-driver-xen.so", getenv("XVMI_DRIVER_PATH"));
    void *handle = dlopen(path, RTLD_NOW);
    const struct xvmi_driver *driver = handle ? dlsym(handle, "xvmi_driver") : NULL;
    if (!driver)
        errx(1, "%s: %s", path, dlerror());
    if (driver->open(rest, &backend, &error))
        errx(1, "%s", error.text);
}

static int flat(struct side *side, unsigned long lookups)
{
    size_t early = 0, most = 0;
    unsigned long failed = 0;
    for (unsigned long i = 0; i < lookups; i++) {
        int pid;
        if (i % 1000 == 0 && i > 0) {
            if (xvmi_vm_refresh(side->vm))
                errx(1, "refresh: %s", xvmi_vm_error(side->vm));
            take_flows(side);
            size_t now = mapped_pages();
            early = i == 10000 ? now : early;
            most = now > most ? now : most;
        }
        failed += !look(side, i % side->n, &pid);
    }
    size_t last = mapped_pages();
    printf("%lu look-ups, %lu failed; pages mapped: %zu after 10000, %zu at the end, %zu at most\n",
           lookups, failed, early, last, most);
    return lookups > 20000 && last > early + early / 2 + 512;
}

/* A guest that runs while it is copied may be torn: try again. */
static void open_copy(struct side *side)
{
    static const struct xvmi_mem_ops ops = {.size = sizeof(ops),
                                            .ranges = copy_ranges,
                                            .regs = copy_regs,
                                            .from_tables = copy_from_tables};
    struct xvmi_mem_backend image = {sizeof(image), &ops, backend.ctx, backend.vcpus, true};
    struct xvmi_error error = XVMI_ERROR_INIT;
    struct xvmi_vm *vm = NULL;
    for (int i = 0; i < 5 && !vm; i++) {
        make_copy();
        (void)!xvmi_vm_open_backend(&image, "copy", NULL, &vm, &error);
    }
    if (!vm)
        errx(1, "copy: %s", error.text);
    open_side(side, vm);
    take_flows(side);
}

static int compare(struct side *live, struct side *still)
{
    struct bench_contender c[] = {{.name = "xen", .run = time_lookups, .ctx = live},
                                  {.name = "memfd", .run = time_lookups, .ctx = still}};
    if (!bench_rounds(c, 2, ROUNDS))
        errx(1, "look-ups failed");
    for (int i = 0; i < 2; i++)
        printf("%-6s %8.2f us a look-up (%.2f to %.2f)\n", c[i].name, c[i].median, c[i].low,
               c[i].high);
    bench_bar("xen-warm-vs-memfd", c[0].median / c[1].median, 1.5);
    double together = time_mapping(true), single = time_mapping(false);
    printf("mapping %d places: %.1f us each one by one, %.1f us in a batch: %.1f x\n", SPREAD,
           single, together, single / together);
    return 0;
}

int main(int argc, char **argv)
{
    static struct side live, still;
    struct xvmi_error error = XVMI_ERROR_INIT;
    struct xvmi_vm *vm;
    if (argc != 3 || strncmp(argv[1], "xen:", 4) != 0)
        errx(2, "usage: xen-look xen:DOMAIN LOOKUPS|pages|bench");
    bool bench = !strcmp(argv[2], "bench"), pages = !strcmp(argv[2], "pages");
    size_t none = mapped_pages();
    if (bench || pages)
        open_driver(argv[1] + 4);
    if (pages) {
        make_copy();
        return 0;
    }
    if (xvmi_vm_open(argv[1], NULL, &vm, &error))
        errx(1, "%s", error.text);
    size_t opened = mapped_pages();
    open_side(&live, vm);
    take_flows(&live);
    printf("pages mapped: %zu by opening, %zu more for the first look at %zu sockets\n",
           opened - none, mapped_pages() - opened, live.n);
    size_t before = mapped_pages();
    time_lookups(&live);
    printf("pages mapped by %d more look-ups: %zd\n", PER_ROUND,
           (ssize_t)(mapped_pages() - before));
    if (bench)
        open_copy(&still);
    int bad = bench ? compare(&live, &still) : flat(&live, strtoul(argv[2], NULL, 10));
    xvmi_finder_free(live.finder);
    xvmi_vm_close(live.vm);
    return bad;
}
