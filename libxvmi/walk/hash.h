/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause OR GPL-2.0-only */
#ifndef XW_HASH_H
#define XW_HASH_H

/*
 * The hashes that Linux files its sockets by (include/linux/jhash.h: Bob Jenkins' lookup3;
 * include/linux/hash.h), computed from outside with the guest's own secrets.
 *
 * Addresses are 32-bit words as they lie in memory (network order), ports as stated.
 */

#ifndef XW_INLINE
#define XW_INLINE static inline
#endif

#define XW_JHASH_INITVAL 0xdeadbeefu

XW_INLINE uint32_t xw_rol32(uint32_t v, int n)
{
    return v << n | v >> (32 - n);
}

XW_INLINE uint32_t xw_jhash_final(uint32_t a, uint32_t b, uint32_t c)
{
    c ^= b;
    c -= xw_rol32(b, 14);
    a ^= c;
    a -= xw_rol32(c, 11);
    b ^= a;
    b -= xw_rol32(a, 25);
    c ^= b;
    c -= xw_rol32(b, 16);
    a ^= c;
    a -= xw_rol32(c, 4);
    b ^= a;
    b -= xw_rol32(a, 14);
    c ^= b;
    c -= xw_rol32(b, 24);
    return c;
}

XW_INLINE uint32_t xw_jhash_1word(uint32_t a, uint32_t initval)
{
    initval += XW_JHASH_INITVAL + (1 << 2);
    return xw_jhash_final(a + initval, initval, initval);
}

XW_INLINE uint32_t xw_jhash_3words(uint32_t a, uint32_t b, uint32_t c, uint32_t initval)
{
    initval += XW_JHASH_INITVAL + (3 << 2);
    return xw_jhash_final(a + initval, b + initval, c + initval);
}

struct xw_jhash {
    uint32_t a, b, c;
};

XW_INLINE struct xw_jhash xw_jhash_mix(struct xw_jhash h)
{
    h.a -= h.c;
    h.a ^= xw_rol32(h.c, 4);
    h.c += h.b;
    h.b -= h.a;
    h.b ^= xw_rol32(h.a, 6);
    h.a += h.c;
    h.c -= h.b;
    h.c ^= xw_rol32(h.b, 8);
    h.b += h.a;
    h.a -= h.c;
    h.a ^= xw_rol32(h.c, 16);
    h.c += h.b;
    h.b -= h.a;
    h.b ^= xw_rol32(h.a, 19);
    h.a += h.c;
    h.c -= h.b;
    h.c ^= xw_rol32(h.b, 4);
    h.b += h.a;
    return h;
}

/* jhash2() of four words: an IPv6 address. */
XW_INLINE uint32_t xw_jhash_4words(const uint32_t k[4], uint32_t initval)
{
    initval += XW_JHASH_INITVAL + (4 << 2);
    struct xw_jhash h =
        xw_jhash_mix((struct xw_jhash){initval + k[0], initval + k[1], initval + k[2]});
    return xw_jhash_final(h.a + k[3], h.b, h.c);
}

/* hash_32(): the top `bits` bits */
XW_INLINE uint32_t xw_hash_32(uint32_t v, int bits)
{
    return v * 0x61c88647u >> (32 - bits);
}

/* inet_ehashfn(): lport in host order, rport as in memory; secret + hash_mix */
XW_INLINE uint32_t xw_tcp4_hash(uint32_t laddr, uint16_t lport, uint32_t raddr, uint16_t rport_be,
                                uint32_t secret)
{
    return xw_jhash_3words(laddr, raddr, (uint32_t)lport << 16 | rport_be, secret);
}

/* inet6_ehashfn(): of the local address only the last word counts */
XW_INLINE uint32_t xw_tcp6_hash(const uint32_t laddr[4], uint16_t lport, const uint32_t raddr[4],
                                uint16_t rport_be, uint32_t addr_secret, uint32_t secret)
{
    return xw_jhash_3words(laddr[3], xw_jhash_4words(raddr, addr_secret),
                           (uint32_t)lport << 16 | rport_be, secret);
}

/* inet6_ehashfn() of Linux 7.2 (and not of 6.12): all words of both addresses in one go, seeded
 * with a secret alone; the local port is added at the end. */
XW_INLINE uint32_t xw_tcp6_hash_whole(const uint32_t laddr[4], uint16_t lport,
                                      const uint32_t raddr[4], uint16_t rport_be, uint32_t secret,
                                      uint32_t hash_mix)
{
    struct xw_jhash h = xw_jhash_mix(
        (struct xw_jhash){secret + (laddr[0] ^ hash_mix), secret + laddr[1], secret + laddr[2]});
    h = xw_jhash_mix((struct xw_jhash){h.a + laddr[3], h.b + raddr[0], h.c + raddr[1]});
    return xw_jhash_final(h.a + raddr[2], h.b + raddr[3], h.c + rport_be) + lport;
}

/* ipv4_portaddr_hash(), ipv6_portaddr_hash(): UDP's hash2 and TCP's lhash2. The IPv6 one of "any"
 * and of IPv4 addresses in IPv6 is the IPv4 one. */
XW_INLINE uint32_t xw_portaddr4_hash(uint32_t addr, uint16_t port, uint32_t hash_mix)
{
    return xw_jhash_1word(addr, hash_mix) ^ port;
}

XW_INLINE uint32_t xw_portaddr6_hash(const uint32_t addr[4], uint16_t port, uint32_t hash_mix)
{
    return xw_jhash_4words(addr, hash_mix) ^ port;
}

#endif
