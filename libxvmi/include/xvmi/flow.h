/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause OR GPL-2.0-only */
#ifndef XVMI_FLOW_H
#define XVMI_FLOW_H

/*
 * A flow and what was decided about it, as user space and BPF programs share them: fixed
 * width, no hidden padding, host byte order for numbers.
 *
 * Freestanding: under `clang -target bpf` the includer provides the fixed-width integer
 * types (linux/types.h and typedefs, or vmlinux.h).
 */

#ifndef __bpf__
#include <stddef.h>
#include <stdint.h>
#endif

#ifdef __cplusplus
#define XVMI_STATIC_ASSERT static_assert
#else
#define XVMI_STATIC_ASSERT _Static_assert
#endif

enum xvmi_flow_direction {
    XVMI_FLOW_OUT = 0, /* the guest sends */
    XVMI_FLOW_IN = 1,  /* the guest receives */
};

/*
 * One direction of one conversation of one guest. The local side is always the guest's,
 * whichever way the packet goes: it is the side whose socket answers "who?".
 *
 * Two flows are the same when all bytes are: bytes without a meaning must be zero.
 * xvmi_flow_valid() says whether they are.
 */
struct xvmi_flow {
    uint32_t vm;        /* which guest: the caller's number for it */
    uint8_t local[16];  /* network order; IPv4 in the first four bytes, the rest zero */
    uint8_t remote[16]; /* likewise */
    uint16_t lport;     /* TCP, UDP, SCTP, DCCP, UDP-Lite; ICMP echo: its id; others: 0 */
    uint16_t rport;     /* likewise; ICMP: 0 */
    uint8_t family;     /* 2 IPv4, 10 IPv6: Linux's AF_ numbers */
    uint8_t proto;      /* IPPROTO_* */
    uint8_t direction;  /* enum xvmi_flow_direction */
    uint8_t nic;        /* which of the guest's network devices, from 0: two may lead to
                           networks that use the same addresses */
};

XVMI_STATIC_ASSERT(sizeof(struct xvmi_flow) == 44, "shared with BPF programs");
XVMI_STATIC_ASSERT(__builtin_offsetof(struct xvmi_flow, lport) == 36, "shared with BPF programs");
XVMI_STATIC_ASSERT(__builtin_offsetof(struct xvmi_flow, nic) == 43, "shared with BPF programs");

/* Whether the flow is written in the one way that the comments above allow. */
static inline int xvmi_flow_valid(const struct xvmi_flow *flow)
{
    unsigned i, tail = 0;

    if (flow->direction > XVMI_FLOW_IN)
        return 0;
    if (flow->family == 10)
        return 1;
    for (i = 4; i < 16; i++)
        tail |= (unsigned)flow->local[i] | (unsigned)flow->remote[i];
    return flow->family == 2 && !tail;
}

enum xvmi_verdict {
    XVMI_VERDICT_NONE = 0, /* nothing decided; never stored */
    XVMI_VERDICT_PASS = 1,
    XVMI_VERDICT_DROP = 2,
    XVMI_VERDICT_REJECT = 3, /* drop, and tell the sender */
    /* up to 255: the caller's own */
};

/* How long a decision may be used before the caller must look again. */
enum xvmi_revalidate {
    XVMI_REVALIDATE_NEVER = 0,
    XVMI_REVALIDATE_PACKETS = 1, /* after `every` packets, 1 to XVMI_PACKETS_MAX */
    XVMI_REVALIDATE_TIME = 2,    /* after `every` nanoseconds, from 1 */
};
#define XVMI_PACKETS_MAX 0x7fffffffu

enum {
    XVMI_DECISION_COUNT = 1u << 0,    /* keep `packets` and `bytes` */
    XVMI_DECISION_IMPORTED = 1u << 1, /* came from another host, not revalidated yet */
};

/* What was decided about a flow, and on what grounds. */
struct xvmi_decision {
    uint8_t verdict;    /* enum xvmi_verdict */
    uint8_t revalidate; /* enum xvmi_revalidate */
    uint16_t flags;     /* XVMI_DECISION_* */
    uint32_t rule;      /* number of the rule that decided */
    uint32_t epoch;     /* of the policy that decided */
    uint32_t pid;       /* the owner: its tgid, 0 when there is no process */
    uint32_t uid;
    uint32_t pad;       /* 0 */
    uint64_t every;     /* see enum xvmi_revalidate; 0 with NEVER */
    uint64_t token;     /* identity of the sender (socket, inode, file, exe) in one number:
                           while it is the same, so is the sender */
    uint64_t validated; /* when that was last checked: monotonic ns */
    uint64_t packets;   /* with XVMI_DECISION_COUNT */
    uint64_t bytes;
};

XVMI_STATIC_ASSERT(sizeof(struct xvmi_decision) == 64, "shared with BPF programs");
XVMI_STATIC_ASSERT(__builtin_offsetof(struct xvmi_decision, every) == 24,
                   "shared with BPF programs");
XVMI_STATIC_ASSERT(__builtin_offsetof(struct xvmi_decision, bytes) == 56,
                   "shared with BPF programs");

#endif
