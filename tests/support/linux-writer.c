// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "support/linux-writer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "walk/hash.h"

#define HASH_MIX 0x1234567
#define SECRET4  0xfeedf00d

/* What the members that are no pointers take. */
static const struct {
    const char *name;
    uint16_t size;
} sizes[] = {
    {"comm", 16},
    {"dev_base_head", 16},
    {"dev_list", 16},
    {"mg_tasks", 16},
    {"cset_links", 16},
    {"cset_link", 16},
    {"cg_list", 16},
    {"addr_list", 16},
    {"if_list", 16},
    {"ifa_local", 4},
    {"ifa_mask", 4},
    {"ifa_broadcast", 4},
    {"hash_mix", 4},
    {"skc_hash", 4},
    {"skc_portaddr_node", 16},
    {"skc_v6_daddr", 16},
    {"skc_v6_rcv_saddr", 16},
    {"skc_daddr", 4},
    {"skc_rcv_saddr", 4},
    {"skc_bound_dev_if", 4},
    {"skc_dport", 2},
    {"skc_num", 2},
    {"skc_family", 2},
    {"skc_state", 1},
    {"skc_ipv6only", 1},
    {"tw_substate", 1},
    {"sk_type", 2},
    {"sk_protocol", 2},
    {"sk_uid", 4},
    {"tasks", 16},
    {"thread_node", 16},
    {"thread_head", 16},
    {"list", 16},
    {"skc_node", 16},
    {"pid", 4},
    {"tgid", 4},
    {"flags", 4},
    {"exit_state", 4},
    {"nr_threads", 4},
    {"uid", 4},
    {"gid", 4},
    {"euid", 4},
    {"egid", 4},
    {"level", 4},
    {"nr", 4},
    {"ns.inum", 4},
    {"count", 4},
    {"max_fds", 4},
    {"d_name.len", 4},
    {"ehash_mask", 4},
    {"lhash2_mask", 4},
    {"mask", 4},
    {"num", 2},
    {"ifindex", 4},
    {"len", 4},
    {"ht", 256 * 8},
    {"hash", 8},
    {"vfs_inode", 128},
};

/* Members of structs that begin with another one lie behind it. */
static const struct {
    const char *type;
    uint32_t begins;
} begins[] = {
    {"sock", 256},
    {"inet_timewait_sock", 256},
    {"packet_sock", 512},
    {"unix_sock", 512},
    {"inet_connection_sock", 512},
    {"tcp_sock", 640},
    {"socket_alloc", 128},
    {"mount", 8},
    {"inet_ehash_bucket", 0},
};

#define MAX_TYPES 64
struct cursor {
    const char *type;
    uint32_t next;
};

static uint32_t *cursor_of(struct cursor *cursors, const char *type)
{
    for (int i = 0; i < MAX_TYPES; i++) {
        if (!cursors[i].type) {
            cursors[i].type = type;
            for (size_t b = 0; b < sizeof(begins) / sizeof(begins[0]); b++)
                if (!strcmp(begins[b].type, type))
                    cursors[i].next = begins[b].begins;
        }
        if (!strcmp(cursors[i].type, type))
            return &cursors[i].next;
    }
    abort();
}

static struct xw_field place(struct cursor *cursors, const char *type, const char *path)
{
    uint32_t *next = cursor_of(cursors, type);
    struct xw_field f = {.size = 8};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        if (!strcmp(sizes[i].name, path) && strcmp(type, "udp_table"))
            f.size = sizes[i].size;
    uint32_t align = f.size >= 8 ? 8 : f.size;
    f.off = (*next + align - 1) / align * align;
    *next = f.off + f.size;
    return f;
}

/* Sizes are all generous powers of two. */
static void make_layout(struct xw_layout *lay)
{
    struct cursor cursors[MAX_TYPES] = {0};
#define XW_SIZE(id, type) lay->size_##id = 16;
#define XW_OPT_SIZE(id, type)
#define XW_MEMBER(id, type, path)     lay->id = place(cursors, #type, path);
#define XW_OPT_MEMBER(id, type, path) lay->id = place(cursors, #type, path);
#define XW_SYMBOL(id, name)
#define XW_OPT_SYMBOL(id, name)
#include "walk/linux.def"
#undef XW_SIZE
#undef XW_OPT_SIZE
#undef XW_MEMBER
#undef XW_OPT_MEMBER
#undef XW_SYMBOL
#undef XW_OPT_SYMBOL
    lay->size_task = 1024;
    lay->size_sock_common = 256;
    /* Of a modern kernel: these went away. */
    lay->hashinfo_listening = (struct xw_field){0};
    lay->sock_cgroup_is_data = (struct xw_field){0};
    lay->file_ref = (struct xw_field){0};
    /* Of one without tables for each namespace. */
    lay->net_tcp_hashinfo = (struct xw_field){0};
    lay->net_udp_table = (struct xw_field){0};
}

