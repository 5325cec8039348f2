// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* From a flow to its owner: sockfind.c finds the socket, holders.c the processes. */
#include "os/linux/owner.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "os/linux/attributes.h"
#include "os/linux/holders.h"
#include "os/linux/orphan.h"
#include "os/linux/socket.h"
#include "os/linux/sockfind.h"
#include "os/linux/task.h"
#include "os/linux/trail.h"

#define DEFAULT_READS (1u << 20)
#define DEFAULT_INDEX (16u << 20)
#define SOCK_DEAD     1u /* bit 0 of sk_flags: enum sock_flags, include/net/sock.h */
#define MAX_CONFIRM   (2 * XVMI_OWNERS_MAX) /* sockets of one answer, listeners included */
#define BATCH         16                    /* questions that are looked at side by side */

struct xvmi_finder {
    struct xl_guest *g;
    struct xl_sockfind sockets;
    struct xl_holders *holders;
    struct xl_trails *trails;
    struct xb_arena arena; /* of the last answer's texts */
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
    xb_arena_fini(&f->arena);
    free(f);
}

/* --- one question --- */

struct question {
    struct xvmi_finder *f;
    const struct xvmi_flow *flow; /* NULL: asked for a socket, not for a flow */
    struct xvmi_owner_query query;
    struct xl_budget budget;
    struct xvmi_owner *answer;
    uint64_t trail;
    struct xl_found found;
    struct xl_task_links links[XVMI_OWNERS_MAX]; /* of the answer's owners, with WANT_TASK */
    uint32_t n_confirm; /* sockets with files, to look at once more at the end */
    struct {
        uint64_t sock, file, ino;
        int32_t index; /* in `found`; -1: not there */
    } confirm[MAX_CONFIRM];
};

static bool leads_to(struct xl_guest *g, uint64_t sock, uint64_t file, uint64_t ino)
{
    struct xw_fault fault;
    uint64_t socket, seen_file, seen_ino;
    return !xw_get(g->space, &g->lay, sock, sock_socket, &socket, &fault) && socket &&
           !xw_get(g->space, &g->lay, socket, socket_file, &seen_file, &fault) &&
           seen_file == file && !xl_socket_ino(g, socket, &seen_ino, &fault) && seen_ino == ino;
}

/* By itself or, of a subflow of MPTCP, by its connection. */
static bool has_file(struct xl_guest *g, uint64_t sock, uint64_t file, uint64_t ino)
{
    uint64_t connection;
    return leads_to(g, sock, file, ino) ||
           ((connection = xl_mptcp_connection(g, sock)) && leads_to(g, connection, file, ino));
}

/*
 * The sockets are still those that explain the flow, and the files still theirs. A socket keeps its
 * file and inode number for life, so all that was read in between is of this life, and whoever held
 * the file held the socket. Memory that is copied page by page must have been invalidated since, or
 * the copy would confirm itself.
 *
 * A process is the same for as long as it holds the file, but its credentials are replaced by exec
 * and setuid, and the memory of the old ones is soon another process's: what was read of them
 * counts only when they are still its own.
 */
static enum xvmi_status confirm(struct question *q)
{
    struct xl_guest *g = q->f->g;
    for (uint32_t i = 0; i < q->n_confirm; i++) {
        const int32_t index = q->confirm[i].index;
        if (!has_file(g, q->confirm[i].sock, q->confirm[i].file, q->confirm[i].ino) ||
            (index >= 0 && !xl_sockfind_still(&q->f->sockets, &q->found, (uint32_t)index)))
            return xvmi_error_set(g->err, XVMI_ERR_CHANGED, "the socket was closed");
    }
    for (uint32_t i = 0; i < q->answer->n_owners && q->query.want & XVMI_WANT_TASK; i++)
        if (!xl_task_links_hold(g, q->answer->owners[i].task.addr, &q->links[i]))
            return xvmi_error_set(g->err, XVMI_ERR_CHANGED, "the process changed");
    return XVMI_OK;
}

/* Found sockets and listeners are both bounded: there is room for all of them. */
static void confirm_later(struct question *q, uint64_t sock, const struct xvmi_socket *s,
                          int32_t index)
{
    q->confirm[q->n_confirm].sock = sock;
    q->confirm[q->n_confirm].file = s->file;
    q->confirm[q->n_confirm].ino = s->ino;
    q->confirm[q->n_confirm++].index = index;
}

