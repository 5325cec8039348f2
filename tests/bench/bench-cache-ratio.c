// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Hit ratios: the real cache, and LRU, CLOCK and S3-FIFO simulated without sets, on the same
 * traces: 400,000 flows in Zipf's distribution, room for 10 % of them. Every miss inserts.
 */
#include <xvmi/cache.h>

#include "bench.h"

enum { FLOWS = 400000, NONE = -1 };

static uint64_t seed = 42;

/* ---- traces ---- */

static double *zipf_sum;

static void prepare_zipf(void)
{
    zipf_sum = malloc(FLOWS * sizeof(*zipf_sum));
    double sum = 0;
    for (unsigned i = 0; i < FLOWS; i++)
        zipf_sum[i] = sum += 1.0 / (i + 1);
}

static uint32_t zipf(void)
{
    double u = (double)(bench_random(&seed) >> 11) * 0x1p-53 * zipf_sum[FLOWS - 1];
    uint32_t lo = 0, hi = FLOWS - 1;
    while (lo < hi) {
        uint32_t middle = (lo + hi) / 2;
        if (zipf_sum[middle] < u)
            lo = middle + 1;
        else
            hi = middle;
    }
    return lo;
}

enum trace { ZIPF, FLOOD, CHURN, SCAN, TRACES };
static const char *const trace_names[] = {"zipf", "flood", "churn", "scan"};

/* FLOOD: 30 % of the packets are flows seen once. CHURN: one packet in a hundred ends the flow it
 * belongs to, another takes its rank; with the flood. SCAN: bursts of 40,000 flows seen once. */
static void make_trace(enum trace kind, uint32_t *trace, uint32_t n)
{
    static uint32_t name[FLOWS];
    uint32_t next = FLOWS;
    for (uint32_t i = 0; i < FLOWS; i++)
        name[i] = i;
    for (uint32_t i = 0; i < n; i++) {
        bool once = false;
        if (kind == FLOOD || kind == CHURN)
            once = bench_random(&seed) % 10 < 3;
        else if (kind == SCAN)
            once = i % 100000 < 40000;
        if (kind == CHURN && bench_random(&seed) % 100 == 0)
            name[zipf()] = next++;
        trace[i] = once ? next++ : name[zipf()];
    }
}

/* ---- where a flow is, for the simulators: numbers are small, so an array does ---- */

static int32_t *where; /* by flow: its node, or NONE */

static void forget_all(uint32_t flows)
{
    for (uint32_t i = 0; i < flows; i++)
        where[i] = NONE;
}

/* ---- LRU: a doubly linked ring, node `room` is its head ---- */

static uint64_t lru(const uint32_t *trace, uint32_t n, uint32_t room)
{
    struct link {
        uint32_t before, after, flow;
    } *ring = malloc((room + 1) * sizeof(*ring));
    uint32_t used = 0;
    uint64_t hits = 0;
    ring[room].before = ring[room].after = room;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t flow = trace[i], node;
        bool fresh = where[flow] == NONE && used < room;
        if (fresh) {
            node = used++;
        } else if (where[flow] != NONE) {
            hits++;
            node = (uint32_t)where[flow];
        } else {
            node = ring[room].before;
            where[ring[node].flow] = NONE;
        }
        if (!fresh) {
            ring[ring[node].before].after = ring[node].after;
            ring[ring[node].after].before = ring[node].before;
        }
        ring[node] = (struct link){room, ring[room].after, flow};
        ring[ring[room].after].before = node;
        ring[room].after = node;
        where[flow] = (int32_t)node;
    }
    free(ring);
    return hits;
}

/* ---- CLOCK ---- */

static uint64_t clock_policy(const uint32_t *trace, uint32_t n, uint32_t room)
{
    uint32_t *flow = malloc(room * sizeof(*flow)), hand = 0, used = 0;
    uint8_t *mark = calloc(room, 1);
    uint64_t hits = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t f = trace[i], at;
        if (where[f] != NONE) {
            hits++;
            mark[where[f]] = 1;
            continue;
        }
        if (used < room) {
            at = used++;
        } else {
            for (; mark[hand]; hand = (hand + 1) % room)
                mark[hand] = 0;
            at = hand;
            hand = (hand + 1) % room;
            where[flow[at]] = NONE;
        }
        flow[at] = f;
        where[f] = (int32_t)at;
    }
    free(flow);
    free(mark);
    return hits;
}

/* ---- S3-FIFO (Yang et al., SOSP 2023): small queue 10 %, main queue, ghosts of evicted ---- */

struct fifo {
    uint32_t *v, size, head, n;
};

static struct fifo fifo_new(uint32_t size)
{
    return (struct fifo){malloc(size * sizeof(uint32_t)), size, 0, 0};
}

static void fifo_push(struct fifo *q, uint32_t value)
{
    q->v[(q->head + q->n++) % q->size] = value;
}

static uint32_t fifo_pop(struct fifo *q)
{
    uint32_t value = q->v[q->head];
    q->head = (q->head + 1) % q->size;
    q->n--;
    return value;
}