void *lw_at(struct lw *lw, uint64_t gva)
{
    if (gva < LW_BASE || gva - LW_BASE > lw->size - 8) {
        fprintf(stderr, "linux-writer: 0x%llx is outside\n", (unsigned long long)gva);
        abort();
    }
    return lw->ram + (gva - LW_BASE);
}

uint64_t lw_get(struct lw *lw, uint64_t gva)
{
    uint64_t value;
    memcpy(&value, lw_at(lw, gva), 8);
    return value;
}

void lw_set(struct lw *lw, uint64_t gva, uint64_t value)
{
    memcpy(lw_at(lw, gva), &value, 8);
}

void lw_put_field(struct lw *lw, uint64_t base, struct xw_field field, uint64_t value)
{
    memcpy(lw_at(lw, base + field.off), &value, field.size < 8 ? field.size : 8);
}

uint64_t lw_alloc(struct lw *lw, size_t size)
{
    size = (size + 63) / 64 * 64;
    if (size > lw->size - lw->used) {
        fprintf(stderr, "linux-writer: full\n");
        abort();
    }
    uint64_t gva = LW_BASE + lw->used;
    lw->used += size;
    return gva;
}

static uint64_t make_task(struct lw *lw, uint32_t pid, const char *comm, uint32_t uid)
{
    uint64_t task = lw_alloc(lw, lw->lay.size_task), cred = lw_alloc(lw, 64),
             signal = lw_alloc(lw, 64), pid_struct = lw_alloc(lw, 64), ns = lw_alloc(lw, 64);
    lw_put(lw, task, task_pid, pid);
    lw_put(lw, task, task_tgid, pid);
    lw_put(lw, task, task_start, pid * 1000);
    strncpy(lw_at(lw, task + lw->lay.task_comm.off), comm, 15);
    lw_put(lw, cred, cred_uid, uid);
    lw_put(lw, cred, cred_euid, uid);
    lw_put(lw, task, task_real_cred, cred);
    lw_put(lw, task, task_cred, cred);
    lw_put(lw, task, task_group_leader, task);
    lw_put(lw, task, task_real_parent, lw->sym.sym_init_task ? lw->sym.sym_init_task : task);
    lw_put(lw, task, task_signal, signal);
    lw_put(lw, signal, signal_nr_threads, 1);
    lw_put(lw, task, task_thread_pid, pid_struct);
    lw_put(lw, pid_struct + lw->lay.pid_numbers.off, upid_nr, pid);
    lw_put(lw, ns, nsproxy_net, lw->sym.sym_init_net);
    lw_put(lw, task, task_nsproxy, ns);
    return task;
}

/* Circular list: {next, prev}. */
static void list_add_tail(struct lw *lw, uint64_t head, uint64_t node)
{
    uint64_t last = lw_get(lw, head + 8);
    lw_set(lw, node, head);
    lw_set(lw, node + 8, last);
    lw_set(lw, last, node);
    lw_set(lw, head + 8, node);
}

uint64_t lw_task(struct lw *lw, uint32_t pid, const char *comm, uint32_t uid, uint32_t max_fds)
{
    uint64_t task = make_task(lw, pid, comm, uid);
    uint32_t off = lw->lay.task_tasks.off;
    list_add_tail(lw, lw->sym.sym_init_task + off, task + off);
    uint64_t files = lw_alloc(lw, 64), fdt = lw_alloc(lw, 64),
             fd = lw_alloc(lw, max_fds * (size_t)8);
    lw_put(lw, fdt, fdt_max_fds, max_fds);
    lw_put(lw, fdt, fdt_fd, fd);
    lw_put(lw, files, files_fdt, fdt);
    lw_put(lw, files, files_count, 1);
    lw_put(lw, task, task_files, files);
    return task;
}

void lw_unlink_task(struct lw *lw, uint64_t task)
{
    uint64_t node = task + lw->lay.task_tasks.off;
    uint64_t next = lw_get(lw, node), prev = lw_get(lw, node + 8);
    lw_set(lw, prev, next);
    lw_set(lw, next + 8, prev); /* the node keeps its next, as list_del_rcu() leaves it */
}

