// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "process.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>

static bool ask_diag(int nl, uint32_t ino)
{
    struct {
        struct nlmsghdr h;
        struct unix_diag_req r;
    } req = {
        .h = {.nlmsg_len = sizeof(req),
              .nlmsg_type = SOCK_DIAG_BY_FAMILY,
              .nlmsg_flags = NLM_F_REQUEST},
        .r = {.sdiag_family = AF_UNIX,
              .udiag_states = UINT32_MAX,
              .udiag_ino = ino,
              .udiag_show = UDIAG_SHOW_PEER,
              .udiag_cookie = {UINT32_MAX, UINT32_MAX}},
    };
    return send(nl, &req, sizeof(req), 0) == (ssize_t)sizeof(req);
}

/* The value of UNIX_DIAG_PEER in an answer, 0 when it has none. */
static uint32_t peer_in(const char *buf, size_t len)
{
    struct nlmsghdr h;
    uint32_t ino = 0;
    size_t pos = NLMSG_LENGTH(sizeof(struct unix_diag_msg));
    if (len < pos)
        return 0;
    memcpy(&h, buf, sizeof(h));
    if (h.nlmsg_type != SOCK_DIAG_BY_FAMILY || h.nlmsg_len > len)
        return 0;
    while (pos < h.nlmsg_len && h.nlmsg_len - pos >= RTA_LENGTH(sizeof(ino))) {
        struct rtattr a;
        memcpy(&a, buf + pos, sizeof(a));
        if (a.rta_type == UNIX_DIAG_PEER && a.rta_len >= RTA_LENGTH(sizeof(ino)))
            memcpy(&ino, buf + pos + RTA_LENGTH(0), sizeof(ino));
        pos += a.rta_len ? RTA_ALIGN(a.rta_len) : RTA_LENGTH(0);
    }
    return ino;
}

/* The inode of fd's peer; 0 when the kernel does not tell (CONFIG_UNIX_DIAG). Looked up in this
 * network namespace, where fd lives; the peer may be in another one. */
static uint32_t peer_inode(int fd)
{
    struct stat st;
    if (fstat(fd, &st))
        return 0;
    int nl = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    if (nl < 0)
        return 0;
    char buf[4096];
    ssize_t n = -1;
    if (ask_diag(nl, (uint32_t)st.st_ino))
        n = recv(nl, buf, sizeof(buf), 0);
    close(nl);
    return n > 0 ? peer_in(buf, (size_t)n) : 0;
}

/* Whether one of pid's descriptors is the socket with this inode. */
static bool holds_socket(pid_t pid, uint32_t ino)
{
    char path[64], want[64], link[64];
    snprintf(path, sizeof(path), "/proc/%d/fd", pid);
    snprintf(want, sizeof(want), "socket:[%" PRIu32 "]", ino);
    DIR *dir = opendir(path);
    if (!dir)
        return false;
    bool found = false;
    for (struct dirent *e; !found && (e = readdir(dir)) != NULL;) {
        ssize_t n = readlinkat(dirfd(dir), e->d_name, link, sizeof(link) - 1);
        link[n > 0 ? n : 0] = 0;
        found = !strcmp(link, want);
    }
    closedir(dir);
    return found;
}

pid_t xk_process_with_socket(uint32_t ino)
{
    DIR *dir = opendir("/proc");
    if (!dir)
        return 0;
    pid_t found = 0;
    for (struct dirent *e; !found && (e = readdir(dir)) != NULL;) {
        char *end;
        long pid = strtol(e->d_name, &end, 10);
        if (pid > 0 && pid <= INT32_MAX && !*end && holds_socket((pid_t)pid, ino))
            found = (pid_t)pid;
    }
    closedir(dir);
    return found;
}

/* Who called listen(), or made the socket pair; 0 when it lives in a foreign pid namespace. */
static pid_t credentials(int fd)
{
    struct ucred cred = {0};
    socklen_t len = sizeof(cred);
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) ? 0 : cred.pid;
}

/* Hold `pid` if it has the peer socket: looking while it is held proves that it was this one. */
static bool try_open(pid_t pid, uint32_t ino, struct xk_process *process)
{
    if (pid <= 0 || xk_process_open(pid, process, NULL))
        return false;
    if ((!ino || holds_socket(pid, ino)) && !xk_process_check(process, NULL))
        return true;
    xk_process_close(process);
    return false;
}

enum xvmi_status xk_process_of_socket(int fd, struct xk_process *process, struct xvmi_error *err)
{
    pid_t listener = credentials(fd);
    uint32_t ino = peer_inode(fd);
    if (try_open(listener, ino, process) ||
        (ino && try_open(xk_process_with_socket(ino), ino, process)))
        return XVMI_OK;
    return xvmi_error_set(err, XVMI_ERR_PERMISSION,
                          "cannot see which process serves the socket (process %d listens): run "
                          "as root or with CAP_SYS_PTRACE, in QEMU's pid namespace or above it",
                          listener);
}
