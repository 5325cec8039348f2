// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * What a QEMU, or its command line, may say. The first byte picks the parser; for QMP the rest
 * is all that the peer ever sends.
 */
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kvm/ask.h"
#include "kvm/cmdline.h"
#include "kvm/events.h"
#include "kvm/nics.h"

/* Socket buffers hold this much without a reader. */
#define QMP_BYTES 65536

static bool any(const void *ctx, const char *name)
{
    (void)ctx;
    return *name != 'x';
}

static void check_rows(const struct xk_rows *rows)
{
    uint64_t floor = 0;
    for (size_t i = 0; i < rows->n; i++) {
        const struct xk_row *row = &rows->v[i];
        if (!row->size || row->gpa < floor || row->gpa + row->size <= row->gpa)
            abort();
        floor = row->gpa + row->size;
    }
}

static struct xk_nics_said said;

static void check_nics(void)
{
    static const struct xk_tap taps[] = {{3, "tap0"}, {4, "tap1"}, {5, "tap1"}};
    struct xvmi_nic nics[XK_NICS_MAX];
    if (said.n > XK_NICS_MAX)
        abort();
    size_t n = xk_nics_join(&said, taps, 3, true, nics);
    for (size_t i = 0; i < n; i++)
        if (nics[i].dev[15])
            abort();
}

static void fuzz_text(unsigned which, const char *text)
{
    struct xk_rows rows = {0};
    struct xvmi_vcpu_regs regs;
    struct xk_vma vma;
    struct xvmi_error err;
    uint64_t hva;
    char dev[16];
    switch (which) {
    case 0:
        if (!xk_hmp_mtree(text, any, NULL, &rows, &err))
            check_rows(&rows);
        xk_rows_fini(&rows);
        break;
    case 1:
        if (!xk_hmp_gpa2hva(text, 0x1000, "n0", &hva, &err) && !hva)
            abort();
        break;
    case 2:
        if (!xk_hmp_registers(text, &regs, &err) && !(regs.valid & XVMI_REG_CR3))
            abort();
        break;
    case 3:
        xk_nics_of_monitor(text, &said);
        check_nics();
        if (xk_tap_parse(text, dev) && strlen(dev) > 15)
            abort();
        break;
    default:
        if (xk_maps_parse(text, &vma) && vma.start >= vma.end)
            abort();
        break;
    }
}

static bool is_readable(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return poll(&p, 1, 0) == 1;
}

static void fuzz_cmdline(const char *text, size_t len)
{
    struct xk_cmdline cmdline = {text, len};
    struct xk_machine machine;
    struct xvmi_error err;
    char path[XK_PATH_MAX];
    for (unsigned i = 0; i < 4 && !xk_cmdline_qmp(cmdline, i, path); i++)
        ;
    if (!xk_cmdline_machine(cmdline, &machine, &err) && machine.low > machine.size)
        abort();
    xk_nics_of_cmdline(cmdline, &said);
    check_nics();
}

/* The events of a connection on which nobody asks anything. */
static void fuzz_events(const uint8_t *data, size_t size)
{
    struct xk_events events;
    struct xk_qmp *qmp;
    struct xvmi_error err;
    unsigned n = 0;
    int fd[2];
    if (size > QMP_BYTES || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd))
        return;
    static const char greeting[] = "{\"QMP\": {}}{\"return\": {}, \"id\": 1}";
    if (send(fd[1], greeting, sizeof(greeting) - 1, MSG_DONTWAIT) < 0 ||
        xk_qmp_start(fd[0], 1000, &qmp, &err) || xk_events_open(&events, qmp, -1, &err))
        abort();
    if (send(fd[1], data, size, MSG_DONTWAIT) != (ssize_t)size)
        abort();
    close(fd[1]);
    for (int i = 0; i < 70; i++)
        xk_events_pump(&events);
    if (events.qmp || !is_readable(events.epoll))
        abort();
    while (xk_events_next(&events))
        n++;
    if (!n || n > XK_EVENTS_MAX || is_readable(events.epoll))
        abort();
    xk_events_close(&events);
}

static void fuzz_qmp(const uint8_t *data, size_t size)
{
    struct xk_qmp *qmp;
    struct xk_pieces pieces;
    struct xvmi_error err;
    int fd[2], *index;
    unsigned n;
    struct xvmi_nic *nics;
    size_t n_nics;
    static struct xk_process self = XK_PROCESS_NONE;
    if (!self.pid && xk_process_open(getpid(), &self, &err))
        abort();
    if (size > QMP_BYTES || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd))
        return;
    if (send(fd[1], data, size, MSG_DONTWAIT) != (ssize_t)size) {
        close(fd[0]);
        close(fd[1]);
        return;
    }
    shutdown(fd[1], SHUT_WR);
    if (!xk_qmp_start(fd[0], 1000, &qmp, &err)) {
        if (!xk_ask_status(qmp, &err) && !xk_ask_vcpus(qmp, &index, &n, &err))
            free(index);
        if (!xk_ask_layout(qmp, &pieces, &err))
            xk_pieces_fini(&pieces);
        if (!xk_nics_ask(qmp, &self, &nics, &n_nics, &err))
            free(nics);
        xk_qmp_close(qmp);
    }
    close(fd[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;
    unsigned which = data[0] % 8;
    char *text = malloc(size);
    memcpy(text, data + 1, size - 1);
    text[size - 1] = 0;
    if (which < 5)
        fuzz_text(which, text);
    else if (which == 5)
        fuzz_cmdline(text, size);
    else if (which == 6)
        fuzz_qmp(data + 1, size - 1);
    else
        fuzz_events(data + 1, size - 1);
    free(text);
    return 0;
}
