/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef TESTS_SUPPORT_CACHE_FLOWS_H
#define TESTS_SUPPORT_CACHE_FLOWS_H

/* Flows, decisions and random numbers for the tests of the decision cache. */

#include <stdint.h>
#include <string.h>

#include <xvmi/cache.h>

static inline uint64_t test_random(uint64_t *state)
{
    *state += 0x9e3779b97f4a7c15;
    uint64_t x = *state;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
    x = (x ^ x >> 27) * 0x94d049bb133111eb;
    return x ^ x >> 31;
}

static inline uint64_t test_mix(uint64_t x)
{
    return test_random(&x);
}

/* Flow number i of a guest: every number another flow, IPv4 and IPv6 in turn. */
static inline struct xvmi_flow test_flow(uint32_t vm, uint32_t i)
{
    struct xvmi_flow flow;
    memset(&flow, 0, sizeof(flow));
    flow.vm = vm;
    flow.family = i & 1 ? 10 : 2;
    flow.proto = i & 2 ? 17 : 6;
    flow.direction = i & 4 ? XVMI_FLOW_IN : XVMI_FLOW_OUT;
    flow.lport = (uint16_t)(1024 + i % 50000);
    flow.rport = 443;
    flow.local[0] = 10;
    memcpy(flow.family == 2 ? flow.remote : flow.remote + 12, &i, sizeof(i));
    return flow;
}

static inline struct xvmi_packet test_packet(uint32_t vm, uint32_t i, uint32_t flags)
{
    struct xvmi_packet packet = {.flow = test_flow(vm, i), .bytes = 100, .flags = flags};
    return packet;
}

static inline struct xvmi_decision test_decision(uint32_t rule, uint64_t token)
{
    struct xvmi_decision decision = {.verdict = XVMI_VERDICT_PASS,
                                     .rule = rule,
                                     .pid = (uint32_t)(token % 1000) + 1,
                                     .uid = 1000,
                                     .token = token};
    return decision;
}

static inline struct xvmi_cache *test_cache(uint64_t memory, bool counters)
{
    struct xvmi_cache_options options = {
        .size = sizeof(options), .memory = memory, .counters = counters};
    struct xvmi_cache *cache = NULL;
    return xvmi_cache_new(&options, &cache, NULL) ? NULL : cache;
}

static inline struct xvmi_cache_stats test_stats(const struct xvmi_cache *cache)
{
    struct xvmi_cache_stats stats = {.size = sizeof(stats)};
    xvmi_cache_stats(cache, &stats);
    return stats;
}

/* Look up one packet. */
static inline struct xvmi_answer test_look(struct xvmi_cache *cache, uint32_t vm, uint32_t i,
                                           uint64_t now)
{
    struct xvmi_packet packet = test_packet(vm, i, 0);
    struct xvmi_answer answer;
    xvmi_cache_lookup(cache, &packet, 1, now, &answer, NULL);
    return answer;
}

static inline struct xvmi_answer test_open(struct xvmi_cache *cache, uint32_t vm, uint32_t i)
{
    struct xvmi_packet packet = test_packet(vm, i, XVMI_PACKET_OPENS);
    struct xvmi_answer answer;
    xvmi_cache_lookup(cache, &packet, 1, 0, &answer, NULL);
    return answer;
}

/* Insert with a fresh stamp. */
static inline enum xvmi_status test_put(struct xvmi_cache *cache, uint32_t vm, uint32_t i,
                                        const struct xvmi_decision *decision)
{
    struct xvmi_flow flow = test_flow(vm, i);
    return xvmi_cache_insert(cache, &flow, decision, xvmi_cache_stamp(cache, &flow));
}

#endif
