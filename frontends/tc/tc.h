/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XTC_TC_H
#define XTC_TC_H

/*
 * The packet path on Linux's traffic control: puts a filter on the network device of a guest (a
 * tap, a vif) in the current network namespace.
 *
 * BPF programs on the device know what was decided about a flow and pass or drop its frames
 * without leaving the kernel. What is not known goes to the agent, that is to whoever calls
 * xtc_work(); what the agent decides about a flow is known from then on, until the filter wants it
 * looked at again, or the policy changes. A TCP SYN and an SCTP INIT are never known. Frames whose
 * flow is not plain (fragments, malformed, ARP, neighbour discovery) are decided one by one.
 *
 * A look-up that takes more than a millisecond lets the frames of other flows go first.
 *
 * Other programs on the device are left alone: a frame that passes goes on to them.
 *
 * The agent ends. What a device does then is chosen when it is opened, and holds also when the
 * agent is killed; nothing has to run for it:
 *   XTC_OPEN    everything passes.
 *   XTC_CLOSED  what was decided holds on, whatever is not known is dropped. The program stays on
 *               the device, as a filter of its clsact qdisc, until xtc_open() takes it over with
 *               all its decisions, which go on if the policy is the same. There is no moment
 *               without a filter. To take it off, open and close the device with XTC_OPEN.
 * Frames that the agent holds at that moment are lost.
 *
 * Revalidation. A decision that is due goes on for at most a second while the agent looks again;
 * after that, frames are what nothing is known of. So an established flow never waits.
 *
 * Flows that nothing opens (UDP, ICMP, ...) can be another process's from one packet to the next.
 * Of those that pass, the agent asks all 5 ms whether the sender is the same, less often where
 * that would take more than a tenth of its time, and forgets those whose sender is not. With
 * XTC_HOLD the kernel sees to it: what was not proven for 100 ms (and a tick of its clock) is what
 * nothing is known of.
 *
 * One thread uses a device, the one that uses the filter.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <xvmi/error.h>
#include <xvmi/filter.h>

struct xtc;

/* What happens to a frame of which nothing is known. */
enum xtc_miss {
    /* It waits for the decision, as do those behind it in its flow: nothing is lost or overtaken.
     * Up to `queue` frames wait; more are dropped and counted, as is what a flow sends beyond
     * a fourth of that until its last frame got through. In a dry run they pass. One agent looks
     * up one flow after the other: a look-up that takes the filter's whole `max_ns` keeps the
     * others waiting that long. Flows that are known do not notice. */
    XTC_HOLD,
    /* It is dropped, and the agent decides about those that follow. */
    XTC_DROP,
    /* It passes, and the agent decides about those that follow. */
    XTC_PASS,
};

enum xtc_on_exit { XTC_OPEN, XTC_CLOSED };

#define XTC_QUEUE_MIN 4u
#define XTC_QUEUE_MAX 4096u

/* Zero everything, then set `size` and what has no default. */
struct xtc_options {
    size_t size;
    const char *dev;            /* the guest's device */
    struct xvmi_filter *filter; /* decides; must outlive the device or be replaced */
    uint64_t policy;            /* identifies its policy, and its guest if need be: decisions are
                                   taken over from an agent with the same, see XTC_CLOSED */
    uint32_t vm;                /* `number` of the filter's options */
    uint8_t nic;                /* which of the guest's devices it is */
    uint8_t mac[6];             /* the guest's address of it; all zero: not known */
    bool dry_run;               /* the filter's: what cannot wait passes */
    bool clsact;                /* do without TCX even where the kernel has it */
    enum xtc_miss miss;
    enum xtc_on_exit on_exit;
    uint32_t flows; /* decisions that the kernel remembers, the least used go; 0: 65536 */
    uint32_t queue; /* frames that may wait in each direction, XTC_QUEUE_MIN to _MAX; 0: 512 */
    /* Called for each frame that the agent decided about, after it was sent on. */
    void (*event)(void *context, const struct xvmi_filter_event *event);
    void *context;
};

/*
 * Put the filter on the device.
 *
 *   XVMI_ERR_NOT_FOUND    there is no such device
 *   XVMI_ERR_INVALID      the options make no sense
 *   XVMI_ERR_LIMIT        another agent filters the device
 *   XVMI_ERR_PERMISSION   needs CAP_NET_ADMIN and CAP_BPF (CAP_SYS_ADMIN before 5.8)
 *   XVMI_ERR_UNSUPPORTED  the kernel cannot do it: it takes Linux 5.12, with BPF and TUN
 *   XVMI_ERR_NO_MEMORY, XVMI_ERR_IO
 */
XVMI_CHECKED enum xvmi_status xtc_open(const struct xtc_options *options, struct xtc **tc,
                                       struct xvmi_error *err);
/* Take it off again, or leave it as `on_exit` says. NULL is fine. */
void xtc_close(struct xtc *tc);

/* Polls readable while xtc_work() has something to do. */
int xtc_fd(const struct xtc *tc);
/* Decide what waits, up to a bound; never waits itself. XVMI_ERR_GONE: the device is gone;
 * XVMI_ERR_IO. */
XVMI_CHECKED enum xvmi_status xtc_work(struct xtc *tc, struct xvmi_error *err);

/* For who waits for a device: *fd polls readable when network devices of the current namespace
 * came, went or changed. XVMI_ERR_IO */
XVMI_CHECKED enum xvmi_status xtc_links_open(int *fd, struct xvmi_error *err);
/* Whether they did since the last call. */
bool xtc_links_changed(int fd);

/* Frames wait for the calling thread: have it woken soon, where the scheduler can. */
void xtc_hurry(void);

/* The filter has another policy, or is another filter: nothing that was decided before is used
 * again. What the guest receives is filtered if the policy asks for it. */
XVMI_CHECKED enum xvmi_status xtc_renew(struct xtc *tc, struct xvmi_filter *filter, uint64_t policy,
                                        struct xvmi_error *err);

/* "tcx" or "clsact". */
const char *xtc_attached_by(const struct xtc *tc);
/* Decisions were taken over from an earlier agent. */
bool xtc_took_over(const struct xtc *tc);

/* Frames, since the device was opened; [0] sent by the guest, [1] received. */
struct xtc_stats {
    size_t size;          /* set by the caller */
    uint64_t passed[2];   /* by a decision that the kernel knew */
    uint64_t dropped[2];  /* likewise */
    uint64_t held[2];     /* that waited for the agent */
    uint64_t missed[2];   /* that passed or were dropped because nothing was known */
    uint64_t told[2];     /* of these and of decisions that were due, the agent was told */
    uint64_t untold[2];   /* of `told`, it was not: it was too far behind */
    uint64_t overflow[2]; /* that could not wait: dropped, in a dry run passed */
    uint64_t orphaned[2]; /* with no agent */
    uint64_t sent[2];     /* held, and sent on by the agent */
    uint64_t denied[2];   /* held, and dropped by the agent */
    uint64_t rejected;    /* answers sent: RST, ICMP errors */
    uint64_t lost; /* held, and the kernel would not take them back, or there was no memory to keep
                      them for a look-up that takes long */
    uint64_t changed; /* known flows without connection whose sender is another one now */
};
void xtc_stats(struct xtc *tc, struct xtc_stats *stats);

#endif
