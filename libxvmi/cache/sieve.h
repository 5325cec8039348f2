/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XC_SIEVE_H
#define XC_SIEVE_H

/*
 * SIEVE (Zhang et al., NSDI 2024) over the 12 slots of one group, in one word:
 *
 *     bits  0..47  the queue: nibble p is the slot at position p, 0 the oldest
 *     bits 48..51  the hand: a position
 *     bits 52..63  marks: bit 52+s says that slot s was hit since the hand passed it
 *
 * Unlike CLOCK's, a newcomer goes to the young end and survivors stay where they are: the
 * hand soon comes by newcomers that nobody asked for again. So a flood of flows that are
 * seen once passes through few slots and leaves the others alone.
 *
 * Readers set marks at any time; the rest belongs to who holds the lock. A writer computes the next
 * word from a snapshot and stores it. Marks set in between are lost, which the next hit makes good;
 * a reader's fetch_or cannot undo the store.
 */

#include <stdint.h>

#define XC_WAYS        12u
#define XC_SIEVE_EMPTY UINT64_C(0x0000ba9876543210)
#define XC_SIEVE_QUEUE ((UINT64_C(1) << 48) - 1)
#define XC_SIEVE_MARKS 52

static inline uint64_t xc_sieve_mark(unsigned slot)
{
    return UINT64_C(1) << (XC_SIEVE_MARKS + slot);
}

static inline unsigned xc_sieve_slot(uint64_t state, unsigned pos)
{
    return (unsigned)(state >> (4 * pos)) & 0xf;
}

static inline unsigned xc_sieve_hand(uint64_t state)
{
    return (unsigned)(state >> 48) & 0xf;
}

/* Where a slot stands in the queue. */
static inline unsigned xc_sieve_position(uint64_t state, unsigned slot)
{
    unsigned pos = 0;
    while (pos < XC_WAYS - 1 && xc_sieve_slot(state, pos) != slot)
        pos++;
    return pos;
}

/* The slot at position `pos` gets a new entry: it moves to the young end, unmarked. */
static inline uint64_t xc_sieve_renew(uint64_t state, unsigned pos)
{
    unsigned slot = xc_sieve_slot(state, pos);
    unsigned hand = xc_sieve_hand(state);
    uint64_t older = (UINT64_C(1) << (4 * pos)) - 1;
    uint64_t queue = state & XC_SIEVE_QUEUE;
    queue = (queue & older) | ((queue >> 4) & ~older) | (uint64_t)slot << (4 * (XC_WAYS - 1));
    if (pos < hand)
        hand--;
    else if (pos == hand && pos == XC_WAYS - 1)
        hand = 0;
    uint64_t marks = state & ~xc_sieve_mark(slot) & ~((UINT64_C(1) << 52) - 1);
    return marks | (uint64_t)hand << 48 | queue;
}

/* Move the hand to the entry to evict, clearing the marks that it passes. */
static inline uint64_t xc_sieve_advance(uint64_t state)
{
    unsigned hand = xc_sieve_hand(state);
    for (unsigned i = 0; i < XC_WAYS; i++) {
        uint64_t mark = xc_sieve_mark(xc_sieve_slot(state, hand));
        if (!(state & mark))
            break;
        state &= ~mark;
        hand = hand + 1 == XC_WAYS ? 0 : hand + 1;
    }
    return (state & ~(UINT64_C(0xf) << 48)) | (uint64_t)hand << 48;
}

#endif
