// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "frames.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "maps.h"

#define PER_PAGE   (XE_PAGE / sizeof(uint64_t))
#define ADDR       UINT64_C(0x000ffffffffff000)
#define EXTENT     (UINT64_C(2) << 20) /* bytes of m2p that Xen names by one frame */
#define PER_EXTENT (EXTENT / sizeof(uint64_t))
#define MAX_EXTENT 16384 /* 16 TiB of machine memory */
/* Pages that are not memory's, but on the list: the hole for devices below 4 GiB. */
#define HOLE   (UINT64_C(1) << 20)
#define LEVELS 4

struct extent {
    xen_pfn_t frame;         /* of its first page */
    const uint64_t *numbers; /* NULL: not mapped yet */
};

struct xe_frames {
    const struct xe_host *host;
    uint32_t domid;
    const volatile shared_info_t *shared;
    unsigned long generation;
    const volatile uint64_t *list;
    uint64_t n;        /* entries */
    size_t list_pages; /* mapped */
    struct extent *extents;
    size_t n_extents;
};

static void *map(const struct xe_host *host, uint32_t domid, const xen_pfn_t *frames, size_t n)
{
    return xenforeignmemory_map(host->memory, domid, PROT_READ, n, frames, NULL);
}

static void unmap(const struct xe_host *host, const volatile void *at, size_t n)
{
    if (at)
        xenforeignmemory_unmap(host->memory, (void *)(uintptr_t)at, n);
}

/* The guest's list: its pages, by the guest's own page tables. */

struct tables {
    const struct xe_host *host;
    uint32_t domid;
    const uint64_t *table[LEVELS]; /* mapped: [0] is the one of pages */
    uint64_t frame[LEVELS];
};

/* The table of this level, mapped; the one of before is kept as long as it is the same. */
static const uint64_t *table_at(struct tables *t, unsigned level, uint64_t frame)
{
    xen_pfn_t wanted = frame;
    if (t->table[level] && t->frame[level] == frame)
        return t->table[level];
    unmap(t->host, t->table[level], 1);
    t->frame[level] = frame;
    return t->table[level] = map(t->host, t->domid, &wanted, 1);
}

/* The machine frame that the tables with this root have at a virtual address. */
static bool walk(struct tables *t, uint64_t root, uint64_t va, xen_pfn_t *frame)
{
    uint64_t at = root;
    for (unsigned level = LEVELS; level-- > 0;) {
        const uint64_t *table = table_at(t, level, at);
        uint64_t entry = table ? table[va >> (12 + 9 * level) & 511] : 0;
        if (!(entry & 1) || (level > 0 && entry & 0x80)) /* large pages: PV guests have none */
            return false;
        at = (entry & ADDR) / XE_PAGE;
    }
    *frame = at;
    return true;
}

static enum xvmi_status list_frames(const struct xe_frames *f, uint64_t root, uint64_t va,
                                    xen_pfn_t *frames, struct xvmi_error *err)
{
    struct tables tables = {.host = f->host, .domid = f->domid};
    size_t done = 0;
    while (done < f->list_pages && walk(&tables, root, va + done * XE_PAGE, &frames[done]))
        done++;
    for (unsigned level = 0; level < LEVELS; level++)
        unmap(f->host, tables.table[level], 1);
    if (done < f->list_pages)
        return xvmi_error_set(err, XVMI_ERR_FORMAT,
                              "the guest says that its list of frames is at 0x%" PRIx64
                              ", but its page tables have nothing at 0x%" PRIx64,
                              va, va + done * XE_PAGE);
    return XVMI_OK;
}

static enum xvmi_status map_list(struct xe_frames *f, uint64_t most, struct xvmi_error *err)
{
    const volatile arch_shared_info_t *arch = &f->shared->arch;
    f->generation = arch->p2m_generation;
    uint64_t root = arch->p2m_cr3, va = arch->p2m_vaddr;
    f->n = arch->max_pfn;
    if (!root || !f->n || f->generation & 1)
        return xvmi_error_set(err, XVMI_ERR_CHANGED,
                              "the guest has not told where its list of machine frames is (has it "
                              "booted yet? Linux tells since 3.19)");
    if (f->n > most + HOLE || va % XE_PAGE)
        return xvmi_error_set(err, XVMI_ERR_FORMAT,
                              "the guest says that it has %" PRIu64 " pages, listed at 0x%" PRIx64
                              ", but may have %" PRIu64,
                              f->n, va, most);
    f->list_pages = (f->n + PER_PAGE - 1) / PER_PAGE;
    xen_pfn_t *frames = calloc(f->list_pages, sizeof(*frames));
    if (!frames)
        return xvmi_error_set(err, XVMI_ERR_NO_MEMORY, "out of memory");
    enum xvmi_status status = list_frames(f, root / XE_PAGE, va, frames, err);
    if (!status) {
        f->list = map(f->host, f->domid, frames, f->list_pages);
        if (!f->list)
            status = xe_host_failed(f->host, errno, "mapping the guest's list of frames", err);
    }
    free(frames);
    return status;
}

