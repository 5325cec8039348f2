// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * net/netfilter/nf_conntrack_core.c: each connection is in one hash table twice, by the tuple of
 * its first packet and by that of the answers it expects. What leaves a guest that translates is
 * an answer's opposite, or the opposite of a first packet that came in (a published port): the
 * tuple {remote, local} of the wire finds it either way, and the other of the two tuples has the
 * ends as the socket knows them.
 */
#include "os/linux/conntrack.h"

#include <string.h>

#include "os/linux/module.h"
#include "walk/hash.h"

#define MAX_CHAIN   1024
#define MAX_BUCKETS (1u << 24)

/* struct nf_conntrack_tuple, the same in all versions; checked by its size. */
struct tuple {
    uint8_t src[16];
    uint16_t src_port; /* network order, as below; ICMP: the id */
    uint16_t l3num;
    uint8_t dst[16];
    uint16_t dst_port; /* ICMP: type and code */
    uint8_t proto, dir;
};
_Static_assert(sizeof(struct tuple) == 40, "as the kernel has it");

void xl_conntrack_init(struct xl_conntrack *ct, struct xl_guest *g)
{
    *ct = (struct xl_conntrack){.g = g};
}

/* The table is the module's. It may be loaded at any time: looked for until it is there. */
static enum xvmi_status look_for_module(struct xl_conntrack *ct)
{
    struct xl_module_symbol s[] = {
        {.name = "nf_conntrack_hash"},
        {.name = "nf_conntrack_htable_size"},
        {.name = "nf_conntrack_hash_rnd"},
    };
    if (ct->table)
        return XVMI_OK;
    if (ct->g->lay.size_ct_tuple != sizeof(struct tuple) || !xw_has(ct->g->lay.ct_tuplehash))
        return XVMI_ERR_NOT_FOUND;
    enum xvmi_status status = xl_module_symbols(ct->g, "nf_conntrack", s, 3);
    if (status)
        return status;
    if (!s[0].addr || !s[1].addr || !s[2].addr)
        return XVMI_ERR_NOT_FOUND;
    ct->table = s[0].addr;
    ct->size = s[1].addr;
    ct->rnd = s[2].addr;
    ct->rnd_size = s[2].size;
    return XVMI_OK;
}

/* --- the hash, in its three forms --- */

static uint64_t rol64(uint64_t v, int n)
{
    return v << n | v >> (64 - n);
}

