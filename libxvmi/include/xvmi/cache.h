/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XVMI_CACHE_H
#define XVMI_CACHE_H

/*
 * The decision cache: flow -> decision, in bounded memory, for many threads at once.
 *
 * Progress. Look-ups (xvmi_cache_lookup, _get, _next) and stamps are wait-free: no lock, no
 * waiting for a writer, a number of steps bounded by a constant per flow, even while a writer
 * is stopped in the middle of a change. Their price: a look-up that meets a change of the very
 * entry it reads looks again a few times, then says "miss". A miss is always safe.
 * Writers (insert, revalidate, invalidate) wait for writers alone, and only for those in the
 * same stripe (1/4096 of a large cache); they hold it for some hundred instructions.
 * xvmi_cache_new_epoch() and xvmi_cache_invalidate_vm() take constant time whatever the
 * cache holds; xvmi_cache_invalidate_owner(), export and import walk the whole of it.
 *
 * Memory order. What one look-up answers is one decision as some writer stored it, never a
 * mixture of two. Everything a thread did before it inserted is visible to a thread that
 * hits that entry. Each call takes effect at one instant between its start and its return:
 *   - after new_epoch returns, no look-up that starts hits a decision that was stamped before
 *     new_epoch started; the same for invalidate_vm, invalidate_flow, invalidate_owner and
 *     what they name, decisions in the making included (see "Stamps");
 *   - epochs only grow, for every thread;
 *   - a look-up of a packet that opens a flow is an invalidation: what was decided earlier
 *     about that flow is at most "revalidate" afterwards.
 * Not ordered: reference marks and packet counts. A count that races with the replacement of
 * its entry may be lost or may go to the newcomer, a few at most.
 *
 * Lost updates. A stored decision can be evicted at any time, by an insert into the same full
 * set of 12. When two threads insert the same flow at once, one of the two decisions stays.
 *
 * Stamps. Deciding takes time, in which the policy, the guest or the flow may change. A stamp
 * is taken before deciding (a miss brings one) and handed to the insert, which refuses with
 * XVMI_ERR_CHANGED when anything that the flow depends on was invalidated in between: use that
 * decision for the packet at hand or decide again, but it is not kept.
 *
 * Time is the caller's: monotonic nanoseconds below 2^63, one clock for all calls. The cache
 * never asks a clock and runs no thread. A look-up with an older time than others is harmless.
 *
 * No function allocates after xvmi_cache_new(). Errors: XVMI_ERR_INVALID for arguments that
 * this header does not allow, everywhere.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <xvmi/error.h>
#include <xvmi/export.h>
#include <xvmi/flow.h>

#ifdef __cplusplus
extern "C" {
#endif

struct xvmi_cache;

struct xvmi_cache_options {
    size_t size;     /* sizeof this struct */
    uint64_t memory; /* bound in bytes, all included; at least XVMI_CACHE_MEMORY_MIN. About 99
                        bytes an entry, 115 with counters. Taken at once, in huge pages where
                        the host has them. */
    bool counters;   /* allow XVMI_DECISION_COUNT: 16 bytes more an entry */
};
#define XVMI_CACHE_MEMORY_MIN (256u << 10)

/*
 * A new cache with a secret of its own, so that nobody who chooses addresses and ports can
 * aim at one set. XVMI_ERR_LIMIT: the bound is too small, or more than the host has;
 * XVMI_ERR_NO_MEMORY; XVMI_ERR_IO: the host gave no random numbers.
 */
XVMI_PUBLIC XVMI_CHECKED enum xvmi_status xvmi_cache_new(const struct xvmi_cache_options *options,
                                                         struct xvmi_cache **cache,
                                                         struct xvmi_error *err);
/* One more owner; returns `cache`. */
XVMI_PUBLIC struct xvmi_cache *xvmi_cache_ref(struct xvmi_cache *cache);
/* One owner less; the last one frees it. NULL is fine. */
XVMI_PUBLIC void xvmi_cache_unref(struct xvmi_cache *cache);

