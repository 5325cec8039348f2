// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Proving that a process holds a file, and that nobody else can. */
#include "os/linux/holdsearch.h"

#define MAX_FDS     (1u << 22) /* of one process: 32 MiB of pointers */
#define CHUNK       512u
#define MAX_WAITING 64 /* on one socket */

bool xl_holder_is_process(struct xl_guest *g, const struct xl_holder *holder)
{
    struct xw_task t;
    struct xw_fault fault;
    return !xw_task_ids(g->space, &g->lay, holder->task, &t, &fault) &&
           t.start_ns == holder->start_ns && (int32_t)t.tgid == holder->pid;
}

bool xl_holder_holds(struct xl_guest *g, const struct xl_holder *holder, uint64_t file)
{
    struct xw_fault fault;
    uint64_t files, seen, tgid;
    return holder->fd >= 0 && xl_holder_is_process(g, holder) &&
           (holder->thread == holder->task ||
            (!xw_get(g->space, &g->lay, holder->thread, task_tgid, &tgid, &fault) &&
             (int32_t)tgid == holder->pid)) &&
           !xw_get(g->space, &g->lay, holder->thread, task_files, &files, &fault) && files &&
           !xw_fd_file(g->space, &g->lay, files, (uint32_t)holder->fd, &seen, &fault) &&
           seen == file;
}

/* How many descriptors of a table lead to `file`, and the first of them. What they lead to
 * besides is remembered when `all` is wanted. */
uint32_t xl_search_table(struct xl_search *s, uint64_t table, uint32_t max_fds,
                         struct xl_holder *holder, bool all)
{
    struct xl_guest *g = s->h->g;
    uint64_t copy[CHUNK];
    uint32_t count = 0;
    for (uint32_t first = 0; first < max_fds && first < MAX_FDS; first += CHUNK) {
        uint32_t n = max_fds - first < CHUNK ? max_fds - first : CHUNK;
        if (xo_read(g->space, table + (uint64_t)first * 8, copy, n * 8))
            return count;
        g->space->reads += n / 64; /* its price is that of its cache lines */
        for (uint32_t i = 0; i < n; i++) {
            if (copy[i] == s->file && !count++)
                holder->fd = (int32_t)(first + i);
            if (all && copy[i] && copy[i] != s->file) {
                struct xl_holder other = *holder;
                other.fd = (int32_t)(first + i);
                xl_memo_add_last(&s->h->memo, copy[i], 0, &other, 1);
            }
        }
    }
    return count;
}

/* Each thread counts once on the descriptor table that it uses: with more than that, another
 * process uses it, too (CLONE_FILES without CLONE_THREAD). */
static bool shares_table(struct xl_search *s, const struct xl_holder *holder)
{
    struct xl_guest *g = s->h->g;
    struct xw_fault fault;
    uint64_t files, users, signal, threads;
    if (xw_get(g->space, &g->lay, holder->thread, task_files, &files, &fault) ||
        xw_get(g->space, &g->lay, files, files_count, &users, &fault) ||
        xw_get(g->space, &g->lay, holder->task, task_signal, &signal, &fault) ||
        xw_get(g->space, &g->lay, signal, signal_nr_threads, &threads, &fault))
        return true;
    s->threaded = s->threaded || threads > 1;
    return users > threads;
}

void xl_search_add(struct xl_search *s, const struct xl_holder *holder, uint32_t descriptors)
{
    struct xl_holder_list *list = s->list;
    s->shared = s->shared || shares_table(s, holder);
    for (uint32_t i = 0; i < list->n; i++)
        if (list->v[i].task == holder->task)
            return;
    s->descriptors += descriptors;
    if (list->n == XVMI_OWNERS_MAX) {
        list->more = true;
        return;
    }
    uint32_t at = list->n++;
    for (; at > 0 && list->v[at - 1].start_ns > holder->start_ns; at--) {
        list->v[at] = list->v[at - 1];
        s->per_holder[at] = s->per_holder[at - 1];
    }
    list->v[at] = *holder;
    s->per_holder[at] = descriptors;
}

