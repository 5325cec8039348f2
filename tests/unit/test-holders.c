// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Who holds a socket, when it is not the one who opened it: what is remembered, searched, told of
 * files that nobody has among the descriptors. */
#include <string.h>

#include <criterion/criterion.h>

#include "os/linux/socket.h"
#include "support/owner-toy.h"

TestSuite(holders, .init = toy_set_up, .fini = toy_tear_down);

/* A connection that client opened and gave away. */
static uint64_t orphaned(uint16_t lport, uint64_t *file)
{
    uint64_t sock = toy_connection(toy.client, lport, 7, file);
    lw_set_fd(&toy.lw, toy.client, 7, 0);
    return sock;
}

Test(holders, more_than_an_answer_holds)
{
    uint64_t file;
    toy_connection(toy.client, 5000, 7, &file);
    lw_put(&toy.lw, file, file_count, 12);
    for (uint32_t pid = 20; pid < 31; pid++)
        lw_set_fd(&toy.lw, lw_task(&toy.lw, pid, "worker", 0, 16), 3, file);
    toy_open();
    toy_ask(6, 5000, 80);
    cr_assert_eq(toy.owner.via_process, XVMI_VIA_TASKS);
    cr_assert_eq(toy.owner.n_owners, XVMI_OWNERS_MAX);
    cr_assert(toy.owner.more);
    cr_assert_eq(toy.owner.owners[0].task.pid, 11);
    cr_assert_eq(toy.owner.owners[7].task.pid, 26);
    toy_ask(6, 5000, 80);
    cr_assert_eq(toy.owner.via_process, XVMI_VIA_LAST);
    cr_assert_eq(toy.owner.n_owners, XVMI_OWNERS_MAX);
    cr_assert(toy.owner.more);
    cr_assert_eq(toy.owner.owners[7].task.pid, 26);
    lw_put(&toy.lw, file, file_count, 13); /* somebody joined */
    toy_ask(6, 5000, 80);
    cr_assert_eq(toy.owner.via_process, XVMI_VIA_TASKS);
}

Test(holders, two_descriptors_of_one_process)
{
    uint64_t file;
    toy_connection(toy.client, 5000, 7, &file);
    lw_set_fd(&toy.lw, toy.client, 9, file);
    lw_put(&toy.lw, file, file_count, 2);
    toy_open();
    toy_ask(6, 5000, 80);
    cr_assert_eq(toy.owner.n_owners, 1);
    toy_ask(6, 5000, 80);
    cr_assert_eq(toy.owner.via_process, XVMI_VIA_LAST);
    lw_set_fd(&toy.lw, toy.client, 9, 0); /* one of them goes to another process */
    lw_set_fd(&toy.lw, toy.server, 4, file);
    toy_ask(6, 5000, 80);
    cr_assert_eq(toy.owner.n_owners, 2);
    cr_assert_eq(toy.owner.owners[0].task.pid, 10);
    cr_assert_eq(toy.owner.owners[1].task.pid, 11);
}

Test(holders, what_a_search_saw_in_passing_is_known)
{
    uint64_t first, second;
    orphaned(5000, &first);
    orphaned(5001, &second);
    lw_set_fd(&toy.lw, toy.server, 3, first);
    lw_set_fd(&toy.lw, toy.server, 4, second);
    toy_open();
    toy_ask(6, 5000, 80);
    cr_assert_eq(toy.owner.via_process, XVMI_VIA_TASKS);
    toy_ask(6, 5001, 80);
    cr_assert_eq(toy.owner.via_process, XVMI_VIA_INDEX);
    cr_assert_eq(toy.owner.owners[0].task.pid, 10);
    cr_assert_eq(toy.owner.owners[0].fd, 4);
    toy_ask(6, 5001, 80);
    cr_assert_eq(toy.owner.via_process, XVMI_VIA_LAST);
}

Test(holders, idle_time_fills_the_index)
{
    uint64_t file;
    bool done = false;
    orphaned(5000, &file);
    for (uint32_t pid = 20; pid < 60; pid++)
        lw_task(&toy.lw, pid, "bystander", 0, 16);
    lw_set_fd(&toy.lw, lw_task(&toy.lw, 60, "heir", 0, 16), 3, file);
    toy_open();
    int calls = 0;
    for (; !done && calls < 100; calls++)
        cr_assert_eq(xvmi_finder_tend(toy.finder, 50, &done), XVMI_OK);
    cr_assert(done);
    cr_assert_gt(calls, 2);
    toy_ask(6, 5000, 80);
    cr_assert_eq(toy.owner.via_process, XVMI_VIA_INDEX);
    cr_assert_eq(toy.owner.owners[0].task.pid, 60);
}

