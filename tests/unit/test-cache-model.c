// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Random operations on the cache and on a list that is kept as cache.h says, nothing more. Once
 * with so few flows that nothing is evicted: the answers are equal. Once with many more than
 * fit: the cache may have forgotten, but what it says is what the list says.
 */
#include <stdlib.h>

#include <criterion/criterion.h>

#include "cache/table.h"
#include "support/cache-flows.h"

enum { VMS = 3, PIDS = 7, HELD = 16 };

/* One flow as the list has it. */
struct known {
    bool present, due, imported;
    uint32_t left;
    struct xvmi_decision decision;
    unsigned stripe;
};

/* A stamp taken some time ago, and what had happened then. */
struct held {
    uint32_t flow;
    uint64_t stamp;
    uint64_t vm_age, epoch_age, stripe_age;
};

struct model {
    struct xvmi_cache *cache;
    bool may_forget;
    uint32_t flows; /* of each guest */
    struct known *known;
    uint64_t vm_age[VMS], epoch_age, now;
    uint64_t stripe_age[XC_STRIPES];
    struct held held[HELD];
    uint64_t random;
};

static uint32_t pick(struct model *m, uint32_t n)
{
    return (uint32_t)(test_random(&m->random) >> 32) % n;
}

static uint32_t vm_of(const struct model *m, uint32_t flow)
{
    return flow / m->flows;
}

static struct xvmi_flow flow_of(const struct model *m, uint32_t flow)
{
    return test_flow(vm_of(m, flow), flow);
}

static bool is_due(const struct model *m, const struct known *k)
{
    const struct xvmi_decision *d = &k->decision;
    if (k->due)
        return true;
    if (d->revalidate == XVMI_REVALIDATE_PACKETS)
        return !k->left;
    return d->revalidate == XVMI_REVALIDATE_TIME && m->now >> 12 >= (d->validated + d->every) >> 12;
}

static struct held hold(struct model *m, uint32_t flow, uint64_t stamp)
{
    return (struct held){flow, stamp, m->vm_age[vm_of(m, flow)], m->epoch_age,
                         m->stripe_age[m->known[flow].stripe]};
}

static bool outdated(const struct model *m, const struct held *h)
{
    return h->vm_age != m->vm_age[vm_of(m, h->flow)] || h->epoch_age != m->epoch_age ||
           h->stripe_age != m->stripe_age[m->known[h->flow].stripe];
}

static void check_answer(struct model *m, uint32_t flow, const struct xvmi_answer *answer)
{
    struct known *k = &m->known[flow];
    if (answer->outcome == XVMI_MISS) {
        cr_assert(!k->present || m->may_forget);
        k->present = false;
        return;
    }
    cr_assert(k->present);
    cr_assert_eq(answer->verdict, k->decision.verdict);
    cr_assert_eq(answer->rule, k->decision.rule);
    cr_assert_eq(answer->outcome, is_due(m, k) ? XVMI_REVALIDATE : XVMI_HIT);
    if (answer->outcome == XVMI_HIT && k->left)
        k->left--;
    k->decision.packets += 1;
    k->decision.bytes += 100;
}

static void look_up(struct model *m)
{
    enum { MOST = 70 };
    struct xvmi_packet packets[MOST] = {0};
    struct xvmi_answer answers[MOST];
    uint32_t flows[MOST], n = pick(m, 4) ? 1 : pick(m, MOST);
    for (uint32_t i = 0; i < n; i++) {
        flows[i] = pick(m, VMS * m->flows);
        packets[i] = (struct xvmi_packet){.flow = flow_of(m, flows[i]), .bytes = 100};
    }
    xvmi_cache_lookup(m->cache, packets, n, m->now, answers, NULL);
    for (uint32_t i = 0; i < n; i++) {
        check_answer(m, flows[i], &answers[i]);
        if (answers[i].stamp)
            m->held[pick(m, HELD)] = hold(m, flows[i], answers[i].stamp);
    }
}

