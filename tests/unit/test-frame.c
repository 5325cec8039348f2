// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* What frames are, and what is remembered of fragments. */
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "filter/fragments.h"
#include "filter/frame.h"
#include "support/frame-writer.h"

static struct xf_frame parse(const struct frame *f)
{
    struct xf_frame out;
    /* Exactly as long as it says: a sanitizer sees a read behind the end. */
    uint8_t *copy = malloc(f->len ? f->len : 1);
    memcpy(copy, f->data, f->len);
    bool good = xf_frame_parse(copy, f->len, XVMI_FLOW_OUT, 7, 1, &out);
    free(copy);
    cr_assert_eq(good, out.kind != XF_FRAME_MALFORMED);
    cr_assert_eq(good, out.reason == NULL);
    if (out.kind == XF_FRAME_PACKET)
        cr_assert(xvmi_flow_valid(&out.packet.flow));
    return out;
}

/* Cut anywhere, a frame is malformed, never something else. */
static void check_cut(const struct frame *f)
{
    for (size_t len = 0; len < f->len; len++) {
        struct frame cut = *f;
        cut.len = len;
        cr_expect_eq(parse(&cut).kind, XF_FRAME_MALFORMED, "%zu", len);
    }
}

Test(frame, tcp4)
{
    struct frame f = tcp4(5000, 80, 0x02);
    struct xf_frame p = parse(&f);
    cr_expect_eq(p.kind, XF_FRAME_PACKET);
    cr_expect(p.opens && p.packet.has_ports && !p.packet.has_type && !p.fragmented);
    cr_expect_eq(p.packet.flow.family, 2);
    cr_expect_eq(p.packet.flow.proto, 6);
    cr_expect_eq(p.packet.flow.vm, 7);
    cr_expect_eq(p.packet.flow.nic, 1);
    cr_expect_eq(p.packet.flow.lport, 5000);
    cr_expect_eq(p.packet.flow.rport, 80);
    cr_expect_arr_eq(p.packet.flow.local, "\x0a\0\0\x02", 4);
    cr_expect_arr_eq(p.packet.flow.remote, "\xc0\0\x02\x01", 4);
    cr_expect_eq(p.l3, 14);
    cr_expect_eq(p.l4, 34);
    cr_expect_eq(p.end, 54);
    check_cut(&f);
    xf_frame_parse(f.data, f.len, XVMI_FLOW_IN, 0, 0, &p);
    cr_expect_eq(p.packet.flow.lport, 80);
    cr_expect_arr_eq(p.packet.flow.local, "\xc0\0\x02\x01", 4);
    f = tcp4(5000, 80, 0x12);
    cr_expect_not(parse(&f).opens);
    f.data[34 + 12] = 0x40;
    cr_expect_eq(parse(&f).kind, XF_FRAME_MALFORMED);
}

Test(frame, padding_and_options)
{
    struct frame f;
    frame_ether(&f);
    frame_ip4(&f, 17, "10.0.0.2", "10.0.0.3");
    f.data[f.ip] = 0x46; /* one word of options */
    frame_zero(&f, 4);
    frame_udp(&f, 1, 2, 0);
    frame_end(&f);
    frame_zero(&f, 10); /* padding to the least length of Ethernet */
    struct xf_frame p = parse(&f);
    cr_expect_eq(p.kind, XF_FRAME_PACKET);
    cr_expect_eq(p.l4, 38);
    cr_expect_eq(p.end, 46);
    cr_expect_eq(p.packet.flow.rport, 2);
}

Test(frame, vlans)
{
    struct frame f;
    frame_ether(&f);
    for (unsigned i = 0; i < 3; i++) {
        size_t tags = f.len;
        frame_ip4(&f, 17, "10.0.0.2", "10.0.0.3");
        frame_udp(&f, 1, 2, 0);
        frame_end(&f);
        cr_expect_eq(parse(&f).kind, XF_FRAME_PACKET, "%u tags", i);
        check_cut(&f);
        f.len = tags;
        frame_put16(&f, i ? 0x8100 : 0x88a8);
        frame_put16(&f, 5);
    }
    frame_put16(&f, 0x0800);
    cr_expect_eq(parse(&f).kind, XF_FRAME_MALFORMED);
}

Test(frame, not_ip)
{
    struct frame f;
    frame_ether(&f);
    frame_put16(&f, 0x0806);
    frame_zero(&f, 28);
    cr_expect_eq(parse(&f).kind, XF_FRAME_ARP);
    f.data[12] = 0x88, f.data[13] = 0xcc;
    cr_expect_eq(parse(&f).kind, XF_FRAME_OTHER);
    f.data[12] = 0, f.data[13] = 28;
    cr_expect_eq(parse(&f).kind, XF_FRAME_OTHER);
}

Test(frame, icmp)
{
    struct frame f;
    frame_ether(&f);
    frame_ip4(&f, 1, "10.0.0.2", "10.0.0.3");
    frame_put(&f, "\x08\0\0\0\x12\x34\0\x01", 8);
    frame_end(&f);
    struct xf_frame p = parse(&f);
    cr_expect_eq(p.packet.flow.lport, 0x1234);
    cr_expect_eq(p.packet.flow.rport, 0);
    cr_expect(p.packet.has_type && !p.packet.has_ports);
    cr_expect_eq(p.packet.type, 8);
    check_cut(&f);
    f.data[34] = 3; /* an error has no id */
    cr_expect_eq(parse(&f).packet.flow.lport, 0);
}

