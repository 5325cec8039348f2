// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Sockets by the kernel's hash, in each shape that its tables have had, and in chains that are
 * crowded, moved or broken. */
#include <string.h>

#include <criterion/criterion.h>

#include "support/owner-toy.h"
#include "walk/hash.h"

TestSuite(sockfind, .init = toy_set_up, .fini = toy_tear_down);

/* As linux-writer.c has them. */
#define HASH_MIX 0x1234567u
#define SECRET4  0xfeedf00du

static uint64_t unhashed(uint64_t task, uint8_t state, uint16_t lport, uint16_t rport, uint32_t fd)
{
    uint64_t file, sock = lw_socket(&toy.lw, 2, state, toy_ip("10.0.0.2"), lport,
                                    rport ? toy_ip("10.0.0.1") : 0, rport, lport + 1000u, &file);
    lw_set_cred(&toy.lw, file, task);
    lw_set_fd(&toy.lw, task, fd, file);
    return sock;
}

static void is_owned_by(uint8_t proto, uint16_t lport, uint16_t rport, uint64_t sock, int32_t pid)
{
    toy_ask(proto, lport, rport);
    cr_assert_eq(toy.owner.socket.addr, sock);
    cr_assert_eq(toy.owner.n_owners, 1);
    cr_assert_eq(toy.owner.owners[0].task.pid, pid);
}

/* --- shapes --- */

/* Before 5.19: listeners by port alone, in a table inside of the hashinfo. */
Test(sockfind, listeners_by_port)
{
    struct lw *lw = &toy.lw;
    lw->lay.hashinfo_listening = (struct xw_field){.off = 256, .size = 8};
    lw->lay.size_lhash_bucket = 16;
    uint64_t table = lw_alloc(lw, 256 + 32 * 16), old = lw->sym.sym_tcp_hashinfo;
    memcpy(lw_at(lw, table), lw_at(lw, old), 64);
    lw->sym.sym_tcp_hashinfo = table;
    for (unsigned i = 0; i < 32; i++)
        lw_set(lw, table + 256 + i * 16 + lw->lay.lhash_bucket_head.off, 1 | i << 1);
    uint64_t sock = unhashed(toy.server, XVMI_STATE_LISTEN, 80, 0, 3);
    lw_chain(lw, table + 256 + (80 + HASH_MIX) % 32 * 16 + lw->lay.lhash_bucket_head.off, sock);
    toy_open();
    is_owned_by(6, 80, 4711, sock, 10);
    cr_assert_eq(toy.owner.via_socket, XVMI_VIA_LISTEN);
}

/* Since 6.13: the slots of hash2 are larger than those of hash. */
Test(sockfind, large_slots_of_udp)
{
    struct lw *lw = &toy.lw;
    const uint32_t small = lw->lay.size_udp_slot;
    uint64_t table = lw_alloc(lw, LW_BUCKETS * 64);
    lw_put(lw, lw->sym.sym_udp_table, udp_table_hash2, table);
    lw->lay.size_udp_slot = 64; /* for lw_hash_udp() */
    uint64_t file, sock = lw_socket(lw, 2, 7, toy_ip("10.0.0.2"), 53, 0, 0, 1053, &file);
    uint64_t hash = lw_get(lw, lw->sym.sym_udp_table + lw->lay.udp_table_hash.off);
    uint64_t large = lw_alloc(lw, LW_BUCKETS * 64); /* the writer uses one size for both */
    lw_put(lw, lw->sym.sym_udp_table, udp_table_hash, large);
    lw_hash_udp(lw, sock);
    lw_put(lw, lw->sym.sym_udp_table, udp_table_hash, hash);
    lw->lay.size_udp_slot = small;
    lw->lay.size_udp_slot_main = 64;
    lw_set_cred(lw, file, toy.server);
    lw_set_fd(lw, toy.server, 3, file);
    toy_open();
    is_owned_by(17, 53, 4711, sock, 10);
    cr_assert_eq(toy.owner.via_socket, XVMI_VIA_UDP_HASH2);
}

