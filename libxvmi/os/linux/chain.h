/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XL_CHAIN_H
#define XL_CHAIN_H

/*
 * Hash chains of sockets, read while the guest changes them.
 *
 * All of the kernel's socket tables chain through skc_node, an hlist_node or hlist_nulls_node:
 * {next, pprev}. pprev points back at the link that leads here, so each step can be proven from
 * both sides. A chain where one does not hold (a socket came, went, or moved to another chain) is
 * read again.
 */

#include "os/linux/guest.h"

struct xl_addr_vec {
    uint64_t *v;
    size_t n, cap;
};

/* Append the sockets of the chain whose head pointer lies at `head`. `more` bounds the length.
 * XVMI_ERR_CHANGED when retrying did not help; then nothing was appended. */
XVMI_CHECKED enum xvmi_status xl_chain_read(struct xl_guest *g, uint64_t head, size_t more,
                                            struct xl_addr_vec *socks);

#endif
