// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* From a flow to its owner: sockfind.c finds the socket, holders.c the processes. */
#include "os/linux/owner.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "os/linux/holders.h"
#include "os/linux/socket.h"
#include "os/linux/sockfind.h"
#include "os/linux/task.h"
#include "os/linux/trail.h"

#define DEFAULT_READS (1u << 20)
#define DEFAULT_INDEX (16u << 20)
#define SOCK_DEAD     1u /* bit 0 of sk_flags: enum sock_flags, include/net/sock.h */

#define MAX_CONFIRM (2 * XVMI_OWNERS_MAX) /* sockets of one answer, listeners included */

struct xvmi_finder {
    struct xl_guest *g;
    struct xl_sockfind sockets;
    struct xl_holders *holders;
    struct xl_trails *trails;
};

static uint64_t now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

enum xvmi_status xl_finder_new(struct xl_guest *g, const struct xvmi_finder_options *options,
                               struct xvmi_finder **out)
{
    struct xvmi_finder_options all = {0};
    if (options)
        memcpy(&all, options, options->size < sizeof(all) ? options->size : sizeof(all));
    *out = NULL;
    struct xvmi_finder *f = calloc(1, sizeof(*f));
    if (!f)
        return xvmi_error_set(g->err, XVMI_ERR_NO_MEMORY, "out of memory");
    f->g = g;
    xl_sockfind_init(&f->sockets, g);
    const size_t memory = all.index_memory ? all.index_memory : DEFAULT_INDEX;
    enum xvmi_status status = xl_holders_new(g, memory / 4 * 3, &f->holders);
    if (!status)
        status = xl_trails_new(g, memory / 4, &f->trails);
    if (status) {
        xvmi_finder_free(f);
        return status;
    }
    *out = f;
    return XVMI_OK;
}

void xvmi_finder_free(struct xvmi_finder *f)
{
    if (!f)
        return;
    xl_sockfind_fini(&f->sockets);
    xl_holders_free(f->holders);
    xl_trails_free(f->trails);
    free(f);
}

/* --- from a socket to its processes --- */

/* One question. */
struct question {
    struct xvmi_finder *f;
    const struct xvmi_flow *flow;
    struct xvmi_owner_query query;
    struct xl_budget budget;
    struct xvmi_owner *answer;
    uint64_t trail;
    struct xl_found found;
    uint32_t n_confirm; /* sockets with files, to look at once more at the end */
    struct {
        uint64_t sock, file, ino;
        int32_t index; /* in `found`; -1: a listener behind it */
    } confirm[MAX_CONFIRM];
};

static bool has_file(struct xl_guest *g, uint64_t sock, uint64_t file, uint64_t ino)
{
    struct xw_fault fault;
    uint64_t socket, seen_file, seen_ino;
    return !xw_get(g->space, &g->lay, sock, sock_socket, &socket, &fault) && socket &&
           !xw_get(g->space, &g->lay, socket, socket_file, &seen_file, &fault) &&
           seen_file == file && !xl_socket_ino(g, socket, &seen_ino, &fault) && seen_ino == ino;
}

/*
 * The sockets are still those that explain the flow, and the files still theirs. A socket keeps its
 * file and inode number for life, so all that was read in between is of this life, and whoever held
 * the file held the socket. Memory that is copied page by page is looked at anew for that, or the
 * copy would confirm itself.
 */
static enum xvmi_status confirm(struct question *q)
{
    struct xl_guest *g = q->f->g;
    if (q->n_confirm && xm_copies(g->space->mem)) {
        xm_invalidate(g->space->mem);
        xl_trails_near_socket(q->f->trails, q->trail);
    }
    for (uint32_t i = 0; i < q->n_confirm; i++) {
        const int32_t index = q->confirm[i].index;
        if (!has_file(g, q->confirm[i].sock, q->confirm[i].file, q->confirm[i].ino) ||
            (index >= 0 && !xl_sockfind_still(&q->f->sockets, &q->found, (uint32_t)index)))
            return xvmi_error_set(g->err, XVMI_ERR_CHANGED, "the socket was closed");
    }
    return XVMI_OK;
}

