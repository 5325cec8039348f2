// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Finding a socket by its tuple.
 *
 * Each lookup is the kernel's (net/ipv4/inet_hashtables.c, udp.c, raw.c, ping.c and their IPv6
 * twins), from the sender's side. A chain is followed with the same care as in chain.c: a step that
 * does not hold from both sides, or a nulls marker of another chain, starts it over.
 */
#include "os/linux/sockfind.h"

#include <stdlib.h>
#include <string.h>

#include "base/vec.h"
#include "os/linux/chain.h"
#include "walk/hash.h"

#define MAX_CHAIN        4096 /* sockets in a bucket: a hash gives a few, a flood of equal ports more */
#define RAW_LOG          8  /* RAW_HTABLE_LOG */
#define PING_MASK        63 /* PING_HTABLE_SIZE - 1 */
#define IPPROTO_ICMP_    1
#define IPPROTO_TCP_     6
#define IPPROTO_UDP_     17
#define IPPROTO_ICMPV6_  58
#define IPPROTO_SCTP_    132
#define IPPROTO_UDPLITE_ 136
#define IPPROTO_RAW_     255

/* --- following a chain --- */

struct chain {
    uint64_t head;
    struct xw_field node; /* which of its nodes the sockets hang by */
    uint64_t marker;      /* the value that ends it; 0: NULL */
    bool nulls;
    xl_score_fn *score;
};

static void keep_best(struct xl_found *found, const struct chain *chain, const struct xl_query *q,
                      uint64_t sock, int score)
{
    if (score < found->score || score == 0)
        return;
    if (score > found->score)
        found->n = found->more = 0;
    found->score = score;
    found->score_fn = chain->score;
    found->bucket = chain->head;
    found->query = *q;
    if (found->n < XVMI_OWNERS_MAX)
        found->sock[found->n++] = sock;
    else
        found->more = true;
}

static enum xvmi_status follow_once(const struct xl_sockfind *f, const struct chain *chain,
                                    const struct xl_query *q, struct xl_found *found)
{
    struct xl_guest *g = f->g;
    enum xvmi_status status;
    struct xl_common c;
    uint64_t link = chain->head, node;
    size_t len = g->lay.size_sock_common;
    if (xo_read_u64(g->space, link, &node))
        return xo_fault(g->space, g->err);
    for (int i = 0; i < MAX_CHAIN; i++) {
        if (xw_chain_ends(node))
            return !chain->nulls || node == chain->marker
                       ? XVMI_OK
                       : xvmi_error_set(g->err, XVMI_ERR_CHANGED, "led into another chain");
        if (!xw_is_pointer(node))
            return xvmi_error_set(g->err, XVMI_ERR_FORMAT, "chain with a bad pointer");
        if (i % 16 == 15 && (status = xl_budget_check(g, f->budget)))
            return status;
        c.addr = node - chain->node.off;
        if (xo_read(g->space, c.addr, c.raw, len))
            return xo_fault(g->space, g->err);
        uint64_t next, back;
        memcpy(&next, c.raw + chain->node.off, 8);
        memcpy(&back, c.raw + chain->node.off + 8, 8);
        if (back != link)
            return xvmi_error_set(g->err, XVMI_ERR_CHANGED, "changed while looking");
        keep_best(found, chain, q, c.addr, chain->score(&g->lay, q, &c));
        link = node;
        node = next;
    }
    return xvmi_error_set(g->err, XVMI_ERR_LIMIT, "a chain of more than %d sockets", MAX_CHAIN);
}

static enum xvmi_status follow(const struct xl_sockfind *f, const struct chain *chain,
                               const struct xl_query *q, struct xl_found *found)
{
    const struct xl_found before = *found;
    enum xvmi_status status = XVMI_OK;
    for (int i = 0; i < XL_RETRIES; i++) {
        status = follow_once(f, chain, q, found);
        if (!status || status == XVMI_ERR_LIMIT)
            break;
        *found = before;
        xo_invalidate(f->g->space);
    }
    return status;
}

/* --- the tables --- */

static uint64_t nulls_marker(uint32_t slot)
{
    return 1 | (uint64_t)slot << 1; /* NULLS_MARKER() */
}

