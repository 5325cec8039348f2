// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <arpa/inet.h>
#include <string.h>

#include <criterion/criterion.h>

#include "support/owner-toy.h"

TestSuite(owner, .init = toy_set_up, .fini = toy_tear_down);

Test(owner, opener_then_last)
{
    uint64_t file, sock = toy_connection(toy.client, 5000, 7, &file);
    toy_open();
    toy_ask(6, 5000, 80);
    cr_assert_eq(toy.owner.kind, XVMI_OWNER_PROCESS);
    cr_assert_eq(toy.owner.via_socket, XVMI_VIA_EHASH);
    cr_assert_eq(toy.owner.via_process, XVMI_VIA_OPENER);
    cr_assert_eq(toy.owner.socket.addr, sock);
    cr_assert_eq(toy.owner.socket.ino, 6000);
    cr_assert_eq(toy.owner.n_owners, 1);
    cr_assert_eq(toy.owner.owners[0].task.pid, 11);
    cr_assert_eq(toy.owner.owners[0].task.uid, 1000);
    cr_assert_eq(toy.owner.owners[0].fd, 7);
    cr_assert_eq(toy.owner.token.file, file);
    cr_assert_eq(toy.owner.token.fd, 7);
    toy_ask(6, 5000, 80);
    cr_assert_eq(toy.owner.via_process, XVMI_VIA_LAST);
    cr_assert_eq(toy.owner.owners[0].task.pid, 11);
}

Test(owner, another_port_is_nobody)
{
    uint64_t file;
    toy_connection(toy.client, 5000, 7, &file);
    toy_open();
    toy_ask(6, 5001, 80);
    cr_assert_eq(toy.owner.kind, XVMI_OWNER_NONE);
    toy_ask(6, 5000, 81);
    cr_assert_eq(toy.owner.kind, XVMI_OWNER_NONE);
    cr_assert(!toy.owner.foreign);
}

Test(owner, an_address_the_guest_does_not_have_is_nobody)
{
    uint64_t file;
    toy_connection(toy.client, 5000, 7, &file);
    toy_open();
    struct xvmi_flow f = toy_flow(6, "10.0.0.99", 5000, "10.0.0.1", 80);
    cr_assert_eq(xvmi_owner_find(toy.finder, &f, NULL, &toy.owner), XVMI_OK);
    cr_assert_eq(toy.owner.kind, XVMI_OWNER_NONE);
    cr_assert(toy.owner.foreign);
    f = toy_flow(17, "0.0.0.0", 68, "255.255.255.255", 67); /* has none yet */
    cr_assert_eq(xvmi_owner_find(toy.finder, &f, NULL, &toy.owner), XVMI_OK);
    cr_assert(!toy.owner.foreign);
    f = toy_flow(6, "10.0.0.99", 5000, "10.0.0.1", 80);
    f.direction = XVMI_FLOW_IN; /* somebody's mistake, not the guest's */
    cr_assert_eq(xvmi_owner_find(toy.finder, &f, NULL, &toy.owner), XVMI_OK);
    cr_assert(!toy.owner.foreign);
}

/* Namespaces 5, 6, ... with one address and one flow, that of the last a client's; which of them
 * have hardware. Device i of them has MAC address 2:0:0:0:0:i. */
static enum xvmi_status ask_nets(int n, const bool *hardware, const uint8_t *mac)
{
    uint64_t file;
    for (int i = 0; i < n; i++) {
        uint64_t net = lw_net(&toy.lw, 5u + (unsigned)i);
        uint64_t task = i == n - 1 ? toy.client : toy.server;
        lw_add_device(&toy.lw, net, toy_ip("10.1.0.1"), (uint8_t[6]){2, 0, 0, 0, 0, (uint8_t)i},
                      hardware[i]);
        uint64_t sock = lw_socket(&toy.lw, 2, XVMI_STATE_CLOSE, toy_ip("10.1.0.1"), 53, 0, 0,
                                  900u + (unsigned)i, &file);
        lw_put(&toy.lw, sock, skc_net, net);
        lw_hash_udp(&toy.lw, sock);
        lw_set_cred(&toy.lw, file, task);
        lw_set_fd(&toy.lw, task, 3 + i, file);
    }
    toy_open();
    struct xvmi_owner_query query = {.size = sizeof(query)};
    if (mac)
        memcpy(query.mac, mac, 6);
    struct xvmi_flow f = toy_flow(17, "10.1.0.1", 53, "10.1.0.9", 9);
    return xvmi_owner_find(toy.finder, &f, &query, &toy.owner);
}

Test(owner, one_flow_in_two_namespaces_is_that_of_the_hardware)
{
    cr_assert_eq(ask_nets(2, (bool[]){false, true}, NULL), XVMI_OK, "%s", toy.g.err.text);
    cr_assert_eq(toy.owner.owners[0].task.pid, 11);
    cr_assert_eq(toy.owner.socket.netns, 6);
}

