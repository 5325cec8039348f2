/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XVMI_CLI_SOCKNAME_H
#define XVMI_CLI_SOCKNAME_H

/* Sockets in the words of `ss -n`. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <xvmi/socket.h>

enum {
    LINUX_AF_UNIX = 1,
    LINUX_AF_INET = 2,
    LINUX_AF_INET6 = 10,
};

/* "tcp", "u_str", ... */
const char *sock_proto(const struct xvmi_socket *socket);
/* "ESTAB", "LISTEN", "UNCONN", ... */
const char *sock_state(const struct xvmi_socket *socket);

bool sock_is_inet(const struct xvmi_socket *socket);

/* IPv6, an address, and "%if2" of the device it is bound to; no room for more is needed. */
#define SOCK_HOST_MAX 64

/* An end of an IP socket without its port: "10.0.0.2", "::1", "0.0.0.0%if2", and "*" for the
 * any-address of a socket that takes both families. */
void sock_host(const struct xvmi_socket *socket, bool remote, char buf[SOCK_HOST_MAX]);

/* The number behind the colon, 0 for none: the port; the protocol of a raw socket; the id of a
 * ping socket. */
uint16_t sock_port(const struct xvmi_socket *socket, bool remote);

/* What a packet socket takes: "*" for everything, "[35020]" for one ethertype. */
void sock_ethertype(const struct xvmi_socket *socket, char buf[SOCK_HOST_MAX]);

/* The name of a unix socket in buf, "" when it has none; "@name" for an abstract one, whose NULs
 * all become '@'. Any other byte can be in it. */
void sock_path(const struct xvmi_socket *socket, char buf[XVMI_UNIX_PATH_MAX + 1]);

#endif
