// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netpacket/packet.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "helper.h"

/* A line stays below PIPE_BUF, so that those of many processes do not mix. */
enum { line_size = 4096 };

static int lines[2] = {-1, -1};

void truth_open(void)
{
    must(pipe2(lines, O_CLOEXEC));
}

void truth_aloud(void)
{
    lines[1] = must(fcntl(1, F_DUPFD_CLOEXEC, 3));
}

void truth_done(void)
{
    close(lines[1]);
}

void truth_line(const char *format, ...)
{
    char line[line_size];
    va_list args;
    va_start(args, format);
    int length = vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    must(write(lines[1], line, (size_t)length));
}

void truth_collect(void)
{
    static char buffer[65536];
    ssize_t got;
    while ((got = read(lines[0], buffer, sizeof(buffer))) > 0)
        must(write(1, buffer, (size_t)got));
}

/* The process's number as the whole guest sees it, also from inside a pid namespace. */
static int outer_id(const char *link)
{
    char text[64] = "";
    must(readlink(link, text, sizeof(text) - 1));
    char *slash = strrchr(text, '/');
    return atoi(slash ? slash + 1 : text);
}

pid_t truth_pid(void)
{
    return outer_id("/proc/self");
}

static unsigned long link_inode(const char *path)
{
    char text[64] = "";
    if (readlink(path, text, sizeof(text) - 1) < 0)
        return 0;
    char *open = strchr(text, '[');
    return open ? strtoul(open + 1, NULL, 10) : 0;
}

static size_t read_text(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? 0 : read(fd, text, size - 1);
    if (fd >= 0)
        close(fd);
    text[got > 0 ? got : 0] = 0;
    return got > 0 ? (size_t)got : 0;
}

static void cgroup_of(const char *path, char *text, size_t size)
{
    char whole[1024];
    read_text(path, whole, sizeof(whole));
    whole[strcspn(whole, "\n")] = 0;
    char *name = strstr(whole, "::");
    snprintf(text, size, "%.500s", name ? name + 2 : "");
}

struct endpoint {
    char address[160];
    unsigned port;
};

static void set_endpoint(struct endpoint *end, const struct sockaddr_storage *from, socklen_t size)
{
    const struct sockaddr_in *v4 = (const void *)from;
    const struct sockaddr_in6 *v6 = (const void *)from;
    const struct sockaddr_un *un = (const void *)from;
    const struct sockaddr_ll *ll = (const void *)from;
    *end = (struct endpoint){"", 0};
    if (from->ss_family == AF_INET) {
        inet_ntop(AF_INET, &v4->sin_addr, end->address, sizeof(end->address));
        end->port = ntohs(v4->sin_port);
    } else if (from->ss_family == AF_INET6) {
        inet_ntop(AF_INET6, &v6->sin6_addr, end->address, sizeof(end->address));
        end->port = ntohs(v6->sin6_port);
    } else if (from->ss_family == AF_PACKET) {
        char name[IF_NAMESIZE] = "*";
        if_indextoname((unsigned)ll->sll_ifindex, name);
        snprintf(end->address, sizeof(end->address), "%s", name);
        end->port = ntohs(ll->sll_protocol);
    } else if (from->ss_family == AF_UNIX && size > offsetof(struct sockaddr_un, sun_path)) {
        bool abstract = !un->sun_path[0];
        int length = (int)(size - offsetof(struct sockaddr_un, sun_path)) - abstract;
        snprintf(end->address, sizeof(end->address), "%s%.*s", abstract ? "@" : "", length,
                 un->sun_path + abstract);
    }
}

static const char *kind_of(int fd)
{
    int family = 0, type = 0, protocol = 0;
    getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &(socklen_t){sizeof(int)});
    getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &(socklen_t){sizeof(int)});
    getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &(socklen_t){sizeof(int)});
    if (family == AF_UNIX)
        return "unix";
    if (family == AF_PACKET)
        return "packet";
    if (type == SOCK_RAW)
        return "raw";
    if (type == SOCK_STREAM)
        return "tcp";
    return protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6 ? "ping" : "udp";
}

