// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause

/*
 * Reading guest memory by kernel address, against bare loads from the same mapping.
 *
 * The guest is a memfd of 512 MiB with page tables of its own, mapped as any raw image:
 * the direct map in 2 MiB pages, a vmalloc area of 4 KiB pages over all of RAM. Contenders take
 * turns round by round; figures are medians of ROUNDS rounds, ratios are taken within each
 * round, so that a noisy neighbour slows both sides.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "os/space.h"

#define MIB     (UINT64_C(1) << 20)
#define RAM     (512 * MIB)
#define TABLES  (RAM - 2 * MIB) /* page tables lie behind what is read */
#define DIRECT  UINT64_C(0xffff888000000000)
#define VMALLOC UINT64_C(0xffffc90000000000)
#define ROUNDS  31

#define HOT_SLOTS 256 /* addresses in 64 KiB: warm in the first or second cache */
#define HOT_READS 500000
#define LINES     (TABLES / 64)
#define HOPS      40000

static uint8_t *ram;
static struct xm_mem *mem;
static struct xo_space direct, vmalloc; /* one knows its direct map, the other only the tables */

static void need(bool ok, const char *what, const struct xvmi_error *err)
{
    if (ok)
        return;
    fprintf(stderr, "bench-read: %s: %s\n", what, err ? err->text : "failed");
    exit(1);
}

static void put(uint64_t gpa, uint64_t value)
{
    memcpy(ram + gpa, &value, sizeof(value));
}

static uint64_t get(uint64_t gpa)
{
    uint64_t value;
    memcpy(&value, ram + gpa, sizeof(value));
    return value;
}

/* Root, then for each of the two areas a level 3 and a level 2 table, then 256 of level 1. */
static void write_tables(void)
{
    uint64_t root = TABLES, direct3 = root + 0x1000, direct2 = root + 0x2000;
    uint64_t vmalloc3 = root + 0x3000, vmalloc2 = root + 0x4000, vmalloc1 = root + 0x5000;
    put(root + 273 * 8, direct3 | 3);
    put(direct3, direct2 | 3);
    put(root + 402 * 8, vmalloc3 | 3);
    put(vmalloc3, vmalloc2 | 3);
    for (uint64_t i = 0; i < RAM / (2 * MIB); i++) {
        put(direct2 + i * 8, i * 2 * MIB | 0x83);
        put(vmalloc2 + i * 8, (vmalloc1 + i * 0x1000) | 3);
        for (uint64_t j = 0; j < 512; j++)
            put(vmalloc1 + i * 0x1000 + j * 8, (i * 2 * MIB + j * 0x1000) | 3);
    }
}

