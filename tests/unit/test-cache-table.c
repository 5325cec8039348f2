// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* The cache's insides: hash, tag matching, queue, full groups, collisions, the clock's top. */
#include <criterion/criterion.h>

#include "cache/match.h"
#include "cache/table.h"
#include "support/cache-flows.h"

static struct xc_secret secret_from(uint64_t random)
{
    struct xc_secret secret = {.aes = xc_has_aes()};
    for (unsigned i = 0; i < 4; i++)
        secret.nh[i] = test_random(&random);
    for (unsigned i = 0; i < 8; i++)
        secret.mix[i] = test_random(&random);
    return secret;
}

/* The two hashes, and how many bytes of the secret each result depends on. Of the key before the
 * last round of AES it is every other four: half of the last state is the result. */
static const struct {
    xc_hash_fn *hash;
    size_t secret;
} hashes[] = {{xc_hash_plain, 64}, {xc_hash_aes, 80}};
static unsigned hashes_here(void)
{
    return xc_has_aes() ? 2 : 1;
}

/* Values computed by another implementation. */
Test(cache_table, hash_is_the_same_everywhere)
{
    static const uint64_t expected[2][2] = {{0xe4607bf90b60efe9, 0xb99cf00e13feaf9d},
                                            {0x83b2119e3ec1de18, 0xc1d44d5bd5916a96}};
    struct xc_secret secret;
    for (unsigned i = 0; i < 4; i++)
        secret.nh[i] = test_mix(i);
    for (unsigned i = 0; i < 8; i++)
        secret.mix[i] = test_mix(4 + i);
    struct xvmi_flow a = test_flow(1, 1), b = test_flow(77, 123456);
    for (unsigned k = 0; k < hashes_here(); k++) {
        cr_assert_eq(hashes[k].hash(&secret, &a), expected[k][0]);
        cr_assert_eq(hashes[k].hash(&secret, &b), expected[k][1]);
        secret.aes = k;
        cr_assert_eq(xc_hash(&secret, &a), expected[k][0]);
    }
}

Test(cache_table, hash_depends_on_the_secret)
{
    struct xc_secret secret = secret_from(1);
    struct xvmi_flow flow = test_flow(1, 1);
    for (unsigned k = 0; k < hashes_here(); k++) {
        uint64_t was = hashes[k].hash(&secret, &flow);
        for (size_t i = 0; i < hashes[k].secret; i++) {
            ((uint8_t *)&secret)[i] ^= 1;
            uint64_t is = hashes[k].hash(&secret, &flow);
            cr_assert_neq(is, was);
            was = is;
        }
    }
}

/* Each input bit turns about half of the output bits. */
Test(cache_table, hash_avalanche)
{
    struct xc_secret secret = secret_from(1);
    for (unsigned k = 0; k < hashes_here(); k++) {
        for (unsigned bit = 0; bit < 8 * sizeof(struct xvmi_flow); bit++) {
            unsigned turned = 0;
            for (uint32_t i = 0; i < 64; i++) {
                struct xvmi_flow a = test_flow(1, i), b = a;
                ((uint8_t *)&b)[bit / 8] ^= (uint8_t)(1u << bit % 8);
                turned += (unsigned)__builtin_popcountll(hashes[k].hash(&secret, &a) ^
                                                         hashes[k].hash(&secret, &b));
            }
            cr_assert(turned > 64 * 26 && turned < 64 * 38, "bit %u: %u", bit, turned);
        }
    }
}

/* Consecutive ports, as a scan has them, fill the groups as random ones would. */
Test(cache_table, hash_spreads_a_scan)
{
    struct xvmi_cache *cache = test_cache(1 << 20, false);
    uint32_t groups = (uint32_t)cache->ngroups, n = groups * 16;
    uint32_t *load = malloc(groups * sizeof(*load));
    for (unsigned k = 0; k < hashes_here(); k++) {
        memset(load, 0, groups * sizeof(*load));
        struct xvmi_flow flow = test_flow(1, 0);
        for (uint32_t i = 0; i < n; i++) {
            flow.rport = (uint16_t)i;
            flow.remote[3] = (uint8_t)(i >> 16);
            load[xc_group_of(cache, hashes[k].hash(&cache->secret, &flow))]++;
        }
        double chi = 0;
        for (uint32_t g = 0; g < groups; g++)
            chi += (load[g] - 16.0) * (load[g] - 16.0) / 16.0;
        /* Mean ngroups - 1, deviation sqrt(2 ngroups): within 6 of it. */
        double off = chi - (groups - 1);
        cr_assert(off * off < 36 * 2.0 * groups, "chi2 %f of %u groups", chi, groups);
    }
    free(load);
    xvmi_cache_unref(cache);
}

