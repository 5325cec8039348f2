// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_tun.h>

#include "support/netbox.h"

#define WAIT_MS 5000

static void check(bool good, const char *what)
{
    if (good)
        return;
    perror(what);
    abort();
}

static void write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return; /* no IPv6 */
    check(write(fd, text, strlen(text)) > 0, path);
    close(fd);
}

int netbox_tap(const char *name, bool queues)
{
    struct ifreq ifr = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
    int size = NETBOX_HEADER, fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
    check(fd >= 0, "/dev/net/tun");
    if (queues)
        ifr.ifr_flags |= IFF_MULTI_QUEUE;
    snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
    check(!ioctl(fd, TUNSETIFF, &ifr), name);
    check(!ioctl(fd, TUNSETVNETHDRSZ, &size), "TUNSETVNETHDRSZ");
    check(!ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6), "TUNSETOFFLOAD");
    return fd;
}

static void bring_up(const char *name)
{
    struct ifreq ifr = {.ifr_flags = IFF_UP};
    int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
    check(sock >= 0 && !ioctl(sock, SIOCSIFFLAGS, &ifr), name);
    close(sock);
}

/* A bridge would take its time, and talk. */
static void join(const char *from, const char *to)
{
    const struct bpf_insn code[] = {
        {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 1, .imm = (int)if_nametoindex(to)},
        {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 2, .imm = 0},
        {.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_redirect},
        {.code = BPF_JMP | BPF_EXIT},
    };
    int prog = bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "wire", "GPL", code, 4, NULL);
    LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)if_nametoindex(from),
                .attach_point = BPF_TC_INGRESS);
    LIBBPF_OPTS(bpf_tc_opts, opts, .prog_fd = prog, .handle = 1, .priority = 100);
    check(prog >= 0, "a program for the wire");
    check(!bpf_tc_hook_create(&hook) && !bpf_tc_attach(&hook, &opts), "attaching the wire");
    close(prog);
}

void netbox_open(struct netbox *box)
{
    check(!unshare(CLONE_NEWNET), "unshare");
    write_file("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
    write_file("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1");
    box->guest = netbox_tap(NETBOX_DEV, true);
    box->wire = netbox_tap("wire0", false);
    bring_up(NETBOX_DEV);
    bring_up("wire0");
    join(NETBOX_DEV, "wire0");
    join("wire0", NETBOX_DEV);
}

void netbox_put_raw(int fd, const void *data, size_t len)
{
    ssize_t n;
    do
        n = write(fd, data, len);
    while (n < 0 && errno == EINTR);
    check(n == (ssize_t)len, "writing to a tap");
}

void netbox_put(int fd, const struct frame *f)
{
    uint8_t data[NETBOX_HEADER + sizeof(f->data)] = {0};
    memcpy(data + NETBOX_HEADER, f->data, f->len);
    netbox_put_raw(fd, data, NETBOX_HEADER + f->len);
}

bool netbox_wait(int fd, int ms)
{
    struct pollfd in = {.fd = fd, .events = POLLIN};
    return poll(&in, 1, ms) == 1;
}

bool netbox_has(int fd)
{
    return netbox_wait(fd, 0);
}

size_t netbox_get_raw(int fd, void *data, size_t size)
{
    struct pollfd in = {.fd = fd, .events = POLLIN};
    ssize_t n = -1;
    while (poll(&in, 1, WAIT_MS) == 1) {
        n = read(fd, data, size);
        if (n >= 0)
            break;
    }
    return n < 0 ? 0 : (size_t)n;
}

bool netbox_get(int fd, struct frame *f)
{
    uint8_t data[NETBOX_HEADER + sizeof(f->data)];
    size_t n = netbox_get_raw(fd, data, sizeof(data));
    if (n < NETBOX_HEADER)
        return false;
    f->len = n - NETBOX_HEADER;
    memcpy(f->data, data + NETBOX_HEADER, f->len);
    return true;
}
