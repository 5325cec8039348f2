// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "maps.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS   4096u
#define PER_BATCH (XE_BATCH / XE_GROUP)

struct group {
    uint64_t number; /* of its first page, divided by XE_GROUP */
    const uint8_t *host;
    struct window *window;
    struct group *next; /* in its bucket */
    uint64_t round;     /* in which it was mapped */
    uint64_t frames[XE_GROUP];
    uint16_t mapped; /* a bit a page */
};

/* What one call mapped. Unmapped as a whole: the kernel of a PVH dom0 keeps book of whole ones. */
struct window {
    struct window *next; /* younger */
    void *at;
    size_t n, alive; /* groups: all, and those that are found by their number */
    struct group group[];
};

struct xe_maps {
    struct xe_source source;
    uint64_t round;
    size_t pages;
    size_t windows_gone;
    struct window *oldest, **youngest;
    struct group *bucket[BUCKETS];
};

enum xvmi_status xe_maps_new(const struct xe_source *source, struct xe_maps **maps,
                             struct xvmi_error *err)
{
    *maps = calloc(1, sizeof(**maps));
    if (!*maps)
        return xvmi_error_set(err, XVMI_ERR_NO_MEMORY, "out of memory");
    (*maps)->source = *source;
    (*maps)->round = 1;
    (*maps)->youngest = &(*maps)->oldest;
    return XVMI_OK;
}

void xe_maps_free(struct xe_maps *maps)
{
    if (!maps)
        return;
    xe_maps_round(maps, true);
    free(maps);
}

size_t xe_maps_pages(const struct xe_maps *maps)
{
    return maps->pages;
}

static struct group **place_of(struct xe_maps *maps, uint64_t number)
{
    struct group **at = &maps->bucket[number % BUCKETS];
    while (*at && (*at)->number != number)
        at = &(*at)->next;
    return at;
}

/* The group is not found any more; its pages stay mapped until the round ends. */
static void retire(struct xe_maps *maps, struct group *group)
{
    struct group **at = place_of(maps, group->number);
    if (*at != group)
        return;
    *at = group->next;
    group->window->alive--;
}

static enum xvmi_status absent(uint64_t page, struct xvmi_error *err)
{
    return xvmi_error_set(err, XVMI_ERR_NOT_PRESENT,
                          "the domain has no memory of its own at guest-physical 0x%" PRIx64
                          ": ballooned out, granted by another domain, or a device's",
                          page * XE_PAGE);
}

static enum xvmi_status map_failed(int error, struct xvmi_error *err)
{
    enum xvmi_status status = XVMI_ERR_IO;
    if (error == EPERM)
        status = XVMI_ERR_PERMISSION;
    else if (error == ENOMEM)
        status = XVMI_ERR_NO_MEMORY;
    return xvmi_error_set(err, status, "mapping the domain's memory: %s", strerror(error));
}

/* What maps->source.map() takes and gives, for up to a batch of pages. */
struct batch {
    uint64_t frames[XE_BATCH];
    int fails[XE_BATCH];
};

/* Frames of n pages, `step` apart. */
static void find_frames(const struct xe_maps *maps, struct batch *batch, uint64_t page, size_t step,
                        size_t n)
{
    for (size_t i = 0; i < n; i++)
        batch->frames[i] = maps->source.frame(maps->source.ctx, page + i * step);
}

static void *map_frames(struct xe_maps *maps, struct batch *batch, size_t n)
{
    memset(batch->fails, 0, n * sizeof(batch->fails[0]));
    return maps->source.map(maps->source.ctx, batch->frames, n, batch->fails);
}

static bool is_there(const struct batch *batch, size_t i)
{
    return batch->frames[i] != XE_NO_FRAME && batch->fails[i] == 0;
}

/* What the window's n groups hold, and that they can be found. */
static void publish(struct xe_maps *maps, struct window *window, const uint64_t *numbers,
                    const struct batch *batch)
{
    for (size_t i = 0; i < window->n; i++) {
        struct group *group = &window->group[i];
        struct group **bucket = &maps->bucket[numbers[i] % BUCKETS];
        *group = (struct group){
            .number = numbers[i],
            .host = (const uint8_t *)window->at + i * XE_GROUP * XE_PAGE,
            .window = window,
            .next = *bucket,
            .round = maps->round,
        };
        for (size_t k = 0; k < XE_GROUP; k++) {
            group->frames[k] = batch->frames[i * XE_GROUP + k];
            group->mapped |= (uint16_t)(is_there(batch, i * XE_GROUP + k) << k);
        }
        *bucket = group;
    }
    *maps->youngest = window;
    maps->youngest = &window->next;
    maps->pages += window->n * XE_GROUP;
}

/* Map these groups, none of which is known, in one call. */
static enum xvmi_status add(struct xe_maps *maps, const uint64_t *numbers, size_t n,
                            struct xvmi_error *err)
{
    struct batch batch;
    size_t pages = n * XE_GROUP;
    if (maps->pages + pages > XE_MOST)
        return xvmi_error_set(err, XVMI_ERR_LIMIT, "%zu pages are mapped", maps->pages);
    struct window *window = calloc(1, sizeof(*window) + n * sizeof(window->group[0]));
    if (!window)
        return xvmi_error_set(err, XVMI_ERR_NO_MEMORY, "out of memory");
    for (size_t i = 0; i < pages; i++)
        batch.frames[i] =
            maps->source.frame(maps->source.ctx, numbers[i / XE_GROUP] * XE_GROUP + i % XE_GROUP);
    window->at = map_frames(maps, &batch, pages);
    if (!window->at) {
        int error = errno;
        free(window);
        return map_failed(error, err);
    }
    window->n = window->alive = n;
    publish(maps, window, numbers, &batch);
    return XVMI_OK;
}

