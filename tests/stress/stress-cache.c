// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Readers, writers, openers, invalidators and walkers on one small cache at once.
 *
 * Each decision says about itself what must be true: its token is a checksum of the rest and
 * of the flow, its rule names the policy and the connection for which it was made. A reader
 * notes which policy and connection were announced before it looks up; a hit from an older one,
 * or a checksum that is wrong, ends the program.
 *
 * stress-cache [STEPS]: steps of each thread.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "support/cache-flows.h"

enum { FLOWS = 500, VMS = 2, THREADS = 9 };

static struct xvmi_cache *cache;
static unsigned steps = 100000;

/* `_begun` before the cache is told, `_done` after it was. */
static _Atomic uint32_t policy_begun = 1, policy_done = 1;
static _Atomic uint32_t connection_begun[VMS * FLOWS], connection_done[VMS * FLOWS];

static void fail(const char *what, uint32_t flow)
{
    fprintf(stderr, "flow %u: %s\n", flow, what);
    abort();
}

static uint64_t checksum(uint32_t flow, const struct xvmi_decision *d)
{
    uint64_t sum = test_mix(flow ^ (uint64_t)d->rule << 32);
    return test_mix(sum ^ d->validated) ^ test_mix((uint64_t)d->uid << 32 | d->pid) ^ d->verdict ^
           d->every << 8;
}

static struct xvmi_flow flow_of(uint32_t flow)
{
    return test_flow(flow / FLOWS, flow);
}

static void check_rule(uint32_t flow, uint32_t rule, uint32_t policy, uint32_t connection)
{
    if (rule >> 16 < policy)
        fail("a decision by an old policy", flow);
    if ((rule & 0xffff) < connection)
        fail("a decision about an earlier connection", flow);
}

static void check_whole(uint32_t flow, const struct xvmi_decision *d)
{
    if (d->token != checksum(flow, d))
        fail("a torn decision", flow);
}

static void *reader(void *arg)
{
    uint64_t random = (uintptr_t)arg;
    struct xvmi_cache_counts counts = {0};
    uint32_t epoch = 0;
    for (unsigned step = 0; step < steps / 8; step++) {
        enum { N = 8 };
        struct xvmi_packet packets[N];
        struct xvmi_answer answers[N];
        uint32_t flows[N], policy = atomic_load(&policy_done), connection[N];
        for (unsigned i = 0; i < N; i++) {
            flows[i] = (uint32_t)(test_random(&random) % (VMS * FLOWS));
            packets[i] = (struct xvmi_packet){.flow = flow_of(flows[i]), .bytes = 10};
            connection[i] = atomic_load(&connection_done[flows[i]]);
        }
        xvmi_cache_lookup(cache, packets, step % 2 ? N : 1, step, answers, &counts);
        for (unsigned i = 0; i < (step % 2 ? N : 1); i++) {
            if (answers[i].outcome == XVMI_HIT)
                check_rule(flows[i], answers[i].rule, policy, connection[i]);
            if (answers[i].outcome && answers[i].verdict != 1 + answers[i].rule % 250)
                fail("verdict and rule of two decisions", flows[i]);
        }
        struct xvmi_decision d;
        struct xvmi_flow flow = packets[0].flow;
        if (!xvmi_cache_get(cache, &flow, &d)) {
            check_whole(flows[0], &d);
            if (d.rule >> 16 < policy)
                fail("an old policy's decision", flows[0]);
        }
        if (xvmi_cache_epoch(cache) < epoch)
            fail("the epoch went back", 0);
        epoch = xvmi_cache_epoch(cache);
    }
    return (void *)(uintptr_t)(counts.hits != 0);
}

static void *writer(void *arg)
{
    uint64_t random = (uintptr_t)arg;
    for (unsigned step = 0; step < steps; step++) {
        uint32_t flow = (uint32_t)(test_random(&random) % (VMS * FLOWS));
        struct xvmi_flow key = flow_of(flow);
        uint64_t stamp = xvmi_cache_stamp(cache, &key);
        struct xvmi_decision d = {.flags = XVMI_DECISION_COUNT};
        d.rule = atomic_load(&policy_begun) << 16 | atomic_load(&connection_begun[flow]);
        d.verdict = (uint8_t)(1 + d.rule % 250);
        d.pid = (uint32_t)test_random(&random) % 50;
        d.uid = (uint32_t)test_random(&random);
        d.revalidate = (uint8_t)(step % 3);
        d.every = d.revalidate ? 1 + step % 1000 : 0;
        d.token = checksum(flow, &d);
        enum xvmi_status status = xvmi_cache_insert(cache, &key, &d, stamp);
        if (status && status != XVMI_ERR_CHANGED)
            fail("refused", flow);
        /* Nothing is as full as a group that a scan comes by. */
        if (step % 4 == 0)
            (void)!test_put(cache, 7, (uint32_t)test_random(&random), &d);
    }
    return (void *)1;
}