/* The hash of a connection by one of the ways that kernels compute it. */
static uint32_t tcp_hash(const struct xl_sockfind *f, const struct xl_query *q,
                         struct xl_hash_way way)
{
    const uint16_t rport = __builtin_bswap16(q->flow.rport);
    const uint16_t inside = way.port == XL_PORT_INSIDE ? q->lport : 0;
    const uint32_t addr_secret = f->addr_secrets[way.addr_secret];
    if (way.port == XL_PORT_ADDED_WHOLE)
        return xw_tcp6_hash_whole(q->local, q->lport, q->remote, rport, addr_secret,
                                  q->t->hash_mix);
    uint32_t hash =
        q->flow.family == XW_AF_INET6
            ? xw_tcp6_hash(q->local, inside, q->remote, rport, addr_secret,
                           f->secret6 + q->t->hash_mix)
            : xw_tcp4_hash(q->local[0], inside, q->remote[0], rport, f->secret4 + q->t->hash_mix);
    return way.port == XL_PORT_ADDED ? hash + q->lport : hash;
}

static enum xvmi_status follow_established(struct xl_sockfind *f, struct xl_query *q,
                                           struct xl_hash_way way, struct xl_found *found)
{
    const struct xw_layout *lay = &f->g->lay;
    q->hash = tcp_hash(f, q, way);
    uint32_t slot = q->hash & q->t->ehash_mask;
    struct chain chain = {
        .head = q->t->ehash + (uint64_t)slot * lay->size_ehash_bucket + lay->ehash_bucket_chain.off,
        .node = lay->skc_node,
        .nulls = true,
        .marker = nulls_marker(slot),
        .score = xl_score_established,
    };
    return follow(f, &chain, q, found);
}

/* The way that worked before, or all there are until one does. */
static enum xvmi_status find_established(struct xl_sockfind *f, struct xl_query *q,
                                         struct xl_found *found)
{
    bool v6 = q->flow.family == XW_AF_INET6;
    struct xl_hash_way *way = &f->way[v6];
    enum xvmi_status status = XVMI_OK;
    found->via = XVMI_VIA_EHASH;
    if (way->known)
        return follow_established(f, q, *way, found);
    uint32_t secrets = v6 ? f->n_addr_secrets : 1;
    uint32_t ports = !f->hotdata ? 1 : v6 ? XL_PORT_ADDED_WHOLE + 1 : XL_PORT_ADDED + 1;
    for (uint32_t i = 0; i < secrets * ports && !status; i++) {
        struct xl_hash_way try = {.addr_secret = i % secrets,
                                  .port = (enum xl_port_way)(i / secrets)};
        status = follow_established(f, q, try, found);
        if (!status && found->n) {
            *way = try;
            way->known = true;
            break;
        }
    }
    return status;
}

static enum xvmi_status follow_listeners(struct xl_sockfind *f, struct xl_query *q, uint32_t hash,
                                         struct xl_found *found)
{
    const struct xw_layout *lay = &f->g->lay;
    struct chain chain = {
        .head = q->t->lhash + (uint64_t)(hash & q->t->lhash_mask) * lay->size_lhash_bucket +
                lay->lhash_bucket_head.off,
        .node = lay->skc_node,
        .score = xl_score_listener,
    };
    return follow(f, &chain, q, found);
}

static enum xvmi_status find_listener(struct xl_sockfind *f, struct xl_query *q,
                                      struct xl_found *found)
{
    found->via = XVMI_VIA_LISTEN;
    found->kind = XVMI_SOCKET_TCP;
    uint32_t mix = q->t->hash_mix;
    if (xw_has(f->g->lay.hashinfo_listening)) /* inet_lhashfn(): by port alone */
        return follow_listeners(f, q, q->lport + mix, found);
    bool v6 = q->flow.family == XW_AF_INET6;
    enum xvmi_status status = follow_listeners(f, q,
                                               v6 ? xw_portaddr6_hash(q->local, q->lport, mix)
                                                  : xw_portaddr4_hash(q->local[0], q->lport, mix),
                                               found);
    if (status || found->n)
        return status;
    return follow_listeners(f, q, xw_portaddr4_hash(0, q->lport, mix), found);
}

static enum xvmi_status follow_udp2(struct xl_sockfind *f, const struct xl_udp_table *t,
                                    struct xl_query *q, uint32_t hash, struct xl_found *found)
{
    const struct xw_layout *lay = &f->g->lay;
    /* hash2 has larger slots than hash since 6.13 */
    uint32_t stride = lay->size_udp_slot_main ? lay->size_udp_slot_main : lay->size_udp_slot;
    struct chain chain = {
        .head = t->hash2 + (uint64_t)(hash & t->mask) * stride + lay->udp_slot_head.off,
        .node = lay->skc_portaddr_node,
        .score = xl_score_udp,
    };
    return follow(f, &chain, q, found);
}