/* --- from a socket to its processes --- */

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
        answer->owners[answer->n_owners++] =
            (struct xvmi_flow_owner){.task = {.addr = list->v[i].task,
                                              .start_ns = list->v[i].start_ns,
                                              .pid = list->v[i].pid},
                                     .fd = list->v[i].fd};
        if (answer->n_owners == 1)
            answer->token.thread = list->v[i].thread;
    }
}

/* The processes that have this socket among their descriptors join the answer; when none has, it is
 * said where the file is. */
static enum xvmi_status add_holders_of(struct question *q, const struct xvmi_socket *s)
{
    struct xl_holder_list list;
    const struct xl_held what = {s->file, s->ino, s->cgroup};
    enum xvmi_status status = xl_holders_find(q->f->holders, &what, &q->budget, &list);
    if (!status && !list.n && !q->answer->n_owners)
        status =
            xl_orphan_find(q->f->g, q->f->holders, &what, &q->budget, &q->answer->orphan, &list);
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
    struct xl_guest *g = q->f->g;
    const struct xl_found *found = &q->found;
    enum xvmi_status status =
        xl_socket_read_once(g, &q->f->sockets.nets, found->sock[i], found->kind, s);
    if (!status && s->file) {
        confirm_later(q, s->addr, s, (int32_t)i);
        return XVMI_OK;
    }
    return read_twice(q, found->sock[i], found->kind, s);
}

