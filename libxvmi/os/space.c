// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "os/space.h"

#include <stdlib.h>
#include <string.h>

/* Pages looked at before a direct map is believed. */
#define DIRECT_SAMPLES 64u

enum xvmi_status xo_init(struct xo_space *space, struct xm_mem *mem, struct xx_paging paging,
                         bool with_tlb, struct xvmi_error *err)
{
    *space = (struct xo_space){.mem = mem, .paging = paging};
    if (paging.levels != 4 && paging.levels != 5)
        return xvmi_error_set(err, XVMI_ERR_INVALID, "paging with %u levels", paging.levels);
    if (with_tlb) {
        space->tlb = calloc(1, sizeof(*space->tlb));
        if (!space->tlb)
            return xvmi_error_set(err, XVMI_ERR_NO_MEMORY, "out of memory for a TLB");
    }
    return XVMI_OK;
}

void xo_fini(struct xo_space *space)
{
    free(space->tlb);
    *space = (struct xo_space){0};
}

static enum xvmi_status fault(struct xo_space *space, struct xx_fault what)
{
    space->fault = what;
    return what.status;
}

static enum xvmi_status no_memory(struct xo_space *space, uint64_t gva, uint64_t gpa,
                                  enum xvmi_status status)
{
    return fault(space,
                 (struct xx_fault){.status = status, .why = XX_NO_MEMORY, .va = gva, .gpa = gpa});
}

/* The tables alone decide: no TLB, no direct map. */
static enum xvmi_status walk_tables(struct xo_space *space, uint64_t gva, struct xx_walk *walk)
{
    enum xx_step step = xx_begin(walk, &space->paging, gva, &space->fault);
    while (step == XX_NEED) {
        uint64_t entry;
        enum xvmi_status status = xm_read_entry(space->mem, walk->need, &entry, NULL);
        if (status)
            return fault(space, xx_unreadable(walk, status));
        step = xx_feed(walk, entry, &space->fault);
    }
    return step == XX_DONE ? XVMI_OK : space->fault.status;
}

static const uint8_t *page_at(const struct xo_space *space, uint64_t gpa)
{
    return xm_ptr(space->mem, gpa & ~(XX_PAGE - 1), XX_PAGE, NULL);
}

/* Put the window on the range that holds gva, a direct-mapped address, if that is mapped; where
 * pages are mapped one by one, remember this one. */
static void move_window(struct xo_space *space, uint64_t gva)
{
    uint64_t gpa = gva - space->direct_base;
    const struct xvmi_mem_range *range = xm_range_of(space->mem, gpa);
    const uint8_t *host;
    if (range && range->host && range->size >= 8)
        space->near = (struct xo_window){
            .gva = space->direct_base + range->gpa, .room = range->size - 7, .host = range->host};
    else if (range && !range->host && space->tlb && (host = page_at(space, gpa)))
        xx_tlb_insert(space->tlb, gva, gpa, host);
}

static enum xvmi_status translate(struct xo_space *space, uint64_t gva, uint64_t *gpa,
                                  uint64_t *left)
{
    uint64_t off = gva - space->direct_base;
    if (off < space->direct_size) {
        *gpa = off;
        *left = space->direct_size - off;
        if (gva - space->near.gva >= space->near.room)
            move_window(space, gva);
        return XVMI_OK;
    }
    if (space->tlb && xx_tlb_gpa(space->tlb, gva, gpa)) {
        *left = XX_PAGE - gva % XX_PAGE;
        return XVMI_OK;
    }
    struct xx_walk walk;
    enum xvmi_status status = walk_tables(space, gva, &walk);
    if (status)
        return status;
    *gpa = walk.gpa;
    *left = walk.left;
    if (space->tlb)
        xx_tlb_insert(space->tlb, gva, walk.gpa, page_at(space, walk.gpa));
    return XVMI_OK;
}

enum xvmi_status xo_translate(struct xo_space *space, uint64_t gva, uint64_t *gpa, uint64_t *left)
{
    space->reads++;
    return translate(space, gva, gpa, left);
}

/* Part of a read: as much as is contiguous, at most len, into *took. */
static enum xvmi_status read_piece(struct xo_space *space, uint64_t gva, void *dst, size_t len,
                                   size_t *took)
{
    uint64_t gpa, left;
    enum xvmi_status status = translate(space, gva, &gpa, &left);
    if (status)
        return status;
    *took = len < left ? len : (size_t)left;
    status = xm_read(space->mem, gpa, dst, *took, NULL);
    return status ? no_memory(space, gva, gpa, status) : XVMI_OK;
}

static enum xvmi_status wraps(struct xo_space *space, uint64_t gva)
{
    return fault(space,
                 (struct xx_fault){.status = XVMI_ERR_NOT_PRESENT, .why = XX_WRAPS, .va = gva});
}

enum xvmi_status xo_read(struct xo_space *space, uint64_t gva, void *dst, size_t len)
{
    space->reads++;
    if (len > 0 && len - 1 > UINT64_MAX - gva)
        return wraps(space, gva);
    for (uint8_t *out = dst; len > 0;) {
        size_t took;
        enum xvmi_status status = read_piece(space, gva, out, len, &took);
        if (status)
            return status;
        gva += took;
        out += took;
        len -= took;
    }
    return XVMI_OK;
}

