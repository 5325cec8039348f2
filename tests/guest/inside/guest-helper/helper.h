/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GUEST_HELPER_H
#define GUEST_HELPER_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
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
/* Lines go to stdout at once, of a program that goes on talking. */
void truth_aloud(void);
/* Any line, as printf. */
[[gnu::format(printf, 1, 2)]] void truth_line(const char *format, ...);
/* The calling process as the whole guest sees it. */
pid_t truth_pid(void);
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
int udp_at(int family, uint16_t port);
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

/* --- flow.c: flows and what there is to be said of them --- */

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

/* As it is on the wire, the guest's side first. */
struct flow {
    const char *name; /* of the case; with the family it is unique */
    int family, proto;
    union address local, remote;
    bool in;            /* received, not sent */
    const char *expect; /* "process", "kernel", "orphan", "none", "unsupported" */
    const char *orphan; /* enum xvmi_orphan as text; NULL: "no" */
    const char *via;    /* how the socket is found; NULL: any way */
};

/* NULL: the guest's own, on the wire */
union address flow_address(int family, const char *host, uint16_t port);
socklen_t flow_size(int family);
/* A socket bound to an address of the guest's, or to any. */
int flow_bound(int family, int type, int proto, const char *host, uint16_t port);
/* What fd sends: where it is connected to, or to the gateway. */
struct flow flow_of(const char *name, int family, int proto, int fd);
struct flow flow_turned(struct flow flow);
/* A line for the flow, and one for each holder. */
void flow_say(const struct flow *flow);
void flow_held(const struct flow *flow, int fd);
void flow_held_by(const struct flow *flow, int fd, pid_t pid);
/* Both, for a socket that this process holds and that explains the flow that it sends. */
void flow_mine(const char *name, int family, int proto, int fd);

/* --- zoo.c: processes that stand still --- */

enum { root = 0, www_data = 33, alice = 1000, bob = 1001, carol = 1002 };
/* Starts a process that does body() and then stands still with what it opened. */
pid_t actor(const char *name, uid_t uid, const char *cgroup, void (*body)(void));
[[gnu::noreturn]] void rest(void);
/* Sends a descriptor through a unix socket; takes one. */
void pass(int through, int fd);
int take(int from);

/* --- zoo.c, flows.c, hidden.c, endings.c, load.c, hostile.c: the modes --- */

void zoo(void);
void flows(void);
void hidden_flows(void);
void endings(void);
void hold_one(char **words);
void hostile(unsigned seconds, unsigned standing);
void hostile_again(char **words);
void many(unsigned processes, unsigned sockets);
void churn(unsigned seconds);
void ports(unsigned seconds, unsigned standing);
void enter_cgroup(const char *path);

#endif
