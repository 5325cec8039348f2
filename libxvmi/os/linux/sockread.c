// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * One socket of the guest, as the API shows it.
 *
 * The memory of a freed socket is soon another socket (SLAB_TYPESAFE_BY_RCU), so what was read of
 * one counts only if a second reading says the same and it is still linked into a chain then.
 */
#include <string.h>

#include "os/linux/socket.h"

#define AF_UNIX_     1
#define AF_PACKET_   17
#define SUN_PATH_OFF 2 /* offsetof(struct sockaddr_un, sun_path) */

static int netns_inum(const struct xl_net_vec *nets, struct xl_guest *g, uint64_t net,
                      uint32_t *inum, struct xw_fault *fault)
{
    for (size_t i = 0; i < nets->n && i < 8; i++) /* nearly all sockets are in a few */
        if (nets->v[i].addr == net) {
            *inum = nets->v[i].inum;
            return 0;
        }
    uint64_t v;
    int status = xw_get(g->space, &g->lay, net, net_inum, &v, fault);
    *inum = status ? 0 : (uint32_t)v;
    return status;
}

static int read_inet(struct xl_guest *g, const struct xw_sock *s, struct xvmi_socket *out,
                     struct xw_fault *fault)
{
    memcpy(out->local, s->local, sizeof(out->local));
    memcpy(out->remote, s->remote, sizeof(out->remote));
    out->lport = out->kind == XVMI_SOCKET_RAW ? 0 : s->lport; /* the protocol again, for raw */
    out->rport = s->rport;
    out->v6only = s->v6only;
    if (!xw_sock_is_full(s)) {
        out->type = 1; /* only TCP has the small ones */
        out->protocol = 6;
    }
    uint64_t substate;
    if (s->state != XW_TCP_TIME_WAIT || !xw_has(g->lay.tw_substate))
        return 0;
    /* FIN_WAIT2 is waited for in the small struct as well; inet_diag shows it so. */
    int status = xw_get(g->space, &g->lay, s->addr, tw_substate, &substate, fault);
    if (!status && substate == XVMI_STATE_FIN_WAIT2)
        out->state = XVMI_STATE_FIN_WAIT2;
    return status;
}

static int read_packet(struct xl_guest *g, struct xvmi_socket *out, struct xw_fault *fault)
{
    uint64_t v;
    int status = xw_get(g->space, &g->lay, out->addr, packet_num, &v, fault);
    if (status)
        return status;
    out->protocol = (uint16_t)((v & 0xff) << 8 | (v >> 8 & 0xff));
    status = xw_get(g->space, &g->lay, out->addr, packet_ifindex, &v, fault);
    out->ifindex = (uint32_t)v;
    return status;
}

static int read_unix_path(struct xl_guest *g, uint64_t address, struct xvmi_socket *out,
                          struct xw_fault *fault)
{
    uint64_t len;
    int status = xw_get(g->space, &g->lay, address, unix_addr_len, &len, fault);
    if (status)
        return status;
    if (len < SUN_PATH_OFF || len > SUN_PATH_OFF + XVMI_UNIX_PATH_MAX + 1)
        return xw_fail(fault, address, XW_ID_unix_addr_len, XW_BAD_VALUE);
    len -= SUN_PATH_OFF;
    if (len > XVMI_UNIX_PATH_MAX) /* the kernel puts a NUL behind a full path */
        len = XVMI_UNIX_PATH_MAX;
    uint64_t path = address + g->lay.unix_addr_name.off + SUN_PATH_OFF;
    if ((status = xw_read(g->space, out->path, (uint32_t)len, path)))
        return xw_fail(fault, address, XW_ID_unix_addr_name, status);
    if (len && out->path[0]) /* a path: up to its NUL; abstract names keep theirs */
        len = strnlen(out->path, len);
    out->path_len = (uint8_t)len;
    return 0;
}

static int read_unix(struct xl_guest *g, struct xvmi_socket *out, struct xw_fault *fault)
{
    uint64_t address, peer, socket;
    int status = xw_get(g->space, &g->lay, out->addr, unix_addr, &address, fault);
    if (!status && address)
        status = read_unix_path(g, address, out, fault);
    if (!status)
        status = xw_get(g->space, &g->lay, out->addr, unix_peer, &peer, fault);
    if (status || !peer)
        return status;
    status = xw_get(g->space, &g->lay, peer, sock_socket, &socket, fault);
    return status || !socket ? status : xl_socket_ino(g, socket, &out->peer_ino, fault);
}

