/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause OR GPL-2.0-only */
#ifndef XW_TASK_H
#define XW_TASK_H

/* One task_struct at a time: its own facts, its neighbours, its descriptors. */

#include "read.h"

#define XW_PF_KTHREAD 0x00200000u /* include/linux/sched.h, unchanged 2.6.30 .. 7.2 */
/* kernel/pid.c: struct pid nests at most MAX_PID_NS_LEVEL (32) deep */
#define XW_PID_LEVELS 33

struct xw_task {
    uint64_t addr;
    uint64_t mm, files, signal, nsproxy, start_ns;
    uint64_t parent, leader;
    uint32_t pid, tgid, flags, exit_state;
    uint32_t uid, gid, euid, egid;
    uint32_t nspid, threads;
    uint8_t comm[16];
};

XW_INLINE int xw_task_cred(XW_CTX *ctx, const struct xw_layout *lay, struct xw_task *t,
                           struct xw_fault *fault)
{
    uint64_t cred, v;
    int status = xw_get(ctx, lay, t->addr, task_real_cred, &cred, fault);
    if (status)
        return status;
    if ((status = xw_get(ctx, lay, cred, cred_uid, &v, fault)))
        return status;
    t->uid = (uint32_t)v;
    if ((status = xw_get(ctx, lay, cred, cred_gid, &v, fault)))
        return status;
    t->gid = (uint32_t)v;
    if ((status = xw_get(ctx, lay, cred, cred_euid, &v, fault)))
        return status;
    t->euid = (uint32_t)v;
    if ((status = xw_get(ctx, lay, cred, cred_egid, &v, fault)))
        return status;
    t->egid = (uint32_t)v;
    return 0;
}

/* The pid in the innermost namespace: struct pid is shared by all of them, numbers[] has one for
 * each level. A reaped task has no struct pid any more; then it has no such number either. */
XW_INLINE int xw_task_nspid(XW_CTX *ctx, const struct xw_layout *lay, struct xw_task *t,
                            struct xw_fault *fault)
{
    uint64_t pid, level, nr;
    t->nspid = 0;
    int status = xw_get(ctx, lay, t->addr, task_thread_pid, &pid, fault);
    if (status || !pid)
        return status;
    if ((status = xw_get(ctx, lay, pid, pid_level, &level, fault)))
        return status;
    if (level >= XW_PID_LEVELS)
        return xw_fail(fault, pid, XW_ID_pid_level, XW_BAD_VALUE);
    uint64_t upid = pid + lay->pid_numbers.off + level * lay->size_upid;
    if ((status = xw_get(ctx, lay, upid, upid_nr, &nr, fault)))
        return status;
    t->nspid = (uint32_t)nr;
    return 0;
}

/* What decides whether this is the task we think it is, in three reads. */
XW_INLINE int xw_task_ids(XW_CTX *ctx, const struct xw_layout *lay, uint64_t addr,
                          struct xw_task *t, struct xw_fault *fault)
{
    uint64_t v;
    t->addr = addr;
    int status = xw_get(ctx, lay, addr, task_tgid, &v, fault);
    if (status)
        return status;
    t->tgid = (uint32_t)v;
    if ((status = xw_get(ctx, lay, addr, task_pid, &v, fault)))
        return status;
    t->pid = (uint32_t)v;
    return xw_get(ctx, lay, addr, task_start, &t->start_ns, fault);
}

/* Everything about the task at `addr`. */
XW_INLINE int xw_task_read(XW_CTX *ctx, const struct xw_layout *lay, uint64_t addr,
                           struct xw_task *t, struct xw_fault *fault)
{
    uint64_t v;
    int status = xw_task_ids(ctx, lay, addr, t, fault);
    if (status)
        return status;
    if ((status = xw_get_bytes(ctx, lay, addr, task_comm, t->comm, 16, fault)))
        return status;
    t->comm[15] = 0;
    if ((status = xw_get(ctx, lay, addr, task_flags, &v, fault)))
        return status;
    t->flags = (uint32_t)v;
    if ((status = xw_get(ctx, lay, addr, task_exit_state, &v, fault)))
        return status;
    t->exit_state = (uint32_t)v;
    if ((status = xw_get(ctx, lay, addr, task_mm, &t->mm, fault)))
        return status;
    if ((status = xw_get(ctx, lay, addr, task_files, &t->files, fault)))
        return status;
    if ((status = xw_get(ctx, lay, addr, task_nsproxy, &t->nsproxy, fault)))
        return status;
    if ((status = xw_get(ctx, lay, addr, task_real_parent, &t->parent, fault)))
        return status;
    if ((status = xw_get(ctx, lay, addr, task_group_leader, &t->leader, fault)))
        return status;
    if ((status = xw_get(ctx, lay, addr, task_signal, &t->signal, fault)))
        return status;
    if ((status = xw_get(ctx, lay, t->signal, signal_nr_threads, &v, fault)))
        return status;
    t->threads = (uint32_t)v;
    if ((status = xw_task_cred(ctx, lay, t, fault)))
        return status;
    return xw_task_nspid(ctx, lay, t, fault);
}

/* The task after `addr` on init_task.tasks. */
XW_INLINE int xw_task_next(XW_CTX *ctx, const struct xw_layout *lay, uint64_t addr, uint64_t *next,
                           struct xw_fault *fault)
{
    uint64_t node;
    /* list_head.next is the first pointer of the 16-byte list_head */
    int status = xw_read(ctx, &node, 8, addr + lay->task_tasks.off);
    if (status)
        return xw_fail(fault, addr, XW_ID_task_tasks, status);
    if (!xw_is_pointer(node))
        return xw_fail(fault, addr, XW_ID_task_tasks, XW_BAD_VALUE);
    *next = node - lay->task_tasks.off;
    return 0;
}

/* The descriptor table of a files_struct: where the file pointers lie and how many there are. */
XW_INLINE int xw_fdtable(XW_CTX *ctx, const struct xw_layout *lay, uint64_t files, uint64_t *fd,
                         uint32_t *max_fds, struct xw_fault *fault)
{
    uint64_t fdt, n;
    int status = xw_get(ctx, lay, files, files_fdt, &fdt, fault);
    if (status)
        return status;
    if ((status = xw_get(ctx, lay, fdt, fdt_max_fds, &n, fault)))
        return status;
    if ((status = xw_get(ctx, lay, fdt, fdt_fd, fd, fault)))
        return status;
    if (!xw_is_pointer(*fd))
        return xw_fail(fault, fdt, XW_ID_fdt_fd, XW_BAD_VALUE);
    *max_fds = (uint32_t)n;
    return 0;
}

/* The file behind descriptor `fd` of a files_struct, 0 when it is not open. */
XW_INLINE int xw_fd_file(XW_CTX *ctx, const struct xw_layout *lay, uint64_t files, uint32_t fd,
                         uint64_t *file, struct xw_fault *fault)
{
    uint64_t table;
    uint32_t max_fds;
    int status = xw_fdtable(ctx, lay, files, &table, &max_fds, fault);
    if (status)
        return status;
    *file = 0;
    if (fd >= max_fds)
        return 0;
    if ((status = xw_read(ctx, file, 8, table + (uint64_t)fd * 8)))
        return xw_fail(fault, table, XW_ID_fdt_fd, status);
    return 0;
}

#endif
