// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Many processes and sockets, standing or in motion. */
#include <errno.h>
#include <fcntl.h>
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
    for (int i = 0; i < 2 && sockets; i++) {
        unsigned share = i ? sockets : (sockets + 1) / 2;
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