Test(owner, one_flow_in_two_namespaces_is_that_of_the_mac_address)
{
    const uint8_t mac[6] = {2, 0, 0, 0, 0, 1};
    cr_assert_eq(ask_nets(2, (bool[]){true, false}, mac), XVMI_OK, "%s", toy.g.err.text);
    cr_assert_eq(toy.owner.owners[0].task.pid, 11);
    cr_assert_eq(toy.owner.socket.netns, 6);
}

Test(owner, one_flow_in_two_namespaces_that_nothing_tells_apart)
{
    cr_assert_eq(ask_nets(2, (bool[]){true, true}, NULL), XVMI_ERR_UNSUPPORTED);
    cr_assert(strstr(toy.g.err.text, "namespaces 5 and 6 have this address and this flow"), "%s",
              toy.g.err.text);
}

Test(owner, one_flow_in_three_namespaces_two_of_which_are_even)
{
    cr_assert_eq(ask_nets(3, (bool[]){false, false, true}, NULL), XVMI_OK, "%s", toy.g.err.text);
    cr_assert_eq(toy.owner.owners[0].task.pid, 11);
    cr_assert_eq(toy.owner.socket.netns, 7);
}

Test(owner, one_flow_in_three_namespaces_the_best_of_which_are_even)
{
    const bool hardware[] = {false, true, true};
    cr_assert_eq(ask_nets(3, hardware, NULL), XVMI_ERR_UNSUPPORTED);
    cr_assert(strstr(toy.g.err.text, "namespaces 6 and 7 have"), "%s", toy.g.err.text);
}

Test(owner, a_descriptor_that_was_passed_on_is_searched_for)
{
    uint64_t file;
    toy_connection(toy.client, 5000, 7, &file);
    lw_set_fd(&toy.lw, toy.client, 7, 0);
    lw_set_fd(&toy.lw, toy.server, 3, file);
    toy_open();
    toy_ask(6, 5000, 80);
    cr_assert_eq(toy.owner.via_process, XVMI_VIA_TASKS);
    cr_assert_eq(toy.owner.n_owners, 1);
    cr_assert_eq(toy.owner.owners[0].task.pid, 10);
}

Test(owner, all_who_hold_it_are_named_oldest_first)
{
    uint64_t file;
    toy_connection(toy.client, 5000, 7, &file);
    lw_put(&toy.lw, file, file_count, 2);
    lw_set_fd(&toy.lw, toy.server, 3, file);
    toy_open();
    for (int i = 0; i < 2; i++) {
        toy_ask(6, 5000, 80);
        cr_assert_eq(toy.owner.n_owners, 2);
        cr_assert_eq(toy.owner.owners[0].task.pid, 10);
        cr_assert_eq(toy.owner.owners[1].task.pid, 11);
        cr_assert(!toy.owner.more);
    }
    cr_assert_eq(toy.owner.via_process, XVMI_VIA_LAST);
}

/* One gives it up, another gets it: as many references as when all holders were last known. */
Test(owner, a_descriptor_that_changed_hands_is_noticed)
{
    uint64_t file, third = lw_task(&toy.lw, 12, "third", 0, 16);
    toy_connection(toy.client, 5000, 7, &file);
    lw_put(&toy.lw, file, file_count, 2);
    lw_set_fd(&toy.lw, toy.server, 3, file);
    toy_open();
    toy_ask(6, 5000, 80);
    cr_assert_eq(toy.owner.n_owners, 2);
    lw_set_fd(&toy.lw, toy.server, 3, 0);
    lw_set_fd(&toy.lw, third, 9, file);
    toy_ask(6, 5000, 80);
    cr_assert_eq(toy.owner.n_owners, 2);
    cr_assert_eq(toy.owner.owners[0].task.pid, 11);
    cr_assert_eq(toy.owner.owners[1].task.pid, 12);
}

/* The file that was closed is another socket of another process a moment later. */
Test(owner, reuse_is_noticed)
{
    uint64_t file, sock = toy_connection(toy.client, 5000, 7, &file);
    toy_open();
    toy_ask(6, 5000, 80);
    struct xvmi_owner_token token = toy.owner.token;
    cr_assert_eq(xvmi_owner_revalidate(toy.finder, &token), XVMI_OK);
    lw_set_fd(&toy.lw, toy.client, 7, 0);
    lw_set_fd(&toy.lw, toy.server, 5, file);
    lw_set_cred(&toy.lw, file, toy.server);
    cr_assert_eq(xvmi_owner_revalidate(toy.finder, &token), XVMI_ERR_CHANGED);
    uint64_t socket = lw_get(&toy.lw, sock + toy.lw.lay.sock_socket.off);
    lw_put(&toy.lw, socket + toy.lw.lay.socket_alloc_inode.off, inode_ino, 7777);
    toy_ask(6, 5000, 80);
    cr_assert_eq(toy.owner.n_owners, 1);
    cr_assert_eq(toy.owner.owners[0].task.pid, 10);
    cr_assert_neq(xvmi_owner_token_number(&toy.owner.token), xvmi_owner_token_number(&token));
}

