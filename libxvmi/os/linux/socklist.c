// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * All sockets, read while the guest opens and closes them.
 *
 * The memory of a freed socket is soon another socket (SLAB_TYPESAFE_BY_RCU), so what was read of
 * one counts only if a second reading says the same and it is still linked into a chain then.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/u64set.h"
#include "base/vec.h"
#include "os/linux/chain.h"
#include "os/linux/path.h"
#include "os/linux/socket.h"
#include "os/linux/socktable.h"

#define SMALLEST_SOCKET 256 /* bytes; a tcp_request_sock has 300 and more */
#define AF_UNIX_        1
#define AF_PACKET_      17
#define SUN_PATH_OFF    2 /* offsetof(struct sockaddr_un, sun_path) */

struct socket_vec {
    struct xvmi_socket *v;
    size_t n, cap;
};

struct lister {
    struct xl_guest *g;
    struct xl_net_vec nets;
    struct xl_addr_vec chain;
    struct xb_u64set seen;
    struct socket_vec found;
    size_t most; /* as many sockets as the guest's memory could hold */
};

static int netns_inum(struct lister *l, uint64_t net, uint32_t *inum, struct xw_fault *fault)
{
    for (size_t i = 0; i < l->nets.n && i < 8; i++) /* nearly all sockets are in a few */
        if (l->nets.v[i].addr == net) {
            *inum = l->nets.v[i].inum;
            return 0;
        }
    uint64_t v;
    int status = xw_get(l->g->space, &l->g->lay, net, net_inum, &v, fault);
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

/* One reading of one socket. */
static int read_socket(struct lister *l, uint64_t addr, enum xvmi_socket_kind kind,
                       struct xvmi_socket *out, struct xw_fault *fault)
{
    struct xl_guest *g = l->g;
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
    if ((status = netns_inum(l, s.net, &out->netns, fault)))
        return status;
    if (s.socket && (status = xl_socket_ino(g, s.socket, &out->ino, fault)))
        return status;
    if (kind == XVMI_SOCKET_PACKET)
        return read_packet(g, out, fault);
    if (kind == XVMI_SOCKET_UNIX)
        return read_unix(g, out, fault);
    return read_inet(g, &s, out, fault);
}

/* Is it in some chain, seen from both sides? */
static bool is_linked(struct xl_guest *g, uint64_t addr)
{
    uint64_t node = addr + g->lay.skc_node.off, back, forth;
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

/* Read until two readings agree. *gone when it left its chain meanwhile. */
static enum xvmi_status read_stable(struct lister *l, uint64_t addr, enum xvmi_socket_kind kind,
                                    struct xvmi_socket *out, bool *gone)
{
    struct xl_guest *g = l->g;
    struct xw_fault fault;
    struct xvmi_socket again;
    *gone = false;
    int status = read_socket(l, addr, kind, out, &fault);
    for (int i = 0; i < XL_RETRIES; i++) {
        int second = read_socket(l, addr, kind, &again, &fault);
        bool same = !status && !second && !memcmp(out, &again, sizeof(again));
        *gone = !is_linked(g, addr);
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

static enum xvmi_status list_chain(struct lister *l, uint64_t head, enum xvmi_socket_kind kind)
{
    struct xl_guest *g = l->g;
    l->chain.n = 0;
    enum xvmi_status status = xl_chain_read(g, head, l->most - l->found.n, &l->chain);
    for (size_t i = 0; i < l->chain.n && !status; i++) {
        struct xvmi_socket s;
        bool gone;
        status = read_stable(l, l->chain.v[i], kind, &s, &gone);
        if (status)
            return xvmi_error_frame(g->err, status, "socket 0x%" PRIx64, l->chain.v[i]);
        if (gone)
            continue;
        int added = xb_u64set_add(&l->seen, s.addr);
        if (added < 0 || (added && !xb_vec_push(&l->found, s)))
            return xvmi_error_set(g->err, XVMI_ERR_NO_MEMORY, "out of memory");
    }
    return status;
}

static enum xvmi_status list_table(struct lister *l, const struct xl_socktable *table)
{
    enum xvmi_status status = XVMI_OK;
    for (uint32_t i = 0; i < table->count && !status; i++)
        status = list_chain(l, table->head + (uint64_t)i * table->stride, table->kind);
    return status;
}

static enum xvmi_status list_all(struct lister *l, unsigned kinds)
{
    struct xl_socktable_vec tables;
    enum xvmi_status status = xl_net_list(l->g, &l->nets);
    if (!status)
        status = xl_socktables(l->g, &l->nets, kinds, &tables);
    if (status)
        return status;
    for (size_t i = 0; i < tables.n && !status; i++)
        status = list_table(l, &tables.v[i]);
    free(tables.v);
    return status;
}

enum xvmi_status xl_socket_list(struct xl_guest *g, unsigned kinds, struct xvmi_socket **sockets,
                                size_t *n)
{
    struct lister l = {.g = g, .most = (size_t)(xm_total(g->space->mem) / SMALLEST_SOCKET) + 1};
    enum xvmi_status status = list_all(&l, kinds);
    free(l.nets.v);
    free(l.chain.v);
    free(l.seen.slots);
    if (status) {
        free(l.found.v);
        return xvmi_error_frame(g->err, status, "listing sockets");
    }
    *sockets = l.found.v;
    *n = l.found.n;
    return XVMI_OK;
}

enum xvmi_status xl_socket_cgroup(struct xl_guest *g, const struct xvmi_socket *s, char *buf,
                                  size_t size)
{
    uint64_t cgroup = s->cgroup;
    if (!xw_sock_is_full(&(struct xw_sock){.state = s->state}))
        return xvmi_error_set(g->err, XVMI_ERR_NOT_FOUND,
                              "request and time-wait sockets have none");
    if (!cgroup && g->sym.sym_cgrp_dfl_root) /* before 5.15: stands for the root */
        cgroup = g->sym.sym_cgrp_dfl_root + g->lay.cgroup_root_cgrp.off;
    if (!cgroup)
        return xvmi_error_set(g->err, XVMI_ERR_NOT_FOUND, "this kernel has no control groups");
    enum xvmi_status status = xl_cgroup_path(g, cgroup, buf, size);
    return status ? xvmi_error_frame(g->err, status, "socket 0x%" PRIx64 ": control group", s->addr)
                  : XVMI_OK;
}
