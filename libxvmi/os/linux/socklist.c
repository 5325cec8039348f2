// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* All sockets, read while the guest opens and closes them: table by table, chain by chain. */
#include <inttypes.h>
#include <stdlib.h>

#include "base/u64set.h"
#include "base/vec.h"
#include "os/linux/chain.h"
#include "os/linux/path.h"
#include "os/linux/sctp.h"
#include "os/linux/socket.h"
#include "os/linux/socktable.h"

#define SMALLEST_SOCKET 256 /* bytes; a tcp_request_sock has 300 and more */

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

/* What l->chain has. */
static enum xvmi_status list_sockets(struct lister *l, enum xvmi_socket_kind kind)
{
    struct xl_guest *g = l->g;
    enum xvmi_status status = XVMI_OK;
    for (size_t i = 0; i < l->chain.n && !status; i++) {
        struct xvmi_socket s;
        bool gone;
        status = xl_socket_read(g, &l->nets, l->chain.v[i], kind, &s, &gone);
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

static enum xvmi_status list_chain(struct lister *l, uint64_t head, enum xvmi_socket_kind kind)
{
    l->chain.n = 0;
    enum xvmi_status status = xl_chain_read(l->g, head, l->most - l->found.n, &l->chain);
    return status ? status : list_sockets(l, kind);
}

/* Two reads a step, one a slot. */
static enum xvmi_status list_sctp(struct lister *l)
{
    struct xl_guest *g = l->g;
    const struct xl_budget budget = {.max_reads = g->space->reads + 4 * l->most};
    struct xl_sctp sctp;
    xl_sctp_init(&sctp, g);
    l->chain.n = 0;
    enum xvmi_status status = xl_sctp_list(&sctp, &budget, &l->chain);
    xl_sctp_fini(&sctp);
    return status ? status : list_sockets(l, XVMI_SOCKET_SCTP);
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
    if (!status && kinds & XVMI_SOCKET_BIT(XVMI_SOCKET_SCTP))
        status = list_sctp(l);
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
