// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "events.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* ---- the queue ---- */

static bool is_run_state(enum xvmi_vm_event event)
{
    return event == XVMI_VM_STOPPED || event == XVMI_VM_RESUMED;
}

static bool is_queued(const struct xk_events *events, enum xvmi_vm_event event)
{
    for (unsigned i = 0; i < events->n; i++)
        if (events->queue[i] == event)
            return true;
    return false;
}

/* The four that are queued once always find a place: stops and resumes leave it to them. */
static void push(struct xk_events *events, enum xvmi_vm_event event)
{
    if (is_run_state(event)) {
        unsigned last = events->n;
        while (last && !is_run_state(events->queue[last - 1]))
            last--;
        if (events->n >= XK_EVENTS_MAX - 4 && last) {
            events->queue[last - 1] = event;
            return;
        }
    } else if (is_queued(events, event)) {
        return;
    }
    events->queue[events->n++] = event;
    uint64_t one = 1;
    if (events->n == 1 && write(events->filled, &one, sizeof(one)) < 0)
        return; /* cannot be: the counter is 0 */
}

enum xvmi_vm_event xk_events_next(struct xk_events *events)
{
    uint64_t count;
    if (!events->n)
        return XVMI_VM_NOTHING;
    enum xvmi_vm_event event = events->queue[0];
    memmove(events->queue, events->queue + 1, --events->n * sizeof(events->queue[0]));
    if (!events->n && read(events->filled, &count, sizeof(count)) < 0)
        return event;
    return event;
}

static void end(struct xk_events *events)
{
    if (!events->ended)
        push(events, XVMI_VM_ENDED);
    events->ended = true;
}

/* ---- what QEMU says ---- */

/*
 * QEMU's own names, qapi/run-state.json, machine.json, acpi.json, net.json and qdev.json, 2.12 to
 * 10. POWERDOWN is left out: it says that the guest was asked to turn off. Of a new network device
 * QEMU says nothing until the guest sets it up, and then only for virtio.
 */
static const struct {
    const char *name;
    enum xvmi_vm_event event;
} names[] = {
    {"STOP", XVMI_VM_STOPPED},
    {"SUSPEND", XVMI_VM_STOPPED},
    {"RESUME", XVMI_VM_RESUMED},
    {"WAKEUP", XVMI_VM_RESUMED},
    {"RESET", XVMI_VM_RESET},
    {"ACPI_DEVICE_OST", XVMI_VM_MEMORY},
    {"BALLOON_CHANGE", XVMI_VM_MEMORY},
    {"DEVICE_DELETED", XVMI_VM_MEMORY},
    {"MEMORY_DEVICE_SIZE_CHANGE", XVMI_VM_MEMORY},
    {"DEVICE_DELETED", XVMI_VM_DEVICES},
    {"NIC_RX_FILTER_CHANGED", XVMI_VM_DEVICES},
    {"SHUTDOWN", XVMI_VM_ENDED},
};

static const char *data_word(const json_t *msg, const char *key)
{
    const char *word = json_string_value(json_object_get(json_object_get(msg, "data"), key));
    return word ? word : "";
}

static void take(struct xk_events *events, enum xvmi_vm_event event)
{
    events->stale |= event == XVMI_VM_RESET || event == XVMI_VM_MEMORY || event == XVMI_VM_ENDED;
    if (event == XVMI_VM_ENDED) {
        end(events);
    } else {
        /* With -no-shutdown, a guest that was off may be started again. */
        events->ended &= event != XVMI_VM_RESET;
        push(events, event);
    }
}

static void take_message(void *ctx, const char *name, const json_t *msg)
{
    struct xk_events *events = ctx;
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (!strcmp(names[i].name, name))
            take(events, names[i].event);
    /* A kernel that panicked is gone; the crash kernel may go on in its place. */
    if (!strcmp(name, "GUEST_PANICKED"))
        take(events, !strcmp(data_word(msg, "action"), "run") ? XVMI_VM_RESET : XVMI_VM_ENDED);
    /* Told to those who asked for it when the guest was sent away. */
    if (!strcmp(name, "MIGRATION") && !strcmp(data_word(msg, "status"), "completed"))
        take(events, XVMI_VM_ENDED);
}

/* ---- descriptors ---- */

static bool watch(const struct xk_events *events, int fd)
{
    struct epoll_event e = {.events = EPOLLIN};
    return fd < 0 || !epoll_ctl(events->epoll, EPOLL_CTL_ADD, fd, &e);
}

static void check_process(struct xk_events *events)
{
    struct pollfd p = {.fd = events->pidfd, .events = POLLIN};
    if (events->pidfd < 0 || poll(&p, 1, 0) <= 0)
        return;
    epoll_ctl(events->epoll, EPOLL_CTL_DEL, events->pidfd, NULL);
    events->pidfd = -1;
    end(events);
}

void xk_events_hang_up(struct xk_events *events)
{
    if (!events->qmp)
        return;
    epoll_ctl(events->epoll, EPOLL_CTL_DEL, xk_qmp_fd(events->qmp), NULL);
    xk_qmp_close(events->qmp);
    events->qmp = NULL;
    events->stale = true;
    end(events);
}

void xk_events_pump(struct xk_events *events)
{
    if (events->qmp && xk_qmp_pump(events->qmp, NULL))
        xk_events_hang_up(events);
    if (!events->qmp)
        check_process(events);
}

enum xvmi_status xk_events_open(struct xk_events *events, struct xk_qmp *qmp, int pidfd,
                                struct xvmi_error *err)
{
    *events = (struct xk_events){.on = true,
                                 .qmp = qmp,
                                 .epoll = epoll_create1(EPOLL_CLOEXEC),
                                 .filled = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
                                 .pidfd = pidfd};
    if (events->epoll < 0 || !watch(events, events->filled) || events->filled < 0 ||
        !watch(events, pidfd) || !watch(events, qmp ? xk_qmp_fd(qmp) : -1)) {
        xvmi_error_set(err, XVMI_ERR_IO, "events: %s", strerror(errno));
        xk_events_close(events);
        return XVMI_ERR_IO;
    }
    if (qmp)
        xk_qmp_on_event(qmp, take_message, events);
    return XVMI_OK;
}

void xk_events_close(struct xk_events *events)
{
    xk_qmp_close(events->qmp);
    if (events->epoll >= 0)
        close(events->epoll);
    if (events->filled >= 0)
        close(events->filled);
    *events = (struct xk_events)XK_EVENTS_OFF;
}