static void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = rol64(v[1], 13) ^ v[0];
    v[0] = rol64(v[0], 32);
    v[2] += v[3];
    v[3] = rol64(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = rol64(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = rol64(v[1], 17) ^ v[2];
    v[2] = rol64(v[2], 32);
}

/* SipHash-2-4 (Aumasson, Bernstein) */
static uint64_t siphash(const void *data, size_t len, const uint64_t key[2])
{
    uint64_t v[4] = {key[0] ^ 0x736f6d6570736575, key[1] ^ 0x646f72616e646f6d,
                     key[0] ^ 0x6c7967656e657261, key[1] ^ 0x7465646279746573};
    const uint8_t *p = data;
    for (size_t done = 0; done <= len; done += 8) {
        uint64_t m = 0;
        size_t some = len - done < 8 ? len - done : 8;
        memcpy(&m, p + done, some);
        if (some < 8)
            m |= (uint64_t)len << 56;
        v[3] ^= m;
        sip_round(v);
        sip_round(v);
        v[0] ^= m;
    }
    v[2] ^= 0xff;
    for (int i = 0; i < 4; i++)
        sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

/* Before siphash: jhash2() of the nine words up to the destination's address. */
static uint32_t hash_by_jhash(const struct tuple *t, uint32_t seed)
{
    uint32_t k[9];
    memcpy(k, t, sizeof(k));
    seed ^= (uint32_t)t->dst_port << 16 | t->proto;
    uint32_t init = XW_JHASH_INITVAL + (9 << 2) + seed;
    struct xw_jhash h = xw_jhash_mix((struct xw_jhash){init + k[0], init + k[1], init + k[2]});
    h = xw_jhash_mix((struct xw_jhash){h.a + k[3], h.b + k[4], h.c + k[5]});
    return xw_jhash_final(h.a + k[6], h.b + k[7], h.c + k[8]);
}

/* 5.15 to 6.1: a struct made for the purpose. */
static uint32_t hash_combined(const struct tuple *t, uint32_t hash_mix, const uint64_t key[2])
{
    struct {
        uint8_t src[20], dst[16];
        uint32_t zone, net_mix;
        uint16_t dport, proto;
    } combined = {.net_mix = hash_mix, .dport = t->dst_port, .proto = t->proto};
    memcpy(combined.src, t, sizeof(combined.src));
    memcpy(combined.dst, t->dst, sizeof(combined.dst));
    return (uint32_t)siphash(&combined, sizeof(combined), key);
}

static enum xvmi_status hash_tuple(struct xl_conntrack *ct, const struct tuple *t,
                                   uint32_t hash_mix, uint32_t *hash)
{
    struct xl_guest *g = ct->g;
    uint64_t key[2];
    uint32_t seed;
    if (ct->rnd_size == 4) {
        if (xo_read_u32(g->space, ct->rnd, &seed))
            return xo_fault(g->space, g->err);
        *hash = hash_by_jhash(t, seed ^ hash_mix);
        return XVMI_OK;
    }
    if (xo_read(g->space, ct->rnd, key, sizeof(key)))
        return xo_fault(g->space, g->err);
    if (!xw_has(g->lay.ct_hash_end)) {
        *hash = hash_combined(t, hash_mix, key);
        return XVMI_OK;
    }
    key[1] ^= hash_mix; /* the zone, 0, goes into key[0] */
    *hash = (uint32_t)siphash(t, offsetof(struct tuple, dir), key);
    return XVMI_OK;
}

/* --- the table --- */

static bool same_tuple(const struct tuple *a, const struct tuple *b)
{
    return !memcmp(a, b, offsetof(struct tuple, dir));
}

/* The other tuple of the connection that `entry` (a nf_conntrack_tuple_hash) is half of. */
static bool other_tuple(struct xl_guest *g, uint64_t net, uint64_t entry, uint8_t dir,
                        struct tuple *other)
{
    const uint64_t size = g->lay.size_ct_tuple_hash;
    uint64_t conn = entry - g->lay.ct_tuplehash.off - (dir ? size : 0), owner;
    struct xw_fault fault;
    return dir <= 1 && !xw_get(g->space, &g->lay, conn, ct_net, &owner, &fault) && owner == net &&
           !xo_read(g->space,
                    conn + g->lay.ct_tuplehash.off + (dir ? 0 : size) +
                        g->lay.ct_tuple_hash_tuple.off,
                    other, sizeof(*other));
}

static enum xvmi_status search_bucket(struct xl_conntrack *ct, uint64_t net, uint64_t head,
                                      const struct tuple *wanted, struct tuple *other)
{
    struct xl_guest *g = ct->g;
    uint64_t node;
    if (xo_read_u64(g->space, head, &node))
        return xo_fault(g->space, g->err);
    for (int i = 0; i < MAX_CHAIN && !xw_chain_ends(node) && xw_is_pointer(node); i++) {
        struct tuple t;
        if (xo_read(g->space, node + g->lay.ct_tuple_hash_tuple.off, &t, sizeof(t)))
            return xo_fault(g->space, g->err);
        if (same_tuple(&t, wanted) && other_tuple(g, net, node, t.dir, other))
            return XVMI_OK;
        if (xo_read_u64(g->space, node, &node))
            return xo_fault(g->space, g->err);
    }
    return XVMI_ERR_NOT_FOUND;
}

/* What the kernel expects to see arrive: the wire's flow, from the other side. */
static struct tuple tuple_of(const struct xvmi_flow *flow)
{
    struct tuple t = {
        .src_port = __builtin_bswap16(flow->rport),
        .l3num = flow->family,
        .dst_port = __builtin_bswap16(flow->lport),
        .proto = flow->proto,
    };
    memcpy(t.src, flow->remote, 16);
    memcpy(t.dst, flow->local, 16);
    if (flow->proto == 1 || flow->proto == 58) { /* the answer to an echo of this id */
        t.src_port = __builtin_bswap16(flow->lport);
        t.dst_port = flow->proto == 58 ? 129 : 0;
    }
    return t;
}

enum xvmi_status xl_conntrack_find(struct xl_conntrack *ct, uint64_t net, uint32_t hash_mix,
                                   const struct xvmi_flow *flow, struct xvmi_flow *inside)
{
    struct xl_guest *g = ct->g;
    const struct tuple wanted = tuple_of(flow);
    struct tuple other;
    uint64_t table;
    uint32_t size, hash = 0;
    enum xvmi_status status = look_for_module(ct);
    if (!status)
        status = hash_tuple(ct, &wanted, hash_mix, &hash);
    if (status)
        return status;
    if (xo_read_u64(g->space, ct->table, &table) || xo_read_u32(g->space, ct->size, &size))
        return xo_fault(g->space, g->err);
    if (!xw_is_pointer(table) || !size || size > MAX_BUCKETS)
        return xvmi_error_set(g->err, XVMI_ERR_FORMAT, "connection table of %u chains", size);
    uint64_t bucket = (uint64_t)hash * size >> 32; /* reciprocal_scale() */
    status = search_bucket(ct, net, table + bucket * 8, &wanted, &other);
    if (status)
        return status;
    *inside = *flow;
    memcpy(inside->local, other.src, 16);
    memcpy(inside->remote, other.dst, 16);
    inside->lport = __builtin_bswap16(other.src_port);
    if (flow->proto != 1 && flow->proto != 58)
        inside->rport = __builtin_bswap16(other.dst_port);
    return memcmp(inside, flow, sizeof(*flow)) ? XVMI_OK : XVMI_ERR_NOT_FOUND;
}
