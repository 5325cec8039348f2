/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GUEST_HELPER_H
#define GUEST_HELPER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Ends the program, naming the step that failed and errno. */
[[gnu::noreturn]] void die(const char *what);
[[gnu::noreturn]] void stand_still(void);
#define must(call)                                                                                 \
    ({                                                                                             \
        __auto_type must_result_ = (call);                                                         \
        if (must_result_ < 0)                                                                      \
            die(#call);                                                                            \
        must_result_;                                                                              \
    })

/* --- truth.c: what is so, as JSON lines on a pipe that all processes share --- */

/* Opens the pipe; every process writes its lines and then calls truth_done() (or execs). */
void truth_open(void);
void truth_done(void);
/* Copies lines to stdout until nobody can write any more. */
void truth_collect(void);
/* A socket that the calling process holds as fd. */
void truth_socket(int fd, const char *state);
/* The same socket, in the table of another process too. */
void truth_socket_of(int fd, const char *state, pid_t holder);
/* A socket that no process holds any more, said while fd is still open. */
void truth_unowned(int fd, const char *state);
/* To stdout: one line for each process of the group. */
void truth_processes(pid_t group);

/* --- sockets.c: one socket of each kind; families are AF_INET and AF_INET6, on loopback --- */

int udp_bound(int family, bool any);
int udp_connected(int family, bool mapped);
int tcp_listener(int family, bool any, int backlog);
/* Connects to a listener; with accepted, also takes the other end. */
int tcp_connected(int listener, int *accepted);
int tcp_connecting(int family);
int tcp_request(int family);
void tcp_time_wait(int family);
void tcp_orphan(int family);
int raw_socket(int family, int protocol, bool connected);
int ping_socket(int family);
int packet_socket(int type, int protocol);
int unix_bound(int type, bool abstract);
void unix_pair(int type, int pair[2]);
/* Makes a new network namespace usable for all of these. */
void loopback_up(void);

/* --- zoo.c, load.c: the modes --- */

void zoo(void);
void many(unsigned processes, unsigned sockets);
void churn(unsigned seconds);
void ports(unsigned seconds, unsigned standing);
void enter_cgroup(const char *path);

#endif
