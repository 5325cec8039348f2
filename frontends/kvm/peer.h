/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XK_PEER_H
#define XK_PEER_H

/* Who is at the other end of a unix socket. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <xvmi/error.h>

/* The process that holds the peer of the connected socket `fd`, once the peer was accepted. */
XVMI_CHECKED enum xvmi_status xk_peer_find(int fd, pid_t *pid, struct xvmi_error *err);

/* Whether `pid` holds the peer of `fd`. */
bool xk_peer_is(int fd, pid_t pid);

#endif
