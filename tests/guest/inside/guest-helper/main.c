// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Opens processes and sockets in a guest, and tells the truth about them. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "helper.h"

#define GROUPS "/run/guest-helper"

static const char usage[] =
    "guest-helper zoo                     sockets and processes of every kind\n"
    "guest-helper many PROCESSES SOCKETS  as many of each, 3/4 of them TCP, 1/4 UDP\n"
    "guest-helper churn SECONDS           processes and sockets come and go at full speed\n"
    "guest-helper ports SECONDS STANDING  processes, STANDING of them to stay, whose sockets have\n"
    "                                     port 20000 + pid, come and go at full speed\n"
    "guest-helper flows                   a flow of every kind; endings: flows that end when a "
    "line\n"
    "                                     comes from stdin\n"
    "guest-helper hostile SECONDS STANDING  processes, STANDING of them to stay, that do all they\n"
    "                                     can to be taken for others\n"
    "guest-helper hold tcp|udp LOCAL LPORT [REMOTE RPORT]  one socket\n"
    "guest-helper sit                     waits for ever\n"
    "guest-helper stop                    ends all that zoo and many left running\n"
    "\n"
    "zoo and many return when everything stands and leave it running. They print one JSON object\n"
    "a line: sockets have kind (tcp, udp, raw, ping, packet, unix), state, ino, uid, cgroup,\n"
    "netns, local, lport, remote, rport, and the holder's pid, tid and fd (0, 0, -1: nobody);\n"
    "processes have kind \"process\", pid, ppid, uid, euid, comm, exe, cmdline, cgroup, netns,\n"
    "start_ticks, threads.\n"
    "flows, endings and hold print objects of kind \"flow\" (see flow.c), \"holder\" (of the "
    "socket of\n"
    "the flow with this name), \"missing\" (what this kernel has not) and \"stage\" (all of the "
    "above\n"
    "stand).\n";

void die(const char *what)
{
    fprintf(stderr, "guest-helper: %s: %s\n", what, strerror(errno));
    exit(1);
}

void stand_still(void)
{
    for (;;)
        pause();
}

/* What this program leaves running is one process group, noted for stop. */
static pid_t begin_group(void)
{
    setpgid(0, 0);
    char path[64];
    mkdir(GROUPS, 0700);
    snprintf(path, sizeof(path), GROUPS "/%d", getpgrp());
    close(must(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600)));
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    return getpgrp();
}

static void stop(void)
{
    DIR *groups = opendir(GROUPS);
    for (struct dirent *entry; groups && (entry = readdir(groups));) {
        int group = atoi(entry->d_name);
        if (group <= 1)
            continue;
        kill(-group, SIGKILL);
        unlinkat(dirfd(groups), entry->d_name, 0);
    }
}

int main(int argc, char **argv)
{
    const char *mode = argc > 1 ? argv[1] : "";
    if (strcmp(mode, "zoo") == 0 || strcmp(mode, "flows") == 0 ||
        (strcmp(mode, "many") == 0 && argc == 4)) {
        pid_t group = begin_group();
        truth_open();
        if (argc == 4)
            many((unsigned)atoi(argv[2]), (unsigned)atoi(argv[3]));
        else if (strcmp(mode, "zoo") == 0)
            zoo();
        else
            flows();
        truth_done();
        truth_collect();
        truth_processes(group);
        for (int status; waitpid(-1, &status, WNOHANG) > 0;)
            if (status) /* it has said why */
                return 1;
        return 0;
    }
    if (strcmp(mode, "churn") == 0 && argc == 3) {
        churn((unsigned)atoi(argv[2]));
        return 0;
    }
    if (strcmp(mode, "ports") == 0 && argc == 4) {
        setpgid(0, 0);
        ports((unsigned)atoi(argv[2]), (unsigned)atoi(argv[3]));
    }
    if (strcmp(mode, "hostile") == 0 && argc == 4) {
        setpgid(0, 0);
        hostile((unsigned)atoi(argv[2]), (unsigned)atoi(argv[3]));
    }
    if (strcmp(mode, "hostile-again") == 0 && argc == 4)
        hostile_again(argv + 2);
    if (strcmp(mode, "endings") == 0) {
        begin_group();
        endings();
    }
    if (strcmp(mode, "hold") == 0 && (argc == 5 || argc == 7)) {
        begin_group();
        hold_one(argv + 2);
    }
    if (strcmp(mode, "sit") == 0)
        stand_still();
    if (strcmp(mode, "stop") == 0) {
        stop();
        return 0;
    }
    bool asked = strcmp(mode, "--help") == 0;
    fputs(usage, asked ? stdout : stderr);
    return asked ? 0 : 2;
}
