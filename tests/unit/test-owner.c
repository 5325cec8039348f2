// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <arpa/inet.h>
#include <string.h>

#include <criterion/criterion.h>

#include "os/linux/owner.h"
#include "support/linux-guest.h"

static struct lw lw;
static struct lw_guest g;
static struct xvmi_finder *finder;
static struct xvmi_owner owner;
static uint64_t server, client;

static uint32_t ip(const char *text)
{
    uint32_t addr;
    cr_assert_eq(inet_pton(AF_INET, text, &addr), 1);
    return addr;
}

static void set_up(void)
{
    lw_init(&lw, 4 << 20);
    lw_add_address(&lw, ip("10.0.0.2"));
    server = lw_task(&lw, 10, "server", 33, 16);
    client = lw_task(&lw, 11, "client", 1000, 16);
}

static void tear_down(void)
{
    xvmi_finder_free(finder);
    lw_guest_close(&g);
    lw_fini(&lw);
}

TestSuite(owner, .init = set_up, .fini = tear_down);

static void open_guest(void)
{
    lw_guest_open(&g, &lw, true);
    cr_assert_eq(xl_finder_new(&g.guest, NULL, &finder), XVMI_OK);
}

static struct xvmi_flow flow(uint8_t proto, const char *local, uint16_t lport, const char *remote,
                             uint16_t rport)
{
    struct xvmi_flow f = {.proto = proto, .family = 2, .lport = lport, .rport = rport};
    inet_pton(AF_INET, local, f.local);
    inet_pton(AF_INET, remote, f.remote);
    return f;
}

static void ask(uint8_t proto, uint16_t lport, uint16_t rport)
{
    struct xvmi_flow f = flow(proto, "10.0.0.2", lport, "10.0.0.1", rport);
    cr_assert_eq(xvmi_owner_find(finder, &f, NULL, &owner), XVMI_OK, "%s", g.err.text);
}

/* A connection of `task`, opened by it, as descriptor fd. */
static uint64_t connection(uint64_t task, uint16_t lport, uint32_t fd, uint64_t *file)
{
    uint64_t sock = lw_socket(&lw, 2, XVMI_STATE_ESTABLISHED, ip("10.0.0.2"), lport, ip("10.0.0.1"),
                              80, lport + 1000u, file);
    lw_hash(&lw, sock);
    lw_set_cred(&lw, *file, task);
    lw_set_fd(&lw, task, fd, *file);
    return sock;
}

Test(owner, opener_then_last)
{
    uint64_t file, sock = connection(client, 5000, 7, &file);
    open_guest();
    ask(6, 5000, 80);
    cr_assert_eq(owner.kind, XVMI_OWNER_PROCESS);
    cr_assert_eq(owner.via_socket, XVMI_VIA_EHASH);
    cr_assert_eq(owner.via_process, XVMI_VIA_OPENER);
    cr_assert_eq(owner.socket.addr, sock);
    cr_assert_eq(owner.socket.ino, 6000);
    cr_assert_eq(owner.n_owners, 1);
    cr_assert_eq(owner.owners[0].task.pid, 11);
    cr_assert_eq(owner.owners[0].task.uid, 1000);
    cr_assert_eq(owner.owners[0].fd, 7);
    cr_assert_eq(owner.token.file, file);
    cr_assert_eq(owner.token.fd, 7);
    ask(6, 5000, 80);
    cr_assert_eq(owner.via_process, XVMI_VIA_LAST);
    cr_assert_eq(owner.owners[0].task.pid, 11);
}

Test(owner, another_port_is_nobody)
{
    uint64_t file;
    connection(client, 5000, 7, &file);
    open_guest();
    ask(6, 5001, 80);
    cr_assert_eq(owner.kind, XVMI_OWNER_NONE);
    ask(6, 5000, 81);
    cr_assert_eq(owner.kind, XVMI_OWNER_NONE);
}

