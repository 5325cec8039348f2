/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XK_EVENTS_H
#define XK_EVENTS_H

/*
 * What happens to the guest, as QEMU tells over QMP and a pidfd tells of QEMU itself.
 *
 * The connection is kept for as long as events are wanted, and commands go over it as well: QEMU
 * serves one client a socket, so a second connection of our own would wait for ever. Events that
 * arrive while a command waits for its answer are put in the queue.
 */

#include <stdbool.h>

#include <xvmi/mem.h>

#include "qmp.h"

/* Things in the queue. RESET, MEMORY, DEVICES and ENDED stand in it once; of many stops and
 * resumes that nobody fetches, those in the middle are lost, never the last. */
#define XK_EVENTS_MAX 16

struct xk_events {
    bool on;
    struct xk_qmp *qmp; /* NULL: there is none, or QEMU closed it */
    int epoll;          /* what polls: socket, pidfd, and `filled` while the queue is not empty */
    int filled;
    int pidfd;  /* borrowed */
    bool stale; /* layout or kernel may no longer be what the last look saw */
    bool ended; /* that was told */
    enum xvmi_vm_event queue[XK_EVENTS_MAX];
    unsigned n;
};

#define XK_EVENTS_OFF                                                                              \
    {                                                                                              \
        .epoll = -1, .filled = -1, .pidfd = -1                                                     \
    }

/* Begin. Takes the connection over, also on failure; NULL: only the end of the process is told.
 * `pidfd` is borrowed until xk_events_close(). */
XVMI_CHECKED enum xvmi_status xk_events_open(struct xk_events *events, struct xk_qmp *qmp,
                                             int pidfd, struct xvmi_error *err);
void xk_events_close(struct xk_events *events);

/* Take what has arrived into the queue; never waits. */
void xk_events_pump(struct xk_events *events);

/* The next of the queue, XVMI_VM_NOTHING when it is empty. */
enum xvmi_vm_event xk_events_next(struct xk_events *events);

/* The connection cannot be used any more. */
void xk_events_hang_up(struct xk_events *events);

#endif
