// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * The guest's first process after its set-up: runs commands for `vm exec`.
 *
 * Each virtio-serial port carries one command at a time, so as many run at once as there are
 * ports, and none of it is on the network. A terminal that is named as argument is the only port.
 * On the port go frames: a type, a length (32 bits, little-endian), the payload.
 *
 *   host to guest   R  the command: one byte, '1' if stdin follows, then its words, each ended by 0
 *                   I  bytes for its stdin; empty: end of stdin
 *                   B  bye: the host has the exit status
 *   guest to host   O  bytes of its stdout
 *                   E  bytes of its stderr
 *                   X  its exit status, one byte
 *
 * A host that hangs up before that takes the command with it.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mount.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

/* What stands on a terminal's line of its own when the agent is there, after all that boot says. */
#define XVMI_READY "guest-agent ready"

enum { max_ports = 32, max_frame = 1 << 17, max_words = 4096 };

static char *const environment[] = {
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME=/root",
    "USER=root",
    "LOGNAME=root",
    "SHELL=/bin/bash",
    "LANG=C.UTF-8",
    NULL};

struct frame {
    uint8_t type;
    uint32_t length;
    uint8_t data[max_frame];
};

struct command {
    pid_t pid;
    int in, out, err; /* -1 once closed */
    int child_signal;
    uint8_t input[max_frame];
    size_t input_start, input_end;
};

static int port = -1; /* of this worker */

static bool read_all(void *data, size_t length)
{
    uint8_t *at = data;
    while (length) {
        ssize_t got = read(port, at, length);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        at += got;
        length -= (size_t)got;
    }
    return true;
}

static bool read_frame(struct frame *frame)
{
    uint8_t head[5];
    if (!read_all(head, sizeof(head)))
        return false;
    frame->type = head[0];
    frame->length = (uint32_t)head[1] | (uint32_t)head[2] << 8 | (uint32_t)head[3] << 16 |
                    (uint32_t)head[4] << 24;
    return frame->length <= max_frame && read_all(frame->data, frame->length);
}

static void write_frame(char type, const void *data, uint32_t length)
{
    uint8_t buffer[5 + 65536];
    buffer[0] = (uint8_t)type;
    for (int i = 0; i < 4; i++)
        buffer[1 + i] = (uint8_t)(length >> (8 * i));
    memcpy(buffer + 5, data, length);
    for (size_t done = 0; done < length + 5;) {
        ssize_t put = write(port, buffer + done, length + 5 - done);
        if (put < 0 && errno != EINTR)
            return;
        done += put > 0 ? (size_t)put : 0;
    }
}

static void become(char **words, int in, int out, int err)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setsid();
    dup2(in, 0);
    dup2(out, 1);
    dup2(err, 2);
    if (chdir("/root"))
        _exit(126);
    environ = (char **)environment;
    execvp(words[0], words);
    dprintf(2, "vm exec: %s: %s\n", words[0], strerror(errno));
    _exit(errno == ENOENT ? 127 : 126);
}

static bool spawn(struct command *command, struct frame *request)
{
    static char *words[max_words + 1];
    size_t count = 0;
    if (request->length < 3 || request->data[request->length - 1])
        return false;
    for (char *at = (char *)request->data + 1, *end = (char *)request->data + request->length;
         at < end && count < max_words; at += strlen(at) + 1)
        words[count++] = at;
    words[count] = NULL;

    int in[2], out[2], err[2];
    if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC) || pipe2(err, O_CLOEXEC))
        return false;
    command->pid = fork();
    if (command->pid == 0)
        become(words, in[0], out[1], err[1]);
    close(in[0]);
    close(out[1]);
    close(err[1]);
    *command = (struct command){command->pid,          in[1],         out[0], err[0],
                                command->child_signal, .input_end = 0};
    fcntl(command->in, F_SETFL, O_NONBLOCK);
    fcntl(command->out, F_SETFL, O_NONBLOCK);
    fcntl(command->err, F_SETFL, O_NONBLOCK);
    if (request->data[0] != '1') {
        close(command->in);
        command->in = -1;
    }
    return command->pid > 0;
}

static void feed(struct command *command)
{
    ssize_t put = write(command->in, command->input + command->input_start,
                        command->input_end - command->input_start);
    if (put > 0)
        command->input_start += (size_t)put;
    if (put < 0 && errno != EAGAIN && errno != EINTR) {
        close(command->in);
        command->in = -1;
    }
}

/* Passes on what a pipe holds now, and closes it at its end. */
static void forward(int *pipe_end, char type)
{
    static uint8_t buffer[65536];
    while (*pipe_end >= 0) {
        ssize_t got = read(*pipe_end, buffer, sizeof(buffer));
        if (got > 0) {
            write_frame(type, buffer, (uint32_t)got);
        } else if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
            return;
        } else {
            close(*pipe_end);
            *pipe_end = -1;
        }
    }
}

