// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * bench-owner-live URI    Owner look-ups on a guest that runs and whose memory cannot be mapped:
 *                         system calls and time for a flow that is known.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xvmi/owner.h>

#define PASSES 5

static struct xvmi_vm *vm;

static void check(enum xvmi_status status)
{
    if (!status)
        return;
    fprintf(stderr, "bench-owner-live: %s\n", xvmi_vm_error(vm));
    exit(1);
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static uint64_t calls_so_far(void)
{
    struct xvmi_vm_stats stats = {.size = sizeof(stats)};
    xvmi_vm_stats(vm, &stats);
    return stats.backend_calls;
}

static size_t flows_of(const struct xvmi_socket *sockets, size_t n, struct xvmi_flow *flows)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        const struct xvmi_socket *s = &sockets[i];
        if (s->state != XVMI_STATE_ESTABLISHED || !s->file)
            continue;
        struct xvmi_flow *flow = &flows[kept++];
        *flow = (struct xvmi_flow){
            .proto = 6, .family = (uint8_t)s->family, .lport = s->lport, .rport = s->rport};
        memcpy(flow->local, s->local, 16);
        memcpy(flow->remote, s->remote, 16);
    }
    return kept;
}

int main(int argc, char **argv)
{
    struct xvmi_error err = XVMI_ERROR_INIT;
    struct xvmi_finder *finder;
    struct xvmi_socket *sockets;
    size_t n;
    if (argc != 2)
        return 2;
    if (xvmi_vm_open(argv[1], NULL, &vm, &err)) {
        fprintf(stderr, "bench-owner-live: %s\n", err.text);
        return 1;
    }
    check(xvmi_finder_new(vm, NULL, &finder));
    check(xvmi_socket_list(vm, XVMI_SOCKET_BIT(XVMI_SOCKET_TCP), &sockets, &n));
    struct xvmi_flow *flows = calloc(n + 1, sizeof(*flows));
    double *calls = calloc(n + 1, sizeof(*calls)), *us = calloc(n + 1, sizeof(*us));
    if (!flows || !calls || !us)
        return 1;
    n = flows_of(sockets, n, flows);
    for (int pass = 0; pass < PASSES; pass++)
        for (size_t i = 0; i < n; i++) {
            const struct xvmi_owner_query query = {.size = sizeof(query), .want = XVMI_WANT_NAME};
            struct xvmi_owner owner;
            const uint64_t before = calls_so_far();
            check(xvmi_owner_find(finder, &flows[i], &query, &owner));
            calls[i] = (double)(calls_so_far() - before);
            us[i] = (double)owner.ns / 1e3;
        }
    if (!n)
        return 1;
    qsort(calls, n, sizeof(*calls), by_value);
    qsort(us, n, sizeof(*us), by_value);
    printf("%zu known flows, memory not mapped: %.0f calls (%.0f-%.0f), %.1f us (%.1f-%.1f)\n", n,
           calls[n / 2], calls[0], calls[n - 1], us[n / 2], us[0], us[n - 1]);
    printf("bar owner-anon-calls %.0f 6 %s\n", calls[n / 2], calls[n / 2] <= 6 ? "ok" : "MISS");
    free(us);
    free(calls);
    free(flows);
    free(sockets);
    xvmi_finder_free(finder);
    xvmi_vm_close(vm);
    return 0;
}