Test(holders, in_the_control_group_of_the_socket)
{
    struct lw *lw = &toy.lw;
    uint64_t file, sock = orphaned(5000, &file);
    uint64_t cgroup = lw_alloc(lw, 256), link = lw_alloc(lw, 128), set = lw_alloc(lw, 256);
    lw_set_fd(lw, toy.server, 3, file);
    lw_put(lw, sock, sock_cgroup, cgroup);
    lw_set(lw, cgroup + lw->lay.cgroup_links.off, link + lw->lay.link_node.off);
    lw_set(lw, link + lw->lay.link_node.off, cgroup + lw->lay.cgroup_links.off);
    lw_put(lw, link, link_cset, set);
    lw_set(lw, set + lw->lay.cset_tasks.off, toy.server + lw->lay.task_cg_list.off);
    lw_set(lw, toy.server + lw->lay.task_cg_list.off, set + lw->lay.cset_tasks.off);
    lw_set(lw, set + lw->lay.cset_mg_tasks.off, set + lw->lay.cset_mg_tasks.off);
    toy_open();
    toy_ask(6, 5000, 80);
    cr_assert_eq(toy.owner.via_process, XVMI_VIA_CGROUP);
    cr_assert_eq(toy.owner.owners[0].task.pid, 10);
}

/* --- nobody has it --- */

Test(holders, a_time_wait_socket_tells_whose_it_was)
{
    struct lw *lw = &toy.lw;
    uint64_t file, sock = toy_connection(toy.client, 5000, 7, &file);
    toy_open();
    toy_ask(6, 5000, 80);
    cr_assert_eq(toy.owner.last.pid, 0);
    lw_set_fd(lw, toy.client, 7, 0);
    lw_put(lw, sock, skc_state, XVMI_STATE_TIME_WAIT);
    toy_ask(6, 5000, 80);
    cr_assert_eq(toy.owner.kind, XVMI_OWNER_ORPHAN);
    cr_assert_eq(toy.owner.orphan, XVMI_ORPHAN_CLOSED);
    cr_assert_eq(toy.owner.n_owners, 0);
    cr_assert_eq(toy.owner.last.pid, 11);
    cr_assert_eq(toy.owner.last.start_ns, 11000);
    cr_assert_str_eq(toy.owner.last.comm, "client");
}

Test(holders, a_file_that_nothing_explains_is_hidden)
{
    uint64_t file;
    orphaned(5000, &file);
    toy_open();
    toy_ask(6, 5000, 80);
    cr_assert_eq(toy.owner.kind, XVMI_OWNER_ORPHAN);
    cr_assert_eq(toy.owner.orphan, XVMI_ORPHAN_HIDDEN);
    cr_assert_eq(toy.owner.n_owners, 0);
}

/* server has a ring that the file is registered with. */
Test(holders, registered_with_io_uring)
{
    struct lw *lw = &toy.lw;
    uint64_t file, ring_file = lw_alloc(lw, 128), ring = lw_alloc(lw, 128);
    uint64_t nodes = lw_alloc(lw, 64), node = lw_alloc(lw, 64);
    orphaned(5000, &file);
    lw->sym.sym_io_uring_fops = lw_alloc(lw, 64);
    lw_put(lw, ring_file, file_op, lw->sym.sym_io_uring_fops);
    lw_put(lw, ring_file, file_private, ring);
    lw_put(lw, ring_file, file_inode, lw_alloc(lw, 64));
    lw_put(lw, ring_file, file_count, 1);
    lw_put(lw, ring, ring_nodes, nodes);
    lw_put(lw, ring, ring_nr_nodes, 3);
    lw_set(lw, nodes + 16, node);
    lw_put(lw, node, rsrc_file, file | 5); /* flags in the low bits */
    lw_set_fd(lw, toy.server, 6, ring_file);
    toy_open();
    toy_ask(6, 5000, 80);
    cr_assert_eq(toy.owner.kind, XVMI_OWNER_ORPHAN);
    cr_assert_eq(toy.owner.orphan, XVMI_ORPHAN_IO_URING);
    cr_assert_eq(toy.owner.n_owners, 1);
    cr_assert_eq(toy.owner.owners[0].task.pid, 10);
    cr_assert_eq(toy.owner.owners[0].fd, 6);
}

