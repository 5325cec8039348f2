/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XK_QMP_H
#define XK_QMP_H

/*
 * A client of QEMU's machine protocol over a unix socket: one command at a time.
 *
 * The peer is not trusted: every wait ends at a deadline of the monotonic clock, every message
 * is bounded, and what does not follow the protocol is an error.
 *
 * QEMU serves one client a socket and leaves others waiting, so a connection is made for a few
 * commands and closed again, unless events are wanted; see docs/kvm.md.
 */

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include <xvmi/error.h>

/* How long connecting, and each command, may take. */
#define XK_QMP_TIMEOUT_MS 5000

/* Longest message taken. The longest that a real QEMU sends us, `info mtree -f` with hundreds
 * of devices, stays under 1 MiB; parsed JSON takes up to 20 times its text. */
#define XK_QMP_MESSAGE_MAX (4u << 20)

struct xk_qmp;

/* Connect to the socket `path` and negotiate. XVMI_ERR_TIMEOUT when QEMU does not greet: another
 * client has the socket. */
XVMI_CHECKED enum xvmi_status xk_qmp_open(const char *path, int timeout_ms, struct xk_qmp **qmp,
                                          struct xvmi_error *err);
void xk_qmp_close(struct xk_qmp *qmp);

/* Negotiate on a connected stream socket, which is taken over even on failure. */
XVMI_CHECKED enum xvmi_status xk_qmp_start(int fd, int timeout_ms, struct xk_qmp **qmp,
                                           struct xvmi_error *err);

/* The socket, to ask the kernel who is at the other end. */
int xk_qmp_fd(const struct xk_qmp *qmp);

/* Whether the guest was reset since this was asked last, or since the connection stands. */
bool xk_qmp_take_reset(struct xk_qmp *qmp);

/* Have `take` called for each event, whenever one comes in between. The message is borrowed. */
typedef void xk_qmp_event_fn(void *ctx, const char *name, const json_t *msg);
void xk_qmp_on_event(struct xk_qmp *qmp, xk_qmp_event_fn *take, void *ctx);

/* Take the events that have arrived; never waits. XVMI_ERR_GONE when QEMU closed the connection. */
XVMI_CHECKED enum xvmi_status xk_qmp_pump(struct xk_qmp *qmp, struct xvmi_error *err);

/* holder.c: who has the connection that ours waits for: "NAME (process N) holds", as far as the
 * kernel tells, else "another client may hold". */
void xk_qmp_holder(int fd, char *text, size_t size);

/* Run `name` with `args` (a reference that is taken over; NULL: none). `*ret`, wanted or NULL,
 * is the answer's "return", a new reference. */
XVMI_CHECKED enum xvmi_status xk_qmp_command(struct xk_qmp *qmp, const char *name, json_t *args,
                                             json_t **ret, struct xvmi_error *err);

/* Run a line of the human monitor, on the vCPU with index `cpu` when that is not negative.
 * `*text` is NUL-terminated and freed by the caller. */
XVMI_CHECKED enum xvmi_status xk_qmp_human(struct xk_qmp *qmp, const char *line, int cpu,
                                           char **text, struct xvmi_error *err);

/* Length of the JSON object that `text` starts with, 0 when it is not complete in `len` bytes;
 * then `scan`, which begins as zeros, lets the next call with more bytes go on from there. */
struct xk_qmp_scan {
    size_t pos;
    unsigned depth;
    bool string, escape;
};
size_t xk_qmp_object_end(struct xk_qmp_scan *scan, const char *text, size_t len);

#endif