static void confirm_later(struct question *q, const struct xvmi_socket *s, int32_t index)
{
    /* Both kinds of sockets together are bounded: this never overflows. */
    q->confirm[q->n_confirm].sock = s->addr;
    q->confirm[q->n_confirm].file = s->file;
    q->confirm[q->n_confirm].ino = s->ino;
    q->confirm[q->n_confirm++].index = index;
}

static void add_owners(struct xvmi_owner *answer, const struct xl_holder_list *list)
{
    answer->more = answer->more || list->more;
    answer->via_process = list->via;
    for (uint32_t i = 0; i < list->n; i++) {
        bool there = false;
        for (uint32_t k = 0; k < answer->n_owners; k++)
            there = there || answer->owners[k].task.addr == list->v[i].task;
        if (there)
            continue;
        if (answer->n_owners == XVMI_OWNERS_MAX) {
            answer->more = true;
            return;
        }
        answer->owners[answer->n_owners++] = (struct xvmi_flow_owner){
            .task = {.addr = list->v[i].task, .pid = list->v[i].pid}, .fd = list->v[i].fd};
        if (answer->n_owners == 1)
            answer->token.thread = list->v[i].thread;
    }
}

/* The processes that have this socket among their descriptors join the answer. */
static enum xvmi_status add_holders_of(struct question *q, const struct xvmi_socket *s)
{
    struct xl_holder_list list;
    enum xvmi_status status = xl_holders_find(q->f->holders, s->file, s->ino, &q->budget, &list);
    if (!status)
        add_owners(q->answer, &list);
    return status;
}

static enum xvmi_status read_twice(struct question *q, uint64_t sock, enum xvmi_socket_kind kind,
                                   struct xvmi_socket *s)
{
    bool gone;
    enum xvmi_status status = xl_socket_read(q->f->g, &q->f->sockets.nets, sock, kind, s, &gone);
    if (!status && gone)
        status = xvmi_error_set(q->f->g->err, XVMI_ERR_CHANGED, "the socket was closed");
    return status;
}

/* What was found first, second, ... A socket with a file is confirmed at the end: one reading is
 * enough. */
static enum xvmi_status read_found(struct question *q, uint32_t i, struct xvmi_socket *s)
{
    const struct xl_found *found = &q->found;
    enum xvmi_status status =
        xl_socket_read_once(q->f->g, &q->f->sockets.nets, found->sock[i], found->kind, s);
    if (status || !s->file)
        return read_twice(q, found->sock[i], found->kind, s);
    confirm_later(q, s, (int32_t)i);
    return XVMI_OK;
}

/* A connection that is not accepted yet belongs to those who listen. */
static enum xvmi_status add_listeners(struct question *q)
{
    const struct xvmi_flow *flow = q->found.translated ? &q->found.inside : q->flow;
    struct xl_found found;
    enum xvmi_status status = xl_sockfind_listener(&q->f->sockets, q->found.net, flow, &found);
    for (uint32_t i = 0; i < found.n && !status; i++) {
        struct xvmi_socket s;
        status = read_twice(q, found.sock[i], found.kind, &s);
        if (!status && s.file) {
            confirm_later(q, &s, -1);
            status = add_holders_of(q, &s);
        }
    }
    return status;
}

/* What a socket without a file is. */
static enum xvmi_status without_file(struct question *q)
{
    struct xl_guest *g = q->f->g;
    const struct xvmi_socket *s = &q->answer->socket;
    struct xw_fault fault;
    uint64_t socket, flags;
    q->answer->kind = XVMI_OWNER_ORPHAN;
    if (s->state == XVMI_STATE_NEW_SYN_RECV)
        return add_listeners(q);
    /* A time-wait socket is no full one, even when it waits in FIN_WAIT2: it has no cgroup, no
     * uid, and ends before sk_socket. */
    if (s->kind == XVMI_SOCKET_TCP &&
        (s->state == XVMI_STATE_TIME_WAIT || s->state == XVMI_STATE_FIN_WAIT2))
        return XVMI_OK;
    if (xw_get(g->space, &g->lay, s->addr, sock_socket, &socket, &fault) ||
        xw_get(g->space, &g->lay, s->addr, skc_flags, &flags, &fault))
        return xl_fault(g, &fault);
    if (socket)
        q->answer->kind = XVMI_OWNER_KERNEL; /* sock_create_kern(): a socket without a file */
    else if (s->kind == XVMI_SOCKET_TCP && !(flags & SOCK_DEAD))
        return add_listeners(q);
    return XVMI_OK;
}

