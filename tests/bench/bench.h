/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef BENCH_H
#define BENCH_H

/*
 * What benchmark programs share. Contenders take turns in random order; a figure is the
 * median over the rounds, its spread the interquartile range. Times are the CPU time of
 * the thread: other programs on the machine cost cache and memory bandwidth, not time.
 */

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { BENCH_ROUNDS_MAX = 64 };

/* Rounds of each measurement: $BENCH_ROUNDS, by default 7. */
static inline unsigned bench_rounds(void)
{
    const char *text = getenv("BENCH_ROUNDS");
    unsigned n = text ? (unsigned)atoi(text) : 7;
    return n < 1 ? 1 : n > BENCH_ROUNDS_MAX ? BENCH_ROUNDS_MAX : n;
}

static inline uint64_t bench_cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Of the clock on the wall, where it matters how long something takes. */
static inline double bench_wall_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

/* Passes time without sleeping, in which others fall asleep. */
static inline void bench_pause_us(double us)
{
    for (double until = bench_wall_us() + us; bench_wall_us() < until;)
        ;
}

static inline uint64_t bench_random(uint64_t *state)
{
    uint64_t x = *state += 0x9e3779b97f4a7c15;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
    x = (x ^ x >> 27) * 0x94d049bb133111eb;
    return x ^ x >> 31;
}

/* Cheap, inside of loops that are timed: below n, evenly enough. */
static inline uint32_t bench_below(uint64_t *state, uint32_t n)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((*state >> 32) * n >> 32);
}

struct bench_series {
    double v[BENCH_ROUNDS_MAX];
    unsigned n;
};

static inline void bench_add(struct bench_series *series, double value)
{
    if (series->n < BENCH_ROUNDS_MAX)
        series->v[series->n++] = value;
}

static inline int bench_compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static inline double bench_quantile(const struct bench_series *series, double q)
{
    struct bench_series sorted = *series;
    if (!sorted.n)
        return 0;
    qsort(sorted.v, sorted.n, sizeof(*sorted.v), bench_compare);
    return sorted.v[(unsigned)(q * (sorted.n - 1) + 0.5)];
}

static inline double bench_median(const struct bench_series *series)
{
    return bench_quantile(series, 0.5);
}

/* A random order of 0..n-1. */
static inline void bench_shuffle(unsigned *order, unsigned n, uint64_t *random)
{
    for (unsigned i = 0; i < n; i++) {
        unsigned j = (unsigned)(bench_random(random) % (i + 1));
        order[i] = order[j];
        order[j] = i;
    }
}

/* The line that tests/bench/run reads. */
static inline void bench_at_most(const char *name, double value, double limit)
{
    printf("bar %s %.3f %.3f %s\n", name, value, limit, value <= limit ? "ok" : "MISS");
    fflush(stdout);
}

static inline void bench_at_least(const char *name, double value, double limit)
{
    printf("bar %s %.3f %.3f %s\n", name, value, limit, value >= limit ? "ok" : "MISS");
    fflush(stdout);
}

/* Whether argv asks for this bar; without arguments, for all. */
static inline bool bench_wanted(int argc, char **argv, const char *name)
{
    for (int i = 1; i < argc; i++)
        if (!strcmp(argv[i], name))
            return true;
    return argc < 2;
}

#endif
