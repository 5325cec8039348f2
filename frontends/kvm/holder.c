// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Who holds a QMP socket that does not greet. Only for the text of an error. */
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>

#include "process.h"
#include "qmp.h"

/* Netlink messages read before giving up: a host has some thousand unix sockets. */
#define MESSAGES_MAX 4096

static bool ask_all(int nl)
{
    struct {
        struct nlmsghdr h;
        struct unix_diag_req r;
    } req = {
        .h = {.nlmsg_len = sizeof(req),
              .nlmsg_type = SOCK_DIAG_BY_FAMILY,
              .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
        .r = {.sdiag_family = AF_UNIX,
              .udiag_states = UINT32_MAX,
              .udiag_show = UDIAG_SHOW_NAME | UDIAG_SHOW_PEER},
    };
    return send(nl, &req, sizeof(req), 0) == (ssize_t)sizeof(req);
}

/*
 * The peer of an accepted connection to the listener's name, 0 when this message is of another
 * socket. Connections that wait to be accepted have no inode (net/unix/diag.c, sk_diag_fill()).
 */
static uint32_t peer_of_accepted(const char *msg, size_t len, const char *path, size_t path_len)
{
    struct unix_diag_msg d;
    uint32_t peer = 0;
    bool named = false;
    size_t pos = NLMSG_LENGTH(sizeof(d));
    if (len < pos)
        return 0;
    memcpy(&d, msg + NLMSG_HDRLEN, sizeof(d));
    while (pos <= len && len - pos >= RTA_LENGTH(0)) {
        struct rtattr a;
        memcpy(&a, msg + pos, sizeof(a));
        if (a.rta_len < RTA_LENGTH(0) || a.rta_len > len - pos)
            break;
        const char *data = msg + pos + RTA_LENGTH(0);
        size_t n = a.rta_len - RTA_LENGTH(0);
        if (a.rta_type == UNIX_DIAG_NAME)
            named = strnlen(data, n) == path_len && !memcmp(data, path, path_len);
        else if (a.rta_type == UNIX_DIAG_PEER && n >= sizeof(peer))
            memcpy(&peer, data, sizeof(peer));
        pos += RTA_ALIGN(a.rta_len);
    }
    return named && d.udiag_ino ? peer : 0;
}

/* The inode of the client that the listener at `path` serves; 0: not found. */
static uint32_t client_of(int nl, const char *path, size_t path_len)
{
    static const struct timeval second = {.tv_sec = 1};
    char buf[32768];
    setsockopt(nl, SOL_SOCKET, SO_RCVTIMEO, &second, sizeof(second));
    for (int i = 0; i < MESSAGES_MAX; i++) {
        ssize_t got = recv(nl, buf, sizeof(buf), 0);
        size_t len = got > 0 ? (size_t)got : 0, pos = 0;
        struct nlmsghdr h;
        for (; len - pos >= sizeof(h); pos += NLMSG_ALIGN(h.nlmsg_len)) {
            memcpy(&h, buf + pos, sizeof(h));
            if (h.nlmsg_type != SOCK_DIAG_BY_FAMILY || h.nlmsg_len < sizeof(h) ||
                h.nlmsg_len > len - pos)
                return 0;
            uint32_t ino = peer_of_accepted(buf + pos, h.nlmsg_len, path, path_len);
            if (ino)
                return ino;
            if (NLMSG_ALIGN(h.nlmsg_len) > len - pos)
                break;
        }
        if (!len)
            return 0;
    }
    return 0;
}

void xk_qmp_holder(int fd, char *text, size_t size)
{
    struct sockaddr_un addr = {0};
    socklen_t len = sizeof(addr);
    char path[64], comm[17] = "";
    pid_t pid = 0;
    snprintf(text, size, "another client may hold");
    int nl = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    if (nl >= 0 && !getpeername(fd, (struct sockaddr *)&addr, &len) && *addr.sun_path &&
        ask_all(nl)) {
        uint32_t ino = client_of(nl, addr.sun_path, strnlen(addr.sun_path, sizeof(addr.sun_path)));
        pid = ino ? xk_process_with_socket(ino) : 0;
    }
    if (nl >= 0)
        close(nl);
    if (!pid)
        return;
    snprintf(path, sizeof(path), "/proc/%d/comm", pid);
    FILE *f = fopen(path, "re");
    if (f && fgets(comm, sizeof(comm), f))
        comm[strcspn(comm, "\n")] = 0;
    if (f)
        fclose(f);
    snprintf(text, size, "%s (process %d) holds", *comm ? comm : "a client", pid);
}
