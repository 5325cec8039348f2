// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * bench-owner IMAGE...    Owner look-ups on images of one kernel with ever more processes and
 *                         sockets: the socket known, the owner not known yet, nobody; the search
 *                         through all descriptors beside them. Then, on the largest: what each
 *                         attribute costs, questions in batches, and a scan of all memory for
 *                         what looks like a socket, which is how one finds them without tables.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <xvmi/owner.h>

#define MAX_FLOWS 2000
#define ROUNDS    9

static uint64_t now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *v, size_t n)
{
    qsort(v, n, sizeof(*v), by_value);
    return n ? v[n / 2] : 0;
}

struct image {
    struct xvmi_vm *vm;
    struct xvmi_flow flows[MAX_FLOWS];
    size_t n_flows, n_sockets, n_tasks;
};

/* Medians over the flows of one pass. */
struct pass {
    double ns, reads;
};

struct result {
    double known[ROUNDS], unknown[ROUNDS], nobody[ROUNDS], walk[ROUNDS];
    struct pass last_known, last_unknown, last_nobody;
    unsigned long via[XVMI_VIA_PROCESSES];
};

static void check(enum xvmi_status status, struct xvmi_vm *vm)
{
    if (!status)
        return;
    fprintf(stderr, "bench-owner: %s\n", xvmi_vm_error(vm));
    exit(1);
}

/* Every so many of the established connections, of both families. */
static void open_image(struct image *image, const char *path)
{
    struct xvmi_error err = XVMI_ERROR_INIT;
    struct xvmi_task *tasks;
    struct xvmi_socket *sockets;
    size_t n;
    char uri[4096];
    snprintf(uri, sizeof(uri), "file:%s", path);
    if (xvmi_vm_open(uri, NULL, &image->vm, &err)) {
        fprintf(stderr, "bench-owner: %s\n", err.text);
        exit(1);
    }
    check(xvmi_task_list(image->vm, &tasks, &image->n_tasks), image->vm);
    check(xvmi_socket_list(image->vm, XVMI_SOCKET_ALL, &sockets, &n), image->vm);
    image->n_sockets = n;
    for (size_t i = 0; i < n; i++) {
        const struct xvmi_socket *s = &sockets[i];
        if (s->kind != XVMI_SOCKET_TCP || s->state != XVMI_STATE_ESTABLISHED || !s->file)
            continue;
        if (image->n_flows == MAX_FLOWS)
            break;
        struct xvmi_flow *flow = &image->flows[image->n_flows++];
        *flow = (struct xvmi_flow){
            .proto = 6, .family = (uint8_t)s->family, .lport = s->lport, .rport = s->rport};
        memcpy(flow->local, s->local, 16);
        memcpy(flow->remote, s->remote, 16);
    }
    free(tasks);
    free(sockets);
}

static struct pass ask_all(struct image *image, struct xvmi_finder *finder, uint16_t rport_xor,
                           unsigned long *via)
{
    static double ns[MAX_FLOWS], reads[MAX_FLOWS];
    for (size_t i = 0; i < image->n_flows; i++) {
        struct xvmi_owner owner;
        const struct xvmi_owner_query query = {.size = sizeof(query), .want = XVMI_WANT_NAME};
        struct xvmi_flow flow = image->flows[i];
        flow.rport ^= rport_xor;
        uint64_t began = now_ns();
        check(xvmi_owner_find(finder, &flow, &query, &owner), image->vm);
        ns[i] = (double)(now_ns() - began);
        reads[i] = owner.reads;
        via[owner.via_process]++;
    }
    return (struct pass){median(ns, image->n_flows), median(reads, image->n_flows)};
}

static void run_round(struct image *image, struct result *r, int round)
{
    struct xvmi_finder *finder;
    struct xvmi_owner_scan *scan;
    struct xvmi_owner owner;
    unsigned long ignored[XVMI_VIA_PROCESSES] = {0};
    check(xvmi_finder_new(image->vm, NULL, &finder), image->vm);
    /* The finder knows the processes, but has not been asked for any of these sockets. */
    struct xvmi_flow first = image->flows[0];
    check(xvmi_owner_find(finder, &first, NULL, &owner), image->vm);
    r->last_unknown = ask_all(image, finder, 0, r->via);
    r->last_known = ask_all(image, finder, 0, ignored);
    r->last_nobody = ask_all(image, finder, 0x5555, ignored);
    r->unknown[round] = r->last_unknown.ns;
    r->known[round] = r->last_known.ns;
    r->nobody[round] = r->last_nobody.ns;
    xvmi_finder_free(finder);
    uint64_t began = now_ns();
    check(xvmi_owner_scan_new(image->vm, &scan), image->vm);
    r->walk[round] = (double)(now_ns() - began);
    xvmi_owner_scan_free(scan);
}

/* --- what more costs more --- */

