/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef TC_FRAMES_H
#define TC_FRAMES_H

/* A frame of each kind that the two parsers have to agree about. */

#include "support/frame-writer.h"

static inline struct frame tc_ip4(unsigned proto, const char *payload, size_t len)
{
    struct frame f;
    frame_ether(&f);
    frame_ip4(&f, proto, "10.0.0.2", "192.0.2.1");
    frame_put(&f, payload, len);
    frame_end(&f);
    return f;
}

/* `headers`: what lies between the IPv6 header and what `next` of its last names. */
static inline struct frame tc_ip6(unsigned next, const char *headers, size_t len)
{
    struct frame f;
    frame_ether(&f);
    frame_ip6(&f, next, "2001:db8::2", "2001:db8::1");
    frame_put(&f, headers, len);
    return f;
}

static inline struct frame tc_tagged(const struct frame *f, unsigned tags)
{
    struct frame out = {.len = 0};
    frame_put(&out, f->data, 12);
    for (unsigned i = 0; i < tags; i++)
        frame_put(&out, i + 1 < tags ? "\x88\xa8\0\7" : "\x81\0\0\7", 4);
    frame_put(&out, f->data + 12, f->len - 12);
    return out;
}

#define TC_FRAMES 26
static inline unsigned tc_frames(struct frame frames[TC_FRAMES])
{
    unsigned n = 0;
    struct frame f;
    frames[n++] = tcp4(5000, 80, 0x02);
    frames[n++] = tcp4(5000, 80, 0x12);
    frames[n++] = udp4(5000, 53, 40);
    frames[n++] = udp4(5000, 53, 0);
    for (unsigned tags = 1; tags <= 3; tags++)
        frames[n++] = tc_tagged(&frames[0], tags);
    frames[n++] = tc_ip4(1, "\x08\0\0\0\x12\x34\0\1abc", 11);
    frames[n++] = tc_ip4(1, "\x03\x01\0\0\0\0\0\0abc", 11);
    frames[n++] = tc_ip4(132, "\x13\x88\0\x50\0\0\0\0\0\0\0\0\1\0\0\4", 16);
    frames[n++] = tc_ip4(132, "\x13\x88\0\x50\0\0\0\0\0\0\0\0", 12);
    frames[n++] = tc_ip4(33, "\x13\x88\0\x50\0\0\0\0\0\0\0\0", 12);
    frames[n++] = tc_ip4(136, "\x13\x88\0\x50\0\x03\0\0", 8);
    frames[n++] = tc_ip4(47, "\0\0\x08\0", 4);
    frames[n] = tcp4(5000, 80, 0x10); /* options of IP and TCP */
    frames[n].data[14] = 0x46;
    memmove(frames[n].data + 38, frames[n].data + 34, 20);
    memset(frames[n].data + 34, 1, 4);
    frames[n].data[38 + 12] = 0x60;
    frames[n].len += 8;
    frame_end(&frames[n++]);
    frames[n] = tcp4(5000, 80, 0x10); /* a first fragment */
    frames[n++].data[20] = 0x20;
    frames[n] = udp4(5000, 53, 40); /* a later one */
    frames[n++].data[21] = 0x08;
    frames[n] = udp4(5000, 53, 10); /* padding behind it */
    frames[n++].len += 20;
    f = tc_ip6(6, "", 0);
    frame_tcp(&f, 5000, 80, 0x02);
    frame_end(&f);
    frames[n++] = f;
    f = tc_ip6(0, "\x2b\0\1\4\0\0\0\0\x3c\0\0\0\0\0\0\0\x11\1\1\4\0\0\0\0\0\0\0\0\0\0\0\0", 32);
    frame_udp(&f, 5000, 53, 20);
    frame_end(&f);
    frames[n++] = f;
    f = tc_ip6(51, "\x3a\4\0\0\0\0\0\1\0\0\0\2\1\2\3\4\5\6\7\x08\1\2\3\4", 24);
    frame_put(&f, "\x80\0\0\0\x12\x34\0\1", 8);
    frame_end(&f);
    frames[n++] = f;
    f = tc_ip6(44, "\x11\0\0\0\0\0\0\1", 8);
    frame_udp(&f, 5000, 53, 20);
    frame_end(&f);
    frames[n++] = f;
    f = tc_ip6(58, "\x87\0\0\0\0\0\0\0", 8); /* neighbour discovery */
    f.data[14 + 7] = 255;
    frame_end(&f);
    frames[n++] = f;
    f = tc_ip6(59, "", 0);
    frame_end(&f);
    frames[n++] = f;
    frame_ether(&f); /* ARP */
    frame_put(&f, "\x08\x06\0\1\x08\0\6\4\0\1", 10);
    frame_zero(&f, 20);
    frames[n++] = f;
    frame_ether(&f); /* neither */
    frame_put(&f, "\x88\xcc\0\1", 4);
    frame_zero(&f, 20);
    frames[n++] = f;
    return n;
}

#endif
