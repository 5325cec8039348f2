// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "filter/frame.h"

enum {
    ETH_IP4 = 0x0800,
    ETH_ARP = 0x0806,
    ETH_RARP = 0x8035,
    ETH_IP6 = 0x86dd,
    ETH_VLAN = 0x8100,
    ETH_VLAN_OUTER = 0x88a8,
};

enum {
    PROTO_HOPOPTS = 0,
    PROTO_ICMP = 1,
    PROTO_IGMP = 2,
    PROTO_TCP = 6,
    PROTO_UDP = 17,
    PROTO_DCCP = 33,
    PROTO_ROUTING = 43,
    PROTO_FRAGMENT = 44,
    PROTO_AH = 51,
    PROTO_ICMP6 = 58,
    PROTO_DSTOPTS = 60,
    PROTO_SCTP = 132,
    PROTO_UDPLITE = 136,
    PROTO_MOBILITY = 135,
    PROTO_HIP = 139,
    PROTO_SHIM6 = 140,
};

struct parse {
    const uint8_t *data;
    size_t len; /* of the frame, later of the IP packet in it */
    bool in;
    struct xf_frame *frame;
};

static uint16_t load16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static uint32_t load32(const uint8_t *p)
{
    return (uint32_t)load16(p) << 16 | load16(p + 2);
}

static bool has(const struct parse *p, size_t at, size_t n)
{
    return at <= p->len && n <= p->len - at;
}

static bool malformed(struct parse *p, const char *reason)
{
    p->frame->kind = XF_FRAME_MALFORMED;
    p->frame->reason = reason;
    return false;
}

static bool is(struct parse *p, enum xf_frame_kind kind)
{
    p->frame->kind = kind;
    return true;
}

/* ---- what IP carries ---- */

/* Ports at the same place in all that have them. */
static bool parse_ports(struct parse *p, size_t at, size_t header)
{
    struct xvmi_flow *flow = &p->frame->packet.flow;
    if (!has(p, at, header))
        return malformed(p, "transport header is cut short");
    uint16_t source = load16(p->data + at), destination = load16(p->data + at + 2);
    flow->lport = p->in ? destination : source;
    flow->rport = p->in ? source : destination;
    p->frame->packet.has_ports = true;
    return is(p, XF_FRAME_PACKET);
}

static bool parse_tcp(struct parse *p, size_t at)
{
    if (!parse_ports(p, at, 20))
        return false;
    size_t header = (size_t)(p->data[at + 12] >> 4) * 4;
    if (header < 20 || !has(p, at, header))
        return malformed(p, "TCP header length");
    /* SYN without ACK and RST; SYN with FIN opens nothing, but who sends it is looked up. */
    p->frame->opens = (p->data[at + 13] & 0x16) == 0x02;
    p->frame->packet.answers = p->data[at + 13] & 0x04;
    return true;
}

static bool parse_udp(struct parse *p, size_t at, bool lite)
{
    if (!parse_ports(p, at, 8))
        return false;
    uint16_t length = load16(p->data + at + 4);
    /* A first fragment holds less than the length says; a GSO frame of IPv6 may say 0. */
    if (!lite && length < 8 && length)
        return malformed(p, "UDP length");
    if (!lite && !p->frame->fragmented && length > p->len - at)
        return malformed(p, "UDP length");
    return true;
}

static bool parse_sctp(struct parse *p, size_t at)
{
    if (!parse_ports(p, at, 12))
        return false;
    p->frame->opens = has(p, at, 13) && p->data[at + 12] == 1; /* INIT comes alone */
    return true;
}

/* Errors, and replies to echo and timestamp requests; RFC 792, RFC 4443. */
static bool is_answer(uint8_t type, uint8_t reply)
{
    return type == reply || (reply == 129 ? type >= 1 && type <= 4
                                          : type == 3 || type == 11 || type == 12 || type == 14);
}

static bool parse_icmp(struct parse *p, size_t at, uint8_t request, uint8_t reply)
{
    if (!has(p, at, 8))
        return malformed(p, "ICMP header is cut short");
    struct xf_packet *packet = &p->frame->packet;
    packet->has_type = true;
    packet->type = p->data[at];
    packet->code = p->data[at + 1];
    packet->answers = is_answer(packet->type, reply);
    if (packet->type == request || packet->type == reply)
        packet->flow.lport = load16(p->data + at + 4);
    return is(p, XF_FRAME_PACKET);
}

/* With the hop limit that proves that it came from this link: RFC 4861 asks for 255, RFC 2710
 * and RFC 3810 for 1. */
static bool is_neighbour(uint8_t type, uint8_t hops)
{
    if (type == 133 || type == 135 || type == 136)
        return hops == 255;
    return (type == 131 || type == 132 || type == 143) && hops == 1;
}

static bool parse_transport(struct parse *p, size_t at, uint8_t proto)
{
    p->frame->packet.flow.proto = proto;
    p->frame->l4 = (uint16_t)at;
    p->frame->packet.answers = proto == PROTO_IGMP;
    if (proto == PROTO_TCP)
        return parse_tcp(p, at);
    if (proto == PROTO_UDP || proto == PROTO_UDPLITE)
        return parse_udp(p, at, proto == PROTO_UDPLITE);
    if (proto == PROTO_SCTP)
        return parse_sctp(p, at);
    if (proto == PROTO_DCCP)
        return parse_ports(p, at, 12);
    if (proto == PROTO_ICMP && p->frame->packet.flow.family == 2)
        return parse_icmp(p, at, 8, 0);
    if (proto != PROTO_ICMP6 || p->frame->packet.flow.family != 10)
        return is(p, XF_FRAME_PACKET);
    if (!parse_icmp(p, at, 128, 129))
        return false;
    if (!p->frame->fragmented && is_neighbour(p->frame->packet.type, p->data[p->frame->l3 + 7u]))
        p->frame->kind = XF_FRAME_ND;
    return true;
}

