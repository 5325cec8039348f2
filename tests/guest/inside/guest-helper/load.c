// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Many processes and sockets, standing or in motion. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "helper.h"

/* A process with its share of the sockets: of each eight, three TCP pairs and two UDP. */
static void hold(unsigned sockets)
{
    static const int families[] = {AF_INET, AF_INET6};
    /* A few sockets are of one family, the other one's turn is with the next process. */
    int last = sockets < 8 ? getpid() % 2 : 1;
    for (int i = sockets < 8 ? last : 0; i <= last && sockets; i++) {
        unsigned share = i == last ? sockets : (sockets + 1) / 2;
        sockets -= share;
        int listener = share >= 3 ? tcp_listener(families[i], false, 8) : -1;
        if (listener >= 0) {
            truth_socket(listener, "listen");
            share--;
        }
        while (share) {
            if (listener >= 0 && share >= 2 && share % 8 > 1) {
                int accepted;
                truth_socket(tcp_connected(listener, &accepted), "established");
                truth_socket(accepted, "established");
                share -= 2;
            } else {
                truth_socket(udp_bound(families[i], false), "unconnected");
                share--;
            }
        }
    }
}

/* As servers do: poll() holds references to the files. */
static void wait_for_any(void)
{
    struct pollfd waits[256];
    nfds_t n = 0;
    for (int fd = 3; fd < 1024 && n < 256; fd++)
        if (fcntl(fd, F_GETFD) >= 0)
            waits[n++] = (struct pollfd){.fd = fd, .events = POLLPRI};
    poll(waits, n, -1);
}

void many(unsigned processes, unsigned sockets)
{
    static const uid_t users[] = {0, 33, 1000, 1001, 1002};
    static const char *const cgroups[] = {"/many.slice/a", "/many.slice/b", "/many.slice/c"};
    for (unsigned i = 0; i < processes; i++) {
        /* Spread what does not divide evenly over the processes. */
        unsigned share =
            (unsigned)((uint64_t)sockets * (i + 1) / processes - (uint64_t)sockets * i / processes);
        if (must(fork()))
            continue;
        enter_cgroup(cgroups[i % 3]);
        char name[16];
        snprintf(name, sizeof(name), "many-%u", i);
        prctl(PR_SET_NAME, name);
        must(setresuid(users[i % 5], users[i % 5], users[i % 5]));
        hold(share);
        truth_done();
        close(0);
        close(1);
        close(2);
        if (i % 2)
            wait_for_any();
        stand_still();
    }
}

static void one_life(unsigned number)
{
    if (number % 4 == 0) {
        execl("/proc/self/exe", "guest-helper", "--help", NULL);
        _exit(1);
    }
    static const uid_t users[] = {0, 33, 1000, 1001, 1002};
    must(setresuid(users[number % 5], users[number % 5], users[number % 5]));
    int family = number % 2 ? AF_INET : AF_INET6;
    for (int i = 0; i < 8; i++) {
        int listener = tcp_listener(family, false, 8), accepted;
        int fd = tcp_connected(listener, &accepted);
        int udp = udp_bound(family, i % 2);
        /* Reset instead of time-wait, or the ports run out. */
        struct linger reset = {1, 0};
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
        if (i < 7) {
            close(fd);
            close(accepted);
            close(listener);
            close(udp);
        }
    }
    _exit(0);
}

void churn(unsigned seconds)
{
    struct timespec now, end;
    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += seconds;
    unsigned lives = 0, running = 0;
    do {
        if (running == 8) {
            must(wait(NULL));
            running--;
        }
        if (must(fork()) == 0) {
            int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
            dup2(null, 1);
            one_life(lives);
        }
        lives++;
        running++;
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while (now.tv_sec < end.tv_sec || (now.tv_sec == end.tv_sec && now.tv_nsec < end.tv_nsec));
    while (wait(NULL) > 0)
        ;
    printf("%u processes\n", lives);
}

/* Sockets of a process are bound to PORT_BASE plus its pid, so that whoever holds a port is known
 * whatever the moment. Some are connected, some wait for anybody. */
#define PORT_BASE 20000

static int bind_own_port(int family, int type)
{
    struct sockaddr_in6 addr6 = {.sin6_family = AF_INET6,
                                 .sin6_port = htons((uint16_t)(PORT_BASE + getpid()))};
    struct sockaddr_in addr4 = {.sin_family = AF_INET, .sin_port = addr6.sin6_port};
    int on = 1, fd = must(socket(family, type | SOCK_CLOEXEC, 0));
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
    must(family == AF_INET6 ? bind(fd, (struct sockaddr *)&addr6, sizeof(addr6))
                            : bind(fd, (struct sockaddr *)&addr4, sizeof(addr4)));
    if (type == SOCK_STREAM)
        must(listen(fd, 4));
    return fd;
}

static void own_ports(bool connected)
{
    int udp = bind_own_port(AF_INET, SOCK_DGRAM);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(9)};
    to.sin_addr.s_addr = htonl(0x0a000001);
    if (connected)
        must(connect(udp, (struct sockaddr *)&to, sizeof(to)));
    bind_own_port(AF_INET, SOCK_STREAM);
    bind_own_port(AF_INET6, SOCK_DGRAM);
    bind_own_port(AF_INET6, SOCK_STREAM);
}

static void port_life(unsigned number)
{
    static const uid_t users[] = {0, 33, 1000, 1001, 1002};
    must(setresuid(users[number % 5], users[number % 5], users[number % 5]));
    prctl(PR_SET_NAME, "port-life");
    for (unsigned i = 0; i < 1 + number % 4; i++) {
        int first = dup(0);
        close(first);
        own_ports((number + i) % 2);
        if (number % 3 == 0)
            prctl(PR_SET_NAME, "renamed");
        usleep(500 * (number % 7));
        close_range((unsigned)first, ~0u, 0);
    }
    _exit(0);
}

void ports(unsigned seconds, unsigned standing)
{
    for (unsigned i = 0; i < standing; i++) {
        if (must(fork()))
            continue;
        prctl(PR_SET_NAME, "port-stands");
        own_ports(i % 2);
        for (;;)
            pause();
    }
    struct timespec now, end;
    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += seconds;
    unsigned lives = 0, running = 0;
    do {
        if (running == 8) {
            must(waitpid(-1, NULL, 0));
            running--;
        }
        if (must(fork()) == 0)
            port_life(lives);
        lives++;
        running++;
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while (now.tv_sec < end.tv_sec || (now.tv_sec == end.tv_sec && now.tv_nsec < end.tv_nsec));
    printf("%u processes\n", lives);
    kill(0, SIGKILL); /* those that stand, and ourselves */
}
