// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "os/linux/socktable.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/u64set.h"
#include "base/vec.h"

/* alloc_large_system_hash() gives 512 Ki buckets at most unless told otherwise on the command
 * line; 16 Mi leave room for that. */
#define MAX_BUCKETS (1u << 24)
/* include/net/af_unix.h: UNIX_HASH_SIZE is 256 * 2 (before 5.18: the table has 2 * 256) */
#define UNIX_BUCKETS 512

struct finder {
    struct xl_guest *g;
    const struct xl_net_vec *nets;
    struct xl_socktable_vec *out;
    struct xb_u64set seen; /* heads of the tables found so far */
};

static enum xvmi_status no_memory(struct finder *f)
{
    return xvmi_error_set(f->g->err, XVMI_ERR_NO_MEMORY, "out of memory");
}

static enum xvmi_status add_table(struct finder *f, enum xvmi_socket_kind kind, uint64_t head,
                                  uint64_t stride, uint64_t count)
{
    if (!xw_is_pointer(head) || count == 0 || count > MAX_BUCKETS)
        return xvmi_error_set(f->g->err, XVMI_ERR_FORMAT,
                              "socket table at 0x%" PRIx64 " with %" PRIu64 " chains", head, count);
    int added = xb_u64set_add(&f->seen, head);
    if (added <= 0)
        return added ? no_memory(f) : XVMI_OK;
    struct xl_socktable table = {head, (uint32_t)stride, (uint32_t)count, kind};
    return xb_vec_push(f->out, table) ? XVMI_OK : no_memory(f);
}

/* Established, time-wait and request sockets; then the listening ones. */
static enum xvmi_status add_tcp(struct finder *f, uint64_t info)
{
    struct xl_guest *g = f->g;
    const struct xw_layout *lay = &g->lay;
    struct xw_fault fault;
    uint64_t ehash, mask, lhash, lmask;
    if (xw_get(g->space, lay, info, hashinfo_ehash, &ehash, &fault) ||
        xw_get(g->space, lay, info, hashinfo_ehash_mask, &mask, &fault))
        return xl_fault(g, &fault);
    enum xvmi_status status = add_table(f, XVMI_SOCKET_TCP, ehash + lay->ehash_bucket_chain.off,
                                        lay->size_ehash_bucket, mask + 1);
    if (status)
        return status;
    /* Before 5.19 sockets are in lhash2 through another node; listening_hash has them, too. */
    if (xw_has(lay->hashinfo_listening))
        return add_table(
            f, XVMI_SOCKET_TCP, info + lay->hashinfo_listening.off + lay->lhash_bucket_head.off,
            lay->size_lhash_bucket, lay->hashinfo_listening.size / lay->size_lhash_bucket);
    if (xw_get(g->space, lay, info, hashinfo_lhash2, &lhash, &fault) ||
        xw_get(g->space, lay, info, hashinfo_lhash2_mask, &lmask, &fault))
        return xl_fault(g, &fault);
    return add_table(f, XVMI_SOCKET_TCP, lhash + lay->lhash_bucket_head.off, lay->size_lhash_bucket,
                     lmask + 1);
}

static enum xvmi_status add_udp(struct finder *f, enum xvmi_socket_kind kind, uint64_t udp_table)
{
    struct xl_guest *g = f->g;
    struct xw_fault fault;
    uint64_t hash, mask;
    if (xw_get(g->space, &g->lay, udp_table, udp_table_hash, &hash, &fault) ||
        xw_get(g->space, &g->lay, udp_table, udp_table_mask, &mask, &fault))
        return xl_fault(g, &fault);
    return add_table(f, kind, hash + g->lay.udp_slot_head.off, g->lay.size_udp_slot, mask + 1);
}

/* The global table of a protocol and those that namespaces have for themselves, found through
 * pointer `field` of struct net where there is such a thing. */
static enum xvmi_status add_per_net(struct finder *f, enum xvmi_socket_kind kind, uint64_t global,
                                    struct xw_field field, uint32_t id)
{
    struct xl_guest *g = f->g;
    struct xb_u64set seen = {0};
    enum xvmi_status status = XVMI_OK;
    if (!global && !xw_has(field))
        return xvmi_error_set(g->err, XVMI_ERR_UNSUPPORTED, "no way to the socket table");
    for (size_t i = 0; i <= f->nets->n && !status; i++) {
        uint64_t table = global;
        struct xw_fault fault;
        if (i && (!xw_has(field) ||
                  xw_uint(g->space, f->nets->v[i - 1].addr, field, id, &table, &fault)))
            table = 0; /* the namespace just went away: its sockets did, too */
        if (!table)
            continue;
        int added = xb_u64set_add(&seen, table);
        if (added < 0)
            status = no_memory(f);
        else if (added)
            status = kind == XVMI_SOCKET_TCP ? add_tcp(f, table) : add_udp(f, kind, table);
    }
    free(seen.slots);
    return status;
}

