// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "support/owner-toy.h"

#include <arpa/inet.h>

#include <criterion/criterion.h>

struct toy toy;

uint32_t toy_ip(const char *text)
{
    uint32_t addr;
    cr_assert_eq(inet_pton(AF_INET, text, &addr), 1);
    return addr;
}

void toy_set_up(void)
{
    lw_init(&toy.lw, 4 << 20);
    lw_add_address(&toy.lw, toy_ip("10.0.0.2"));
    toy.server = lw_task(&toy.lw, 10, "server", 33, 16);
    toy.client = lw_task(&toy.lw, 11, "client", 1000, 16);
}

void toy_open(void)
{
    lw_guest_open(&toy.g, &toy.lw, true);
    cr_assert_eq(xl_finder_new(&toy.g.guest, NULL, &toy.finder), XVMI_OK);
}

void toy_tear_down(void)
{
    xvmi_finder_free(toy.finder);
    lw_guest_close(&toy.g);
    lw_fini(&toy.lw);
}

struct xvmi_flow toy_flow(uint8_t proto, const char *local, uint16_t lport, const char *remote,
                          uint16_t rport)
{
    struct xvmi_flow f = {.proto = proto, .family = 2, .lport = lport, .rport = rport};
    inet_pton(AF_INET, local, f.local);
    inet_pton(AF_INET, remote, f.remote);
    return f;
}

void toy_ask(uint8_t proto, uint16_t lport, uint16_t rport)
{
    struct xvmi_flow f = toy_flow(proto, "10.0.0.2", lport, "10.0.0.1", rport);
    cr_assert_eq(xvmi_owner_find(toy.finder, &f, NULL, &toy.owner), XVMI_OK, "%s", toy.g.err.text);
}

uint64_t toy_connection(uint64_t task, uint16_t lport, uint32_t fd, uint64_t *file)
{
    uint64_t sock = lw_socket(&toy.lw, 2, XVMI_STATE_ESTABLISHED, toy_ip("10.0.0.2"), lport,
                              toy_ip("10.0.0.1"), 80, lport + 1000u, file);
    lw_hash(&toy.lw, sock);
    lw_set_cred(&toy.lw, *file, task);
    lw_set_fd(&toy.lw, task, fd, *file);
    return sock;
}

uint64_t toy_udp(uint64_t task, const char *local, uint16_t lport, uint32_t remote, uint16_t rport,
                 uint32_t fd)
{
    uint64_t file, sock = lw_socket(&toy.lw, 2, remote ? 1 : 7, toy_ip(local), lport, remote, rport,
                                    lport + fd, &file);
    lw_hash_udp(&toy.lw, sock);
    lw_set_cred(&toy.lw, file, task);
    lw_set_fd(&toy.lw, task, fd, file);
    return sock;
}
