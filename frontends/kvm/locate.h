/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XK_LOCATE_H
#define XK_LOCATE_H

/* From a process to its QMP sockets, or without one to its RAM. */

#include "cmdline.h"
#include "process.h"
#include "ram.h"

/* The command line of a QEMU; XVMI_ERR_INVALID for other programs. `text` is freed by the
 * caller. */
XVMI_CHECKED enum xvmi_status xk_locate_cmdline(const struct xk_process *process,
                                                struct xk_cmdline *cmdline, struct xvmi_error *err);

/* A path by which we reach the QMP socket number `index` from our working directory and mount
 * namespace. Freed by the caller; XVMI_ERR_NOT_FOUND past the last. */
XVMI_CHECKED enum xvmi_status xk_locate_qmp(const struct xk_process *process,
                                            struct xk_cmdline cmdline, unsigned index, char **path,
                                            struct xvmi_error *err);

/* RAM by the command line and the one mapping of just its size. XVMI_ERR_UNSUPPORTED when
 * these do not tell for sure. */
XVMI_CHECKED enum xvmi_status xk_locate_ram(const struct xk_process *process,
                                            struct xk_cmdline cmdline, struct xk_piece pieces[2],
                                            size_t *n, struct xvmi_error *err);

#endif
