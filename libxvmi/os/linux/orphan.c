// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "os/linux/orphan.h"

#include <stdlib.h>

#include "base/cleanup.h"
#include "os/linux/chain.h"
#include "os/linux/netns.h"
#include "os/linux/socket.h"
#include "os/linux/socktable.h"
#include "os/linux/task.h"

#define MAX_QUEUE   (64u << 10) /* messages that wait in one socket */
#define MAX_PASSED  253u        /* SCM_MAX_FD */
#define MAX_FILES   (1u << 20)  /* of one ring */
#define MAX_FDS     (1u << 20)  /* of one process */
#define TABLE_SHIFT 9           /* IORING_FILE_TABLE_SHIFT, before 5.15 */
#define CHUNK       512u

/* Low bits of a registered file's pointer are flags. */
#define FILE_MASK (~UINT64_C(7))

struct hunt {
    struct xl_guest *g;
    const struct xl_budget *budget;
    uint64_t file;   /* wanted */
    uint64_t keeper; /* found: the file of the socket or ring that has it */
    uint64_t keeper_ino;
    enum xvmi_status status;
};

/* Is the file among `n` pointers at `at`? */
static bool among(struct hunt *h, uint64_t at, uint64_t n, uint64_t mask)
{
    uint64_t copy[CHUNK];
    for (uint64_t first = 0; first < n; first += CHUNK) {
        uint64_t some = n - first < CHUNK ? n - first : CHUNK;
        if (xo_read(h->g->space, at + first * 8, copy, some * 8))
            return false;
        for (uint64_t i = 0; i < some; i++)
            if ((copy[i] & mask) == h->file)
                return true;
    }
    return false;
}

/* --- in flight: struct sk_buff.cb of a unix socket's message leads to the files it carries --- */

static bool carries(struct hunt *h, uint64_t skb)
{
    struct xl_guest *g = h->g;
    struct xw_fault fault;
    uint64_t list, n;
    if (xo_read_u64(g->space, skb + g->lay.skb_cb.off + g->lay.unix_cb_fp.off, &list) || !list ||
        xw_get(g->space, &g->lay, list, scm_count, &n, &fault) || n > MAX_PASSED)
        return false;
    return among(h, list + g->lay.scm_files.off, n, ~UINT64_C(0));
}

static bool queue_carries(struct hunt *h, uint64_t sock)
{
    const uint64_t head = sock + h->g->lay.sock_receive_queue.off;
    uint64_t skb;
    if (xo_read_u64(h->g->space, head, &skb)) /* sk_buff_head and sk_buff begin with `next` */
        return false;
    for (uint32_t i = 0; i < MAX_QUEUE && skb != head && xw_is_pointer(skb); i++) {
        if (carries(h, skb))
            return true;
        if (xo_read_u64(h->g->space, skb, &skb))
            return false;
    }
    return false;
}

static bool look_at_unix_socket(struct hunt *h, uint64_t sock)
{
    struct xl_guest *g = h->g;
    struct xw_fault fault;
    uint64_t socket;
    if (!queue_carries(h, sock))
        return false;
    if (!xw_get(g->space, &g->lay, sock, sock_socket, &socket, &fault) && socket &&
        !xw_get(g->space, &g->lay, socket, socket_file, &h->keeper, &fault) && h->keeper)
        (void)xl_socket_ino(g, socket, &h->keeper_ino, &fault);
    return true;
}

static bool look_at_chain(struct hunt *h, uint64_t head)
{
    struct xl_addr_vec socks = {0};
    const size_t most = xm_total(h->g->space->mem) / 256; /* a socket takes more */
    bool found = false;
    h->status = xl_chain_read(h->g, head, most, &socks);
    for (size_t i = 0; i < socks.n && !h->status && !found; i++)
        found = look_at_unix_socket(h, socks.v[i]);
    free(socks.v);
    if (!h->status)
        h->status = xl_budget_check(h->g, h->budget);
    return found;
}

static bool is_in_flight(struct hunt *h)
{
    struct xl_net_vec nets = {0};
    struct xl_socktable_vec tables = {0};
    bool found = false;
    const struct xw_layout *lay = &h->g->lay;
    if (!xw_has(lay->skb_cb) || !xw_has(lay->unix_cb_fp) || !xw_has(lay->scm_files))
        return false;
    h->status = xl_net_list(h->g, &nets);
    if (!h->status)
        h->status = xl_socktables(h->g, &nets, XVMI_SOCKET_BIT(XVMI_SOCKET_UNIX), &tables);
    for (size_t t = 0; t < tables.n && !h->status && !found; t++)
        for (uint32_t i = 0; i < tables.v[t].count && !h->status && !found; i++)
            found = look_at_chain(h, tables.v[t].head + (uint64_t)i * tables.v[t].stride);
    free(tables.v);
    free(nets.v);
    return found;
}

/* --- io_uring: files that a ring has registered --- */

