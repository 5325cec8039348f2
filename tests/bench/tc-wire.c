// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <bpf/libbpf.h>
#include <net/if.h>
#include <netinet/in.h>

#include "support/netbox.h"
#include "tc-wire.h"

#define PORT     8000
#define AT_ONCE  64
#define SECONDS  1.0
#define REQUEST  100
#define RESPONSE 1000

static int ours = -1, guests = -1; /* network namespaces */

static void check(bool good, const char *what)
{
    if (good)
        return;
    perror(what);
    exit(1);
}

void tc_wire_attach(const char *dev, int prog)
{
    char command[100];
    snprintf(command, sizeof(command), "ip link set %s up", dev);
    check(!system(command), command);
    LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)if_nametoindex(dev),
                .attach_point = BPF_TC_INGRESS);
    LIBBPF_OPTS(bpf_tc_opts, opts, .prog_fd = prog, .handle = 1, .priority = 1);
    check(!bpf_tc_hook_create(&hook) && !bpf_tc_attach(&hook, &opts), dev);
}

void tc_wire_hosts(void)
{
    char command[300];
    ours = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    check(ours >= 0 && !unshare(CLONE_NEWNET), "network namespace");
    guests = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    check(guests >= 0, "network namespace");
    /* The pair is made here, and its other end moved to where we came from. */
    snprintf(command, sizeof(command),
             "ip link add eth0 type veth peer name veth0 && ip addr add 10.9.0.2/24 dev eth0 &&"
             " ip link set eth0 up && ip link set veth0 netns /proc/%d/fd/%d",
             getpid(), ours);
    check(!system(command), command);
    check(!setns(ours, CLONE_NEWNET), "setns");
    check(!system("ip addr add 10.9.0.1/24 dev veth0 && ip link set veth0 up"), "veth0");
}

struct tc_wire_line tc_wire_bridge(void)
{
    const struct tc_wire_line line = {
        .dev = "vnet0", .guest = netbox_tap("vnet0", true), .wire = netbox_tap("uplink0", false)};
    /* Where bridges have netfilter built in, it is not asked, as on hosts of VMs. */
    check(
        !system("! cd /proc/sys/net/bridge 2>/dev/null || echo 0 | tee bridge-nf-call-* >/dev/null;"
                " ip link add br0 type bridge mcast_snooping 0 &&"
                " ip link set vnet0 master br0 up && ip link set uplink0 master br0 up &&"
                " bridge fdb add 02:00:00:00:00:01 dev vnet0 master static &&"
                " bridge fdb add 02:00:00:00:00:02 dev uplink0 master static &&"
                " ip link set br0 up"),
        "bridge");
    /* Ports forward once the kernel has noticed that they are up. */
    struct frame got, f = udp4(4000, 53, 18);
    int turn = 0;
    do
        netbox_put(line.guest, &f);
    while (!netbox_wait(line.wire, 20) && turn++ < 250);
    check(netbox_get(line.wire, &got), "bridge");
    return line;
}

void tc_wire_rules(bool on)
{
    static const char rules[] =
        "nft 'table inet bench { chain in { type filter hook input priority 0; policy drop;"
        " ct state established accept; iifname veth0 tcp dport 8000 accept; }; }'";
    check(!system(on ? rules : "nft delete table inet bench"), "nft");
}

/* ---- the server ---- */

struct server {
    int listener, epoll;
    volatile bool stop;
};

static void answer(struct server *s, int fd)
{
    static const char response[RESPONSE];
    char request[REQUEST];
    if (read(fd, request, sizeof(request)) > 0)
        (void)!write(fd, response, sizeof(response));
    else
        close(fd);
    (void)s;
}

