// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Flows as they are on the wire, who holds their sockets, and what there is to be said of them. */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "helper.h"

socklen_t flow_size(int family)
{
    return family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
}

union address flow_address(int family, const char *host, uint16_t port)
{
    union address address = {.any = {.sa_family = (sa_family_t)family}};
    address.v4.sin_port = htons(port); /* where sin6_port is */
    if (!host)
        host = family == AF_INET ? "10.0.0.2" : "fd00::2";
    if (inet_pton(family, host,
                  family == AF_INET ? (void *)&address.v4.sin_addr
                                    : (void *)&address.v6.sin6_addr) != 1)
        die(host);
    return address;
}

int flow_bound(int family, int type, int proto, const char *host, uint16_t port)
{
    int fd = must(socket(family, type | SOCK_CLOEXEC, proto)), on = 1;
    union address address = flow_address(family, host, port);
    /* Before, the kernel could take a port of ours when asked for any. */
    if (type == SOCK_DGRAM && port)
        must(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)));
    must(bind(fd, &address.any, flow_size(family)));
    if (type == SOCK_DGRAM && !port)
        must(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)));
    return fd;
}

static bool is_any(const union address *address)
{
    return address->any.sa_family == AF_INET ? !address->v4.sin_addr.s_addr
                                             : IN6_IS_ADDR_UNSPECIFIED(&address->v6.sin6_addr);
}

struct flow flow_of(const char *name, int family, int proto, int fd)
{
    struct flow flow = {.name = name, .family = family, .proto = proto, .expect = "process"};
    socklen_t size = sizeof(flow.local);
    must(getsockname(fd, &flow.local.any, &size));
    if (is_any(&flow.local))
        flow.local = flow_address(family, NULL, ntohs(flow.local.v4.sin_port));
    size = sizeof(flow.remote);
    if (getpeername(fd, &flow.remote.any, &size) < 0)
        flow.remote = flow_address(family, family == AF_INET ? "10.0.0.1" : "fd00::1", 9);
    return flow;
}

struct flow flow_turned(struct flow flow)
{
    const union address local = flow.local;
    flow.local = flow.remote;
    flow.remote = local;
    return flow;
}

/* IPv4 in an IPv6 address is IPv4 on the wire. */
static void address_text(const union address *address, char text[INET6_ADDRSTRLEN])
{
    if (address->any.sa_family == AF_INET)
        inet_ntop(AF_INET, &address->v4.sin_addr, text, INET6_ADDRSTRLEN);
    else if (IN6_IS_ADDR_V4MAPPED(&address->v6.sin6_addr))
        inet_ntop(AF_INET, &address->v6.sin6_addr.s6_addr[12], text, INET6_ADDRSTRLEN);
    else
        inet_ntop(AF_INET6, &address->v6.sin6_addr, text, INET6_ADDRSTRLEN);
}

static int ip_version(const struct flow *flow)
{
    return flow->family == AF_INET ? 4 : 6;
}

/* Raw sockets have the protocol where others have a port, and a port of 0 as a peer. */
static bool has_ports(int proto)
{
    return proto == IPPROTO_TCP || proto == IPPROTO_UDP || proto == IPPROTO_UDPLITE ||
           proto == IPPROTO_SCTP;
}

static bool has_id(int proto)
{
    return proto == IPPROTO_ICMP || proto == IPPROTO_ICMPV6;
}

void flow_say(const struct flow *flow)
{
    char local[INET6_ADDRSTRLEN], remote[INET6_ADDRSTRLEN];
    address_text(&flow->local, local);
    address_text(&flow->remote, remote);
    truth_line("{\"kind\": \"flow\", \"name\": \"%s, IPv%d\", \"proto\": %d, \"local\": \"%s\", "
               "\"lport\": %d, \"remote\": \"%s\", \"rport\": %d, \"in\": %d, \"expect\": \"%s\", "
               "\"orphan\": \"%s\", \"via\": \"%s\"}\n",
               flow->name, ip_version(flow), flow->proto, local,
               has_ports(flow->proto) || has_id(flow->proto) ? ntohs(flow->local.v4.sin_port) : 0,
               remote, has_ports(flow->proto) ? ntohs(flow->remote.v4.sin_port) : 0, flow->in,
               flow->expect, flow->orphan ? flow->orphan : "no", flow->via ? flow->via : "");
}

void flow_held_by(const struct flow *flow, int fd, pid_t pid)
{
    struct stat status;
    must(fstat(fd, &status));
    truth_line("{\"kind\": \"holder\", \"name\": \"%s, IPv%d\", \"pid\": %d, \"fd\": %d, "
               "\"ino\": %lu}\n",
               flow->name, ip_version(flow), pid, fd, (unsigned long)status.st_ino);
}

void flow_held(const struct flow *flow, int fd)
{
    flow_held_by(flow, fd, truth_pid());
}

void flow_mine(const char *name, int family, int proto, int fd)
{
    const struct flow flow = flow_of(name, family, proto, fd);
    flow_say(&flow);
    flow_held(&flow, fd);
}
