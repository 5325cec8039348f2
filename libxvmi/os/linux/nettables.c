// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* What sockfind.c needs to know of each network namespace before it can compute a hash. */
#include <stdlib.h>

#include "os/linux/sockfind.h"

#define LISTEN_MASK 31 /* INET_LHTABLE_SIZE - 1, before 5.19 */

static enum xvmi_status read_udp_table(struct xl_guest *g, uint64_t table, struct xl_udp_table *out)
{
    struct xw_fault fault;
    uint64_t mask;
    *out = (struct xl_udp_table){0};
    if (!table)
        return XVMI_OK;
    if (xw_get(g->space, &g->lay, table, udp_table_hash, &out->hash, &fault) ||
        xw_get(g->space, &g->lay, table, udp_table_hash2, &out->hash2, &fault) ||
        xw_get(g->space, &g->lay, table, udp_table_mask, &mask, &fault))
        return xl_fault(g, &fault);
    out->mask = (uint32_t)mask;
    return XVMI_OK;
}

static enum xvmi_status read_tables(struct xl_guest *g, uint64_t net, struct xl_net_tables *t)
{
    const struct xw_layout *lay = &g->lay;
    struct xw_fault fault;
    uint64_t tcp = g->sym.sym_tcp_hashinfo, udp = g->sym.sym_udp_table, v[2], lmask = LISTEN_MASK;
    *t = (struct xl_net_tables){.net = net};
    if (xw_has(lay->net_tcp_hashinfo) && xw_get(g->space, lay, net, net_tcp_hashinfo, &tcp, &fault))
        return xl_fault(g, &fault);
    if (xw_has(lay->net_udp_table) && xw_get(g->space, lay, net, net_udp_table, &udp, &fault))
        return xl_fault(g, &fault);
    if (xw_get(g->space, lay, net, net_hash_mix, &v[0], &fault) ||
        xw_get(g->space, lay, tcp, hashinfo_ehash, &t->ehash, &fault) ||
        xw_get(g->space, lay, tcp, hashinfo_ehash_mask, &v[1], &fault))
        return xl_fault(g, &fault);
    t->lhash = tcp + lay->hashinfo_listening.off;
    if (!xw_has(lay->hashinfo_listening) &&
        (xw_get(g->space, lay, tcp, hashinfo_lhash2, &t->lhash, &fault) ||
         xw_get(g->space, lay, tcp, hashinfo_lhash2_mask, &lmask, &fault)))
        return xl_fault(g, &fault);
    t->hash_mix = (uint32_t)v[0];
    t->ehash_mask = (uint32_t)v[1];
    t->lhash_mask = (uint32_t)lmask;
    enum xvmi_status status = read_udp_table(g, udp, &t->udp);
    return status ? status : read_udp_table(g, g->sym.sym_udplite_table, &t->udplite);
}

/*
 * The secrets are random numbers that the kernel draws when it first needs them: 0 until then, so
 * they are read anew with the namespaces. In net_hotdata since 6.9. Before, they are static
 * variables: inet6_ehashfn() has two, next to each other, and the second one shares its name with
 * one of UDP; which side it lies on is the linker's choice, so both are tried.
 *
 * Since 6.15 the local port is added to the hash of the rest instead of going into it, and IPv6
 * hashes all in one go some time after. Nothing in the layout tells, so kernels that can be any are
 * tried all ways until a connection is found.
 */
static enum xvmi_status read_secrets(struct xl_sockfind *f)
{
    struct xl_guest *g = f->g;
    const uint64_t hot = g->sym.sym_net_hotdata;
    uint64_t at[4] = {g->sym.sym_tcp4_secret, g->sym.sym_tcp6_secret, g->sym.sym_tcp6_secret + 4,
                      g->sym.sym_tcp6_secret - 4};
    f->n_addr_secrets = 2;
    f->hotdata = false;
    if (hot && xw_has(g->lay.hot_tcp4_secret)) {
        at[0] = hot + g->lay.hot_tcp4_secret.off;
        at[1] = hot + g->lay.hot_tcp6_secret.off;
        at[2] = at[3] = hot + g->lay.hot_tcp6_addr_secret.off;
        f->n_addr_secrets = 1;
        f->hotdata = true;
    }
    if (!at[0])
        return xvmi_error_set(g->err, XVMI_ERR_UNSUPPORTED,
                              "where this kernel keeps the secret of its TCP hash is not known");
    if (xo_read_u32(g->space, at[0], &f->secret4))
        return xo_fault(g->space, g->err);
    if (!at[1]) { /* no IPv6 in this kernel */
        f->n_addr_secrets = 0;
        return XVMI_OK;
    }
    if (xo_read_u32(g->space, at[1], &f->secret6) ||
        xo_read_u32(g->space, at[2], &f->addr_secrets[0]) ||
        xo_read_u32(g->space, at[3], &f->addr_secrets[1]))
        return xo_fault(g->space, g->err);
    return XVMI_OK;
}

void xl_sockfind_init(struct xl_sockfind *f, struct xl_guest *g)
{
    *f = (struct xl_sockfind){.g = g};
    xl_conntrack_init(&f->conntrack, g);
    xl_sctp_init(&f->sctp, g);
}

/* How this kernel hashes, and where its modules have what, does not change: that stays known. */
static void forget(struct xl_sockfind *f)
{
    free(f->nets.v);
    free(f->tables);
    free(f->addrs.v);
    f->nets = (struct xl_net_vec){0};
    f->tables = NULL;
    f->addrs = (struct xl_addr_list){0};
    f->secret4 = f->secret6 = 0;
}

void xl_sockfind_fini(struct xl_sockfind *f)
{
    forget(f);
    xl_sctp_fini(&f->sctp);
}

/* Look at namespaces, their addresses and the secrets anew. */
enum xvmi_status xl_net_tables_read(struct xl_sockfind *f)
{
    struct xl_guest *g = f->g;
    forget(f);
    if (g->lay.size_sock_common > XL_SOCK_COMMON_MAX)
        return xvmi_error_set(g->err, XVMI_ERR_UNSUPPORTED, "struct sock_common of %u bytes",
                              g->lay.size_sock_common);
    enum xvmi_status status = xl_net_list(g, &f->nets);
    if (!status)
        status = xl_addr_list(g, &f->nets, &f->addrs);
    if (!status)
        status = read_secrets(f);
    if (!status) {
        f->tables = calloc(f->nets.n, sizeof(*f->tables));
        if (!f->tables)
            status = xvmi_error_set(g->err, XVMI_ERR_NO_MEMORY, "out of memory");
    }
    for (size_t i = 0; i < f->nets.n && !status; i++)
        status = read_tables(g, f->nets.v[i].addr, &f->tables[i]);
    if (status)
        forget(f); /* all of it or nothing */
    return status;
}

bool xl_net_tables_hold(const struct xl_sockfind *f)
{
    uint64_t mix;
    struct xw_fault fault;
    return f->tables &&
           !xw_get(f->g->space, &f->g->lay, f->tables[0].net, net_hash_mix, &mix, &fault) &&
           (uint32_t)mix == f->tables[0].hash_mix && (f->secret4 || f->secret6);
}