static void *revalidator(void *arg)
{
    uint64_t random = (uintptr_t)arg;
    for (unsigned step = 0; step < steps; step++) {
        uint32_t flow = (uint32_t)(test_random(&random) % (VMS * FLOWS));
        struct xvmi_flow key = flow_of(flow);
        struct xvmi_decision d;
        uint64_t stamp = xvmi_cache_stamp(cache, &key);
        /* As a caller must: look, after the stamp was taken, whether it is still so. `validated`
         * is part of the checksum and goes back as it is. */
        if (!xvmi_cache_get(cache, &key, &d) &&
            (d.rule & 0xffff) == atomic_load(&connection_begun[flow]))
            (void)!xvmi_cache_revalidate(cache, &key, d.token, d.validated, stamp);
    }
    return (void *)1;
}

/* New connections and single removals; one such thread, so that counting is simple. */
static void *opener(void *arg)
{
    uint64_t random = (uintptr_t)arg;
    for (unsigned step = 0; step < steps; step++) {
        uint32_t flow = (uint32_t)(test_random(&random) % (VMS * FLOWS));
        if (atomic_load(&connection_begun[flow]) == 0xffff)
            continue;
        uint32_t next = atomic_fetch_add(&connection_begun[flow], 1) + 1;
        if (step % 3) {
            struct xvmi_answer answer = test_open(cache, flow / FLOWS, flow);
            if (answer.outcome != XVMI_MISS)
                fail("an opening packet used an old entry", flow);
        } else {
            struct xvmi_flow key = flow_of(flow);
            xvmi_cache_invalidate_flow(cache, &key);
        }
        atomic_store(&connection_done[flow], next);
    }
    return (void *)1;
}

static void *invalidator(void *arg)
{
    uint64_t random = (uintptr_t)arg;
    for (unsigned step = 0; step < steps / 200; step++) {
        uint64_t r = test_random(&random);
        if (r % 4 == 0)
            xvmi_cache_invalidate_vm(cache, (uint32_t)(r >> 32) % VMS);
        if (r % 4 == 1)
            xvmi_cache_invalidate_owner(cache, (uint32_t)(r >> 32) % VMS, (uint32_t)(r >> 8) % 50);
        if (r % 4 > 1 && atomic_load(&policy_begun) < 0xffff) {
            uint32_t next = atomic_fetch_add(&policy_begun, 1) + 1;
            xvmi_cache_new_epoch(cache);
            atomic_store(&policy_done, next);
        }
    }
    return (void *)1;
}

static void *walker(void *arg)
{
    uint8_t *buf = malloc(1 << 20);
    (void)arg;
    for (unsigned step = 0; step < steps / 500; step++) {
        struct xvmi_flow flow;
        struct xvmi_decision d;
        uint64_t cursor = 0;
        uint32_t i;
        while (xvmi_cache_next(cache, &cursor, &flow, &d)) {
            memcpy(&i, flow.family == 2 ? flow.remote : flow.remote + 12, sizeof(i));
            if (flow.vm < VMS)
                check_whole(i, &d);
        }
        size_t len;
        struct xvmi_cache *other = step % 16 ? NULL : test_cache(XVMI_CACHE_MEMORY_MIN, true);
        if (!xvmi_cache_export(cache, 0, 1, buf, 1 << 20, &len, NULL) && other &&
            xvmi_cache_import(other, 0, 1, buf, len, NULL, NULL))
            fail("an export that cannot be imported", 0);
        xvmi_cache_unref(other);
    }
    free(buf);
    return (void *)1;
}

int main(int argc, char **argv)
{
    static void *(*const jobs[THREADS])(void *) = {reader, reader,      reader, writer,     writer,
                                                   opener, revalidator, walker, invalidator};
    pthread_t threads[THREADS];
    if (argc > 1)
        steps = (unsigned)atoi(argv[1]);
    cache = test_cache(XVMI_CACHE_MEMORY_MIN, true);
    for (uintptr_t i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, jobs[i], (void *)(i + 1)))
            return 1;
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    struct xvmi_cache_stats stats = test_stats(cache);
    uint64_t cursor = 0, seen = 0;
    struct xvmi_flow flow;
    struct xvmi_decision d;
    while (xvmi_cache_next(cache, &cursor, &flow, &d))
        seen++;
    printf("%llu inserted, %llu replaced, %llu evicted, %llu removed, %llu refused, epoch %u\n",
           (unsigned long long)stats.inserted, (unsigned long long)stats.replaced,
           (unsigned long long)stats.evicted, (unsigned long long)stats.removed,
           (unsigned long long)stats.refused, stats.epoch);
    if (stats.entries > stats.capacity || seen > stats.entries)
        fail("more entries than there is room", 0);
    xvmi_cache_unref(cache);
    return 0;
}
