/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XF_MATCH_H
#define XF_MATCH_H

/* What a policy says about one packet. */

#include <xvmi/owner.h>

#include "filter/compiled.h"
#include "filter/packet.h"

enum xf_known {
    XF_KNOWN,
    XF_ABSENT,     /* there is no such thing: the port of an ICMP packet, a kernel thread's exe */
    XF_UNKNOWN,    /* nobody to ask: no owner was found */
    XF_UNREADABLE, /* it is there, but could not be read */
};

/* What the kernel sends by itself: it has no socket for that. */
static inline bool xf_is_answer(const struct xvmi_owner *owner)
{
    return owner->kind == XVMI_OWNER_KERNEL && !owner->socket.addr;
}

enum xf_about { XF_ABOUT_EXE, XF_ABOUT_CMDLINE, XF_ABOUT_CGROUP };
/* In place of an owner's index: the socket itself (its control group). */
#define XF_OF_SOCKET UINT32_MAX

/*
 * Where the matcher gets what it asks about the sender, when it asks. Answers are the same for
 * the whole of one evaluation and borrowed until its end.
 */
struct xf_facts {
    /* The owner; `processes`: with those that hold the socket. KNOWN (also for kind NONE),
     * UNKNOWN or UNREADABLE. */
    enum xf_known (*owner)(struct xf_facts *facts, bool processes, const struct xvmi_owner **owner);
    /* Holder i (depth 0) or its ancestors; ABSENT above the topmost. */
    enum xf_known (*task)(struct xf_facts *facts, uint32_t i, uint32_t depth,
                          const struct xvmi_task **task);
    /* Something about that process, or with XF_OF_SOCKET about the socket. */
    enum xf_known (*text)(struct xf_facts *facts, uint32_t i, uint32_t depth, enum xf_about about,
                          const char **text, size_t *len);
    /* How long ago a process started, in ns of the guest. */
    enum xf_known (*age)(struct xf_facts *facts, const struct xvmi_task *task, uint64_t *ns);
};

/* Ancestors that are looked at; with more above, whether one fits is not known. */
#define XF_ANCESTORS_MAX 64

struct xf_verdict {
    enum xf_verb verb; /* never XF_AUDIT */
    uint32_t rule;     /* its number; 0: the default decided */
    uint32_t audit;    /* number of the first audit rule that noted the packet; 0: none */
    bool log;
    bool uncertain;  /* had more been known, another rule might have decided */
    uint32_t holder; /* index of the owner that it was decided for */
    struct xf_at at;
};

void xf_match(const struct xvmi_policy *policy, const struct xf_program *program,
              const struct xf_packet *packet, struct xf_facts *facts, struct xf_verdict *verdict);

#endif