/* Xen's list */

static enum xvmi_status find_extents(struct xe_frames *f, struct xvmi_error *err)
{
    unsigned long last;
    if (xc_maximum_ram_page(f->host->xc, &last))
        return xe_host_failed(f->host, errno, "asking Xen how much memory there is", err);
    f->n_extents = last / PER_EXTENT + 1;
    if (f->n_extents > MAX_EXTENT)
        return xvmi_error_set(err, XVMI_ERR_LIMIT, "the machine has %lu pages of memory", last);
    f->extents = calloc(f->n_extents, sizeof(*f->extents));
    xen_pfn_t *first = calloc(f->n_extents, sizeof(*first));
    enum xvmi_status status = XVMI_OK;
    if (!f->extents || !first)
        status = xvmi_error_set(err, XVMI_ERR_NO_MEMORY, "out of memory");
    else if (xc_machphys_mfn_list(f->host->xc, f->n_extents, first))
        status = xe_host_failed(f->host, errno, "asking Xen for its list of machine frames", err);
    for (size_t i = 0; !status && i < f->n_extents; i++)
        f->extents[i].frame = first[i];
    free(first);
    return status;
}

static const uint64_t *extent(struct xe_frames *f, size_t i)
{
    xen_pfn_t frames[EXTENT / XE_PAGE];
    if (!f->extents[i].numbers) {
        for (size_t k = 0; k < EXTENT / XE_PAGE; k++)
            frames[k] = f->extents[i].frame + k;
        f->extents[i].numbers = map(f->host, DOMID_XEN, frames, EXTENT / XE_PAGE);
    }
    return f->extents[i].numbers;
}

enum xvmi_status xe_frames_open(const struct xe_host *host, uint32_t domid,
                                const xc_domaininfo_t *info, struct xe_frames **frames,
                                struct xvmi_error *err)
{
    struct xe_frames *f = calloc(1, sizeof(*f));
    xen_pfn_t shared = info->shared_info_frame;
    if (!f)
        return xvmi_error_set(err, XVMI_ERR_NO_MEMORY, "out of memory");
    f->host = host;
    f->domid = domid;
    f->shared = map(host, domid, &shared, 1);
    enum xvmi_status status = XVMI_OK;
    if (!f->shared)
        status = xe_host_failed(host, errno, "mapping what the guest shares with Xen", err);
    if (!status)
        status = map_list(f, info->max_pages, err);
    if (!status)
        status = find_extents(f, err);
    if (status) {
        xe_frames_close(f);
        return status;
    }
    *frames = f;
    return XVMI_OK;
}

void xe_frames_close(struct xe_frames *frames)
{
    if (!frames)
        return;
    for (size_t i = 0; i < frames->n_extents && frames->extents; i++)
        unmap(frames->host, frames->extents[i].numbers, EXTENT / XE_PAGE);
    unmap(frames->host, frames->list, frames->list_pages);
    unmap(frames->host, frames->shared, 1);
    free(frames->extents);
    free(frames);
}

bool xe_frames_moved(const struct xe_frames *frames)
{
    return frames->shared->arch.p2m_generation != frames->generation ||
           frames->shared->arch.max_pfn != frames->n;
}

uint64_t xe_frames_pages(const struct xe_frames *frames)
{
    return frames->n;
}

uint64_t xe_frames_machine(const struct xe_frames *frames, uint64_t page)
{
    return page < frames->n ? xe_frames_entry(frames->list[page]) : XE_NO_FRAME;
}

uint64_t xe_frames_page(struct xe_frames *frames, uint64_t machine)
{
    size_t i = machine / PER_EXTENT;
    const volatile uint64_t *numbers = i < frames->n_extents ? extent(frames, i) : NULL;
    uint64_t page = numbers ? numbers[machine % PER_EXTENT] : XE_NO_FRAME;
    return xe_frames_machine(frames, page) == machine ? page : XE_NO_FRAME;
}
