/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XVMI_OWNER_H
#define XVMI_OWNER_H

/*
 * Who sent this? From a flow as it is seen on the wire to the socket inside the guest and the
 * processes that hold it.
 *
 * The socket is found as the guest's kernel finds it: by its own hash, in one bucket of its own
 * tables. The process is guessed from what was seen before, and each guess is proven on live
 * memory before it is named; only when no guess holds are descriptors searched. The cost does
 * not grow with the number of sockets; it grows with the number of processes only in that search.
 *
 * A finder belongs to one vm handle and is used by the thread that uses the handle.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <xvmi/flow.h>
#include <xvmi/socket.h>
#include <xvmi/task.h>
#include <xvmi/vm.h>

#ifdef __cplusplus
extern "C" {
#endif

struct xvmi_finder;

struct xvmi_finder_options {
    size_t size;         /* sizeof this struct */
    size_t index_memory; /* bound in bytes on what is remembered of descriptors; 0: 16 MiB */
};

XVMI_PUBLIC XVMI_CHECKED enum xvmi_status xvmi_finder_new(struct xvmi_vm *vm,
                                                          const struct xvmi_finder_options *options,
                                                          struct xvmi_finder **finder);
/* Before the vm handle is closed. NULL is fine. */
XVMI_PUBLIC void xvmi_finder_free(struct xvmi_finder *finder);

/* What stands behind a flow. */
enum xvmi_owner_kind {
    XVMI_OWNER_NONE,    /* no socket explains it: forged, or gone already */
    XVMI_OWNER_PROCESS, /* a socket that at least one process holds */
    XVMI_OWNER_KERNEL,  /* a socket of the kernel itself (NFS, WireGuard); by xvmi_filter_decide(),
                           which sees the packet, also TCP resets and ICMP replies, without one */
    XVMI_OWNER_ORPHAN,  /* a socket that no process has among its descriptors: see enum
                           xvmi_orphan; `last` says whose it was, if that is known */
};

/* Why a socket is nobody's. */
enum xvmi_orphan {
    XVMI_ORPHAN_NO,        /* it is not */
    XVMI_ORPHAN_CLOSED,    /* its last descriptor was closed: it says goodbye, or waits */
    XVMI_ORPHAN_IN_FLIGHT, /* it lies in the queue of a unix socket (SCM_RIGHTS), whose holders
                              are the `owners` */
    XVMI_ORPHAN_IO_URING,  /* only io_uring rings have it, whose holders are the `owners` */
    XVMI_ORPHAN_HIDDEN,    /* its file is open and none of the above: the kernel holds it */
    XVMI_ORPHANS,          /* number of the above */
};

/* How the socket was found. */
enum xvmi_via_socket {
    XVMI_VIA_NO_SOCKET,
    XVMI_VIA_EHASH,     /* TCP: connection, request or time-wait, by four-tuple */
    XVMI_VIA_LISTEN,    /* TCP: a listening socket answers for the port */
    XVMI_VIA_UDP_HASH2, /* UDP: by local address and port */
    XVMI_VIA_UDP_HASH,  /* UDP: by local port, bound to any address */
    XVMI_VIA_RAW,       /* raw socket of this protocol */
    XVMI_VIA_PING,      /* ICMP echo socket with this id */
    XVMI_VIA_PACKET,    /* nothing but a packet socket can have sent it */
    XVMI_VIA_SCTP,      /* SCTP: by local port, with an association of the flow or listening */
    XVMI_VIA_SOCKETS,   /* number of the above */
};

/* How the process was found. */
enum xvmi_via_process {
    XVMI_VIA_NO_PROCESS,
    XVMI_VIA_LAST,    /* it held this socket last time */
    XVMI_VIA_OPENER,  /* the credentials the socket was opened with are those of this process */
    XVMI_VIA_CURRENT, /* it runs on a vCPU right now */
    XVMI_VIA_CGROUP,  /* it is in the control group that the socket was made in */
    XVMI_VIA_INDEX,   /* its descriptors were seen before, when others were looked for */
    XVMI_VIA_TASKS,   /* all descriptors of all tasks */
    XVMI_VIA_PROCESSES,
};