/* ---- look up ---- */

struct xvmi_packet {
    struct xvmi_flow flow;
    uint32_t bytes; /* for XVMI_DECISION_COUNT */
    uint32_t flags; /* XVMI_PACKET_* */
};
/* It opens the flow (TCP SYN without ACK, SCTP INIT): never a hit, see "Memory order". */
#define XVMI_PACKET_OPENS (1u << 0)

enum xvmi_outcome {
    XVMI_MISS = 0,       /* decide, then xvmi_cache_insert() with the answer's stamp */
    XVMI_HIT = 1,        /* the verdict holds */
    XVMI_REVALIDATE = 2, /* the verdict is due: check that the sender is the same by the token
                            (xvmi_cache_get()), then xvmi_cache_revalidate() with the answer's
                            stamp if so, else decide anew and insert */
};

struct xvmi_answer {
    uint8_t outcome; /* enum xvmi_outcome */
    uint8_t verdict; /* 0 on a miss */
    uint16_t pad;
    uint32_t rule;  /* 0 on a miss */
    uint64_t stamp; /* 0 on a hit */
};

/* What look-ups found: zero it, keep one for each thread, add them up when you want to know. */
struct xvmi_cache_counts {
    uint64_t hits, misses, revalidations;
    uint64_t busy; /* of the misses: gave up because the entry kept changing */
};

/*
 * Look up `n` packets at the time `now`; one answer each, in order. Returns how many hit.
 * `counts` may be NULL. Best in batches: up to 32 memory accesses overlap.
 */
XVMI_PUBLIC size_t xvmi_cache_lookup(struct xvmi_cache *cache, const struct xvmi_packet *packets,
                                     size_t n, uint64_t now, struct xvmi_answer *answers,
                                     struct xvmi_cache_counts *counts);

/* All that is kept about a flow, due for revalidation or not. XVMI_ERR_NOT_FOUND. Neither a
 * reference mark nor a count is made. */
XVMI_PUBLIC XVMI_CHECKED enum xvmi_status xvmi_cache_get(const struct xvmi_cache *cache,
                                                         const struct xvmi_flow *flow,
                                                         struct xvmi_decision *decision);

/* ---- store ---- */

/* A stamp for deciding about `flow` without a look-up first. */
XVMI_PUBLIC uint64_t xvmi_cache_stamp(const struct xvmi_cache *cache, const struct xvmi_flow *flow);

/*
 * Keep a decision; it replaces what was there for the flow, counts included. `epoch` of the
 * decision is ignored, the stamp knows. `validated` is the time at which the sender was
 * looked at. XVMI_ERR_CHANGED: see "Stamps".
 */
XVMI_PUBLIC XVMI_CHECKED enum xvmi_status xvmi_cache_insert(struct xvmi_cache *cache,
                                                            const struct xvmi_flow *flow,
                                                            const struct xvmi_decision *decision,
                                                            uint64_t stamp);

/* The same for `n` flows, one status each, in order; returns how many were kept. Each takes effect
 * by itself. Several memory accesses overlap: best after a batch of look-ups. */
XVMI_PUBLIC size_t xvmi_cache_insert_batch(struct xvmi_cache *cache, const struct xvmi_flow *flows,
                                           const struct xvmi_decision *decisions,
                                           const uint64_t *stamps, size_t n,
                                           enum xvmi_status *statuses);

/*
 * The sender was looked at again and is the one with `token`: the decision holds from `now`
 * on for another period. XVMI_ERR_NOT_FOUND: evicted or outdated meanwhile; XVMI_ERR_MISMATCH:
 * the entry has another token; XVMI_ERR_CHANGED as for insert. After any of them: decide anew.
 */
XVMI_PUBLIC XVMI_CHECKED enum xvmi_status xvmi_cache_revalidate(struct xvmi_cache *cache,
                                                                const struct xvmi_flow *flow,
                                                                uint64_t token, uint64_t now,
                                                                uint64_t stamp);

