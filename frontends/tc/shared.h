/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause OR GPL-2.0-only */
#ifndef XTC_SHARED_H
#define XTC_SHARED_H

/* What the BPF programs and the agent have in common. Freestanding, see <xvmi/flow.h>. */

#include <xvmi/flow.h>

/* A decision in the kernel, by flow. Times are CLOCK_MONOTONIC in ns. */
struct xtc_entry {
    uint8_t verdict; /* pass or drop, see enum xvmi_verdict */
    uint8_t asked;   /* it is due, and the agent was told */
    uint8_t watched; /* nothing opens the flow: the agent keeps proving who sends */
    uint8_t pad;
    uint32_t epoch;   /* of the policy; another one than xtc_shared.epoch: void */
    uint64_t decided; /* when */
    uint64_t due;     /* when the agent wants to be told of the next packet */
    uint32_t packets; /* the same after so many, counted down; 0: not counted */
    uint32_t tick;    /* the jiffy in which `due` was compared with a clock */
};
XVMI_STATIC_ASSERT(sizeof(struct xtc_entry) == 32, "shared with BPF programs");

/*
 * Flows share lanes by a hash. While a lane has frames in flight, that is between the redirect to
 * the slow device and the return of the agent's write, all frames of its flows take the same way
 * round: nothing overtakes a frame that is held.
 */
#define XTC_LANES 4096u
struct xtc_lane {
    uint32_t entered; /* frames redirected: the BPF program adds */
    uint32_t acked;   /* frames that are through, or dropped: the agent writes */
    uint32_t drain;   /* too many came at once: what comes is dropped until the lane is empty */
    uint32_t left;    /* frames that came back, from where `entered` was when it was empty */
};

/* One for each direction. */
struct xtc_path {
    uint32_t held; /* frames redirected: sum of `entered` */
    uint32_t left; /* frames that the agent sent on and that passed the device's hook */
    uint32_t pad[14];
    uint32_t released; /* sum of `acked` */
    uint32_t pad2[15];
    struct xtc_lane lanes[XTC_LANES];
};
XVMI_STATIC_ASSERT(sizeof(struct xtc_path) == 128 + 16 * XTC_LANES, "shared with BPF programs");

/* Memory that both map. */
struct xtc_shared {
    uint64_t policy; /* its digest: who takes over knows whether decisions still hold */
    uint32_t epoch;  /* of the policy; from 1 */
    uint8_t mac[6];
    uint8_t own_mac; /* frames from another address than `mac` are the agent's business */
    uint8_t pad0;
    uint32_t change; /* counts up when what passed before may not pass any more */
    uint64_t since;  /* when this agent began: it watches what was decided since */
    uint64_t proven; /* when a round over all that is watched began, the last that ended */
    uint32_t pad[6];
    struct xtc_path path[2]; /* by enum xvmi_flow_direction */
};

/* What a program does with a packet that nothing is known of. */
enum xtc_fate { XTC_FATE_HOLD, XTC_FATE_DROP, XTC_FATE_PASS };

/* Constants of a loaded program. */
struct xtc_config {
    uint32_t mark;    /* of frames on their way between our devices */
    uint32_t ifindex; /* of the guest's device */
    uint32_t vm;      /* for the flow */
    uint32_t secret;  /* of the hash of lanes */
    uint32_t queue;   /* frames that may be in flight in one direction */
    uint32_t lane;    /* in one lane */
    uint8_t miss;     /* enum xtc_fate */
    uint8_t orphaned; /* the same when there is no agent: PASS or DROP */
    uint8_t overflow; /* when the queue is full: PASS or DROP */
    uint8_t nic;      /* for the flow */
    uint8_t pad[4];
};

/* Of each CPU, for each direction: frames, and what a CPU has to know. */
struct xtc_counts {
    uint64_t passed, dropped; /* by a decision in the kernel */
    uint64_t held;            /* redirected to the agent */
    uint64_t missed;          /* passed or dropped while the agent was told */
    uint64_t told;            /* the agent was told, revalidations included */
    uint64_t untold;          /* of these, there was no room to tell */
    uint64_t overflow;        /* the queue or the lane was full */
    uint64_t orphaned;        /* there was no agent */
    uint64_t back; /* not a count: lane and its `left`, when a frame last came back here */
};

/* What the agent is told of a frame that went on, or was dropped, without it. */
#define XTC_TOLD_BYTES 256u
struct xtc_told {
    uint32_t len;   /* of the frame */
    uint32_t have;  /* bytes in data */
    uint16_t tci;   /* of its VLAN tag, which is not in data */
    uint16_t proto; /* of that, in network order; 0: there is none */
    uint8_t direction;
    uint8_t revalidate; /* a decision is due, rather than missing */
    uint8_t pad[2];
    uint8_t data[XTC_TOLD_BYTES];
};
XVMI_STATIC_ASSERT(sizeof(struct xtc_told) == 16 + XTC_TOLD_BYTES, "shared with BPF programs");

/* How long a decision that is due goes on while the agent looks again. */
#define XTC_GRACE_NS 1000000000u
/* How long ago a flow that is watched may have been proven. */
#define XTC_PROVEN_NS 100000000u
/* With `drop` and `pass`, a packet that opens a flow is decided by what was decided about
 * another one that opened it, this long: a retransmission has to get through. */
#define XTC_OPEN_NS 3500000000u

#endif