void lw_set_fd(struct lw *lw, uint64_t task, uint32_t fd, uint64_t file)
{
    uint64_t files = lw_get(lw, task + lw->lay.task_files.off);
    uint64_t fdt = lw_get(lw, files + lw->lay.files_fdt.off);
    uint64_t table = lw_get(lw, fdt + lw->lay.fdt_fd.off);
    lw_set(lw, table + fd * (uint64_t)8, file);
}

uint64_t lw_socket(struct lw *lw, uint16_t family, uint8_t state, uint32_t local, uint16_t lport,
                   uint32_t remote, uint16_t rport, uint64_t ino, uint64_t *file_out)
{
    uint64_t sock = lw_alloc(lw, 1024), socket = lw_alloc(lw, 256), file = lw_alloc(lw, 128);
    lw_put(lw, sock, skc_family, family);
    lw_put(lw, sock, skc_state, state);
    lw_put(lw, sock, skc_rcv_saddr, local);
    lw_put(lw, sock, skc_daddr, remote);
    lw_put(lw, sock, skc_num, lport);
    lw_put(lw, sock, skc_dport, __builtin_bswap16(rport));
    lw_put(lw, sock, skc_net, lw->sym.sym_init_net);
    lw_put(lw, sock, sock_socket, socket);
    lw_put(lw, socket, socket_file, file);
    lw_put(lw, socket, socket_sk, sock);
    lw_put(lw, socket + lw->lay.socket_alloc_inode.off, inode_ino, ino);
    lw_put(lw, file, file_op, lw->sym.sym_socket_file_ops);
    lw_put(lw, file, file_private, socket);
    lw_put(lw, file, file_count, 1);
    if (file_out)
        *file_out = file;
    return sock;
}

static void chain_node(struct lw *lw, uint64_t head, uint64_t node)
{
    uint64_t first = lw_get(lw, head);
    lw_set(lw, node, first);
    lw_set(lw, node + 8, head);
    if (first && !(first & 1))
        lw_set(lw, first + 8, node);
    lw_set(lw, head, node);
}

void lw_chain(struct lw *lw, uint64_t head, uint64_t sock)
{
    chain_node(lw, head, sock + lw->lay.skc_node.off);
}

static uint32_t get_u32(struct lw *lw, uint64_t gva)
{
    return (uint32_t)lw_get(lw, gva);
}

void lw_hash(struct lw *lw, uint64_t sock)
{
    uint16_t lport = (uint16_t)lw_get(lw, sock + lw->lay.skc_num.off);
    uint32_t hash =
        xw_tcp4_hash(get_u32(lw, sock + lw->lay.skc_rcv_saddr.off), lport,
                     get_u32(lw, sock + lw->lay.skc_daddr.off),
                     (uint16_t)lw_get(lw, sock + lw->lay.skc_dport.off), SECRET4 + HASH_MIX);
    lw_put(lw, sock, skc_hash, hash);
    lw_chain(lw, lw_ehash(lw, hash % LW_BUCKETS), sock);
}

void lw_hash_udp(struct lw *lw, uint64_t sock)
{
    uint16_t lport = (uint16_t)lw_get(lw, sock + lw->lay.skc_num.off);
    uint32_t hash2 =
        xw_portaddr4_hash(get_u32(lw, sock + lw->lay.skc_rcv_saddr.off), lport, HASH_MIX);
    uint64_t slots = lw_get(lw, lw->sym.sym_udp_table + lw->lay.udp_table_hash2.off);
    lw_chain(lw, lw_udp_slot(lw, (lport + HASH_MIX) % LW_BUCKETS), sock);
    chain_node(lw,
               slots + hash2 % LW_BUCKETS * (uint64_t)lw->lay.size_udp_slot +
                   lw->lay.udp_slot_head.off,
               sock + lw->lay.skc_portaddr_node.off);
}

void lw_set_cred(struct lw *lw, uint64_t file, uint64_t task)
{
    lw_put(lw, file, file_cred, lw_get(lw, task + lw->lay.task_cred.off));
}

void lw_add_device(struct lw *lw, uint64_t net, uint32_t addr, const uint8_t mac[6], bool hardware)
{
    uint64_t dev = lw_alloc(lw, 128), in_dev = lw_alloc(lw, 64), ifa = lw_alloc(lw, 64), own = 0;
    memcpy(&own, mac, 6);
    lw_put(lw, ifa, in_addr_local, addr);
    lw_put(lw, ifa, in_addr_mask, 0x00ffffff); /* in network order: 24 bits */
    lw_put(lw, in_dev, in_dev_addrs, ifa);
    lw_put(lw, dev, dev_ip, in_dev);
    lw_put(lw, dev, dev_mac, lw_alloc(lw, 64));
    lw_set(lw, lw_get(lw, dev + lw->lay.dev_mac.off), own);
    lw_put(lw, dev, dev_parent, hardware ? dev : 0);
    list_add_tail(lw, net + lw->lay.net_devices.off, dev + lw->lay.dev_list.off);
}