static void *serve(void *context)
{
    struct server *s = context;
    struct epoll_event events[64];
    while (!s->stop) {
        int n = epoll_wait(s->epoll, events, 64, 100);
        for (int i = 0; i < n; i++) {
            if (events[i].data.fd != s->listener) {
                answer(s, events[i].data.fd);
                continue;
            }
            int fd;
            while ((fd = accept4(s->listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
                struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
                epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &event);
            }
        }
    }
    return NULL;
}

static void start_server(struct server *s)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(PORT)};
    struct epoll_event event = {.events = EPOLLIN};
    int one = 1;
    s->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    s->epoll = epoll_create1(EPOLL_CLOEXEC);
    event.data.fd = s->listener;
    check(!setsockopt(s->listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) &&
              !bind(s->listener, (struct sockaddr *)&at, sizeof(at)) &&
              !listen(s->listener, 1024) &&
              !epoll_ctl(s->epoll, EPOLL_CTL_ADD, s->listener, &event),
          "server");
}

/* ---- the guest ---- */

static int start_connection(int epoll)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(PORT)};
    struct linger hard = {1, 0}; /* with RST at the end: ports are not used up by time-wait */
    struct epoll_event event = {.events = EPOLLOUT};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    check(fd >= 0, "socket");
    inet_pton(AF_INET, "10.9.0.1", &to.sin_addr);
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
    check(!connect(fd, (struct sockaddr *)&to, sizeof(to)) || errno == EINPROGRESS, "connect");
    event.data.fd = fd;
    check(!epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event), "epoll");
    return fd;
}

/* One step of a connection; true when it is done. */
static bool go_on(int epoll, const struct epoll_event *e)
{
    static const char request[REQUEST];
    char response[RESPONSE];
    struct epoll_event event = {.events = EPOLLIN, .data.fd = e->data.fd};
    if (e->events & EPOLLERR) {
        int error = 0;
        socklen_t len = sizeof(error);
        getsockopt(e->data.fd, SOL_SOCKET, SO_ERROR, &error, &len);
        errno = error;
        check(false, "a connection failed");
    }
    if (e->events & EPOLLOUT) {
        check(write(e->data.fd, request, sizeof(request)) == sizeof(request), "request");
        epoll_ctl(epoll, EPOLL_CTL_MOD, e->data.fd, &event);
        return false;
    }
    check(read(e->data.fd, response, sizeof(response)) > 0, "response");
    close(e->data.fd);
    return true;
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void *be_the_guest(void *count)
{
    struct epoll_event events[AT_ONCE];
    unsigned long *done = count;
    int epoll = epoll_create1(EPOLL_CLOEXEC), under_way = 0;
    check(!setns(guests, CLONE_NEWNET), "setns");
    double begin = now();
    for (; under_way < AT_ONCE; under_way++)
        start_connection(epoll);
    while (now() - begin < SECONDS) {
        int n = epoll_wait(epoll, events, AT_ONCE, 5000);
        check(n > 0, "no connection went on for 5 s");
        for (int i = 0; i < n; i++)
            if (go_on(epoll, &events[i])) {
                ++*done;
                start_connection(epoll);
            }
    }
    /* What is still under way, to its end. */
    while (under_way) {
        int n = epoll_wait(epoll, events, AT_ONCE, 5000);
        check(n > 0, "no connection went on for 5 s");
        for (int i = 0; i < n; i++)
            if (go_on(epoll, &events[i])) {
                ++*done;
                under_way--;
            }
    }
    close(epoll);
    return NULL;
}

/* CPU time of all threads, what the kernel does in their names included. */
static double cpu(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

struct tc_wire_rate tc_wire_connections(void)
{
    struct server server = {.stop = false};
    pthread_t threads[2];
    struct tc_wire_rate result;
    double wall = now(), busy = cpu();
    unsigned long done = 0;
    start_server(&server);
    pthread_create(&threads[0], NULL, serve, &server);
    pthread_create(&threads[1], NULL, be_the_guest, &done);
    pthread_join(threads[1], NULL);
    result.wall = (double)done / (now() - wall);
    result.cpu = (double)done / (cpu() - busy);
    server.stop = true;
    pthread_join(threads[0], NULL);
    close(server.listener);
    close(server.epoll);
    return result;
}
