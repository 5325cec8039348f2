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

#include "cache/table.h"

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define XC_PORTABLE 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define XC_PORTABLE 1
#endif

static inline unsigned xc_match_portable(const struct xc_group *group, uint16_t tag)
{
    unsigned mask = 0;
    for (unsigned i = 0; i < XC_WAYS; i++)
        mask |= (unsigned)(atomic_load_explicit(&group->tags[i], memory_order_relaxed) == tag) << i;
    return mask;
}

#if defined(XC_PORTABLE)
#define xc_match xc_match_portable

#elif defined(__SSE2__)
#include <emmintrin.h>
#define xc_match xc_match_sse2
static inline unsigned xc_match_sse2(const struct xc_group *group, uint16_t tag)
{
    const __m128i *half = (const __m128i *)group;
    __m128i want = _mm_set1_epi16((short)tag);
    __m128i lo = _mm_cmpeq_epi16(_mm_load_si128(half), want);
    __m128i hi = _mm_cmpeq_epi16(_mm_load_si128(half + 1), want);
    /* The first four lanes are the state word. */
    return (unsigned)_mm_movemask_epi8(_mm_packs_epi16(lo, hi)) >> 4;
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

#else
#define xc_match xc_match_portable
#endif

#endif
