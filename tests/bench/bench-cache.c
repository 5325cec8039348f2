// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * The decision cache against the concurrent tables people use, and against the machine.
 *
 * All keys are made inside the timed loops, alike for all, and all hand out what is stored with the
 * key. All tables are in huge pages where the kernel gives them, the peers' too. $BENCH_ROUNDS and
 * $BENCH_DIVIDE (fewer look-ups a round) shorten it.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

#include <xvmi/cache.h>

#include "cache-table.h"

enum { MAX = 5, BIG = 8000000, MIDDLE = 1000000, SMALL = 3400 };

static const struct bench_ops *contenders[] = {
    &bench_xvmi,
#ifdef BENCH_RTE
    &bench_rte,
#endif
#ifdef BENCH_LFHT
    &bench_lfht,
#endif
#ifdef BENCH_CK
    &bench_ck,
#endif
};
enum { CONTENDERS = sizeof(contenders) / sizeof(*contenders) };

#if defined(__x86_64__)
#define CRC __builtin_ia32_crc32di
__attribute__((target("sse4.2")))
#else
#define CRC(crc, word) (((crc) ^ (word)) * 0x9fb21c651e98df25u >> 7)
#endif
uint64_t
bench_crc(const struct bench_key *key)
{
    uint64_t crc = 0;
    for (unsigned i = 0; i < 6; i++)
        crc = CRC(crc, key->word[i]);
    return crc;
}

static uint64_t seed = 1;

static uint64_t divided(uint64_t n)
{
    const char *text = getenv("BENCH_DIVIDE");
    unsigned by = text ? (unsigned)atoi(text) : 1;
    return n / (by ? by : 1) / BENCH_BATCH * BENCH_BATCH;
}

/* One contender in one section. */
struct entrant {
    const struct bench_ops *ops;
    void *table;
    bool in_batches;
    struct bench_series ns;
    uint64_t hits, looked;
};

static void look(struct entrant *e, uint32_t from, uint32_t reach, uint64_t n)
{
    struct bench_walk walk = {from, reach, n, bench_random(&seed)};
    uint64_t start = bench_cpu_ns();
    e->hits += (e->in_batches ? e->ops->batch : e->ops->single)(e->table, &walk);
    bench_add(&e->ns, (double)(bench_cpu_ns() - start) / (double)n);
    e->looked += n;
}

static void print_head(const char *title)
{
    printf("\n%s\n%-14s %9s %15s %7s %7s %9s\n", title, "", "ns", "quartiles", "hits", "load",
           "B/entry");
}

static void print_row(const struct entrant *e)
{
    printf("%-14s %9.1f %7.1f-%-7.1f %6.2f%% %6.1f%% %9.1f\n", e->ops->name, bench_median(&e->ns),
           bench_quantile(&e->ns, .25), bench_quantile(&e->ns, .75),
           100.0 * (double)e->hits / (double)e->looked, 100 * e->ops->load(e->table),
           e->ops->bytes(e->table));
    fflush(stdout);
}

static void print_pages(void)
{
    char line[128];
    long huge = 0, rss = 0;
    FILE *f = fopen("/proc/self/smaps_rollup", "r");
    while (f && fgets(line, sizeof(line), f)) {
        sscanf(line, "Rss: %ld", &rss);
        sscanf(line, "AnonHugePages: %ld", &huge);
    }
    if (f)
        fclose(f);
    printf("memory: %ld MiB, of these in 2 MiB pages: %ld\n", rss >> 10, huge >> 10);
}

/* Tables of n flows, for those contenders that can be `in_batches`, or for the first `most`. */
static unsigned set_up(struct entrant *entrants, uint32_t n, bool in_batches, unsigned most)
{
    unsigned m = 0;
    for (unsigned i = 0; i < CONTENDERS && i < most; i++) {
        if (in_batches && !contenders[i]->batch)
            continue;
        struct entrant e = {.ops = contenders[i], .in_batches = in_batches};
        e.table = e.ops->create(n);
        if (!e.table) {
            printf("%s: not possible here\n", e.ops->name);
            continue;
        }
        uint32_t taken = e.ops->insert(e.table, 0, n);
        if (taken != n)
            printf("%s: took %u of %u flows\n", e.ops->name, taken, n);
        entrants[m++] = e;
    }
    return m;
}

static void tear_down(struct entrant *entrants, unsigned m)
{
    for (unsigned i = 0; i < m; i++)
        entrants[i].ops->destroy(entrants[i].table);
}

static void reset(struct entrant *entrants, unsigned m)
{
    for (unsigned i = 0; i < m; i++) {
        entrants[i].ns.n = 0;
        entrants[i].hits = entrants[i].looked = 0;
    }
}

