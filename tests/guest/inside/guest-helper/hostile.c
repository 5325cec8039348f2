// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Processes that do what they can to be taken for others: they rename themselves, execute in place,
 * share ports, reuse them at once, pass descriptors around, share tables and fork.
 *
 * All sockets are UDP, bound to one of a few ports of the guest's address and connected to the
 * gateway's port that is the number of the process that opened it. So a flow's remote port says
 * who may hold its socket: that process, and its children where they inherit or are passed it. The
 * user says which: see enum role.
 */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "helper.h"

/* Users, and ports to which they bind: PORT + role. tests/guest/owner-hostile.c knows them, too. */
enum role {
    stands = 3000, /* holds its sockets as long as it lives, whatever else it does */
    shifts,        /* opens and closes them: only it holds them */
    shares,        /* it and its children hold them, in turns */
    bombs,         /* forks children that fork; each holds its own, for a moment its parent's */
};
enum { port = 47000, at_once = 6, family_size = 3, depth = 3, width = 2, lives = 20 };

static void open_own(int family, enum role role)
{
    static const char *const hosts[] = {"10.0.0.1", "fd00::1"};
    union address to = flow_address(family, hosts[family == AF_INET6], (uint16_t)getpid());
    int fd = must(socket(family, SOCK_DGRAM, 0)), on = 1;
    union address address = flow_address(family, NULL, (uint16_t)(port + role));
    must(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)));
    must(bind(fd, &address.any, flow_size(family)));
    must(connect(fd, &to.any, flow_size(family)));
}

static void rename_to(unsigned number)
{
    static const char *const names[] = {"sshd",        "nginx", "systemd",
                                        "guest-agent", "curl",  "dhclient"};
    prctl(PR_SET_NAME, names[number % 6]);
}

static void close_all(void)
{
    close_range(3, ~0u, 0);
}

static void again(const char *what, unsigned number)
{
    char text[16];
    snprintf(text, sizeof(text), "%u", number);
    execl("/proc/self/exe", "guest-helper", "hostile-again", what, text, NULL);
    die("exec");
}

/* --- stands --- */

[[gnu::noreturn]] static void stand(unsigned number)
{
    for (;;) {
        struct timespec pause = {.tv_nsec = 5000000};
        rename_to(number++);
        nanosleep(&pause, NULL);
        if (number % 8 == 1)
            again("stands", number);
    }
}

/* Returns when it stands. */
static void start_standing(unsigned number)
{
    int opened[2];
    char byte;
    must(pipe2(opened, O_CLOEXEC));
    if (must(fork())) {
        close(opened[1]);
        must(read(opened[0], &byte, 1)); /* its end */
        close(opened[0]);
        return;
    }
    close(opened[0]);
    open_own(AF_INET, stands);
    open_own(AF_INET6, stands);
    must(setresuid(stands, stands, stands));
    close(opened[1]);
    if (number % 2)
        stand(number);
    stand_still();
}

/* --- shifts --- */

[[gnu::noreturn]] static void shift(unsigned number)
{
    for (int i = 0; i < 4; i++) {
        close_all();
        open_own(AF_INET, shifts);
        open_own(AF_INET6, shifts);
        rename_to(number + (unsigned)i);
    }
    if (number < lives)
        again("shifts", number + 1); /* with the last two */
    _exit(0);
}

/* --- shares --- */

static int nothing(void *unused)
{
    (void)unused;
    return 0;
}

/* Takes what the one before has, holds it for a moment, and hands it on. */
[[gnu::noreturn]] static void hand_on(int from, int to)
{
    for (;;) {
        int fd = take(from);
        rename_to((unsigned)fd);
        pass(to, fd);
        close(fd);
    }
}

static void share(unsigned number)
{
    int ring[family_size + 1][2];
    pid_t children[family_size];
    for (int i = 0; i <= family_size; i++)
        unix_pair(SOCK_DGRAM, ring[i]);
    for (int i = 0; i < family_size; i++)
        if ((children[i] = must(fork())) == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            hand_on(ring[i][1], ring[i + 1][0]);
        }
    for (int i = 0; i < lives; i++) {
        int first = must(dup(0));
        close(first);
        open_own(AF_INET, shares); /* it is `first` */
        pass(ring[0][0], first);
        if (i % 2)
            close(first);
        if (i % 4 == 0) { /* one that shares the table, for as long as it takes */
            static char stack[16384] __attribute__((aligned(16)));
            pid_t sibling =
                must(clone(nothing, stack + sizeof(stack), CLONE_FILES | SIGCHLD, NULL));
            must(waitpid(sibling, NULL, 0));
        }
        int back = take(ring[family_size][1]);
        rename_to(number++);
        close(back);
        if (i % 2 == 0)
            close(first);
    }
    for (int i = 0; i < family_size; i++) {
        kill(children[i], SIGKILL);
        must(waitpid(children[i], NULL, 0));
    }
    _exit(0);
}

/* --- bombs --- */

[[gnu::noreturn]] static void bomb(unsigned left)
{
    for (;;) {
        close_all();
        open_own(AF_INET, bombs);
        open_own(AF_INET6, bombs);
        rename_to(left);
        pid_t child = 1;
        for (int i = 0; left && child && i < width; i++)
            child = must(fork());
        if (child)
            break;
        left--;
    }
    while (wait(NULL) > 0)
        ;
    _exit(0);
}

/* --- all of them --- */

static void start_one(unsigned number)
{
    if (must(fork()))
        return;
    const enum role role = (enum role)(shifts + number % 3);
    must(setresuid(role, role, role));
    close_all();
    if (role == shifts)
        shift(0);
    if (role == shares)
        share(number);
    bomb(depth);
}

void hostile_again(char **words)
{
    const unsigned number = (unsigned)atoi(words[1]);
    if (!strcmp(words[0], "stands"))
        stand(number);
    shift(number);
}

void hostile(unsigned seconds, unsigned standing)
{
    struct timespec now, end;
    for (unsigned i = 0; i < standing; i++)
        start_standing(i);
    puts("stands");
    fflush(stdout);
    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += seconds;
    unsigned started = 0;
    do {
        if (started >= at_once)
            must(waitpid(-1, NULL, 0));
        start_one(started++);
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while (now.tv_sec < end.tv_sec);
    kill(0, SIGKILL);
}
