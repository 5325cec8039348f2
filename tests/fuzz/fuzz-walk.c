// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Everything that walks guest memory, over memory that the input damaged: of the toy kernel, or,
 * with $XVMI_FUZZ_IMAGE, of a real dump (mapped privately, so that it stays as it is on disk).
 *
 * The input is a list of 8-byte records {place, place, how, how, value * 4}: which word of those
 * that an undisturbed walk reads, and what becomes of it. All is undone after each run.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "os/linux/kernel.h"
#include "os/linux/owner.h"
#include "os/linux/socket.h"
#include "os/linux/task.h"
#include "support/linux-guest.h"

#define MAX_DAMAGE 64
#define MAX_PLACES (1u << 16)

static struct lw lw;
static struct lw_guest toy;
static struct xm_mem *image;
static struct xo_space image_space;
static struct xvmi_error err;
static struct xl_guest guest;

#define MAX_FLOWS 16
static struct xvmi_flow flows[MAX_FLOWS];
static size_t n_flows;
static bool
    with_sctp; /* the last of them is one of SCTP, which takes as long as a hundred others */

/* Words worth damaging: host addresses inside the guest's memory. */
static uint64_t *places[MAX_PLACES];
static size_t n_places;

static void die(const char *what)
{
    fprintf(stderr, "fuzz-walk: %s: %s\n", what, err.text);
    exit(1);
}

#define ALL_WANTED                                                                                 \
    (XVMI_WANT_TASK | XVMI_WANT_EXE | XVMI_WANT_CMDLINE | XVMI_WANT_CGROUP | XVMI_WANT_ANCESTRY)

/* The sender of each flow, twice (the second time it is known), and of each socket. */
static void ask_for_owners(struct xvmi_finder *finder, const struct xvmi_socket *sockets, size_t n,
                           size_t n_asked)
{
    const struct xvmi_owner_query query = {.size = sizeof(query), .want = ALL_WANTED};
    static struct xvmi_owner owners[16];
    enum xvmi_status status[16];
    bool done;
    for (size_t i = 0; i < n_asked; i++)
        if (!xvmi_owner_find(finder, &flows[i], &query, &owners[0]) &&
            xvmi_owner_revalidate(finder, &owners[0].token))
            continue;
    if (xvmi_finder_tend(finder, 200, &done) |
        xvmi_owner_find_batch(finder, flows, n_asked, NULL, owners, status))
        return;
    for (size_t i = 0; i < n && i < 16; i++)
        if (xvmi_owner_of(finder, &sockets[i], NULL, &owners[0]))
            continue;
}

/* Does what the API does; crashing, hanging and growing without bound are the only failures. */
static void walk_everything(bool sctp)
{
    struct xvmi_task *tasks = NULL;
    struct xvmi_socket *sockets = NULL;
    struct xvmi_owner_scan *scan = NULL;
    struct xvmi_finder *finder = NULL;
    const unsigned kinds = XVMI_SOCKET_ALL & ~(sctp ? 0 : XVMI_SOCKET_BIT(XVMI_SOCKET_SCTP));
    static char buf[XVMI_PATH_MAX];
    size_t n = 0, len;
    if (!xl_task_list(&guest, &tasks, &n))
        for (size_t i = 0; i < n && i < 32; i++)
            if (xl_task_exe(&guest, &tasks[i], buf, sizeof(buf)) |
                xl_task_cgroup(&guest, &tasks[i], buf, sizeof(buf)) |
                xl_task_cmdline(&guest, &tasks[i], buf, sizeof(buf), &len))
                continue;
    free(tasks);
    n = 0;
    if (!xl_socket_list(&guest, kinds, &sockets, &n))
        for (size_t i = 0; i < n && i < 32; i++)
            if (xl_socket_cgroup(&guest, &sockets[i], buf, sizeof(buf)))
                continue;
    if (!xl_owner_scan_new(&guest, &scan))
        xvmi_owner_scan_free(scan);
    const struct xvmi_finder_options small = {.size = sizeof(small), .index_memory = 64 << 10};
    if (!xl_finder_new(&guest, &small, &finder))
        ask_for_owners(finder, sockets, n, with_sctp && !sctp ? n_flows - 1 : n_flows);
    xvmi_finder_free(finder);
    free(sockets);
}

static void add_place(const void *p)
{
    if (p && n_places < MAX_PLACES)
        places[n_places++] = (uint64_t *)(uintptr_t)p;
}