Test(owner, exec_is_noticed)
{
    uint64_t file, mm = lw_alloc(&toy.lw, 256);
    toy_connection(toy.client, 5000, 7, &file);
    lw_put(&toy.lw, mm, mm_exe_file, LW_BASE + 0x40);
    lw_put(&toy.lw, toy.client, task_mm, mm);
    toy_open();
    toy_ask(6, 5000, 80);
    cr_assert_eq(xvmi_owner_revalidate(toy.finder, &toy.owner.token), XVMI_OK);
    lw_put(&toy.lw, mm, mm_exe_file, LW_BASE + 0x80);
    cr_assert_eq(xvmi_owner_revalidate(toy.finder, &toy.owner.token), XVMI_ERR_CHANGED);
}

/* setuid() to the same user: new credentials, and the memory of the old ones is another's. */
static struct {
    uint64_t old, new;
    unsigned when;
} creds;

static void point_to_creds(uint64_t cred, uint32_t old_uid)
{
    lw_put(&toy.lw, toy.client, task_real_cred, cred);
    lw_put(&toy.lw, creds.old, cred_uid, old_uid);
}

static void replace_creds(struct lw_guest *g, unsigned reads)
{
    (void)g;
    if (reads == creds.when)
        point_to_creds(creds.new, 999);
}

Test(owner, credentials_are_not_those_of_their_heir)
{
    uint64_t file;
    toy_connection(toy.client, 5000, 7, &file);
    lw_alloc(&toy.lw, 8192); /* on another page than the process */
    creds.old = lw_alloc(&toy.lw, 64);
    creds.new = lw_alloc(&toy.lw, 64);
    lw_put(&toy.lw, creds.new, cred_uid, 1000);
    lw_guest_open(&toy.g, &toy.lw, false);
    toy.g.hook = replace_creds;
    cr_assert_eq(xl_finder_new(&toy.g.guest, NULL, &toy.finder), XVMI_OK);
    for (creds.when = 1; creds.when < 64; creds.when++) {
        point_to_creds(creds.old, 1000);
        toy.g.reads = 0;
        toy_ask(6, 5000, 80);
        cr_assert_eq(toy.owner.n_owners, 1);
        cr_assert_eq(toy.owner.owners[0].task.uid, 1000, "at read %u", creds.when);
    }
}

Test(owner, time_wait_is_an_orphan)
{
    uint64_t sock = lw_socket(&toy.lw, 2, XVMI_STATE_TIME_WAIT, toy_ip("10.0.0.2"), 5000,
                              toy_ip("10.0.0.1"), 80, 1, NULL);
    lw_hash(&toy.lw, sock);
    lw_put(&toy.lw, sock, sock_socket, 0xdead);
    toy_open();
    toy_ask(6, 5000, 80);
    cr_assert_eq(toy.owner.kind, XVMI_OWNER_ORPHAN);
    cr_assert_eq(toy.owner.n_owners, 0);
}

Test(owner, a_kernel_socket_has_no_file)
{
    uint64_t sock = lw_socket(&toy.lw, 2, XVMI_STATE_ESTABLISHED, toy_ip("10.0.0.2"), 5000,
                              toy_ip("10.0.0.1"), 2049, 1, NULL);
    lw_hash(&toy.lw, sock);
    lw_put(&toy.lw, lw_get(&toy.lw, sock + toy.lw.lay.sock_socket.off), socket_file, 0);
    toy_open();
    toy_ask(6, 5000, 2049);
    cr_assert_eq(toy.owner.kind, XVMI_OWNER_KERNEL);
}

Test(owner, udp_the_better_match_receives)
{
    toy_udp(toy.server, "0.0.0.0", 53, 0, 0, 3);
    uint64_t bound = toy_udp(toy.client, "10.0.0.2", 53, 0, 0, 4);
    toy_open();
    struct xvmi_flow in = toy_flow(17, "10.0.0.2", 53, "10.0.0.1", 4000);
    in.direction = XVMI_FLOW_IN;
    cr_assert_eq(xvmi_owner_find(toy.finder, &in, NULL, &toy.owner), XVMI_OK);
    cr_assert_eq(toy.owner.socket.addr, bound);
    cr_assert_eq(toy.owner.via_socket, XVMI_VIA_UDP_HASH2);
    cr_assert_eq(toy.owner.n_owners, 1);
    cr_assert_eq(toy.owner.owners[0].task.pid, 11);
}

