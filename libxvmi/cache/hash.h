/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XC_HASH_H
#define XC_HASH_H

/*
 * The keyed hash of a flow. The guest chooses addresses and ports, and may learn from timing
 * which flows push each other out, so it must not be able to tell more from that.
 *
 * First NH (Black et al., UMAC, CRYPTO 1999) takes six words to 128 bits with three
 * multiplications: for any two flows chosen without the secret, whatever they are, the
 * sums are equal with a probability of 2^-64. NH alone is linear enough that known
 * collisions would give others away, so what is used of it is SipHash-1-3 (Aumasson,
 * Bernstein, 2012; the variant hash tables use) over the two words of the sum, under
 * another key: sets and tags then look independent for all flows with different sums.
 * SipHash's length word is left out: all messages have one length.
 *
 * A third of the rounds of SipHash over the whole flow; plain C, the same on every machine.
 */

#include <stdint.h>
#include <string.h>

#include <xvmi/flow.h>

/* A flow as words: the upper half of w[0] is the VM, w[1..2] local, w[3..4] remote, w[5] the
 * rest. The lower half of w[0] is 0: in the table that is the place of the sequence number. */
struct xc_key {
    uint64_t w[6];
};

static inline struct xc_key xc_key(const struct xvmi_flow *flow)
{
    struct xc_key key;
    key.w[0] = (uint64_t)flow->vm << 32;
    /*
     * Word by word, and kept the compiler from joining them to vectors: a load wider than the
     * stores with which the caller has just made the flow would have to wait for them.
     */
#pragma GCC unroll 5
    for (unsigned i = 1; i < 6; i++) {
        uint64_t word;
        memcpy(&word, flow->local + 8 * (i - 1), sizeof(word));
        __asm__("" : "+r"(word));
        key.w[i] = word;
    }
    return key;
}
_Static_assert(sizeof(struct xvmi_flow) - 4 == 5 * sizeof(uint64_t), "all of the flow");

struct xc_secret {
    uint64_t nh[6];
    uint64_t sip[2];
};

static inline uint64_t xc_rotl(uint64_t x, unsigned n)
{
    return x << n | x >> (64 - n);
}

struct xc_sip {
    uint64_t v0, v1, v2, v3;
};

static inline void xc_sip_round(struct xc_sip *s)
{
    s->v0 += s->v1;
    s->v2 += s->v3;
    s->v1 = xc_rotl(s->v1, 13) ^ s->v0;
    s->v3 = xc_rotl(s->v3, 16) ^ s->v2;
    s->v0 = xc_rotl(s->v0, 32) + s->v3;
    s->v2 += s->v1;
    s->v1 = xc_rotl(s->v1, 17) ^ s->v2;
    s->v3 = xc_rotl(s->v3, 21) ^ s->v0;
    s->v2 = xc_rotl(s->v2, 32);
}

static inline uint64_t xc_hash(const struct xc_secret *secret, const struct xc_key *key)
{
    unsigned __int128 sum = 0;
#pragma GCC unroll 3
    for (unsigned i = 0; i < 6; i += 2)
        sum += (unsigned __int128)(key->w[i] + secret->nh[i]) * (key->w[i + 1] + secret->nh[i + 1]);
    uint64_t m0 = (uint64_t)sum, m1 = (uint64_t)(sum >> 64);

    struct xc_sip s = {
        secret->sip[0] ^ 0x736f6d6570736575,
        secret->sip[1] ^ 0x646f72616e646f6d,
        secret->sip[0] ^ 0x6c7967656e657261,
        secret->sip[1] ^ 0x7465646279746573,
    };
    s.v3 ^= m0;
    xc_sip_round(&s);
    s.v0 ^= m0;
    s.v3 ^= m1;
    xc_sip_round(&s);
    s.v0 ^= m1;
    s.v2 ^= 0xff;
    xc_sip_round(&s);
    xc_sip_round(&s);
    xc_sip_round(&s);
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

#endif