enum xvmi_status xo_read_str(struct xo_space *space, uint64_t gva, char *dst, size_t size,
                             bool *cut)
{
    space->reads++;
    if (cut)
        *cut = false;
    for (size_t done = 0; done < size;) {
        uint64_t at = gva + done;
        size_t len = XX_PAGE - at % XX_PAGE;
        if (len > size - done)
            len = size - done;
        enum xvmi_status status =
            at < gva ? wraps(space, gva) : read_piece(space, at, dst + done, len, &len);
        if (status) {
            dst[0] = '\0';
            return status;
        }
        /* Search the copy: the guest may be writing. */
        if (memchr(dst + done, '\0', len))
            return XVMI_OK;
        done += len;
    }
    if (size > 0)
        dst[size - 1] = '\0';
    if (cut)
        *cut = true;
    return XVMI_OK;
}

const void *xo_ptr(struct xo_space *space, uint64_t gva, size_t len)
{
    space->reads++;
    struct xx_fault before = space->fault;
    uint64_t gpa, left;
    enum xvmi_status status = translate(space, gva, &gpa, &left);
    space->fault = before;
    if (status || len > left)
        return NULL;
    return xm_ptr(space->mem, gpa, len, NULL);
}

/* Where gva lies if that is known without reading page tables. */
static bool known_gpa(struct xo_space *space, uint64_t gva, uint64_t *gpa)
{
    *gpa = gva - space->direct_base;
    return *gpa < space->direct_size || (space->tlb && xx_tlb_gpa(space->tlb, gva, gpa));
}

void xo_expect(struct xo_space *space, const uint64_t *gva, size_t n)
{
    struct xvmi_mem_read far[XO_EXPECT_MAX];
    uint8_t byte;
    size_t n_far = 0;
    for (size_t i = 0; i < n && i < XO_EXPECT_MAX; i++) {
        const void *host = NULL;
        uint64_t gpa;
        if (!xo_hot(space, gva[i], &host) && known_gpa(space, gva[i], &gpa)) {
            const struct xvmi_mem_range *range = xm_range_of(space->mem, gpa);
            host = range && range->host ? range->host + (gpa - range->gpa) : NULL;
            if (!host)
                far[n_far++] = (struct xvmi_mem_read){.gpa = gpa, .dst = &byte, .len = 1};
        }
        if (host)
            __builtin_prefetch(host);
    }
    if (n_far > 1) /* one alone is read when it is needed */
        (void)!xm_read_batch(space->mem, far, n_far, NULL);
}

static void forget(struct xo_space *space)
{
    space->near = (struct xo_window){0};
    if (space->tlb)
        xx_tlb_clear(space->tlb);
}

void xo_invalidate(struct xo_space *space)
{
    forget(space);
    xm_invalidate(space->mem);
}

void xo_renew(struct xo_space *space)
{
    if (xm_invalidate(space->mem))
        forget(space);
}

enum xvmi_status xo_fault(const struct xo_space *space, struct xvmi_error *err)
{
    return xx_fault_text(&space->fault, err);
}

/* The GPA of the `n`th byte of RAM, all ranges taken together; n < xm_total(). */
static uint64_t nth_byte(const struct xm_mem *mem, uint64_t n)
{
    size_t count;
    const struct xvmi_mem_range *ranges = xm_ranges(mem, &count);
    size_t i = 0;
    while (i + 1 < count && n >= ranges[i].size)
        n -= ranges[i++].size;
    return ranges[i].gpa + n;
}

static enum xvmi_status check_sample(struct xo_space *space, uint64_t base, uint64_t gpa,
                                     unsigned *agree, struct xvmi_error *err)
{
    struct xx_walk walk;
    enum xvmi_status status = walk_tables(space, base + gpa, &walk);
    if (status == XVMI_ERR_NOT_PRESENT)
        return XVMI_OK;
    if (status)
        return xo_fault(space, err);
    if (walk.gpa != gpa)
        return xvmi_error_set(err, XVMI_ERR_MISMATCH,
                              "address 0x%016lx is mapped to guest-physical 0x%lx, not 0x%lx",
                              base + gpa, walk.gpa, gpa);
    ++*agree;
    return XVMI_OK;
}

enum xvmi_status xo_use_direct_map(struct xo_space *space, uint64_t base, struct xvmi_error *err)
{
    space->near = (struct xo_window){0};
    space->direct_base = space->direct_size = 0;
    size_t n;
    const struct xvmi_mem_range *ranges = xm_ranges(space->mem, &n);
    uint64_t end = ranges[n - 1].gpa + ranges[n - 1].size;
    /* The upper half of the address space, whole pages, and all of RAM behind it. */
    if (base % XX_PAGE != 0 || base >> 63 == 0 || end > UINT64_MAX - base)
        return xvmi_error_set(err, XVMI_ERR_MISMATCH, "no direct map can be at 0x%016lx", base);

    unsigned agree = 0;
    uint64_t total = xm_total(space->mem);
    for (unsigned i = 0; i < DIRECT_SAMPLES; i++) {
        uint64_t byte = total / DIRECT_SAMPLES * i + total % DIRECT_SAMPLES * i / DIRECT_SAMPLES;
        enum xvmi_status status =
            check_sample(space, base, nth_byte(space->mem, byte), &agree, err);
        if (status)
            return xvmi_error_frame(err, status, "direct map at 0x%016lx", base);
    }
    if (agree < DIRECT_SAMPLES / 2)
        return xvmi_error_set(err, XVMI_ERR_MISMATCH,
                              "direct map at 0x%016lx: only %u of %u samples are mapped there",
                              base, agree, DIRECT_SAMPLES);
    space->direct_base = base;
    space->direct_size = end;
    return XVMI_OK;
}