Test(owner, an_address_the_guest_does_not_have_is_nobody)
{
    uint64_t file;
    connection(client, 5000, 7, &file);
    open_guest();
    struct xvmi_flow f = flow(6, "10.0.0.99", 5000, "10.0.0.1", 80);
    cr_assert_eq(xvmi_owner_find(finder, &f, NULL, &owner), XVMI_OK);
    cr_assert_eq(owner.kind, XVMI_OWNER_NONE);
}

/* Two namespaces with one address and one flow: the first with the hardware unless said. */
static const uint8_t mac_0[6] = {2, 0, 0, 0, 0, 1}, mac_1[6] = {2, 0, 0, 0, 0, 2};

static enum xvmi_status ask_two(bool hardware_0, bool hardware_1, const uint8_t *mac)
{
    uint64_t file, other = lw_net(&lw, 7);
    lw_add_device(&lw, lw.sym.sym_init_net, ip("10.1.0.1"), mac_0, hardware_0);
    lw_add_device(&lw, other, ip("10.1.0.1"), mac_1, hardware_1);
    for (int i = 0; i < 2; i++) {
        uint64_t sock = lw_socket(&lw, 2, XVMI_STATE_CLOSE, ip("10.1.0.1"), 53, 0, 0,
                                  900u + (unsigned)i, &file);
        if (i)
            lw_put(&lw, sock, skc_net, other);
        lw_hash_udp(&lw, sock);
        lw_set_cred(&lw, file, i ? client : server);
        lw_set_fd(&lw, i ? client : server, 3, file);
    }
    open_guest();
    struct xvmi_owner_query query = {.size = sizeof(query)};
    if (mac)
        memcpy(query.mac, mac, 6);
    struct xvmi_flow f = flow(17, "10.1.0.1", 53, "10.1.0.9", 9);
    return xvmi_owner_find(finder, &f, &query, &owner);
}

Test(owner, one_flow_in_two_namespaces_is_that_of_the_hardware)
{
    lw.sym.sym_init_net = lw_net(&lw, 4); /* without that of the set-up */
    cr_assert_eq(ask_two(false, true, NULL), XVMI_OK, "%s", g.err.text);
    cr_assert_eq(owner.owners[0].task.pid, 11);
    cr_assert_eq(owner.socket.netns, 7);
}

Test(owner, one_flow_in_two_namespaces_is_that_of_the_mac_address)
{
    cr_assert_eq(ask_two(true, false, mac_1), XVMI_OK, "%s", g.err.text);
    cr_assert_eq(owner.owners[0].task.pid, 11);
    cr_assert_eq(owner.socket.netns, 7);
}

Test(owner, one_flow_in_two_namespaces_that_nothing_tells_apart)
{
    cr_assert_eq(ask_two(true, true, NULL), XVMI_ERR_UNSUPPORTED);
    cr_assert(strstr(g.err.text, "have this address and this flow"), "%s", g.err.text);
}

Test(owner, a_descriptor_that_was_passed_on_is_searched_for)
{
    uint64_t file;
    connection(client, 5000, 7, &file);
    lw_set_fd(&lw, client, 7, 0);
    lw_set_fd(&lw, server, 3, file);
    open_guest();
    ask(6, 5000, 80);
    cr_assert_eq(owner.via_process, XVMI_VIA_TASKS);
    cr_assert_eq(owner.n_owners, 1);
    cr_assert_eq(owner.owners[0].task.pid, 10);
}

Test(owner, all_who_hold_it_are_named_oldest_first)
{
    uint64_t file;
    connection(client, 5000, 7, &file);
    lw_put(&lw, file, file_count, 2);
    lw_set_fd(&lw, server, 3, file);
    open_guest();
    for (int i = 0; i < 2; i++) {
        ask(6, 5000, 80);
        cr_assert_eq(owner.n_owners, 2);
        cr_assert_eq(owner.owners[0].task.pid, 10);
        cr_assert_eq(owner.owners[1].task.pid, 11);
        cr_assert(!owner.more);
    }
    cr_assert_eq(owner.via_process, XVMI_VIA_LAST);
}