/* What names a process, and no more. */
static enum xvmi_status read_name(struct xl_guest *g, uint64_t addr, struct xvmi_task *task)
{
    struct xw_task t;
    struct xw_fault fault;
    *task = (struct xvmi_task){.addr = addr};
    if (xw_task_ids(g->space, &g->lay, addr, &t, &fault) ||
        xw_get_bytes(g->space, &g->lay, addr, task_comm, task->comm, XVMI_COMM_MAX, &fault) ||
        xw_get(g->space, &g->lay, addr, task_mm, &task->mm, &fault))
        return xl_fault(g, &fault);
    task->comm[XVMI_COMM_MAX - 1] = 0;
    task->pid = (int32_t)t.tgid;
    task->start_ns = t.start_ns;
    return XVMI_OK;
}

static enum xvmi_status fill_tasks(struct question *q)
{
    struct xl_guest *g = q->f->g;
    for (uint32_t i = 0; i < q->answer->n_owners; i++) {
        struct xvmi_task *t = &q->answer->owners[i].task, now;
        enum xvmi_status status =
            q->query.brief ? read_name(g, t->addr, &now) : xl_task_read(g, t->addr, &now);
        if (status)
            return status;
        if (now.pid != t->pid)
            return xvmi_error_set(g->err, XVMI_ERR_CHANGED, "the process ended");
        *t = now;
    }
    return XVMI_OK;
}

static enum xvmi_status read_exe(struct xl_guest *g, const struct xvmi_task *task, uint64_t *exe)
{
    struct xw_fault fault;
    *exe = 0;
    if (task->mm && xw_get(g->space, &g->lay, task->mm, mm_exe_file, exe, &fault))
        return xl_fault(g, &fault);
    return XVMI_OK;
}

static enum xvmi_status make_token(struct question *q)
{
    struct xvmi_owner *a = q->answer;
    a->token.sock = a->socket.addr;
    a->token.ino = a->socket.ino;
    a->token.file = a->socket.file;
    a->token.fd = -1;
    if (!a->n_owners)
        return XVMI_OK;
    a->token.task = a->owners[0].task.addr;
    a->token.start_ns = a->owners[0].task.start_ns;
    a->token.fd = a->owners[0].fd;
    return read_exe(q->f->g, &a->owners[0].task, &a->token.exe);
}

static enum xvmi_status find_owners(struct question *q)
{
    struct xvmi_owner *a = q->answer;
    enum xvmi_status status = a->socket.file ? add_holders_of(q, &a->socket) : without_file(q);
    for (uint32_t i = 1; i < q->found.n && !status; i++) {
        struct xvmi_socket other;
        status = read_found(q, i, &other);
        if (!status && other.file)
            status = add_holders_of(q, &other);
    }
    if (!status && a->n_owners)
        a->kind = XVMI_OWNER_PROCESS;
    if (!status)
        status = fill_tasks(q);
    if (!status)
        status = make_token(q);
    if (!status)
        xl_trails_learn(q->f->trails, q->trail, q->found.bucket, a->socket.addr, a->token.thread,
                        a->token.fd);
    return status;
}

static const uint8_t *known_mac(const struct xvmi_owner_query *query)
{
    static const uint8_t none[6];
    return memcmp(query->mac, none, sizeof(none)) ? query->mac : NULL;
}

static enum xvmi_status find_once(struct question *q)
{
    const struct xl_found *found = &q->found;
    struct xvmi_owner *a = q->answer;
    memset(a, 0, offsetof(struct xvmi_owner, owners));
    q->n_confirm = 0;
    enum xvmi_status status = xl_sockfind(&q->f->sockets, q->flow, known_mac(&q->query), &q->found);
    if (status || !found->n)
        return status;
    a->via_socket = found->via;
    a->more = found->more;
    a->translated = found->translated;
    a->kind = XVMI_OWNER_ORPHAN;
    status = read_found(q, 0, &a->socket);
    if (!status && q->query.socket_only) {
        a->token = (struct xvmi_owner_token){
            .sock = a->socket.addr, .ino = a->socket.ino, .file = a->socket.file, .fd = -1};
        if (a->socket.file)
            a->kind = XVMI_OWNER_PROCESS;
    } else if (!status) {
        status = find_owners(q);
    }
    return status ? status : confirm(q);
}

