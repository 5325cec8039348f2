/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef BENCH_WANTS_H
#define BENCH_WANTS_H

/* What the library asks for, and more structs up to some 60, so that growth of the table does not
 * come as a surprise. */

#include "type/want.h"

#define XW_SIZE(id, type)             {XT_SIZE, false, #type, ""},
#define XW_OPT_SIZE(id, type)         {XT_SIZE, true, #type, ""},
#define XW_MEMBER(id, type, path)     {XT_MEMBER, false, #type, path},
#define XW_OPT_MEMBER(id, type, path) {XT_MEMBER, true, #type, path},
#define XW_SYMBOL(id, name)           {XT_SYMBOL, false, "", name},
#define XW_OPT_SYMBOL(id, name)       {XT_SYMBOL, true, "", name},
#define MORE(type)                    {XT_SIZE, true, #type, ""},
static const struct xt_want bench_wants[] = {
#include "walk/linux.def"
    MORE(vm_area_struct) MORE(maple_tree) MORE(maple_node) MORE(address_space) MORE(page)
    MORE(tcp_sock) MORE(inet_sock) MORE(inet_connection_sock) MORE(request_sock)
    MORE(inet_request_sock) MORE(tcp_request_sock) MORE(udp_sock) MORE(raw_sock) MORE(nf_conn)
    MORE(netns_ipv4) MORE(netns_ipv6) MORE(net_device) MORE(sk_buff) MORE(user_namespace)
    MORE(pid_namespace) MORE(mnt_namespace) MORE(uts_namespace) MORE(super_block) MORE(fs_struct)
    MORE(cgroup_subsys_state) MORE(list_head) MORE(thread_info) MORE(file_operations)
};
#undef XW_SIZE
#undef XW_OPT_SIZE
#undef XW_MEMBER
#undef XW_OPT_MEMBER
#undef XW_SYMBOL
#undef XW_OPT_SYMBOL
#undef MORE

#define BENCH_WANTS (sizeof(bench_wants) / sizeof(bench_wants[0]))

#endif