/* Does this process hold the file? Then it is in the list. */
bool xl_search_process(struct xl_search *s, struct xl_holder *holder, bool all)
{
    struct xl_guest *g = s->h->g;
    struct xw_fault fault;
    uint64_t files, table;
    uint32_t max_fds;
    if (xw_get(g->space, &g->lay, holder->task, task_files, &files, &fault) || !files ||
        xw_fdtable(g->space, &g->lay, files, &table, &max_fds, &fault))
        return false;
    holder->fd = -1;
    uint32_t n = xl_search_table(s, table, max_fds, holder, all);
    if (!n || !xl_holder_holds(g, holder, s->file))
        return false;
    xl_search_add(s, holder, n);
    return true;
}

/* References to the file: since 6.13 counted from 0. */
uint32_t xl_search_references(struct xl_guest *g, uint64_t file)
{
    struct xw_fault fault;
    uint64_t count;
    if (xw_get(g->space, &g->lay, file, file_count, &count, &fault))
        return UINT32_MAX;
    count += xw_has(g->lay.file_ref) ? 1 : 0;
    return count < UINT32_MAX ? (uint32_t)count : UINT32_MAX;
}

static bool is_thread_of_holder(const struct xl_search *s, uint64_t task)
{
    struct xl_guest *g = s->h->g;
    struct xw_fault fault;
    uint64_t tgid;
    if (!xw_is_pointer(task) || xw_get(g->space, &g->lay, task, task_tgid, &tgid, &fault))
        return false;
    for (uint32_t i = 0; i < s->list->n; i++)
        if (s->list->v[i].pid == (int32_t)tgid)
            return true;
    return false;
}

/*
 * References of those who wait on the socket: poll() and select() take one for each time that they
 * wait on it (__pollwait() in fs/select.c), other system calls when the process has threads
 * (__fget_light() in fs/file.c). epoll takes none.
 */
static uint32_t waiting(const struct xl_search *s)
{
    struct xl_guest *g = s->h->g;
    const struct xw_layout *lay = &g->lay;
    struct xw_fault fault;
    uint64_t op, socket, node, func, task;
    uint32_t n = 0;
    if (!g->sym.sym_pollwake || !xw_has(lay->socket_wait) || !xw_has(lay->wait_entry) ||
        xw_get(g->space, lay, s->file, file_op, &op, &fault) || op != g->sym.sym_socket_file_ops ||
        xw_get(g->space, lay, s->file, file_private, &socket, &fault) || !socket ||
        xo_read_u64(g->space, socket + lay->socket_wait.off, &node))
        return 0;
    for (int i = 0; i < MAX_WAITING && node != socket + lay->socket_wait.off; i++) {
        const uint64_t entry = node - lay->wait_entry.off;
        if (!xw_is_pointer(node) || xw_get(g->space, lay, entry, wait_func, &func, &fault) ||
            xw_get(g->space, lay, entry, wait_private, &task, &fault) ||
            xo_read_u64(g->space, node, &node))
            return 0;
        n += func == g->sym.sym_pollwake || (s->threaded && is_thread_of_holder(s, task));
    }
    return n;
}

/* References that neither descriptors nor those who wait explain: threads in the middle of a system
 * call, or somebody who was not found. */
uint32_t xl_search_unexplained(const struct xl_search *s, uint32_t descriptors)
{
    if (s->count <= descriptors)
        return 0;
    const uint32_t rest = s->count - descriptors, waits = waiting(s);
    return rest > waits ? rest - waits : 0;
}

/* Nobody but those found can hold the file. */
bool xl_search_complete(const struct xl_search *s)
{
    return s->list->n && !s->shared && !xl_search_unexplained(s, s->descriptors);
}