Test(owner, udp_connected_elsewhere_does_not_count)
{
    toy_udp(toy.client, "10.0.0.2", 53, toy_ip("10.0.0.7"), 9, 4);
    toy_udp(toy.server, "0.0.0.0", 53, 0, 0, 3);
    toy_open();
    toy_ask(17, 53, 4000);
    cr_assert_eq(toy.owner.n_owners, 1);
    cr_assert_eq(toy.owner.owners[0].task.pid, 10);
}

Test(owner, broadcast_is_received_not_sent)
{
    toy_udp(toy.client, "0.0.0.0", 53, 0, 0, 4);
    toy_open();
    struct xvmi_flow f = toy_flow(17, "10.0.0.255", 53, "10.0.0.1", 4000);
    cr_assert_eq(xvmi_owner_find(toy.finder, &f, NULL, &toy.owner), XVMI_OK);
    cr_assert_eq(toy.owner.kind, XVMI_OWNER_NONE);
    f.direction = XVMI_FLOW_IN;
    cr_assert_eq(xvmi_owner_find(toy.finder, &f, NULL, &toy.owner), XVMI_OK);
    cr_assert_eq(toy.owner.kind, XVMI_OWNER_PROCESS);
    cr_assert_eq(toy.owner.owners[0].task.pid, 11);
    f = toy_flow(17, "10.0.1.255", 53, "10.0.0.1", 4000);
    f.direction = XVMI_FLOW_IN;
    cr_assert_eq(xvmi_owner_find(toy.finder, &f, NULL, &toy.owner), XVMI_OK);
    cr_assert_eq(toy.owner.kind, XVMI_OWNER_NONE);
}

Test(owner, udp_equal_ones_are_all_named)
{
    toy_udp(toy.server, "0.0.0.0", 53, 0, 0, 3);
    toy_udp(toy.client, "0.0.0.0", 53, 0, 0, 4);
    toy_open();
    toy_ask(17, 53, 4000);
    cr_assert_eq(toy.owner.n_owners, 2);
}

Test(owner, a_chain_in_a_circle_ends)
{
    uint64_t file, sock = toy_connection(toy.client, 5000, 7, &file);
    lw_set(&toy.lw, sock + toy.lw.lay.skc_node.off, sock + toy.lw.lay.skc_node.off);
    toy_open();
    struct xvmi_flow f = toy_flow(6, "10.0.0.2", 5001, "10.0.0.1", 80);
    for (uint16_t port = 5000; port < 5016; port++) { /* some hash into that bucket */
        f.lport = port;
        enum xvmi_status status = xvmi_owner_find(toy.finder, &f, NULL, &toy.owner);
        cr_assert(status == XVMI_OK || status == XVMI_ERR_CHANGED, "%s", toy.g.err.text);
    }
}

Test(owner, the_budget_is_kept)
{
    uint64_t file;
    toy_connection(toy.client, 5000, 7, &file);
    lw_set_fd(&toy.lw, toy.client, 7, 0); /* makes it search */
    for (uint32_t pid = 100; pid < 300; pid++)
        lw_task(&toy.lw, pid, "bystander", 0, 16);
    toy_open();
    struct xvmi_flow f = toy_flow(6, "10.0.0.2", 5000, "10.0.0.1", 80);
    struct xvmi_owner_query query = {.size = sizeof(query), .max_reads = 100};
    cr_assert_eq(xvmi_owner_find(toy.finder, &f, &query, &toy.owner), XVMI_ERR_LIMIT);
    cr_assert_str_eq(toy.g.err.text, "finding the owner: the budget of reads is used up");
}

Test(owner, brief_names_the_process)
{
    uint64_t file;
    toy_connection(toy.client, 5000, 7, &file);
    toy_open();
    struct xvmi_flow f = toy_flow(6, "10.0.0.2", 5000, "10.0.0.1", 80);
    struct xvmi_owner_query query = {.size = sizeof(query), .want = XVMI_WANT_NAME};
    cr_assert_eq(xvmi_owner_find(toy.finder, &f, &query, &toy.owner), XVMI_OK);
    cr_assert_eq(toy.owner.owners[0].task.pid, 11);
    cr_assert_eq(toy.owner.owners[0].task.start_ns, 11000);
    cr_assert_str_eq(toy.owner.owners[0].task.comm, "client");
    cr_assert_eq(toy.owner.owners[0].task.ppid, 0);
}

Test(owner, a_flow_must_be_well_formed)
{
    toy_open();
    struct xvmi_flow f = toy_flow(6, "10.0.0.2", 5000, "10.0.0.1", 80);
    f.local[9] = 1;
    cr_assert_eq(xvmi_owner_find(toy.finder, &f, NULL, &toy.owner), XVMI_ERR_INVALID);
}
