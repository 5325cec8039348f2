/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef BENCH_ROUNDS_H
#define BENCH_ROUNDS_H

/* Contenders take turns, in another order each round; medians and spread are printed. */

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define BENCH_ROUNDS_MAX     64
#define BENCH_CONTENDERS_MAX 8

struct bench_contender {
    const char *name;
    double (*run)(void *ctx); /* one measurement, in any unit; negative: it failed */
    void *ctx;
    double values[BENCH_ROUNDS_MAX], median, low, high; /* filled by bench_rounds() */
};

static inline double bench_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static inline int bench_compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static inline void bench_shuffle(size_t *order, size_t n)
{
    for (size_t i = n; i > 1; i--) {
        size_t k = (size_t)rand() % i, t = order[i - 1];
        order[i - 1] = order[k];
        order[k] = t;
    }
}

/* One round before those that count warms caches. False when a contender failed. */
static inline bool bench_rounds(struct bench_contender *c, size_t n, size_t rounds)
{
    size_t order[BENCH_CONTENDERS_MAX];
    for (size_t i = 0; i < n; i++)
        order[i] = i;
    for (size_t round = 0; round <= rounds; round++) {
        bench_shuffle(order, n);
        for (size_t i = 0; i < n; i++) {
            double v = c[order[i]].run(c[order[i]].ctx);
            if (v < 0) {
                fprintf(stderr, "%s failed\n", c[order[i]].name);
                return false;
            }
            c[order[i]].values[round ? round - 1 : 0] = v;
        }
    }
    for (size_t i = 0; i < n; i++) {
        qsort(c[i].values, rounds, sizeof(double), bench_compare);
        c[i].median = c[i].values[rounds / 2];
        c[i].low = c[i].values[0];
        c[i].high = c[i].values[rounds - 1];
    }
    return true;
}

/* The line that tests/bench/run collects: the limit is an upper one. */
static inline void bench_bar(const char *name, double value, double limit)
{
    printf("bar %s %.3g %.3g %s\n", name, value, limit, value <= limit ? "ok" : "MISS");
}

#endif
