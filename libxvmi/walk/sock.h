/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause OR GPL-2.0-only */
#ifndef XW_SOCK_H
#define XW_SOCK_H

/*
 * One socket at a time. Hash chains mix three structs that only share struct sock_common:
 * full sockets, request sockets (state NEW_SYN_RECV) and time-wait sockets. Nothing past the
 * common part may be read before the state says which one it is.
 */

#include "read.h"

#define XW_AF_INET  2
#define XW_AF_INET6 10

/* include/net/tcp_states.h */
#define XW_TCP_TIME_WAIT    6
#define XW_TCP_NEW_SYN_RECV 12

struct xw_sock {
    uint64_t addr, net, cookie;
    uint64_t socket, file, cgroup; /* 0 when there is none; full sockets only */
    uint32_t uid;
    uint32_t bound_if;
    uint16_t family, type, protocol;
    uint16_t lport, rport; /* host order */
    uint8_t state, v6only;
    uint8_t local[16], remote[16]; /* network order; IPv4 in the first four bytes */
};

XW_INLINE int xw_sock_is_full(const struct xw_sock *s)
{
    return s->state != XW_TCP_TIME_WAIT && s->state != XW_TCP_NEW_SYN_RECV;
}

XW_INLINE int xw_sock_addresses(XW_CTX *ctx, const struct xw_layout *lay, struct xw_sock *s,
                                struct xw_fault *fault)
{
    int status;
    uint64_t v;
    for (int i = 0; i < 16; i++)
        s->local[i] = s->remote[i] = 0;
    if (s->family == XW_AF_INET6) {
        if ((status = xw_get_bytes(ctx, lay, s->addr, skc_v6_rcv_saddr, s->local, 16, fault)))
            return status;
        if ((status = xw_get_bytes(ctx, lay, s->addr, skc_v6_daddr, s->remote, 16, fault)))
            return status;
    } else {
        if ((status = xw_get_bytes(ctx, lay, s->addr, skc_rcv_saddr, s->local, 4, fault)))
            return status;
        if ((status = xw_get_bytes(ctx, lay, s->addr, skc_daddr, s->remote, 4, fault)))
            return status;
    }
    if ((status = xw_get(ctx, lay, s->addr, skc_num, &v, fault)))
        return status;
    s->lport = (uint16_t)v;
    if ((status = xw_get(ctx, lay, s->addr, skc_dport, &v, fault)))
        return status;
    s->rport = (uint16_t)((v & 0xff) << 8 | (v >> 8 & 0xff));
    if ((status = xw_get(ctx, lay, s->addr, skc_ipv6only, &v, fault)))
        return status;
    s->v6only = (uint8_t)v;
    return 0;
}

/* The part that all three structs have. */
XW_INLINE int xw_sock_common(XW_CTX *ctx, const struct xw_layout *lay, uint64_t addr,
                             struct xw_sock *s, struct xw_fault *fault)
{
    uint64_t v;
    s->addr = addr;
    int status = xw_get(ctx, lay, addr, skc_family, &v, fault);
    if (status)
        return status;
    s->family = (uint16_t)v;
    if ((status = xw_get(ctx, lay, addr, skc_state, &v, fault)))
        return status;
    s->state = (uint8_t)v;
    if ((status = xw_get(ctx, lay, addr, skc_net, &s->net, fault)))
        return status;
    if ((status = xw_get(ctx, lay, addr, skc_cookie, &s->cookie, fault)))
        return status;
    if ((status = xw_get(ctx, lay, addr, skc_bound_dev_if, &v, fault)))
        return status;
    s->bound_if = (uint32_t)v;
    return xw_sock_addresses(ctx, lay, s, fault);
}

/* sk_cgrp_data is a plain pointer since 5.15. Before, the low bit marks a word that holds
 * class and priority ids instead, and 0 means the root group: both leave `cgroup` 0. */
XW_INLINE int xw_sock_cgroup(XW_CTX *ctx, const struct xw_layout *lay, struct xw_sock *s,
                             struct xw_fault *fault)
{
    s->cgroup = 0;
    if (!xw_has(lay->sock_cgroup))
        return 0;
    uint64_t v;
    int status = xw_get(ctx, lay, s->addr, sock_cgroup, &v, fault);
    if (status)
        return status;
    if (xw_has(lay->sock_cgroup_is_data))
        v = v & 1 ? 0 : v & ~(uint64_t)3;
    s->cgroup = v;
    return 0;
}

/* The rest of a full socket. */
XW_INLINE int xw_sock_full(XW_CTX *ctx, const struct xw_layout *lay, struct xw_sock *s,
                           struct xw_fault *fault)
{
    uint64_t v;
    int status = xw_get(ctx, lay, s->addr, sock_type, &v, fault);
    if (status)
        return status;
    s->type = (uint16_t)v;
    if ((status = xw_get(ctx, lay, s->addr, sock_protocol, &v, fault)))
        return status;
    s->protocol = (uint16_t)v;
    if ((status = xw_get(ctx, lay, s->addr, sock_uid, &v, fault)))
        return status;
    s->uid = (uint32_t)v;
    if ((status = xw_sock_cgroup(ctx, lay, s, fault)))
        return status;
    if ((status = xw_get(ctx, lay, s->addr, sock_socket, &s->socket, fault)))
        return status;
    s->file = 0;
    if (s->socket && (status = xw_get(ctx, lay, s->socket, socket_file, &s->file, fault)))
        return status;
    return 0;
}

XW_INLINE int xw_sock_read(XW_CTX *ctx, const struct xw_layout *lay, uint64_t addr,
                           struct xw_sock *s, struct xw_fault *fault)
{
    int status = xw_sock_common(ctx, lay, addr, s, fault);
    if (status)
        return status;
    s->socket = s->file = s->cgroup = 0;
    s->uid = 0;
    s->type = s->protocol = 0;
    return xw_sock_is_full(s) ? xw_sock_full(ctx, lay, s, fault) : 0;
}

/* From a link in a chain to the socket it is in, and from a socket to the next link. */
XW_INLINE uint64_t xw_sock_of_node(const struct xw_layout *lay, uint64_t node)
{
    return node - lay->skc_node.off;
}

XW_INLINE int xw_sock_next(XW_CTX *ctx, const struct xw_layout *lay, uint64_t addr, uint64_t *node,
                           struct xw_fault *fault)
{
    int status = xw_read(ctx, node, 8, addr + lay->skc_node.off);
    return status ? xw_fail(fault, addr, XW_ID_skc_node, status) : 0;
}

/* The struct sock behind an open file, 0 when the file is no socket. `socket_ops` is the address
 * of socket_file_ops: nothing else in a file tells. */
XW_INLINE int xw_file_sock(XW_CTX *ctx, const struct xw_layout *lay, uint64_t file,
                           uint64_t socket_ops, uint64_t *sock, struct xw_fault *fault)
{
    uint64_t op, socket;
    *sock = 0;
    int status = xw_get(ctx, lay, file, file_op, &op, fault);
    if (status || op != socket_ops)
        return status;
    if ((status = xw_get(ctx, lay, file, file_private, &socket, fault)))
        return status;
    if (!xw_is_pointer(socket))
        return xw_fail(fault, file, XW_ID_file_private, XW_BAD_VALUE);
    return xw_get(ctx, lay, socket, socket_sk, sock, fault);
}

#endif
