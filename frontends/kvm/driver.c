// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * The driver for `qemu:PATH` (a QMP socket) and `qemu:pid=N`: ties what QEMU says of its guest
 * (ask.c) to its memory (ram.c). QMP is asked at open, refresh and for registers, each time on
 * a connection of its own, so that other tools get their turn at the socket.
 */
#include <stdlib.h>
#include <string.h>

#include "ask.h"

#define CR0_PE 1u

struct guest {
    char *path; /* of the QMP socket; NULL: there is none, and ram never changes */
    struct xk_process process;
    struct xk_ram *ram;
    int *cpu_index;
    unsigned vcpus;
    bool in_firmware; /* at the last look vCPU 0 was in real mode, as after a reset */
};

static void guest_close(void *ctx)
{
    struct guest *g = ctx;
    if (!g)
        return;
    xk_ram_close(g->ram);
    xk_process_close(&g->process);
    free(g->cpu_index);
    free(g->path);
    free(g);
}

/* Connect to the guest's QEMU; not to one that has taken its place at the socket. */
static enum xvmi_status guest_connect(const struct guest *g, struct xk_qmp **qmp,
                                      struct xvmi_error *err)
{
    struct xk_process peer;
    enum xvmi_status s = xk_qmp_open(g->path, XK_QMP_TIMEOUT_MS, qmp, err);
    if (s)
        return s;
    s = xk_process_of_socket(xk_qmp_fd(*qmp), &peer, err);
    if (!s) {
        if (peer.pid != g->process.pid)
            s = xvmi_error_set(err, XVMI_ERR_GONE,
                               "QEMU (process %d) no longer serves %s, process %d does: open it "
                               "anew",
                               g->process.pid, g->path, peer.pid);
        xk_process_close(&peer);
    }
    if (s)
        xk_qmp_close(*qmp);
    return s;
}

/* After a reset, firmware runs in real mode; no kernel that we look into ever does. */
static enum xvmi_status look_for_firmware(struct xk_qmp *qmp, int cpu_index, bool *found,
                                          struct xvmi_error *err)
{
    struct xvmi_vcpu_regs regs;
    enum xvmi_status s = xk_ask_registers(qmp, cpu_index, &regs, err);
    *found = !s && (regs.valid & XVMI_REG_CR0) && !(regs.cr0 & CR0_PE);
    return s;
}

/* All that QMP can say of the guest as it is now; on success it replaces what `g` held, and
 * *changed tells whether that was different. */
static enum xvmi_status guest_look(struct guest *g, struct xk_qmp *qmp, bool *changed,
                                   struct xvmi_error *err)
{
    struct xk_pieces pieces = {0};
    struct xk_ram *ram = NULL;
    int *cpu_index = NULL;
    unsigned vcpus = 0;
    bool in_firmware = false;
    enum xvmi_status s = xk_ask_status(qmp, err);
    if (!s)
        s = xk_ask_vcpus(qmp, &cpu_index, &vcpus, err);
    if (!s)
        s = look_for_firmware(qmp, cpu_index[0], &in_firmware, err);
    if (!s)
        s = xk_ask_layout(qmp, &pieces, err);
    if (!s)
        s = xk_ram_open(&g->process, pieces.v, pieces.n, &ram, err);
    xk_pieces_fini(&pieces);
    if (s) {
        free(cpu_index);
        return s;
    }
    free(g->cpu_index);
    g->cpu_index = cpu_index;
    g->vcpus = vcpus;
    *changed = xk_qmp_saw_reset(qmp) || in_firmware || g->in_firmware || !g->ram ||
               !xk_ram_same(g->ram, ram);
    g->in_firmware = in_firmware;
    if (*changed) {
        xk_ram_close(g->ram);
        g->ram = ram;
    } else {
        xk_ram_close(ram);
    }
    return XVMI_OK;
}

static enum xvmi_status guest_ranges(void *ctx, const struct xvmi_mem_range **ranges, size_t *n,
                                     struct xvmi_error *err)
{
    const struct guest *g = ctx;
    (void)err;
    *ranges = g->ram->ranges;
    *n = g->ram->n_segs;
    return XVMI_OK;
}

static enum xvmi_status guest_read(void *ctx, uint64_t gpa, void *dst, size_t len,
                                   struct xvmi_error *err)
{
    const struct guest *g = ctx;
    return xk_ram_read(g->ram, gpa, dst, len, err);
}

