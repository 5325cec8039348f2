// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Network devices come and go. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/rtnetlink.h>

#include "tc.h"

enum xvmi_status xtc_links_open(int *fd, struct xvmi_error *err)
{
    const struct sockaddr_nl at = {.nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK};
    *fd = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_ROUTE);
    if (*fd >= 0 && !bind(*fd, (const struct sockaddr *)&at, sizeof(at)))
        return XVMI_OK;
    xvmi_error_set(err, XVMI_ERR_IO, "netlink: %s", strerror(errno));
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
    return XVMI_ERR_IO;
}

bool xtc_links_changed(int fd)
{
    char buffer[8192];
    bool heard = false;
    while (recv(fd, buffer, sizeof(buffer), 0) > 0 || errno == ENOBUFS)
        heard = true;
    return heard;
}
