// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "mem/mem.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "mem/cache.h"
#include "mem/driver.h"
#include "mem/image.h"

/* How many pages one batch brings in at most. */
#define BATCH_PAGES 256u

/* A bound on what a backend may claim; a guest has tens. */
#define MAX_RANGES (1u << 20)

struct xm_mem {
    struct xvmi_mem_ops ops; /* a copy: fields the backend was compiled without are NULL */
    void *ctx;
    unsigned vcpus;
    bool live;
    char *name;
    struct xvmi_mem_range *ranges; /* ours: sorted, disjoint, checked */
    size_t n;
    size_t hot; /* the range that answered last */
    uint64_t total;
    struct xm_cache *cache; /* NULL when every range is mapped, for good or as it is wanted */
    struct xm_stats stats;
};

static enum xvmi_status check_range(const struct xvmi_mem_range *range, size_t i, bool can_read,
                                    struct xvmi_error *err)
{
    if (range->size == 0)
        return xvmi_error_set(err, XVMI_ERR_FORMAT, "memory range %zu at 0x%lx is empty", i,
                              range->gpa);
    if (range->size > UINT64_MAX - range->gpa)
        return xvmi_error_set(err, XVMI_ERR_FORMAT,
                              "memory range %zu at 0x%lx, 0x%lx bytes, wraps around", i, range->gpa,
                              range->size);
    if (i > 0 && range[-1].gpa + range[-1].size > range->gpa)
        return xvmi_error_set(err, XVMI_ERR_FORMAT,
                              "memory range %zu at 0x%lx overlaps or precedes the one at 0x%lx", i,
                              range->gpa, range[-1].gpa);
    if (!range->host && !can_read)
        return xvmi_error_set(err, XVMI_ERR_FORMAT,
                              "memory range %zu at 0x%lx is not mapped and cannot be read", i,
                              range->gpa);
    return XVMI_OK;
}

/* Ask the backend for its ranges and take a checked copy. On failure `mem` is as it was. */
static enum xvmi_status take_ranges(struct xm_mem *mem, struct xvmi_error *err)
{
    const struct xvmi_mem_range *ranges = NULL;
    size_t n = 0;
    enum xvmi_status status = mem->ops.ranges(mem->ctx, &ranges, &n, err);
    if (status)
        return status;
    if (n == 0 || n > MAX_RANGES)
        return xvmi_error_set(err, XVMI_ERR_FORMAT, "%zu memory ranges", n);

    uint64_t total = 0;
    bool all_mapped = true;
    for (size_t i = 0; i < n; i++) {
        status = check_range(&ranges[i], i, mem->ops.read, err);
        if (status)
            return status;
        total += ranges[i].size;
        all_mapped = all_mapped && ranges[i].host;
    }
    if (!all_mapped && !mem->ops.page && !mem->cache) {
        mem->cache = xm_cache_new();
        if (!mem->cache)
            return xvmi_error_set(err, XVMI_ERR_NO_MEMORY, "out of memory for the page cache");
    }
    struct xvmi_mem_range *copy = malloc(n * sizeof(*copy));
    if (!copy)
        return xvmi_error_set(err, XVMI_ERR_NO_MEMORY, "out of memory for %zu ranges", n);
    memcpy(copy, ranges, n * sizeof(*copy));
    free(mem->ranges);
    mem->ranges = copy;
    mem->n = n;
    mem->hot = 0;
    mem->total = total;
    return XVMI_OK;
}

/* Takes the context over first of all, so that xm_close() releases it whatever fails later. */
static enum xvmi_status init(struct xm_mem *mem, const struct xvmi_mem_backend *backend,
                             const char *name, struct xvmi_error *err)
{
    size_t size = backend->ops->size;
    memcpy(&mem->ops, backend->ops, size < sizeof(mem->ops) ? size : sizeof(mem->ops));
    mem->ctx = backend->ctx;
    mem->vcpus = backend->vcpus;
    mem->live = backend->live;
    mem->name = strdup(name);
    if (!mem->name)
        return xvmi_error_set(err, XVMI_ERR_NO_MEMORY, "out of memory");
    if (!mem->ops.ranges)
        return xvmi_error_set(err, XVMI_ERR_INVALID, "the backend has no ranges()");
    return take_ranges(mem, err);
}