/* One gives it up, another gets it: as many references as when all holders were last known. */
Test(owner, a_descriptor_that_changed_hands_is_noticed)
{
    uint64_t file, third = lw_task(&lw, 12, "third", 0, 16);
    connection(client, 5000, 7, &file);
    lw_put(&lw, file, file_count, 2);
    lw_set_fd(&lw, server, 3, file);
    open_guest();
    ask(6, 5000, 80);
    cr_assert_eq(owner.n_owners, 2);
    lw_set_fd(&lw, server, 3, 0);
    lw_set_fd(&lw, third, 9, file);
    ask(6, 5000, 80);
    cr_assert_eq(owner.n_owners, 2);
    cr_assert_eq(owner.owners[0].task.pid, 11);
    cr_assert_eq(owner.owners[1].task.pid, 12);
}

/* The file that was closed is another socket of another process a moment later. */
Test(owner, reuse_is_noticed)
{
    uint64_t file, sock = connection(client, 5000, 7, &file);
    open_guest();
    ask(6, 5000, 80);
    struct xvmi_owner_token token = owner.token;
    cr_assert_eq(xvmi_owner_revalidate(finder, &token), XVMI_OK);
    lw_set_fd(&lw, client, 7, 0);
    lw_set_fd(&lw, server, 5, file);
    lw_set_cred(&lw, file, server);
    cr_assert_eq(xvmi_owner_revalidate(finder, &token), XVMI_ERR_CHANGED);
    uint64_t socket = lw_get(&lw, sock + lw.lay.sock_socket.off);
    lw_put(&lw, socket + lw.lay.socket_alloc_inode.off, inode_ino, 7777);
    ask(6, 5000, 80);
    cr_assert_eq(owner.n_owners, 1);
    cr_assert_eq(owner.owners[0].task.pid, 10);
    cr_assert_neq(xvmi_owner_token_number(&owner.token), xvmi_owner_token_number(&token));
}

Test(owner, exec_is_noticed)
{
    uint64_t file, mm = lw_alloc(&lw, 256);
    connection(client, 5000, 7, &file);
    lw_put(&lw, mm, mm_exe_file, LW_BASE + 0x40);
    lw_put(&lw, client, task_mm, mm);
    open_guest();
    ask(6, 5000, 80);
    cr_assert_eq(xvmi_owner_revalidate(finder, &owner.token), XVMI_OK);
    lw_put(&lw, mm, mm_exe_file, LW_BASE + 0x80);
    cr_assert_eq(xvmi_owner_revalidate(finder, &owner.token), XVMI_ERR_CHANGED);
}

Test(owner, time_wait_is_an_orphan)
{
    uint64_t sock =
        lw_socket(&lw, 2, XVMI_STATE_TIME_WAIT, ip("10.0.0.2"), 5000, ip("10.0.0.1"), 80, 1, NULL);
    lw_hash(&lw, sock);
    lw_put(&lw, sock, sock_socket, 0xdead);
    open_guest();
    ask(6, 5000, 80);
    cr_assert_eq(owner.kind, XVMI_OWNER_ORPHAN);
    cr_assert_eq(owner.n_owners, 0);
}

Test(owner, a_kernel_socket_has_no_file)
{
    uint64_t sock = lw_socket(&lw, 2, XVMI_STATE_ESTABLISHED, ip("10.0.0.2"), 5000, ip("10.0.0.1"),
                              2049, 1, NULL);
    lw_hash(&lw, sock);
    lw_put(&lw, lw_get(&lw, sock + lw.lay.sock_socket.off), socket_file, 0);
    open_guest();
    ask(6, 5000, 2049);
    cr_assert_eq(owner.kind, XVMI_OWNER_KERNEL);
}

static uint64_t udp(uint64_t task, const char *local, uint16_t lport, uint32_t remote,
                    uint16_t rport, uint32_t fd)
{
    uint64_t file, sock = lw_socket(&lw, 2, remote ? 1 : 7, ip(local), lport, remote, rport,
                                    lport + fd, &file);
    lw_hash_udp(&lw, sock);
    lw_set_cred(&lw, file, task);
    lw_set_fd(&lw, task, fd, file);
    return sock;
}

