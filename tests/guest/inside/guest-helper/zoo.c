// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* One of everything: the small world that what is read from outside is compared with. */
#include <errno.h>
#include <fcntl.h>
#include <net/ethernet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "helper.h"

static const char self[] = "/proc/self/exe";

void enter_cgroup(const char *path)
{
    char name[512] = "/sys/fs/cgroup";
    for (const char *part = path; *part;) { /* as mkdir -p */
        size_t length = 1 + strcspn(part + 1, "/");
        strncat(name, part, length);
        part += length;
        if (mkdir(name, 0755) < 0 && errno != EEXIST)
            die(name);
    }
    strcat(name, "/cgroup.procs");
    int fd = must(open(name, O_WRONLY | O_CLOEXEC));
    must(write(fd, "0", 1));
    close(fd);
}

static void become(uid_t uid)
{
    must(setresgid(uid, uid, uid));
    must(setresuid(uid, uid, uid));
}

void rest(void)
{
    truth_done();
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int fd = 0; fd < 3; fd++)
        dup2(null, fd);
    close(null);
    stand_still();
}

pid_t actor(const char *name, uid_t uid, const char *cgroup, void (*body)(void))
{
    pid_t pid = must(fork());
    if (pid)
        return pid;
    enter_cgroup(cgroup);
    prctl(PR_SET_NAME, name);
    become(uid);
    body();
    rest();
}

static void nothing(void)
{
}

static void inet_family(int family)
{
    int listener = tcp_listener(family, false, 8), accepted;
    truth_socket(tcp_listener(family, true, 8), "listen");
    truth_socket(listener, "listen");
    truth_socket(tcp_connected(listener, &accepted), "established");
    truth_socket(accepted, "established");
    truth_socket(udp_bound(family, false), "unconnected");
    truth_socket(udp_bound(family, true), "unconnected");
    truth_socket(udp_connected(family, false), "established");
    truth_socket(ping_socket(family), "unconnected");
}

static void inet_body(void)
{
    inet_family(AF_INET);
    inet_family(AF_INET6);
    truth_socket(udp_connected(AF_INET6, true), "established");
}

static void states_family(int family)
{
    truth_socket(tcp_connecting(family), "syn-sent");
    int client = tcp_request(family);
    truth_socket(client, "established");
    tcp_orphan(family);
    int listener = tcp_listener(family, false, 8), accepted;
    int fd = tcp_connected(listener, &accepted);
    must(shutdown(fd, SHUT_WR));
    truth_socket(fd, "fin-wait-2");
    truth_socket(accepted, "close-wait");
    tcp_time_wait(family);
}

static void states_body(void)
{
    states_family(AF_INET);
    states_family(AF_INET6);
}

static void raw_body(void)
{
    truth_socket(raw_socket(AF_INET, IPPROTO_ICMP, false), "unconnected");
    truth_socket(raw_socket(AF_INET, IPPROTO_RAW, true), "established");
    truth_socket(raw_socket(AF_INET6, IPPROTO_ICMPV6, false), "unconnected");
    truth_socket(raw_socket(AF_INET6, 255, true), "established");
    truth_socket(packet_socket(SOCK_RAW, ETH_P_ALL), "unconnected");
    truth_socket(packet_socket(SOCK_DGRAM, ETH_P_ARP), "unconnected");
}

static void unix_body(void)
{
    static const int types[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET};
    for (int i = 0; i < 3; i++) {
        const char *state = types[i] == SOCK_DGRAM ? "unconnected" : "listen";
        truth_socket(unix_bound(types[i], false), state);
        truth_socket(unix_bound(types[i], true), state);
        int pair[2];
        unix_pair(types[i], pair);
        truth_socket(pair[0], "established");
        truth_socket(pair[1], "established");
    }
}

/* A socket that two processes hold. */
static void shared_body(void)
{
    int fd = udp_bound(AF_INET, false);
    truth_socket(fd, "unconnected");
    if (must(fork()) == 0) {
        prctl(PR_SET_NAME, "shared-child");
        truth_socket(fd, "unconnected");
        rest();
    }
}

static int second_body(void *unused)
{
    (void)unused;
    prctl(PR_SET_NAME, "table-second");
    stand_still();
}

/* Two processes with one table of descriptors. */
static void table_body(void)
{
    static char stack[65536] __attribute__((aligned(16)));
    int fd = udp_bound(AF_INET, false);
    truth_socket(fd, "unconnected");
    int second = must(clone(second_body, stack + sizeof(stack), CLONE_FILES | SIGCHLD, NULL));
    truth_socket_of(fd, "unconnected", second);
}

union control {
    struct cmsghdr head;
    char space[CMSG_SPACE(sizeof(int))];
};

void pass(int through, int fd)
{
    union control control = {.head = {CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS}};
    memcpy(CMSG_DATA(&control.head), &fd, sizeof(fd));
    struct iovec byte = {.iov_base = "x", .iov_len = 1};
    struct msghdr message = {.msg_iov = &byte,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof(control.space)};
    must(sendmsg(through, &message, 0));
}

int take(int from)
{
    union control control;
    char byte;
    struct iovec to = {.iov_base = &byte, .iov_len = 1};
    struct msghdr message = {.msg_iov = &to,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof(control.space)};
    int fd = -1;
    must(recvmsg(from, &message, MSG_CMSG_CLOEXEC));
    if (message.msg_controllen >= CMSG_LEN(sizeof(int)))
        memcpy(&fd, CMSG_DATA(&control.head), sizeof(fd));
    return must(fd);
}

