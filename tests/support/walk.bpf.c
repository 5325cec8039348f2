// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The walkers inside the host kernel: finds a socket in a hash chain, then the process that holds
 * it, in memory of the program that runs this (bpf_prog_test_run() keeps its address space), as
 * the tc program does in that of QEMU.
 */
#include <linux/bpf.h>
#include <linux/types.h>

#include <bpf/bpf_helpers.h>

typedef __u8 uint8_t;
typedef __u16 uint16_t;
typedef __u32 uint32_t;
typedef __s32 int32_t;
typedef __u64 uint64_t;

struct memory {
    uint64_t gva, size; /* the direct map */
    uint64_t host;      /* where it lies in the current process */
};

#define XW_CTX const volatile struct memory
static __attribute__((always_inline)) inline int xw_read(const volatile struct memory *mem,
                                                         void *dst, uint32_t len, uint64_t gva)
{
    if (gva < mem->gva || gva - mem->gva >= mem->size)
        return -14; /* EFAULT */
    return (int)bpf_probe_read_user(dst, len, (void *)(mem->host + (gva - mem->gva)));
}

#include "walk/sock.h"
#include "walk/task.h"

#define MAX_CHAIN 16
#define MAX_TASKS 32

const volatile struct memory memory;
const volatile struct xw_layout layout;
const volatile uint64_t chain_head, init_task, socket_ops;
const volatile uint16_t want_lport;
const volatile uint32_t want_fd;

/* What was found, for the test to read. */
struct walk_answer {
    struct xw_sock sock;
    struct xw_task owner;
    struct xw_fault fault;
    uint64_t found, tasks;
};
struct walk_answer answer;

static __attribute__((always_inline)) inline int find_sock(const struct xw_layout *lay)
{
    uint64_t node;
    struct xw_fault fault = {0};
    struct xw_sock s = {0};
    if (xw_read(&memory, &node, 8, chain_head))
        return 0;
    for (int i = 0; i < MAX_CHAIN; i++) {
        if (xw_chain_ends(node))
            return 0;
        uint64_t addr = xw_sock_of_node(lay, node);
        if (xw_sock_read(&memory, lay, addr, &s, &fault)) {
            answer.fault = fault;
            return 0;
        }
        if (s.lport == want_lport) {
            answer.sock = s;
            return 1;
        }
        if (xw_sock_next(&memory, lay, addr, &node, &fault))
            return 0;
    }
    return 0;
}

static __attribute__((always_inline)) inline int owns(const struct xw_layout *lay, uint64_t task,
                                                      struct xw_fault *fault)
{
    uint64_t files, file, sock;
    if (xw_get(&memory, lay, task, task_files, &files, fault) || !files)
        return 0;
    if (xw_fd_file(&memory, lay, files, want_fd, &file, fault) || !file)
        return 0;
    return !xw_file_sock(&memory, lay, file, socket_ops, &sock, fault) && sock == answer.sock.addr;
}

SEC("tc")
int walk(struct __sk_buff *skb)
{
    const struct xw_layout *lay = (const struct xw_layout *)&layout;
    struct xw_fault fault = {0};
    uint64_t task = init_task;
    (void)skb;
    /* The loader sets the layout; the compiler must not take it for the zeros it sees here. */
    barrier_var(lay);
    if (!find_sock(lay))
        return 0;
    for (int i = 0; i < MAX_TASKS; i++) {
        if (xw_task_next(&memory, lay, task, &task, &fault) || task == init_task)
            break;
        answer.tasks++;
        if (owns(lay, task, &fault)) {
            struct xw_task t = {0};
            if (!xw_task_read(&memory, lay, task, &t, &fault)) {
                answer.owner = t;
                answer.found = 1;
            }
            break;
        }
    }
    answer.fault = fault;
    return (int)answer.found;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