uint64_t xl_mptcp_connection(struct xl_guest *g, uint64_t sock)
{
    struct xw_fault fault;
    uint64_t is, context, connection;
    if (!xw_has(g->lay.tcp_is_mptcp) || !xw_has(g->lay.subflow_conn) ||
        xw_get(g->space, &g->lay, sock, tcp_is_mptcp, &is, &fault) || !is ||
        xw_get(g->space, &g->lay, sock, icsk_ulp_data, &context, &fault) || !context ||
        xw_get(g->space, &g->lay, context, subflow_conn, &connection, &fault))
        return 0;
    return connection;
}

/* A subflow that is being closed has nothing to take. */
static int take_file_of_connection(struct xl_guest *g, struct xvmi_socket *out,
                                   struct xw_fault *fault)
{
    uint64_t connection = xl_mptcp_connection(g, out->addr), socket, file;
    if (!connection || xw_get(g->space, &g->lay, connection, sock_socket, &socket, fault) ||
        !socket || xw_get(g->space, &g->lay, socket, socket_file, &file, fault) || !file)
        return 0;
    out->file = file;
    return xl_socket_ino(g, socket, &out->ino, fault);
}

/* One reading of one socket. */
static int read_socket(struct xl_guest *g, const struct xl_net_vec *nets, uint64_t addr,
                       enum xvmi_socket_kind kind, struct xvmi_socket *out, struct xw_fault *fault)
{
    struct xw_sock s;
    memset(out, 0, sizeof(*out)); /* readings are compared byte by byte */
    int status = xw_sock_read(g->space, &g->lay, addr, &s, fault);
    if (status)
        return status;
    out->addr = addr;
    out->file = s.file;
    out->cookie = s.cookie;
    out->cgroup = s.cgroup;
    out->uid = s.uid;
    out->ifindex = s.bound_if;
    out->kind = (uint16_t)kind;
    out->family = s.family;
    out->type = s.type;
    out->protocol = s.protocol;
    out->state = s.state;
    if ((status = netns_inum(nets, g, s.net, &out->netns, fault)))
        return status;
    if (s.socket && (status = xl_socket_ino(g, s.socket, &out->ino, fault)))
        return status;
    if (kind == XVMI_SOCKET_TCP && xw_sock_is_full(&s) && !s.file &&
        (status = take_file_of_connection(g, out, fault)))
        return status;
    if (kind == XVMI_SOCKET_PACKET)
        return read_packet(g, out, fault);
    if (kind == XVMI_SOCKET_UNIX)
        return read_unix(g, out, fault);
    return read_inet(g, &s, out, fault);
}

/* Is it in some chain, seen from both sides? */
static bool is_linked(struct xl_guest *g, uint64_t addr, enum xvmi_socket_kind kind)
{
    const struct xw_field by = kind == XVMI_SOCKET_SCTP ? g->lay.skc_bind_node : g->lay.skc_node;
    uint64_t node = addr + by.off, back, forth;
    return !xo_read_u64(g->space, node + 8, &back) && xw_is_pointer(back) &&
           !xo_read_u64(g->space, back, &forth) && forth == node;
}

static bool family_fits(const struct xvmi_socket *s)
{
    if (s->kind == XVMI_SOCKET_UNIX)
        return s->family == AF_UNIX_;
    if (s->kind == XVMI_SOCKET_PACKET)
        return s->family == AF_PACKET_;
    return s->family == XW_AF_INET || s->family == XW_AF_INET6;
}

enum xvmi_status xl_socket_read_once(struct xl_guest *g, const struct xl_net_vec *nets,
                                     uint64_t addr, enum xvmi_socket_kind kind,
                                     struct xvmi_socket *out)
{
    struct xw_fault fault;
    if (read_socket(g, nets, addr, kind, out, &fault))
        return xl_fault(g, &fault);
    return family_fits(out) ? XVMI_OK
                            : xvmi_error_set(g->err, XVMI_ERR_CHANGED, "family %u", out->family);
}

enum xvmi_status xl_socket_read(struct xl_guest *g, const struct xl_net_vec *nets, uint64_t addr,
                                enum xvmi_socket_kind kind, struct xvmi_socket *out, bool *gone)
{
    struct xw_fault fault;
    struct xvmi_socket again;
    *gone = false;
    int status = read_socket(g, nets, addr, kind, out, &fault);
    for (int i = 0; i < XL_RETRIES; i++) {
        int second = read_socket(g, nets, addr, kind, &again, &fault);
        bool same = !status && !second && !memcmp(out, &again, sizeof(again));
        *gone = !is_linked(g, addr, kind);
        if (*gone)
            return XVMI_OK;
        if (same && family_fits(out))
            return XVMI_OK;
        status = second;
        *out = again;
        xo_invalidate(g->space);
    }
    if (status)
        return xl_fault(g, &fault);
    if (!family_fits(out))
        return xvmi_error_set(g->err, XVMI_ERR_FORMAT, "family %u", out->family);
    return xvmi_error_set(g->err, XVMI_ERR_CHANGED, "changed while looking, %d times", XL_RETRIES);
}
