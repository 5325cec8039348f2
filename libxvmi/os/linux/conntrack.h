/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XL_CONNTRACK_H
#define XL_CONNTRACK_H

/*
 * NAT inside the guest: which flow stands behind one that is seen on the wire, by the guest's own
 * connection tracking table.
 */

#include <xvmi/flow.h>

#include "os/linux/guest.h"

struct xl_conntrack {
    struct xl_guest *g;
    uint64_t table, size; /* addresses of nf_conntrack_hash and nf_conntrack_htable_size; 0: none */
    uint64_t rnd;         /* address of the hash's secret */
    uint64_t rnd_size;    /* 4: jhash, 16: siphash */
};

void xl_conntrack_init(struct xl_conntrack *ct, struct xl_guest *g);

/*
 * The flow as its local socket has it, in *inside, when namespace `net` translates `flow`.
 * XVMI_ERR_NOT_FOUND, without text: it does not.
 */
XVMI_CHECKED enum xvmi_status xl_conntrack_find(struct xl_conntrack *ct, uint64_t net,
                                                uint32_t hash_mix, const struct xvmi_flow *flow,
                                                struct xvmi_flow *inside);

#endif
