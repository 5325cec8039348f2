/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XL_SOCKET_H
#define XL_SOCKET_H

#include <xvmi/socket.h>

#include "os/linux/guest.h"
#include "os/linux/netns.h"

/* What xvmi_socket_list() and its friends do, on a guest; contracts as in <xvmi/socket.h>. */
XVMI_CHECKED enum xvmi_status xl_socket_list(struct xl_guest *g, unsigned kinds,
                                             struct xvmi_socket **sockets, size_t *n);
XVMI_CHECKED enum xvmi_status xl_socket_cgroup(struct xl_guest *g, const struct xvmi_socket *s,
                                               char *buf, size_t size);
XVMI_CHECKED enum xvmi_status xl_owner_scan_new(struct xl_guest *g, struct xvmi_owner_scan **scan);

/* Read one socket until two readings agree. *gone when it left its chain meanwhile: then *out means
 * nothing. `nets` only saves a read. */
XVMI_CHECKED enum xvmi_status xl_socket_read(struct xl_guest *g, const struct xl_net_vec *nets,
                                             uint64_t addr, enum xvmi_socket_kind kind,
                                             struct xvmi_socket *out, bool *gone);

/* One reading: worth nothing until somebody looks again and finds the same socket there. */
XVMI_CHECKED enum xvmi_status xl_socket_read_once(struct xl_guest *g, const struct xl_net_vec *nets,
                                                  uint64_t addr, enum xvmi_socket_kind kind,
                                                  struct xvmi_socket *out);

/* A subflow of MPTCP is a socket of the kernel's; file and inode number are those of the connection
 * that it serves: its struct sock. 0: `sock`, a full one of TCP, is no subflow. */
uint64_t xl_mptcp_connection(struct xl_guest *g, uint64_t sock);

/* Inode number of a struct socket's inode: it lies behind the socket in struct socket_alloc. */
static inline int xl_socket_ino(struct xl_guest *g, uint64_t socket, uint64_t *ino,
                                struct xw_fault *fault)
{
    return xw_get(g->space, &g->lay, socket + g->lay.socket_alloc_inode.off, inode_ino, ino, fault);
}

#endif
