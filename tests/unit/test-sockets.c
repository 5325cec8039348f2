// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "os/linux/socket.h"
#include "support/linux-guest.h"

static struct lw lw;
static struct lw_guest g;
static struct xvmi_socket *sockets;
static size_t n;

static void set_up(void)
{
    lw_init(&lw, 1 << 20);
}

static void tear_down(void)
{
    free(sockets);
    sockets = NULL;
    lw_guest_close(&g);
    lw_fini(&lw);
}

TestSuite(sockets, .init = set_up, .fini = tear_down);

static uint32_t ip(const char *text)
{
    uint32_t addr;
    cr_assert_eq(inet_pton(AF_INET, text, &addr), 1);
    return addr;
}

#define TCP XVMI_SOCKET_BIT(XVMI_SOCKET_TCP)
#define UDP XVMI_SOCKET_BIT(XVMI_SOCKET_UDP)

static void list(unsigned kinds, size_t count)
{
    cr_assert_eq(xl_socket_list(&g.guest, kinds, &sockets, &n), XVMI_OK, "%s", g.err.text);
    cr_assert_eq(n, count, "%zu sockets", n);
}

Test(sockets, an_established_one_has_every_fact)
{
    uint64_t file, sock = lw_socket(&lw, AF_INET, XVMI_STATE_ESTABLISHED, ip("10.0.0.2"), 51234,
                                    ip("10.0.0.1"), 80, 777, &file);
    lw_put(&lw, sock, sock_uid, 33);
    lw_put(&lw, sock, sock_type, 1);
    lw_put(&lw, sock, sock_protocol, 6);
    lw_put(&lw, sock, skc_bound_dev_if, 2);
    lw_put(&lw, sock, skc_cookie, 5);
    lw_chain(&lw, lw_ehash(&lw, 3), sock);
    lw_guest_open(&g, &lw, true);
    list(TCP, 1);
    cr_assert_eq(sockets->addr, sock);
    cr_assert_eq(sockets->file, file);
    cr_assert_eq(sockets->ino, 777);
    cr_assert_eq(sockets->kind, XVMI_SOCKET_TCP);
    cr_assert_eq(sockets->family, AF_INET);
    cr_assert_eq(sockets->state, XVMI_STATE_ESTABLISHED);
    cr_assert_eq(sockets->lport, 51234);
    cr_assert_eq(sockets->rport, 80);
    cr_assert_eq(memcmp(sockets->local, (uint8_t[]){10, 0, 0, 2}, 4), 0);
    cr_assert_eq(memcmp(sockets->remote, (uint8_t[]){10, 0, 0, 1}, 4), 0);
    cr_assert_eq(sockets->uid, 33);
    cr_assert_eq(sockets->type, 1);
    cr_assert_eq(sockets->protocol, 6);
    cr_assert_eq(sockets->ifindex, 2);
    cr_assert_eq(sockets->cookie, 5);
    cr_assert_eq(sockets->netns, 4026531840u);
}