enum xvmi_status xvmi_owner_find(struct xvmi_finder *f, const struct xvmi_flow *flow,
                                 const struct xvmi_owner_query *query, struct xvmi_owner *answer)
{
    struct question q;
    q.f = f;
    q.flow = flow;
    q.answer = answer;
    q.query = (struct xvmi_owner_query){0};
    q.trail = xl_trail_key(flow);
    const uint64_t began = now_ns(), reads = f->g->space->reads;
    if (query)
        memcpy(&q.query, query, query->size < sizeof(q.query) ? query->size : sizeof(q.query));
    if (!xvmi_flow_valid(flow))
        return xvmi_error_set(f->g->err, XVMI_ERR_INVALID, "a flow with bytes that mean nothing");
    q.budget = (struct xl_budget){
        .max_reads = reads + (q.query.max_reads ? q.query.max_reads : DEFAULT_READS),
        .deadline = q.query.deadline_ns};
    enum xvmi_status status = XVMI_ERR_CHANGED;
    xm_invalidate(f->g->space->mem); /* what is read now is how it is now */
    xl_trails_near(f->trails, q.trail);
    for (int i = 0; i < XL_RETRIES && status; i++) {
        if (i)
            xo_invalidate(f->g->space);
        status = find_once(&q);
        if (status == XVMI_ERR_UNSUPPORTED || status == XVMI_ERR_LIMIT ||
            status == XVMI_ERR_NO_MEMORY || (status && xl_budget_check(f->g, &q.budget)))
            break;
    }
    answer->reads = (uint32_t)(f->g->space->reads - reads);
    answer->ns = now_ns() - began;
    return status ? xvmi_error_frame(f->g->err, status, "finding the owner") : XVMI_OK;
}

enum xvmi_status xvmi_owner_revalidate(struct xvmi_finder *f, const struct xvmi_owner_token *token)
{
    struct xl_guest *g = f->g;
    struct xw_fault fault;
    struct xw_task t;
    uint64_t mm = 0, exe = 0;
    xm_invalidate(g->space->mem);
    bool same = token->file && has_file(g, token->sock, token->file, token->ino);
    if (same && token->task) {
        same = !xw_task_ids(g->space, &g->lay, token->task, &t, &fault) &&
               t.start_ns == token->start_ns &&
               xl_holder_holds(g,
                               &(struct xl_holder){token->task, token->start_ns, token->thread,
                                                   (int32_t)t.tgid, token->fd},
                               token->file) &&
               !xw_get(g->space, &g->lay, token->task, task_mm, &mm, &fault) &&
               (!mm || !xw_get(g->space, &g->lay, mm, mm_exe_file, &exe, &fault)) &&
               exe == token->exe;
    }
    return same ? XVMI_OK
                : xvmi_error_set(g->err, XVMI_ERR_CHANGED, "the sender is not the same any more");
}

/* --- names and numbers --- */

uint64_t xvmi_owner_token_number(const struct xvmi_owner_token *token)
{
    const uint64_t parts[] = {token->sock, token->ino,      token->file,
                              token->task, token->start_ns, token->exe};
    uint64_t h = 0x9e3779b97f4a7c15u;
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        h ^= parts[i];
        h *= 0xff51afd7ed558ccdu; /* the finaliser of MurmurHash3: every bit reaches every other */
        h ^= h >> 32;
    }
    return h ? h : 1;
}

const char *xvmi_owner_kind_text(enum xvmi_owner_kind kind)
{
    static const char *const names[] = {"none", "process", "kernel", "orphan"};
    return (unsigned)kind < 4 ? names[kind] : "?";
}

const char *xvmi_via_socket_text(enum xvmi_via_socket via)
{
    static const char *const names[] = {"none",     "ehash", "listen", "udp-hash2",
                                        "udp-hash", "raw",   "ping",   "packet"};
    return (unsigned)via < XVMI_VIA_SOCKETS ? names[via] : "?";
}

const char *xvmi_via_process_text(enum xvmi_via_process via)
{
    static const char *const names[] = {"none", "last", "opener", "current", "tasks"};
    return (unsigned)via < XVMI_VIA_PROCESSES ? names[via] : "?";
}
