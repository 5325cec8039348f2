// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <string.h>

#include "filter/reject.h"

enum { TCP_FIN = 1, TCP_SYN = 2, TCP_RST = 4, TCP_ACK = 16 };

static void store16(uint8_t *p, uint32_t value)
{
    p[0] = (uint8_t)(value >> 8);
    p[1] = (uint8_t)value;
}

static uint32_t load32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void store32(uint8_t *p, uint32_t value)
{
    store16(p, value >> 16);
    store16(p + 2, value);
}

/* RFC 1071, over what was added so far. */
static uint32_t add(uint32_t sum, const uint8_t *p, size_t len)
{
    for (size_t i = 0; i + 1 < len; i += 2)
        sum += (uint32_t)p[i] << 8 | p[i + 1];
    return len & 1 ? sum + ((uint32_t)p[len - 1] << 8) : sum;
}

static uint16_t fold(uint32_t sum)
{
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

static bool all(const uint8_t *p, size_t n, uint8_t value)
{
    for (size_t i = 0; i < n; i++)
        if (p[i] != value)
            return false;
    return true;
}

/* One sender, one addressee, both of them somebody. */
static bool is_unicast(const uint8_t *data, const struct xf_frame *frame)
{
    const uint8_t *ip = data + frame->l3;
    if (data[0] & 1 || data[6] & 1)
        return false;
    if (frame->packet.flow.family == 10)
        return ip[8] != 0xff && ip[24] != 0xff && !all(ip + 8, 16, 0) && !all(ip + 24, 16, 0);
    return ip[12] && ip[16] && ip[12] < 224 && ip[16] < 224 && ip[12] != 127;
}

static bool is_icmp_error(const struct xf_packet *packet)
{
    if (packet->flow.family == 10)
        return packet->flow.proto == 58 && (packet->type < 128 || packet->type == 137);
    return packet->flow.proto == 1 && packet->type != 8 && packet->type != 0 &&
           packet->type != 13 && packet->type != 14;
}

/* The link header turned round, VLAN tags kept. */
static size_t turn_link(const uint8_t *data, const struct xf_frame *frame, uint8_t *out)
{
    memcpy(out, data + 6, 6);
    memcpy(out + 6, data, 6);
    memcpy(out + 12, data + 12, frame->l3 - 12u);
    return frame->l3;
}

/* Returns the length of the header; the checksum is made where the length is known. */
static size_t turn_ip(const uint8_t *ip, bool v6, uint8_t proto, size_t payload, uint8_t *out)
{
    if (v6) {
        memset(out, 0, 40);
        out[0] = 0x60;
        store16(out + 4, (uint32_t)payload);
        out[6] = proto;
        out[7] = 64;
        memcpy(out + 8, ip + 24, 16);
        memcpy(out + 24, ip + 8, 16);
        return 40;
    }
    memset(out, 0, 20);
    out[0] = 0x45;
    store16(out + 2, (uint32_t)(20 + payload));
    out[6] = 0x40; /* do not fragment: so an id is not needed, RFC 6864 */
    out[8] = 64;
    out[9] = proto;
    memcpy(out + 12, ip + 16, 4);
    memcpy(out + 16, ip + 12, 4);
    store16(out + 10, fold(add(0, out, 20)));
    return 20;
}

/* Of the pseudo-header in front of what the header at `ip` carries. */
static uint32_t pseudo(const uint8_t *ip, bool v6, uint8_t proto, size_t payload)
{
    uint32_t sum = (uint32_t)payload + proto;
    return v6 ? add(sum, ip + 8, 32) : add(sum, ip + 12, 8);
}

/* RFC 9293 3.10.7.1: to a segment that belongs to no connection. */
static size_t build_rst(const uint8_t *data, const struct xf_frame *frame, uint8_t *out)
{
    const uint8_t *tcp = data + frame->l4;
    bool v6 = frame->packet.flow.family == 10;
    if (tcp[13] & TCP_RST)
        return 0;
    size_t at = turn_link(data, frame, out);
    uint8_t *ip = out + at;
    at += turn_ip(data + frame->l3, v6, 6, 20, ip);
    uint8_t *rst = out + at;
    memset(rst, 0, 20);
    memcpy(rst, tcp + 2, 2);
    memcpy(rst + 2, tcp, 2);
    rst[12] = 0x50;
    rst[13] = TCP_RST;
    if (tcp[13] & TCP_ACK) {
        memcpy(rst + 4, tcp + 8, 4);
    } else {
        size_t header = (size_t)(tcp[12] >> 4) * 4;
        uint32_t segment = (uint32_t)(frame->end - frame->l4 - header) + !!(tcp[13] & TCP_SYN) +
                           !!(tcp[13] & TCP_FIN);
        rst[13] |= TCP_ACK;
        store32(rst + 8, load32(tcp + 4) + segment);
    }
    store16(rst + 16, fold(add(pseudo(ip, v6, 6, 20), rst, 20)));
    return at + 20;
}

/* Quotes the packet: its header and 8 bytes for IPv4, what fits in the least MTU for IPv6. */
static size_t build_icmp(const uint8_t *data, const struct xf_frame *frame, uint8_t *out)
{
    bool v6 = frame->packet.flow.family == 10;
    size_t quote = frame->end - frame->l3;
    size_t most = v6 ? 1280 - 48 : (size_t)(frame->l4 - frame->l3) + 8;
    if (quote > most)
        quote = most;
    size_t at = turn_link(data, frame, out);
    uint8_t *ip = out + at;
    at += turn_ip(data + frame->l3, v6, v6 ? 58 : 1, 8 + quote, ip);
    uint8_t *icmp = out + at;
    memset(icmp, 0, 8);
    icmp[0] = v6 ? 1 : 3;
    icmp[1] = v6 ? 1 : 13;
    memcpy(icmp + 8, data + frame->l3, quote);
    uint32_t sum = v6 ? pseudo(ip, true, 58, 8 + quote) : 0;
    store16(icmp + 2, fold(add(sum, icmp, 8 + quote)));
    return at + 8 + quote;
}

size_t xf_reject_build(const uint8_t *data, size_t len, const struct xf_frame *frame,
                       uint8_t out[XF_REJECT_MAX])
{
    if (frame->kind != XF_FRAME_PACKET || frame->fragmented || frame->end > len ||
        !is_unicast(data, frame) || is_icmp_error(&frame->packet))
        return 0;
    return frame->packet.flow.proto == 6 ? build_rst(data, frame, out)
                                         : build_icmp(data, frame, out);
}
