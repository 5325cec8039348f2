// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "sockname.h"

const char *sock_proto(const struct xvmi_socket *socket)
{
    switch (socket->kind) {
    case XVMI_SOCKET_TCP:
        return "tcp";
    case XVMI_SOCKET_UDP:
        return "udp";
    case XVMI_SOCKET_UDPLITE:
        return "udplite";
    case XVMI_SOCKET_SCTP:
        return "sctp";
    case XVMI_SOCKET_RAW:
        return "raw";
    case XVMI_SOCKET_PING:
        return "icmp";
    case XVMI_SOCKET_PACKET:
        return socket->type == 3 ? "p_raw" : "p_dgr";
    case XVMI_SOCKET_UNIX:
        return socket->type == 1 ? "u_str" : socket->type == 5 ? "u_seq" : "u_dgr";
    default:
        return "unknown";
    }
}

const char *sock_state(const struct xvmi_socket *socket)
{
    static const char *const names[] = {
        [XVMI_STATE_ESTABLISHED] = "ESTAB",    [XVMI_STATE_SYN_SENT] = "SYN-SENT",
        [XVMI_STATE_SYN_RECV] = "SYN-RECV",    [XVMI_STATE_FIN_WAIT1] = "FIN-WAIT-1",
        [XVMI_STATE_FIN_WAIT2] = "FIN-WAIT-2", [XVMI_STATE_TIME_WAIT] = "TIME-WAIT",
        [XVMI_STATE_CLOSE] = "UNCONN",         [XVMI_STATE_CLOSE_WAIT] = "CLOSE-WAIT",
        [XVMI_STATE_LAST_ACK] = "LAST-ACK",    [XVMI_STATE_LISTEN] = "LISTEN",
        [XVMI_STATE_CLOSING] = "CLOSING",      [XVMI_STATE_NEW_SYN_RECV] = "SYN-RECV",
    };
    if (socket->state < sizeof(names) / sizeof(*names) && names[socket->state])
        return names[socket->state];
    return "UNKNOWN";
}

bool sock_is_inet(const struct xvmi_socket *socket)
{
    return socket->family == LINUX_AF_INET || socket->family == LINUX_AF_INET6;
}

void sock_host(const struct xvmi_socket *socket, bool remote, char buf[SOCK_HOST_MAX])
{
    static const uint8_t any[16];
    const uint8_t *addr = remote ? socket->remote : socket->local;

    if (socket->family == LINUX_AF_INET)
        inet_ntop(AF_INET, addr, buf, SOCK_HOST_MAX);
    else if (!socket->v6only && !memcmp(addr, any, sizeof(any)))
        strcpy(buf, "*");
    else
        inet_ntop(AF_INET6, addr, buf, SOCK_HOST_MAX);
    if (socket->ifindex && !remote) {
        size_t used = strlen(buf);
        snprintf(buf + used, SOCK_HOST_MAX - used, "%%if%u", socket->ifindex);
    }
}

uint16_t sock_port(const struct xvmi_socket *socket, bool remote)
{
    if (socket->kind == XVMI_SOCKET_RAW)
        return remote ? 0 : socket->protocol;
    return remote ? socket->rport : socket->lport;
}

void sock_ethertype(const struct xvmi_socket *socket, char buf[SOCK_HOST_MAX])
{
    if (socket->protocol == 3) /* ETH_P_ALL */
        strcpy(buf, "*");
    else
        snprintf(buf, SOCK_HOST_MAX, "[%u]", socket->protocol);
}

void sock_path(const struct xvmi_socket *socket, char buf[XVMI_UNIX_PATH_MAX + 1])
{
    size_t len = socket->path_len <= XVMI_UNIX_PATH_MAX ? socket->path_len : XVMI_UNIX_PATH_MAX;
    memcpy(buf, socket->path, len);
    buf[len] = 0;
    if (len && !buf[0])
        for (size_t i = 0; i < len; i++)
            if (!buf[i])
                buf[i] = '@';
}
