// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* What a socket is to a flow: the kernel's own rules of which one is the best match. */
#include <string.h>

#include "os/linux/sockfind.h"

#define LOOPBACK_IFINDEX 1 /* include/net/flow.h */

static uint64_t field(const struct xl_common *c, struct xw_field f)
{
    uint64_t v = 0;
    if (!f.size || f.size > 8 || f.off > sizeof(c->raw) - f.size)
        return 0;
    memcpy(&v, c->raw + f.off, f.size);
    return f.bits ? v >> f.shift & ((1u << f.bits) - 1) : v;
}

static bool same_bytes(const struct xl_common *c, struct xw_field f, const void *bytes, size_t len)
{
    return f.size >= len && f.off <= sizeof(c->raw) - len && !memcmp(c->raw + f.off, bytes, len);
}

static bool all_zero(const struct xl_common *c, struct xw_field f, size_t len)
{
    static const uint8_t zero[16];
    return same_bytes(c, f, zero, len);
}

static bool is_mapped(const struct xl_common *c, struct xw_field f)
{
    static const uint8_t prefix[12] = {[10] = 0xff, [11] = 0xff};
    return same_bytes(c, f, prefix, 12);
}

/* --- what a socket is to a flow; 0: nothing --- */

/* How well a local address fits: 2 the same, 1 any, 0 not. Sockets of the other family count for
 * IPv4 when they take it (no IPV6_V6ONLY), as they are filed with the IPv4 address as well. */
static int match_local(const struct xw_layout *lay, const struct xl_query *q,
                       const struct xl_common *c)
{
    bool v6 = field(c, lay->skc_family) == XW_AF_INET6;
    if (q->flow.family == XW_AF_INET6) {
        if (!v6)
            return 0;
        if (all_zero(c, lay->skc_v6_rcv_saddr, 16))
            return 1;
        return same_bytes(c, lay->skc_v6_rcv_saddr, q->local, 16) ? 2 : 0;
    }
    if (v6 && (field(c, lay->skc_ipv6only) ||
               (!all_zero(c, lay->skc_v6_rcv_saddr, 16) && !is_mapped(c, lay->skc_v6_rcv_saddr))))
        return 0;
    if (all_zero(c, lay->skc_rcv_saddr, 4))
        return 1;
    return same_bytes(c, lay->skc_rcv_saddr, q->local, 4) ? 2 : 0;
}

/* The same of the remote address. */
static int match_remote(const struct xw_layout *lay, const struct xl_query *q,
                        const struct xl_common *c)
{
    bool v6 = field(c, lay->skc_family) == XW_AF_INET6;
    if (q->flow.family == XW_AF_INET6) {
        if (!v6)
            return 0;
        if (all_zero(c, lay->skc_v6_daddr, 16))
            return 1;
        return same_bytes(c, lay->skc_v6_daddr, q->remote, 16) ? 2 : 0;
    }
    if (v6 && !all_zero(c, lay->skc_v6_daddr, 16) && !is_mapped(c, lay->skc_v6_daddr))
        return 0;
    if (all_zero(c, lay->skc_daddr, 4))
        return 1;
    return same_bytes(c, lay->skc_daddr, q->remote, 4) ? 2 : 0;
}

/* Both ends are the guest's own: what goes between them goes by the loopback device. */
static bool is_inside(const struct xl_query *q)
{
    static const uint32_t loopback6[4] = {[3] = 0x01000000}; /* ::1 */
    const bool v6 = q->flow.family == XW_AF_INET6;
    return !memcmp(q->local, q->remote, 16) ||
           (v6 ? !memcmp(q->local, loopback6, 16) : *(const uint8_t *)q->local == 127);
}

/*
 * By which device a flow comes or goes is not known here, so that a socket is bound to one says
 * nothing for it, as it would for the kernel. Against it, only of what is received and when it is
 * the loopback device (1 in every namespace): nothing comes in by that. A sender may have bound
 * itself after it sent.
 */
static bool match_device(const struct xw_layout *lay, const struct xl_query *q,
                         const struct xl_common *c)
{
    return q->flow.direction == XVMI_FLOW_OUT ||
           field(c, lay->skc_bound_dev_if) != LOOPBACK_IFINDEX || is_inside(q);
}

static bool match_place(const struct xw_layout *lay, const struct xl_query *q,
                        const struct xl_common *c)
{
    return field(c, lay->skc_net) == q->net && field(c, lay->skc_num) == q->lport &&
           match_device(lay, q, c);
}

int xl_score_established(const struct xw_layout *lay, const struct xl_query *q,
                         const struct xl_common *c)
{
    uint16_t rport = __builtin_bswap16(q->flow.rport);
    return field(c, lay->skc_hash) == q->hash && match_place(lay, q, c) &&
           field(c, lay->skc_dport) == rport && match_local(lay, q, c) == 2 &&
           match_remote(lay, q, c) == 2;
}

int xl_score_listener(const struct xw_layout *lay, const struct xl_query *q,
                      const struct xl_common *c)
{
    int local = match_local(lay, q, c);
    if (!local || !match_place(lay, q, c) || field(c, lay->skc_state) != XVMI_STATE_LISTEN)
        return 0;
    return local * 8 + (field(c, lay->skc_family) == q->flow.family);
}

/* compute_score() of UDP, which is for what arrives. What is sent may come from any socket that has
 * the port (SO_REUSEADDR asks for no user): that one is connected says nothing against others. */
int xl_score_udp(const struct xw_layout *lay, const struct xl_query *q, const struct xl_common *c)
{
    int local = match_local(lay, q, c), remote = match_remote(lay, q, c);
    uint64_t dport = field(c, lay->skc_dport);
    if (!local || !remote || !match_place(lay, q, c) ||
        (dport && dport != __builtin_bswap16(q->flow.rport)))
        return 0;
    if (q->flow.direction == XVMI_FLOW_OUT)
        return 1;
    return local * 16 + (remote == 2) * 4 + (dport != 0) * 4 +
           (field(c, lay->skc_family) == q->flow.family);
}

/* Raw and ping sockets: skc_num is the protocol or the id, any address or this one. */
int xl_score_raw(const struct xw_layout *lay, const struct xl_query *q, const struct xl_common *c)
{
    return field(c, lay->skc_family) == q->flow.family && match_place(lay, q, c) &&
           match_local(lay, q, c) && match_remote(lay, q, c);
}

/* Its association says that it is the one; which of those that listen, its address: more than one
 * that it may be bound to are not known here. */
int xl_score_sctp(const struct xw_layout *lay, const struct xl_query *q, const struct xl_common *c)
{
    return match_place(lay, q, c) ? 1 + match_local(lay, q, c) : 0;
}

int xl_score_packet(const struct xw_layout *lay, const struct xl_query *q,
                    const struct xl_common *c)
{
    return field(c, lay->skc_net) == q->net;
}