/* Since 6.1 a namespace may have tables of its own. */
Test(sockfind, tables_of_a_namespace)
{
    struct lw *lw = &toy.lw;
    uint64_t shared = lw->sym.sym_tcp_hashinfo;
    lw->lay.net_tcp_hashinfo = (struct xw_field){.off = 200, .size = 8};
    lw_put(lw, lw->sym.sym_init_net, net_tcp_hashinfo, shared);
    uint64_t file, sock = toy_connection(toy.client, 5000, 7, &file);
    lw->sym.sym_tcp_hashinfo = lw_alloc(lw, 64); /* another, empty one */
    toy_open();
    is_owned_by(6, 5000, 80, sock, 11);
}

/* Since 6.9 secrets are in net_hotdata, and since 6.15 the port is added to the hash of the rest:
 * which of the two is learned. */
Test(sockfind, the_port_is_added_to_the_hash)
{
    struct lw *lw = &toy.lw;
    uint64_t hot = lw_alloc(lw, 64);
    uint64_t sock = unhashed(toy.client, XVMI_STATE_ESTABLISHED, 5000, 80, 7);
    uint32_t hash = xw_tcp4_hash(toy_ip("10.0.0.2"), 0, toy_ip("10.0.0.1"), __builtin_bswap16(80),
                                 SECRET4 + HASH_MIX) +
                    5000;
    lw->sym.sym_net_hotdata = hot;
    lw_put(lw, hot, hot_tcp4_secret, SECRET4);
    lw_put(lw, sock, skc_hash, hash);
    lw_chain(lw, lw_ehash(lw, hash % LW_BUCKETS), sock);
    toy_open();
    is_owned_by(6, 5000, 80, sock, 11);
}

/* Since 6.13 a file's references count from 0. */
Test(sockfind, references_from_zero)
{
    struct lw *lw = &toy.lw;
    uint64_t file, sock = toy_connection(toy.client, 5000, 7, &file);
    lw->lay.file_ref = lw->lay.file_count;
    lw_put(lw, file, file_count, 1); /* two */
    lw_set_fd(lw, toy.server, 4, file);
    toy_open();
    toy_ask(6, 5000, 80);
    cr_assert_eq(toy.owner.socket.addr, sock);
    cr_assert_eq(toy.owner.n_owners, 2);
}

/* --- chains --- */

Test(sockfind, a_crowded_bucket)
{
    uint64_t file, socks[40];
    for (uint16_t i = 0; i < 40; i++) { /* eight buckets */
        socks[i] = toy_connection(i % 2 ? toy.server : toy.client, (uint16_t)(5000 + i), i / 2 % 16,
                                  &file);
    }
    toy_open();
    for (uint16_t i = 8; i < 40; i++)
        is_owned_by(6, (uint16_t)(5000 + i), 80, socks[i], i % 2 ? 10 : 11);
}

/* Same hash, other flow. */
Test(sockfind, a_hash_alone_is_no_proof)
{
    struct lw *lw = &toy.lw;
    uint64_t file, sock = toy_connection(toy.client, 5000, 7, &file);
    uint64_t other = unhashed(toy.server, XVMI_STATE_ESTABLISHED, 5001, 80, 3);
    uint32_t hash = (uint32_t)lw_get(lw, sock + lw->lay.skc_hash.off);
    lw_put(lw, other, skc_hash, hash);
    lw_chain(lw, lw_ehash(lw, hash % LW_BUCKETS), other);
    toy_open();
    is_owned_by(6, 5000, 80, sock, 11);
}

