/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XL_SOCKTABLE_H
#define XL_SOCKTABLE_H

/*
 * Where Linux keeps its sockets: a row of hash chains per protocol, global or per namespace.
 */

#include <xvmi/socket.h>

#include "os/linux/guest.h"
#include "os/linux/netns.h"

/* `count` chain heads (pointers), `stride` bytes apart, the first at `head`. */
struct xl_socktable {
    uint64_t head;
    uint32_t stride, count;
    enum xvmi_socket_kind kind;
};

struct xl_socktable_vec {
    struct xl_socktable *v;
    size_t n, cap;
};

/* The tables that hold the sockets of `kinds` (XVMI_SOCKET_BIT), each once. free(tables->v) after.
 * A kind that this kernel lacks has no table. */
XVMI_CHECKED enum xvmi_status xl_socktables(struct xl_guest *g, const struct xl_net_vec *nets,
                                            unsigned kinds, struct xl_socktable_vec *tables);

#endif
