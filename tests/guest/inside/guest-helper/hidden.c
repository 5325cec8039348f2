// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Sockets that are not where one looks first: passed on, shared, in flight, in a ring. */
#include <errno.h>
#include <linux/io_uring.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "helper.h"

static int udp(void)
{
    return flow_bound(AF_INET, SOCK_DGRAM, 0, NULL, 0);
}

/* A flow of a socket that somebody else holds. */
static struct flow said(const char *name, int fd)
{
    const struct flow flow = flow_of(name, AF_INET, IPPROTO_UDP, fd);
    flow_say(&flow);
    return flow;
}

static struct flow said_orphan(const char *name, int fd, const char *orphan)
{
    struct flow flow = flow_of(name, AF_INET, IPPROTO_UDP, fd);
    flow.expect = "orphan";
    flow.orphan = orphan;
    flow_say(&flow);
    return flow;
}

/* --- in flight: in a queue, kept by who holds the receiving end --- */

static void in_flight_body(void)
{
    static const int types[] = {SOCK_DGRAM, SOCK_STREAM, SOCK_SEQPACKET};
    static const char *const names[] = {"in flight, datagram", "in flight, stream",
                                        "in flight, seqpacket"};
    for (int i = 0; i < 3; i++) {
        int pair[2], fd = udp();
        unix_pair(types[i], pair);
        pass(pair[0], fd);
        const struct flow flow = said_orphan(names[i], fd, "in flight");
        flow_held(&flow, pair[1]);
        close(fd);
    }
}

/* Sent before anybody accepted: the receiving end is nobody's, either. */
static void not_accepted_body(void)
{
    struct sockaddr_un address;
    socklen_t size = sizeof(address);
    int listener = unix_bound(SOCK_STREAM, true);
    must(getsockname(listener, (struct sockaddr *)&address, &size));
    int client = must(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)), fd = udp();
    must(connect(client, (struct sockaddr *)&address, size));
    pass(client, fd);
    said_orphan("in flight, not accepted", fd, "in flight");
    close(fd);
}

/* --- io_uring --- */

static void ring_body(void)
{
    struct io_uring_params params = {0};
    int ring = (int)syscall(SYS_io_uring_setup, 4, &params);
    if (ring < 0) {
        truth_line("{\"kind\": \"missing\", \"name\": \"io_uring: %s\"}\n", strerror(errno));
        return;
    }
    int fds[3] = {udp(), -1, udp()};
    must(syscall(SYS_io_uring_register, ring, IORING_REGISTER_FILES, fds, 3));
    const struct flow flow = said_orphan("registered with io_uring", fds[2], "io_uring");
    flow_held(&flow, ring);
    flow_mine("registered with io_uring, open", AF_INET, IPPROTO_UDP, fds[0]);
    close(fds[2]);
}

/* --- passed on --- */

static void passed_body(void)
{
    int pair[2];
    unix_pair(SOCK_STREAM, pair);
    if (must(fork()) == 0) {
        prctl(PR_SET_NAME, "passed-to");
        close(pair[0]);
        int gone = take(pair[1]), both = take(pair[1]);
        const struct flow flow = said("passed on", gone);
        flow_held(&flow, gone);
        const struct flow shared = said("passed on and kept", both);
        flow_held(&shared, both);
        must(write(pair[1], "x", 1));
        rest();
    }
    close(pair[1]);
    int gone = udp(), both = udp();
    pass(pair[0], gone);
    close(gone);
    pass(pair[0], both);
    const struct flow shared = flow_of("passed on and kept", AF_INET, IPPROTO_UDP, both);
    flow_held(&shared, both);
    char byte;
    must(read(pair[0], &byte, 1));
}

/* The opener is gone. */
static void inherited_body(void)
{
    if (must(fork())) {
        truth_done();
        _exit(0);
    }
}

static void orphaned_body(void)
{
    int fd = udp();
    inherited_body();
    prctl(PR_SET_NAME, "inherited");
    flow_mine("inherited from one that ended", AF_INET, IPPROTO_UDP, fd);
}

/* --- shared tables --- */

[[gnu::noreturn]] static int second_body(void *unused)
{
    (void)unused;
    prctl(PR_SET_NAME, "siblings-2");
    stand_still();
}

