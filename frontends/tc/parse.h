/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause OR GPL-2.0-only */
#ifndef XTC_PARSE_H
#define XTC_PARSE_H

/*
 * The flow of a frame, for the frames whose flow is plain. Compiled into the BPF programs and into
 * the agent. Where it answers, libxvmi's own parser (xvmi_filter_decide()) says the same; frames
 * that it does not answer for (fragments, malformed ones, ARP, neighbour discovery, headers that
 * do not lie in the first XTC_HEADERS bytes) are the agent's business.
 *
 * Written for the verifier: each access is preceded by a comparison with `end`, and offsets are
 * small.
 */

#include <xvmi/flow.h>

#include "shared.h"

/* Bytes of a frame that are looked at. */
#define XTC_HEADERS    192u
#define XTC_EXTENSIONS 8
/* As libxvmi: longer is malformed. */
#define XTC_FRAME_MAX (65535u + 64u)

#ifdef __bpf__
#define XTC_INLINE           static __attribute__((always_inline)) inline
#define XTC_COPY32(to, from) (*(uint32_t *)(to) = *(const uint32_t *)(from))
#else
#define XTC_INLINE           static inline
#define XTC_COPY32(to, from) __builtin_memcpy((to), (from), 4)
#endif

XTC_INLINE uint16_t xtc_load16(const uint8_t *p)
{
#ifdef __bpf__
    return __builtin_bswap16(*(const uint16_t *)p);
#else
    return (uint16_t)(p[0] << 8 | p[1]);
#endif
}

struct xtc_frame {
    const uint8_t *data, *end; /* of the bytes that can be looked at */
    uint32_t len;              /* of the whole frame */
    uint32_t tags;             /* VLAN tags that the kernel took out of it */
    int in;                    /* the guest receives it */
};

/* Ports lie at the same place in all that have them. `room` is what the IP packet holds from
 * there on. */
XTC_INLINE int xtc_parse_ports(const struct xtc_frame *f, const uint8_t *l4, uint32_t header,
                               uint32_t room, struct xvmi_flow *flow)
{
    if (room < header)
        return 0;
    flow->lport = xtc_load16(l4 + (f->in ? 2 : 0));
    flow->rport = xtc_load16(l4 + (f->in ? 0 : 2));
    return 1;
}

XTC_INLINE int xtc_parse_tcp(const struct xtc_frame *f, const uint8_t *l4, uint32_t room,
                             struct xvmi_flow *flow, int *opens)
{
    uint32_t header;
    if (l4 + 20 > f->end || !xtc_parse_ports(f, l4, 20, room, flow))
        return 0;
    header = (uint32_t)(l4[12] >> 4) * 4;
    *opens = (l4[13] & 0x16) == 0x02;
    return header >= 20 && header <= room;
}

XTC_INLINE int xtc_parse_udp(const struct xtc_frame *f, const uint8_t *l4, uint32_t room, int lite,
                             struct xvmi_flow *flow)
{
    uint32_t length;
    if (l4 + 8 > f->end || !xtc_parse_ports(f, l4, 8, room, flow))
        return 0;
    length = xtc_load16(l4 + 4);
    return lite || !length || (length >= 8 && length <= room);
}

XTC_INLINE int xtc_parse_sctp(const struct xtc_frame *f, const uint8_t *l4, uint32_t room,
                              struct xvmi_flow *flow, int *opens)
{
    if (l4 + 12 > f->end || !xtc_parse_ports(f, l4, 12, room, flow))
        return 0;
    if (room < 13)
        return 1;
    if (l4 + 13 > f->end)
        return 0;
    *opens = l4[12] == 1;
    return 1;
}

XTC_INLINE int xtc_parse_icmp(const struct xtc_frame *f, const uint8_t *l4, uint32_t room, int v6,
                              struct xvmi_flow *flow)
{
    if (room < 8 || l4 + 8 > f->end)
        return 0;
    /* Neighbour discovery and multicast listener reports. */
    if (v6 && ((l4[0] >= 131 && l4[0] <= 136) || l4[0] == 143))
        return 0;
    if (v6 ? (l4[0] == 128 || l4[0] == 129) : (l4[0] == 8 || l4[0] == 0))
        flow->lport = xtc_load16(l4 + 4);
    return 1;
}

XTC_INLINE int xtc_parse_l4(const struct xtc_frame *f, const uint8_t *l4, uint32_t room, int proto,
                            struct xvmi_flow *flow, int *opens)
{
    flow->proto = (uint8_t)proto;
    if (proto == 6)
        return xtc_parse_tcp(f, l4, room, flow, opens);
    if (proto == 17)
        return xtc_parse_udp(f, l4, room, 0, flow);
    if (proto == 1 && flow->family == 2)
        return xtc_parse_icmp(f, l4, room, 0, flow);
    if (proto == 58 && flow->family == 10)
        return xtc_parse_icmp(f, l4, room, 1, flow);
    if (proto == 136)
        return xtc_parse_udp(f, l4, room, 1, flow);
    if (proto == 132)
        return xtc_parse_sctp(f, l4, room, flow, opens);
    if (proto == 33)
        return l4 + 12 <= f->end && xtc_parse_ports(f, l4, 12, room, flow);
    return 1;
}

