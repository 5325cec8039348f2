/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XL_NETNS_H
#define XL_NETNS_H

#include <stddef.h>
#include <stdint.h>

#include "os/linux/guest.h"

/* A network namespace. */
struct xl_net {
    uint64_t addr; /* its struct net */
    uint32_t inum; /* inode number, as `ls -i /proc/PID/ns/net` shows it */
};

struct xl_net_vec {
    struct xl_net *v; /* init_net is the first */
    size_t n, cap;
};

/* All network namespaces on net_namespace_list. free(nets->v) after. */
XVMI_CHECKED enum xvmi_status xl_net_list(struct xl_guest *g, struct xl_net_vec *nets);

#endif