static enum xvmi_status find_udp(struct xl_sockfind *f, const struct xl_udp_table *t,
                                 struct xl_query *q, struct xl_found *found)
{
    uint32_t mix = q->t->hash_mix;
    bool v6 = q->flow.family == XW_AF_INET6, all = q->flow.direction == XVMI_FLOW_OUT;
    uint32_t own = v6 ? xw_portaddr6_hash(q->local, q->lport, mix)
                      : xw_portaddr4_hash(q->local[0], q->lport, mix);
    uint32_t any = xw_portaddr4_hash(0, q->lport, mix);
    found->via = XVMI_VIA_UDP_HASH2;
    enum xvmi_status status = follow_udp2(f, t, q, own, found);
    if (!status && (all ? (own ^ any) & t->mask : !found->n))
        status = follow_udp2(f, t, q, any, found);
    if (status || found->n)
        return status;
    /* A socket between two hashes: the first one has it always. */
    const struct xw_layout *lay = &f->g->lay;
    struct chain chain = {
        .head = t->hash + (uint64_t)((q->lport + mix) & t->mask) * lay->size_udp_slot +
                lay->udp_slot_head.off,
        .node = lay->skc_node,
        .score = xl_score_udp,
    };
    found->via = XVMI_VIA_UDP_HASH;
    return follow(f, &chain, q, found);
}

/* Raw sockets hash by protocol alone before 6.1, mixed with the namespace since; the layout does
 * not tell which, so both chains are looked at. */
static enum xvmi_status find_raw(struct xl_sockfind *f, struct xl_query *q, uint16_t num,
                                 struct xl_found *found)
{
    const struct xw_layout *lay = &f->g->lay;
    uint64_t table = q->flow.family == XW_AF_INET6 ? f->g->sym.sym_raw_v6 : f->g->sym.sym_raw_v4;
    if (!table)
        return XVMI_OK;
    const uint32_t slots[] = {xw_hash_32(q->t->hash_mix ^ num, RAW_LOG),
                              num & ((1u << RAW_LOG) - 1)};
    enum xvmi_status status = XVMI_OK;
    found->via = XVMI_VIA_RAW;
    found->kind = XVMI_SOCKET_RAW;
    q->lport = num;
    for (int i = 0; i < 2 && !status && !(i && slots[0] == slots[1]); i++) {
        struct chain chain = {.head = table + lay->raw_ht.off + (uint64_t)slots[i] * 8,
                              .node = lay->skc_node,
                              .score = xl_score_raw};
        status = follow(f, &chain, q, found);
    }
    return status;
}

static enum xvmi_status find_ping(struct xl_sockfind *f, struct xl_query *q, struct xl_found *found)
{
    const struct xw_layout *lay = &f->g->lay;
    if (!f->g->sym.sym_ping_table || !xw_has(lay->ping_hash))
        return XVMI_OK;
    struct chain chain = {
        .head = f->g->sym.sym_ping_table + lay->ping_hash.off +
                (uint64_t)((q->lport + q->t->hash_mix) & PING_MASK) * 8,
        .node = lay->skc_node,
        .score = xl_score_raw,
    };
    found->via = XVMI_VIA_PING;
    found->kind = XVMI_SOCKET_PING;
    return follow(f, &chain, q, found);
}

static enum xvmi_status find_packet(struct xl_sockfind *f, struct xl_query *q,
                                    struct xl_found *found)
{
    if (!xw_has(f->g->lay.net_packet))
        return XVMI_OK;
    struct chain chain = {.head = q->net + f->g->lay.net_packet.off,
                          .node = f->g->lay.skc_node,
                          .score = xl_score_packet};
    found->via = XVMI_VIA_PACKET;
    found->kind = XVMI_SOCKET_PACKET;
    return follow(f, &chain, q, found);
}