/* Is what the group knows of this page still so? */
static bool is_good(const struct xe_maps *maps, const struct group *group, uint64_t page)
{
    unsigned i = page % XE_GROUP;
    uint64_t frame = maps->source.frame(maps->source.ctx, page);
    if (frame != group->frames[i])
        return false;
    /* What could not be mapped in an earlier round may be there by now. */
    return group->mapped >> i & 1 || frame == XE_NO_FRAME || group->round == maps->round;
}

enum xvmi_status xe_maps_page(struct xe_maps *maps, uint64_t page, const uint8_t **host,
                              struct xvmi_error *err)
{
    uint64_t number = page / XE_GROUP;
    struct group *group = *place_of(maps, number);
    if (group && !is_good(maps, group, page)) {
        retire(maps, group);
        group = NULL;
    }
    if (!group) {
        enum xvmi_status status = add(maps, &number, 1, err);
        if (status)
            return status;
        group = maps->bucket[number % BUCKETS];
    }
    if (!(group->mapped >> page % XE_GROUP & 1))
        return absent(page, err);
    *host = group->host + page % XE_GROUP * XE_PAGE;
    return XVMI_OK;
}

static bool is_among(const uint64_t *numbers, size_t n, uint64_t number)
{
    for (size_t i = 0; i < n; i++)
        if (numbers[i] == number)
            return true;
    return false;
}

void xe_maps_expect(struct xe_maps *maps, const struct xvmi_mem_read *reads, size_t n)
{
    uint64_t numbers[PER_BATCH];
    size_t wanted = 0;
    for (size_t i = 0; i < n; i++) {
        uint64_t number = reads[i].gpa / XE_PAGE / XE_GROUP;
        if (*place_of(maps, number) || is_among(numbers, wanted, number))
            continue;
        numbers[wanted++] = number;
        if (wanted == PER_BATCH) {
            if (add(maps, numbers, wanted, NULL))
                return;
            wanted = 0;
        }
    }
    if (wanted > 0)
        (void)!add(maps, numbers, wanted, NULL);
}

enum xvmi_status xe_maps_copy(struct xe_maps *maps, uint64_t gpa, void *dst, size_t len,
                              struct xvmi_error *err)
{
    struct batch batch;
    uint8_t *out = dst;
    while (len > 0) {
        uint64_t page = gpa / XE_PAGE;
        size_t skip = gpa % XE_PAGE;
        size_t n = len / XE_PAGE + 2 < XE_BATCH ? (skip + len + XE_PAGE - 1) / XE_PAGE : XE_BATCH;
        size_t take = len < n * XE_PAGE - skip ? len : n * XE_PAGE - skip;
        find_frames(maps, &batch, page, 1, n);
        const uint8_t *at = map_frames(maps, &batch, n);
        if (!at)
            return map_failed(errno, err);
        size_t missing = 0;
        while (missing < n && is_there(&batch, missing))
            missing++;
        if (missing == n)
            memcpy(out, at + skip, take);
        maps->source.unmap(maps->source.ctx, (void *)(uintptr_t)at, n);
        if (missing < n)
            return absent(page + missing, err);
        gpa += take;
        out += take;
        len -= take;
    }
    return XVMI_OK;
}

enum xvmi_status xe_maps_probe(struct xe_maps *maps, uint64_t page, size_t step, size_t n,
                               bool *present, struct xvmi_error *err)
{
    struct batch batch;
    if (n == 0)
        return XVMI_OK;
    find_frames(maps, &batch, page, step, n);
    void *at = map_frames(maps, &batch, n);
    if (!at)
        return map_failed(errno, err);
    maps->source.unmap(maps->source.ctx, at, n);
    for (size_t i = 0; i < n; i++)
        present[i] = is_there(&batch, i);
    return XVMI_OK;
}

static void unmap(struct xe_maps *maps, struct window **at)
{
    struct window *window = *at;
    *at = window->next;
    maps->pages -= window->n * XE_GROUP;
    maps->windows_gone++;
    maps->source.unmap(maps->source.ctx, window->at, window->n * XE_GROUP);
    free(window);
}

/* The oldest windows: all, or until few enough pages are mapped. */
static void unmap_old(struct xe_maps *maps, size_t keep)
{
    while (maps->oldest && maps->pages > keep) {
        for (size_t i = 0; i < maps->oldest->n; i++)
            retire(maps, &maps->oldest->group[i]);
        unmap(maps, &maps->oldest);
    }
    if (!maps->oldest)
        maps->youngest = &maps->oldest;
}

static bool has_moved(const struct xe_maps *maps, const struct group *group)
{
    for (uint64_t i = 0; i < XE_GROUP; i++)
        if (maps->source.frame(maps->source.ctx, group->number * XE_GROUP + i) != group->frames[i])
            return true;
    return false;
}

/* Groups that are not what they were, and windows of which nothing is found any more. */
static void unmap_moved(struct xe_maps *maps)
{
    struct window **at = &maps->oldest;
    while (*at) {
        for (size_t i = 0; i < (*at)->n; i++)
            if (has_moved(maps, &(*at)->group[i]))
                retire(maps, &(*at)->group[i]);
        if ((*at)->alive == 0)
            unmap(maps, at);
        else
            at = &(*at)->next;
    }
    maps->youngest = at;
}

bool xe_maps_full(const struct xe_maps *maps)
{
    return maps->pages > XE_KEPT;
}

bool xe_maps_round(struct xe_maps *maps, bool drop_all)
{
    size_t before = maps->windows_gone;
    maps->round++;
    if (!drop_all)
        unmap_moved(maps);
    unmap_old(maps, drop_all ? 0 : XE_KEPT);
    return maps->windows_gone != before;
}
