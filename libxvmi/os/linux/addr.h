/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XL_ADDR_H
#define XL_ADDR_H

/* Which network namespace has which address. */

#include <stddef.h>
#include <stdint.h>

#include "os/linux/guest.h"
#include "os/linux/netns.h"

/* An address that a device of a namespace carries. */
struct xl_addr {
    uint8_t addr[16]; /* IPv4 in the first four bytes, the rest zero */
    uint32_t net;     /* index into the list of namespaces */
    uint8_t family;
    bool broadcast; /* that of a subnet: received, never sent from */
};

struct xl_addr_list {
    struct xl_addr *v;
    size_t n, cap;
};

/* All addresses of all namespaces, loopback included, sorted. free(addrs->v) after. */
XVMI_CHECKED enum xvmi_status xl_addr_list(struct xl_guest *g, const struct xl_net_vec *nets,
                                           struct xl_addr_list *addrs);

/* Those that are this one (16 bytes, of `family`): one for each namespace that has it. */
const struct xl_addr *xl_addr_find(const struct xl_addr_list *addrs, uint8_t family,
                                   const uint8_t addr[16], size_t *n);

/* Has this namespace a device with this MAC address (6 bytes), or, for NULL, one that is hardware,
 * by which the guest reaches the world? What cannot be read counts as no. */
bool xl_net_has_device(struct xl_guest *g, uint64_t net, const uint8_t *mac);

#endif