struct s3 {
    struct fifo small, main, ghost;
    uint8_t *freq; /* by flow */
    uint8_t *gone; /* by flow: how many of its ghosts are in the queue */
};

static void s3_ghost(struct s3 *s, uint32_t flow)
{
    if (s->ghost.n == s->ghost.size)
        s->gone[fifo_pop(&s->ghost)]--;
    fifo_push(&s->ghost, flow);
    s->gone[flow]++;
}

static void s3_evict_main(struct s3 *s)
{
    for (;;) {
        uint32_t flow = fifo_pop(&s->main);
        if (!s->freq[flow]) {
            where[flow] = NONE;
            return;
        }
        s->freq[flow]--;
        fifo_push(&s->main, flow);
    }
}

static void s3_evict(struct s3 *s, uint32_t small_room)
{
    while (s->small.n >= small_room || !s->main.n) {
        uint32_t flow = fifo_pop(&s->small);
        if (s->freq[flow] <= 1) {
            where[flow] = NONE;
            s3_ghost(s, flow);
            return;
        }
        s->freq[flow] = 0;
        fifo_push(&s->main, flow);
    }
    s3_evict_main(s);
}

static uint64_t s3fifo(const uint32_t *trace, uint32_t n, uint32_t room, uint32_t flows)
{
    struct s3 s = {fifo_new(room + 1), fifo_new(room + 1), fifo_new(room), calloc(flows, 1),
                   calloc(flows, 1)};
    uint64_t hits = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t flow = trace[i];
        if (where[flow] != NONE) {
            hits++;
            s.freq[flow] += s.freq[flow] < 3;
            continue;
        }
        if (s.small.n + s.main.n >= room)
            s3_evict(&s, room / 10);
        fifo_push(s.gone[flow] ? &s.main : &s.small, flow);
        s.freq[flow] = 0;
        where[flow] = 0;
    }
    free(s.small.v);
    free(s.main.v);
    free(s.ghost.v);
    free(s.freq);
    free(s.gone);
    return hits;
}

/* ---- the real thing ---- */

static uint64_t own(const uint32_t *trace, uint32_t n, struct xvmi_cache *cache)
{
    struct xvmi_packet packet = {.flow = {.vm = 1, .family = 2, .proto = 6}};
    struct xvmi_decision decision = {.verdict = XVMI_VERDICT_PASS};
    struct xvmi_cache_counts counts = {0};
    for (uint32_t i = 0; i < n; i++) {
        struct xvmi_answer answer;
        memcpy(packet.flow.remote, &trace[i], 4);
        if (!xvmi_cache_lookup(cache, &packet, 1, 0, &answer, &counts) &&
            xvmi_cache_insert(cache, &packet.flow, &decision, answer.stamp))
            exit(1);
    }
    return counts.hits;
}

int main(int argc, char **argv)
{
    const char *text = getenv("BENCH_DIVIDE");
    unsigned divide = text && atoi(text) > 0 ? (unsigned)atoi(text) : 1;
    uint32_t n = 12000000 / divide, flows = FLOWS + n + n / 50;
    uint32_t *trace = malloc(n * sizeof(*trace));
    where = malloc(flows * sizeof(*where));
    prepare_zipf();
    printf("%u packets, %u flows by Zipf, room for 10 %%: hit ratios\n", n, FLOWS);
    printf("%-8s %9s %9s %9s %9s %9s\n", "", "xvmi", "LRU", "CLOCK", "S3-FIFO", "room");
    double over_lru[TRACES];
    for (unsigned kind = 0; kind < TRACES; kind++) {
        struct xvmi_cache_options options = {.size = sizeof(options),
                                             .memory = FLOWS / 10 * 98.67 + 300000};
        struct xvmi_cache *cache;
        struct xvmi_cache_stats stats = {.size = sizeof(stats)};
        if (xvmi_cache_new(&options, &cache, NULL))
            return 1;
        xvmi_cache_stats(cache, &stats);
        uint32_t room = (uint32_t)stats.capacity;
        uint64_t hits[4];
        make_trace(kind, trace, n);
        hits[0] = own(trace, n, cache);
        forget_all(flows);
        hits[1] = lru(trace, n, room);
        forget_all(flows);
        hits[2] = clock_policy(trace, n, room);
        forget_all(flows);
        hits[3] = s3fifo(trace, n, room, flows);
        printf("%-8s", trace_names[kind]);
        for (unsigned i = 0; i < 4; i++)
            printf(" %9.4f", (double)hits[i] / n);
        printf(" %9u\n", room);
        over_lru[kind] = ((double)hits[0] - (double)hits[1]) / n;
        xvmi_cache_unref(cache);
    }
    /* How much above LRU. */
    if (bench_wanted(argc, argv, "cache-ratio-flood"))
        bench_at_least("cache-ratio-flood", over_lru[FLOOD], 0.03);
    free(trace);
    free(where);
    free(zipf_sum);
    return 0;
}
