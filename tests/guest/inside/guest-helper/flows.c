// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* A flow of every kind, and who is behind it. */
#include <arpa/inet.h>
#include <errno.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "helper.h"

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif
enum { unused_proto = 99, shared_port = 7000, sctp_port = 7132 };

static const int families[] = {AF_INET, AF_INET6};

static const char *any(int family)
{
    return family == AF_INET ? "0.0.0.0" : "::";
}

static const char *gateway(int family)
{
    return family == AF_INET ? "10.0.0.1" : "fd00::1";
}

static void connect_to(int fd, int family, const char *host, uint16_t port)
{
    union address address = flow_address(family, host, port);
    must(connect(fd, &address.any, flow_size(family)));
}

static int listener(int family, int proto, const char *host, int backlog)
{
    int fd = flow_bound(family, SOCK_STREAM, proto, host, 0);
    must(listen(fd, backlog));
    return fd;
}

/* --- TCP --- */

static int connection(int listening, int proto)
{
    union address address;
    socklen_t size = sizeof(address);
    must(getsockname(listening, &address.any, &size));
    int fd = must(socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, proto));
    must(connect(fd, &address.any, size));
    return fd;
}

/* The server's side of a connection, which the holder of `fd` answers for. */
static void other_side(const char *name, int family, int client, int fd)
{
    struct flow flow = flow_turned(flow_of(name, family, IPPROTO_TCP, client));
    flow_say(&flow);
    flow_held(&flow, fd);
}

static void tcp_pair(int family, int proto, const char *const names[3])
{
    int listening = listener(family, proto, NULL, 8);
    flow_mine(names[0], family, IPPROTO_TCP, listening);
    int client = connection(listening, proto);
    int accepted = must(accept4(listening, NULL, NULL, SOCK_CLOEXEC));
    flow_mine(names[1], family, IPPROTO_TCP, client);
    other_side(names[2], family, client, accepted);
}

