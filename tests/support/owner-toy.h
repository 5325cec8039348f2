/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef OWNER_TOY_H
#define OWNER_TOY_H

/* The toy kernel with two processes, server (pid 10) and client (pid 11), and a finder on it: for
 * tests of the owner look-up. Its address is 10.0.0.2. */

#include "os/linux/owner.h"
#include "support/linux-guest.h"

extern struct toy {
    struct lw lw;
    struct lw_guest g;
    struct xvmi_finder *finder;
    struct xvmi_owner owner; /* the last answer */
    uint64_t server, client;
} toy;

void toy_set_up(void);
void toy_open(void); /* when all is written that must be there from the beginning */
void toy_tear_down(void);

uint32_t toy_ip(const char *text);
struct xvmi_flow toy_flow(uint8_t proto, const char *local, uint16_t lport, const char *remote,
                          uint16_t rport);
/* From 10.0.0.2:lport to 10.0.0.1:rport, into toy.owner; must succeed. */
void toy_ask(uint8_t proto, uint16_t lport, uint16_t rport);

/* A connection from lport to port 80, opened by `task`, as its descriptor fd; its inode number is
 * lport + 1000. */
uint64_t toy_connection(uint64_t task, uint16_t lport, uint32_t fd, uint64_t *file);
/* A UDP socket; remote 0: not connected. */
uint64_t toy_udp(uint64_t task, const char *local, uint16_t lport, uint32_t remote, uint16_t rport,
                 uint32_t fd);

#endif
