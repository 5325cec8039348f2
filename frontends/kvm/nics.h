/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XK_NICS_H
#define XK_NICS_H

/*
 * The guest's network devices: what QEMU, or its command line, says of them, put together with
 * the tap devices that the process has open.
 */

#include <xvmi/mem.h>

#include "cmdline.h"
#include "process.h"
#include "qmp.h"

#define XK_NICS_MAX 64
/* Queues of all taps that are looked at; the kernel allows 256 a device. */
#define XK_TAPS_MAX 4096

/* A queue of a tap: a descriptor of the process, and the device's name in its namespace now. */
struct xk_tap {
    int fd;
    char dev[16];
};

/* What is said of a device. */
struct xk_nic_said {
    char netdev[128]; /* id of QEMU's backend; "" when it has none */
    char ifname[16];  /* the host's device, "" when not told */
    int fd;           /* a queue of it in QEMU, -1 when not told */
    unsigned queues;  /* 0: not told */
    uint8_t mac[6];
};

struct xk_nics_said {
    struct xk_nic_said v[XK_NICS_MAX];
    size_t n;
};

/* The answer to `info network`. More than XK_NICS_MAX devices are cut off. */
void xk_nics_of_monitor(const char *text, struct xk_nics_said *said);
/* The options -netdev, -nic and -device, also as JSON. */
void xk_nics_of_cmdline(struct xk_cmdline cmdline, struct xk_nics_said *said);
/* "52:54:00:12:34:56"; false for anything else. */
bool xk_mac_parse(const char *text, uint8_t mac[6]);

/* Ask QEMU; *nics is freed by the caller. */
XVMI_CHECKED enum xvmi_status xk_nics_ask(struct xk_qmp *qmp, const struct xk_process *process,
                                          struct xvmi_nic **nics, size_t *n,
                                          struct xvmi_error *err);
/* The same without QMP, by what the command line says. */
XVMI_CHECKED enum xvmi_status xk_nics_look(const struct xk_process *process,
                                           struct xk_cmdline cmdline, struct xvmi_nic **nics,
                                           size_t *n, struct xvmi_error *err);

/* taps.c: the queues that the process has open, freed by the caller. */
XVMI_CHECKED enum xvmi_status xk_taps_read(const struct xk_process *process, struct xk_tap **taps,
                                           size_t *n, struct xvmi_error *err);
/* The device in the text of /proc/PID/fdinfo/N; false when that is no tap. */
bool xk_tap_parse(const char *text, char dev[16]);

/*
 * What was said, with the host's devices as `taps` shows them: by descriptor, by name, and what
 * is left of both when it is one each. Taps of which nothing was said come last, without MAC,
 * when `extra`. `nics` has room for XK_NICS_MAX.
 */
size_t xk_nics_join(const struct xk_nics_said *said, const struct xk_tap *taps, size_t n_taps,
                    bool extra, struct xvmi_nic *nics);

#endif
