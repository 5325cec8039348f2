/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XL_TASK_H
#define XL_TASK_H

#include <xvmi/task.h>

#include "os/linux/guest.h"

/* What xvmi_task_list() and its friends do, on a guest; contracts as in <xvmi/task.h>. */
XVMI_CHECKED enum xvmi_status xl_task_list(struct xl_guest *g, struct xvmi_task **tasks, size_t *n);
/* The process whose group leader lies at `addr`. */
XVMI_CHECKED enum xvmi_status xl_task_read(struct xl_guest *g, uint64_t addr,
                                           struct xvmi_task *task);

/* What a task points to, and much that is told of it lies in: replaced while it lives, and freed
 * then. Taken before the task is read; what was read counts if they hold afterwards. With memory
 * that is copied page by page, only if that was invalidated in between. */
struct xl_task_links {
    uint64_t cred, nsproxy, parent;
};
int xl_task_links(struct xl_guest *g, uint64_t addr, struct xl_task_links *links,
                  struct xw_fault *fault); /* a walker's status */
bool xl_task_links_hold(struct xl_guest *g, uint64_t addr, const struct xl_task_links *links);

XVMI_CHECKED enum xvmi_status xl_task_parent(struct xl_guest *g, const struct xvmi_task *task,
                                             struct xvmi_task *parent);
/* The guest's CLOCK_BOOTTIME as of its last tick. */
XVMI_CHECKED enum xvmi_status xl_clock(struct xl_guest *g, uint64_t *ns);
XVMI_CHECKED enum xvmi_status xl_task_exe(struct xl_guest *g, const struct xvmi_task *task,
                                          char *buf, size_t size);
XVMI_CHECKED enum xvmi_status xl_task_cmdline(struct xl_guest *g, const struct xvmi_task *task,
                                              char *buf, size_t size, size_t *len);
XVMI_CHECKED enum xvmi_status xl_task_cgroup(struct xl_guest *g, const struct xvmi_task *task,
                                             char *buf, size_t size);

#endif