Test(owner, udp_the_better_match_counts)
{
    udp(server, "0.0.0.0", 53, 0, 0, 3);
    uint64_t bound = udp(client, "10.0.0.2", 53, 0, 0, 4);
    open_guest();
    ask(17, 53, 4000);
    cr_assert_eq(owner.socket.addr, bound);
    cr_assert_eq(owner.via_socket, XVMI_VIA_UDP_HASH2);
    cr_assert_eq(owner.n_owners, 1);
    cr_assert_eq(owner.owners[0].task.pid, 11);
}

Test(owner, udp_connected_elsewhere_does_not_count)
{
    udp(client, "10.0.0.2", 53, ip("10.0.0.7"), 9, 4);
    udp(server, "0.0.0.0", 53, 0, 0, 3);
    open_guest();
    ask(17, 53, 4000);
    cr_assert_eq(owner.n_owners, 1);
    cr_assert_eq(owner.owners[0].task.pid, 10);
}

Test(owner, udp_equal_ones_are_all_named)
{
    udp(server, "0.0.0.0", 53, 0, 0, 3);
    udp(client, "0.0.0.0", 53, 0, 0, 4);
    open_guest();
    ask(17, 53, 4000);
    cr_assert_eq(owner.n_owners, 2);
}

Test(owner, a_chain_in_a_circle_ends)
{
    uint64_t file, sock = connection(client, 5000, 7, &file);
    lw_set(&lw, sock + lw.lay.skc_node.off, sock + lw.lay.skc_node.off);
    open_guest();
    struct xvmi_flow f = flow(6, "10.0.0.2", 5001, "10.0.0.1", 80);
    for (uint16_t port = 5000; port < 5016; port++) { /* some hash into that bucket */
        f.lport = port;
        enum xvmi_status status = xvmi_owner_find(finder, &f, NULL, &owner);
        cr_assert(status == XVMI_OK || status == XVMI_ERR_CHANGED, "%s", g.err.text);
    }
}

Test(owner, the_budget_is_kept)
{
    uint64_t file;
    connection(client, 5000, 7, &file);
    lw_set_fd(&lw, client, 7, 0); /* makes it search */
    for (uint32_t pid = 100; pid < 300; pid++)
        lw_task(&lw, pid, "bystander", 0, 16);
    open_guest();
    struct xvmi_flow f = flow(6, "10.0.0.2", 5000, "10.0.0.1", 80);
    struct xvmi_owner_query query = {.size = sizeof(query), .max_reads = 100};
    cr_assert_eq(xvmi_owner_find(finder, &f, &query, &owner), XVMI_ERR_LIMIT);
    cr_assert_str_eq(g.err.text, "finding the owner: the budget of reads is used up");
}

Test(owner, brief_names_the_process)
{
    uint64_t file;
    connection(client, 5000, 7, &file);
    open_guest();
    struct xvmi_flow f = flow(6, "10.0.0.2", 5000, "10.0.0.1", 80);
    struct xvmi_owner_query query = {.size = sizeof(query), .want = XVMI_WANT_NAME};
    cr_assert_eq(xvmi_owner_find(finder, &f, &query, &owner), XVMI_OK);
    cr_assert_eq(owner.owners[0].task.pid, 11);
    cr_assert_eq(owner.owners[0].task.start_ns, 11000);
    cr_assert_str_eq(owner.owners[0].task.comm, "client");
    cr_assert_eq(owner.owners[0].task.ppid, 0);
}

Test(owner, a_flow_must_be_well_formed)
{
    open_guest();
    struct xvmi_flow f = flow(6, "10.0.0.2", 5000, "10.0.0.1", 80);
    f.local[9] = 1;
    cr_assert_eq(xvmi_owner_find(finder, &f, NULL, &owner), XVMI_ERR_INVALID);
}