/* A socket that was moved to another chain while it was looked at leads to that one's end. */
Test(sockfind, the_end_of_another_chain)
{
    struct lw *lw = &toy.lw;
    uint64_t file, sock = toy_connection(toy.client, 5000, 7, &file);
    uint32_t bucket = (uint32_t)lw_get(lw, sock + lw->lay.skc_hash.off) % LW_BUCKETS;
    lw_set(lw, sock + lw->lay.skc_node.off, 1 | ((bucket + 1) % LW_BUCKETS) << 1);
    toy_open();
    struct xvmi_flow f = toy_flow(6, "10.0.0.2", 5000, "10.0.0.1", 80);
    cr_assert_eq(xvmi_owner_find(toy.finder, &f, NULL, &toy.owner), XVMI_ERR_CHANGED);
    cr_assert_str_eq(toy.g.err.text, "finding the owner: led into another chain");
}

Test(sockfind, a_link_that_leads_nowhere)
{
    struct lw *lw = &toy.lw;
    uint64_t file, sock = toy_connection(toy.client, 5000, 7, &file);
    lw_set(lw, sock + lw->lay.skc_node.off, 0x4142434445464748);
    toy_open();
    struct xvmi_flow f = toy_flow(6, "10.0.0.2", 5000, "10.0.0.1", 80);
    cr_assert_eq(xvmi_owner_find(toy.finder, &f, NULL, &toy.owner), XVMI_ERR_FORMAT);
    cr_assert_str_eq(toy.g.err.text, "finding the owner: chain with a bad pointer");
}

/* --- groups --- */

/* A socket that is connected is not the only one that can send from its port. */
Test(sockfind, udp_is_sent_by_whoever_has_the_port)
{
    uint64_t connected = toy_udp(toy.client, "10.0.0.2", 4000, toy_ip("10.0.0.1"), 53, 3);
    toy_udp(toy.server, "0.0.0.0", 4000, 0, 0, 4);
    toy_open();
    toy_ask(17, 4000, 53);
    cr_assert_eq(toy.owner.n_owners, 2);
    cr_assert_neq(toy.owner.owners[0].task.pid, toy.owner.owners[1].task.pid);
    toy_ask(17, 4000, 54); /* not where it is connected to */
    cr_assert_eq(toy.owner.n_owners, 1);
    cr_assert_eq(toy.owner.owners[0].task.pid, 10);
    struct xvmi_flow in = toy_flow(17, "10.0.0.2", 4000, "10.0.0.1", 53);
    in.direction = XVMI_FLOW_IN;
    cr_assert_eq(xvmi_owner_find(toy.finder, &in, NULL, &toy.owner), XVMI_OK);
    cr_assert_eq(toy.owner.n_owners, 1);
    cr_assert_eq(toy.owner.socket.addr, connected);
}

Test(sockfind, sockets_of_several_users_are_said_to_be)
{
    uint64_t one = toy_udp(toy.client, "10.0.0.2", 4000, toy_ip("10.0.0.1"), 53, 3);
    struct xvmi_owner_query query = {.size = sizeof(query), .want = XVMI_WANT_SOCKET};
    struct xvmi_flow flow = toy_flow(17, "10.0.0.2", 4000, "10.0.0.1", 53);
    toy_udp(toy.server, "0.0.0.0", 4000, 0, 0, 4);
    toy_open();
    cr_assert_eq(xvmi_owner_find(toy.finder, &flow, &query, &toy.owner), XVMI_OK);
    cr_assert_not(toy.owner.mixed);
    lw_put(&toy.lw, one, sock_uid, 1234);
    cr_assert_eq(xvmi_owner_find(toy.finder, &flow, &query, &toy.owner), XVMI_OK);
    cr_assert(toy.owner.mixed);
    toy_ask(17, 4000, 53);
    cr_assert(toy.owner.mixed);
    cr_assert_eq(toy.owner.n_owners, 2);
}

static void ask_multicast(uint8_t direction, const char *group)
{
    struct xvmi_flow f = toy_flow(17, group, 5353, "10.0.0.9", 5353);
    f.direction = direction;
    cr_assert_eq(xvmi_owner_find(toy.finder, &f, NULL, &toy.owner), XVMI_OK, "%s", toy.g.err.text);
}