enum xvmi_status xm_new(const struct xvmi_mem_backend *backend, const char *name,
                        struct xm_mem **mem, struct xvmi_error *err)
{
    *mem = NULL;
    if (!backend->ops || backend->ops->size < offsetof(struct xvmi_mem_ops, read_batch))
        return xvmi_error_set(err, XVMI_ERR_INVALID, "%s: the backend has no usable ops", name);
    struct xm_mem *made = calloc(1, sizeof(*made));
    if (!made) {
        if (backend->ops->close)
            backend->ops->close(backend->ctx);
        return xvmi_error_set(err, XVMI_ERR_NO_MEMORY, "out of memory");
    }
    enum xvmi_status status = init(made, backend, name, err);
    if (status) {
        xm_close(made);
        return xvmi_error_frame(err, status, "%s", name);
    }
    *mem = made;
    return XVMI_OK;
}

void xm_close(struct xm_mem *mem)
{
    if (!mem)
        return;
    if (mem->ops.close)
        mem->ops.close(mem->ctx);
    xm_cache_free(mem->cache);
    free(mem->ranges);
    free(mem->name);
    free(mem);
}

enum xvmi_status xm_open(const char *uri, struct xm_mem **mem, struct xvmi_error *err)
{
    *mem = NULL;
    const char *colon = strchr(uri, ':');
    if (!colon || colon == uri || !colon[1])
        return xvmi_error_set(err, XVMI_ERR_INVALID,
                              "'%s' does not name a guest: write file:PATH, qemu:QMP-SOCKET, "
                              "qemu:pid=N or xen:NAME",
                              uri);
    xb_auto_free char *scheme = strndup(uri, (size_t)(colon - uri));
    if (!scheme)
        return xvmi_error_set(err, XVMI_ERR_NO_MEMORY, "out of memory");
    struct xvmi_mem_backend backend = {.size = sizeof(backend)};
    enum xvmi_status status = strcmp(scheme, "file") == 0
                                  ? xm_image_open(colon + 1, &backend, err)
                                  : xm_driver_open(scheme, colon + 1, &backend, err);
    if (status)
        return status;
    return xm_new(&backend, uri, mem, err);
}

const struct xvmi_mem_range *xm_ranges(const struct xm_mem *mem, size_t *n)
{
    *n = mem->n;
    return mem->ranges;
}

uint64_t xm_total(const struct xm_mem *mem)
{
    return mem->total;
}

bool xm_live(const struct xm_mem *mem)
{
    return mem->live;
}

bool xm_copies(const struct xm_mem *mem)
{
    return mem->live && mem->cache;
}

unsigned xm_vcpus(const struct xm_mem *mem)
{
    return mem->vcpus;
}

const char *xm_name(const struct xm_mem *mem)
{
    return mem->name;
}

struct xm_stats xm_stats(const struct xm_mem *mem)
{
    return mem->stats;
}