/* ---- invalidate ---- */

/* The policy is another: call after the new one is in place. Returns the new epoch. */
XVMI_PUBLIC uint32_t xvmi_cache_new_epoch(struct xvmi_cache *cache);
XVMI_PUBLIC uint32_t xvmi_cache_epoch(const struct xvmi_cache *cache);
/* Everything about one guest. Guests whose numbers are equal modulo 4096 share this: theirs
 * goes too. Number guests from a counter and it does not happen below 4096 guests. */
XVMI_PUBLIC void xvmi_cache_invalidate_vm(struct xvmi_cache *cache, uint32_t vm);
/* One flow; true when there was something. */
XVMI_PUBLIC bool xvmi_cache_invalidate_flow(struct xvmi_cache *cache, const struct xvmi_flow *flow);
/* All flows of one process of a guest; returns how many there were. */
XVMI_PUBLIC uint64_t xvmi_cache_invalidate_owner(struct xvmi_cache *cache, uint32_t vm,
                                                 uint32_t pid);

/* ---- carry over to another host ---- */

/*
 * The next valid entry at or after *cursor (start with 0), which then points behind it. False
 * at the end. Entries that live through the whole walk come exactly once, unless they were
 * inserted again meanwhile.
 */
XVMI_PUBLIC bool xvmi_cache_next(const struct xvmi_cache *cache, uint64_t *cursor,
                                 struct xvmi_flow *flow, struct xvmi_decision *decision);

/*
 * Write the decisions of one guest into buf[size], for xvmi_cache_import() where it moves to.
 * `policy` identifies the policy's content (a digest, say). *len is what was used; with
 * XVMI_ERR_LIMIT, what would have been needed a moment ago. size 0 just asks.
 */
XVMI_PUBLIC XVMI_CHECKED enum xvmi_status xvmi_cache_export(const struct xvmi_cache *cache,
                                                            uint32_t vm, uint64_t policy, void *buf,
                                                            size_t size, size_t *len,
                                                            struct xvmi_error *err);

/*
 * Take over what another host exported, for the guest that is called `vm` here. Each entry
 * answers XVMI_REVALIDATE until it was revalidated; flows that are decided here already stay
 * as they are. The whole is checked before any of it is used: XVMI_ERR_FORMAT, nothing
 * changed; XVMI_ERR_MISMATCH: made under another policy, nothing changed. *taken (may be
 * NULL) is how many entries were new.
 */
XVMI_PUBLIC XVMI_CHECKED enum xvmi_status xvmi_cache_import(struct xvmi_cache *cache, uint32_t vm,
                                                            uint64_t policy, const void *buf,
                                                            size_t len, uint64_t *taken,
                                                            struct xvmi_error *err);

/* ---- statistics ---- */

struct xvmi_cache_stats {
    size_t size;        /* set by the caller: sizeof this struct */
    uint64_t memory;    /* bytes mapped */
    uint64_t page_size; /* bytes: of reserved huge pages, or the base page. Base pages may
                           have been joined to huge ones by the kernel, see huge_wanted */
    uint64_t capacity;  /* entries */
    uint64_t entries;   /* slots in use, outdated ones included */
    uint64_t inserted;  /* flows that had no slot before */
    uint64_t replaced;  /* decisions stored over one of the same flow */
    uint64_t evicted;   /* entries that made room for another flow */
    uint64_t removed;   /* by invalidate_flow and invalidate_owner */
    uint64_t refused;   /* inserts and revalidations that came too late: XVMI_ERR_CHANGED */
    uint32_t epoch;
    bool huge_wanted; /* transparent huge pages were asked for */
};
/* The numbers are of some moment each, not of one moment all. */
XVMI_PUBLIC void xvmi_cache_stats(const struct xvmi_cache *cache, struct xvmi_cache_stats *stats);

#ifdef __cplusplus
}
#endif
#endif