static void print_wants(struct image *image)
{
    static const struct {
        const char *name;
        uint32_t want;
    } steps[] = {
        {"the socket, its uid, cgroup, netns", XVMI_WANT_SOCKET},
        {"and pid, start, comm", XVMI_WANT_NAME},
        {"and ids, parent, threads", XVMI_WANT_TASK},
        {"and exe", XVMI_WANT_TASK | XVMI_WANT_EXE},
        {"and cgroup path", XVMI_WANT_TASK | XVMI_WANT_CGROUP},
        {"and cmdline", XVMI_WANT_TASK | XVMI_WANT_CMDLINE},
        {"and ancestry", XVMI_WANT_TASK | XVMI_WANT_ANCESTRY},
    };
    static double ns[MAX_FLOWS], reads[MAX_FLOWS];
    struct xvmi_finder *finder;
    check(xvmi_finder_new(image->vm, NULL, &finder), image->vm);
    printf("\n%-40s %8s %6s\n", "a known flow, asked for", "ns", "reads");
    for (size_t step = 0; step < sizeof(steps) / sizeof(steps[0]); step++) {
        const struct xvmi_owner_query query = {.size = sizeof(query), .want = steps[step].want};
        for (int pass = 0; pass < 2; pass++) /* the first makes them known */
            for (size_t i = 0; i < image->n_flows; i++) {
                struct xvmi_owner owner;
                uint64_t began = now_ns();
                check(xvmi_owner_find(finder, &image->flows[i], &query, &owner), image->vm);
                ns[i] = (double)(now_ns() - began);
                reads[i] = owner.reads;
            }
        printf("%-40s %8.0f %6.0f\n", steps[step].name, median(ns, image->n_flows),
               median(reads, image->n_flows));
    }
    xvmi_finder_free(finder);
}

static void print_batches(struct image *image)
{
    enum { BATCH = 16 };
    const struct xvmi_owner_query query = {.size = sizeof(query), .want = XVMI_WANT_NAME};
    static struct xvmi_owner owners[BATCH];
    static double ns[MAX_FLOWS];
    enum xvmi_status status[BATCH];
    struct xvmi_finder *finder;
    size_t n = 0;
    check(xvmi_finder_new(image->vm, NULL, &finder), image->vm);
    for (int pass = 0; pass < 2; pass++)
        for (size_t i = n = 0; i + BATCH <= image->n_flows; i += BATCH) {
            uint64_t began = now_ns();
            check(xvmi_owner_find_batch(finder, image->flows + i, BATCH, &query, owners, status),
                  image->vm);
            ns[n++] = (double)(now_ns() - began) / BATCH;
        }
    printf("known flows in batches of %d: %.0f ns each\n", BATCH, median(ns, n));
    xvmi_finder_free(finder);
}

/* All of RAM, word by word, for the address that is in every socket of one kind: where skc_net
 * points to. The least that a scan without tables can do. */
static void print_memory_scan(struct image *image)
{
    static uint64_t words[1 << 17];
    struct xvmi_vm_info info = {.size = sizeof(info)};
    uint64_t net, hits = 0, read = 0, began = now_ns();
    check(xvmi_vm_symbol(image->vm, "init_net", &net), image->vm);
    xvmi_vm_info(image->vm, &info);
    for (uint64_t gpa = 0; read < info.memory_bytes && gpa < 4 * info.memory_bytes;
         gpa += sizeof(words)) {
        if (xvmi_vm_read_physical(image->vm, gpa, words, sizeof(words)))
            continue;
        read += sizeof(words);
        for (size_t i = 0; i < sizeof(words) / 8; i++)
            hits += words[i] == net;
    }
    printf("scanning %llu MiB for sockets: %.1f ms, %llu candidates\n",
           (unsigned long long)read >> 20, (double)(now_ns() - began) / 1e6,
           (unsigned long long)hits);
}

static void bar(const char *name, double value, double limit)
{
    printf("bar %s %.4g %g %s\n", name, value, limit, value <= limit ? "ok" : "MISS");
}

int main(int argc, char **argv)
{
    struct image *images = calloc((size_t)argc, sizeof(*images));
    struct result *results = calloc((size_t)argc, sizeof(*results));
    if (argc < 2 || !images || !results)
        return 2;
    for (int i = 1; i < argc; i++)
        open_image(&images[i], argv[i]);
    for (int round = 0; round < ROUNDS; round++)
        for (int i = 1; i < argc; i++)
            run_round(&images[i], &results[i], round);

    printf("%9s %8s %22s %22s %22s %12s\n", "processes", "sockets", "known: ns, spread, reads",
           "unknown owner", "nobody", "walk, ms");
    for (int i = 1; i < argc; i++) {
        struct result *r = &results[i];
        double known = median(r->known, ROUNDS), unknown = median(r->unknown, ROUNDS),
               nobody = median(r->nobody, ROUNDS), walk = median(r->walk, ROUNDS);
        printf("%9zu %8zu %6.0f (%.0f-%.0f) %4.0f %8.0f (%.0f-%.0f) %4.0f %7.0f %4.0f %12.2f\n",
               images[i].n_tasks, images[i].n_sockets, known, r->known[0], r->known[ROUNDS - 1],
               r->last_known.reads, unknown, r->unknown[0], r->unknown[ROUNDS - 1],
               r->last_unknown.reads, nobody, r->last_nobody.reads, walk / 1e6);
    }
    print_wants(&images[argc - 1]);
    print_batches(&images[argc - 1]);
    print_memory_scan(&images[argc - 1]);
    struct result *small = &results[1], *large = &results[argc - 1];
    bar("owner-known-us", median(large->known, ROUNDS) / 1e3, 1);
    bar("owner-unknown-us", median(large->unknown, ROUNDS) / 1e3, 10);
    bar("owner-reads-flat", large->last_unknown.reads / small->last_unknown.reads, 1.1);
    bar("owner-vs-walk", median(large->known, ROUNDS) / median(large->walk, ROUNDS), 0.001);
    for (int i = 1; i < argc; i++)
        xvmi_vm_close(images[i].vm);
    free(images);
    free(results);
    return 0;
}