static void add_object(uint64_t gva, size_t size)
{
    for (size_t off = 0; off < size; off += 8)
        add_place(xo_ptr(guest.space, gva + off, 8));
}

/* An object and what it points to. */
static void add_graph(uint64_t gva, size_t size, int depth)
{
    add_object(gva, size);
    for (size_t off = 0; off < size && depth; off += 8) {
        const uint64_t *p = xo_ptr(guest.space, gva + off, 8);
        if (p && xw_is_pointer(*p))
            add_graph(*p, 256, depth - 1);
    }
}

/* `guest-helper flows` listens there. */
static void add_sctp(void)
{
    struct xvmi_finder *finder = NULL;
    static struct xvmi_owner owner;
    struct xvmi_flow flow = {.proto = 132,
                             .family = 2,
                             .local = {10, 0, 0, 2},
                             .remote = {10, 0, 0, 1},
                             .lport = 7132,
                             .rport = 9};
    if (xl_finder_new(&guest, NULL, &finder))
        die("no finder");
    if (!xvmi_owner_find(finder, &flow, NULL, &owner) && owner.socket.addr) {
        flows[n_flows++] = flow;
        add_graph(owner.socket.addr, 2048, 1);
        with_sctp = true;
    }
    xvmi_finder_free(finder);
}

/* Objects of every kind, found by an undisturbed walk. */
static void find_places(void)
{
    struct xvmi_task *tasks;
    struct xvmi_socket *sockets;
    size_t n_tasks, n = 0;
    if (xl_task_list(&guest, &tasks, &n_tasks) ||
        xl_socket_list(&guest, XVMI_SOCKET_ALL, &sockets, &n))
        die("walking undisturbed");
    for (size_t i = 0; i < n && n_flows < MAX_FLOWS - 1; i++) {
        if (sockets[i].kind > XVMI_SOCKET_UDP || !sockets[i].lport)
            continue;
        struct xvmi_flow *flow = &flows[n_flows++];
        *flow = (struct xvmi_flow){.proto = sockets[i].kind == XVMI_SOCKET_TCP ? 6 : 17,
                                   .family = (uint8_t)sockets[i].family,
                                   .lport = sockets[i].lport,
                                   .rport = sockets[i].rport};
        memcpy(flow->local, sockets[i].local, 16);
        memcpy(flow->remote, sockets[i].remote, 16);
    }
    add_object(guest.sym.sym_net_namespace_list, 16);
    add_object(guest.sym.sym_init_net, 1024);
    add_object(guest.sym.sym_tcp_hashinfo, 128);
    add_object(guest.sym.sym_udp_table, 32);
    add_object(guest.sym.sym_init_task + guest.lay.task_tasks.off, 16);
    for (size_t i = 0; i < n_tasks; i++) {
        uint64_t files = 0, fdt = 0, fd = 0, cred = 0, signal = 0;
        const uint64_t task = tasks[i].addr;
        struct xw_fault fault;
        uint32_t max_fds = 0;
        add_object(task, guest.lay.size_task);
        if (tasks[i].mm)
            add_object(tasks[i].mm, 1024);
        if (xw_get(guest.space, &guest.lay, task, task_files, &files, &fault) || !files ||
            xw_get(guest.space, &guest.lay, files, files_fdt, &fdt, &fault) ||
            xw_get(guest.space, &guest.lay, task, task_real_cred, &cred, &fault) ||
            xw_get(guest.space, &guest.lay, task, task_signal, &signal, &fault) ||
            xw_fdtable(guest.space, &guest.lay, files, &fd, &max_fds, &fault))
            continue;
        add_object(files, 64);
        add_object(fdt, 32);
        add_object(fd, 128);
        add_object(cred, 64);
        add_object(signal, 128);
    }
    for (size_t i = 0; i < n; i++) {
        add_object(sockets[i].addr, 1024);
        if (sockets[i].file)
            add_object(sockets[i].file, 256);
    }
    free(tasks);
    free(sockets);
    add_sctp();
}

static void make_toy(void)
{
    lw_init(&lw, 1 << 20);
    lw_add_address(&lw, 0x0200000a);
    for (uint32_t pid = 1; pid < 20; pid++) {
        uint64_t file, task = lw_task(&lw, pid, "toy", pid, 16);
        uint64_t tcp =
            lw_socket(&lw, 2, 1, 0x0200000a, (uint16_t)(1000 + pid), 0x0100000a, 80, pid, &file);
        lw_hash(&lw, tcp);
        lw_set_cred(&lw, file, task);
        lw_set_fd(&lw, task, pid % 16, file);
        lw_hash_udp(&lw, lw_socket(&lw, 2, 7, 0, (uint16_t)(2000 + pid), 0, 0, 100 + pid, &file));
        lw_set_fd(&lw, task, (pid + 1) % 16, file);
    }
    lw_guest_open(&toy, &lw, true);
    guest = toy.guest;
}

