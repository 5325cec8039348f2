// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * cache-seeds DIR: exports for fuzz-cache-import, whole, without their header (the target makes
 * one), and damaged in one place.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "support/cache-flows.h"

enum { HEADER = 40, RECORD = 112, POLICY = 1, VM = 3, MOST = 100 };

static const char *dir;
static unsigned written;

static void write_file(const uint8_t *data, size_t len)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/cache-import/seed-%u", dir, written++);
    FILE *f = fopen(path, "w");
    if (!f || fwrite(data, 1, len, f) != len || fclose(f)) {
        perror(path);
        exit(1);
    }
}

/* `n` flows with decisions of every kind. */
static size_t exported(uint8_t *buf, size_t size, uint32_t n, bool counters)
{
    struct xvmi_cache *cache = test_cache(XVMI_CACHE_MEMORY_MIN, true);
    size_t len;
    for (uint32_t i = 0; i < n; i++) {
        struct xvmi_decision decision = test_decision(i, test_mix(i));
        decision.verdict = (uint8_t)(1 + i % 4);
        decision.revalidate = (uint8_t)(i % 3);
        decision.every = decision.revalidate ? UINT64_C(1) << i % 31 : 0;
        decision.flags = counters ? XVMI_DECISION_COUNT : 0;
        if (test_put(cache, VM, i, &decision))
            exit(1);
    }
    if (xvmi_cache_export(cache, VM, POLICY, buf, size, &len, NULL))
        exit(1);
    xvmi_cache_unref(cache);
    return len;
}

/* One of each field that import looks at, by its place in a record. */
static const struct {
    size_t at;
    uint8_t value;
} damage[] = {
    {0, 1},    /* flow.vm */
    {5, 9},    /* an address's tail, when it is IPv4 */
    {40, 7},   /* family */
    {42, 2},   /* direction */
    {44, 1},   /* pad */
    {48, 0},   /* verdict: none */
    {49, 3},   /* revalidate: no such kind */
    {50, 2},   /* flags: imported */
    {56, 1},   /* epoch */
    {68, 1},   /* the decision's pad */
    {72, 0},   /* every */
    {79, 255}, /* every: more than any number of packets */
    {88, 1},   /* validated */
};
_Static_assert(sizeof(struct xvmi_flow) == 44 && sizeof(struct xvmi_decision) == 64, "see above");

int main(int argc, char **argv)
{
    static const uint32_t sizes[] = {0, 1, 2, 3, 12, MOST};
    static uint8_t buf[HEADER + MOST * RECORD];
    char path[4096];
    if (argc != 2)
        return 2;
    dir = argv[1];
    snprintf(path, sizeof(path), "%s/cache-import", dir);
    mkdir(path, 0777);
    for (unsigned i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        for (unsigned counters = 0; counters < 2; counters++) {
            size_t len = exported(buf, sizeof(buf), sizes[i], counters);
            write_file(buf, len);
            write_file(buf + HEADER, len - HEADER);
            write_file(buf, len - 1);
            buf[len - 1] ^= 1;
            write_file(buf, len);
        }
    }
    for (unsigned i = 0; i < sizeof(damage) / sizeof(*damage); i++) {
        size_t len = exported(buf, sizeof(buf), 3, true);
        for (unsigned record = 0; record < 3; record++)
            buf[HEADER + record * RECORD + damage[i].at] = damage[i].value;
        write_file(buf + HEADER, len - HEADER);
    }
    return 0;
}
