// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Fill and evict for a while: the process must not grow. Two threads do everything that the cache
 * can do, over many times as many flows as fit; then what the process has mapped and what it has in
 * memory is compared with what it had after the first turns.
 *
 * soak-cache [SECONDS]; $XVMI_SOAK_SECONDS goes before it.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "support/cache-flows.h"

/* EXPORT is more than all records are. */
enum { MEMORY = 8 << 20, EXPORT = 16 << 20, BATCH = 32, CYCLES_AT_FIRST = 4 };
/* Allocators and sanitizers keep books of their own. */
enum { MAY_GROW = 1 << 20 };

static struct xvmi_cache *cache;
static void *exported; /* one for each thread */
static atomic_bool stop;

struct footprint {
    long mapped, present; /* bytes */
};

static struct footprint footprint(void)
{
    long pages[2] = {0, 0};
    FILE *f = fopen("/proc/self/statm", "r");
    if (!f || fscanf(f, "%ld %ld", &pages[0], &pages[1]) != 2)
        abort();
    fclose(f);
    long page = sysconf(_SC_PAGESIZE);
    return (struct footprint){pages[0] * page, pages[1] * page};
}

static void look_and_fill(uint64_t *random)
{
    struct xvmi_packet packets[BATCH] = {0};
    struct xvmi_answer answers[BATCH];
    struct xvmi_flow flows[BATCH];
    struct xvmi_decision decisions[BATCH];
    uint64_t stamps[BATCH], now = 0;
    enum xvmi_status statuses[BATCH];
    size_t missing = 0;
    for (unsigned i = 0; i < BATCH; i++) {
        uint64_t r = test_random(random);
        packets[i] = test_packet((uint32_t)(r >> 62), (uint32_t)r, r >> 32 & 15 ? 0 : 1);
    }
    xvmi_cache_lookup(cache, packets, BATCH, now, answers, NULL);
    for (unsigned i = 0; i < BATCH; i++) {
        if (answers[i].outcome == XVMI_HIT)
            continue;
        flows[missing] = packets[i].flow;
        stamps[missing] = answers[i].stamp;
        decisions[missing] = test_decision(i, answers[i].stamp);
        decisions[missing++].flags = XVMI_DECISION_COUNT;
    }
    xvmi_cache_insert_batch(cache, flows, decisions, stamps, missing, statuses);
}

static void now_and_then(uint64_t *random, void *buf)
{
    uint64_t r = test_random(random);
    uint32_t vm = (uint32_t)r & 3;
    struct xvmi_flow flow = test_flow(vm, (uint32_t)(r >> 32));
    size_t len;
    xvmi_cache_invalidate_flow(cache, &flow);
    if (r >> 8 & 63)
        return;
    switch (r >> 16 & 7) {
    case 0:
        xvmi_cache_new_epoch(cache);
        break;
    case 1:
        xvmi_cache_invalidate_vm(cache, vm);
        break;
    case 2:
        xvmi_cache_invalidate_owner(cache, vm, 1 + (uint32_t)(r >> 32) % 1000);
        break;
    default:
        if (!xvmi_cache_export(cache, vm, 1, buf, EXPORT, &len, NULL))
            (void)!xvmi_cache_import(cache, vm, 1, buf, len, NULL, NULL);
    }
}

static void *work(void *arg)
{
    uint64_t random = (uintptr_t)arg;
    void *buf = (uint8_t *)exported + (random - 1) * EXPORT;
    for (uint64_t step = 0; !atomic_load(&stop); step++) {
        look_and_fill(&random);
        if (step % 64 == 0)
            now_and_then(&random, buf);
    }
    return NULL;
}

static uint64_t filled(void)
{
    return test_stats(cache).inserted;
}

int main(int argc, char **argv)
{
    const char *text = getenv("XVMI_SOAK_SECONDS");
    int seconds = text ? atoi(text) : argc > 1 ? atoi(argv[1]) : 20;
    pthread_t threads[2];
    cache = test_cache(MEMORY, true);
    exported = malloc(2 * EXPORT);
    memset(exported, 1, 2 * EXPORT); /* all of it is there from the start */
    uint64_t capacity = test_stats(cache).capacity;
    for (uintptr_t i = 0; i < 2; i++)
        if (pthread_create(&threads[i], NULL, work, (void *)(i + 1)))
            return 1;
    const struct timespec moment = {.tv_nsec = 50000000};
    for (unsigned i = 0; filled() < CYCLES_AT_FIRST * capacity; i++) {
        if (i == 20 * 120) {
            fprintf(stderr, "not full after two minutes\n");
            return 1;
        }
        nanosleep(&moment, NULL);
    }
    struct footprint before = footprint(), after = before;
    uint64_t from = filled();
    for (int i = 0; i < 20 * seconds; i++)
        nanosleep(&moment, NULL);
    after = footprint();
    uint64_t turns = (filled() - from) / capacity;
    atomic_store(&stop, true);
    for (unsigned i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    struct xvmi_cache_stats stats = test_stats(cache);
    printf("%llu times full of new flows: mapped %ld KiB, then %ld; present %ld KiB, then %ld\n",
           (unsigned long long)turns, before.mapped >> 10, after.mapped >> 10, before.present >> 10,
           after.present >> 10);
    if (stats.memory > MEMORY || stats.entries > stats.capacity) {
        fprintf(stderr, "more than was allowed\n");
        return 1;
    }
    if (after.mapped - before.mapped > MAY_GROW || after.present - before.present > MAY_GROW) {
        fprintf(stderr, "the process grew\n");
        return 1;
    }
    free(exported);
    xvmi_cache_unref(cache);
    return 0;
}