static enum xvmi_status find_sctp(struct xl_sockfind *f, struct xl_query *q, struct xl_found *found)
{
    struct xl_sctp_sockets sockets;
    struct xl_common c;
    enum xvmi_status status =
        xl_sctp_find(&f->sctp, q->net, q->t->hash_mix, &q->flow, f->budget, &sockets);
    const struct chain chain = {.head = sockets.slot, .score = xl_score_sctp};
    found->via = XVMI_VIA_SCTP;
    found->kind = XVMI_SOCKET_SCTP;
    for (uint32_t i = 0; i < sockets.n && !status; i++) {
        c.addr = sockets.sock[i];
        if (xo_read(f->g->space, c.addr, c.raw, f->g->lay.size_sock_common))
            return xo_fault(f->g->space, f->g->err);
        keep_best(found, &chain, q, c.addr, xl_score_sctp(&f->g->lay, q, &c));
    }
    found->more = found->more || (found->n && sockets.more);
    return status;
}

/* Sockets of the flow's own protocol. */
static enum xvmi_status find_own(struct xl_sockfind *f, struct xl_query *q, struct xl_found *found)
{
    switch (q->flow.proto) {
    case IPPROTO_TCP_: {
        found->kind = XVMI_SOCKET_TCP;
        enum xvmi_status status = find_established(f, q, found);
        return status || found->n ? status : find_listener(f, q, found);
    }
    case IPPROTO_UDP_:
        found->kind = XVMI_SOCKET_UDP;
        return find_udp(f, &q->t->udp, q, found);
    case IPPROTO_ICMP_:
    case IPPROTO_ICMPV6_:
        return find_ping(f, q, found);
    case IPPROTO_SCTP_:
        return find_sctp(f, q, found);
    case IPPROTO_UDPLITE_:
        found->kind = XVMI_SOCKET_UDPLITE;
        return q->t->udplite.hash ? find_udp(f, &q->t->udplite, q, found) : XVMI_OK;
    default:
        return XVMI_OK;
    }
}

/* In one namespace: its own protocol's sockets, else raw ones, else packet sockets. */
static enum xvmi_status find_in_net(struct xl_sockfind *f, const struct xvmi_flow *flow,
                                    uint32_t net, bool last_resort, struct xl_found *found)
{
    struct xl_query q = {
        .flow = *flow, .t = &f->tables[net], .net = f->tables[net].net, .lport = flow->lport};
    memcpy(q.local, flow->local, 16);
    memcpy(q.remote, flow->remote, 16);
    *found = (struct xl_found){.net = net};
    enum xvmi_status status = find_own(f, &q, found);
    if (!status && !found->n && last_resort)
        status = find_raw(f, &q, flow->proto, found);
    if (!status && !found->n && last_resort)
        status = find_raw(f, &q, IPPROTO_RAW_, found);
    if (!status && !found->n && last_resort)
        status = find_packet(f, &q, found);
    if (!found->n)
        found->via = XVMI_VIA_NO_SOCKET;
    return status;
}

/* --- namespaces --- */

/* Namespaces that explain one flow. It is that of the one with the device whose MAC address the
 * frame has, if that is known; then that of the one with the hardware; else it cannot be told. */
struct contest {
    const struct xvmi_flow *flow;
    const uint8_t *mac;
    bool last_resort;
    struct xl_found *best;
    uint32_t entered; /* how many had their say */
    bool tied;        /* `rival` has as good a claim as the best */
    uint32_t rival;
};

static int claim(const struct xl_sockfind *f, const uint8_t *mac, uint32_t net)
{
    bool device = mac && xl_net_has_device(f->g, f->tables[net].net, mac);
    return 2 * device + xl_net_has_device(f->g, f->tables[net].net, NULL);
}

/* Received by a group of hosts: not an address that any device has. */
static bool is_group(const struct xvmi_flow *flow)
{
    static const uint8_t everybody[4] = {255, 255, 255, 255};
    if (flow->direction != XVMI_FLOW_IN) /* nobody sends from such an address */
        return false;
    return flow->family == XW_AF_INET6
               ? flow->local[0] == 0xff
               : flow->local[0] >> 4 == 14 || !memcmp(flow->local, everybody, 4);
}

/* One more namespace has its say. */
static enum xvmi_status enter(struct xl_sockfind *f, struct contest *c, uint32_t net)
{
    struct xl_found here;
    enum xvmi_status status = c->entered++ ? xl_budget_check(f->g, f->budget) : XVMI_OK;
    if (!status)
        status = find_in_net(f, c->flow, net, c->last_resort, &here);
    if (status || !here.n)
        return status;
    int lead = c->best->n ? claim(f, c->mac, net) - claim(f, c->mac, c->best->net) : 1;
    if (lead > 0) {
        *c->best = here;
        c->tied = false;
    } else if (!lead) {
        c->tied = true;
        c->rival = net;
    }
    return XVMI_OK;
}

