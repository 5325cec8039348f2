/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef TESTS_SUPPORT_PLAIN_CRITERION_H
#define TESTS_SUPPORT_PLAIN_CRITERION_H

/*
 * As much of Criterion as the cache's tests use, in one process without threads or forks: for
 * machines and sanitizers on which Criterion does not run.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct plain_test {
    const char *name;
    void (*run)(void);
    struct plain_test *next;
};
static struct plain_test *plain_tests;

#define Test(suite, test)                                                                    \
    static void suite##_##test(void);                                                        \
    __attribute__((constructor)) static void suite##_##test##_register(void)                 \
    {                                                                                        \
        static struct plain_test self = {#suite "::" #test, suite##_##test, NULL};           \
        self.next = plain_tests;                                                             \
        plain_tests = &self;                                                                 \
    }                                                                                        \
    static void suite##_##test(void)

#define cr_assert(cond, ...)                                                                 \
    do {                                                                                     \
        if (!(cond)) {                                                                       \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond);                       \
            exit(1);                                                                         \
        }                                                                                    \
    } while (0)
#define cr_assert_not(cond, ...)     cr_assert(!(cond))
#define cr_assert_eq(a, b, ...)      cr_assert((a) == (b))
#define cr_assert_neq(a, b, ...)     cr_assert((a) != (b))
#define cr_assert_lt(a, b, ...)      cr_assert((a) < (b))
#define cr_assert_leq(a, b, ...)     cr_assert((a) <= (b))
#define cr_assert_gt(a, b, ...)      cr_assert((a) > (b))
#define cr_assert_geq(a, b, ...)     cr_assert((a) >= (b))
#define cr_assert_null(p, ...)       cr_assert((p) == NULL)
#define cr_assert_not_null(p, ...)   cr_assert((p) != NULL)
#define cr_assert_str_eq(a, b, ...)  cr_assert(!strcmp((a), (b)))

int main(void)
{
    unsigned n = 0;
    for (struct plain_test *test = plain_tests; test; test = test->next, n++)
        test->run();
    printf("%u tests passed\n", n);
    return 0;
}

#endif