static uint64_t next_random(void)
{
    static uint64_t state = 88172645463325252u;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

/* One cycle through every cache line of RAM, in random order (Sattolo); each line holds the
 * GPA of the next. */
static void write_cycle(void)
{
    uint32_t *order = malloc(LINES * sizeof(*order));
    need(order, "order of lines", NULL);
    for (uint32_t i = 0; i < LINES; i++)
        order[i] = i;
    for (uint64_t i = LINES - 1; i > 0; i--) {
        uint64_t j = next_random() % i;
        uint32_t line = order[i];
        order[i] = order[j];
        order[j] = line;
    }
    for (uint64_t i = 0; i < LINES; i++)
        put(order[i] * UINT64_C(64), order[(i + 1) % LINES] * UINT64_C(64));
    free(order);
}

static void open_guest(void)
{
    int fd = memfd_create("bench-read", MFD_CLOEXEC);
    need(fd >= 0 && ftruncate(fd, (off_t)RAM) == 0, "memfd", NULL);
    ram = mmap(NULL, RAM, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    need(ram != MAP_FAILED, "mmap", NULL);
    write_cycle();
    write_tables();

    char uri[64];
    snprintf(uri, sizeof(uri), "file:/proc/self/fd/%d", fd);
    struct xvmi_error err = XVMI_ERROR_INIT;
    struct xx_paging paging = {.root = TABLES, .levels = 4};
    need(!xm_open(uri, &mem, &err), uri, &err);
    need(!xo_init(&direct, mem, paging, true, &err), "address space", &err);
    need(!xo_init(&vmalloc, mem, paging, true, &err), "address space", &err);
    need(!xo_use_direct_map(&direct, DIRECT, &err), "direct map", &err);
    /* The bare loads go through the library's mapping: same pages, same faults behind them. */
    munmap(ram, RAM);
    ram = (uint8_t *)(uintptr_t)xm_ptr(mem, 0, RAM, NULL);
    need(ram != NULL, "the image is not mapped", NULL);
}

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static volatile uint64_t sink;

/* --- hot: independent reads of a few addresses --- */

static uint64_t hot_gpa[HOT_SLOTS];

static double hot_raw(void)
{
    uint64_t sum = 0;
    double start = now_ns();
    for (size_t i = 0; i < HOT_READS; i++)
        sum += *(volatile uint64_t *)(ram + hot_gpa[i % HOT_SLOTS]);
    sink = sum;
    return (now_ns() - start) / HOT_READS;
}

static double hot_space(struct xo_space *space, uint64_t base)
{
    uint64_t sum = 0, value;
    double start = now_ns();
    for (size_t i = 0; i < HOT_READS; i++) {
        if (xo_read_u64(space, base + hot_gpa[i % HOT_SLOTS], &value))
            need(false, "hot read", NULL);
        sum += value;
    }
    sink = sum;
    return (now_ns() - start) / HOT_READS;
}

static double hot_direct(void)
{
    return hot_space(&direct, DIRECT);
}

static double hot_vmalloc(void)
{
    return hot_space(&vmalloc, VMALLOC);
}

/* --- cold: each read says where the next one is --- */

static uint64_t cold_at; /* contenders take over from each other: no line is met twice in a round */

static double hop_raw(void)
{
    double start = now_ns();
    uint64_t at = cold_at;
    for (size_t i = 0; i < HOPS; i++)
        at = *(volatile uint64_t *)(ram + at);
    cold_at = at;
    return (now_ns() - start) / HOPS;
}

static double hop_space(struct xo_space *space, uint64_t base)
{
    double start = now_ns();
    uint64_t at = cold_at;
    for (size_t i = 0; i < HOPS; i++)
        if (xo_read_u64(space, base + at, &at))
            need(false, "cold hop", NULL);
    cold_at = at;
    return (now_ns() - start) / HOPS;
}

static double hop_direct(void)
{
    return hop_space(&direct, DIRECT);
}

static double hop_walk(void)
{
    return hop_space(&vmalloc, VMALLOC);
}

/* --- rounds --- */

static struct contender {
    const char *name;
    double (*run)(void);
    double ns[ROUNDS];
} contenders[] = {
    {.name = "hot: load from the mapping", .run = hot_raw},
    {.name = "hot: xo_read_u64, direct map", .run = hot_direct},
    {.name = "hot: xo_read_u64, TLB", .run = hot_vmalloc},
    {.name = "cold hop: load from the mapping", .run = hop_raw},
    {.name = "cold hop: xo_read_u64, direct map", .run = hop_direct},
    {.name = "cold hop: xo_read_u64, page walk", .run = hop_walk},
};
#define CONTENDERS (sizeof(contenders) / sizeof(contenders[0]))

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *v)
{
    qsort(v, ROUNDS, sizeof(*v), compare_doubles);
    return v[ROUNDS / 2];
}

static double ratio(size_t ours, size_t theirs)
{
    double v[ROUNDS];
    for (size_t i = 0; i < ROUNDS; i++)
        v[i] = contenders[ours].ns[i] / contenders[theirs].ns[i];
    return median(v);
}

static void run_rounds(void)
{
    for (int round = -1; round < ROUNDS; round++) { /* -1 warms up */
        size_t first = next_random() % CONTENDERS;
        for (size_t i = 0; i < CONTENDERS; i++) {
            struct contender *c = &contenders[(first + i) % CONTENDERS];
            double ns = c->run();
            if (round >= 0)
                c->ns[round] = ns;
        }
    }
}

static void bar(const char *name, double value, double limit)
{
    printf("bar %s %.2f %.2f %s\n", name, value, limit, value <= limit ? "ok" : "MISS");
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--list") == 0) {
        printf("read-hot-vs-raw\nhop-cold-vs-chase\n");
        return 0;
    }
    open_guest();
    for (size_t i = 0; i < HOT_SLOTS; i++)
        hot_gpa[i] = 300 * MIB + next_random() % 8192 * 8;
    for (uint64_t line = 0; line < LINES; line++) /* our mapping's pages are in the host's tables */
        sink = get(line * 64);
    run_rounds();

    double hot = ratio(1, 0), hot_tlb = ratio(2, 0), hop = ratio(4, 3);
    printf("%-36s %8s %8s %8s  ns a read; %d rounds, 512 MiB, 4 KiB host pages\n", "", "median",
           "min", "max", ROUNDS);
    for (size_t i = 0; i < CONTENDERS; i++) {
        double *ns = contenders[i].ns, mid = median(ns);
        printf("%-36s %8.2f %8.2f %8.2f\n", contenders[i].name, mid, ns[0], ns[ROUNDS - 1]);
    }
    printf("hot through the TLB (vmalloc addresses): %.2f times the load; no bar\n", hot_tlb);
    printf("read-hot-vs-libvmi: not measured, Debian has no package of LibVMI\n");
    bar("read-hot-vs-raw", hot, 2.5);
    bar("hop-cold-vs-chase", hop, 2.0);
    xo_fini(&direct);
    xo_fini(&vmalloc);
    xm_close(mem);
    return 0;
}
