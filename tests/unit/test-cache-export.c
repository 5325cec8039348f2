// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Decisions travel from one cache to another. */
#include <stdlib.h>

#include <criterion/criterion.h>

#include "support/cache-flows.h"

enum { POLICY = 0xabcdef, ENTRIES = 300, HEADER = 40, RECORD = 112 };

static struct xvmi_decision varied(uint32_t i)
{
    struct xvmi_decision decision = test_decision(i + 1, i * 77);
    decision.verdict = (uint8_t)(1 + i % 3);
    decision.revalidate = (uint8_t)(i % 3);
    decision.every = decision.revalidate ? i + 1 : 0;
    if (i % 2) {
        decision.flags = XVMI_DECISION_COUNT;
        decision.packets = i;
        decision.bytes = i * 100;
    }
    return decision;
}

/* What a cache with 300 decisions of guest 5 and some of guest 6 exports for 5. */
static uint8_t *exported(size_t *len)
{
    struct xvmi_cache *cache = test_cache(1 << 20, true);
    for (uint32_t i = 0; i < ENTRIES; i++) {
        struct xvmi_decision decision = varied(i);
        decision.validated = 12345;
        cr_assert_eq(test_put(cache, 5, i, &decision), XVMI_OK);
        cr_assert_eq(test_put(cache, 6, i, &decision), XVMI_OK);
    }
    struct xvmi_error err = XVMI_ERROR_INIT;
    cr_assert_eq(xvmi_cache_export(cache, 5, POLICY, NULL, 0, len, &err), XVMI_ERR_LIMIT);
    cr_assert_eq(*len, HEADER + ENTRIES * RECORD);
    uint8_t *buf = malloc(*len);
    size_t again;
    cr_assert_eq(xvmi_cache_export(cache, 5, POLICY, buf, *len - 1, &again, &err), XVMI_ERR_LIMIT);
    cr_assert_eq(xvmi_cache_export(cache, 5, POLICY, buf, *len, &again, &err), XVMI_OK);
    cr_assert_eq(again, *len);
    xvmi_cache_unref(cache);
    return buf;
}

Test(cache_export, round_trip)
{
    size_t len;
    uint8_t *buf = exported(&len);
    struct xvmi_cache *cache = test_cache(1 << 20, true);
    /* Already decided here: stays. */
    struct xvmi_decision local = test_decision(7777, 1);
    cr_assert_eq(test_put(cache, 9, 3, &local), XVMI_OK);
    uint64_t taken;
    cr_assert_eq(xvmi_cache_import(cache, 9, POLICY, buf, len, &taken, NULL), XVMI_OK);
    cr_assert_eq(taken, ENTRIES - 1);
    cr_assert_eq(test_look(cache, 9, 3, 0).outcome, XVMI_HIT);
    cr_assert_eq(test_look(cache, 9, 3, 0).rule, 7777);

    for (uint32_t i = 0; i < ENTRIES; i++) {
        if (i == 3)
            continue;
        struct xvmi_flow flow = test_flow(9, i);
        struct xvmi_decision expected = varied(i), got;
        expected.epoch = xvmi_cache_epoch(cache);
        expected.flags |= XVMI_DECISION_IMPORTED;
        cr_assert_eq(xvmi_cache_get(cache, &flow, &got), XVMI_OK);
        cr_assert_eq(memcmp(&got, &expected, sizeof(got)), 0, "%u", i);
        struct xvmi_answer answer = test_look(cache, 9, i, 0);
        cr_assert_eq(answer.outcome, XVMI_REVALIDATE);
        cr_assert_eq(answer.verdict, expected.verdict);
        cr_assert_eq(xvmi_cache_revalidate(cache, &flow, i * 77, 1u << 30, answer.stamp), XVMI_OK);
        cr_assert_eq(test_look(cache, 9, i, 0).outcome, XVMI_HIT);
        cr_assert_eq(xvmi_cache_get(cache, &flow, &got), XVMI_OK);
        cr_assert_eq(got.flags & XVMI_DECISION_IMPORTED, 0);
        cr_assert_eq(test_look(cache, 5, i, 0).outcome, XVMI_MISS);
    }
    cr_assert_eq(xvmi_cache_import(cache, 9, POLICY, buf, len, &taken, NULL), XVMI_OK);
    cr_assert_eq(taken, 0);
    free(buf);
    xvmi_cache_unref(cache);
}

