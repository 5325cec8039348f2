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
 * shown: something that is not linear and keyed stands between it and what decides about places.
 *
 * There are two of this kind, and the machine decides which when a cache is made:
 *   - Where the processor has AES and carry-less multiplication: NH over GF(2) (Lemire and Kaser,
 *     2015, with the same proof and the same bound), then four rounds of AES with secret keys. For
 *     any two sums and any difference of results, the chance that they have it is below 2^-113 over
 *     the keys, proven (Keliher and Sui, 2007). Half of the 128 bits are the hash.
 *   - Everywhere, in plain C: NH with integers, then two multiplications to 128 bits, each with
 *     secret words mixed into both factors. They are no cipher, and no proof is known for them.
 *
 * What an attacker could work with is how long his own packets take, one bit about 12 flows in a
 * set at a time, and what he could win is that some flows are decided again. A fresh secret with
 * each cache ends even that.
 */

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <xvmi/flow.h>

/* ThreadSanitizer gets the portable versions of everything. */
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define XC_PORTABLE 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define XC_PORTABLE 1
#endif

/*
 * A flow as words, in the order of an entry: the upper half of w[0] is the VM, w[1] ports and what
 * comes behind them, w[2..3] local, w[4..5] remote. The lower half of w[0] is 0: in the table that
 * is the place of the sequence number.
 */
struct xc_key {
    uint64_t w[6];
};
_Static_assert(sizeof(struct xvmi_flow) == 4 + 5 * sizeof(uint64_t), "all of the flow");

/* Where w[i] is in the flow, from 1. */
static inline const uint8_t *xc_flow_at(const struct xvmi_flow *flow, unsigned i)
{
    return (const uint8_t *)flow + (i == 1
                                        ? offsetof(struct xvmi_flow, lport)
                                        : offsetof(struct xvmi_flow, local) + 8 * (size_t)(i - 2));
}

/* A load wider than the stores with which the caller has just made the flow would have to wait for
 * them. So it is read word by word, and the compiler is kept from joining these to vectors. */
static inline uint64_t xc_flow_word(const struct xvmi_flow *flow, unsigned i)
{
    uint64_t word;
    memcpy(&word, xc_flow_at(flow, i), sizeof(word));
    __asm__("" : "+r"(word));
    return word;
}

static inline struct xc_key xc_key(const struct xvmi_flow *flow)
{
    struct xc_key key;
    key.w[0] = (uint64_t)flow->vm << 32;
#pragma GCC unroll 5
    for (unsigned i = 1; i < 6; i++)
        key.w[i] = xc_flow_word(flow, i);
    return key;
}

struct xc_secret {
    uint64_t nh[4];
    uint64_t mix[8]; /* the plain hash uses four of them */
    bool aes;
} __attribute__((aligned(16)));

static inline uint64_t xc_hash_plain(const struct xc_secret *secret, const struct xvmi_flow *flow)
{
    unsigned __int128 sum = (unsigned __int128)flow->vm << 64 | xc_flow_word(flow, 1);
#pragma GCC unroll 2
    for (unsigned i = 0; i < 4; i += 2)
        sum += (unsigned __int128)(xc_flow_word(flow, i + 2) + secret->nh[i]) *
               (xc_flow_word(flow, i + 3) + secret->nh[i + 1]);
#pragma GCC unroll 2
    for (unsigned i = 0; i < 4; i += 2)
        sum = (unsigned __int128)((uint64_t)sum ^ secret->mix[i]) *
              ((uint64_t)(sum >> 64) ^ secret->mix[i + 1]);
    return (uint64_t)sum ^ (uint64_t)(sum >> 64);
}

#if defined(__x86_64__) && !defined(XC_PORTABLE)
#include <emmintrin.h>

/* Written out, so that they can stand in functions that are compiled for any x86-64. */
static inline __m128i xc_multiply_halves(__m128i a)
{
    __asm__("pclmulqdq $0x10, %0, %0" : "+x"(a));
    return a;
}

static inline __m128i xc_aes_round(__m128i a, const uint64_t key[2])
{
    __asm__("aesenc %1, %0" : "+x"(a) : "m"(*(const __m128i *)key));
    return a;
}

/* w[i] */
static inline __m128i xc_flow_half(const struct xvmi_flow *flow, unsigned i)
{
    return _mm_loadl_epi64((const __m128i *)(const void *)xc_flow_at(flow, i));
}

/* w[i] and w[i + 1]; written out because a compiler would make it one load (see xc_flow_word()). */
static inline __m128i xc_flow_pair(const struct xvmi_flow *flow, unsigned i)
{
    const struct high {
        uint8_t bytes[8];
    } *high = (const struct high *)xc_flow_at(flow, i + 1);
    __m128i pair = xc_flow_half(flow, i);
    __asm__("movhps %1, %0" : "+x"(pair) : "m"(*high));
    return pair;
}

static inline uint64_t xc_hash_aes(const struct xc_secret *secret, const struct xvmi_flow *flow)
{
    const __m128i *nh = (const __m128i *)secret->nh;
    __m128i sum = _mm_unpacklo_epi64(xc_flow_half(flow, 1), _mm_cvtsi32_si128((int)flow->vm));
    sum = _mm_xor_si128(sum, *(const __m128i *)secret->mix);
    for (unsigned i = 0; i < 2; i++)
        sum = _mm_xor_si128(
            sum, xc_multiply_halves(_mm_xor_si128(xc_flow_pair(flow, 2 * i + 2), nh[i])));
    for (unsigned i = 0; i < 4; i++)
        sum = xc_aes_round(sum, &secret->mix[2 * ((i + 1) % 4)]);
    return (uint64_t)_mm_cvtsi128_si64(sum);
}

static inline bool xc_has_aes(void)
{
    return __builtin_cpu_supports("aes") && __builtin_cpu_supports("pclmul");
}
#else
static inline uint64_t xc_hash_aes(const struct xc_secret *secret, const struct xvmi_flow *flow)
{
    return xc_hash_plain(secret, flow);
}

static inline bool xc_has_aes(void)
{
    return false;
}
#endif

typedef uint64_t xc_hash_fn(const struct xc_secret *, const struct xvmi_flow *);

/* Of a cache with this secret. */
static inline uint64_t xc_hash(const struct xc_secret *secret, const struct xvmi_flow *flow)
{
    return __builtin_expect(secret->aes, 1) ? xc_hash_aes(secret, flow)
                                            : xc_hash_plain(secret, flow);
}

#endif