static void tcp_family(int family)
{
    tcp_pair(family, 0, (const char *const[]){"TCP listens", "TCP client", "TCP accepted"});
    flow_mine("TCP listens on any", family, IPPROTO_TCP, listener(family, 0, any(family), 8));

    int listening = listener(family, 0, NULL, 8);
    other_side("TCP not accepted", family, connection(listening, 0), listening);

    listening = flow_bound(family, SOCK_STREAM, 0, NULL, 0);
    must(setsockopt(listening, IPPROTO_TCP, TCP_DEFER_ACCEPT, &(int){600}, sizeof(int)));
    must(listen(listening, 8));
    other_side("TCP request", family, connection(listening, 0), listening);

    listening = listener(family, 0, NULL, 0);
    connection(listening, 0); /* now its queue is full, and it answers nobody */
    int fd = must(socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    union address address;
    socklen_t size = sizeof(address);
    must(getsockname(listening, &address.any, &size));
    connect(fd, &address.any, size);
    struct flow flow = flow_of("TCP connects", family, IPPROTO_TCP, fd);
    flow.remote = address; /* getpeername() does not say it yet */
    flow_say(&flow);
    flow_held(&flow, fd);
}

static void tcp_body(void)
{
    for (int i = 0; i < 2; i++)
        tcp_family(families[i]);
    /* IPv4 by sockets of IPv6 */
    int listening = listener(AF_INET6, 0, "::", 8);
    flow_mine("TCP listens by IPv6", AF_INET, IPPROTO_TCP, listening);
    union address address;
    socklen_t size = sizeof(address);
    must(getsockname(listening, &address.any, &size));
    int client = must(socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
    connect_to(client, AF_INET6, "::ffff:10.0.0.2", ntohs(address.v6.sin6_port));
    int accepted = must(accept4(listening, NULL, NULL, SOCK_CLOEXEC));
    flow_mine("TCP client by IPv6", AF_INET, IPPROTO_TCP, client);
    other_side("TCP accepted by IPv6", AF_INET, client, accepted);
}

static void mptcp_body(void)
{
    for (int i = 0; i < 2; i++) {
        int fd = socket(families[i], SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_MPTCP);
        if (fd < 0) {
            truth_line("{\"kind\": \"missing\", \"name\": \"MPTCP: %s\"}\n", strerror(errno));
            return;
        }
        close(fd);
        tcp_pair(families[i], IPPROTO_MPTCP,
                 (const char *const[]){"MPTCP listens", "MPTCP client", "MPTCP accepted"});
        int listening = listener(families[i], IPPROTO_MPTCP, NULL, 8);
        other_side("MPTCP not accepted", families[i], connection(listening, IPPROTO_MPTCP),
                   listening);
    }
}

/* --- UDP --- */

static int udp(int family, const char *host)
{
    return flow_bound(family, SOCK_DGRAM, 0, host, 0);
}

static void udp_family(int family)
{
    flow_mine("UDP bound", family, IPPROTO_UDP, udp(family, NULL));
    flow_mine("UDP bound to any", family, IPPROTO_UDP, udp(family, any(family)));
    int fd = udp(family, any(family));
    connect_to(fd, family, gateway(family), 9);
    flow_mine("UDP connected", family, IPPROTO_UDP, fd);
}

static void udp_body(void)
{
    for (int i = 0; i < 2; i++)
        udp_family(families[i]);
    flow_mine("UDP by IPv6", AF_INET, IPPROTO_UDP, udp(AF_INET6, "::"));
    int fd = udp(AF_INET6, "::");
    connect_to(fd, AF_INET6, "::ffff:10.0.0.1", 9);
    flow_mine("UDP connected by IPv6", AF_INET, IPPROTO_UDP, fd);
    fd = udp(AF_INET6, "::ffff:10.0.0.2");
    flow_mine("UDP bound by IPv6", AF_INET, IPPROTO_UDP, fd);
}

/* Sockets of two processes at one port: what is received is for the one that fits best, what is
 * sent may be from each that may send there. */
static const char bound_beside[] = "UDP bound beside one on any";
static const char connected_beside[] = "UDP connected beside one on any";

/* On any address of this family alone. */
static int on_any(int family, uint16_t port)
{
    int fd = must(socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0)), on = 1;
    union address address = flow_address(family, any(family), port);
    must(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)));
    if (family == AF_INET6)
        must(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)));
    must(bind(fd, &address.any, flow_size(family)));
    return fd;
}

static void beside_body(void)
{
    for (int i = 0; i < 2; i++) {
        const int family = families[i];
        int fd = flow_bound(family, SOCK_DGRAM, 0, NULL, shared_port);
        flow_mine(bound_beside, family, IPPROTO_UDP, fd);
        struct flow received = flow_of("UDP received beside one on any", family, IPPROTO_UDP, fd);
        received.in = true;
        flow_say(&received);
        flow_held(&received, fd);
        fd = on_any(family, shared_port + 1);
        flow_mine("UDP on any beside a connected one", family, IPPROTO_UDP, fd);
        flow_held(&(struct flow){.name = connected_beside, .family = family}, fd);
    }
}

static void beside_them_body(void)
{
    for (int i = 0; i < 2; i++) {
        const int family = families[i];
        int fd = on_any(family, shared_port);
        flow_held(&(struct flow){.name = bound_beside, .family = family}, fd);
        fd = on_any(family, shared_port + 1);
        connect_to(fd, family, gateway(family), 5353);
        flow_mine(connected_beside, family, IPPROTO_UDP, fd);
    }
}

static void in_group(int family, bool say)
{
    int fd = must(socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0)), on = 1;
    union address address = flow_address(family, NULL, shared_port + 2);
    must(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)));
    must(bind(fd, &address.any, flow_size(family)));
    struct flow flow = flow_of("UDP, SO_REUSEPORT", family, IPPROTO_UDP, fd);
    if (say)
        flow_say(&flow);
    flow_held(&flow, fd);
}

