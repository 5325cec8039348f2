// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netpacket/packet.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "helper.h"

static socklen_t size_of(int family)
{
    return family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
}

static union address inet(int family, bool any, uint16_t port)
{
    union address address = {0};
    if (family == AF_INET) {
        address.v4.sin_family = AF_INET;
        address.v4.sin_port = htons(port);
        address.v4.sin_addr.s_addr = htonl(any ? INADDR_ANY : INADDR_LOOPBACK);
    } else {
        address.v6.sin6_family = AF_INET6;
        address.v6.sin6_port = htons(port);
        address.v6.sin6_addr = any ? in6addr_any : in6addr_loopback;
    }
    return address;
}

static int bound_at(int family, int type, bool any, uint16_t port)
{
    int fd = must(socket(family, type | SOCK_CLOEXEC, 0));
    union address address = inet(family, any, port);
    must(bind(fd, &address.any, size_of(family)));
    return fd;
}

static int bound(int family, int type, bool any)
{
    return bound_at(family, type, any, 0);
}

int udp_bound(int family, bool any)
{
    return bound(family, SOCK_DGRAM, any);
}

int udp_at(int family, uint16_t port)
{
    return bound_at(family, SOCK_DGRAM, false, port);
}

int udp_connected(int family, bool mapped)
{
    int fd = must(socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    union address address = inet(family, false, 9);
    if (mapped)
        inet_pton(AF_INET6, "::ffff:127.0.0.1", &address.v6.sin6_addr);
    must(connect(fd, &address.any, size_of(family)));
    return fd;
}

int tcp_listener(int family, bool any, int backlog)
{
    int fd = bound(family, SOCK_STREAM, any);
    must(listen(fd, backlog));
    return fd;
}

int tcp_connected(int listener, int *accepted)
{
    union address address;
    socklen_t size = sizeof(address);
    must(getsockname(listener, &address.any, &size));
    int fd = must(socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    must(connect(fd, &address.any, size));
    if (accepted)
        *accepted = must(accept4(listener, NULL, NULL, SOCK_CLOEXEC));
    return fd;
}

/* SYN-SENT: the listener's queue is full, so it answers nothing. */
int tcp_connecting(int family)
{
    int listener = tcp_listener(family, false, 0);
    tcp_connected(listener, NULL);
    union address address;
    socklen_t size = sizeof(address);
    must(getsockname(listener, &address.any, &size));
    int fd = must(socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    connect(fd, &address.any, size);
    return fd;
}

/* SYN-RECV: the listener defers accepting until data comes; returns the client's end. */
int tcp_request(int family)
{
    int listener = bound(family, SOCK_STREAM, false);
    must(setsockopt(listener, IPPROTO_TCP, TCP_DEFER_ACCEPT, &(int){600}, sizeof(int)));
    must(listen(listener, 8));
    return tcp_connected(listener, NULL);
}

void tcp_time_wait(int family)
{
    int listener = tcp_listener(family, false, 8), accepted;
    int fd = tcp_connected(listener, &accepted);
    truth_unowned(fd, "time-wait");
    char byte;
    close(fd);
    must(read(accepted, &byte, 1));
    close(accepted);
    close(listener);
}

/* FIN-WAIT-1 without a process: closed with more to send than the other end takes. */
void tcp_orphan(int family)
{
    int listener = tcp_listener(family, false, 8), accepted;
    int fd = tcp_connected(listener, &accepted);
    static const char block[65536];
    fcntl(fd, F_SETFL, O_NONBLOCK);
    while (write(fd, block, sizeof(block)) > 0)
        ;
    truth_unowned(fd, "fin-wait-1");
    close(fd);
    close(listener);
    truth_socket(accepted, "established");
}

int raw_socket(int family, int protocol, bool connected)
{
    int fd = must(socket(family, SOCK_RAW | SOCK_CLOEXEC, protocol));
    union address address = inet(family, false, 0);
    if (connected)
        must(connect(fd, &address.any, size_of(family)));
    return fd;
}

int ping_socket(int family)
{
    int fd = must(socket(family, SOCK_DGRAM | SOCK_CLOEXEC,
                         family == AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6));
    union address address = inet(family, false, 0);
    must(bind(fd, &address.any, size_of(family)));
    return fd;
}

int packet_socket(int type, int protocol)
{
    int fd = must(socket(AF_PACKET, type | SOCK_CLOEXEC, 0));
    struct sockaddr_ll address = {.sll_family = AF_PACKET,
                                  .sll_protocol = htons((uint16_t)protocol),
                                  .sll_ifindex = (int)if_nametoindex("lo")};
    must(bind(fd, (void *)&address, sizeof(address)));
    return fd;
}

int unix_bound(int type, bool abstract)
{
    static int count;
    int fd = must(socket(AF_UNIX, type | SOCK_CLOEXEC, 0));
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int length = snprintf(address.sun_path, sizeof(address.sun_path), "%s/tmp/helper-%d-%d",
                          abstract ? "@" : "", getpid(), count++);
    if (abstract)
        address.sun_path[0] = 0;
    must(bind(fd, (struct sockaddr *)&address,
              (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)length)));
    if (type != SOCK_DGRAM)
        must(listen(fd, 8));
    return fd;
}

void unix_pair(int type, int pair[2])
{
    must(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, pair));
}

void loopback_up(void)
{
    int fd = must(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP};
    must(ioctl(fd, SIOCSIFFLAGS, &request));
    close(fd);
    fd = must(open("/proc/sys/net/ipv4/ping_group_range", O_WRONLY | O_CLOEXEC));
    must(write(fd, "0 2147483647", 12));
    close(fd);
}
