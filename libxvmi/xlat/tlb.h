/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XX_TLB_H
#define XX_TLB_H

/*
 * A software TLB: guest-virtual page to guest-physical page and, where memory is mapped,
 * host pointer. Direct-mapped, 1024 entries of 24 bytes: 24 KiB, so that it stays in a
 * 32 KiB first-level cache, and covers 4 MiB (large pages take an entry for each 4 KiB used).
 */

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define XX_PAGE      UINT64_C(4096)
#define XX_TLB_SLOTS 1024u

/*
 * `tag` is the page's address with low bits that say what is known: all of them set when the page
 * is mapped, the lowest one when it is not; 0 is an empty slot. One comparison with the last
 * byte of a read thus proves the page, the mapping, and that the read ends in this page: the page
 * that follows has another slot.
 */
#define XX_TLB_MAPPED   (XX_PAGE - 1)
#define XX_TLB_UNMAPPED UINT64_C(1)

struct xx_tlb_entry {
    uint64_t tag;
    uint64_t to_host; /* mapped: added to an address in the page, it gives the host's */
    uint64_t gpa;     /* of the page's first byte */
};

struct xx_tlb {
    struct xx_tlb_entry slot[XX_TLB_SLOTS];
};

static inline struct xx_tlb_entry *xx_tlb_slot(struct xx_tlb *tlb, uint64_t va)
{
    return &tlb->slot[va / XX_PAGE % XX_TLB_SLOTS];
}

/* Sets *host to where `len` bytes at va, 1 to 4096, lie; false when that is not known. */
static inline bool xx_tlb_host(struct xx_tlb *tlb, uint64_t va, uint64_t len, const void **host)
{
    const struct xx_tlb_entry *entry = xx_tlb_slot(tlb, va);
    if (entry->tag != ((va + len - 1) | XX_TLB_MAPPED))
        return false;
    *host = (const void *)(uintptr_t)(va + entry->to_host);
    return true;
}

/* Sets *gpa to what va is mapped to; false when its page is not known. */
static inline bool xx_tlb_gpa(struct xx_tlb *tlb, uint64_t va, uint64_t *gpa)
{
    const struct xx_tlb_entry *entry = xx_tlb_slot(tlb, va);
    uint64_t page = va & ~(XX_PAGE - 1);
    if (entry->tag != (page | XX_TLB_MAPPED) && entry->tag != (page | XX_TLB_UNMAPPED))
        return false;
    *gpa = entry->gpa | (va - page);
    return true;
}

/* `va` is mapped to `gpa`, whose page's first byte is at `host` when all of it is mapped in one
 * piece, else NULL. */
static inline void xx_tlb_insert(struct xx_tlb *tlb, uint64_t va, uint64_t gpa, const uint8_t *host)
{
    uint64_t page = va & ~(XX_PAGE - 1);
    *xx_tlb_slot(tlb, va) = (struct xx_tlb_entry){
        .tag = page | (host ? XX_TLB_MAPPED : XX_TLB_UNMAPPED),
        .to_host = host ? (uint64_t)(uintptr_t)host - page : 0,
        .gpa = gpa & ~(XX_PAGE - 1),
    };
}

static inline void xx_tlb_clear(struct xx_tlb *tlb)
{
    memset(tlb, 0, sizeof(*tlb));
}

#endif
