/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XM_DRIVER_H
#define XM_DRIVER_H

/* Backends in shared objects, found by URI scheme. */

#include <xvmi/mem.h>

/* Load xvmi-driver-SCHEME.so and have it open `rest`. The driver stays loaded for the life of
 * the process. `scheme` is checked here: it becomes part of a file name. */
XVMI_CHECKED enum xvmi_status xm_driver_open(const char *scheme, const char *rest,
                                             struct xvmi_mem_backend *backend,
                                             struct xvmi_error *err);

#endif