/* The first range that ends after `gpa`; n when there is none. */
static size_t range_at_or_after(const struct xm_mem *mem, uint64_t gpa)
{
    size_t low = 0, high = mem->n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (mem->ranges[mid].gpa + mem->ranges[mid].size <= gpa)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

const struct xvmi_mem_range *xm_range_of(struct xm_mem *mem, uint64_t gpa)
{
    const struct xvmi_mem_range *range = &mem->ranges[mem->hot];
    if (gpa - range->gpa < range->size)
        return range;
    size_t i = range_at_or_after(mem, gpa);
    if (i == mem->n || gpa < mem->ranges[i].gpa)
        return NULL;
    mem->hot = i;
    return &mem->ranges[i];
}

static bool page_in_range(const struct xvmi_mem_range *range, uint64_t page)
{
    return page >= range->gpa && page - range->gpa < range->size &&
           range->size - (page - range->gpa) >= XM_PAGE;
}

/* Part of one page of an unmapped range as the backend maps it now. */
static enum xvmi_status page_ptr(struct xm_mem *mem, const struct xvmi_mem_range *range,
                                 uint64_t gpa, const uint8_t **host, struct xvmi_error *err)
{
    uint64_t page = gpa & ~(uint64_t)(XM_PAGE - 1);
    if (!mem->ops.page || !page_in_range(range, page))
        return XVMI_ERR_LIMIT;
    enum xvmi_status status = mem->ops.page(mem->ctx, page, host, err);
    if (!status)
        *host += gpa - page;
    return status;
}

const uint8_t *xm_ptr(struct xm_mem *mem, uint64_t gpa, size_t len, uint64_t *avail)
{
    const struct xvmi_mem_range *range = xm_range_of(mem, gpa);
    if (!range)
        return NULL;
    uint64_t off = gpa - range->gpa;
    if (len > range->size - off)
        return NULL;
    if (!range->host) {
        const uint8_t *host;
        uint64_t left = XM_PAGE - gpa % XM_PAGE;
        if (len > left || page_ptr(mem, range, gpa, &host, NULL))
            return NULL;
        if (avail)
            *avail = left;
        return host;
    }
    if (avail)
        *avail = range->size - off;
    return range->host + off;
}

static enum xvmi_status backend_read(struct xm_mem *mem, uint64_t gpa, void *dst, size_t len,
                                     struct xvmi_error *err)
{
    mem->stats.backend_calls++;
    mem->stats.backend_bytes += len;
    return mem->ops.read(mem->ctx, gpa, dst, len, err);
}

/* Part of one page of an unmapped range: from where the backend maps it, or through the cache when
 * the whole page is RAM. */
static enum xvmi_status read_in_page(struct xm_mem *mem, const struct xvmi_mem_range *range,
                                     uint64_t gpa, void *dst, size_t len, struct xvmi_error *err)
{
    uint64_t page = gpa & ~(uint64_t)(XM_PAGE - 1);
    const uint8_t *data;
    if (!mem->cache) {
        enum xvmi_status status = page_ptr(mem, range, gpa, &data, err);
        if (status == XVMI_ERR_LIMIT)
            return backend_read(mem, gpa, dst, len, err);
        if (!status)
            memcpy(dst, data, len);
        return status;
    }
    data = xm_cache_find(mem->cache, page);
    if (data) {
        mem->stats.cache_hits++;
    } else {
        struct xm_cache_slot *slot =
            page_in_range(range, page) ? xm_cache_reserve(mem->cache, page) : NULL;
        if (!slot)
            return backend_read(mem, gpa, dst, len, err);
        uint8_t *room = xm_cache_data(mem->cache, slot);
        enum xvmi_status status = backend_read(mem, page, room, XM_PAGE, err);
        if (status) {
            xm_cache_drop(slot);
            return status;
        }
        xm_cache_commit(mem->cache, slot);
        data = room;
    }
    memcpy(dst, data + (gpa - page), len);
    return XVMI_OK;
}

/* A read within one unmapped range. Large ones would only wash out the cache: whole pages in the
 * middle go straight to `dst`. */
static enum xvmi_status read_unmapped(struct xm_mem *mem, const struct xvmi_mem_range *range,
                                      uint64_t gpa, uint8_t *dst, size_t len,
                                      struct xvmi_error *err)
{
    if (len >= (size_t)BATCH_PAGES * XM_PAGE)
        return backend_read(mem, gpa, dst, len, err);
    while (len > 0) {
        size_t left = XM_PAGE - gpa % XM_PAGE;
        size_t take = len < left ? len : left;
        enum xvmi_status status = read_in_page(mem, range, gpa, dst, take, err);
        if (status)
            return status;
        gpa += take;
        dst += take;
        len -= take;
    }
    return XVMI_OK;
}

enum xvmi_status xm_read(struct xm_mem *mem, uint64_t gpa, void *dst, size_t len,
                         struct xvmi_error *err)
{
    uint8_t *out = dst;
    while (len > 0) {
        const struct xvmi_mem_range *range = xm_range_of(mem, gpa);
        if (!range)
            return xvmi_error_set(err, XVMI_ERR_NOT_PRESENT, "no RAM at guest-physical 0x%lx", gpa);
        uint64_t off = gpa - range->gpa;
        size_t take = len < range->size - off ? len : (size_t)(range->size - off);
        if (range->host) {
            memcpy(out, range->host + off, take);
        } else {
            enum xvmi_status status = read_unmapped(mem, range, gpa, out, take, err);
            if (status)
                return status;
        }
        gpa += take; /* at most 2^64 - 1: ranges end before that */
        out += take;
        len -= take;
    }
    return XVMI_OK;
}

/* Bits of an entry that hold an address. */
#define ENTRY_ADDR    UINT64_C(0x000ffffffffff000)
#define ENTRY_PRESENT UINT64_C(1)

enum xvmi_status xm_read_entry(struct xm_mem *mem, uint64_t gpa, uint64_t *entry,
                               struct xvmi_error *err)
{
    uint64_t page;
    enum xvmi_status status = xm_read(mem, gpa, entry, sizeof(*entry), err);
    if (status || !mem->ops.from_tables || !(*entry & ENTRY_PRESENT))
        return status;
    status = mem->ops.from_tables(mem->ctx, *entry & ENTRY_ADDR, &page, err);
    if (!status)
        *entry = (*entry & ~ENTRY_ADDR) | (page & ENTRY_ADDR);
    return status;
}

struct fill {
    struct xvmi_mem_read read[BATCH_PAGES];
    struct xm_cache_slot *slot[BATCH_PAGES];
    size_t n;
};

/* Queue the pages of [gpa, gpa + len) that are neither mapped nor cached. False: queue is full. */
static bool queue_pages(struct xm_mem *mem, struct fill *fill, uint64_t gpa, size_t len)
{
    if (len == 0 || len - 1 > UINT64_MAX - gpa || len >= (size_t)BATCH_PAGES * XM_PAGE)
        return true; /* the read itself deals with these */
    uint64_t last = (gpa + len - 1) & ~(uint64_t)(XM_PAGE - 1);
    for (uint64_t page = gpa & ~(uint64_t)(XM_PAGE - 1);; page += XM_PAGE) {
        const struct xvmi_mem_range *range = xm_range_of(mem, page);
        if (range && !range->host && page_in_range(range, page) &&
            !xm_cache_find(mem->cache, page)) {
            if (fill->n == BATCH_PAGES)
                return false;
            struct xm_cache_slot *slot = xm_cache_reserve(mem->cache, page);
            if (slot) {
                fill->slot[fill->n] = slot;
                fill->read[fill->n++] = (struct xvmi_mem_read){
                    .gpa = page,
                    .dst = xm_cache_data(mem->cache, slot),
                    .len = XM_PAGE,
                    .status = XVMI_ERR_IO,
                };
            }
        }
        if (page == last)
            return true;
    }
}

static enum xvmi_status run_fill(struct xm_mem *mem, struct fill *fill, struct xvmi_error *err)
{
    if (fill->n == 0)
        return XVMI_OK;
    mem->stats.backend_calls++;
    mem->stats.backend_bytes += fill->n * XM_PAGE;
    enum xvmi_status status = mem->ops.read_batch(mem->ctx, fill->read, fill->n, err);
    for (size_t i = 0; i < fill->n; i++) {
        if (!status && !fill->read[i].status)
            xm_cache_commit(mem->cache, fill->slot[i]);
        else
            xm_cache_drop(fill->slot[i]);
    }
    fill->n = 0;
    return status;
}

enum xvmi_status xm_read_batch(struct xm_mem *mem, struct xvmi_mem_read *reads, size_t n,
                               struct xvmi_error *err)
{
    struct fill fill;
    fill.n = 0;
    if (mem->ops.page && mem->ops.read_batch) {
        mem->stats.backend_calls++;
        return mem->ops.read_batch(mem->ctx, reads, n, err);
    }
    bool fills = mem->cache && mem->ops.read_batch;
    for (size_t done = 0; done < n;) {
        size_t end = done;
        while (end < n && (!fills || queue_pages(mem, &fill, reads[end].gpa, reads[end].len)))
            end++;
        enum xvmi_status status = run_fill(mem, &fill, err);
        if (status)
            return status;
        /* A read that filled the queue alone (end == done) finds most of its pages there. */
        for (end += end == done; done < end; done++)
            reads[done].status =
                xm_read(mem, reads[done].gpa, reads[done].dst, reads[done].len, NULL);
    }
    return XVMI_OK;
}

enum xvmi_status xm_next_data(struct xm_mem *mem, uint64_t gpa, uint64_t *start, uint64_t *end,
                              struct xvmi_error *err)
{
    for (;;) {
        size_t i = range_at_or_after(mem, gpa);
        if (i == mem->n)
            return xvmi_error_set(err, XVMI_ERR_NOT_FOUND, "no memory at or after 0x%lx", gpa);
        const struct xvmi_mem_range *range = &mem->ranges[i];
        uint64_t from = gpa > range->gpa ? gpa : range->gpa;
        uint64_t to = range->gpa + range->size;
        if (mem->ops.next_data) {
            uint64_t data = 0, data_end = 0;
            enum xvmi_status status = mem->ops.next_data(mem->ctx, from, &data, &data_end, err);
            if (status)
                return status;
            if (data < from || data_end <= data)
                return xvmi_error_set(err, XVMI_ERR_FORMAT,
                                      "%s: the backend's next data after 0x%lx is 0x%lx to 0x%lx",
                                      mem->name, from, data, data_end);
            if (data >= to) {
                gpa = data;
                continue;
            }
            from = data;
            to = data_end < to ? data_end : to;
        }
        *start = from;
        *end = to;
        return XVMI_OK;
    }
}

enum xvmi_status xm_regs(struct xm_mem *mem, unsigned vcpu, struct xvmi_vcpu_regs *regs,
                         struct xvmi_error *err)
{
    memset(regs, 0, sizeof(*regs));
    if (!mem->ops.regs)
        return xvmi_error_set(err, XVMI_ERR_UNSUPPORTED, "%s: no registers come with this memory",
                              mem->name);
    return mem->ops.regs(mem->ctx, vcpu, regs, err);
}

enum xvmi_status xm_vmcoreinfo(struct xm_mem *mem, void *dst, size_t size, size_t *len,
                               struct xvmi_error *err)
{
    *len = 0;
    if (!mem->ops.vmcoreinfo)
        return xvmi_error_set(err, XVMI_ERR_NOT_FOUND, "%s: no VMCOREINFO comes with this memory",
                              mem->name);
    return mem->ops.vmcoreinfo(mem->ctx, dst, size, len, err);
}

enum xvmi_status xm_nics(struct xm_mem *mem, const struct xvmi_nic **nics, size_t *n,
                         struct xvmi_error *err)
{
    *nics = NULL;
    *n = 0;
    if (!mem->ops.nics)
        return xvmi_error_set(err, XVMI_ERR_UNSUPPORTED,
                              "%s: no network devices are known with this memory", mem->name);
    return mem->ops.nics(mem->ctx, nics, n, err);
}

static enum xvmi_status no_events(const struct xm_mem *mem, struct xvmi_error *err)
{
    return xvmi_error_set(err, XVMI_ERR_UNSUPPORTED, "%s: nobody tells what happens to it",
                          mem->name);
}

enum xvmi_status xm_event_fd(struct xm_mem *mem, int *fd, struct xvmi_error *err)
{
    *fd = -1;
    return mem->ops.event_fd ? mem->ops.event_fd(mem->ctx, fd, err) : no_events(mem, err);
}

enum xvmi_status xm_event(struct xm_mem *mem, enum xvmi_vm_event *event, struct xvmi_error *err)
{
    *event = XVMI_VM_NOTHING;
    return mem->ops.event ? mem->ops.event(mem->ctx, event, err) : no_events(mem, err);
}

enum xvmi_status xm_refresh(struct xm_mem *mem, bool *changed, struct xvmi_error *err)
{
    *changed = false;
    if (!mem->ops.refresh)
        return XVMI_OK;
    enum xvmi_status status = mem->ops.refresh(mem->ctx, changed, err);
    if (!status && *changed) {
        status = take_ranges(mem, err);
        if (status) {
            /* What we knew is void and nothing took its place: no RAM at all. */
            mem->ranges[0] = (struct xvmi_mem_range){0};
            mem->n = 1;
            mem->hot = 0;
            mem->total = 0;
        }
    }
    if (status)
        return xvmi_error_frame(err, status, "%s", mem->name);
    if (*changed)
        xm_invalidate(mem);
    return XVMI_OK;
}

bool xm_invalidate(struct xm_mem *mem)
{
    if (mem->live && mem->cache)
        xm_cache_new_epoch(mem->cache);
    return mem->ops.release && mem->ops.release(mem->ctx);
}