static void abandon(struct command *command)
{
    kill(-command->pid, SIGKILL);
    _exit(0);
}

/* Takes a frame of the host's while the command runs. */
static void hear(struct command *command, struct frame *frame)
{
    if (!read_frame(frame) || frame->type != 'I')
        abandon(command);
    if (command->in < 0)
        return;
    if (!frame->length) {
        close(command->in);
        command->in = -1;
        return;
    }
    memcpy(command->input, frame->data, frame->length);
    command->input_start = 0;
    command->input_end = frame->length;
}

static void run(struct command *command, struct frame *frame)
{
    int status;
    while (waitpid(command->pid, &status, WNOHANG) != command->pid) {
        bool full = command->in >= 0 && command->input_start < command->input_end;
        struct pollfd polled[] = {
            {port, full ? 0 : POLLIN, 0},
            {command->child_signal, POLLIN, 0},
            {command->out, POLLIN, 0},
            {command->err, POLLIN, 0},
            {full ? command->in : -1, POLLOUT, 0},
        };
        if (poll(polled, 5, -1) < 0)
            continue;
        if (polled[0].revents & POLLIN)
            hear(command, frame);
        else if (polled[0].revents & POLLHUP)
            abandon(command);
        if (polled[1].revents) {
            struct signalfd_siginfo info;
            (void)!read(command->child_signal, &info, sizeof(info));
        }
        if (polled[4].revents)
            feed(command);
        forward(&command->out, 'O');
        forward(&command->err, 'E');
    }
    forward(&command->out, 'O');
    forward(&command->err, 'E');
    uint8_t code = (uint8_t)(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
    write_frame('X', &code, 1);
}

static void work(int child_signal)
{
    static struct command command;
    static struct frame frame;
    command.child_signal = child_signal;
    do {
        if (!read_frame(&frame))
            _exit(0);
    } while (frame.type != 'R');
    if (spawn(&command, &frame))
        run(&command, &frame);
    while (read_frame(&frame) && frame.type != 'B') /* stdin that came too late */
        ;
    _exit(0);
}

/* A terminal as a port: bytes go through as they are, and the line is never hung up. */
static int open_terminal(const char *path)
{
    struct termios how;
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NOCTTY);
    if (fd < 0 || tcgetattr(fd, &how))
        return fd;
    cfmakeraw(&how);
    tcsetattr(fd, TCSANOW, &how);
    return fd;
}

static int open_ports(int *ports)
{
    int count = 0;
    DIR *dev = opendir("/dev");
    for (struct dirent *entry; dev && (entry = readdir(dev)) && count < max_ports;) {
        char path[300];
        snprintf(path, sizeof(path), "/dev/%s", entry->d_name);
        if (strncmp(entry->d_name, "vport", 5) == 0 &&
            (ports[count] = open(path, O_RDWR | O_CLOEXEC)) >= 0)
            count++;
    }
    if (dev)
        closedir(dev);
    return count;
}

int main(int argc, char **argv)
{
    int ports[max_ports];
    pid_t workers[max_ports] = {0};
    int count;
    if (argc > 1)
        count = (ports[0] = open_terminal(argv[1])) >= 0;
    else
        count = open_ports(ports);
    if (!count)
        fprintf(stderr, "guest-agent: no port to serve\n");
    else if (argc > 1) /* whoever starts to listen knows from here on */
        (void)!write(ports[0], "\n" XVMI_READY "\n", strlen(XVMI_READY) + 2);
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child, NULL);
    int child_signal = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    /* A port without a host is always ready (EPOLLIN and EPOLLHUP): only changes count. */
    for (int i = 0; i < count; i++)
        epoll_ctl(epoll, EPOLL_CTL_ADD, ports[i],
                  &(struct epoll_event){.events = EPOLLIN | EPOLLET, .data.u32 = (uint32_t)i});
    epoll_ctl(epoll, EPOLL_CTL_ADD, child_signal,
              &(struct epoll_event){.events = EPOLLIN, .data.u32 = max_ports});
    for (;;) {
        struct epoll_event event;
        if (epoll_wait(epoll, &event, 1, -1) != 1)
            continue;
        uint32_t i = event.data.u32;
        if (i == max_ports) {
            struct signalfd_siginfo info;
            (void)!read(child_signal, &info, sizeof(info));
            for (pid_t pid; (pid = waitpid(-1, NULL, WNOHANG)) > 0;)
                for (int k = 0; k < count; k++)
                    if (workers[k] == pid) {
                        workers[k] = 0;
                        epoll_ctl(epoll, EPOLL_CTL_MOD, ports[k],
                                  &(struct epoll_event){.events = EPOLLIN | EPOLLET,
                                                        .data.u32 = (uint32_t)k});
                    }
        } else if (!(event.events & EPOLLHUP) && !workers[i]) {
            workers[i] = fork();
            if (workers[i] == 0) {
                port = ports[i];
                work(child_signal);
            }
        }
    }
}