/* Request and time-wait sockets end where a full one goes on: what lies there is not read. */
Test(sockets, small_ones_are_not_read_beyond_their_end)
{
    uint64_t request = lw_socket(&lw, AF_INET, XVMI_STATE_NEW_SYN_RECV, ip("10.0.0.2"), 22,
                                 ip("10.0.0.1"), 4000, 1, NULL);
    uint64_t wait = lw_socket(&lw, AF_INET, XVMI_STATE_TIME_WAIT, ip("10.0.0.2"), 22,
                              ip("10.0.0.1"), 4001, 1, NULL);
    uint64_t fin = lw_socket(&lw, AF_INET, XVMI_STATE_TIME_WAIT, ip("10.0.0.2"), 22, ip("10.0.0.1"),
                             4002, 1, NULL);
    lw_put(&lw, request, sock_socket, 0xdead);
    lw_put(&lw, wait, sock_socket, 0xdead);
    lw_put(&lw, fin, sock_socket, 0xdead);
    lw_put(&lw, wait, tw_substate, XVMI_STATE_TIME_WAIT);
    lw_put(&lw, fin, tw_substate, XVMI_STATE_FIN_WAIT2);
    lw_chain(&lw, lw_ehash(&lw, 0), fin);
    lw_chain(&lw, lw_ehash(&lw, 0), wait);
    lw_chain(&lw, lw_ehash(&lw, 0), request);
    lw_guest_open(&g, &lw, true);
    list(TCP, 3);
    cr_assert_eq(sockets[0].state, XVMI_STATE_NEW_SYN_RECV);
    cr_assert_eq(sockets[1].state, XVMI_STATE_TIME_WAIT);
    cr_assert_eq(sockets[2].state, XVMI_STATE_FIN_WAIT2);
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(sockets[i].ino, 0);
        cr_assert_eq(sockets[i].file, 0);
        cr_assert_eq(sockets[i].lport, 22);
        cr_assert_eq(sockets[i].rport, 4000 + i);
        cr_assert_eq(sockets[i].protocol, 6);
    }
}

Test(sockets, kinds_are_chosen)
{
    lw_chain(&lw, lw_ehash(&lw, 1),
             lw_socket(&lw, AF_INET, XVMI_STATE_ESTABLISHED, 1, 1, 1, 1, 1, NULL));
    lw_chain(&lw, lw_udp_slot(&lw, 5),
             lw_socket(&lw, AF_INET, XVMI_STATE_CLOSE, 0, 53, 0, 0, 2, NULL));
    lw_guest_open(&g, &lw, true);
    list(UDP, 1);
    cr_assert_eq(sockets->lport, 53);
    cr_assert_eq(sockets->kind, XVMI_SOCKET_UDP);
}

Test(sockets, an_orphan_has_no_file)
{
    uint64_t sock = lw_socket(&lw, AF_INET, XVMI_STATE_FIN_WAIT1, 1, 1, 1, 1, 1, NULL);
    lw_put(&lw, sock, sock_socket, 0);
    lw_chain(&lw, lw_ehash(&lw, 1), sock);
    lw_guest_open(&g, &lw, true);
    list(TCP, 1);
    cr_assert_eq(sockets->ino, 0);
    cr_assert_eq(sockets->file, 0);
}

Test(sockets, a_chain_in_a_circle_is_an_error)
{
    uint64_t a = lw_socket(&lw, AF_INET, 1, 1, 1, 1, 1, 1, NULL);
    uint64_t b = lw_socket(&lw, AF_INET, 1, 1, 2, 1, 1, 2, NULL);
    lw_chain(&lw, lw_ehash(&lw, 1), a);
    lw_chain(&lw, lw_ehash(&lw, 1), b);
    lw_set(&lw, a + lw.lay.skc_node.off, b + lw.lay.skc_node.off);
    lw_guest_open(&g, &lw, true);
    cr_assert_eq(xl_socket_list(&g.guest, TCP, &sockets, &n), XVMI_ERR_CHANGED);
    char text[128];
    snprintf(text, sizeof(text),
             "listing sockets: chain at 0x%llx: changed while looking, 16 times",
             (unsigned long long)lw_ehash(&lw, 1));
    cr_assert_str_eq(g.err.text, text);
}

Test(sockets, an_absurd_table_is_an_error)
{
    lw_put(&lw, lw.sym.sym_tcp_hashinfo, hashinfo_ehash_mask, 0xffffffff);
    lw_guest_open(&g, &lw, true);
    cr_assert_eq(xl_socket_list(&g.guest, TCP, &sockets, &n), XVMI_ERR_FORMAT);
}

Test(sockets, a_foreign_family_is_an_error)
{
    uint64_t sock = lw_socket(&lw, 77, 1, 1, 1, 1, 1, 1, NULL);
    lw_chain(&lw, lw_ehash(&lw, 1), sock);
    lw_guest_open(&g, &lw, true);
    cr_assert_eq(xl_socket_list(&g.guest, TCP, &sockets, &n), XVMI_ERR_FORMAT);
}