static void reuseport_body(void)
{
    bool first = true;
    for (int i = 0; i < 2; i++)
        if (must(fork()) == 0) {
            first = false;
            break;
        }
    in_group(AF_INET, first);
    in_group(AF_INET6, first);
    if (!first)
        rest();
}

static void udplite_body(void)
{
    for (int i = 0; i < 2; i++) {
        int fd = socket(families[i], SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_UDPLITE);
        if (fd < 0) {
            truth_line("{\"kind\": \"missing\", \"name\": \"UDP-Lite: %s\"}\n", strerror(errno));
            return;
        }
        close(fd);
        fd = flow_bound(families[i], SOCK_DGRAM, IPPROTO_UDPLITE, NULL, 0);
        flow_mine("UDP-Lite", families[i], IPPROTO_UDPLITE, fd);
    }
}

/* --- SCTP --- */

#define SCTP_GET_ASSOC_ID_LIST_ 29 /* include/uapi/linux/sctp.h */
#define SCTP_SOCKOPT_PEELOFF_   102

/* Before 5.11 kernels keep no types of their modules. */
static const char *sctp_expects(void)
{
    return access("/sys/kernel/btf/sctp", F_OK) ? "unsupported" : "process";
}

static void sctp_flow(struct flow flow, int fd)
{
    flow.expect = sctp_expects();
    flow_say(&flow);
    if (!strcmp(flow.expect, "process"))
        flow_held(&flow, fd);
}

/* What a client of `listening` sends. */
static struct flow sctp_client(const char *name, int listening, int fd)
{
    union address server;
    socklen_t size = sizeof(server);
    must(getsockname(listening, &server.any, &size));
    struct flow flow = flow_of(name, server.any.sa_family, IPPROTO_SCTP, fd);
    flow.remote = server;
    return flow;
}

static struct flow named(struct flow flow, const char *name)
{
    flow.name = name;
    return flow;
}

/* One socket a connection, as in TCP. */
static void sctp_one_to_one(int family)
{
    int listening = flow_bound(family, SOCK_STREAM, IPPROTO_SCTP, NULL, sctp_port);
    must(listen(listening, 8));
    sctp_flow(flow_of("SCTP listens", family, IPPROTO_SCTP, listening), listening);
    for (int i = 0; i < 2; i++) {
        int client = connection(listening, IPPROTO_SCTP);
        struct flow flow = sctp_client(i ? "SCTP client 2" : "SCTP client", listening, client);
        int accepted = must(accept4(listening, NULL, NULL, SOCK_CLOEXEC));
        sctp_flow(flow, client);
        sctp_flow(named(flow_turned(flow), i ? "SCTP accepted 2" : "SCTP accepted"), accepted);
    }
    int client = connection(listening, IPPROTO_SCTP);
    sctp_flow(named(flow_turned(sctp_client("", listening, client)), "SCTP not accepted"),
              listening);
}

/* Takes the association that came first out of a socket of many. */
static int peel_off(int many)
{
    struct {
        uint32_t n;
        int32_t id[16];
    } list = {0};
    struct {
        int32_t id;
        int fd;
    } peeled = {0};
    socklen_t size = sizeof(list);
    must(getsockopt(many, IPPROTO_SCTP, SCTP_GET_ASSOC_ID_LIST_, &list, &size));
    peeled.id = list.id[0];
    size = sizeof(peeled);
    return must(getsockopt(many, IPPROTO_SCTP, SCTP_SOCKOPT_PEELOFF_, &peeled, &size));
}

/* One socket for all peers, of either side. */
static void sctp_one_to_many(int family)
{
    static const char *const names[] = {"SCTP peeled off", "SCTP of many", "SCTP of many 2"};
    int many = flow_bound(family, SOCK_SEQPACKET, IPPROTO_SCTP, any(family), 0);
    must(listen(many, 8));
    struct flow at = flow_of("", family, IPPROTO_SCTP, many), flows[3];
    for (int i = 0; i < 3; i++) {
        int client = flow_bound(family, SOCK_SEQPACKET, IPPROTO_SCTP, NULL, 0);
        connect_to(client, family, NULL, ntohs(at.local.v4.sin_port));
        flows[i] = flow_of("SCTP to many", family, IPPROTO_SCTP, client);
        flows[i].remote = at.local;
        if (!i)
            sctp_flow(flows[i], client);
    }
    int peeled = peel_off(many);
    for (int i = 0; i < 3; i++)
        sctp_flow(named(flow_turned(flows[i]), names[i]), i ? many : peeled);
}