void lw_add_address(struct lw *lw, uint32_t addr)
{
    lw_add_device(lw, lw->sym.sym_init_net, addr, (const uint8_t[6]){2, 0, 0, 0, 0, 1}, true);
}

uint64_t lw_net(struct lw *lw, uint32_t inum)
{
    uint64_t net = lw_alloc(lw, 256), devices = net + lw->lay.net_devices.off;
    lw_put(lw, net, net_inum, inum);
    lw_put(lw, net, net_hash_mix, HASH_MIX);
    lw_set(lw, devices, devices);
    lw_set(lw, devices + 8, devices);
    list_add_tail(lw, lw->sym.sym_net_namespace_list, net + lw->lay.net_list.off);
    return net;
}

uint64_t lw_ehash(struct lw *lw, unsigned bucket)
{
    uint64_t ehash = lw_get(lw, lw->sym.sym_tcp_hashinfo + lw->lay.hashinfo_ehash.off);
    return ehash + bucket * (uint64_t)lw->lay.size_ehash_bucket + lw->lay.ehash_bucket_chain.off;
}

uint64_t lw_udp_slot(struct lw *lw, unsigned slot)
{
    uint64_t hash = lw_get(lw, lw->sym.sym_udp_table + lw->lay.udp_table_hash.off);
    return hash + slot * (uint64_t)lw->lay.size_udp_slot + lw->lay.udp_slot_head.off;
}

static void make_tables(struct lw *lw)
{
    uint64_t tcp = lw->sym.sym_tcp_hashinfo = lw_alloc(lw, 64);
    uint64_t udp = lw->sym.sym_udp_table = lw_alloc(lw, 64);
    uint64_t ehash = lw_alloc(lw, LW_BUCKETS * 16), lhash = lw_alloc(lw, LW_BUCKETS * 16);
    lw_put(lw, tcp, hashinfo_ehash, ehash);
    lw_put(lw, tcp, hashinfo_ehash_mask, LW_BUCKETS - 1);
    lw_put(lw, tcp, hashinfo_lhash2, lhash);
    lw_put(lw, tcp, hashinfo_lhash2_mask, LW_BUCKETS - 1);
    for (unsigned i = 0; i < LW_BUCKETS; i++) { /* nulls markers: 1 | bucket << 1 */
        lw_set(lw, ehash + i * 16 + lw->lay.ehash_bucket_chain.off, 1 | i << 1);
        lw_set(lw, lhash + i * 16 + lw->lay.lhash_bucket_head.off, 1 | i << 1);
    }
    lw_put(lw, udp, udp_table_hash, lw_alloc(lw, LW_BUCKETS * 16));
    lw_put(lw, udp, udp_table_hash2, lw_alloc(lw, LW_BUCKETS * 16));
    lw_put(lw, udp, udp_table_mask, LW_BUCKETS - 1);
    lw->sym.sym_tcp4_secret = lw_alloc(lw, 64);
    lw_set(lw, lw->sym.sym_tcp4_secret, SECRET4);
    lw->sym.sym_raw_v4 = lw_alloc(lw, 8 + 256 * 8);
    lw->sym.sym_socket_file_ops = lw_alloc(lw, 64);
}

void lw_init(struct lw *lw, size_t size)
{
    memset(lw, 0, sizeof(*lw));
    lw->size = size;
    lw->ram = aligned_alloc(4096, size);
    if (!lw->ram)
        abort();
    memset(lw->ram, 0, size);
    lw->used = 4096; /* nothing lies at the very start */
    make_layout(&lw->lay);

    uint64_t list = lw->sym.sym_net_namespace_list = lw_alloc(lw, 64);
    lw_set(lw, list, list);
    lw_set(lw, list + 8, list);
    lw->sym.sym_init_net = lw_net(lw, 4026531840u);

    uint64_t init = make_task(lw, 0, "swapper/0", 0), node = init + lw->lay.task_tasks.off;
    lw->sym.sym_init_task = init;
    lw_set(lw, node, node);
    lw_set(lw, node + 8, node);
    make_tables(lw);
}

void lw_fini(struct lw *lw)
{
    free(lw->ram);
}
