// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * What a QEMU, or its command line, may say. The first byte picks the parser; for QMP the rest
 * is all that the peer ever sends.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kvm/ask.h"
#include "kvm/cmdline.h"

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

static void fuzz_text(unsigned which, const char *text)
{
    struct xk_rows rows = {0};
    struct xvmi_vcpu_regs regs;
    struct xk_vma vma;
    struct xvmi_error err;
    uint64_t hva;
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
    default:
        if (xk_maps_parse(text, &vma) && vma.start >= vma.end)
            abort();
        break;
    }
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
}

static void fuzz_qmp(const uint8_t *data, size_t size)
{
    struct xk_qmp *qmp;
    struct xk_pieces pieces;
    struct xvmi_error err;
    int fd[2], *index;
    unsigned n;
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
        xk_qmp_close(qmp);
    }
    close(fd[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;
    unsigned which = data[0] % 6;
    char *text = malloc(size);
    memcpy(text, data + 1, size - 1);
    text[size - 1] = 0;
    if (which < 4)
        fuzz_text(which, text);
    else if (which == 4)
        fuzz_cmdline(text, size);
    else
        fuzz_qmp(data + 1, size - 1);
    free(text);
    return 0;
}
