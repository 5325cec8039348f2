/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XVMI_FILTER_H
#define XVMI_FILTER_H

/*
 * The filter: a frame that a guest sends or receives, a policy, and what to do about it. Where
 * frames come from and go to is the caller's business.
 *
 * One filter belongs to one guest and is used by the thread that uses the guest's vm handle.
 * The cache may be shared with other guests' filters in other threads.
 *
 *     struct xvmi_filter_event event = {.size = sizeof(event)};
 *     xvmi_filter_decide(filter, frame, len, XVMI_FLOW_OUT, 0, now, &event);
 *     if (event.action == XVMI_VERDICT_PASS) ... send it on
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <xvmi/cache.h>
#include <xvmi/error.h>
#include <xvmi/export.h>
#include <xvmi/flow.h>
#include <xvmi/owner.h>
#include <xvmi/policy.h>
#include <xvmi/vm.h>

#ifdef __cplusplus
extern "C" {
#endif

struct xvmi_filter;

/* Zero everything, then set `size` and what has no default. */
struct xvmi_filter_options {
    size_t size;
    struct xvmi_vm *vm;               /* the guest; must outlive the filter */
    struct xvmi_finder *finder;       /* of that guest; must outlive the filter; NULL: as with
                                         xvmi_filter_set_finder() */
    struct xvmi_policy *policy;       /* the filter takes a reference of its own */
    struct xvmi_cache *cache;         /* likewise; NULL: nothing is remembered */
    const char *name;                 /* by which the policy knows the guest; copied */
    uint32_t number;                  /* flow.vm of this guest */
    bool dry_run;                     /* decide as ever, but let everything pass */
    bool learn;                       /* dry run that keeps what an allow-list would need */
    uint64_t revalidate_ns;           /* after which a sender is looked at again; 0: 1 s */
    uint32_t max_reads;               /* of guest memory for one look-up; 0: 65536 */
    uint64_t max_ns;                  /* time for one look-up; 0: 50 ms */
    uint64_t (*clock)(void *context); /* monotonic ns, for latencies; NULL: CLOCK_MONOTONIC */
    void *context;
    const struct xvmi_nic *nics; /* the guest's devices, by the number of flow.nic; copied */
    size_t n_nics;               /* up to 256; without them the option `mac` has no effect */
};

/*
 * XVMI_ERR_NOT_FOUND: no vm block of the policy is for this guest; XVMI_ERR_INVALID;
 * XVMI_ERR_NO_MEMORY.
 */
XVMI_PUBLIC XVMI_CHECKED enum xvmi_status xvmi_filter_new(const struct xvmi_filter_options *options,
                                                          struct xvmi_filter **filter,
                                                          struct xvmi_error *err);
XVMI_PUBLIC void xvmi_filter_free(struct xvmi_filter *filter); /* NULL is fine */

/*
 * Another policy, between two frames: each frame is decided by one of the two as a whole, and
 * nothing that the old one decided is used again, by whoever shares the cache. On failure
 * (XVMI_ERR_NOT_FOUND: it has no block for this guest) the old one stays.
 */
XVMI_PUBLIC XVMI_CHECKED enum xvmi_status xvmi_filter_reload(struct xvmi_filter *filter,
                                                             struct xvmi_policy *policy,
                                                             struct xvmi_error *err);
/*
 * The guest was reset and attached to anew (xvmi_vm_reattach()): this is the finder now, of the
 * same handle, and nothing that was decided or remembered about senders before is used again, the
 * cache's decisions for this guest included. NULL while there is no kernel to look into: what
 * needs a look is decided as `unreadable` says. The event's `lookup` is XVMI_ERR_CHANGED then.
 */
XVMI_PUBLIC void xvmi_filter_set_finder(struct xvmi_filter *filter, struct xvmi_finder *finder);
/* XVMI_NEED_* of the policy for this guest. Without XVMI_NEED_INCOMING, what the guest receives
 * need not be shown to the filter. */
XVMI_PUBLIC uint32_t xvmi_filter_needs(const struct xvmi_filter *filter);

/* What decided. */
enum xvmi_filter_reason {
    XVMI_REASON_RULE,     /* a rule of the policy: `rule` */
    XVMI_REASON_DEFAULT,  /* its `default` */
    XVMI_REASON_CACHED,   /* a decision made earlier; `rule` says which rule, 0: the default */
    XVMI_REASON_FRAGMENT, /* a later fragment: as its first, else the option `fragments` */
    XVMI_REASON_ARP,      /* the option of that name; these frames have no flow */
    XVMI_REASON_ND,
    XVMI_REASON_OTHER,
    XVMI_REASON_MALFORMED,
    XVMI_REASON_UNFILTERED, /* received, and the policy has no rules for that */
    XVMI_REASON_SPOOFED,    /* the option of that name: its source address is none of the guest's,
                               or its MAC address not the device's. It has no owner */
    XVMI_REASONS,
};
/* "rule", "default", ...; never NULL. */
XVMI_PUBLIC const char *xvmi_filter_reason_text(enum xvmi_filter_reason reason);
/* "pass", "drop", "reject"; never NULL. */
XVMI_PUBLIC const char *xvmi_verdict_text(enum xvmi_verdict verdict);

