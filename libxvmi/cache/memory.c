// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <errno.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cache/table.h"

#define HUGE ((size_t)2 << 20)

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14 */
#endif

/* Fault everything in, so that no packet waits for it and no later call runs out of memory. */
static bool populate(volatile uint8_t *p, size_t size, size_t page)
{
    if (!madvise((void *)(uintptr_t)p, size, MADV_POPULATE_WRITE))
        return true;
    if (errno != EINVAL)
        return false;
    for (size_t off = 0; off < size; off += page)
        p[off] = 0;
    return true;
}

static void *map_reserved(size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | 21 << MAP_HUGE_SHIFT, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

/* Aligned to huge pages when it is worth one. */
static void *map_pages(size_t size, bool *huge_wanted)
{
    size_t slack = size >= HUGE ? HUGE : 0;
    if (size > SIZE_MAX - slack)
        return NULL;
    uint8_t *p =
        mmap(NULL, size + slack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return NULL;
    size_t front = slack ? (HUGE - (uintptr_t)p % HUGE) % HUGE : 0;
    if (front)
        munmap(p, front);
    if (slack - front)
        munmap(p + front + size, slack - front);
    *huge_wanted = slack && !madvise(p + front, size, MADV_HUGEPAGE);
    return p + front;
}

void *xc_map(size_t *size, size_t *page_size, bool *huge_wanted)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t rounded = *size & ~(page - 1);
    *huge_wanted = false;
    *page_size = HUGE;
    void *p = NULL;
    if (rounded >= HUGE)
        p = map_reserved(rounded & ~(HUGE - 1));
    if (p) {
        rounded &= ~(HUGE - 1);
    } else {
        *page_size = page;
        p = map_pages(rounded, huge_wanted);
    }
    if (p && !populate(p, rounded, page)) {
        munmap(p, rounded);
        return NULL;
    }
    *size = rounded;
    return p;
}