static struct frame icmp6(uint8_t type, uint8_t hops)
{
    struct frame f;
    uint8_t h[24] = {type, 0, 0, 0, 0x12, 0x34};
    frame_ether(&f);
    frame_ip6(&f, 58, "fe80::2", "ff02::1");
    f.data[f.ip + 7] = hops;
    frame_put(&f, h, sizeof(h));
    frame_end(&f);
    return f;
}

Test(frame, neighbours)
{
    struct frame f = icmp6(135, 255);
    cr_expect_eq(parse(&f).kind, XF_FRAME_ND);
    f = icmp6(135, 64);
    cr_expect_eq(parse(&f).kind, XF_FRAME_PACKET);
    f = icmp6(134, 255); /* router advertisement: somebody sends it */
    cr_expect_eq(parse(&f).kind, XF_FRAME_PACKET);
    f = icmp6(143, 1);
    cr_expect_eq(parse(&f).kind, XF_FRAME_ND);
    f = icmp6(128, 64);
    struct xf_frame p = parse(&f);
    cr_expect_eq(p.kind, XF_FRAME_PACKET);
    cr_expect_eq(p.packet.flow.lport, 0x1234);
}

Test(frame, extension_headers)
{
    struct frame f;
    for (unsigned n = 0; n <= XF_EXTENSIONS_MAX + 1; n++) {
        frame_ether(&f);
        frame_ip6(&f, n ? 60 : 6, "2001:db8::2", "2001:db8::1");
        for (unsigned i = 0; i < n; i++) {
            uint8_t h[8] = {i + 1 < n ? 60 : 6};
            frame_put(&f, h, 8);
        }
        frame_tcp(&f, 5000, 80, 2);
        frame_end(&f);
        struct xf_frame p = parse(&f);
        cr_expect_eq(p.kind, n <= XF_EXTENSIONS_MAX ? XF_FRAME_PACKET : XF_FRAME_MALFORMED);
        if (p.kind == XF_FRAME_PACKET)
            cr_expect(p.opens && p.packet.flow.rport == 80 && p.l4 == 54 + 8 * n);
        check_cut(&f);
    }
}

static struct frame fragment4(unsigned offset, bool more)
{
    struct frame f = udp4(1000, 53, 64);
    f.data[f.ip + 6] = (uint8_t)((more ? 0x20 : 0) | offset >> 8);
    f.data[f.ip + 7] = (uint8_t)offset;
    return f;
}

static struct frame fragment6(unsigned offset, bool more)
{
    struct frame f;
    uint8_t h[8] = {17, 0, (uint8_t)(offset >> 5), (uint8_t)(offset << 3 | more), 0, 1, 2, 3};
    frame_ether(&f);
    frame_ip6(&f, 44, "2001:db8::2", "2001:db8::1");
    frame_put(&f, h, 8);
    frame_udp(&f, 1000, 53, 64);
    frame_end(&f);
    return f;
}

Test(frame, fragments)
{
    struct frame f = fragment4(0, true);
    struct xf_frame p = parse(&f);
    cr_expect(p.kind == XF_FRAME_PACKET && p.fragmented && p.fragment == 0x1234);
    f = fragment4(9, false);
    p = parse(&f);
    cr_expect(p.kind == XF_FRAME_FRAGMENT && p.fragmented && p.packet.flow.proto == 17 &&
              p.packet.flow.lport == 0);
    f = fragment6(0, true);
    p = parse(&f);
    cr_expect(p.kind == XF_FRAME_PACKET && p.fragmented && p.fragment == 0x00010203);
    f = fragment6(9, false);
    cr_expect_eq(parse(&f).kind, XF_FRAME_FRAGMENT);
    f = fragment6(0, false); /* all of it */
    p = parse(&f);
    cr_expect(p.kind == XF_FRAME_PACKET && !p.fragmented);
    f = tcp4(1, 2, 2);
    f.data[f.ip + 7] = 1; /* would rewrite the flags */
    cr_expect_eq(parse(&f).kind, XF_FRAME_MALFORMED);
}

Test(frame, fragments_follow_the_first)
{
    struct xf_fragments *table = xf_fragments_new(1);
    struct frame f = fragment4(0, true), g = fragment4(9, false);
    struct xf_frame first = parse(&f), later = parse(&g);
    uint8_t verdict = 0;
    uint32_t rule = 0;
    cr_expect_not(xf_fragments_get(table, &later, 1, 10, &verdict, &rule));
    xf_fragments_put(table, &first, XVMI_VERDICT_DROP, 5, 1, 10);
    cr_expect(xf_fragments_get(table, &later, 1, 20, &verdict, &rule));
    cr_expect(verdict == XVMI_VERDICT_DROP && rule == 5);
    cr_expect_not(xf_fragments_get(table, &later, 2, 20, &verdict, &rule)); /* other policy */
    cr_expect_not(xf_fragments_get(table, &later, 1, 10 + 30000000001u, &verdict, &rule));
    later.fragment++;
    cr_expect_not(xf_fragments_get(table, &later, 1, 20, &verdict, &rule));
    for (unsigned i = 0; i < 100000; i++) { /* bounded, the newest stay */
        first.fragment = i;
        xf_fragments_put(table, &first, XVMI_VERDICT_PASS, i, 1, 100 + i);
    }
    later.fragment = 99999;
    cr_expect(xf_fragments_get(table, &later, 1, 200000, &verdict, &rule) && rule == 99999);
    free(table);
}
