/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XL_SOCKFIND_H
#define XL_SOCKFIND_H

/*
 * From a flow to the sockets that can have sent it (or receive it), by the kernel's own hashes:
 * a bucket or two, whatever the number of sockets.
 */

#include <xvmi/flow.h>
#include <xvmi/owner.h>

#include "os/linux/addr.h"
#include "os/linux/budget.h"
#include "os/linux/conntrack.h"
#include "os/linux/guest.h"
#include "os/linux/netns.h"
#include "os/linux/sctp.h"

#define XL_SOCK_COMMON_MAX 256 /* bytes; a struct sock_common has 136 */

/* Sockets of UDP or UDP-Lite: filed by port, and by port and address. */
struct xl_udp_table {
    uint64_t hash, hash2; /* 0: this kernel has none */
    uint32_t mask;
};

/* A namespace's hash tables. They stay where they are for as long as it lives. */
struct xl_net_tables {
    uint64_t net;
    uint32_t hash_mix;
    uint32_t ehash_mask, lhash_mask;
    uint64_t ehash, lhash;
    struct xl_udp_table udp, udplite;
};

/* What the local port does to the hash of a connection. */
enum xl_port_way {
    XL_PORT_INSIDE,      /* before 6.15: it is hashed with the rest */
    XL_PORT_ADDED,       /* it is added to the hash of the rest */
    XL_PORT_ADDED_WHOLE, /* IPv6 in 7.2: so it is, and the rest is hashed another way */
};

/* How a kernel computes the hash of a connection, where kernels differ. */
struct xl_hash_way {
    bool known;
    enum xl_port_way port;
    uint32_t addr_secret; /* which of two words is the secret of IPv6 addresses */
};

struct xl_sockfind {
    struct xl_guest *g;
    const struct xl_budget *budget; /* of the question that is being answered */
    struct xl_net_vec nets;
    struct xl_net_tables *tables; /* of each of them */
    struct xl_addr_list addrs;
    uint32_t secret4, secret6;
    uint32_t addr_secrets[2];
    uint32_t n_addr_secrets;
    bool hotdata;              /* the secrets lie in net_hotdata: 6.9 or newer */
    struct xl_hash_way way[2]; /* IPv4, IPv6 */
    struct xl_conntrack conntrack;
    struct xl_sctp sctp;
};

/* A flow and what a socket is compared with, in one namespace. */
struct xl_query {
    struct xvmi_flow flow;
    const struct xl_net_tables *t; /* until namespaces are looked at anew */
    uint64_t net;
    uint32_t local[4], remote[4];
    uint16_t lport; /* what skc_num must be */
    uint32_t hash;  /* TCP: what skc_hash must be */
};

/* The common part of a socket, read at once. */
struct xl_common {
    uint64_t addr;
    uint8_t raw[XL_SOCK_COMMON_MAX];
};

/* What a socket, by its common part, is to a flow (sockscore.c). 0: nothing; more: a better
 * explanation. */
typedef int xl_score_fn(const struct xw_layout *lay, const struct xl_query *q,
                        const struct xl_common *c);
xl_score_fn xl_score_established, xl_score_listener, xl_score_udp, xl_score_raw, xl_score_packet,
    xl_score_sctp;

/* Sockets that explain a flow equally well; usually one. */
struct xl_found {
    enum xvmi_via_socket via;
    enum xvmi_socket_kind kind;
    int score;
    xl_score_fn *score_fn;
    struct xl_query query; /* by which it was found */
    uint32_t n;
    bool more;
    bool translated; /* found behind NAT: by `inside`, not by the flow itself */
    struct xvmi_flow inside;
    uint32_t net;    /* index */
    uint64_t bucket; /* head of the chain that the first was found in */
    uint64_t sock[XVMI_OWNERS_MAX];
};

void xl_sockfind_init(struct xl_sockfind *f, struct xl_guest *g);
void xl_sockfind_fini(struct xl_sockfind *f);

/* Sent from an address that no namespace has, as of the last look at them. */
bool xl_sockfind_foreign(const struct xl_sockfind *f, const struct xvmi_flow *flow);

/* Look at namespaces, their addresses and tables, and the secrets anew. */
XVMI_CHECKED enum xvmi_status xl_net_tables_read(struct xl_sockfind *f);
/* Whether what was read is of the kernel that runs now, as far as one read tells. */
bool xl_net_tables_hold(const struct xl_sockfind *f);

/* Before: set f->budget. found->n is 0 when nothing explains the flow. Among several namespaces
 * with this address the one that has the socket counts; when more than one has, that with a device
 * of this MAC address (NULL: not known), then that with the guest's hardware; XVMI_ERR_UNSUPPORTED
 * when neither tells.
 */
XVMI_CHECKED enum xvmi_status xl_sockfind(struct xl_sockfind *f, const struct xvmi_flow *flow,
                                          const uint8_t *mac, struct xl_found *found);

/* Is found->sock[i] still the socket that was found? One read. */
bool xl_sockfind_still(const struct xl_sockfind *f, const struct xl_found *found, uint32_t i);

/* Listening sockets for the local side of a flow in namespace `net`. */
XVMI_CHECKED enum xvmi_status xl_sockfind_listener(struct xl_sockfind *f, uint32_t net,
                                                   const struct xvmi_flow *flow,
                                                   struct xl_found *found);

#endif
