/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XVMI_SOCKET_H
#define XVMI_SOCKET_H

/*
 * The sockets of a guest, of all its network namespaces, and which processes hold them.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <xvmi/task.h>
#include <xvmi/vm.h>

#ifdef __cplusplus
extern "C" {
#endif

enum xvmi_socket_kind {
    XVMI_SOCKET_TCP,
    XVMI_SOCKET_UDP,
    XVMI_SOCKET_UDPLITE,
    XVMI_SOCKET_RAW,
    XVMI_SOCKET_PING, /* SOCK_DGRAM with IPPROTO_ICMP(V6) */
    XVMI_SOCKET_PACKET,
    XVMI_SOCKET_UNIX,
    XVMI_SOCKET_SCTP,
    XVMI_SOCKET_KINDS,
};
#define XVMI_SOCKET_BIT(kind) (1u << (kind))
#define XVMI_SOCKET_ALL       (XVMI_SOCKET_BIT(XVMI_SOCKET_KINDS) - 1)

/* State numbers are the kernel's (include/net/tcp_states.h), for all kinds. */
enum xvmi_socket_state {
    XVMI_STATE_ESTABLISHED = 1,
    XVMI_STATE_SYN_SENT,
    XVMI_STATE_SYN_RECV,
    XVMI_STATE_FIN_WAIT1,
    XVMI_STATE_FIN_WAIT2,
    XVMI_STATE_TIME_WAIT,
    XVMI_STATE_CLOSE, /* also: not connected, for UDP, raw and others */
    XVMI_STATE_CLOSE_WAIT,
    XVMI_STATE_LAST_ACK,
    XVMI_STATE_LISTEN,
    XVMI_STATE_CLOSING,
    XVMI_STATE_NEW_SYN_RECV, /* a request socket */
};

#define XVMI_UNIX_PATH_MAX 108 /* sizeof sockaddr_un.sun_path */

struct xvmi_socket {
    uint64_t addr;     /* GVA of the struct sock (or of the smaller request, time-wait socket) */
    uint64_t file;     /* GVA of the struct file that holds it, 0: none (kernel, orphan, …); of a
                          subflow of MPTCP that of its connection, ino likewise */
    uint64_t ino;      /* inode number, 0 when there is no file */
    uint64_t cookie;   /* SO_COOKIE, 0 while nobody asked for one in the guest */
    uint64_t cgroup;   /* GVA of its cgroup, for xvmi_socket_cgroup(); 0: none known */
    uint64_t peer_ino; /* unix: inode of the peer's socket, 0 when there is none */
    uint32_t netns;    /* inode number of its network namespace */
    uint32_t uid;      /* of the process that created it; 0 for request and time-wait ones */
    uint32_t ifindex;  /* device it is bound to, 0: any */
    uint16_t kind;     /* enum xvmi_socket_kind */
    uint16_t family;   /* 1 unix, 2 IPv4, 10 IPv6, 17 packet: Linux's AF_ numbers */
    uint16_t type;     /* 1 stream, 2 datagram, 3 raw, 5 seqpacket: Linux's SOCK_ numbers */
    uint16_t protocol; /* IPPROTO_*; packet: ethertype in host order */
    uint16_t lport, rport; /* host order; raw: 0, see protocol; ping: lport is the ICMP id */
    uint8_t state;         /* enum xvmi_socket_state */
    uint8_t v6only;
    uint8_t path_len; /* unix: bytes in path; abstract names begin with NUL */
    uint8_t pad;
    uint8_t local[16]; /* network order; IPv4 in the first four bytes */
    uint8_t remote[16];
    char path[XVMI_UNIX_PATH_MAX];
};

/*
 * All sockets of the kinds in `kinds` (XVMI_SOCKET_BIT), in no order. The array is
 * the caller's: free(*sockets). XVMI_ERR_UNSUPPORTED for SCTP when the guest has it but keeps no
 * types of its module (before 5.11). What was said of changes at xvmi_task_list() holds here, per
 * socket.
 */
XVMI_PUBLIC XVMI_CHECKED enum xvmi_status xvmi_socket_list(struct xvmi_vm *vm, unsigned kinds,
                                                           struct xvmi_socket **sockets, size_t *n);
/* Path of the control group it was created in; errors as for xvmi_task_cgroup(). */
XVMI_PUBLIC XVMI_CHECKED enum xvmi_status xvmi_socket_cgroup(struct xvmi_vm *vm,
                                                             const struct xvmi_socket *socket,
                                                             char *buf, size_t size);

/* Somebody who holds a socket open. */
struct xvmi_socket_owner {
    uint64_t task; /* GVA of the group leader's task_struct */
    int32_t pid;   /* tgid */
    int32_t fd;    /* the lowest descriptor number in that process */
    char comm[XVMI_COMM_MAX];
};

/*
 * Who holds which socket, by walking every descriptor of every process: complete, and slow
 * in proportion to their number. One walk serves any number of questions.
 */
struct xvmi_owner_scan;
XVMI_PUBLIC XVMI_CHECKED enum xvmi_status xvmi_owner_scan_new(struct xvmi_vm *vm,
                                                              struct xvmi_owner_scan **scan);
XVMI_PUBLIC void xvmi_owner_scan_free(struct xvmi_owner_scan *scan);
/* The owners of a socket, by age of the process; *owners is borrowed from `scan`. 0: none. */
XVMI_PUBLIC size_t xvmi_owner_scan_find(const struct xvmi_owner_scan *scan,
                                        const struct xvmi_socket *socket,
                                        const struct xvmi_socket_owner **owners);

#ifdef __cplusplus
}
#endif
#endif