static void siblings_body(void)
{
    static char stack[65536] __attribute__((aligned(16)));
    int fd = udp();
    const struct flow flow = said("CLONE_FILES siblings", fd);
    flow_held(&flow, fd);
    flow_held_by(&flow, fd,
                 must(clone(second_body, stack + sizeof(stack), CLONE_FILES | SIGCHLD, NULL)));
}

static void *own_table(void *started)
{
    must(unshare(CLONE_FILES));
    flow_mine("thread with a table of its own", AF_INET, IPPROTO_UDP, udp());
    truth_done();
    pthread_barrier_wait(started);
    stand_still();
}

static void own_table_body(void)
{
    pthread_t thread;
    static pthread_barrier_t started;
    pthread_barrier_init(&started, NULL, 2);
    pthread_create(&thread, NULL, own_table, &started);
    pthread_barrier_wait(&started);
}

static void *outlive(void *leader)
{
    pthread_join(*(pthread_t *)leader, NULL);
    flow_mine("thread whose leader ended", AF_INET, IPPROTO_UDP, udp());
    rest();
}

static void leader_ends_body(void)
{
    static pthread_t leader;
    pthread_t thread;
    leader = pthread_self();
    pthread_create(&thread, NULL, outlive, &leader);
    pthread_exit(NULL);
}

/* --- many holders --- */

static void prefork_body(void)
{
    int fd = flow_bound(AF_INET, SOCK_STREAM, 0, NULL, 0);
    must(listen(fd, 8));
    const struct flow flow = flow_of("prefork", AF_INET, IPPROTO_TCP, fd);
    flow_say(&flow);
    for (int i = 1; i < 12; i++)
        if (must(fork()) == 0) {
            flow_held(&flow, fd);
            rest();
        }
    flow_held(&flow, fd);
}

static void dup_body(void)
{
    int fd = udp();
    const struct flow flow = said("one process, several descriptors", fd);
    flow_held(&flow, fd);
    must(dup(fd));
    must(dup(fd));
}

/* --- waited for: system calls that are under way refer to the file as well --- */

static void *receives(void *fd)
{
    char byte;
    must(recv(*(int *)fd, &byte, 1, 0)); /* nothing comes */
    return NULL;
}

static void *polls(void *fd)
{
    struct pollfd polled = {.fd = *(int *)fd, .events = POLLIN};
    must(poll(&polled, 1, -1));
    return NULL;
}

static void *waits_for_event(void *epoll)
{
    struct epoll_event event;
    must(epoll_wait(*(int *)epoll, &event, 1, -1));
    return NULL;
}

static void in_thread(void *(*body)(void *), int fd)
{
    pthread_t thread;
    int *word = malloc(sizeof(*word));
    *word = fd;
    pthread_create(&thread, NULL, body, word);
}

static void received_body(void)
{
    int fd = udp();
    const struct flow flow = said("received from, two processes", fd);
    pid_t child = must(fork());
    flow_held(&flow, fd);
    for (int i = 0; i < 3; i++)
        in_thread(receives, fd);
    if (!child)
        rest();
}

static void polled_body(void)
{
    int fd = udp(), epoll = must(epoll_create1(EPOLL_CLOEXEC));
    struct epoll_event event = {.events = EPOLLIN};
    must(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event));
    flow_mine("polled", AF_INET, IPPROTO_UDP, fd);
    for (int i = 0; i < 2; i++) {
        in_thread(polls, fd);
        in_thread(waits_for_event, epoll);
    }
}

void hidden_flows(void)
{
    static const char group[] = "/flows.slice/hidden";
    actor("in-flight", alice, group, in_flight_body);
    actor("not-accepted", alice, group, not_accepted_body);
    actor("ring", bob, group, ring_body);
    actor("passes", carol, group, passed_body);
    actor("ends", carol, group, orphaned_body);
    actor("siblings", bob, group, siblings_body);
    actor("own-table", bob, group, own_table_body);
    actor("leader-ends", alice, group, leader_ends_body);
    actor("prefork", www_data, group, prefork_body);
    actor("received", bob, group, received_body);
    actor("polled", bob, group, polled_body);
    actor("dups", alice, group, dup_body);
}