Test(cache_table, matching_is_the_same_everywhere)
{
    static struct xc_group group;
    uint64_t random = 1;
    for (unsigned round = 0; round < 100000; round++) {
        atomic_store(&group.state, test_random(&random));
        uint16_t tag = (uint16_t)test_random(&random);
        unsigned expected = 0;
        for (unsigned i = 0; i < XC_WAYS; i++) {
            uint64_t r = test_random(&random);
            uint16_t other = r & 1 ? tag : r & 2 ? 0 : (uint16_t)(r >> 16);
            atomic_store(&group.tags[i], other);
            expected |= (unsigned)(other == tag) << i;
        }
        cr_assert_eq(xc_match(&group, tag), expected);
        cr_assert_eq(xc_match_portable(&group, tag), expected);
    }
    /* The state word is not a tag. */
    memset(&group, 0xff, sizeof(group));
    cr_assert_eq(xc_match(&group, 0xffff), 0xfff);
    cr_assert_eq(xc_match(&group, 0), 0);
}

/* Both ways of comparing keys see every bit of a flow, and nothing else of an entry. */
Test(cache_table, comparing_is_the_same_everywhere)
{
    struct xvmi_flow flow = test_flow(0x01020304, 0x12345678);
    struct xc_key key = xc_key(&flow);
    static struct xc_entry entry;
    for (unsigned i = 0; i < 8; i++)
        atomic_store(&entry.w[i], i < 6 ? key.w[i] : UINT64_MAX);
    atomic_fetch_add(&entry.w[0], 12345);
    cr_assert(xc_same_flow(&entry, &flow) && xc_same_words(&entry, &flow));
    for (unsigned bit = 0; bit < 8 * sizeof(flow); bit++) {
        struct xvmi_flow other = flow;
        ((uint8_t *)&other)[bit / 8] ^= (uint8_t)(1u << bit % 8);
        cr_assert(!xc_same_flow(&entry, &other) && !xc_same_words(&entry, &other));
    }
}

/* A newcomer gets its home; when that is taken, another slot of the group. */
Test(cache_table, home_first)
{
    struct xvmi_cache *cache = test_cache(XVMI_CACHE_MEMORY_MIN, false);
    struct xvmi_decision decision = test_decision(1, 1);
    unsigned taken = 0, at_home = 0, away = 0;
    for (uint32_t i = 0; i < 40000; i++) {
        struct xvmi_flow flow = test_flow(1, i);
        uint64_t hash = xc_hash(&cache->secret, &flow);
        if (xc_group_of(cache, hash) != 3)
            continue;
        cr_assert_lt(xc_home_of(hash), XC_WAYS);
        cr_assert_eq(test_put(cache, 1, i, &decision), XVMI_OK);
        unsigned full = 0;
        for (unsigned slot = 0; slot < XC_WAYS; slot++)
            full |= (unsigned)(cache->groups[3].tags[slot] != 0) << slot;
        if (full == taken) /* no slot was empty */
            break;
        bool home = (full ^ taken) == 1u << xc_home_of(hash);
        cr_assert(home || (taken >> xc_home_of(hash) & 1));
        home ? at_home++ : away++;
        taken = full;
    }
    cr_assert_eq(at_home + away, XC_WAYS);
    cr_assert_gt(at_home, 1);
    xvmi_cache_unref(cache);
}

/* The queue as an array, as the paper has it. */
struct plain_sieve {
    unsigned slot[XC_WAYS], marked[XC_WAYS], hand;
};

static unsigned plain_evict(struct plain_sieve *s)
{
    while (s->marked[s->hand]) {
        s->marked[s->hand] = 0;
        s->hand = (s->hand + 1) % XC_WAYS;
    }
    unsigned pos = s->hand, slot = s->slot[pos];
    for (; pos + 1 < XC_WAYS; pos++) {
        s->slot[pos] = s->slot[pos + 1];
        s->marked[pos] = s->marked[pos + 1];
    }
    s->slot[XC_WAYS - 1] = slot;
    s->marked[XC_WAYS - 1] = 0;
    if (s->hand == XC_WAYS - 1)
        s->hand = 0;
    return slot;
}