static void measure(struct entrant *entrants, unsigned m, const char *title, uint32_t from,
                    uint32_t reach, uint64_t n)
{
    unsigned order[MAX];
    /* Not measured: first touches, and the cache's marks, which the first hits set. */
    for (unsigned i = 0; i < m; i++)
        look(&entrants[i], from, reach, 3 * (uint64_t)reach / BENCH_BATCH * BENCH_BATCH);
    reset(entrants, m);
    for (unsigned round = 0; round < bench_rounds(); round++) {
        bench_shuffle(order, m, &seed);
        for (unsigned i = 0; i < m; i++)
            look(&entrants[order[i]], from, reach, divided(n));
    }
    print_head(title);
    for (unsigned i = 0; i < m; i++)
        print_row(&entrants[i]);
}

/* Ours against the best of the first `most` peers. */
static double ratio(const struct entrant *entrants, unsigned m, unsigned most)
{
    double best = 0;
    for (unsigned i = 1; i < m && i <= most; i++) {
        double ns = bench_median(&entrants[i].ns);
        if (best == 0 || ns < best)
            best = ns;
    }
    return best > 0 ? bench_median(&entrants[0].ns) / best : 0;
}

static void judge(const char *bar, const struct entrant *entrants, unsigned m, unsigned most,
                  double limit)
{
    if (m > 1)
        bench_at_most(bar, ratio(entrants, m, most), limit);
    else
        printf("%s: no peer is installed\n", bar);
}

/* Two independent lines anywhere in as much memory as the cache's groups and entries have, for each
 * of the flows that are made here as for all. */
static double two_lines(const uint8_t *memory, uint32_t groups, uint64_t n)
{
    const uint8_t *entries = memory + (uint64_t)groups * 32;
    struct xvmi_packet packets[BENCH_BATCH] = {0};
    uint64_t random = bench_random(&seed), sum = 0, start = bench_cpu_ns();
    for (uint64_t k = 0; k < n; k += BENCH_BATCH) {
        for (unsigned i = 0; i < BENCH_BATCH; i++)
            bench_flow(&packets[i].flow, bench_below(&random, BIG));
        for (unsigned i = 0; i < BENCH_BATCH; i++) {
            uint64_t word;
            memcpy(&word, packets[i].flow.remote, sizeof(word));
            uint64_t g = (word & UINT32_MAX) * groups >> 32;
            sum += *(const uint64_t *)(memory + g * 32);
            sum += *(const uint64_t *)(entries + (g * 12 + (word & 7)) * 64);
        }
    }
    double ns = (double)(bench_cpu_ns() - start) / (double)n;
    return sum == 1 ? 0 : ns;
}

static void limit_section(struct entrant *own)
{
    struct xvmi_cache_stats stats = {.size = sizeof(stats)};
    xvmi_cache_stats(own->table, &stats);
    uint32_t groups = (uint32_t)(stats.capacity / 12);
    size_t size = (size_t)groups * (32 + 12 * 64);
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return;
    madvise(memory, size, MADV_HUGEPAGE);
    memset(memory, 1, size);
    struct bench_series limit = {.n = 0};
    reset(own, 1);
    for (unsigned round = 0; round < bench_rounds(); round++) {
        bench_add(&limit, two_lines(memory, groups, divided(4000000)));
        look(own, 0, BIG, divided(4000000));
    }
    munmap(memory, size);
    print_head("8 M flows in batches of 32 against two random lines of the same memory");
    print_row(own);
    printf("%-14s %9.1f %7.1f-%-7.1f\n", "two lines", bench_median(&limit),
           bench_quantile(&limit, .25), bench_quantile(&limit, .75));
    bench_at_most("cache-limit-8m", bench_median(&own->ns) / bench_median(&limit), 1.3);
}

static void big_section(int argc, char **argv)
{
    bool hit = bench_wanted(argc, argv, "cache-hit-8m-batch");
    bool miss = bench_wanted(argc, argv, "cache-miss-8m-batch");
    bool limit = bench_wanted(argc, argv, "cache-limit-8m");
    if (!hit && !miss && !limit)
        return;
    struct entrant entrants[MAX];
    unsigned m = set_up(entrants, BIG, true, CONTENDERS);
    print_pages();
    if (hit) {
        measure(entrants, m, "8 M flows, hits, batches of 32", 0, BIG, 4000000);
        judge("cache-hit-8m-batch", entrants, m, 1, 0.75);
    }
    if (miss) {
        measure(entrants, m, "8 M flows, misses, batches of 32", 1u << 31, BIG, 4000000);
        judge("cache-miss-8m-batch", entrants, m, 1, 0.5);
    }
    if (limit)
        limit_section(&entrants[0]);
    tear_down(entrants, m);
}

struct thread {
    pthread_t id;
    struct entrant *own;
    struct bench_walk walk;
    double per_second;
};

