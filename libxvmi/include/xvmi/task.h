/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XVMI_TASK_H
#define XVMI_TASK_H

/*
 * The processes of a guest, as its kernel has them. Process means thread group: one entry
 * for all threads of a program. Kernel threads are included, the idle tasks are not.
 *
 * Strings come from the guest: any byte but NUL can be in them. Escape before printing.
 */

#include <stddef.h>
#include <stdint.h>

#include <xvmi/vm.h>

#ifdef __cplusplus
extern "C" {
#endif

#define XVMI_COMM_MAX 16 /* TASK_COMM_LEN, NUL included */
/* Longest path returned, NUL included; a longer one is an error, never cut. */
#define XVMI_PATH_MAX 4096

enum {
    XVMI_TASK_KERNEL = 1u << 0,     /* a kernel thread: PF_KTHREAD */
    XVMI_TASK_EXITING = 1u << 1,    /* exit_state is not 0: a zombie, or about to be one */
    XVMI_TASK_OWN_MOUNTS = 1u << 2, /* its mount namespace is not the first: paths are not those
                                       of the guest's own file system (containers) */
};

/* The numbers are those the initial namespaces see. */
struct xvmi_task {
    uint64_t addr;     /* GVA of the group leader's task_struct: its identity while it lives */
    uint64_t mm;       /* GVA of its mm_struct, 0 when it has none (kernel thread, zombie) */
    uint64_t start_ns; /* start_boottime: with pid, identifies a process for good */
    int32_t pid;       /* tgid */
    int32_t ppid;      /* tgid of the real parent, 0 for init and kthreadd */
    int32_t nspid;     /* its pid in its own, innermost pid namespace */
    uint32_t uid, euid, gid, egid;
    uint32_t threads;
    uint32_t netns; /* inode number of its network namespace, 0 when it has none any more */
    uint32_t flags; /* XVMI_TASK_* */
    char comm[XVMI_COMM_MAX];
};

/*
 * All processes, in the order of the kernel's list (by age). The array is the caller's:
 * free(*tasks). The list is read while it changes: processes that live through the whole
 * call are all there and none is there twice; for those that come or go meanwhile it is
 * either. XVMI_ERR_CHANGED when it changed too much to be followed, retries included.
 */
XVMI_PUBLIC XVMI_CHECKED enum xvmi_status xvmi_task_list(struct xvmi_vm *vm,
                                                         struct xvmi_task **tasks, size_t *n);

/* What the guest's clock says that start_ns is of (CLOCK_BOOTTIME), as of its last tick: the age of
 * a process is the difference. XVMI_ERR_UNSUPPORTED when the profile does not have it. */
XVMI_PUBLIC XVMI_CHECKED enum xvmi_status xvmi_task_clock(struct xvmi_vm *vm, uint64_t *ns);

/*
 * More about one process, each as a NUL-terminated string in buf[size]:
 *   XVMI_ERR_NOT_FOUND    there is none (kernel threads have no exe)
 *   XVMI_ERR_LIMIT        it does not fit
 *   XVMI_ERR_NOT_PRESENT  it lies in a page that is not in memory (swapped out)
 *   XVMI_ERR_CHANGED      the process ended or changed while we looked
 */

/* Path of the executable, up to the root of the mount namespace it lives in, with " (deleted)"
 * at the end when it is. */
XVMI_PUBLIC XVMI_CHECKED enum xvmi_status xvmi_task_exe(struct xvmi_vm *vm,
                                                        const struct xvmi_task *task, char *buf,
                                                        size_t size);
/* The arguments as /proc/PID/cmdline has them: each followed by NUL; *len counts all of it.
 * Longer ones are cut at size. A process can rewrite its arguments. */
XVMI_PUBLIC XVMI_CHECKED enum xvmi_status xvmi_task_cmdline(struct xvmi_vm *vm,
                                                            const struct xvmi_task *task, char *buf,
                                                            size_t size, size_t *len);
/* Path in the default (version 2) control group hierarchy, "/" for its root. */
XVMI_PUBLIC XVMI_CHECKED enum xvmi_status xvmi_task_cgroup(struct xvmi_vm *vm,
                                                           const struct xvmi_task *task, char *buf,
                                                           size_t size);

#ifdef __cplusplus
}
#endif
#endif