Test(cache_table, sieve_as_published)
{
    struct plain_sieve plain = {.hand = 0};
    for (unsigned i = 0; i < XC_WAYS; i++)
        plain.slot[i] = i;
    uint64_t state = XC_SIEVE_EMPTY, random = 1;
    for (unsigned round = 0; round < 200000; round++) {
        uint64_t r = test_random(&random);
        if (r % 3) {
            unsigned slot = (unsigned)(r >> 32) % XC_WAYS;
            state |= xc_sieve_mark(slot);
            plain.marked[xc_sieve_position(state, slot)] = 1;
            continue;
        }
        state = xc_sieve_advance(state);
        unsigned pos = xc_sieve_hand(state), slot = xc_sieve_slot(state, pos);
        state = xc_sieve_renew(state, pos);
        cr_assert_eq(slot, plain_evict(&plain));
        cr_assert_eq(xc_sieve_hand(state), plain.hand);
        for (unsigned i = 0; i < XC_WAYS; i++) {
            cr_assert_eq(xc_sieve_slot(state, i), plain.slot[i]);
            cr_assert_eq(!!(state & xc_sieve_mark(plain.slot[i])), plain.marked[i]);
        }
    }
}

/* A slot emptied in the middle goes to the young end; the hand keeps its entry. */
Test(cache_table, sieve_reuses_emptied_slots)
{
    uint64_t state = XC_SIEVE_EMPTY;
    for (unsigned slot = 0; slot < 6; slot++)
        state |= xc_sieve_mark(slot);
    state = xc_sieve_advance(state);
    cr_assert_eq(xc_sieve_slot(state, xc_sieve_hand(state)), 6);
    state = xc_sieve_renew(state, xc_sieve_position(state, 2));
    cr_assert_eq(xc_sieve_slot(state, xc_sieve_hand(state)), 6);
    cr_assert_eq(xc_sieve_slot(state, XC_WAYS - 1), 2);
    state = xc_sieve_renew(state, xc_sieve_position(state, 11));
    cr_assert_eq(xc_sieve_slot(state, xc_sieve_hand(state)), 6);
}

static uint32_t flow_in(const struct xvmi_cache *cache, uint32_t group, uint16_t tag, uint32_t from)
{
    for (;; from++) {
        struct xvmi_flow flow = test_flow(1, from);
        uint64_t hash = xc_hash(&cache->secret, &flow);
        if (xc_group_of(cache, hash) == group && (!tag || xc_tag_of(hash) == tag))
            return from;
    }
}

Test(cache_table, full_group_evicts_its_own)
{
    struct xvmi_cache *cache = test_cache(XVMI_CACHE_MEMORY_MIN, false);
    uint32_t in[XC_WAYS + 1], next = 0;
    struct xvmi_decision decision = test_decision(1, 1);
    for (unsigned i = 0; i <= XC_WAYS; i++, next++)
        in[i] = next = flow_in(cache, 3, 0, next);
    uint32_t elsewhere = flow_in(cache, 4, 0, 0);
    cr_assert_eq(test_put(cache, 1, elsewhere, &decision), XVMI_OK);
    for (unsigned i = 0; i < XC_WAYS; i++)
        cr_assert_eq(test_put(cache, 1, in[i], &decision), XVMI_OK);
    for (unsigned i = 0; i < XC_WAYS; i++)
        if (i != 4)
            cr_assert_eq(test_look(cache, 1, in[i], 0).outcome, XVMI_HIT);
    cr_assert_eq(test_put(cache, 1, in[XC_WAYS], &decision), XVMI_OK);
    for (unsigned i = 0; i <= XC_WAYS; i++)
        cr_assert_eq(test_look(cache, 1, in[i], 0).outcome, i == 4 ? XVMI_MISS : XVMI_HIT);
    cr_assert_eq(test_look(cache, 1, elsewhere, 0).outcome, XVMI_HIT);
    cr_assert_eq(test_stats(cache).evicted, 1);
    xvmi_cache_unref(cache);
}