static pthread_barrier_t together;

static void *look_together(void *arg)
{
    struct thread *t = arg;
    pthread_barrier_wait(&together);
    uint64_t start = bench_cpu_ns();
    t->own->ops->single(t->own->table, &t->walk);
    t->per_second = (double)t->walk.n * 1e9 / (double)(bench_cpu_ns() - start);
    return NULL;
}

static double look_with(struct entrant *own, unsigned threads)
{
    struct thread t[2];
    double sum = 0;
    pthread_barrier_init(&together, NULL, threads);
    for (unsigned i = 0; i < threads; i++) {
        t[i] =
            (struct thread){.own = own, .walk = {0, MIDDLE, divided(3000000), bench_random(&seed)}};
        pthread_create(&t[i].id, NULL, look_together, &t[i]);
    }
    for (unsigned i = 0; i < threads; i++) {
        pthread_join(t[i].id, NULL);
        sum += t[i].per_second;
    }
    pthread_barrier_destroy(&together);
    return sum;
}

static void threads_section(struct entrant *own)
{
    struct bench_series scale = {.n = 0}, one = {.n = 0};
    if (sysconf(_SC_NPROCESSORS_ONLN) < 2) {
        printf("cache-threads: there is one CPU only\n");
        return;
    }
    for (unsigned round = 0; round < bench_rounds(); round++) {
        double alone = look_with(own, 1), both = look_with(own, 2);
        bench_add(&one, alone);
        bench_add(&scale, both / alone);
    }
    printf("\n1 M flows, one by one: %.1f M/s with one thread, %.2f times as many with two\n",
           bench_median(&one) / 1e6, bench_median(&scale));
    bench_at_least("cache-threads", bench_median(&scale), 1.8);
}

/* A writer at full speed over flows that are there, while `on`. */
struct writer {
    pthread_t id;
    struct xvmi_cache *cache;
    atomic_int state; /* 0 rest, 1 write, 2 end */
    atomic_ullong written;
};

static void *write_on(void *arg)
{
    struct writer *w = arg;
    struct xvmi_decision decision = {.verdict = XVMI_VERDICT_PASS, .rule = 9, .token = 2};
    uint64_t random = 99, written = 0;
    int state;
    while ((state = atomic_load(&w->state)) != 2) {
        if (!state) {
            usleep(200);
            continue;
        }
        struct xvmi_flow flow;
        bench_flow(&flow, bench_below(&random, MIDDLE));
        if (!xvmi_cache_insert(w->cache, &flow, &decision, xvmi_cache_stamp(w->cache, &flow)))
            atomic_store(&w->written, ++written);
    }
    return NULL;
}

static void writer_section(struct entrant *own)
{
    struct writer w = {.cache = own->table};
    struct entrant calm = *own, busy = *own;
    double written = 0;
    reset(&calm, 1);
    reset(&busy, 1);
    pthread_create(&w.id, NULL, write_on, &w);
    for (unsigned round = 0; round < 2 * bench_rounds(); round++) {
        bool on = round % 2;
        struct timespec a, b;
        atomic_store(&w.state, on);
        usleep(2000);
        uint64_t before = atomic_load(&w.written);
        clock_gettime(CLOCK_MONOTONIC, &a);
        look(on ? &busy : &calm, 0, MIDDLE, divided(4000000));
        clock_gettime(CLOCK_MONOTONIC, &b);
        if (on)
            written +=
                (double)(atomic_load(&w.written) - before) /
                ((double)(b.tv_sec - a.tv_sec) * 1e3 + (double)(b.tv_nsec - a.tv_nsec) / 1e6);
    }
    atomic_store(&w.state, 2);
    pthread_join(w.id, NULL);
    print_head("1 M flows, batches of 32, without and with a writer on the other CPU");
    print_row(&calm);
    print_row(&busy);
    printf("the writer stored %.2f M decisions a second\n", written / bench_rounds() / 1e3);
    bench_at_most("cache-writer", bench_median(&busy.ns) / bench_median(&calm.ns), 1.10);
}

static void middle_section(int argc, char **argv)
{
    bool hit = bench_wanted(argc, argv, "cache-hit-1m");
    bool miss = bench_wanted(argc, argv, "cache-miss");
    bool writer = bench_wanted(argc, argv, "cache-writer");
    bool threads = bench_wanted(argc, argv, "cache-threads");
    if (!hit && !miss && !writer && !threads)
        return;
    struct entrant entrants[MAX];
    unsigned m = set_up(entrants, MIDDLE, false, CONTENDERS);
    print_pages();
    if (hit) {
        measure(entrants, m, "1 M flows, hits, one by one", 0, MIDDLE, 2000000);
        judge("cache-hit-1m", entrants, m, MAX, 0.65);
    }
    if (miss) {
        measure(entrants, m, "1 M flows, misses, one by one", 1u << 31, MIDDLE, 2000000);
        judge("cache-miss", entrants, m, 1, 0.5);
    }
    entrants[0].in_batches = true;
    if (writer)
        writer_section(&entrants[0]);
    if (threads)
        threads_section(&entrants[0]);
    tear_down(entrants, m);
}