/* ---- IP ---- */

static void set_addresses(struct parse *p, size_t at, unsigned n)
{
    struct xvmi_flow *flow = &p->frame->packet.flow;
    for (unsigned i = 0; i < n; i++) {
        flow->local[i] = p->data[at + (p->in ? n : 0) + i];
        flow->remote[i] = p->data[at + (p->in ? 0 : n) + i];
    }
}

static bool parse_ip4(struct parse *p, size_t at)
{
    struct xf_frame *frame = p->frame;
    if (!has(p, at, 20) || p->data[at] >> 4 != 4)
        return malformed(p, "IPv4 header");
    size_t header = (size_t)(p->data[at] & 15) * 4, total = load16(p->data + at + 2);
    if (header < 20 || total < header || !has(p, at, total))
        return malformed(p, "IPv4 length");
    p->len = at + total; /* what follows is padding of the frame */
    frame->end = (uint32_t)p->len;
    frame->packet.flow.family = 2;
    set_addresses(p, at + 12, 4);
    uint16_t fragment = load16(p->data + at + 6);
    frame->fragmented = fragment & 0x3fff;
    frame->fragment = load16(p->data + at + 4);
    if (!(fragment & 0x1fff))
        return parse_transport(p, at + header, p->data[at + 9]);
    frame->packet.flow.proto = p->data[at + 9];
    /* RFC 3128: a fragment that begins within the TCP header rewrites what was looked at. */
    if (p->data[at + 9] == PROTO_TCP && (fragment & 0x1fff) < 3)
        return malformed(p, "a fragment over a TCP header");
    return is(p, XF_FRAME_FRAGMENT);
}

static bool is_extension(uint8_t proto)
{
    return proto == PROTO_HOPOPTS || proto == PROTO_ROUTING || proto == PROTO_DSTOPTS ||
           proto == PROTO_FRAGMENT || proto == PROTO_AH || proto == PROTO_MOBILITY ||
           proto == PROTO_HIP || proto == PROTO_SHIM6;
}

/* Steps over one header; *at and *proto are those of the next. */
static bool skip_extension(struct parse *p, size_t *at, uint8_t *proto, bool *later)
{
    if (!has(p, *at, 8))
        return malformed(p, "IPv6 extension header is cut short");
    const uint8_t *h = p->data + *at;
    size_t size = *proto == PROTO_AH ? ((size_t)h[1] + 2) * 4 : ((size_t)h[1] + 1) * 8;
    if (*proto == PROTO_FRAGMENT) {
        size = 8;
        if (p->frame->fragmented)
            return malformed(p, "two fragment headers");
        /* RFC 6946: offset 0 and no more to come is a whole packet. */
        p->frame->fragmented = load16(h + 2) & 0xfff9;
        p->frame->fragment = load32(h + 4);
        *later = load16(h + 2) & 0xfff8;
    }
    if (!has(p, *at, size))
        return malformed(p, "IPv6 extension header is cut short");
    *proto = h[0];
    *at += size;
    return true;
}

static bool parse_ip6(struct parse *p, size_t at)
{
    struct xf_frame *frame = p->frame;
    if (!has(p, at, 40) || p->data[at] >> 4 != 6)
        return malformed(p, "IPv6 header");
    size_t payload = load16(p->data + at + 4);
    if (!has(p, at + 40, payload))
        return malformed(p, "IPv6 length");
    p->len = at + 40 + payload;
    frame->end = (uint32_t)p->len;
    frame->packet.flow.family = 10;
    set_addresses(p, at + 8, 16);
    uint8_t proto = p->data[at + 6];
    bool later = false;
    at += 40;
    for (unsigned i = 0; i < XF_EXTENSIONS_MAX && is_extension(proto); i++) {
        if (!skip_extension(p, &at, &proto, &later))
            return false;
        if (!later)
            continue;
        frame->packet.flow.proto = proto;
        return is(p, XF_FRAME_FRAGMENT);
    }
    if (is_extension(proto))
        return malformed(p, "too many IPv6 extension headers");
    return parse_transport(p, at, proto);
}

bool xf_frame_parse(const uint8_t *data, size_t len, enum xvmi_flow_direction direction,
                    uint32_t vm, uint8_t nic, struct xf_frame *frame)
{
    struct parse p = {data, len, direction == XVMI_FLOW_IN, frame};
    size_t at = 12;
    *frame = (struct xf_frame){0};
    frame->packet.flow.vm = vm;
    frame->packet.flow.nic = nic;
    frame->packet.flow.direction = (uint8_t)direction;
    if (len < 14 || len > UINT16_MAX + 64)
        return malformed(&p, "frame length");
    uint16_t type = load16(data + at);
    for (unsigned i = 0; i < XF_VLANS_MAX && (type == ETH_VLAN || type == ETH_VLAN_OUTER); i++) {
        at += 4;
        if (!has(&p, at, 2))
            return malformed(&p, "VLAN tag is cut short");
        type = load16(data + at);
    }
    at += 2;
    frame->l3 = (uint16_t)at;
    if (type == ETH_VLAN || type == ETH_VLAN_OUTER)
        return malformed(&p, "more than two VLAN tags");
    if (type == ETH_IP4)
        return parse_ip4(&p, at);
    if (type == ETH_IP6)
        return parse_ip6(&p, at);
    if (type == ETH_ARP || type == ETH_RARP)
        return has(&p, at, 8) ? is(&p, XF_FRAME_ARP) : malformed(&p, "ARP is cut short");
    return is(&p, XF_FRAME_OTHER);
}
