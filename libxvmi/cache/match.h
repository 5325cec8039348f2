/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XC_MATCH_H
#define XC_MATCH_H

/*
 * Which slots of a group carry a tag: bit i of the result for slot i.
 *
 * The vector versions read the tags with loads that C knows nothing atomic about. It is
 * enough that each aligned 16-bit tag is read as a whole, which every machine with these
 * instructions does; nothing is concluded from two tags together, and a tag is only a hint:
 * the entry's own sequence number and key decide. ThreadSanitizer gets the portable version.
 */

#include <string.h>

#include "cache/table.h"

static inline unsigned xc_match_portable(const struct xc_group *group, uint16_t tag)
{
    unsigned mask = 0;
    for (unsigned i = 0; i < XC_WAYS; i++)
        mask |= (unsigned)(atomic_load_explicit(&group->tags[i], memory_order_relaxed) == tag) << i;
    return mask;
}

/*
 * Whether an entry's key is that flow, between two looks at the entry's sequence number.
 *
 * x86 does loads in order, so there it does not matter how wide or how torn they are: a byte that
 * a later write stored was stored after the number became odd, which the second look then sees.
 * The compiler is told to keep that order. Elsewhere, acquire loads of whole words do it.
 */
#if defined(__SSE2__) && !defined(XC_PORTABLE)
static inline uint64_t xc_entry_word(const struct xc_entry *entry, unsigned i)
{
    uint64_t word;
    memcpy(&word, (const uint8_t *)entry + 8 * i, sizeof(word));
    return word;
}
#define XC_LOADS_END __asm__ volatile("" ::: "memory")
#else
static inline uint64_t xc_entry_word(const struct xc_entry *entry, unsigned i)
{
    return atomic_load_explicit(&entry->w[i], memory_order_acquire);
}
#define XC_LOADS_END ((void)0)
#endif

static inline bool xc_same_words(const struct xc_entry *entry, const struct xvmi_flow *flow)
{
    uint64_t diff = xc_entry_word(entry, 0) >> 32 ^ flow->vm;
#pragma GCC unroll 5
    for (unsigned i = 1; i < 6; i++)
        diff |= xc_flow_word(flow, i) ^ xc_entry_word(entry, i);
    XC_LOADS_END;
    return !diff;
}

#if defined(XC_PORTABLE)
#define xc_match     xc_match_portable
#define xc_same_flow xc_same_words

#elif defined(__SSE2__)
#include <emmintrin.h>
#define xc_match xc_match_sse2
static inline unsigned xc_match_sse2(const struct xc_group *group, uint16_t tag)
{
    const __m128i *half = (const __m128i *)group;
    __m128i want = _mm_shufflelo_epi16(_mm_cvtsi32_si128(tag), 0);
    want = _mm_unpacklo_epi64(want, want);
    __m128i lo = _mm_cmpeq_epi16(_mm_load_si128(half), want);
    __m128i hi = _mm_cmpeq_epi16(_mm_load_si128(half + 1), want);
    /* The first four lanes are the state word. */
    return (unsigned)_mm_movemask_epi8(_mm_packs_epi16(lo, hi)) >> 4;
}

#define xc_same_flow xc_same_flow_sse2
static inline bool xc_same_flow_sse2(const struct xc_entry *entry, const struct xvmi_flow *flow)
{
    const __m128i *words = (const __m128i *)entry;
    __m128i same = _mm_and_si128(_mm_cmpeq_epi8(xc_flow_pair(flow, 2), words[1]),
                                 _mm_cmpeq_epi8(xc_flow_pair(flow, 4), words[2]));
    bool result = _mm_movemask_epi8(same) == 0xffff &&
                  xc_flow_word(flow, 1) == xc_entry_word(entry, 1) &&
                  flow->vm == (uint32_t)(xc_entry_word(entry, 0) >> 32);
    XC_LOADS_END;
    return result;
}

#elif defined(__aarch64__) && defined(__ARM_NEON) && !defined(__AARCH64EB__)
#include <arm_neon.h>
#define xc_match xc_match_neon
static inline unsigned xc_match_neon(const struct xc_group *group, uint16_t tag)
{
    const uint16_t *lane = (const uint16_t *)group;
    static const uint16_t weight[16] = {1,       1 << 1,  1 << 2,  1 << 3, 1 << 4,  1 << 5,
                                        1 << 6,  1 << 7,  1 << 8,  1 << 9, 1 << 10, 1 << 11,
                                        1 << 12, 1 << 13, 1 << 14, 1 << 15};
    uint16x8_t want = vdupq_n_u16(tag);
    uint16x8_t lo = vandq_u16(vceqq_u16(vld1q_u16(lane), want), vld1q_u16(weight));
    uint16x8_t hi = vandq_u16(vceqq_u16(vld1q_u16(lane + 8), want), vld1q_u16(weight + 8));
    /* The first four lanes are the state word. */
    return (unsigned)vaddvq_u16(vorrq_u16(lo, hi)) >> 4;
}

#define xc_same_flow xc_same_words

#else
#define xc_match     xc_match_portable
#define xc_same_flow xc_same_words
#endif

#endif
