/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XB_CLEANUP_H
#define XB_CLEANUP_H

/* Scope guards: the variable's destructor runs when it goes out of scope. */

#include <stdlib.h>
#include <unistd.h>

#define xb_cleanup(fn) __attribute__((cleanup(fn), unused))

/* For any pointer from malloc and friends: `xb_auto_free char *text = NULL;` */
#define xb_auto_free xb_cleanup(xb_free_ptr)
static inline void xb_free_ptr(void *pp)
{
    free(*(void **)pp);
}

/* For a file descriptor, -1 when there is none: `xb_auto_close int fd = -1;` */
#define xb_auto_close xb_cleanup(xb_close_fd)
static inline void xb_close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

/* Hand the pointer (or descriptor) on: the guard then finds nothing to do. */
#define xb_steal_ptr(pp)                                                                           \
    ({                                                                                             \
        __typeof__(*(pp)) p_ = *(pp);                                                              \
        *(pp) = NULL;                                                                              \
        p_;                                                                                        \
    })
#define xb_steal_fd(fdp)                                                                           \
    ({                                                                                             \
        int fd_ = *(fdp);                                                                          \
        *(fdp) = -1;                                                                               \
        fd_;                                                                                       \
    })

#endif