static void open_flow(struct model *m)
{
    uint32_t flow = pick(m, VMS * m->flows);
    struct xvmi_packet packet = {.flow = flow_of(m, flow), .flags = XVMI_PACKET_OPENS};
    struct xvmi_answer answer;
    xvmi_cache_lookup(m->cache, &packet, 1, m->now, &answer, NULL);
    cr_assert_eq(answer.outcome, XVMI_MISS);
    m->stripe_age[m->known[flow].stripe]++;
    m->known[flow].due = true;
    m->held[pick(m, HELD)] = hold(m, flow, answer.stamp);
}

static void insert(struct model *m)
{
    struct held *h = &m->held[pick(m, HELD)];
    struct xvmi_flow flow = flow_of(m, h->flow);
    struct xvmi_decision d = {
        .verdict = (uint8_t)(1 + pick(m, 255)),
        .revalidate = (uint8_t)pick(m, 3),
        .flags = XVMI_DECISION_COUNT,
        .rule = pick(m, 1000),
        .pid = pick(m, PIDS),
        .uid = pick(m, 5),
        .token = pick(m, 3),
        .validated = m->now,
    };
    d.every = d.revalidate ? 1 + pick(m, d.revalidate == XVMI_REVALIDATE_TIME ? 100000 : 4) : 0;
    enum xvmi_status status = xvmi_cache_insert(m->cache, &flow, &d, h->stamp);
    cr_assert_eq(status, outdated(m, h) ? XVMI_ERR_CHANGED : XVMI_OK);
    if (!status)
        m->known[h->flow] =
            (struct known){.present = true,
                           .left = d.revalidate == XVMI_REVALIDATE_PACKETS ? (uint32_t)d.every : 0,
                           .decision = d,
                           .stripe = m->known[h->flow].stripe};
}

static void revalidate(struct model *m)
{
    struct held *h = &m->held[pick(m, HELD)];
    struct known *k = &m->known[h->flow];
    struct xvmi_flow flow = flow_of(m, h->flow);
    uint64_t token = pick(m, 3);
    enum xvmi_status status = xvmi_cache_revalidate(m->cache, &flow, token, m->now, h->stamp);
    if (outdated(m, h)) {
        cr_assert_eq(status, XVMI_ERR_CHANGED);
    } else if (status == XVMI_ERR_NOT_FOUND) {
        cr_assert(!k->present || m->may_forget);
        k->present = false;
    } else {
        cr_assert(k->present);
        cr_assert_eq(status, token == k->decision.token ? XVMI_OK : XVMI_ERR_MISMATCH);
    }
    if (!status) {
        k->due = k->imported = false;
        k->decision.validated = m->now;
        if (k->decision.revalidate == XVMI_REVALIDATE_PACKETS)
            k->left = (uint32_t)k->decision.every;
    }
}

static void get(struct model *m)
{
    uint32_t n = pick(m, VMS * m->flows);
    struct known *k = &m->known[n];
    struct xvmi_flow flow = flow_of(m, n);
    struct xvmi_decision got, expected = k->decision;
    expected.epoch = xvmi_cache_epoch(m->cache);
    expected.flags |= k->imported ? XVMI_DECISION_IMPORTED : 0;
    if (xvmi_cache_get(m->cache, &flow, &got)) {
        cr_assert(!k->present || m->may_forget);
        k->present = false;
        return;
    }
    cr_assert(k->present);
    cr_assert_eq(memcmp(&got, &expected, sizeof(got)), 0);
}