static void describe(int fd, const char *state, int pid, int tid, bool owned)
{
    struct sockaddr_storage address = {0};
    socklen_t size = sizeof(address);
    struct endpoint local, remote;
    getsockname(fd, (void *)&address, &size);
    set_endpoint(&local, &address, size);
    memset(&address, 0, sizeof(address));
    size = sizeof(address);
    getpeername(fd, (void *)&address, &size);
    set_endpoint(&remote, &address, size);

    struct stat status;
    must(fstat(fd, &status));
    char cgroup[512];
    cgroup_of("/proc/thread-self/cgroup", cgroup, sizeof(cgroup));
    truth_line(
        "{\"kind\": \"%s\", \"state\": \"%s\", \"pid\": %d, \"tid\": %d, \"fd\": %d, \"ino\": %lu, "
        "\"uid\": %u, \"cgroup\": \"%s\", \"netns\": %lu, \"local\": \"%s\", \"lport\": %u, "
        "\"remote\": \"%s\", \"rport\": %u}\n",
        kind_of(fd), state, pid, tid, owned ? fd : -1, owned ? (unsigned long)status.st_ino : 0,
        status.st_uid, cgroup, link_inode("/proc/thread-self/ns/net"), local.address, local.port,
        remote.address, remote.port);
}

void truth_socket(int fd, const char *state)
{
    describe(fd, state, outer_id("/proc/self"), outer_id("/proc/thread-self"), true);
}

void truth_socket_of(int fd, const char *state, pid_t holder)
{
    describe(fd, state, holder, holder, true);
}

void truth_unowned(int fd, const char *state)
{
    describe(fd, state, 0, 0, false);
}

/* Prints bytes as a JSON string. */
static void print_string(const char *name, const char *text, size_t length)
{
    printf(", \"%s\": \"", name);
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c < ' ' || c == '"' || c == '\\' || c > '~')
            printf("\\u%04x", c);
        else
            putchar(c);
    }
    putchar('"');
}

struct stat_fields {
    int ppid, group, threads;
    unsigned long long start;
    char comm[64];
};

static bool parse_stat(const char *path, struct stat_fields *fields)
{
    char text[1024];
    read_text(path, text, sizeof(text));
    char *open = strchr(text, '('), *close = strrchr(text, ')');
    if (!open || !close)
        return false;
    snprintf(fields->comm, sizeof(fields->comm), "%.*s", (int)(close - open - 1), open + 1);
    return sscanf(close + 2,
                  "%*c %d %d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %d %*d %llu",
                  &fields->ppid, &fields->group, &fields->threads, &fields->start) == 4;
}

static void print_process(int pid, pid_t group)
{
    char path[64], text[8192], cgroup[512];
    struct stat_fields fields;
    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    if (!parse_stat(path, &fields) || fields.group != group || pid == getpid())
        return;
    snprintf(path, sizeof(path), "/proc/%d/status", pid);
    read_text(path, text, sizeof(text));
    unsigned uid = 0, euid = 0;
    char *at = strstr(text, "\nUid:");
    if (at)
        sscanf(at + 5, "%u %u", &uid, &euid);
    printf("{\"kind\": \"process\", \"pid\": %d, \"ppid\": %d, \"uid\": %u, \"euid\": %u", pid,
           fields.ppid == getpid() ? 1 : fields.ppid, uid, euid);
    print_string("comm", fields.comm, strlen(fields.comm));
    snprintf(path, sizeof(path), "/proc/%d/exe", pid);
    ssize_t length = readlink(path, text, sizeof(text));
    print_string("exe", text, length > 0 ? (size_t)length : 0);
    snprintf(path, sizeof(path), "/proc/%d/cmdline", pid);
    print_string("cmdline", text, read_text(path, text, sizeof(text)));
    snprintf(path, sizeof(path), "/proc/%d/cgroup", pid);
    cgroup_of(path, cgroup, sizeof(cgroup));
    snprintf(path, sizeof(path), "/proc/%d/ns/net", pid);
    printf(", \"cgroup\": \"%s\", \"netns\": %lu, \"start_ticks\": %llu, \"threads\": %d}\n",
           cgroup, link_inode(path), fields.start, fields.threads);
}

void truth_processes(pid_t group)
{
    DIR *proc = opendir("/proc");
    for (struct dirent *entry; proc && (entry = readdir(proc));)
        if (atoi(entry->d_name) > 0)
            print_process(atoi(entry->d_name), group);
    if (proc)
        closedir(proc);
}
