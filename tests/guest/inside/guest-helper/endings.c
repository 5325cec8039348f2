// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Flows that end or change hands when a line comes from stdin. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "helper.h"

static const int families[] = {AF_INET, AF_INET6};
enum { taken_port = 7100 };

struct connection {
    struct flow flow;
    int fd, peer;
};

/* Both ends are this process's. */
static struct connection connection(const char *name, int family)
{
    struct connection c;
    union address address;
    socklen_t size = sizeof(address);
    int listener = flow_bound(family, SOCK_STREAM, 0, NULL, 0);
    must(listen(listener, 8));
    must(getsockname(listener, &address.any, &size));
    c.fd = must(socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    must(connect(c.fd, &address.any, size));
    c.peer = must(accept4(listener, NULL, NULL, SOCK_CLOEXEC));
    close(listener);
    c.flow = flow_of(name, family, IPPROTO_TCP, c.fd);
    flow_say(&c.flow);
    flow_held(&c.flow, c.fd);
    return c;
}

static void say_closed(struct flow flow)
{
    flow.expect = "orphan";
    flow.orphan = "closed";
    flow_say(&flow);
}

/* --- children: each says what is, waits to be told, and says what is then --- */

static int parent;

static void wait_for_go(void)
{
    char byte;
    must(write(parent, "x", 1));
    if (read(parent, &byte, 1) != 1)
        _exit(1);
}

static void fill(int fd)
{
    static const char block[65536];
    fcntl(fd, F_SETFL, O_NONBLOCK);
    while (write(fd, block, sizeof(block)) > 0)
        ;
}

static void closes(void)
{
    struct connection waits[2], half[2], full[2];
    for (int i = 0; i < 2; i++) {
        waits[i] = connection("closed by both", families[i]);
        half[i] = connection("closed by one", families[i]);
        full[i] = connection("closed with more to send", families[i]);
        fill(full[i].fd);
    }
    wait_for_go();
    for (int i = 0; i < 2; i++) {
        char byte;
        close(waits[i].fd);
        must(read(waits[i].peer, &byte, 1));
        close(waits[i].peer);
        close(half[i].fd);
        close(full[i].fd);
        say_closed(waits[i].flow);
        say_closed(half[i].flow);
        say_closed(full[i].flow);
    }
}

/* The other end stays open, elsewhere. */
static void is_killed(void)
{
    struct connection c = connection("killed", AF_INET);
    if (must(fork()) == 0) {
        close(parent);
        close(c.fd);
        stand_still();
    }
    close(c.peer);
    wait_for_go();
    say_closed(c.flow);
    kill(getpid(), SIGKILL); /* the pair is closed behind the descriptors before it */
}

static void gives_up(void)
{
    int taken = flow_bound(AF_INET, SOCK_DGRAM, 0, NULL, taken_port);
    int gone = flow_bound(AF_INET, SOCK_DGRAM, 0, NULL, 0);
    flow_mine("taken over", AF_INET, IPPROTO_UDP, taken);
    struct flow flow = flow_of("gone", AF_INET, IPPROTO_UDP, gone);
    flow_say(&flow);
    flow_held(&flow, gone);
    wait_for_go();
    close(taken);
    close(gone);
    flow.expect = "none";
    flow_say(&flow);
}

static void takes_over(void)
{
    wait_for_go();
    flow_mine("taken over", AF_INET, IPPROTO_UDP,
              flow_bound(AF_INET, SOCK_DGRAM, 0, NULL, taken_port));
}

static void execs(void)
{
    int fd = flow_bound(AF_INET, SOCK_DGRAM, 0, NULL, 0);
    fcntl(fd, F_SETFD, 0);
    flow_mine("executes another program", AF_INET, IPPROTO_UDP, fd);
    wait_for_go();
    flow_mine("executes another program", AF_INET, IPPROTO_UDP, fd);
    execl("/proc/self/exe", "guest-helper", "sit", NULL);
    die("exec");
}

/* --- their parent --- */

/* The child's end of a pair closes when it ends, executes, or has nothing more to say. */
static int child(const char *name, void (*body)(void))
{
    int pair[2];
    char byte;
    unix_pair(SOCK_STREAM, pair);
    if (must(fork()) == 0) {
        close(pair[0]);
        parent = pair[1];
        prctl(PR_SET_NAME, name);
        body();
        close(parent);
        stand_still();
    }
    close(pair[1]);
    if (read(pair[0], &byte, 1) != 1) /* it has said why */
        exit(1);
    return pair[0];
}

static void stage_stands(void)
{
    char line[16];
    truth_line("{\"kind\": \"stage\"}\n");
    (void)!fgets(line, sizeof(line), stdin);
}

void endings(void)
{
    truth_aloud();
    const int children[] = {child("closes", closes), child("is-killed", is_killed),
                            child("gives-up", gives_up), child("takes-over", takes_over),
                            child("execs", execs)};
    stage_stands();
    for (size_t i = 0; i < sizeof(children) / sizeof(children[0]); i++) {
        char byte;
        must(write(children[i], "x", 1));
        if (read(children[i], &byte, 1) > 0)
            exit(1);
    }
    stage_stands();
    kill(0, SIGKILL);
}