static void invalidate(struct model *m)
{
    uint32_t n = pick(m, VMS * m->flows), vm = vm_of(m, n), pid = pick(m, PIDS);
    struct xvmi_flow flow = flow_of(m, n);
    uint64_t removed = 0;
    switch (pick(m, 12)) {
    case 0:
        m->epoch_age++;
        uint32_t was = xvmi_cache_epoch(m->cache);
        cr_assert_gt(xvmi_cache_new_epoch(m->cache), was);
        for (uint32_t i = 0; i < VMS * m->flows; i++)
            m->known[i].present = false;
        break;
    case 1:
        m->vm_age[vm]++;
        xvmi_cache_invalidate_vm(m->cache, vm);
        for (uint32_t i = 0; i < m->flows; i++)
            m->known[vm * m->flows + i].present = false;
        break;
    case 2:
        for (uint32_t i = vm * m->flows; i < (vm + 1) * m->flows; i++) {
            if (m->known[i].present && m->known[i].decision.pid == pid) {
                m->known[i].present = false;
                removed++;
            }
        }
        for (unsigned i = 0; i < XC_STRIPES; i++)
            m->stripe_age[i]++;
        uint64_t said = xvmi_cache_invalidate_owner(m->cache, vm, pid);
        cr_assert(m->may_forget ? said <= removed : said == removed);
        break;
    default:
        m->stripe_age[m->known[n].stripe]++;
        cr_assert(xvmi_cache_invalidate_flow(m->cache, &flow) == m->known[n].present ||
                  m->may_forget);
        m->known[n].present = false;
    }
}

/* One guest's decisions go out and come back as another host's would. */
static void migrate(struct model *m)
{
    uint32_t vm = pick(m, VMS);
    size_t len;
    (void)!xvmi_cache_export(m->cache, vm, 1, NULL, 0, &len, NULL);
    uint8_t *buf = malloc(len);
    cr_assert_eq(xvmi_cache_export(m->cache, vm, 1, buf, len, &len, NULL), XVMI_OK);
    m->vm_age[vm]++;
    xvmi_cache_invalidate_vm(m->cache, vm);
    uint64_t taken, present = 0;
    cr_assert_eq(xvmi_cache_import(m->cache, vm, 1, buf, len, &taken, NULL), XVMI_OK);
    for (uint32_t i = vm * m->flows; i < (vm + 1) * m->flows; i++) {
        struct known *k = &m->known[i];
        present += k->present;
        k->due = k->imported = true;
        k->decision.validated = 0;
        if (k->decision.revalidate == XVMI_REVALIDATE_PACKETS)
            k->left = (uint32_t)k->decision.every;
    }
    cr_assert(taken == present || (m->may_forget && taken < present));
    free(buf);
}

static void run(uint64_t seed, uint32_t flows, bool may_forget, unsigned steps)
{
    struct model *m = calloc(1, sizeof(*m));
    m->random = seed;
    m->flows = flows;
    m->may_forget = may_forget;
    m->cache = test_cache(XVMI_CACHE_MEMORY_MIN, true);
    m->known = calloc(VMS * flows, sizeof(*m->known));
    for (uint32_t i = 0; i < VMS * flows; i++) {
        struct xvmi_flow flow = flow_of(m, i);
        m->known[i].stripe =
            xc_group_of(m->cache, xc_hash(&m->cache->secret, &flow)) & m->cache->stripe_mask;
    }
    for (unsigned i = 0; i < HELD; i++) {
        struct xvmi_flow flow = flow_of(m, i);
        m->held[i] = hold(m, i, xvmi_cache_stamp(m->cache, &flow));
    }
    for (unsigned step = 0; step < steps; step++) {
        m->now += pick(m, 20000);
        uint32_t what = pick(m, 1000);
        if (what < 450)
            look_up(m);
        else if (what < 750)
            insert(m);
        else if (what < 850)
            revalidate(m);
        else if (what < 900)
            get(m);
        else if (what < 970)
            open_flow(m);
        else if (what < 998)
            invalidate(m);
        else
            migrate(m);
    }
    xvmi_cache_unref(m->cache);
    free(m->known);
    free(m);
}

Test(cache_model, nothing_evicted)
{
    for (uint64_t seed = 1; seed <= 20; seed++)
        run(seed, 40, false, 20000);
}

Test(cache_model, much_evicted)
{
    for (uint64_t seed = 1; seed <= 10; seed++)
        run(seed, 4000, true, 40000);
}
