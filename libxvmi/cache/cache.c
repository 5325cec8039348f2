// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Why readers need no lock.
 *
 * Shape. A hash picks a group of 12 slots; a flow lives in its group, in one slot at most, and
 * never moves to another while it lives. A reader compares 12 tags (one line), then reads the
 * entry of the slot whose tag fits (one line). Entries in a group change only under the lock
 * of the group's stripe, so what follows is about one writer and any number of readers.
 *
 * No torn decision. Each entry is a seqlock of its own, without fences: the writer makes the
 * sequence number odd, stores each word with release, then makes it even with release. The
 * reader loads the number (acquire), each word (acquire), and the number again. If a word is
 * from a later write, that acquire load synchronises with the release store, before which the
 * writer made the number odd: the second load then sees that or something newer, and
 * differs. If it does not differ, no word is from a later write; and none is older, since the
 * first load synchronised with the store that made the number even. All words are atomics:
 * there is no data race in C's sense, but for the compared keys on x86, which match.h argues about.
 * Numbers are drawn from the stripe. They have 32 bits; a reader would have to sleep through
 * exactly a multiple of 2^31 writes of the stripe, and the last one would have to be to its slot,
 * to be fooled.
 *
 * No waiting. A reader that finds the number odd or changed tries again XC_READ_TRIES times,
 * then says "miss". It never depends on the writer going on.
 *
 * A miss from tags alone is right, too: each tag is read as a whole, and a flow that is in
 * the table during the whole look-up has its tag in one place during the whole look-up. If it
 * was removed or moved by removing and inserting again, there was an instant without it.
 * Tags are stored after the entry they lead to, but nothing depends on that: the key is
 * compared under the sequence number.
 *
 * Removed means tag 0, the entry stays as it was. A reader that saw the tag before may still
 * hit it; its look-up began before the removal ended, and is ordered before it.
 *
 * Invalidation by epoch or VM. One clock counts both. Invalidating takes the next number c and
 * raises a floor to c (of all, or of the VM's place in a table). A decision carries the clock
 * as it was when it was begun; it is valid while that is at or above both floors. Comparing each
 * by itself, rather than a sum or hash of two generations, leaves no pair of states that look
 * alike. A decision whose stamp is c or later read the clock after the invalidation's increment
 * (release, acquire), so it also sees the policy that was in place before. The clock stops at its
 * top instead of wrapping around; from there on, invalidating removes everything one by one.
 *
 * Invalidation of one flow while somebody decides about it. There is a count for each stripe;
 * its value at the beginning is in the stamp. Two parties:
 *   insert: [lock] store entry, tag; then RMW the count (adding 0); if it is not the stamp's,
 *           take the entry back; make the sequence number even [unlock]
 *   opener: RMW the count (adding 1); then scan the group, set the deadline of what fits to 0;
 *           an entry whose number is odd fits when its tag does
 * The RMWs of one count are in one order. Opener first: the insert sees another count and
 * takes the entry back. Insert first: the opener's RMW synchronises with it, so it sees the tag
 * and the entry, and marks it; the deadline was stored before, so the mark stays. An entry
 * taken back gets a stamp that no floor lets through before its number becomes even. Openers take
 * no lock, so SYN packets are as wait-free as others. Removers do the same under the lock; a
 * removal by owner raises all counts first, then visits all slots. A mark that hits a newcomer in
 * the same slot makes that one revalidate early: harmless.
 *
 * Marks of the SIEVE queue are set by readers with one fetch_or, only when clear: once a turn of
 * the hand, not once a packet. They, and whether single look-ups fetch early, are hints: any value
 * is right.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include "cache/table.h"

/* Arrays begin at a pair of lines. */
static size_t pair_up(size_t n)
{
    return (n + 2 * XC_LINE - 1) & ~(size_t)(2 * XC_LINE - 1);
}

static size_t group_bytes(bool counters)
{
    return sizeof(struct xc_group) + XC_WAYS * (sizeof(struct xc_entry) + sizeof(struct xc_detail) +
                                                (counters ? sizeof(struct xc_counter) : 0));
}

static size_t fixed_bytes(uint32_t stripes)
{
    return sizeof(struct xvmi_cache) + stripes * (sizeof(uint32_t) + sizeof(struct xc_stripe)) +
           12 * XC_LINE /* alignment of the arrays */;
}

/* How many groups fit; 0: none. */
static uint32_t groups_in(size_t size, bool counters, uint32_t *stripes)
{
    *stripes = XC_STRIPES;
    while (*stripes > 1 && fixed_bytes(*stripes) > size / 8)
        *stripes /= 2;
    if (size <= fixed_bytes(*stripes))
        return 0;
    size_t n = (size - fixed_bytes(*stripes)) / group_bytes(counters);
    return n > UINT32_MAX / XC_WAYS ? UINT32_MAX / XC_WAYS : (uint32_t)n;
}

static void *carve(uint8_t **next, size_t size)
{
    void *p = *next;
    *next += pair_up(size);
    return p;
}

static struct xvmi_cache *lay_out(uint8_t *map, size_t size, bool counters)
{
    uint32_t stripes;
    uint32_t n = groups_in(size, counters, &stripes);
    struct xvmi_cache *cache = carve(&map, sizeof(*cache) + stripes * sizeof(cache->counts[0]));
    cache->ngroups = n;
    cache->stripe_mask = stripes - 1;
    cache->stripes = carve(&map, stripes * sizeof(struct xc_stripe));
    cache->groups = carve(&map, n * sizeof(struct xc_group));
    size_t slots = (size_t)n * XC_WAYS;
    cache->entries = carve(&map, slots * sizeof(struct xc_entry));
    cache->details = carve(&map, slots * sizeof(struct xc_detail));
    cache->counters = counters ? carve(&map, slots * sizeof(struct xc_counter)) : NULL;
    for (uint32_t g = 0; g < n; g++)
        atomic_init(&cache->groups[g].state, XC_SIEVE_EMPTY);
    atomic_init(&cache->clock, 1);
    atomic_init(&cache->epoch_floor, 1);
    atomic_init(&cache->refs, 1);
    atomic_init(&cache->eager, true);
    return cache;
}

static bool draw_secret(struct xc_secret *secret)
{
    secret->aes = xc_has_aes();
    const size_t size = offsetof(struct xc_secret, aes);
    uint8_t *p = (uint8_t *)secret;
    for (size_t got = 0; got < size;) {
        ssize_t n = getrandom(p + got, size - got, 0);
        if (n < 0 && errno != EINTR)
            return false;
        if (n > 0)
            got += (size_t)n;
    }
    return true;
}

/* What the machine has, whether free or not: more is a mistake, and mapping it would succeed. */
static uint64_t host_memory(void)
{
    return (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
}

enum xvmi_status xvmi_cache_new(const struct xvmi_cache_options *options, struct xvmi_cache **cache,
                                struct xvmi_error *err)
{
    *cache = NULL;
    if (!options || options->size < sizeof(*options))
        return xvmi_error_set(err, XVMI_ERR_INVALID, "cache: options without their size");
    if (options->memory < XVMI_CACHE_MEMORY_MIN)
        return xvmi_error_set(err, XVMI_ERR_LIMIT,
                              "cache: %llu bytes are too few, give at least %u",
                              (unsigned long long)options->memory, XVMI_CACHE_MEMORY_MIN);
    if (options->memory > host_memory())
        return xvmi_error_set(
            err, XVMI_ERR_LIMIT, "cache: %llu bytes are more than the host has (%llu)",
            (unsigned long long)options->memory, (unsigned long long)host_memory());
    struct xc_secret secret;
    if (!draw_secret(&secret))
        return xvmi_error_set(err, XVMI_ERR_IO, "cache: no random numbers from the host: %s",
                              strerror(errno));
    size_t size = (size_t)options->memory, page_size;
    bool huge_wanted;
    uint8_t *map = xc_map(&size, &page_size, &huge_wanted);
    if (!map)
        return xvmi_error_set(err, XVMI_ERR_NO_MEMORY, "cache: no %llu bytes of memory: %s",
                              (unsigned long long)options->memory, strerror(errno));
    *cache = lay_out(map, size, options->counters);
    (*cache)->secret = secret;
    (*cache)->map_size = size;
    (*cache)->page_size = page_size;
    (*cache)->huge_wanted = huge_wanted;
    return XVMI_OK;
}

struct xvmi_cache *xvmi_cache_ref(struct xvmi_cache *cache)
{
    atomic_fetch_add_explicit(&cache->refs, 1, memory_order_relaxed);
    return cache;
}

void xvmi_cache_unref(struct xvmi_cache *cache)
{
    if (cache && atomic_fetch_sub_explicit(&cache->refs, 1, memory_order_acq_rel) == 1)
        munmap(cache, cache->map_size);
}

static void raise_floor(_Atomic uint32_t *floor, uint32_t to)
{
    uint32_t was = atomic_load_explicit(floor, memory_order_relaxed);
    while (was < to && !atomic_compare_exchange_weak_explicit(floor, &was, to, memory_order_acq_rel,
                                                              memory_order_relaxed))
        ;
}

/* False when the clock has stopped. */
static bool tick(struct xvmi_cache *cache, uint32_t *now)
{
    uint32_t was = atomic_load_explicit(&cache->clock, memory_order_relaxed);
    do {
        if (was == UINT32_MAX) {
            *now = was;
            return false;
        }
        *now = was + 1;
    } while (!atomic_compare_exchange_weak_explicit(&cache->clock, &was, *now, memory_order_acq_rel,
                                                    memory_order_relaxed));
    return true;
}

uint32_t xvmi_cache_new_epoch(struct xvmi_cache *cache)
{
    uint32_t now;
    bool counting = tick(cache, &now);
    raise_floor(&cache->epoch_floor, now);
    if (!counting)
        xc_remove(cache, &(struct xc_target){.all = true});
    return now;
}

uint32_t xvmi_cache_epoch(const struct xvmi_cache *cache)
{
    return atomic_load_explicit(&cache->epoch_floor, memory_order_acquire);
}

void xvmi_cache_invalidate_vm(struct xvmi_cache *cache, uint32_t vm)
{
    uint32_t now;
    bool counting = tick(cache, &now);
    raise_floor(&cache->vm_floors[vm % XC_VM_FLOORS], now);
    if (!counting)
        xc_remove(cache, &(struct xc_target){.all = true});
}

void xvmi_cache_stats(const struct xvmi_cache *cache, struct xvmi_cache_stats *stats)
{
    struct xvmi_cache_stats s = {
        .size = stats->size,
        .memory = cache->map_size,
        .page_size = cache->page_size,
        .capacity = (uint64_t)cache->ngroups * XC_WAYS,
        .epoch = xvmi_cache_epoch(cache),
        .huge_wanted = cache->huge_wanted,
    };
    for (uint32_t i = 0; i <= cache->stripe_mask; i++) {
        struct xc_stripe *stripe = &cache->stripes[i];
        s.inserted += atomic_load_explicit(&stripe->inserted, memory_order_relaxed);
        s.replaced += atomic_load_explicit(&stripe->replaced, memory_order_relaxed);
        s.evicted += atomic_load_explicit(&stripe->evicted, memory_order_relaxed);
        s.removed += atomic_load_explicit(&stripe->removed, memory_order_relaxed);
        s.refused += atomic_load_explicit(&stripe->refused, memory_order_relaxed);
    }
    s.entries = s.inserted - s.evicted - s.removed;
    memcpy(stats, &s, s.size < sizeof(s) ? s.size : sizeof(s));
}