static enum xvmi_status guest_read_batch(void *ctx, struct xvmi_mem_read *reads, size_t n,
                                         struct xvmi_error *err)
{
    const struct guest *g = ctx;
    return xk_ram_read_batch(g->ram, reads, n, err);
}

static enum xvmi_status guest_next_data(void *ctx, uint64_t gpa, uint64_t *start, uint64_t *end,
                                        struct xvmi_error *err)
{
    const struct guest *g = ctx;
    return xk_ram_next_data(g->ram, gpa, start, end, err);
}

static enum xvmi_status guest_regs(void *ctx, unsigned vcpu, struct xvmi_vcpu_regs *regs,
                                   struct xvmi_error *err)
{
    const struct guest *g = ctx;
    struct xk_qmp *qmp;
    if (!g->path)
        return xvmi_error_set(err, XVMI_ERR_UNSUPPORTED,
                              "registers need QMP, and process %d has no socket for it that "
                              "could be found",
                              g->process.pid);
    if (vcpu >= g->vcpus)
        return xvmi_error_set(err, XVMI_ERR_NOT_FOUND, "there are %u vCPUs", g->vcpus);
    enum xvmi_status s = guest_connect(g, &qmp, err);
    if (s)
        return s;
    s = xk_ask_registers(qmp, g->cpu_index[vcpu], regs, err);
    xk_qmp_close(qmp);
    return s ? xvmi_error_frame(err, s, "vCPU %u", vcpu) : XVMI_OK;
}

static enum xvmi_status guest_refresh(void *ctx, bool *changed, struct xvmi_error *err)
{
    struct guest *g = ctx;
    struct xk_qmp *qmp;
    *changed = false;
    enum xvmi_status s = xk_process_check(&g->process, err);
    if (s || !g->path)
        return s;
    s = guest_connect(g, &qmp, err);
    if (s)
        return s;
    s = guest_look(g, qmp, changed, err);
    xk_qmp_close(qmp);
    return s;
}

/* No vmcoreinfo: a guest writes the note's address into fw_cfg for QEMU's device to keep, and
 * QEMU (7.2 to 10) tells it to nobody but its own dump. */
static const struct xvmi_mem_ops ops = {
    .size = sizeof(ops),
    .close = guest_close,
    .ranges = guest_ranges,
    .read = guest_read,
    .read_batch = guest_read_batch,
    .next_data = guest_next_data,
    .regs = guest_regs,
    .refresh = guest_refresh,
};

/* Open by the QMP socket g->path. */
static enum xvmi_status open_by_qmp(struct guest *g, struct xvmi_error *err)
{
    struct xk_qmp *qmp;
    bool changed;
    enum xvmi_status s = xk_qmp_open(g->path, XK_QMP_TIMEOUT_MS, &qmp, err);
    if (s)
        return s;
    s = xk_process_of_socket(xk_qmp_fd(qmp), &g->process, err);
    if (!s)
        s = guest_look(g, qmp, &changed, err);
    xk_qmp_close(qmp);
    return s;
}

static enum xvmi_status driver_open(const char *rest, struct xvmi_mem_backend *backend,
                                    struct xvmi_error *err)
{
    if (!*rest)
        return xvmi_error_set(err, XVMI_ERR_INVALID,
                              "a guest is named qemu:PATH (its QMP socket) or qemu:pid=N");
    struct guest *g = calloc(1, sizeof(*g));
    if (g)
        g->process = (struct xk_process)XK_PROCESS_NONE;
    if (g)
        g->path = strdup(rest);
    if (!g || !g->path) {
        guest_close(g);
        return xvmi_error_set(err, XVMI_ERR_NO_MEMORY, "out of memory");
    }
    enum xvmi_status s = open_by_qmp(g, err);
    if (s) {
        guest_close(g);
        return s;
    }
    *backend = (struct xvmi_mem_backend){
        .size = sizeof(*backend), .ops = &ops, .ctx = g, .vcpus = g->vcpus, .live = true};
    return XVMI_OK;
}

extern const struct xvmi_driver xvmi_driver;
XVMI_PUBLIC const struct xvmi_driver xvmi_driver = {
    .abi = XVMI_DRIVER_ABI,
    .scheme = "qemu",
    .open = driver_open,
};