static void small_section(int argc, char **argv)
{
    if (!bench_wanted(argc, argv, "cache-hit-l2"))
        return;
    struct entrant entrants[MAX];
    unsigned m = set_up(entrants, SMALL, false, CONTENDERS);
    measure(entrants, m, "3,400 flows (second-level cache), hits, one by one", 0, SMALL, 8000000);
    judge("cache-hit-l2", entrants, m, 1, 0.7);
    tear_down(entrants, m);
}

/* Ours into a full cache of 1 M, each insert evicting, in batches and singly; the peer's into half
 * empty tables. */
static void insert_section(int argc, char **argv)
{
    if (!bench_wanted(argc, argv, "cache-insert-evict") || CONTENDERS < 2)
        return;
    enum { BATCHES, PEER, SINGLY, KINDS };
    struct entrant entrants[KINDS] = {
        {.ops = contenders[0]}, {.ops = contenders[1]}, {.ops = contenders[0]}};
    uint32_t n = (uint32_t)divided(400000), next = 4 * MIDDLE;
    void *own = contenders[0]->create((uint32_t)(MIDDLE * 0.6));
    contenders[0]->insert(own, 0, 3 * MIDDLE);
    entrants[BATCHES].table = entrants[SINGLY].table = own;
    for (unsigned round = 0; round < bench_rounds(); round++) {
        entrants[PEER].table = entrants[PEER].ops->create(MIDDLE);
        entrants[PEER].ops->insert(entrants[PEER].table, 0, MIDDLE / 2);
        for (unsigned i = 0; i < KINDS; i++, next += n) {
            unsigned kind = (i + round) % KINDS;
            struct entrant *e = &entrants[kind];
            uint64_t start = bench_cpu_ns();
            e->hits += (kind == SINGLY ? e->ops->insert_singly : e->ops->insert)(e->table, next, n);
            bench_add(&e->ns, (double)(bench_cpu_ns() - start) / n);
            e->looked += n;
        }
        if (round + 1 < bench_rounds())
            entrants[PEER].ops->destroy(entrants[PEER].table);
    }
    print_head("1 M entries, inserts (ours into a full cache, each evicts; in batches, singly)");
    print_row(&entrants[BATCHES]);
    print_row(&entrants[SINGLY]);
    print_row(&entrants[PEER]);
    judge("cache-insert-evict", entrants, 2, 1, 0.6);
    printf("singly: %.2f times the peer's\n",
           bench_median(&entrants[SINGLY].ns) / bench_median(&entrants[PEER].ns));
    tear_down(entrants, 2);
}

/* What callgrind counts: hits and nothing else inside xvmi_cache_lookup(). */
static int hits_only(const char *how)
{
    enum { N = 64000 };
    struct entrant own = {.ops = &bench_xvmi, .in_batches = !strcmp(how, "batch")};
    own.table = own.ops->create(SMALL);
    own.ops->insert(own.table, 0, SMALL);
    look(&own, 0, SMALL, N);
    own.ops->destroy(own.table);
    return own.hits == N ? 0 : 1;
}

static void instructions_section(const char *how)
{
    char command[512], line[256], self[256];
    ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
    self[len < 0 ? 0 : len] = 0;
    snprintf(command, sizeof(command),
             "valgrind --tool=callgrind --callgrind-out-file=/dev/null "
             "--toggle-collect=xvmi_cache_lookup %s --hits %s 2>&1",
             self, how);
    FILE *f = popen(command, "r");
    unsigned long long ir = 0;
    while (f && fgets(line, sizeof(line), f)) {
        char *text = strstr(line, "Collected : ");
        if (text)
            ir = strtoull(text + 12, NULL, 10);
    }
    if (f)
        pclose(f);
    if (ir)
        printf("instructions a hit (callgrind, %s): %.0f\n", how, (double)ir / 64000);
}

int main(int argc, char **argv)
{
    if (argc > 2 && !strcmp(argv[1], "--hits"))
        return hits_only(argv[2]);
    if (!getenv("GLIBC_TUNABLES")) { /* huge pages for malloc, so for the peers too */
        setenv("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1", 1);
        execv("/proc/self/exe", argv);
    }
    small_section(argc, argv);
    middle_section(argc, argv);
    insert_section(argc, argv);
    big_section(argc, argv);
    if (argc < 2) {
        printf("\n");
        instructions_section("single");
        instructions_section("batch");
    }
    return 0;
}