/* Only now: a namespace that came later may have beaten two that were even. */
static enum xvmi_status judge(const struct xl_sockfind *f, const struct contest *c)
{
    if (!c->tied)
        return XVMI_OK;
    return xvmi_error_set(f->g->err, XVMI_ERR_UNSUPPORTED,
                          "network namespaces %u and %u have this address and this flow",
                          f->nets.v[c->best->net].inum, f->nets.v[c->rival].inum);
}

bool xl_sockfind_foreign(const struct xl_sockfind *f, const struct xvmi_flow *flow)
{
    static const uint8_t none[16]; /* of a host that has no address yet */
    size_t n;
    const struct xl_addr *has = xl_addr_find(&f->addrs, flow->family, flow->local, &n);
    if (flow->direction != XVMI_FLOW_OUT || !memcmp(flow->local, none, sizeof(none)))
        return false;
    while (n && has[n - 1].broadcast)
        n--;
    return !n;
}

/* In the namespaces that have the local address. */
static enum xvmi_status find_in_nets(struct xl_sockfind *f, const struct xvmi_flow *flow,
                                     const uint8_t *mac, bool last_resort, struct xl_found *found)
{
    size_t n;
    const struct xl_addr *has = xl_addr_find(&f->addrs, flow->family, flow->local, &n);
    enum xvmi_status status = XVMI_OK;
    struct contest c = {.flow = flow, .mac = mac, .last_resort = last_resort && n, .best = found};
    *found = (struct xl_found){0};
    for (size_t i = 0; i < n && !status; i++)
        if (!has[i].broadcast || flow->direction == XVMI_FLOW_IN)
            status = enter(f, &c, has[i].net);
    for (uint32_t i = 0; !n && is_group(flow) && i < f->nets.n && !status; i++)
        status = enter(f, &c, i);
    return status ? status : judge(f, &c);
}

/* Behind the NAT of a namespace that has the local address. */
static enum xvmi_status find_translated(struct xl_sockfind *f, const struct xvmi_flow *flow,
                                        struct xl_found *found)
{
    size_t n;
    const struct xl_addr *has = xl_addr_find(&f->addrs, flow->family, flow->local, &n);
    for (size_t i = 0; i < n; i++) {
        const struct xl_net_tables *t = &f->tables[has[i].net];
        struct xvmi_flow inside;
        enum xvmi_status status =
            xl_conntrack_find(&f->conntrack, t->net, t->hash_mix, flow, &inside);
        if (status == XVMI_ERR_NOT_FOUND)
            continue;
        if (!status)
            status = find_in_nets(f, &inside, NULL, false, found);
        if (status)
            return status;
        if (found->n) {
            found->translated = true;
            found->inside = inside;
            return XVMI_OK;
        }
    }
    return XVMI_OK;
}

enum xvmi_status xl_sockfind(struct xl_sockfind *f, const struct xvmi_flow *flow,
                             const uint8_t *mac, struct xl_found *found)
{
    enum xvmi_status status = XVMI_OK;
    const bool fresh = !xl_net_tables_hold(f);
    if (fresh)
        status = xl_net_tables_read(f);
    if (!status)
        status = find_in_nets(f, flow, mac, false, found);
    /* Addresses and namespaces may have changed since we looked. */
    if (!status && !found->n && !fresh) {
        status = xl_net_tables_read(f);
        if (!status)
            status = find_in_nets(f, flow, mac, false, found);
    }
    if (!status && !found->n)
        status = find_translated(f, flow, found);
    if (!status && !found->n)
        status = find_in_nets(f, flow, mac, true, found);
    return status;
}

bool xl_sockfind_still(const struct xl_sockfind *f, const struct xl_found *found, uint32_t i)
{
    struct xl_common c;
    c.addr = found->sock[i];
    return !xo_read(f->g->space, c.addr, c.raw, f->g->lay.size_sock_common) &&
           found->score_fn(&f->g->lay, &found->query, &c) == found->score;
}

enum xvmi_status xl_sockfind_listener(struct xl_sockfind *f, uint32_t net,
                                      const struct xvmi_flow *flow, struct xl_found *found)
{
    struct xl_query q = {
        .flow = *flow, .t = &f->tables[net], .net = f->tables[net].net, .lport = flow->lport};
    memcpy(q.local, flow->local, 16);
    memcpy(q.remote, flow->remote, 16);
    *found = (struct xl_found){.net = net};
    return find_listener(f, &q, found);
}