/* --- owners --- */

Test(sockets, owners_oldest_first_lowest_descriptor)
{
    uint64_t file, sock = lw_socket(&lw, AF_INET, 1, 1, 1, 1, 1, 7, &file);
    lw_chain(&lw, lw_ehash(&lw, 1), sock);
    uint64_t other_file, other = lw_socket(&lw, AF_INET, 1, 1, 2, 1, 1, 8, &other_file);
    lw_chain(&lw, lw_ehash(&lw, 1), other);
    uint64_t a = lw_task(&lw, 10, "parent", 0, 64), b = lw_task(&lw, 11, "child", 0, 64);
    lw_set_fd(&lw, a, 5, file);
    lw_set_fd(&lw, a, 3, file);
    lw_set_fd(&lw, b, 63, file);
    lw_set_fd(&lw, b, 0, other_file);
    lw_guest_open(&g, &lw, true);
    list(TCP, 2);
    struct xvmi_owner_scan *scan;
    const struct xvmi_socket_owner *owners;
    cr_assert_eq(xl_owner_scan_new(&g.guest, &scan), XVMI_OK, "%s", g.err.text);
    cr_assert_eq(sockets[1].addr, sock);
    cr_assert_eq(xvmi_owner_scan_find(scan, &sockets[1], &owners), 2);
    cr_assert_eq(owners[0].pid, 10);
    cr_assert_eq(owners[0].fd, 3);
    cr_assert_str_eq(owners[0].comm, "parent");
    cr_assert_eq(owners[0].task, a);
    cr_assert_eq(owners[1].pid, 11);
    cr_assert_eq(owners[1].fd, 63);
    cr_assert_eq(xvmi_owner_scan_find(scan, &sockets[0], &owners), 1);
    cr_assert_eq(owners[0].pid, 11);
    cr_assert_eq(owners[0].fd, 0);
    /* The same address, another inode: the socket that was there before. */
    struct xvmi_socket former = sockets[0];
    former.ino++;
    cr_assert_eq(xvmi_owner_scan_find(scan, &former, &owners), 0);
    xvmi_owner_scan_free(scan);
}

Test(sockets, files_that_are_no_sockets_own_nothing)
{
    uint64_t file, sock = lw_socket(&lw, AF_INET, 1, 1, 1, 1, 1, 7, &file);
    lw_put(&lw, file, file_op, LW_BASE + 0x40);
    lw_chain(&lw, lw_ehash(&lw, 1), sock);
    lw_set_fd(&lw, lw_task(&lw, 10, "a", 0, 64), 0, file);
    lw_guest_open(&g, &lw, true);
    list(TCP, 1);
    struct xvmi_owner_scan *scan;
    const struct xvmi_socket_owner *owners;
    cr_assert_eq(xl_owner_scan_new(&g.guest, &scan), XVMI_OK, "%s", g.err.text);
    cr_assert_eq(xvmi_owner_scan_find(scan, sockets, &owners), 0);
    xvmi_owner_scan_free(scan);
}

Test(sockets, a_table_no_memory_could_hold_is_an_error)
{
    uint64_t a = lw_task(&lw, 10, "a", 0, 64);
    uint64_t fdt = lw_get(&lw, lw_get(&lw, a + lw.lay.task_files.off) + lw.lay.files_fdt.off);
    lw_put(&lw, fdt, fdt_max_fds, 0x7fffffff);
    lw_guest_open(&g, &lw, true);
    struct xvmi_owner_scan *scan;
    cr_assert_eq(xl_owner_scan_new(&g.guest, &scan), XVMI_ERR_LIMIT);
    cr_assert_str_eq(g.err.text, "finding the owners of sockets: process 10: a table of 2147483647 "
                                 "descriptors: more than memory could hold");
    cr_assert_null(scan);
}