/* A connection that is not accepted yet belongs to those who listen. */
static enum xvmi_status add_listeners(struct question *q)
{
    const struct xvmi_flow *flow = q->found.translated ? &q->found.inside : q->flow;
    struct xl_found found;
    if (!flow)
        return XVMI_OK;
    enum xvmi_status status = xl_sockfind_listener(&q->f->sockets, q->found.net, flow, &found);
    for (uint32_t i = 0; i < found.n && !status; i++) {
        struct xvmi_socket s;
        status = read_twice(q, found.sock[i], found.kind, &s);
        if (!status && s.file) {
            confirm_later(q, s.addr, &s, -1);
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
    a->token.sock = q->n_confirm ? q->confirm[0].sock : a->socket.addr;
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

/* Another socket that explains the flow. */
static enum xvmi_status read_other(struct question *q, uint32_t i, struct xvmi_socket *other)
{
    struct xvmi_owner *a = q->answer;
    enum xvmi_status status = read_found(q, i, other);
    if (!status && (other->uid != a->socket.uid || other->cgroup != a->socket.cgroup))
        a->mixed = true;
    return status;
}

/* The processes behind answer->socket, with what is wanted of them. */
static enum xvmi_status add_processes(struct question *q)
{
    struct xvmi_owner *a = q->answer;
    enum xvmi_status status = a->socket.file ? add_holders_of(q, &a->socket) : without_file(q);
    for (uint32_t i = 1; i < q->found.n && !status; i++) {
        struct xvmi_socket other;
        status = read_other(q, i, &other);
        if (!status && other.file)
            status = add_holders_of(q, &other);
    }
    for (uint32_t i = 0; i < a->n_owners && !status; i++) {
        struct xw_fault fault;
        if (q->query.want & XVMI_WANT_TASK &&
            xl_task_links(q->f->g, a->owners[i].task.addr, &q->links[i], &fault))
            return xl_fault(q->f->g, &fault);
        status = xl_owner_attributes(q->f->g, &q->f->arena, q->query.want, &a->owners[i]);
    }
    return status ? status : make_token(q);
}

/* What is the matter with a socket that nobody has, and whose it was. */
static void describe_orphan(struct question *q)
{
    struct xvmi_owner *a = q->answer;
    a->kind = XVMI_OWNER_ORPHAN;
    if (!a->orphan)
        a->orphan = XVMI_ORPHAN_CLOSED;
    if (q->flow)
        (void)xl_trails_last(q->f->trails, q->trail, &a->last);
}

static enum xvmi_status look_at_socket(struct question *q)
{
    struct xvmi_owner *a = q->answer;
    if (q->query.want == XVMI_WANT_SOCKET) {
        enum xvmi_status status = XVMI_OK;
        for (uint32_t i = 1; i < q->found.n && !status; i++) {
            struct xvmi_socket other;
            status = read_other(q, i, &other);
        }
        if (!status)
            status = make_token(q);
        a->kind = a->socket.file ? XVMI_OWNER_PROCESS : XVMI_OWNER_ORPHAN;
        return status;
    }
    enum xvmi_status status = add_processes(q);
    if (status)
        return status;
    if (a->kind != XVMI_OWNER_KERNEL && (!a->n_owners || a->orphan))
        describe_orphan(q);
    else if (a->n_owners)
        a->kind = XVMI_OWNER_PROCESS;
    if (a->kind == XVMI_OWNER_PROCESS && q->flow)
        xl_trails_learn(q->f->trails, q->trail, q->found.bucket, a->socket.addr, a->token.thread,
                        &a->owners[0]);
    return XVMI_OK;
}

/* Everything but the confirmation. */
static enum xvmi_status look(struct question *q)
{
    const struct xl_found *found = &q->found;
    struct xvmi_owner *a = q->answer;
    memset(a, 0, offsetof(struct xvmi_owner, owners));
    q->n_confirm = 0;
    static const uint8_t no_mac[6];
    const uint8_t *mac = memcmp(q->query.mac, no_mac, 6) ? q->query.mac : NULL;
    q->f->sockets.budget = &q->budget;
    enum xvmi_status status = xl_sockfind(&q->f->sockets, q->flow, mac, &q->found);
    a->foreign = !status && !found->n && xl_sockfind_foreign(&q->f->sockets, q->flow);
    if (status || !found->n)
        return status;
    a->via_socket = found->via;
    a->more = found->more;
    a->mixed = found->more && q->flow->direction == XVMI_FLOW_OUT;
    a->translated = found->translated;
    status = read_found(q, 0, &a->socket);
    return status ? status : look_at_socket(q);
}

/* --- asking --- */

static void start_budget(struct question *q)
{
    const uint32_t most = q->query.max_reads ? q->query.max_reads : DEFAULT_READS;
    q->budget = (struct xl_budget){.max_reads = q->f->g->space->reads + most,
                                   .deadline = q->query.deadline_ns};
}

static void begin(struct question *q, struct xvmi_finder *f, const struct xvmi_owner_query *query)
{
    q->f = f;
    q->query = (struct xvmi_owner_query){0};
    if (query)
        memcpy(&q->query, query, query->size < sizeof(q->query) ? query->size : sizeof(q->query));
    if (!q->query.want)
        q->query.want = XVMI_WANT_TASK;
    start_budget(q);
    q->found.n = 0;
    q->found.translated = false;
    q->flow = NULL;
}

static void near(struct question *q)
{
    q->trail = xl_trail_key(q->flow);
    const uint64_t file = xl_trails_near(q->f->trails, q->trail);
    if (file)
        xl_holders_near(q->f->holders, file);
}

/* Before confirm(): memory that is copied is copied anew. */
static void look_again(const struct question *q, size_t n)
{
    if (!xm_copies(q->f->g->space->mem))
        return;
    xo_renew(q->f->g->space);
    for (size_t i = 0; i < n; i++)
        if (q[i].n_confirm && q[i].flow)
            xl_trails_near_socket(q[i].f->trails, q[i].trail);
}

static bool is_final(const struct question *q, enum xvmi_status status)
{
    return !status || status == XVMI_ERR_UNSUPPORTED || status == XVMI_ERR_LIMIT ||
           status == XVMI_ERR_NO_MEMORY || xl_budget_check(q->f->g, &q->budget);
}

/* What went wrong on a first look may be because the guest did not stand still. */
static enum xvmi_status ask_again(struct question *q, enum xvmi_status status,
                                  enum xvmi_status (*once_more)(struct question *))
{
    for (int i = 1; i < XL_RETRIES && !is_final(q, status); i++) {
        xo_invalidate(q->f->g->space);
        status = once_more(q);
        if (!status) {
            look_again(q, 1);
            status = confirm(q);
        }
    }
    return status;
}

/* Up to BATCH questions. */
static void ask(struct question *q, size_t n, enum xvmi_status *status)
{
    struct xl_guest *g = q->f->g;
    uint64_t reads[BATCH], began = now_ns();
    xo_renew(g->space); /* what is read now is how it is now */
    for (size_t i = 0; i < n; i++)
        near(&q[i]);
    for (size_t i = 0; i < n; i++) {
        start_budget(&q[i]);
        reads[i] = g->space->reads;
        status[i] = look(&q[i]);
        reads[i] = g->space->reads - reads[i];
    }
    look_again(q, n);
    for (size_t i = 0; i < n; i++) {
        const uint64_t before = g->space->reads;
        if (!status[i])
            status[i] = confirm(&q[i]);
        status[i] = ask_again(&q[i], status[i], look);
        q[i].answer->reads = (uint32_t)(reads[i] + g->space->reads - before);
        q[i].answer->ns = now_ns() - began;
    }
}

enum xvmi_status xvmi_owner_find(struct xvmi_finder *f, const struct xvmi_flow *flow,
                                 const struct xvmi_owner_query *query, struct xvmi_owner *answer)
{
    struct question q;
    enum xvmi_status status;
    if (!xvmi_flow_valid(flow))
        return xvmi_error_set(f->g->err, XVMI_ERR_INVALID, "a flow with bytes that mean nothing");
    xb_arena_reset(&f->arena);
    begin(&q, f, query);
    q.flow = flow;
    q.answer = answer;
    ask(&q, 1, &status);
    return status ? xvmi_error_frame(f->g->err, status, "finding the owner") : XVMI_OK;
}

enum xvmi_status xvmi_owner_find_batch(struct xvmi_finder *f, const struct xvmi_flow *flows,
                                       size_t n, const struct xvmi_owner_query *query,
                                       struct xvmi_owner *answers, enum xvmi_status *status)
{
    struct question q[BATCH];
    for (size_t i = 0; i < n; i++)
        if (!xvmi_flow_valid(&flows[i]))
            return xvmi_error_set(f->g->err, XVMI_ERR_INVALID,
                                  "flow %zu has bytes that mean nothing", i);
    xb_arena_reset(&f->arena);
    for (size_t done = 0; done < n; done += BATCH) {
        const size_t here = n - done < BATCH ? n - done : BATCH;
        for (size_t i = 0; i < here; i++) {
            begin(&q[i], f, query);
            q[i].flow = &flows[done + i];
            q[i].answer = &answers[done + i];
        }
        ask(q, here, status + done);
    }
    return XVMI_OK;
}

/* The socket that xvmi_owner_of() was asked for, as it is now. */
static enum xvmi_status look_at_given(struct question *q)
{
    struct xvmi_owner *a = q->answer;
    const struct xvmi_socket given = a->socket;
    memset(a, 0, offsetof(struct xvmi_owner, owners));
    q->n_confirm = 0;
    enum xvmi_status status =
        read_twice(q, given.addr, (enum xvmi_socket_kind)given.kind, &a->socket);
    if (!status &&
        (a->socket.ino != given.ino || (given.cookie && a->socket.cookie != given.cookie)))
        status = xvmi_error_set(q->f->g->err, XVMI_ERR_CHANGED, "the socket was closed");
    if (status) {
        a->socket = given;
        return status;
    }
    if (a->socket.file)
        confirm_later(q, a->socket.addr, &a->socket, -1);
    return look_at_socket(q);
}

enum xvmi_status xvmi_owner_of(struct xvmi_finder *f, const struct xvmi_socket *socket,
                               const struct xvmi_owner_query *query, struct xvmi_owner *answer)
{
    struct question q;
    const uint64_t began = now_ns(), reads = f->g->space->reads;
    xb_arena_reset(&f->arena);
    begin(&q, f, query);
    q.answer = answer;
    answer->socket = *socket;
    enum xvmi_status status = look_at_given(&q);
    if (!status) {
        look_again(&q, 1);
        status = confirm(&q);
    }
    status = ask_again(&q, status, look_at_given);
    answer->reads = (uint32_t)(f->g->space->reads - reads);
    answer->ns = now_ns() - began;
    return status ? xvmi_error_frame(f->g->err, status, "finding the owner") : XVMI_OK;
}

enum xvmi_status xvmi_finder_tend(struct xvmi_finder *f, uint32_t max_reads, bool *done)
{
    const struct xl_budget budget = {.max_reads =
                                         max_reads ? f->g->space->reads + max_reads : UINT64_MAX};
    xo_renew(f->g->space);
    return xl_holders_tend(f->holders, &budget, done);
}

enum xvmi_status xvmi_owner_revalidate(struct xvmi_finder *f, const struct xvmi_owner_token *token)
{
    struct xl_guest *g = f->g;
    struct xw_fault fault;
    struct xw_task t;
    uint64_t mm = 0, exe = 0;
    xo_renew(g->space);
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