/* Short names, as `xvmi owner` prints them: "ehash", "last", …; never NULL. */
XVMI_PUBLIC const char *xvmi_owner_kind_text(enum xvmi_owner_kind kind);
XVMI_PUBLIC const char *xvmi_via_socket_text(enum xvmi_via_socket via);
XVMI_PUBLIC const char *xvmi_via_process_text(enum xvmi_via_process via);
XVMI_PUBLIC const char *xvmi_orphan_text(enum xvmi_orphan orphan);

/* What identifies a sender: while all of it is the same, so is the sender. */
struct xvmi_owner_token {
    uint64_t sock, ino, file; /* the socket */
    uint64_t task, start_ns;  /* the oldest process that holds it; 0 when there is none */
    uint64_t thread;          /* whose descriptor table it is: the process, or a thread of it */
    uint64_t exe;             /* GVA of the file it executes: exec is noticed */
    int32_t fd;               /* the descriptor it holds it by */
    int32_t pad;
};
/* The same in one number, for struct xvmi_decision. Never 0. */
XVMI_PUBLIC uint64_t xvmi_owner_token_number(const struct xvmi_owner_token *token);

#define XVMI_OWNERS_MAX 8

/* A process that holds the socket. Pointers are borrowed until the next call on the finder, and
 * NULL when not asked for, or when there is no such thing; `missing` tells the two from what could
 * not be read. */
struct xvmi_flow_owner {
    struct xvmi_task task;
    int32_t fd;                      /* by which it holds it */
    uint32_t missing;                /* XVMI_WANT_* that could not be read */
    const char *exe;                 /* as xvmi_task_exe(), see XVMI_TASK_OWN_MOUNTS */
    const char *cgroup;              /* as xvmi_task_cgroup() */
    const char *cmdline;             /* as xvmi_task_cmdline(): each argument followed by NUL */
    size_t cmdline_len;              /* with all of them */
    const struct xvmi_task *parents; /* the parent, its parent, ... */
    size_t n_parents;
};

/* Somebody who held a socket once. */
struct xvmi_last_owner {
    uint64_t start_ns;
    int32_t pid; /* 0: not known */
    int32_t pad;
    char comm[XVMI_COMM_MAX];
};

struct xvmi_owner {
    enum xvmi_owner_kind kind;
    enum xvmi_via_socket via_socket;
    enum xvmi_via_process via_process;
    bool translated; /* found behind the guest's own NAT */
    bool more;       /* more than XVMI_OWNERS_MAX processes hold it */
    bool foreign;    /* sent from an address that nothing in the guest has: forged, or forwarded
                        for others; kind is NONE */
    bool mixed;      /* sockets of several users, or control groups, explain the flow: what `socket`
                        says is true of one of them */
    enum xvmi_orphan orphan;
    struct xvmi_last_owner last; /* with ORPHAN: as of when the flow was asked for last */
    struct xvmi_socket socket;   /* valid unless kind is NONE */
    struct xvmi_owner_token token;
    uint32_t n_owners;                              /* oldest first */
    uint32_t reads;                                 /* of guest memory, for this answer */
    uint64_t ns;                                    /* time taken */
    struct xvmi_flow_owner owners[XVMI_OWNERS_MAX]; /* those from n_owners on are not written */
};

/* What is wanted to be known; each costs reads, what is not asked for costs none. */
enum {
    XVMI_WANT_SOCKET = 1u << 0, /* uid, cgroup, netns lie on the socket; alone: no processes */
    XVMI_WANT_NAME = 1u << 1,   /* task.addr, pid, start_ns, comm, mm; the rest of task is 0 */
    XVMI_WANT_TASK = 1u << 2,   /* all of task: ids, parent, threads, namespaces */
    XVMI_WANT_EXE = 1u << 3,    /* and the pointers of those names */
    XVMI_WANT_CMDLINE = 1u << 4,
    XVMI_WANT_CGROUP = 1u << 5,
    XVMI_WANT_ANCESTRY = 1u << 6,
};

