/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XL_PATH_H
#define XL_PATH_H

#include <stddef.h>
#include <stdint.h>

#include "os/linux/guest.h"

/* Names the guest's kernel keeps as trees: NUL-terminated in buf[size], XVMI_ERR_LIMIT when they
 * do not fit. */

/* Path of an open file up to the root of its mount namespace, " (deleted)" behind it when it is. */
XVMI_CHECKED enum xvmi_status xl_file_path(struct xl_guest *g, uint64_t file, char *buf,
                                           size_t size);
/* Path of a struct cgroup in its hierarchy, "/" for the root. */
XVMI_CHECKED enum xvmi_status xl_cgroup_path(struct xl_guest *g, uint64_t cgroup, char *buf,
                                             size_t size);

#endif
