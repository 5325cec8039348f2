/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef FRAME_WRITER_H
#define FRAME_WRITER_H

/* Frames for tests, put together header by header. No checksums but where a test sets them. */

#include <arpa/inet.h>
#include <stdint.h>
#include <string.h>

struct frame {
    uint8_t data[2048];
    size_t len;
    size_t ip; /* offset of the last IP header, to fix lengths */
};

static inline void frame_put(struct frame *f, const void *data, size_t len)
{
    memcpy(f->data + f->len, data, len);
    f->len += len;
}

static inline void frame_put16(struct frame *f, unsigned value)
{
    uint8_t b[2] = {(uint8_t)(value >> 8), (uint8_t)value};
    frame_put(f, b, 2);
}

static inline void frame_zero(struct frame *f, size_t len)
{
    memset(f->data + f->len, 0, len);
    f->len += len;
}

/* From 02:00:00:00:00:01 to 02:00:00:00:00:02; the type comes next. */
static inline void frame_ether(struct frame *f)
{
    f->len = 0;
    frame_put(f, "\x02\0\0\0\0\x02\x02\0\0\0\0\x01", 12);
}

static inline void frame_ip4(struct frame *f, unsigned proto, const char *from, const char *to)
{
    uint8_t h[20] = {0x45, 0, 0, 0, 0x12, 0x34, 0, 0, 64, (uint8_t)proto};
    frame_put16(f, 0x0800);
    f->ip = f->len;
    inet_pton(AF_INET, from, h + 12);
    inet_pton(AF_INET, to, h + 16);
    frame_put(f, h, 20);
}

static inline void frame_ip6(struct frame *f, unsigned next, const char *from, const char *to)
{
    uint8_t h[40] = {0x60, 0, 0, 0, 0, 0, (uint8_t)next, 64};
    frame_put16(f, 0x86dd);
    f->ip = f->len;
    inet_pton(AF_INET6, from, h + 8);
    inet_pton(AF_INET6, to, h + 24);
    frame_put(f, h, 40);
}

/* The length of the IP packet, now that all is there. */
static inline void frame_end(struct frame *f)
{
    int v6 = f->data[f->ip] >> 4 == 6;
    size_t n = f->len - f->ip - (v6 ? 40 : 0), at = f->ip + (v6 ? 4 : 2);
    f->data[at] = (uint8_t)(n >> 8);
    f->data[at + 1] = (uint8_t)n;
}

static inline void frame_tcp(struct frame *f, unsigned sport, unsigned dport, uint8_t flags)
{
    uint8_t rest[16] = {0, 0, 0, 100, 0, 0, 0, 200, 0x50, flags, 1, 0};
    frame_put16(f, sport);
    frame_put16(f, dport);
    frame_put(f, rest, 16);
}

static inline void frame_udp(struct frame *f, unsigned sport, unsigned dport, size_t payload)
{
    frame_put16(f, sport);
    frame_put16(f, dport);
    frame_put16(f, 8 + (unsigned)payload);
    frame_put16(f, 0);
    frame_zero(f, payload);
}

static inline struct frame tcp4(unsigned sport, unsigned dport, uint8_t flags)
{
    struct frame f;
    frame_ether(&f);
    frame_ip4(&f, 6, "10.0.0.2", "192.0.2.1");
    frame_tcp(&f, sport, dport, flags);
    frame_end(&f);
    return f;
}

static inline struct frame udp4(unsigned sport, unsigned dport, size_t payload)
{
    struct frame f;
    frame_ether(&f);
    frame_ip4(&f, 17, "10.0.0.2", "192.0.2.1");
    frame_udp(&f, sport, dport, payload);
    frame_end(&f);
    return f;
}

#endif
