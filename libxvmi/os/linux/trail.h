/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XL_TRAIL_H
#define XL_TRAIL_H

/*
 * Where in guest memory the answer about a flow was found. When the flow is asked for again, all
 * these places are brought near at once: mapped memory into the processor's caches, other memory
 * by one call to the backend. They are hints. What is read and proven afterwards is what would
 * have been without them, only one place has no longer to be waited for to learn the next.
 */

#include <xvmi/flow.h>
#include <xvmi/owner.h>

#include "os/linux/guest.h"

/* The objects on the way from a hash bucket to a process, in the order they are read. */
enum xl_trail_object {
    XL_TRAIL_BUCKET,
    XL_TRAIL_SOCK,
    XL_TRAIL_SOCKET,
    XL_TRAIL_FILE,
    XL_TRAIL_TASK,
    XL_TRAIL_SIGNAL,
    XL_TRAIL_FILES,
    XL_TRAIL_FDTABLE,
    XL_TRAIL_FD, /* the descriptor's place in the table */
    XL_TRAIL_MM,
    XL_TRAIL_OBJECTS,
};

struct xl_trails;
/* Bounded by `memory` bytes. */
XVMI_CHECKED enum xvmi_status xl_trails_new(struct xl_guest *g, size_t memory,
                                            struct xl_trails **trails);
void xl_trails_free(struct xl_trails *trails);

/* A flow's number. */
uint64_t xl_trail_key(const struct xvmi_flow *flow);

/* Bring near what was learned about the flow, if anything was. Returns the file behind it, or 0. */
uint64_t xl_trails_near(struct xl_trails *trails, uint64_t key);
/* Only the socket, to look at it once more. */
void xl_trails_near_socket(struct xl_trails *trails, uint64_t key);

/* The flow's answer lies here: the head of its bucket, its socket, and the process (its thread
 * with the descriptor table) that holds it. Costs a few reads the first time. */
void xl_trails_learn(struct xl_trails *trails, uint64_t key, uint64_t bucket, uint64_t sock,
                     uint64_t thread, const struct xvmi_flow_owner *owner);
/* Who owned the flow when that was learned; false: not known. */
bool xl_trails_last(const struct xl_trails *trails, uint64_t key, struct xvmi_last_owner *last);

#endif