/* A socket that lies in another's queue and in no table. */
static void in_flight_body(void)
{
    int pair[2];
    unix_pair(SOCK_DGRAM, pair);
    int fd = udp_bound(AF_INET, false);
    pass(pair[0], fd);
    truth_unowned(fd, "unconnected");
    close(fd);
}

static void *private_table(void *started)
{
    must(unshare(CLONE_FILES));
    prctl(PR_SET_NAME, "private-table");
    truth_socket(udp_bound(AF_INET, false), "unconnected");
    truth_done();
    pthread_barrier_wait(started);
    stand_still();
}

static void *plain_thread(void *started)
{
    pthread_barrier_wait(started);
    stand_still();
}

/* Three threads, of which one has a table of descriptors of its own. */
static void threads_body(void)
{
    pthread_t thread;
    pthread_barrier_t started;
    pthread_barrier_init(&started, NULL, 3);
    pthread_create(&thread, NULL, plain_thread, &started);
    pthread_create(&thread, NULL, private_table, &started);
    pthread_barrier_wait(&started);
}

static void zombie_body(void)
{
    pid_t child = must(fork());
    if (child == 0) {
        prctl(PR_SET_NAME, "zombie");
        _exit(0);
    }
    siginfo_t info;
    must(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT));
}

static void effective_body(void)
{
    must(setresuid(alice, root, root));
    truth_socket(udp_bound(AF_INET, false), "unconnected");
}

static void exec_self(const char *path, char *const *words)
{
    must(execv(path, words));
}

static void long_body(void)
{
    static char word[3000];
    memset(word, 'a', sizeof(word) - 1);
    exec_self(self, (char *[]){"guest-helper", "sit", word, "", "two words", NULL});
}

static void copy_self_into(int copy)
{
    static char block[65536];
    int from = must(open(self, O_RDONLY | O_CLOEXEC));
    for (ssize_t got; (got = read(from, block, sizeof(block))) > 0;)
        must(write(copy, block, (size_t)got));
    close(from);
}

static void copy_self(const char *to)
{
    int copy = must(open(to, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0755));
    copy_self_into(copy);
    close(copy);
}

/* A program whose file is gone. */
static void deleted_body(void)
{
    copy_self("/tmp/helper-deleted");
    int fd = must(open("/tmp/helper-deleted", O_PATH | O_CLOEXEC));
    must(unlink("/tmp/helper-deleted"));
    must(fexecve(fd, (char *[]){"deleted", "sit", NULL}, (char *[]){NULL}));
}

/* A program that never was in a directory. */
static void memory_body(void)
{
    int fd = must(memfd_create("a/program", MFD_CLOEXEC));
    copy_self_into(fd);
    must(fexecve(fd, (char *[]){"memory", "sit", NULL}, (char *[]){NULL}));
}

/* A container: namespaces of its own and a program that lies only in its own root. */
static void container_body(void)
{
    must(unshare(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWPID | CLONE_NEWUTS | CLONE_NEWIPC));
    loopback_up();
    if (must(fork()))
        return;
    must(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
    must(mount("tmpfs", "/mnt", "tmpfs", 0, NULL));
    must(mkdir("/mnt/usr", 0755));
    copy_self("/mnt/usr/app");
    prctl(PR_SET_NAME, "contained");
    int listener = tcp_listener(AF_INET, true, 8);
    truth_socket(listener, "listen");
    fcntl(listener, F_SETFD, 0);
    must(chroot("/mnt"));
    must(chdir("/"));
    exec_self("/usr/app", (char *[]){"/usr/app", "sit", NULL});
}

/* What every network namespace of the zoo has. */
static void world(const char *docker)
{
    actor("inet-root", root, "/system.slice/inet.service", inet_body);
    actor("inet-www", www_data, "/system.slice/web.service", inet_body);
    actor("inet-alice", alice, "/user.slice/user-1000.slice/session-1.scope", inet_body);
    actor("states", bob, docker, states_body);
    actor("raw", root, docker, raw_body);
}

static void other_world(void)
{
    must(unshare(CLONE_NEWNET));
    loopback_up();
    prctl(PR_SET_NAME, "other-world");
    truth_socket(udp_at(AF_INET, 7), "unconnected"); /* in both the same */
    world("/docker/0f1e2d3c4b5a69788796a5b4c3d2e1f00112233445566778899aabbccddeeff0");
}

void zoo(void)
{
    actor("other-1", root, "/machine.slice/one.scope", other_world);
    actor("other-2", root, "/machine.slice/two.scope", other_world);
    world("/system.slice/states.service");
    actor("unix", carol, "/user.slice/user-1002.slice", unix_body);
    actor("shared", carol, "/user.slice/user-1002.slice", shared_body);
    actor("table", bob, "/user.slice", table_body);
    actor("in-flight", alice, "/", in_flight_body);
    actor("threads", bob, "/user.slice/user-1001.slice", threads_body);
    actor("odd )( \"\\ name", bob, "/user.slice/user-1001.slice", nothing);
    actor("parent", root, "/", zombie_body);
    actor("effective", root, "/", effective_body);
    actor("long", carol, "/", long_body);
    actor("deleted", alice, "/", deleted_body);
    actor("memory", alice, "/", memory_body);
    actor("container", root,
          "/docker/9c8b7a695847362514030f1e2d3c4b5a69788796a5b4c3d2e1f0998877665544",
          container_body);
    static const uid_t users[] = {root, www_data, alice, bob, carol};
    for (unsigned i = 0; i < 24; i++)
        actor("idle", users[i % 5], "/user.slice", nothing);
}
