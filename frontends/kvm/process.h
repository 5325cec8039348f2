/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XK_PROCESS_H
#define XK_PROCESS_H

/*
 * The QEMU process as /proc shows it: which one it is, whether it still runs, and its memory
 * map. A process is held by a pidfd, so that a pid that was given to another process is noticed.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <xvmi/error.h>

struct xk_process {
    pid_t pid;
    int pidfd; /* -1: none */
};

#define XK_PROCESS_NONE                                                                            \
    {                                                                                              \
        0, -1                                                                                      \
    }

/* Hold process `pid`. XVMI_ERR_NOT_FOUND when there is none. */
XVMI_CHECKED enum xvmi_status xk_process_open(pid_t pid, struct xk_process *process,
                                              struct xvmi_error *err);

/*
 * Hold the process at the other end of the connected unix socket `fd`, which that process has
 * accepted (peer.c).
 *
 * SO_PEERCRED names who called listen(): with a socket that a manager made and passed on, that
 * is the manager. So the kernel is asked for the peer socket's inode and the process that has
 * it is looked for, beginning with the one of SO_PEERCRED.
 */
XVMI_CHECKED enum xvmi_status xk_process_of_socket(int fd, struct xk_process *process,
                                                   struct xvmi_error *err);
/* The process of all that holds the socket with this inode, 0 when none does that we may look at.
 */
pid_t xk_process_with_socket(uint32_t ino);
void xk_process_close(struct xk_process *process);

/* XVMI_ERR_GONE once the process has ended. After a system call on `pid` this proves that it
 * went to the right process: its number cannot have been given away while it lived. */
XVMI_CHECKED enum xvmi_status xk_process_check(const struct xk_process *process,
                                               struct xvmi_error *err);

/* One line of /proc/PID/maps. `file`: it has an inode. */
struct xk_vma {
    uint64_t start, end, offset, inode;
    unsigned major, minor;
    bool readable, writable, executable, shared, file;
};

struct xk_maps {
    struct xk_vma *v; /* in order of address, not overlapping */
    size_t n, cap;
};

XVMI_CHECKED enum xvmi_status xk_maps_read(const struct xk_process *process, struct xk_maps *maps,
                                           struct xvmi_error *err);
void xk_maps_fini(struct xk_maps *maps);

/* Parse one line; false when it is not one of maps. */
bool xk_maps_parse(const char *line, struct xk_vma *vma);

/* The mapping that holds address `hva`, or NULL. */
const struct xk_vma *xk_maps_find(const struct xk_maps *maps, uint64_t hva);

/* The status for an errno of a system call on a process, with advice in the text. */
enum xvmi_status xk_process_error(struct xvmi_error *err, int e, pid_t pid, const char *what);

#endif