static void sctp_body(void)
{
    for (int i = 0; i < 2; i++) {
        int fd = socket(families[i], SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_SCTP);
        if (fd < 0) {
            truth_line("{\"kind\": \"missing\", \"name\": \"SCTP: %s\"}\n", strerror(errno));
            return;
        }
        close(fd);
        sctp_one_to_one(families[i]);
        sctp_one_to_many(families[i]);
    }
}

/* --- received by many --- */

static void received(const char *name, int family, const char *group, int fd)
{
    struct flow flow = flow_of(name, family, IPPROTO_UDP, fd);
    flow.local = flow_address(family, group, ntohs(flow.local.v4.sin_port));
    flow.in = true;
    flow_say(&flow);
    flow_held(&flow, fd);
}

static void multicast_body(void)
{
    struct ip_mreqn request = {.imr_ifindex = (int)if_nametoindex("eth0")};
    inet_pton(AF_INET, "239.1.2.3", &request.imr_multiaddr);
    int fd = udp(AF_INET, "0.0.0.0");
    must(setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &request, sizeof(request)));
    received("multicast on any", AF_INET, "239.1.2.3", fd);
    fd = udp(AF_INET, "239.1.2.3");
    must(setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &request, sizeof(request)));
    received("multicast on the group", AF_INET, "239.1.2.3", fd);

    struct ipv6_mreq request6 = {.ipv6mr_interface = if_nametoindex("eth0")};
    inet_pton(AF_INET6, "ff05::123", &request6.ipv6mr_multiaddr);
    fd = udp(AF_INET6, "::");
    must(setsockopt(fd, IPPROTO_IPV6, IPV6_ADD_MEMBERSHIP, &request6, sizeof(request6)));
    received("multicast on any", AF_INET6, "ff05::123", fd);
    fd = udp(AF_INET6, "ff05::123");
    must(setsockopt(fd, IPPROTO_IPV6, IPV6_ADD_MEMBERSHIP, &request6, sizeof(request6)));
    received("multicast on the group", AF_INET6, "ff05::123", fd);
}

static void broadcast_body(void)
{
    int fd = udp(AF_INET, "0.0.0.0");
    received("broadcast to all", AF_INET, "255.255.255.255", fd);
    received("broadcast to the net", AF_INET, "10.0.0.255", fd);
    received("broadcast to the net's address", AF_INET, "10.0.0.255", udp(AF_INET, "10.0.0.255"));
}

/* --- without ports --- */

static int raw(int family, int proto)
{
    return must(socket(family, SOCK_RAW | SOCK_CLOEXEC, proto));
}

static void raw_body(void)
{
    static const char *const hosts[] = {"10.0.0.77", "fd00::77"};
    for (int i = 0; i < 2; i++) {
        const int family = families[i];
        flow_mine("raw", family, unused_proto, raw(family, unused_proto));
        int fd = raw(family, unused_proto + 1);
        union address address = flow_address(family, NULL, 0);
        must(bind(fd, &address.any, flow_size(family)));
        flow_mine("raw bound", family, unused_proto + 1, fd);
        fd = raw(family, unused_proto + 2);
        connect_to(fd, family, gateway(family), 9);
        flow_mine("raw connected", family, unused_proto + 2, fd);
        /* Connected, or it would explain everything. */
        fd = raw(family, IPPROTO_RAW);
        connect_to(fd, family, hosts[i], 9);
        flow_mine("IPPROTO_RAW", family, unused_proto + 3, fd);
        struct flow flow = flow_of("TCP from IPPROTO_RAW", family, IPPROTO_TCP, fd);
        flow.local.v4.sin_port = flow.remote.v4.sin_port = htons(5);
        flow_say(&flow);
        flow_held(&flow, fd);
    }
}

