// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * The driver for `qemu:PATH` (a QMP socket) and `qemu:pid=N`: ties what QEMU says of its guest
 * (ask.c) to its memory (ram.c). QMP is asked at open, refresh, for registers and network devices,
 * each time on a connection of its own, so that other tools get their turn at the socket; once
 * events are wanted, on the one connection that brings them (events.c).
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "ask.h"
#include "events.h"
#include "locate.h"
#include "nics.h"

#define CR0_PE 1u

/* QMP sockets of one process that are tried before doing without. */
#define QMP_TRIES 4

struct guest {
    char *path; /* of the QMP socket; NULL: there is none, and ram never changes */
    struct xk_process process;
    struct xk_ram *ram;
    int *cpu_index;
    unsigned vcpus;
    struct xvmi_nic *nics; /* as told last */
    struct xk_events events;
    /* To notice a reset, of which QEMU keeps no record: as of the last look, whether vCPU 0 was
     * in real mode, and what the BIOS left in its clock. */
    bool in_firmware;
    uint32_t bios_clock;
};

static void guest_close(void *ctx)
{
    struct guest *g = ctx;
    if (!g)
        return;
    xk_events_close(&g->events);
    xk_ram_close(g->ram);
    xk_process_close(&g->process);
    free(g->cpu_index);
    free(g->nics);
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

/* A connection to ask over: the one that brings events, else one for the moment. */
static enum xvmi_status begin_asking(const struct guest *g, struct xk_qmp **qmp,
                                     struct xvmi_error *err)
{
    *qmp = g->events.qmp;
    return *qmp ? XVMI_OK : guest_connect(g, qmp, err);
}

static void end_asking(struct guest *g, struct xk_qmp *qmp, enum xvmi_status s)
{
    if (qmp != g->events.qmp)
        xk_qmp_close(qmp);
    else if (s == XVMI_ERR_GONE || s == XVMI_ERR_FORMAT)
        xk_events_pump(&g->events); /* finds out whether the connection still stands */
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

/*
 * The BIOS data area's count of 18.2 Hz ticks since midnight. SeaBIOS sets it from the clock at
 * each boot and counts on until the kernel takes the timer; Linux leaves the page alone. So two
 * boots have different ones. Guests that boot by UEFI have none: 0.
 */
static uint32_t bios_clock(const struct xk_ram *ram)
{
    uint32_t ticks;
    return xk_ram_read(ram, 0x46c, &ticks, sizeof(ticks), NULL) ? 0 : ticks;
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
    uint32_t ticks = bios_clock(ram);
    *changed = xk_qmp_take_reset(qmp) || in_firmware || g->in_firmware || !g->ram ||
               ticks != g->bios_clock || !xk_ram_same(g->ram, ram);
    g->in_firmware = in_firmware;
    g->bios_clock = ticks;
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
    struct guest *g = ctx;
    struct xk_qmp *qmp;
    if (!g->path)
        return xvmi_error_set(err, XVMI_ERR_UNSUPPORTED,
                              "registers need QMP, and process %d has no socket for it that "
                              "could be found",
                              g->process.pid);
    if (vcpu >= g->vcpus)
        return xvmi_error_set(err, XVMI_ERR_NOT_FOUND, "there are %u vCPUs", g->vcpus);
    enum xvmi_status s = begin_asking(g, &qmp, err);
    if (s)
        return s;
    s = xk_ask_registers(qmp, g->cpu_index[vcpu], regs, err);
    end_asking(g, qmp, s);
    return s ? xvmi_error_frame(err, s, "vCPU %u", vcpu) : XVMI_OK;
}

static enum xvmi_status guest_refresh(void *ctx, bool *changed, struct xvmi_error *err)
{
    struct guest *g = ctx;
    struct xk_qmp *qmp;
    *changed = false;
    /* What would have changed anything is told, and while the connection stands QEMU lives. */
    xk_events_pump(&g->events);
    if (g->events.qmp && !g->events.stale)
        return XVMI_OK;
    enum xvmi_status s = xk_process_check(&g->process, err);
    if (s || !g->path)
        return s;
    g->events.stale = false; /* unless more happens meanwhile */
    s = begin_asking(g, &qmp, err);
    if (!s) {
        s = guest_look(g, qmp, changed, err);
        end_asking(g, qmp, s);
    }
    /* Firmware leaves without a word. */
    g->events.stale |= s || g->in_firmware;
    return s;
}

static enum xvmi_status guest_nics(void *ctx, const struct xvmi_nic **nics, size_t *n,
                                   struct xvmi_error *err)
{
    struct guest *g = ctx;
    struct xk_qmp *qmp;
    struct xk_cmdline cmdline = {0};
    struct xvmi_nic *found = NULL;
    enum xvmi_status s;
    if (g->path) {
        s = begin_asking(g, &qmp, err);
        if (s)
            return s;
        s = xk_nics_ask(qmp, &g->process, &found, n, err);
        end_asking(g, qmp, s);
    } else {
        s = xk_locate_cmdline(&g->process, &cmdline, err);
        if (!s)
            s = xk_nics_look(&g->process, cmdline, &found, n, err);
        free((char *)cmdline.text);
    }
    if (s)
        return xvmi_error_frame(err, s, "network devices");
    free(g->nics);
    *nics = g->nics = found;
    return XVMI_OK;
}

static enum xvmi_status guest_event_fd(void *ctx, int *fd, struct xvmi_error *err)
{
    struct guest *g = ctx;
    struct xk_qmp *qmp = NULL;
    enum xvmi_status s = XVMI_OK;
    if (!g->events.on && g->path)
        s = guest_connect(g, &qmp, err);
    if (!g->events.on && !s)
        s = xk_events_open(&g->events, qmp, g->process.pidfd, err);
    /* Nobody told what happened until now. */
    g->events.stale |= qmp != NULL;
    *fd = g->events.epoll;
    return s ? xvmi_error_frame(err, s, "events of the guest") : XVMI_OK;
}

static enum xvmi_status guest_event(void *ctx, enum xvmi_vm_event *event, struct xvmi_error *err)
{
    struct guest *g = ctx;
    int fd;
    enum xvmi_status s = guest_event_fd(g, &fd, err);
    if (!s)
        xk_events_pump(&g->events);
    *event = s ? XVMI_VM_NOTHING : xk_events_next(&g->events);
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
    .nics = guest_nics,
    .event_fd = guest_event_fd,
    .event = guest_event,
};

/* Open by the QMP socket g->path. When `pid` is given, only that process will do. */
static enum xvmi_status open_by_qmp(struct guest *g, pid_t pid, struct xvmi_error *err)
{
    struct xk_qmp *qmp;
    bool changed;
    enum xvmi_status s = xk_qmp_open(g->path, XK_QMP_TIMEOUT_MS, &qmp, err);
    if (s)
        return s;
    s = xk_process_of_socket(xk_qmp_fd(qmp), &g->process, err);
    if (!s && pid && g->process.pid != pid)
        s = xvmi_error_set(err, XVMI_ERR_NOT_FOUND, "%s is served by process %d, not %d", g->path,
                           g->process.pid, pid);
    if (!s)
        s = guest_look(g, qmp, &changed, err);
    xk_qmp_close(qmp);
    if (s)
        xk_process_close(&g->process);
    return s;
}

/* Try the QMP sockets on the command line. XVMI_ERR_NOT_FOUND: there are none that we can use,
 * with what was wrong with the last one. */
static enum xvmi_status open_by_cmdline(struct guest *g, const struct xk_process *process,
                                        struct xk_cmdline cmdline, struct xvmi_error *err)
{
    for (unsigned i = 0; i < QMP_TRIES; i++) {
        enum xvmi_status s = xk_locate_qmp(process, cmdline, i, &g->path, i ? NULL : err);
        if (s)
            return s;
        s = open_by_qmp(g, process->pid, err);
        if (!s)
            return XVMI_OK;
        free(g->path);
        g->path = NULL;
        /* The guest's state and what QEMU holds do not depend on the socket. */
        if (s != XVMI_ERR_TIMEOUT && s != XVMI_ERR_NOT_FOUND && s != XVMI_ERR_FORMAT)
            return s;
    }
    return XVMI_ERR_NOT_FOUND;
}

/* Take over the process and do without QMP: no registers, no state, no changes of layout. */
static enum xvmi_status open_by_maps(struct guest *g, struct xk_process *process,
                                     struct xk_cmdline cmdline, struct xvmi_error *err)
{
    struct xk_piece pieces[2];
    size_t n;
    enum xvmi_status s = xk_locate_ram(process, cmdline, pieces, &n, err);
    if (s)
        return s;
    g->process = *process;
    *process = (struct xk_process)XK_PROCESS_NONE;
    return xk_ram_open(&g->process, pieces, n, &g->ram, err);
}

static enum xvmi_status open_by_pid(struct guest *g, const char *number, struct xvmi_error *err)
{
    struct xk_process process;
    struct xk_cmdline cmdline = {0};
    struct xvmi_error qmp_err = XVMI_ERROR_INIT;
    char *end;
    long pid = strtol(number, &end, 10);
    if (*number < '0' || *number > '9' || *end || pid <= 0 || pid > INT_MAX)
        return xvmi_error_set(err, XVMI_ERR_INVALID, "pid=%s: not the number of a process", number);
    enum xvmi_status s = xk_process_open((pid_t)pid, &process, err);
    if (s)
        return s;
    s = xk_locate_cmdline(&process, &cmdline, err);
    if (!s) {
        s = open_by_cmdline(g, &process, cmdline, &qmp_err);
        if (s == XVMI_ERR_TIMEOUT || s == XVMI_ERR_NOT_FOUND || s == XVMI_ERR_FORMAT) {
            s = open_by_maps(g, &process, cmdline, err);
            if (s && *qmp_err.text)
                s = xvmi_error_frame(err, s, "%s; without QMP", qmp_err.text);
        } else if (s && err) {
            *err = qmp_err;
        }
    }
    free((char *)cmdline.text);
    xk_process_close(&process);
    return s;
}

static enum xvmi_status open_any(struct guest *g, const char *rest, struct xvmi_error *err)
{
    if (!strncmp(rest, "pid=", 4))
        return open_by_pid(g, rest + 4, err);
    g->path = strdup(rest);
    if (!g->path)
        return xvmi_error_set(err, XVMI_ERR_NO_MEMORY, "out of memory");
    return open_by_qmp(g, 0, err);
}

static enum xvmi_status driver_open(const char *rest, struct xvmi_mem_backend *backend,
                                    struct xvmi_error *err)
{
    if (!*rest)
        return xvmi_error_set(err, XVMI_ERR_INVALID,
                              "a guest is named qemu:PATH (its QMP socket) or qemu:pid=N");
    struct guest *g = calloc(1, sizeof(*g));
    if (!g)
        return xvmi_error_set(err, XVMI_ERR_NO_MEMORY, "out of memory");
    g->process = (struct xk_process)XK_PROCESS_NONE;
    g->events = (struct xk_events)XK_EVENTS_OFF;
    enum xvmi_status s = open_any(g, rest, err);
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