XTC_INLINE int xtc_parse_ip4(const struct xtc_frame *f, const uint8_t *ip, uint32_t left,
                             struct xvmi_flow *flow, int *opens)
{
    uint32_t header, total;
    if (ip + 20 > f->end || ip[0] >> 4 != 4)
        return 0;
    header = (uint32_t)(ip[0] & 15) * 4;
    total = xtc_load16(ip + 2);
    if (header < 20 || total < header || total > left || xtc_load16(ip + 6) & 0x3fff)
        return 0;
    flow->family = 2;
    XTC_COPY32(f->in ? flow->remote : flow->local, ip + 12);
    XTC_COPY32(f->in ? flow->local : flow->remote, ip + 16);
    return xtc_parse_l4(f, ip + header, total - header, ip[9], flow, opens);
}

XTC_INLINE int xtc_is_extension(int proto)
{
    return proto == 0 || proto == 43 || proto == 60 || proto == 51 || proto == 135 ||
           proto == 139 || proto == 140;
}

XTC_INLINE void xtc_copy16(uint8_t *to, const uint8_t *from)
{
    XTC_COPY32(to, from);
    XTC_COPY32(to + 4, from + 4);
    XTC_COPY32(to + 8, from + 8);
    XTC_COPY32(to + 12, from + 12);
}

XTC_INLINE int xtc_parse_ip6(const struct xtc_frame *f, uint32_t at, uint32_t left,
                             struct xvmi_flow *flow, int *opens)
{
    const uint8_t *ip = f->data + at;
    uint32_t room, size;
    int i, proto;
    if (ip + 40 > f->end || ip[0] >> 4 != 6)
        return 0;
    room = xtc_load16(ip + 4);
    if (left < 40 || room > left - 40)
        return 0;
    flow->family = 10;
    xtc_copy16(f->in ? flow->remote : flow->local, ip + 8);
    xtc_copy16(f->in ? flow->local : flow->remote, ip + 24);
    proto = ip[6];
    at += 40;
    for (i = 0; i < XTC_EXTENSIONS && xtc_is_extension(proto); i++) {
        const uint8_t *h = f->data + at;
        if (at > XTC_HEADERS || h + 8 > f->end)
            return 0;
        size = proto == 51 ? ((uint32_t)h[1] + 2) * 4 : ((uint32_t)h[1] + 1) * 8;
        if (room < 8 || size > room)
            return 0;
        proto = h[0];
        room -= size;
        at += size;
    }
    if (at > XTC_HEADERS || xtc_is_extension(proto) || proto == 44)
        return 0;
    return xtc_parse_l4(f, f->data + at, room, proto, flow, opens);
}

/*
 * 1: `flow` is the frame's flow, and *opens says whether it opens it. 0: not plain. `vm`, `nic` and
 * `direction` of the flow are the caller's, the rest must be zero, and is anything when 0 is
 * returned.
 */
XTC_INLINE int xtc_parse(const struct xtc_frame *f, struct xvmi_flow *flow, int *opens)
{
    uint32_t at = 14, tags = f->tags, type;
    *opens = 0;
    if (f->data + 14 > f->end || f->len < 14 || f->len + 4 * f->tags > XTC_FRAME_MAX)
        return 0;
    type = xtc_load16(f->data + 12);
    if (type == 0x8100 || type == 0x88a8) {
        if (f->data + 18 > f->end)
            return 0;
        type = xtc_load16(f->data + 16);
        at = 18;
        tags++;
        if (type == 0x8100 || type == 0x88a8) {
            if (f->data + 22 > f->end)
                return 0;
            type = xtc_load16(f->data + 20);
            at = 22;
            tags++;
        }
    }
    if (tags > 2 || f->len < at)
        return 0;
    if (type == 0x0800)
        return xtc_parse_ip4(f, f->data + at, f->len - at, flow, opens);
    if (type == 0x86dd)
        return xtc_parse_ip6(f, at, f->len - at, flow, opens);
    return 0;
}

/* The lane of a flow; frames that are not plain go by lane 0. */
XTC_INLINE uint32_t xtc_lane_of(const struct xvmi_flow *flow, uint32_t secret)
{
    const uint32_t *word = (const uint32_t *)flow;
    uint32_t hash = secret;
    unsigned i;
#ifdef __bpf__
#pragma unroll
#endif
    for (i = 0; i < sizeof(*flow) / 4; i++) {
        hash = (hash ^ word[i]) * 0x9e3779b1u;
        hash ^= hash >> 15;
    }
    return hash & (XTC_LANES - 1);
}

#endif
