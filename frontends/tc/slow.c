// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/if_tun.h>

#include "slow.h"

/* Segmentation of UDP: Linux 6.2. */
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

static void no_ipv6(const char *name)
{
    char path[80];
    snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/disable_ipv6", name);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return; /* no IPv6 at all */
    (void)!write(fd, "1", 1);
    close(fd);
}

/* 0, or -errno. */
static int bring_up(struct ifreq *ifr, unsigned queue, int *ifindex)
{
    int status = 0, sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (sock < 0)
        return -errno;
    no_ipv6(ifr->ifr_name);
    ifr->ifr_qlen = (int)queue * 2; /* BPF keeps to the bound: the device itself never drops */
    if (ioctl(sock, SIOCSIFTXQLEN, ifr))
        status = -errno;
    ifr->ifr_flags = IFF_UP;
    if (!status && ioctl(sock, SIOCSIFFLAGS, ifr))
        status = -errno;
    if (!status && ioctl(sock, SIOCGIFINDEX, ifr))
        status = -errno;
    *ifindex = ifr->ifr_ifindex;
    close(sock);
    return status;
}

static int set_up(int fd, struct ifreq *ifr, unsigned queue, int *ifindex)
{
    int size = XTC_VNET_HEADER;
    unsigned offloads = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;
    if (ioctl(fd, TUNSETIFF, ifr) || ioctl(fd, TUNSETVNETHDRSZ, &size))
        return -errno;
    if (ioctl(fd, TUNSETOFFLOAD, (unsigned long)offloads | TUN_F_USO4 | TUN_F_USO6) &&
        ioctl(fd, TUNSETOFFLOAD, (unsigned long)offloads))
        return -errno;
    return bring_up(ifr, queue, ifindex);
}

enum xvmi_status xtc_slow_open(int dev, bool incoming, unsigned queue, int *fd, int *ifindex,
                               struct xvmi_error *err)
{
    struct ifreq ifr = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
    *fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (*fd < 0)
        return xvmi_error_set(err, errno == ENOENT ? XVMI_ERR_UNSUPPORTED : XVMI_ERR_PERMISSION,
                              "/dev/net/tun: %s", strerror(errno));
    snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "xvmi%d%s", dev, incoming ? "i" : "");
    int status = set_up(*fd, &ifr, queue, ifindex);
    if (!status)
        return XVMI_OK;
    close(*fd);
    *fd = -1;
    if (status == -EBUSY)
        return xvmi_error_set(err, XVMI_ERR_LIMIT, "another xvmi filters this device");
    return xvmi_error_set(err, status == -EPERM ? XVMI_ERR_PERMISSION : XVMI_ERR_IO,
                          "cannot make the device for held frames: %s", strerror(-status));
}
