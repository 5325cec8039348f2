/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XC_HASH_H
#define XC_HASH_H

/*
 * The keyed hash of a flow. The guest chooses addresses and ports, and may learn from timing
 * which flows push each other out, so it must not be able to tell more from that.
 *
 * First NH (Black et al., UMAC, CRYPTO 1999) takes four words, the addresses, to a sum of 128
 * bits: for any two different fours and any difference of sums, the chance that they have it
 * is 2^-64 over the secret, proven. The other two words are added to that sum, one to each
 * half. So two flows chosen without the secret have the same sum with a chance of 2^-64 if
 * their addresses differ, and never if they do not.
 * NH is linear enough, though, that known collisions would give others away. So the sum is not
 * shown: two multiplications to 128 bits, each with secret words mixed into both factors,
 * stand between it and what decides about places. They are no cipher, and no proof is known
 * for them; what an attacker could work with is how long his own packets take, one bit about
 * 12 flows in a set at a time, and what he could win is that some flows are decided again. A
 * fresh secret with each cache ends even that. docs/cache.md has the figures for SipHash in
 * their place.
 *
 * Plain C, the same on every machine.
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
        memcpy(&word, (const uint8_t *)flow + 4 + 8 * (i - 1), sizeof(word));
        __asm__("" : "+r"(word));
        key.w[i] = word;
    }
    return key;
}
_Static_assert(sizeof(struct xvmi_flow) - 4 == 5 * sizeof(uint64_t), "all of the flow");

struct xc_secret {
    uint64_t nh[4];
    uint64_t mix[4];
};

static inline uint64_t xc_hash(const struct xc_secret *secret, const struct xc_key *key)
{
    unsigned __int128 sum = (unsigned __int128)(key->w[0] >> 32) << 64 | key->w[5];
#pragma GCC unroll 2
    for (unsigned i = 0; i < 4; i += 2)
        sum += (unsigned __int128)(key->w[i + 1] + secret->nh[i]) *
               (key->w[i + 2] + secret->nh[i + 1]);
#pragma GCC unroll 2
    for (unsigned i = 0; i < 4; i += 2)
        sum = (unsigned __int128)((uint64_t)sum ^ secret->mix[i]) *
              ((uint64_t)(sum >> 64) ^ secret->mix[i + 1]);
    return (uint64_t)sum ^ (uint64_t)(sum >> 64);
}

#endif
