// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "xlat/x86_64.h"

#include <stdbool.h>

#define PRESENT       (UINT64_C(1) << 0)
#define LARGE         (UINT64_C(1) << 7)  /* PS, levels 2 and 3 */
#define LARGE_PAT     (UINT64_C(1) << 12) /* attribute of a large page, not address */
#define PAGE_BITS     12
#define INDEX_BITS    9
#define MAX_PHYS_BITS 52

/* Address bits below bit `n`. */
static uint64_t below(unsigned n)
{
    return (UINT64_C(1) << n) - 1;
}

/* The first address bit that an entry of this level does not translate. */
static unsigned shift_of(unsigned level)
{
    return PAGE_BITS + (level - 1) * INDEX_BITS;
}

static unsigned index_of(const struct xx_walk *walk)
{
    return (unsigned)(walk->va >> shift_of(walk->level) & below(INDEX_BITS));
}

static enum xx_step need_in_table(struct xx_walk *walk, uint64_t table)
{
    walk->need = table + index_of(walk) * UINT64_C(8);
    return XX_NEED;
}

enum xx_step xx_begin(struct xx_walk *walk, const struct xx_paging *paging, uint64_t va,
                      struct xx_fault *fault)
{
    unsigned levels = paging->levels == 5 ? 5 : 4;
    unsigned phys = paging->phys_bits >= 32 && paging->phys_bits < MAX_PHYS_BITS ? paging->phys_bits
                                                                                 : MAX_PHYS_BITS;
    *walk = (struct xx_walk){
        .va = va,
        .addr = below(phys) & ~below(PAGE_BITS),
        .level = levels,
        .levels = levels,
    };
    /* Bits above the top index repeat its highest bit. */
    unsigned top = shift_of(levels) + INDEX_BITS - 1;
    uint64_t high = va >> top;
    if (high != 0 && high != UINT64_MAX >> top) {
        *fault = (struct xx_fault){
            .status = XVMI_ERR_NOT_PRESENT, .why = XX_NOT_CANONICAL, .level = levels, .va = va};
        return XX_FAULT;
    }
    return need_in_table(walk, paging->root & below(MAX_PHYS_BITS) & ~below(PAGE_BITS));
}

static enum xx_step fail(const struct xx_walk *walk, uint64_t entry, enum xx_why why,
                         struct xx_fault *fault)
{
    *fault = (struct xx_fault){
        .status = why == XX_RESERVED ? XVMI_ERR_FORMAT : XVMI_ERR_NOT_PRESENT,
        .why = why,
        .level = walk->level,
        .index = index_of(walk),
        .entry = entry,
        .va = walk->va,
    };
    return XX_FAULT;
}

enum xx_step xx_feed(struct xx_walk *walk, uint64_t entry, struct xx_fault *fault)
{
    if (!(entry & PRESENT))
        return fail(walk, entry, XX_NOT_PRESENT, fault);
    if (entry & below(MAX_PHYS_BITS) & ~below(PAGE_BITS) & ~walk->addr)
        return fail(walk, entry, XX_RESERVED, fault);
    /* Bit 7 of the last level is an attribute; above level 3 it is reserved. */
    bool large = walk->level > 1 && (entry & LARGE);
    if (large && walk->level > 3)
        return fail(walk, entry, XX_RESERVED, fault);

    uint64_t frame = entry & walk->addr;
    if (walk->level > 1 && !large) {
        walk->level--;
        return need_in_table(walk, frame);
    }
    uint64_t inside = below(shift_of(walk->level));
    if (large)
        frame &= ~LARGE_PAT;
    if (frame & inside)
        return fail(walk, entry, XX_RESERVED, fault);
    walk->gpa = frame | (walk->va & inside);
    walk->left = inside + 1 - (walk->va & inside);
    return XX_DONE;
}

struct xx_fault xx_unreadable(const struct xx_walk *walk, enum xvmi_status status)
{
    return (struct xx_fault){
        .status = status,
        .why = XX_NO_TABLE,
        .level = walk->level,
        .index = index_of(walk),
        .va = walk->va,
        .gpa = walk->need,
    };
}

enum xvmi_status xx_fault_text(const struct xx_fault *fault, struct xvmi_error *err)
{
    enum xvmi_status status = fault->status;
    if (!status)
        return xvmi_error_set(err, XVMI_ERR_INVALID, "no fault");
    switch (fault->why) {
    case XX_NOT_CANONICAL:
        return xvmi_error_set(err, status, "address 0x%016lx: not canonical with %u-level paging",
                              fault->va, fault->level);
    case XX_NOT_PRESENT:
        return xvmi_error_set(err, status,
                              "address 0x%016lx: page not present (level %u, entry %u, value "
                              "0x%lx)",
                              fault->va, fault->level, fault->index, fault->entry);
    case XX_RESERVED:
        return xvmi_error_set(err, status,
                              "address 0x%016lx: page table entry has reserved bits set (level "
                              "%u, entry %u, value 0x%lx)",
                              fault->va, fault->level, fault->index, fault->entry);
    case XX_NO_TABLE:
        return xvmi_error_set(err, status,
                              "address 0x%016lx: page table entry at guest-physical 0x%lx: %s "
                              "(level %u, entry %u)",
                              fault->va, fault->gpa, xvmi_status_text(status), fault->level,
                              fault->index);
    case XX_NO_MEMORY:
        return xvmi_error_set(err, status, "address 0x%016lx: memory at guest-physical 0x%lx: %s",
                              fault->va, fault->gpa, xvmi_status_text(status));
    case XX_WRAPS:
        break;
    }
    return xvmi_error_set(err, status, "address 0x%016lx: the read goes beyond the last address",
                          fault->va);
}