Test(cache_export, counts_are_dropped_where_nobody_counts)
{
    size_t len;
    uint8_t *buf = exported(&len);
    struct xvmi_cache *cache = test_cache(1 << 20, false);
    cr_assert_eq(xvmi_cache_import(cache, 1, POLICY, buf, len, NULL, NULL), XVMI_OK);
    struct xvmi_flow flow = test_flow(1, 1);
    struct xvmi_decision got;
    cr_assert_eq(xvmi_cache_get(cache, &flow, &got), XVMI_OK);
    cr_assert_eq(got.flags, XVMI_DECISION_IMPORTED);
    cr_assert_eq(got.packets, 0);
    free(buf);
    xvmi_cache_unref(cache);
}

Test(cache_export, outdated_entries_stay_behind)
{
    struct xvmi_cache *cache = test_cache(1 << 20, false);
    struct xvmi_decision decision = test_decision(1, 1);
    cr_assert_eq(test_put(cache, 5, 1, &decision), XVMI_OK);
    xvmi_cache_new_epoch(cache);
    cr_assert_eq(test_put(cache, 5, 2, &decision), XVMI_OK);
    uint8_t buf[HEADER + 2 * RECORD];
    size_t len;
    cr_assert_eq(xvmi_cache_export(cache, 5, POLICY, buf, sizeof(buf), &len, NULL), XVMI_OK);
    cr_assert_eq(len, HEADER + RECORD);
    xvmi_cache_unref(cache);
}

Test(cache_export, empty)
{
    struct xvmi_cache *cache = test_cache(1 << 20, false);
    uint8_t buf[HEADER];
    size_t len;
    cr_assert_eq(xvmi_cache_export(cache, 5, POLICY, buf, sizeof(buf), &len, NULL), XVMI_OK);
    cr_assert_eq(len, HEADER);
    cr_assert_eq(xvmi_cache_import(cache, 5, POLICY, buf, len, NULL, NULL), XVMI_OK);
    xvmi_cache_unref(cache);
}

Test(cache_export, another_policy)
{
    size_t len;
    uint8_t *buf = exported(&len);
    struct xvmi_cache *cache = test_cache(1 << 20, true);
    cr_assert_eq(xvmi_cache_import(cache, 5, POLICY + 1, buf, len, NULL, NULL), XVMI_ERR_MISMATCH);
    cr_assert_eq(test_stats(cache).entries, 0);
    free(buf);
    xvmi_cache_unref(cache);
}

/* Whatever is cut off or turned over: refused, and nothing of it is in the cache. */
Test(cache_export, damage_is_refused_whole)
{
    size_t len;
    uint8_t *buf = exported(&len);
    struct xvmi_cache *cache = test_cache(1 << 20, true);
    struct xvmi_error err = XVMI_ERROR_INIT;
    for (size_t cut = 0; cut < len; cut += cut < 200 ? 1 : 37) {
        cr_assert_eq(xvmi_cache_import(cache, 5, POLICY, buf, cut, NULL, &err), XVMI_ERR_FORMAT);
        cr_assert(strstr(err.text, "cache import"));
    }
    for (size_t bit = 0; bit < 8 * len; bit += bit < 8 * 300 ? 1 : 101) {
        buf[bit / 8] ^= (uint8_t)(1u << bit % 8);
        cr_assert_eq(xvmi_cache_import(cache, 5, POLICY, buf, len, NULL, &err), XVMI_ERR_FORMAT,
                     "bit %zu", bit);
        buf[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    uint8_t *longer = calloc(1, len + RECORD);
    memcpy(longer, buf, len);
    cr_assert_eq(xvmi_cache_import(cache, 5, POLICY, longer, len + 1, NULL, &err), XVMI_ERR_FORMAT);
    cr_assert_eq(xvmi_cache_import(cache, 5, POLICY, longer, len + RECORD, NULL, &err),
                 XVMI_ERR_FORMAT);
    cr_assert_eq(test_stats(cache).inserted, 0);
    cr_assert_eq(xvmi_cache_import(cache, 5, POLICY, buf, len, NULL, &err), XVMI_OK);
    free(longer);
    free(buf);
    xvmi_cache_unref(cache);
}
