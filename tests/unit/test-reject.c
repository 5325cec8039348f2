// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Answers to rejected frames, byte by byte. */
#include <string.h>

#include <criterion/criterion.h>

#include <xvmi/filter.h>

#include "support/frame-writer.h"

static size_t reject(const struct frame *f, uint8_t *out)
{
    return xvmi_filter_reject(f->data, f->len, out, XVMI_REJECT_FRAME_MAX);
}

static void check(const struct frame *f, const void *bytes, size_t len)
{
    uint8_t out[XVMI_REJECT_FRAME_MAX];
    cr_assert_eq(reject(f, out), len);
    for (size_t i = 0; i < len; i++)
        cr_expect_eq(out[i], ((const uint8_t *)bytes)[i], "byte %zu: %02x, not %02x", i, out[i],
                     ((const uint8_t *)bytes)[i]);
}

/* What an honest receiver sums up: 0xffff over all that a checksum covers. */
static unsigned sum(const uint8_t *p, size_t len, unsigned start)
{
    for (size_t i = 0; i < len; i++)
        start += i & 1 ? p[i] : (unsigned)p[i] << 8;
    while (start >> 16)
        start = (start & 0xffff) + (start >> 16);
    return start;
}

Test(reject, syn_gets_a_reset)
{
    struct frame f = tcp4(5000, 80, 0x02);
    static const uint8_t want[] = {
        0x02, 0,    0,    0,    0,    0x01, 0x02, 0, 0,  0, 0,    0x02,
        0x08, 0x00,                                                     /* Ethernet, turned */
        0x45, 0,    0,    40,   0,    0,    0x40, 0, 64, 6, 0x6e, 0xcd, /* IPv4 */
        192,  0,    2,    1,    10,   0,    0,    2,                    /* addresses, turned */
        0,    80,   0x13, 0x88, 0,    0,    0,    0, 0,  0, 0,    101,  /* ack: 100, and the SYN */
        0x50, 0x14, 0,    0,    0xcf, 0x90, 0,    0,
    };
    check(&f, want, sizeof(want));
    cr_expect_eq(sum(want + 14, 20, 0), 0xffff);
    cr_expect_eq(sum(want + 26, 28, 20 + 6), 0xffff);
}

Test(reject, segment_with_ack_gets_a_reset_with_its_sequence)
{
    struct frame f = tcp4(5000, 80, 0x10);
    uint8_t out[XVMI_REJECT_FRAME_MAX];
    cr_assert_eq(reject(&f, out), 54);
    cr_expect_arr_eq(out + 34, "\0\x50\x13\x88\0\0\0\xc8\0\0\0\0\x50\x04\0\0", 16);
    cr_expect_eq(sum(out + 26, 28, 20 + 6), 0xffff);
    f = tcp4(5000, 80, 0x04);
    cr_expect_eq(reject(&f, out), 0);
}

Test(reject, tcp6_behind_a_vlan_tag)
{
    struct frame f;
    uint8_t out[XVMI_REJECT_FRAME_MAX];
    frame_ether(&f);
    frame_put16(&f, 0x8100);
    frame_put16(&f, 5);
    frame_ip6(&f, 6, "2001:db8::2", "2001:db8::1");
    frame_tcp(&f, 5000, 80, 0x02);
    frame_end(&f);
    cr_assert_eq(reject(&f, out), 18 + 40 + 20);
    cr_expect_arr_eq(out + 12, "\x81\0\0\x05\x86\xdd\x60\0\0\0\0\x14\x06\x40", 14);
    cr_expect_arr_eq(out + 26, f.data + f.ip + 24, 16);
    cr_expect_eq(sum(out + 26, 32 + 20, 20 + 6), 0xffff);
}

Test(reject, datagram_gets_an_icmp_error)
{
    struct frame f = udp4(1000, 53, 100);
    uint8_t out[XVMI_REJECT_FRAME_MAX];
    cr_assert_eq(reject(&f, out), 14 + 20 + 8 + 28);
    cr_expect_eq(out[23], 1);
    cr_expect_arr_eq(out + 34, "\x03\x0d", 2);
    cr_expect_arr_eq(out + 42, f.data + 14, 28);
    cr_expect_eq(sum(out + 14, 20, 0), 0xffff);
    cr_expect_eq(sum(out + 34, 36, 0), 0xffff);
    cr_expect_eq(xvmi_filter_reject(f.data, f.len, out, 69), 0);
}

Test(reject, datagram6_gets_an_icmp_error)
{
    struct frame f;
    uint8_t out[XVMI_REJECT_FRAME_MAX];
    frame_ether(&f);
    frame_ip6(&f, 17, "2001:db8::2", "2001:db8::1");
    frame_udp(&f, 1000, 53, 1401);
    frame_end(&f);
    cr_assert_eq(reject(&f, out), 14 + 1280);
    cr_expect_eq(out[20], 58);
    cr_expect_arr_eq(out + 54, "\x01\x01", 2);
    cr_expect_eq(sum(out + 22, 32 + 1240, 1240 + 58), 0xffff);
    f.len = 0;
    frame_ether(&f);
    frame_ip6(&f, 17, "2001:db8::2", "2001:db8::1");
    frame_udp(&f, 1000, 53, 1);
    frame_end(&f);
    cr_assert_eq(reject(&f, out), 14 + 40 + 8 + 49);
    cr_expect_eq(sum(out + 22, 32 + 57, 57 + 58), 0xffff);
}

Test(reject, never_answers_what_must_not_be)
{
    uint8_t out[XVMI_REJECT_FRAME_MAX];
    struct frame f = udp4(1, 2, 8);
    f.data[0] |= 1;
    cr_expect_eq(reject(&f, out), 0);
    f = udp4(1, 2, 8);
    memset(f.data + 30, 0xff, 4); /* to everybody */
    cr_expect_eq(reject(&f, out), 0);
    f = udp4(1, 2, 8);
    memset(f.data + 26, 0, 4); /* from nobody */
    cr_expect_eq(reject(&f, out), 0);
    f = udp4(1, 2, 8);
    f.data[f.ip + 6] = 0x20; /* a fragment */
    cr_expect_eq(reject(&f, out), 0);
    frame_ether(&f);
    frame_ip4(&f, 1, "10.0.0.2", "10.0.0.3");
    frame_put(&f, "\x03\0\0\0\0\0\0\0", 8);
    frame_end(&f);
    cr_expect_eq(reject(&f, out), 0);
    f.data[34] = 8;
    cr_expect_neq(reject(&f, out), 0);
    frame_ether(&f);
    frame_ip6(&f, 58, "2001:db8::2", "2001:db8::1");
    frame_put(&f, "\x01\0\0\0\0\0\0\0", 8);
    frame_end(&f);
    cr_expect_eq(reject(&f, out), 0);
}
