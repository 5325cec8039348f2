// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "support/fake-qmp.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

const char FAKE_HANG[] = "hang", FAKE_CLOSE[] = "close", FAKE_EVENTS[] = "events",
           FAKE_ENDLESS[] = "endless";

const char FAKE_GREETING[] =
    "{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 22, \"minor\": 2, \"major\": 7}, "
    "\"package\": \"\"}, \"capabilities\": [\"oob\"]}}\r\n";

static bool say(int fd, const char *text, size_t len)
{
    while (len) {
        ssize_t n = send(fd, text, len, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        text += n;
        len -= (size_t)n;
    }
    return true;
}

static bool say_with_id(int fd, const char *reply, const char *id)
{
    const char *mark;
    while ((mark = strstr(reply, "$ID"))) {
        if (!say(fd, reply, (size_t)(mark - reply)) || !say(fd, id, strlen(id)))
            return false;
        reply = mark + 3;
    }
    return say(fd, reply, strlen(reply)) && say(fd, "\r\n", 2);
}

static void repeat(int fd, const char *text)
{
    while (say(fd, text, strlen(text)))
        ;
}

bool fake_qmp_say(int fd, const char *text)
{
    return say(fd, text, strlen(text));
}

bool fake_qmp_answer(int fd, const char *command, const struct fake_answer *answers)
{
    char id[32] = "null";
    const char *at = strstr(command, "\"id\":");
    if (at)
        snprintf(id, sizeof(id), "%.*s", (int)strspn(at + 5, "0123456789"), at + 5);
    for (; answers->match && !strstr(command, answers->match); answers++)
        ;
    if (!answers->match && strstr(command, "qmp_capabilities"))
        return say_with_id(fd, "{\"return\": {}, \"id\": $ID}", id);
    if (!answers->match)
        return say_with_id(fd,
                           "{\"error\": {\"class\": \"CommandNotFound\", \"desc\": \"The command "
                           "has not been found\"}, \"id\": $ID}",
                           id);
    if (answers->reply == FAKE_HANG)
        return true;
    if (answers->reply == FAKE_CLOSE)
        return false;
    if (answers->reply == FAKE_EVENTS)
        repeat(fd, "{\"event\": \"RTC_CHANGE\", \"data\": {\"offset\": 1}}\r\n");
    if (answers->reply == FAKE_ENDLESS && say(fd, "{\"return\": \"", 12))
        repeat(fd, "0123456789012345678901234567890123456789012345678901234567890123456789");
    return say_with_id(fd, answers->reply, id);
}

void fake_qmp_serve(int fd, const char *greeting, const struct fake_answer *answers)
{
    char *line = NULL;
    size_t cap = 0;
    FILE *in = fdopen(dup(fd), "r");
    bool on = say(fd, greeting, strlen(greeting));
    while (on && getline(&line, &cap, in) > 0)
        on = fake_qmp_answer(fd, line, answers);
    free(line);
    fclose(in);
    close(fd);
}

int fake_qmp_start(const char *greeting, const struct fake_answer *answers, pid_t *child)
{
    int fd[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd))
        return -1;
    *child = fork();
    if (*child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(fd[0]);
        fake_qmp_serve(fd[1], greeting, answers);
        _exit(0);
    }
    close(fd[1]);
    return fd[0];
}

void fake_qmp_stop(pid_t child)
{
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
}
