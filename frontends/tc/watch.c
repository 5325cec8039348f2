// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Known flows that nothing opens. No packet tells that their port is another process's now, so
 * the agent goes round all that pass and asks whether their senders are the same; who is not is
 * forgotten by the kernel. The time of the last round is what the BPF program goes by: when the
 * agent is behind, such flows are what nothing is known of (see holds() in tc.bpf.c).
 */
#include <string.h>
#include <sys/timerfd.h>

#include <bpf/bpf.h>

#include "parse.h"
#include "private.h"
#include "skeleton.h"

/* From the begin of a round to that of the next: so short that a sender who is another one is
 * soon noticed, and rounds take a tenth of the thread's time at most. */
#define ROUND_MIN_NS 5000000u
#define ROUND_MAX_NS 50000000u
#define SHARE        10u
/* Whoever sent nothing for so long after the decision was due is not looked after any more. */
#define IDLE_NS 1500000000u

static void set_timer(struct xtc *tc, uint64_t ns)
{
    struct itimerspec when = {.it_value.tv_nsec = (long)ns};
    (void)timerfd_settime(tc->rounds.timer, 0, &when, NULL);
}

static struct xtc_watch_set *set_of(struct xtc *tc, const struct xvmi_flow *flow)
{
    return &tc->rounds.sets[xtc_lane_of(flow, tc->bpf->rodata->config.secret)];
}

static void drop_from(struct xtc *tc, struct xtc_watch_set *set, uint32_t i)
{
    set->watches[i] = set->watches[--set->n];
    tc->rounds.n--;
}

static uint32_t place_of(const struct xtc_watch_set *set, const struct xvmi_flow *flow)
{
    uint32_t i = 0;
    while (i < set->n && memcmp(&set->watches[i].flow, flow, sizeof(*flow)))
        i++;
    return i;
}

/* The one that is looked after for the shortest time to come makes room. */
static uint32_t make_room(struct xtc *tc, struct xtc_watch_set *set)
{
    uint32_t least = 0;
    if (set->n < XTC_WATCH_WAYS) {
        tc->rounds.n++;
        return set->n++;
    }
    for (uint32_t i = 1; i < set->n; i++)
        if (set->watches[i].until < set->watches[least].until)
            least = i;
    (void)bpf_map_delete_elem(tc->flows, &set->watches[least].flow);
    xtc_change(tc);
    return least;
}

void xtc_watch(struct xtc *tc, const struct xvmi_flow *flow, uint64_t token, uint64_t due)
{
    struct xtc_watch_set *set = set_of(tc, flow);
    uint32_t i = place_of(set, flow);
    if (i == set->n)
        i = make_room(tc, set);
    uint64_t until = due < UINT64_MAX - IDLE_NS ? due + IDLE_NS : UINT64_MAX;
    set->watches[i] = (struct xtc_watch){*flow, token, until};
    if (!tc->rounds.running)
        set_timer(tc, ROUND_MIN_NS);
    tc->rounds.running = true;
}

bool xtc_unwatch(struct xtc *tc, const struct xvmi_flow *flow)
{
    struct xtc_watch_set *set = set_of(tc, flow);
    uint32_t i = place_of(set, flow);
    if (i == set->n)
        return false;
    drop_from(tc, set, i);
    return true;
}

void xtc_forget(struct xtc *tc, const struct xvmi_flow *flow)
{
    if (!xtc_unwatch(tc, flow))
        return;
    (void)bpf_map_delete_elem(tc->flows, flow);
    xtc_change(tc);
}

void xtc_watch_none(struct xtc *tc)
{
    for (uint32_t i = 0; i < XTC_LANES; i++)
        tc->rounds.sets[i].n = 0;
    tc->rounds.n = 0;
}

/* ---- rounds ---- */

/* Watches from where the round is, in whole sets; returns how many. */
static uint32_t gather(struct xtc *tc, struct xvmi_flow *flows, uint64_t *tokens, uint64_t *until)
{
    struct xtc_rounds *r = &tc->rounds;
    uint32_t n = 0;
    for (; r->next < XTC_LANES && n + XTC_WATCH_WAYS <= XTC_BATCH; r->next++) {
        const struct xtc_watch_set *set = &r->sets[r->next];
        for (uint32_t i = 0; i < set->n; i++, n++) {
            flows[n] = set->watches[i].flow;
            tokens[n] = set->watches[i].token;
            until[n] = set->watches[i].until;
        }
    }
    return n;
}

static void go_on(struct xtc *tc, uint64_t now)
{
    struct xvmi_flow flows[XTC_BATCH];
    uint64_t tokens[XTC_BATCH], until[XTC_BATCH];
    bool same[XTC_BATCH];
    uint32_t n = gather(tc, flows, tokens, until);
    if (n)
        xvmi_filter_prove(tc->options.filter, flows, tokens, n, same);
    for (uint32_t i = 0; i < n; i++) {
        if (same[i] && now < until[i])
            continue;
        xtc_forget(tc, &flows[i]);
        tc->stats.changed += !same[i];
    }
}

static void end_round(struct xtc *tc, uint64_t now)
{
    struct xtc_rounds *r = &tc->rounds;
    uint64_t every = r->spent * SHARE, passed = now - r->began;
    __atomic_store_n(&tc->shared->proven, r->began, __ATOMIC_RELEASE);
    every = every < ROUND_MIN_NS ? ROUND_MIN_NS : every > ROUND_MAX_NS ? ROUND_MAX_NS : every;
    r->next = 0;
    r->spent = 0;
    r->running = r->n;
    /* 0 would stop it. */
    set_timer(tc, !r->running ? 0 : passed < every ? every - passed : 1);
}

void xtc_watch_work(struct xtc *tc)
{
    struct xtc_rounds *r = &tc->rounds;
    uint64_t now = xtc_now();
    struct itimerspec left;
    if (!r->running || timerfd_gettime(r->timer, &left) || left.it_value.tv_nsec)
        return;
    if (!r->next)
        r->began = now;
    go_on(tc, now);
    uint64_t after = xtc_now();
    r->spent += after - now;
    if (r->next == XTC_LANES)
        end_round(tc, after);
}