struct xvmi_filter_event {
    size_t size;               /* set by the caller */
    uint64_t time;             /* `now` of the call */
    struct xvmi_flow flow;     /* all zero but for vm, nic and direction where there is none */
    enum xvmi_verdict verdict; /* what the policy says */
    enum xvmi_verdict action;  /* what to do: the same, or pass in a dry run */
    enum xvmi_filter_reason reason;
    uint32_t rule;           /* number of the rule that decided, 0: none */
    const char *file;        /* where it, or the default, is written; NULL: nowhere.
                                Borrowed from the policy in use */
    uint32_t line, column;   /* 0: not known */
    uint32_t audit;          /* number of the first audit rule that noted the frame, 0: none */
    bool log;                /* the rule or default says `log`, or an audit rule noted it */
    bool uncertain;          /* with more known of the owner, another rule might have decided */
    bool cacheable;          /* holds for all frames of the flow: `decision` may be handed to
                                a cache of the caller's own, in the kernel say */
    bool prove;              /* and only while xvmi_filter_prove() says so: no packet opens such
                                flows (UDP, ICMP, ...), so none tells of another sender */
    const char *malformed;   /* why; a constant; NULL unless malformed */
    enum xvmi_status lookup; /* how the look-up of the owner went; XVMI_OK also without one.
                                XVMI_ERR_CHANGED or _GONE may mean that the guest was reset
                                or ended: xvmi_vm_refresh() tells */
    const struct xvmi_owner *owner; /* NULL when nobody asked; until the next call */
    struct xvmi_decision decision;  /* when cacheable */
    uint64_t latency_ns;            /* of the call */
    uint64_t within_ns; /* set by the caller: how long the look-up may take; 0: the filter's max_ns */
    bool unfinished;    /* that was less than max_ns, and not enough: nothing is decided or counted,
                           ask again with more. What was seen meanwhile is remembered */
};

/*
 * Decide about one frame, from the Ethernet header on. `now` is monotonic ns, the same clock
 * for all calls and for the cache. Always answers: what cannot be looked up is decided as the
 * policy says.
 */
XVMI_PUBLIC void xvmi_filter_decide(struct xvmi_filter *filter, const void *frame, size_t len,
                                    enum xvmi_flow_direction direction, uint8_t nic, uint64_t now,
                                    struct xvmi_filter_event *event);

/*
 * Does what was decided about these flows (`event.prove`) still hold: is the sender the one with
 * the token in `event.decision`? For caches of the caller's own; the filter itself asks for each
 * frame of such flows that it decides about. One look at the guest for all of them, about a
 * microsecond each where its memory is mapped. same[i] false: no, or it cannot be said; forget it.
 */
XVMI_PUBLIC void xvmi_filter_prove(struct xvmi_filter *filter, const struct xvmi_flow *flows,
                                   const uint64_t *tokens, size_t n, bool *same);

/*
 * The event as one line of JSON without newline; free it. Before the next xvmi_filter_decide().
 * Looks at the guest for what it tells of the owner (executable, control group, ancestors) and
 * the policy did not ask, so send the frame on first. Keys: time, vm, flow {proto, direction,
 * local, lport, remote, rport}, verdict, action, reason, rule {number, file, line, column} or
 * null, audit, log, uncertain, cached, owner {kind, via, pid, uid, comm, exe, cgroup, netns,
 * socket_uid, ancestry [{pid, uid, comm, exe}], holders, more} or null, latency_ns.
 */
XVMI_PUBLIC XVMI_CHECKED enum xvmi_status xvmi_filter_event_json(
    struct xvmi_filter *filter, const struct xvmi_filter_event *event, char **json);

/*
 * What was learned, as a policy that allows it and nothing else, and says `learned` of itself;
 * free it. XVMI_ERR_INVALID when the filter does not learn.
 */
XVMI_PUBLIC XVMI_CHECKED enum xvmi_status xvmi_filter_learned(const struct xvmi_filter *filter,
                                                              char **policy);

/*
 * The frame that tells the sender of a rejected one: a TCP RST or an ICMP error, to be sent
 * back where that came from. Returns its length, 0 when none may be sent (to an RST, an ICMP
 * error, a fragment, a broadcast) or it does not fit; XVMI_REJECT_FRAME_MAX always fits.
 */
#define XVMI_REJECT_FRAME_MAX 1302
XVMI_PUBLIC size_t xvmi_filter_reject(const void *frame, size_t len, void *buf, size_t size);

struct xvmi_filter_stats {
    size_t size;                                /* set by the caller */
    uint64_t frames, passed, dropped, rejected; /* by action */
    uint64_t cached, lookups, revalidated;      /* how they were decided */
    uint64_t unknown, unreadable;               /* look-ups that found no owner, that failed */
    uint64_t arp, nd, other, malformed, fragments, fragments_lost;
    uint64_t reloads;
    uint64_t spoofed;
    uint64_t proven; /* flows that it was asked of whether the sender is the same */
};
XVMI_PUBLIC void xvmi_filter_stats(const struct xvmi_filter *filter,
                                   struct xvmi_filter_stats *stats);

#ifdef __cplusplus
}
#endif
#endif
