/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XL_SCTP_H
#define XL_SCTP_H

/*
 * Sockets of SCTP. The protocol is a module's, with types of its own: they are read when the first
 * of its flows is asked for.
 */

#include <xvmi/flow.h>
#include <xvmi/owner.h>

#include "os/linux/budget.h"
#include "os/linux/chain.h"

struct xl_sctp {
    struct xl_guest *g;
    struct xvmi_member *where; /* in its structs; NULL: not known yet */
    uint64_t globals;          /* struct sctp_globals of the module */
    uint64_t strange;          /* that of one that is not understood: not tried for each packet */
    uint64_t table;            /* of ports */
    uint32_t slots, slot_size;
    const struct xl_budget *budget; /* of a look-up: lists are the guest's */
};

struct xl_sctp_sockets {
    uint64_t slot; /* head of the chain that they were found by */
    uint64_t sock[XVMI_OWNERS_MAX];
    uint32_t n;
    bool more;
};

void xl_sctp_init(struct xl_sctp *s, struct xl_guest *g);
void xl_sctp_fini(struct xl_sctp *s);

/* Those with an association of this flow, else those that listen on its port; none when the module
 * is not loaded. */
XVMI_CHECKED enum xvmi_status xl_sctp_find(struct xl_sctp *s, uint64_t net, uint32_t hash_mix,
                                           const struct xvmi_flow *flow,
                                           const struct xl_budget *budget,
                                           struct xl_sctp_sockets *found);

/* Those of all ports and namespaces join `socks`; none when the module is not loaded. */
XVMI_CHECKED enum xvmi_status xl_sctp_list(struct xl_sctp *s, const struct xl_budget *budget,
                                           struct xl_addr_vec *socks);

#endif
