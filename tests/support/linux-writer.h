/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef LINUX_WRITER_H
#define LINUX_WRITER_H

/*
 * A toy Linux kernel in a block of memory: tasks, descriptors and sockets linked as the real one
 * links them, with a layout of its own. Walkers are tested on it where every value is known.
 *
 * Memory is one direct map: GVA = LW_BASE + offset into the block.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <xvmi/error.h>

/* The writer only needs the layout, not the readers. */
#include "walk/layout.h"

#define LW_BASE 0xffff888000000000u

struct lw {
    uint8_t *ram;
    size_t size, used;
    struct xw_layout lay;
    struct xw_symbols sym;
    uint64_t last_task;
    uint64_t last_net;
};

/* An empty kernel: init_task (pid 0) alone in its ring, init_net (inode 4026531840) alone on the
 * list, empty socket tables. */
void lw_init(struct lw *lw, size_t size);
void lw_fini(struct lw *lw);

/* `size` zeroed bytes, 64-byte aligned. Out of memory ends the test. */
uint64_t lw_alloc(struct lw *lw, size_t size);
void *lw_at(struct lw *lw, uint64_t gva);
uint64_t lw_get(struct lw *lw, uint64_t gva);
void lw_set(struct lw *lw, uint64_t gva, uint64_t value);
/* lw_put(lw, object, member id of linux.def, value): as many bytes as the member has */
#define lw_put(lw, base, id, value) lw_put_field((lw), (base), (lw)->lay.id, (value))
void lw_put_field(struct lw *lw, uint64_t base, struct xw_field field, uint64_t value);

/* A process at the end of the ring, with a descriptor table of `max_fds`; returns its
 * task_struct. Its parent is init_task, uid and euid are as given, start_boottime is pid * 1000. */
uint64_t lw_task(struct lw *lw, uint32_t pid, const char *comm, uint32_t uid, uint32_t max_fds);
void lw_unlink_task(struct lw *lw, uint64_t task);

/* Put an open file into a descriptor. */
void lw_set_fd(struct lw *lw, uint64_t task, uint32_t fd, uint64_t file);

/* A full socket with its struct socket, inode and file; *file may be NULL. Ports in host order,
 * addresses as they lie in memory. It is in no chain yet. */
uint64_t lw_socket(struct lw *lw, uint16_t family, uint8_t state, uint32_t local, uint16_t lport,
                   uint32_t remote, uint16_t rport, uint64_t ino, uint64_t *file);
/* Put it in front of the chain whose head pointer lies at `head`. */
void lw_chain(struct lw *lw, uint64_t head, uint64_t sock);

/* The credentials that a process has now, or that a file was opened with. */
void lw_set_cred(struct lw *lw, uint64_t file, uint64_t task);
/* Give init_net a device with an IPv4 address. */
void lw_add_address(struct lw *lw, uint32_t addr);
/* Another network namespace; lw_put(lw, sock, skc_net, ...) moves a socket there. */
uint64_t lw_net(struct lw *lw, uint32_t inum);
/* A device with this address in a namespace; `hardware`: one that leads out of the guest. */
void lw_add_device(struct lw *lw, uint64_t net, uint32_t addr, const uint8_t mac[6], bool hardware);
/* Put a TCP connection where the kernel's hash of it says. */
void lw_hash(struct lw *lw, uint64_t sock);
/* The same of a UDP socket: hash and hash2. */
void lw_hash_udp(struct lw *lw, uint64_t sock);

/* Head pointers of the chains. */
uint64_t lw_ehash(struct lw *lw, unsigned bucket);
uint64_t lw_udp_slot(struct lw *lw, unsigned slot);
#define LW_BUCKETS 8

#endif