static void ping_body(void)
{
    static const int protos[] = {IPPROTO_ICMP, IPPROTO_ICMPV6};
    for (int i = 0; i < 2; i++) {
        flow_mine("ping on any", families[i], protos[i],
                  flow_bound(families[i], SOCK_DGRAM, protos[i], any(families[i]), 0));
        flow_mine("ping bound", families[i], protos[i],
                  flow_bound(families[i], SOCK_DGRAM, protos[i], NULL, 0));
        int fd = must(socket(families[i], SOCK_DGRAM | SOCK_CLOEXEC, protos[i]));
        connect_to(fd, families[i], gateway(families[i]), 9);
        flow_mine("ping connected", families[i], protos[i], fd);
    }
}

/* The only address of a namespace where nobody but a packet socket can send. */
static void packet_body(void)
{
    must(unshare(CLONE_NEWNET));
    loopback_up();
    int fd = must(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    struct ifreq request = {.ifr_name = "lo:1"};
    const union address address = flow_address(AF_INET, "10.7.0.1", 0);
    memcpy(&request.ifr_addr, &address.v4, sizeof(address.v4));
    must(ioctl(fd, SIOCSIFADDR, &request));
    close(fd);
    fd = packet_socket(SOCK_RAW, ETH_P_ALL);
    struct flow flow = {.name = "packet socket",
                        .family = AF_INET,
                        .proto = IPPROTO_UDP,
                        .expect = "process",
                        .local = flow_address(AF_INET, "10.7.0.1", 53),
                        .remote = flow_address(AF_INET, "10.0.0.1", 53)};
    flow_say(&flow);
    flow_held(&flow, fd);
}

static const char *unknown_sctp(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_SCTP); /* loads the module */
    if (fd < 0)
        return "none";
    close(fd);
    return strcmp(sctp_expects(), "process") ? sctp_expects() : "none";
}

/* Nobody's, or nobody knows. */
static void nobodys(void)
{
    struct flow flow = {.family = AF_INET,
                        .local = flow_address(AF_INET, NULL, 5),
                        .remote = flow_address(AF_INET, "10.0.0.1", 6)};
    const struct {
        const char *name;
        int proto;
        const char *expect;
    } cases[] = {{"forged SCTP", IPPROTO_SCTP, unknown_sctp()},
                 {"forged TCP", IPPROTO_TCP, "none"},
                 {"forged UDP", IPPROTO_UDP, "none"},
                 {"forged ICMP", IPPROTO_ICMP, "none"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        flow.name = cases[i].name;
        flow.proto = cases[i].proto;
        flow.expect = cases[i].expect;
        flow_say(&flow);
    }
}

void flows(void)
{
    actor("flows-tcp", alice, "/flows.slice/tcp", tcp_body);
    actor("flows-mptcp", bob, "/flows.slice/mptcp", mptcp_body);
    actor("flows-udp", alice, "/flows.slice/udp", udp_body);
    actor("flows-beside", alice, "/flows.slice/udp", beside_body);
    actor("flows-beside-2", alice, "/flows.slice/udp", beside_them_body);
    actor("flows-group", www_data, "/flows.slice/udp", reuseport_body);
    actor("flows-udplite", bob, "/flows.slice/udp", udplite_body);
    actor("flows-sctp", alice, "/flows.slice/sctp", sctp_body);
    actor("flows-multi", carol, "/flows.slice/multi", multicast_body);
    actor("flows-broad", carol, "/flows.slice/multi", broadcast_body);
    actor("flows-raw", root, "/flows.slice/raw", raw_body);
    actor("flows-ping", bob, "/flows.slice/raw", ping_body);
    actor("flows-packet", root, "/flows.slice/raw", packet_body);
    nobodys();
    hidden_flows();
}
