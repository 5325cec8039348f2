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

struct xx_tlb_entry {
    uint64_t tag;        /* page | 1; 0 when empty */
    uint64_t gpa;        /* of the page's first byte */
    const uint8_t *host; /* the page's 4096 bytes; NULL when they are not mapped in one piece */
};

struct xx_tlb {
    struct xx_tlb_entry slot[XX_TLB_SLOTS];
};

static inline struct xx_tlb_entry *xx_tlb_slot(struct xx_tlb *tlb, uint64_t va)
{
    return &tlb->slot[va / XX_PAGE % XX_TLB_SLOTS];
}

/* NULL when va's page is not known. */
static inline const struct xx_tlb_entry *xx_tlb_find(struct xx_tlb *tlb, uint64_t va)
{
    const struct xx_tlb_entry *entry = xx_tlb_slot(tlb, va);
    return entry->tag == ((va & ~(XX_PAGE - 1)) | 1) ? entry : NULL;
}

/* Any address in the page will do for `va` and `gpa`; `host` is its first byte. */
static inline void xx_tlb_insert(struct xx_tlb *tlb, uint64_t va, uint64_t gpa, const uint8_t *host)
{
    *xx_tlb_slot(tlb, va) = (struct xx_tlb_entry){
        .tag = (va & ~(XX_PAGE - 1)) | 1, .gpa = gpa & ~(XX_PAGE - 1), .host = host};
}

static inline void xx_tlb_clear(struct xx_tlb *tlb)
{
    memset(tlb, 0, sizeof(*tlb));
}

#endif