Test(sockfind, multicast_is_received_by_whoever_listens_and_sent_by_nobody)
{
    uint64_t sock = toy_udp(toy.server, "0.0.0.0", 5353, 0, 0, 3);
    toy_open();
    ask_multicast(XVMI_FLOW_IN, "224.0.0.251");
    cr_assert_eq(toy.owner.socket.addr, sock);
    cr_assert_eq(toy.owner.owners[0].task.pid, 10);
    ask_multicast(XVMI_FLOW_IN, "255.255.255.255");
    cr_assert_eq(toy.owner.socket.addr, sock);
    ask_multicast(XVMI_FLOW_OUT, "224.0.0.251");
    cr_assert_eq(toy.owner.kind, XVMI_OWNER_NONE);
}

/* --- what a question may cost --- */

static void costs_no_more_than_allowed(uint16_t lport)
{
    struct xvmi_flow flow = toy_flow(17, "10.0.0.2", lport, "10.0.0.1", 9);
    struct xvmi_owner_query query = {.size = sizeof(query), .max_reads = 100};
    toy_open();
    toy_ask(17, 1, 1); /* namespaces are known now */
    cr_assert_eq(xvmi_owner_find(toy.finder, &flow, &query, &toy.owner), XVMI_ERR_LIMIT);
    cr_assert_leq(toy.owner.reads, 150);
    query.max_reads = 0;
    query.deadline_ns = 1;
    cr_assert_eq(xvmi_owner_find(toy.finder, &flow, &query, &toy.owner), XVMI_ERR_LIMIT);
    cr_assert_leq(toy.owner.reads, 50);
}

Test(sockfind, budget_of_a_crowded_chain)
{
    for (uint32_t i = 0; i < 500; i++)
        toy_udp(toy.server, "10.0.0.3", 53, 0, 0, i % 16);
    costs_no_more_than_allowed(53);
}

Test(sockfind, budget_of_many_namespaces)
{
    for (uint32_t i = 0; i < 200; i++)
        lw_add_device(&toy.lw, lw_net(&toy.lw, 100 + i), toy_ip("10.0.0.2"), (uint8_t[6]){2},
                      false);
    costs_no_more_than_allowed(53);
}

/* --- sockets that are bound to a device --- */

static void ask_in(uint16_t lport, const char *from)
{
    struct xvmi_flow flow = toy_flow(17, "10.0.0.2", lport, from, 9);
    flow.direction = XVMI_FLOW_IN;
    cr_assert_eq(xvmi_owner_find(toy.finder, &flow, NULL, &toy.owner), XVMI_OK, "%s",
                 toy.g.err.text);
}

/* Nothing comes in by the loopback device, but who is bound to it may have sent before. */
Test(sockfind, bound_to_loopback)
{
    toy_udp(toy.server, "0.0.0.0", 53, 0, 0, 3);
    uint64_t other = toy_udp(toy.client, "10.0.0.2", 53, 0, 0, 4);
    lw_put(&toy.lw, other, skc_bound_dev_if, 1);
    toy_open();
    ask_in(53, "10.0.0.1");
    cr_assert_eq(toy.owner.n_owners, 1);
    cr_assert_eq(toy.owner.owners[0].task.pid, 10);
    ask_in(53, "10.0.0.2");
    cr_assert_eq(toy.owner.n_owners, 1);
    cr_assert_eq(toy.owner.owners[0].task.pid, 11);
    toy_ask(17, 53, 9);
    cr_assert_eq(toy.owner.n_owners, 2);
}

/* Which of them it is for depends on the device that it comes by. */
Test(sockfind, bound_to_a_device)
{
    toy_udp(toy.server, "10.0.0.2", 53, 0, 0, 3);
    uint64_t other = toy_udp(toy.client, "10.0.0.2", 53, 0, 0, 4);
    lw_put(&toy.lw, other, sock_uid, 1000);
    lw_put(&toy.lw, other, skc_bound_dev_if, 3);
    toy_open();
    ask_in(53, "10.0.0.1");
    cr_assert_eq(toy.owner.n_owners, 2);
    cr_assert(toy.owner.mixed);
}