/* A subflow is a kernel's socket; the connection it serves is client's. */
Test(holders, multipath_tcp)
{
    struct lw *lw = &toy.lw;
    uint64_t file, sock = toy_connection(toy.client, 5000, 7, &file);
    uint64_t own = lw_get(lw, sock + lw->lay.sock_socket.off), context = lw_alloc(lw, 128);
    uint64_t connection = lw_alloc(lw, 1024), kernels = lw_alloc(lw, 256);
    lw_put(lw, connection, sock_socket, own);
    lw_put(lw, sock, sock_socket, kernels); /* without a file */
    lw_put(lw, sock, tcp_is_mptcp, 1);
    lw_put(lw, sock, icsk_ulp_data, context);
    lw_put(lw, context, subflow_conn, connection);
    toy_open();
    toy_ask(6, 5000, 80);
    cr_assert_eq(toy.owner.kind, XVMI_OWNER_PROCESS);
    cr_assert_eq(toy.owner.owners[0].task.pid, 11);
    cr_assert_eq(toy.owner.socket.addr, sock);
    cr_assert_eq(toy.owner.socket.ino, 6000);
    cr_assert_eq(xvmi_owner_revalidate(toy.finder, &toy.owner.token), XVMI_OK);
    struct xvmi_socket *listed;
    size_t n;
    cr_assert_eq(xl_socket_list(&toy.g.guest, XVMI_SOCKET_BIT(XVMI_SOCKET_TCP), &listed, &n),
                 XVMI_OK, "%s", toy.g.err.text);
    cr_assert_eq(n, 1);
    cr_assert_eq(listed->file, file);
    cr_assert_eq(listed->ino, 6000);
    cr_assert_eq(xvmi_owner_of(toy.finder, listed, NULL, &toy.owner), XVMI_OK);
    cr_assert_eq(toy.owner.n_owners, 1);
    cr_assert_eq(toy.owner.owners[0].task.pid, 11);
    free(listed);
    lw_put(lw, context, subflow_conn, 0);
    cr_assert_eq(xvmi_owner_revalidate(toy.finder, &toy.owner.token), XVMI_ERR_CHANGED);
}

/* --- other ways to ask --- */

Test(holders, many_flows_at_once)
{
    enum { N = 40 };
    struct xvmi_flow flows[N];
    static struct xvmi_owner answers[N];
    enum xvmi_status status[N];
    uint64_t file;
    for (int i = 0; i < N; i++) {
        uint16_t lport = (uint16_t)(5000 + i);
        flows[i] = toy_flow(6, "10.0.0.2", lport, "10.0.0.1", 80);
        if (i % 3)
            toy_connection(i % 2 ? toy.server : toy.client, lport, (uint32_t)i % 16, &file);
    }
    flows[7].proto = 132;
    toy_open();
    for (int round = 0; round < 2; round++) {
        cr_assert_eq(xvmi_owner_find_batch(toy.finder, flows, N, NULL, answers, status), XVMI_OK);
        for (int i = 0; i < N; i++) {
            cr_assert_eq(status[i], XVMI_OK);
            if (i == 7)
                cr_assert_eq(answers[i].n_owners, 0); /* no module, no sockets */
            if (i == 7 || i < 24) /* their descriptors were taken again by later ones */
                continue;
            cr_assert_eq(answers[i].n_owners, i % 3 != 0);
            if (i % 3)
                cr_assert_eq(answers[i].owners[0].task.pid, i % 2 ? 10 : 11);
        }
    }
    flows[3].direction = 9;
    cr_assert_eq(xvmi_owner_find_batch(toy.finder, flows, N, NULL, answers, status),
                 XVMI_ERR_INVALID);
}

Test(holders, of_a_socket)
{
    uint64_t file, sock = toy_connection(toy.client, 5000, 7, &file);
    struct xvmi_socket socket = {.addr = sock, .ino = 6000, .kind = XVMI_SOCKET_TCP};
    toy_open();
    cr_assert_eq(xvmi_owner_of(toy.finder, &socket, NULL, &toy.owner), XVMI_OK, "%s",
                 toy.g.err.text);
    cr_assert_eq(toy.owner.kind, XVMI_OWNER_PROCESS);
    cr_assert_eq(toy.owner.n_owners, 1);
    cr_assert_eq(toy.owner.owners[0].task.pid, 11);
    cr_assert_eq(toy.owner.socket.lport, 5000);
    socket.ino = 6001; /* another life of that memory */
    cr_assert_eq(xvmi_owner_of(toy.finder, &socket, NULL, &toy.owner), XVMI_ERR_CHANGED);
}

Test(holders, only_what_is_wanted_is_read)
{
    uint64_t file;
    toy_connection(toy.client, 5000, 7, &file);
    toy_open();
    struct xvmi_flow f = toy_flow(6, "10.0.0.2", 5000, "10.0.0.1", 80);
    struct xvmi_owner_query query = {.size = sizeof(query), .want = XVMI_WANT_SOCKET};
    cr_assert_eq(xvmi_owner_find(toy.finder, &f, &query, &toy.owner), XVMI_OK);
    cr_assert_eq(toy.owner.n_owners, 0);
    cr_assert_eq(toy.owner.token.file, file);
    query.want = XVMI_WANT_TASK | XVMI_WANT_ANCESTRY | XVMI_WANT_EXE;
    cr_assert_eq(xvmi_owner_find(toy.finder, &f, &query, &toy.owner), XVMI_OK);
    cr_assert_eq(toy.owner.n_owners, 1);
    cr_assert_null(toy.owner.owners[0].exe); /* the toy's processes have no memory */
    cr_assert_null(toy.owner.owners[0].cgroup);
    cr_assert_eq(toy.owner.owners[0].missing, 0);
    cr_assert_eq(toy.owner.owners[0].n_parents, 0);
}