/* What a question may cost and what it asks for; zero everything, then set `size`. */
struct xvmi_owner_query {
    size_t size;          /* sizeof this struct */
    uint32_t want;        /* XVMI_WANT_*; 0: XVMI_WANT_TASK */
    uint32_t max_reads;   /* of guest memory; 0: 1 Mi */
    uint64_t deadline_ns; /* CLOCK_MONOTONIC; 0: none */
    uint8_t mac[6];       /* source address of the frame: tells network namespaces apart that
                             have the same IP address; all zero: not known */
};

/*
 * Find the owner of one flow. Answers, and returns XVMI_OK, also when there is none (kind NONE).
 * Connections that are still being set up, or that nobody accepted yet, belong to the processes
 * that listen. When several sockets explain a flow equally well (SO_REUSEPORT; for UDP that is sent,
 * all that are bound to the port and may send there), the owners of all of them are named, `socket`
 * is one of them.
 *
 *   XVMI_ERR_CHANGED      what was found kept changing while we looked, retries included
 *   XVMI_ERR_LIMIT        the budget is used up
 *   XVMI_ERR_UNSUPPORTED  a protocol this library does not know to look up, or two network
 *                         namespaces have the address and the flow, and neither the frame's MAC
 *                         address nor hardware tells them apart
 */
XVMI_PUBLIC XVMI_CHECKED enum xvmi_status xvmi_owner_find(struct xvmi_finder *finder,
                                                          const struct xvmi_flow *flow,
                                                          const struct xvmi_owner_query *query,
                                                          struct xvmi_owner *answer);

/*
 * The same for many flows, cheaper than one by one: what is known of all of them is brought near
 * together, by one call to the hypervisor where memory is not mapped. status[i] and answers[i]
 * belong to flows[i]; the budget of the query is for each, the deadline for all. Fails as a whole
 * only with XVMI_ERR_INVALID.
 */
XVMI_PUBLIC XVMI_CHECKED enum xvmi_status xvmi_owner_find_batch(
    struct xvmi_finder *finder, const struct xvmi_flow *flows, size_t n,
    const struct xvmi_owner_query *query, struct xvmi_owner *answers, enum xvmi_status *status);

/*
 * Who holds this socket, of any kind, as xvmi_socket_list() told of it? The answer is as above
 * (via_socket NONE, for the socket is known), but listeners do not answer for connections that are
 * not accepted. XVMI_ERR_CHANGED also when the socket is not there any more.
 */
XVMI_PUBLIC XVMI_CHECKED enum xvmi_status xvmi_owner_of(struct xvmi_finder *finder,
                                                        const struct xvmi_socket *socket,
                                                        const struct xvmi_owner_query *query,
                                                        struct xvmi_owner *answer);

/*
 * Use idle time: look at the descriptors of more processes, going on where the last call ended, so
 * that who holds a socket is known before it is asked. Costs up to `max_reads` reads of guest
 * memory (0: all processes once). *done when all that live now have been seen.
 */
XVMI_PUBLIC XVMI_CHECKED enum xvmi_status xvmi_finder_tend(struct xvmi_finder *finder,
                                                           uint32_t max_reads, bool *done);

/*
 * Is the sender still the same: this socket, held by this process, running this program? A
 * handful of reads. XVMI_OK: yes. XVMI_ERR_CHANGED: no, ask anew; always for a connection that
 * nobody accepted yet, which has no file of its own.
 */
XVMI_PUBLIC XVMI_CHECKED enum xvmi_status xvmi_owner_revalidate(
    struct xvmi_finder *finder, const struct xvmi_owner_token *token);

/* The process that started this one; XVMI_ERR_NOT_FOUND at the top. */
XVMI_PUBLIC XVMI_CHECKED enum xvmi_status xvmi_task_parent(struct xvmi_vm *vm,
                                                           const struct xvmi_task *task,
                                                           struct xvmi_task *parent);

#ifdef __cplusplus
}
#endif
#endif