static enum xvmi_status add_packet(struct finder *f)
{
    const struct xw_field field = f->g->lay.net_packet;
    enum xvmi_status status = XVMI_OK;
    for (size_t i = 0; i < f->nets->n && xw_has(field) && !status; i++)
        status = add_table(f, XVMI_SOCKET_PACKET, f->nets->v[i].addr + field.off, 8, 1);
    return status;
}

static enum xvmi_status add_unix(struct finder *f)
{
    struct xl_guest *g = f->g;
    enum xvmi_status status = XVMI_OK;
    if (g->sym.sym_unix_table)
        return add_table(f, XVMI_SOCKET_UNIX, g->sym.sym_unix_table, 8, UNIX_BUCKETS);
    for (size_t i = 0; i < f->nets->n && xw_has(g->lay.net_unix_buckets) && !status; i++) {
        struct xw_fault fault;
        uint64_t buckets;
        if (xw_get(g->space, &g->lay, f->nets->v[i].addr, net_unix_buckets, &buckets, &fault))
            return xl_fault(g, &fault);
        if (buckets) /* a namespace that is being set up has none yet */
            status = add_table(f, XVMI_SOCKET_UNIX, buckets, 8, UNIX_BUCKETS);
    }
    return status;
}

/* Tables that are arrays of list heads inside a global. */
static enum xvmi_status add_global(struct finder *f, enum xvmi_socket_kind kind, uint64_t symbol,
                                   struct xw_field array)
{
    if (!symbol || !xw_has(array))
        return XVMI_OK;
    return add_table(f, kind, symbol + array.off, 8, array.size / 8);
}

static enum xvmi_status find_tables(struct finder *f, unsigned kinds)
{
    const struct xw_layout *lay = &f->g->lay;
    const struct xw_symbols *sym = &f->g->sym;
    enum xvmi_status status = XVMI_OK;
#define WANTED(kind) (!status && (kinds & XVMI_SOCKET_BIT(kind)))
    if (WANTED(XVMI_SOCKET_TCP))
        status = add_per_net(f, XVMI_SOCKET_TCP, sym->sym_tcp_hashinfo, lay->net_tcp_hashinfo,
                             XW_ID_net_tcp_hashinfo);
    if (WANTED(XVMI_SOCKET_UDP))
        status = add_per_net(f, XVMI_SOCKET_UDP, sym->sym_udp_table, lay->net_udp_table,
                             XW_ID_net_udp_table);
    if (WANTED(XVMI_SOCKET_UDPLITE) && sym->sym_udplite_table)
        status = add_udp(f, XVMI_SOCKET_UDPLITE, sym->sym_udplite_table);
    if (WANTED(XVMI_SOCKET_RAW))
        status = add_global(f, XVMI_SOCKET_RAW, sym->sym_raw_v4, lay->raw_ht);
    if (WANTED(XVMI_SOCKET_RAW))
        status = add_global(f, XVMI_SOCKET_RAW, sym->sym_raw_v6, lay->raw_ht);
    if (WANTED(XVMI_SOCKET_PING))
        status = add_global(f, XVMI_SOCKET_PING, sym->sym_ping_table, lay->ping_hash);
    if (WANTED(XVMI_SOCKET_PACKET))
        status = add_packet(f);
    if (WANTED(XVMI_SOCKET_UNIX))
        status = add_unix(f);
#undef WANTED
    return status;
}

enum xvmi_status xl_socktables(struct xl_guest *g, const struct xl_net_vec *nets, unsigned kinds,
                               struct xl_socktable_vec *tables)
{
    *tables = (struct xl_socktable_vec){0};
    struct finder f = {.g = g, .nets = nets, .out = tables};
    enum xvmi_status status = find_tables(&f, kinds);
    free(f.seen.slots);
    if (status) {
        free(tables->v);
        *tables = (struct xl_socktable_vec){0};
    }
    return status;
}