static struct {
    struct xvmi_mem_range ranges[64];
    size_t n;
} copy;

static enum xvmi_status copy_ranges(void *ctx, const struct xvmi_mem_range **ranges, size_t *n,
                                    struct xvmi_error *e)
{
    (void)ctx;
    (void)e;
    *ranges = copy.ranges;
    *n = copy.n;
    return XVMI_OK;
}

static void copy_close(void *ctx)
{
    (void)ctx;
}

/* The dump's memory once more, page by page where it is changed. */
static void open_image(const char *path)
{
    static const struct xvmi_mem_ops ops = {
        .size = sizeof(ops), .ranges = copy_ranges, .close = copy_close};
    struct xvmi_mem_backend backend = {.size = sizeof(backend), .ops = &ops, .live = true};
    struct xm_mem *file;
    struct xl_kernel kernel;
    struct xl_profile_options options = {.no_cache = true, .no_vmlinux = true};
    static struct xvmi_profile *profile; /* for as long as the program runs */
    char uri[4096];
    size_t n, n_wants;
    bool cached;
    snprintf(uri, sizeof(uri), "file:%s", path);
    if (xm_open(uri, &file, &err) || xl_kernel_find(file, &kernel, &err))
        die(path);
    const struct xvmi_mem_range *ranges = xm_ranges(file, &n);
    for (size_t i = 0; i < n && copy.n < 64; i++) {
        uint8_t *host = mmap(NULL, ranges[i].size, PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (host == MAP_FAILED || xm_read(file, ranges[i].gpa, host, ranges[i].size, &err))
            die("copying memory");
        copy.ranges[copy.n++] =
            (struct xvmi_mem_range){.gpa = ranges[i].gpa, .size = ranges[i].size, .host = host};
    }
    const struct xt_want *wants = xl_wants(&n_wants);
    if (xm_new(&backend, "copy", &image, &err) ||
        xo_init(&image_space, image, kernel.paging, true, &err) ||
        xl_profile_get(&kernel, &image_space, &options, wants, n_wants, &profile, &cached, &err) ||
        xl_layout_fill(profile, kernel.kaslr_offset, &guest.lay, &guest.sym, &err))
        die(path);
    if (kernel.page_offset && xo_use_direct_map(&image_space, kernel.page_offset, &err))
        die("direct map");
    xm_close(file);
    guest.space = &image_space;
    guest.err = &err;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    const char *path = getenv("XVMI_FUZZ_IMAGE");
    (void)argc;
    (void)argv;
    if (path)
        open_image(path);
    else
        make_toy();
    find_places();
    return 0;
}

/* What a word becomes: a small number, itself plus a little, another word, all ones … */
static uint64_t damaged(uint64_t old, uint16_t how, uint32_t value)
{
    switch (how & 7) {
    case 0:
        return value;
    case 1:
        return old + value % 4096;
    case 2:
        return old - value % 4096;
    case 3:
        return *places[value % n_places];
    case 4:
        return old ^ (uint64_t)1 << value % 64;
    case 5:
        return (old & ~(uint64_t)0xffffffff) | value;
    case 6:
        return (uint64_t)value << 32 | (old & 0xffffffff);
    default:
        return ~(uint64_t)0;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct {
        uint64_t *at, old;
    } undo[MAX_DAMAGE];
    size_t n = 0;
    const bool sctp = size && data[0] % 64 == 0;
    for (; size >= 8 && n < MAX_DAMAGE; data += 8, size -= 8) {
        uint16_t place, how;
        uint32_t value;
        memcpy(&place, data, 2);
        memcpy(&how, data + 2, 2);
        memcpy(&value, data + 4, 4);
        /* `how` also widens the choice of places beyond 65,536. */
        uint64_t *at = places[(place + (size_t)(how >> 3) * 8191) % n_places];
        undo[n].at = at;
        undo[n++].old = *at;
        *at = damaged(*at, how, value);
    }
    xo_invalidate(guest.space);
    walk_everything(sctp);
    while (n--)
        *undo[n].at = undo[n].old;
    return 0;
}