/* Flows with equal group and tag live side by side and are told apart by their keys. */
Test(cache_table, equal_tags)
{
    struct xvmi_cache *cache = test_cache(XVMI_CACHE_MEMORY_MIN, false);
    uint32_t a = 0, b;
    struct xvmi_flow flow = test_flow(1, a);
    uint64_t hash = xc_hash(&cache->secret, &flow);
    b = flow_in(cache, xc_group_of(cache, hash), xc_tag_of(hash), a + 1);
    struct xvmi_decision da = test_decision(10, 1), db = test_decision(20, 2);
    cr_assert_eq(test_put(cache, 1, a, &da), XVMI_OK);
    cr_assert_eq(test_look(cache, 1, b, 0).outcome, XVMI_MISS);
    cr_assert_eq(test_put(cache, 1, b, &db), XVMI_OK);
    cr_assert_eq(test_look(cache, 1, a, 0).rule, 10);
    cr_assert_eq(test_look(cache, 1, b, 0).rule, 20);
    flow = test_flow(1, b);
    struct xvmi_decision kept;
    cr_assert_eq(xvmi_cache_get(cache, &flow, &kept), XVMI_OK);
    cr_assert_eq(kept.rule, 20);
    test_open(cache, 1, a);
    cr_assert_eq(test_look(cache, 1, a, 0).outcome, XVMI_REVALIDATE);
    cr_assert_eq(test_look(cache, 1, b, 0).outcome, XVMI_HIT);
    cr_assert(xvmi_cache_invalidate_flow(cache, &flow));
    cr_assert_eq(test_look(cache, 1, a, 0).rule, 10);
    xvmi_cache_unref(cache);
}

/* A reader that finds an entry in the middle of a change gives up, it does not wait. */
Test(cache_table, reader_never_waits)
{
    struct xvmi_cache *cache = test_cache(XVMI_CACHE_MEMORY_MIN, false);
    struct xvmi_decision decision = test_decision(1, 1);
    struct xvmi_packet packet = test_packet(1, 1, 0);
    struct xvmi_answer answer;
    struct xvmi_cache_counts counts = {0};
    cr_assert_eq(test_put(cache, 1, 1, &decision), XVMI_OK);
    uint64_t slot = 0;
    while (!cache->groups[slot / XC_WAYS].tags[slot % XC_WAYS])
        slot++;
    atomic_fetch_add(&cache->entries[slot].w[0], 1); /* a writer stopped here */
    atomic_store(&xc_stripe_of(cache, (uint32_t)(slot / XC_WAYS))->lock, 1);
    cr_assert_eq(xvmi_cache_lookup(cache, &packet, 1, 0, &answer, &counts), 0);
    cr_assert_eq(answer.outcome, XVMI_MISS);
    cr_assert_eq(counts.busy, 1);
    cr_assert_eq(xvmi_cache_get(cache, &packet.flow, &decision), XVMI_ERR_NOT_FOUND);
    packet.flags = XVMI_PACKET_OPENS;
    cr_assert_eq(xvmi_cache_lookup(cache, &packet, 1, 0, &answer, &counts), 0);
    atomic_fetch_add(&cache->entries[slot].w[0], 1); /* and goes on */
    packet.flags = 0;
    xvmi_cache_lookup(cache, &packet, 1, 0, &answer, &counts);
    cr_assert_eq(answer.outcome, XVMI_REVALIDATE); /* the opening packet left its mark */
    xvmi_cache_unref(cache);
}

Test(cache_table, clock_does_not_wrap)
{
    struct xvmi_cache *cache = test_cache(XVMI_CACHE_MEMORY_MIN, false);
    struct xvmi_decision decision = test_decision(1, 1);
    atomic_store(&cache->clock, UINT32_MAX - 2);
    uint32_t epoch = 0;
    for (unsigned i = 0; i < 6; i++) {
        for (uint32_t vm = 1; vm <= 2; vm++)
            cr_assert_eq(test_put(cache, vm, 1, &decision), XVMI_OK);
        struct xvmi_flow flow = test_flow(1, 1);
        uint64_t stamp = xvmi_cache_stamp(cache, &flow);
        cr_assert_eq(test_look(cache, 1, 1, 0).outcome, XVMI_HIT);
        if (i % 2) {
            cr_assert_geq(xvmi_cache_new_epoch(cache), epoch);
            epoch = xvmi_cache_epoch(cache);
            cr_assert_eq(test_look(cache, 2, 1, 0).outcome, XVMI_MISS);
        } else {
            xvmi_cache_invalidate_vm(cache, 1);
        }
        cr_assert_eq(test_look(cache, 1, 1, 0).outcome, XVMI_MISS);
        cr_assert_eq(xvmi_cache_insert(cache, &flow, &decision, stamp), XVMI_ERR_CHANGED);
    }
    cr_assert_eq(epoch, UINT32_MAX);
    xvmi_cache_unref(cache);
}
