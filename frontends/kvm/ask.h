/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XK_ASK_H
#define XK_ASK_H

/* What a QEMU says of its guest over QMP: the questions, and checks of the answers. */

#include "hmp.h"
#include "qmp.h"
#include "ram.h"

#define XK_VCPUS_MAX 4096

/* Where RAM lies, in order of gpa. */
struct xk_pieces {
    struct xk_piece *v;
    size_t n;
};
XVMI_CHECKED enum xvmi_status xk_ask_layout(struct xk_qmp *qmp, struct xk_pieces *pieces,
                                            struct xvmi_error *err);
void xk_pieces_fini(struct xk_pieces *pieces);

/* The indices by which QEMU knows its vCPUs; freed by the caller. */
XVMI_CHECKED enum xvmi_status xk_ask_vcpus(struct xk_qmp *qmp, int **index, unsigned *n,
                                           struct xvmi_error *err);

XVMI_CHECKED enum xvmi_status xk_ask_registers(struct xk_qmp *qmp, int cpu_index,
                                               struct xvmi_vcpu_regs *regs, struct xvmi_error *err);

/* Fails when there is no guest to look into: XVMI_ERR_GONE when it shut down or moved to
 * another host, XVMI_ERR_CHANGED while it arrives from one. A paused guest is fine. */
XVMI_CHECKED enum xvmi_status xk_ask_status(struct xk_qmp *qmp, struct xvmi_error *err);

#endif