/* Since 6.13: an array of pointers to nodes, each with a file. */
static bool nodes_have(struct hunt *h, uint64_t ring)
{
    struct xl_guest *g = h->g;
    struct xw_fault fault;
    uint64_t nodes, n, node, file;
    if (xw_get(g->space, &g->lay, ring, ring_nodes, &nodes, &fault) || !nodes ||
        xw_get(g->space, &g->lay, ring, ring_nr_nodes, &n, &fault) || n > MAX_FILES)
        return false;
    for (uint64_t i = 0; i < n; i++)
        if (!xo_read_u64(g->space, nodes + i * 8, &node) && node &&
            !xw_get(g->space, &g->lay, node, rsrc_file, &file, &fault) &&
            (file & FILE_MASK) == h->file)
            return true;
    return false;
}

/* Before 5.15: an array of tables of 512 pointers. */
static bool tables_have(struct hunt *h, uint64_t data, uint64_t n)
{
    struct xl_guest *g = h->g;
    struct xw_fault fault;
    uint64_t table, files;
    if (xw_get(g->space, &g->lay, data, fixed_table, &table, &fault) || !table)
        return false;
    for (uint64_t i = 0; i << TABLE_SHIFT < n; i++) {
        const uint64_t left = n - (i << TABLE_SHIFT);
        if (!xo_read_u64(g->space, table + i * g->lay.size_fixed_table + g->lay.fixed_files.off,
                         &files) &&
            files && among(h, files, left < 512 ? left : 512, FILE_MASK))
            return true;
    }
    return false;
}

static bool ring_has(struct hunt *h, uint64_t ring)
{
    struct xl_guest *g = h->g;
    struct xw_fault fault;
    uint64_t n, files;
    if (xw_has(g->lay.ring_nodes))
        return nodes_have(h, ring);
    if (xw_get(g->space, &g->lay, ring, ring_nr_files, &n, &fault) || n > MAX_FILES)
        return false;
    if (xw_has(g->lay.ring_files))
        return !xw_get(g->space, &g->lay, ring, ring_files, &files, &fault) && files &&
               among(h, files, n, FILE_MASK);
    return xw_has(g->lay.ring_file_data) &&
           !xw_get(g->space, &g->lay, ring, ring_file_data, &files, &fault) && files &&
           tables_have(h, files, n);
}

static bool look_at_file(struct hunt *h, uint64_t file)
{
    struct xl_guest *g = h->g;
    struct xw_fault fault;
    uint64_t op, ring, inode;
    if (!xw_is_pointer(file) || xw_get(g->space, &g->lay, file, file_op, &op, &fault) ||
        op != g->sym.sym_io_uring_fops ||
        xw_get(g->space, &g->lay, file, file_private, &ring, &fault) || !ring || !ring_has(h, ring))
        return false;
    h->keeper = file;
    if (!xw_get(g->space, &g->lay, file, file_inode, &inode, &fault) && inode)
        (void)xw_get(g->space, &g->lay, inode, inode_ino, &h->keeper_ino, &fault);
    return true;
}

static bool look_at_process(struct hunt *h, uint64_t task)
{
    struct xl_guest *g = h->g;
    struct xw_fault fault;
    uint64_t files, table, copy[CHUNK];
    uint32_t max_fds;
    if (xw_get(g->space, &g->lay, task, task_files, &files, &fault) || !files ||
        xw_fdtable(g->space, &g->lay, files, &table, &max_fds, &fault))
        return false;
    for (uint32_t first = 0; first < max_fds && first < MAX_FDS; first += CHUNK) {
        uint32_t n = max_fds - first < CHUNK ? max_fds - first : CHUNK;
        if (xo_read(g->space, table + (uint64_t)first * 8, copy, n * 8))
            return false;
        for (uint32_t i = 0; i < n; i++)
            if (copy[i] && look_at_file(h, copy[i]))
                return true;
    }
    return false;
}

static bool is_in_ring(struct hunt *h)
{
    xb_auto_free struct xvmi_task *tasks = NULL;
    size_t n = 0;
    if (!h->g->sym.sym_io_uring_fops)
        return false;
    h->status = xl_task_list(h->g, &tasks, &n);
    for (size_t i = 0; i < n && !h->status; i++) {
        if (!(tasks[i].flags & XVMI_TASK_KERNEL) && look_at_process(h, tasks[i].addr))
            return true;
        h->status = xl_budget_check(h->g, h->budget);
    }
    return false;
}

enum xvmi_status xl_orphan_find(struct xl_guest *g, struct xl_holders *holders,
                                const struct xl_held *what, const struct xl_budget *budget,
                                enum xvmi_orphan *orphan, struct xl_holder_list *list)
{
    struct hunt h = {.g = g, .budget = budget, .file = what->file};
    *orphan = XVMI_ORPHAN_HIDDEN;
    list->n = 0;
    if (is_in_flight(&h))
        *orphan = XVMI_ORPHAN_IN_FLIGHT;
    else if (!h.status && is_in_ring(&h))
        *orphan = XVMI_ORPHAN_IO_URING;
    if (h.status || !h.keeper)
        return h.status;
    const struct xl_held keeper = {h.keeper, h.keeper_ino, 0};
    return xl_holders_find(holders, &keeper, budget, list);
}
