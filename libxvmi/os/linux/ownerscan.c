// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Who holds which socket: every descriptor of every process, the long way.
 *
 * Files and descriptor tables are reused at once when they are freed, so an owner is only named
 * when three looks agree, each after the one before: the descriptor led to the file and the file to
 * the socket; the process still has that table and the descriptor still leads to that file; the
 * file still leads to the same socket with the same inode number. Inode numbers are not reused, so
 * the file was that socket all the time, and the process had it in the middle.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/vec.h"
#include "os/linux/socket.h"
#include "os/linux/task.h"

#define CHUNK 512u /* descriptors read at once: a page */
/* Descriptors looked at in all: one for each 64 bytes of the guest's memory, as if it held nothing
 * but open files and their descriptors four times over. Only a hostile guest has more. */
#define BYTES_A_DESCRIPTOR 64

/* A descriptor table in use: by a process, or by one of its threads that has its own. */
struct table {
    uint64_t task; /* the thread whose files it is */
    uint64_t files, fd;
    uint32_t max_fds;
    uint32_t process; /* index into the task list */
    bool valid;
};

struct entry {
    uint64_t file, ino; /* the sort key: which socket, by the name that subflows of MPTCP share */
    uint64_t sock;
    uint32_t table, fd;
    uint32_t process;
    bool valid;
};

struct table_vec {
    struct table *v;
    size_t n, cap;
};

struct entry_vec {
    struct entry *v;
    size_t n, cap;
};

struct xvmi_owner_scan {
    struct entry *entries; /* sorted; owners[i] belongs to entries[i] */
    struct xvmi_socket_owner *owners;
    size_t n;
};

struct scan {
    struct xl_guest *g;
    struct xvmi_task *tasks;
    size_t n_tasks;
    struct table_vec tables;
    struct entry_vec entries;
    uint64_t fds_left; /* the budget */
};

static enum xvmi_status no_memory(struct scan *s)
{
    return xvmi_error_set(s->g->err, XVMI_ERR_NO_MEMORY, "out of memory");
}

/* Is this task still the process (or one of the threads) we listed? */
static bool same_process(struct scan *s, uint64_t task, uint32_t process)
{
    struct xw_task t;
    struct xw_fault fault;
    const struct xvmi_task *p = &s->tasks[process];
    return !xw_task_ids(s->g->space, &s->g->lay, task, &t, &fault) && (int32_t)t.tgid == p->pid &&
           (task != p->addr || t.start_ns == p->start_ns);
}

/* --- look 1: descriptors to sockets --- */

/* Which socket a file is; false when it is none, or when what it leads to does not hold. */
static bool file_to_socket(struct xl_guest *g, uint64_t file, uint64_t *sock, uint64_t *ino)
{
    struct xw_fault fault;
    uint64_t socket;
    return xw_is_pointer(file) &&
           !xw_file_sock(g->space, &g->lay, file, g->sym.sym_socket_file_ops, sock, &fault) &&
           *sock && !xw_get(g->space, &g->lay, file, file_private, &socket, &fault) &&
           !xl_socket_ino(g, socket, ino, &fault);
}

static enum xvmi_status scan_chunk(struct scan *s, uint32_t table, uint32_t first, uint32_t n,
                                   const uint64_t *files)
{
    for (uint32_t i = 0; i < n; i++) {
        struct entry e = {.file = files[i],
                          .table = table,
                          .fd = first + i,
                          .process = s->tables.v[table].process,
                          .valid = true};
        if (files[i] && file_to_socket(s->g, files[i], &e.sock, &e.ino) &&
            !xb_vec_push(&s->entries, e))
            return no_memory(s);
    }
    return XVMI_OK;
}

/* XVMI_ERR_CHANGED: the table was given up while we read it. */
static enum xvmi_status scan_table(struct scan *s, uint32_t table)
{
    const struct table *t = &s->tables.v[table];
    uint64_t files[CHUNK];
    enum xvmi_status status = XVMI_OK;
    for (uint32_t first = 0; first < t->max_fds && !status; first += CHUNK) {
        uint32_t n = t->max_fds - first < CHUNK ? t->max_fds - first : CHUNK;
        if (xo_read(s->g->space, t->fd + (uint64_t)first * 8, files, n * 8))
            return xvmi_error_set(s->g->err, XVMI_ERR_CHANGED, "descriptor table vanished");
        status = scan_chunk(s, table, first, n, files);
    }
    return status;
}

static bool read_table(struct xl_guest *g, uint64_t files, uint64_t *fd, uint32_t *max_fds)
{
    struct xw_fault fault;
    return xw_is_pointer(files) && !xw_fdtable(g->space, &g->lay, files, fd, max_fds, &fault);
}

/* The descriptors of one thread, unless `seen` says its table is the one of the thread before.
 * XVMI_ERR_CHANGED when it did not hold still and is not known to be gone. */
static enum xvmi_status scan_thread(struct scan *s, uint64_t task, uint32_t process, uint64_t *seen)
{
    struct xl_guest *g = s->g;
    struct xw_fault fault;
    enum xvmi_status status = XVMI_ERR_CHANGED;
    for (int i = 0; i < XL_RETRIES && status == XVMI_ERR_CHANGED; i++) {
        struct table t = {.task = task, .process = process, .valid = true};
        size_t entries = s->entries.n;
        if (i)
            xo_invalidate(g->space);
        if (!same_process(s, task, process))
            return XVMI_OK; /* it ended: nobody's owner any more */
        if (xw_get(g->space, &g->lay, task, task_files, &t.files, &fault))
            continue;
        if (!t.files || t.files == *seen)
            return XVMI_OK;
        if (!read_table(g, t.files, &t.fd, &t.max_fds))
            continue;
        if (t.max_fds > s->fds_left)
            return xvmi_error_set(g->err, XVMI_ERR_LIMIT,
                                  "a table of %u descriptors: more than memory could hold",
                                  t.max_fds);
        s->fds_left -= t.max_fds;
        if (!xb_vec_push(&s->tables, t))
            return no_memory(s);
        status = scan_table(s, (uint32_t)(s->tables.n - 1));
        if (status == XVMI_ERR_CHANGED) {
            s->tables.n--;
            s->entries.n = entries;
        } else {
            *seen = t.files;
        }
    }
    if (status == XVMI_ERR_CHANGED)
        xvmi_error_set(g->err, status, "its descriptor table cannot be read");
    return status;
}

/* Threads of a process that unshared their descriptors: rare, so each is only looked at. */
static enum xvmi_status scan_threads(struct scan *s, uint32_t process, uint64_t *seen)
{
    struct xl_guest *g = s->g;
    const struct xvmi_task *p = &s->tasks[process];
    struct xw_fault fault;
    uint64_t signal, node;
    if (p->threads < 2 || xw_get(g->space, &g->lay, p->addr, task_signal, &signal, &fault))
        return XVMI_OK;
    const uint64_t head = signal + g->lay.signal_thread_head.off;
    if (xo_read_u64(g->space, head, &node))
        return XVMI_OK;
    enum xvmi_status status = XVMI_OK;
    /* The ring may change while we go round; what belongs to another process is left out. */
    const uint64_t most = xm_total(g->space->mem) / g->lay.size_task;
    for (uint64_t i = 0; i < (uint64_t)p->threads + XL_RETRIES && i < most; i++) {
        if (node == head || status)
            break;
        if (!xw_is_pointer(node))
            break;
        status = scan_thread(s, node - g->lay.task_thread_node.off, process, seen);
        if (xo_read_u64(g->space, node, &node))
            break;
    }
    return status;
}

static enum xvmi_status look_at_descriptors(struct scan *s)
{
    for (uint32_t i = 0; i < s->n_tasks; i++) {
        uint64_t seen = 0;
        enum xvmi_status status = scan_thread(s, s->tasks[i].addr, i, &seen);
        if (!status)
            status = scan_threads(s, i, &seen);
        if (status)
            return xvmi_error_frame(s->g->err, status, "process %d", s->tasks[i].pid);
    }
    return XVMI_OK;
}

/* --- looks 2 and 3 --- */

static void look_at_tables_again(struct scan *s)
{
    struct xl_guest *g = s->g;
    for (size_t i = 0; i < s->tables.n; i++) {
        struct table *t = &s->tables.v[i];
        struct xw_fault fault;
        uint64_t files, fd;
        uint32_t max_fds;
        t->valid = same_process(s, t->task, t->process) &&
                   !xw_get(g->space, &g->lay, t->task, task_files, &files, &fault) &&
                   files == t->files && read_table(g, files, &fd, &max_fds);
        if (t->valid) { /* a table that grew has moved: the descriptors are the same */
            t->fd = fd;
            t->max_fds = max_fds;
        }
    }
    for (size_t i = 0; i < s->entries.n; i++) {
        struct entry *e = &s->entries.v[i];
        const struct table *t = &s->tables.v[e->table];
        uint64_t file;
        e->valid = t->valid && e->fd < t->max_fds &&
                   !xo_read_u64(g->space, t->fd + (uint64_t)e->fd * 8, &file) && file == e->file;
    }
}

static void look_at_files_again(struct scan *s)
{
    for (size_t i = 0; i < s->entries.n; i++) {
        struct entry *e = &s->entries.v[i];
        uint64_t sock, ino;
        e->valid = e->valid && file_to_socket(s->g, e->file, &sock, &ino) && sock == e->sock &&
                   ino == e->ino;
    }
}

/* --- the result --- */

static int by_socket(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    if (x->file != y->file)
        return x->file < y->file ? -1 : 1;
    return (x->ino > y->ino) - (x->ino < y->ino);
}

static int by_socket_process_fd(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    int order = by_socket(a, b);
    if (!order)
        order = (x->process > y->process) - (x->process < y->process);
    return order ? order : (x->fd > y->fd) - (x->fd < y->fd);
}

/* Sorted by socket, the oldest process first; of several descriptors of a process the lowest. */
static void keep_valid(struct entry_vec *entries)
{
    size_t kept = 0;
    if (entries->n)
        qsort(entries->v, entries->n, sizeof(*entries->v), by_socket_process_fd);
    for (size_t i = 0; i < entries->n; i++) {
        const struct entry *e = &entries->v[i];
        const struct entry *last = kept ? &entries->v[kept - 1] : NULL;
        if (e->valid && (!last || by_socket(e, last) || e->process != last->process))
            entries->v[kept++] = *e;
    }
    entries->n = kept;
}

static enum xvmi_status make_result(struct scan *s, struct xvmi_owner_scan **out)
{
    keep_valid(&s->entries);
    struct xvmi_owner_scan *scan = calloc(1, sizeof(*scan));
    struct xvmi_socket_owner *owners = calloc(s->entries.n + 1, sizeof(*owners));
    if (!scan || !owners) {
        free(scan);
        free(owners);
        return no_memory(s);
    }
    for (size_t i = 0; i < s->entries.n; i++) {
        const struct entry *e = &s->entries.v[i];
        const struct xvmi_task *p = &s->tasks[e->process];
        owners[i] =
            (struct xvmi_socket_owner){.task = p->addr, .pid = p->pid, .fd = (int32_t)e->fd};
        memcpy(owners[i].comm, p->comm, sizeof(owners[i].comm));
    }
    *scan = (struct xvmi_owner_scan){s->entries.v, owners, s->entries.n};
    s->entries = (struct entry_vec){0};
    *out = scan;
    return XVMI_OK;
}

enum xvmi_status xl_owner_scan_new(struct xl_guest *g, struct xvmi_owner_scan **out)
{
    struct scan s = {.g = g, .fds_left = xm_total(g->space->mem) / BYTES_A_DESCRIPTOR};
    *out = NULL;
    enum xvmi_status status = xl_task_list(g, &s.tasks, &s.n_tasks);
    if (!status)
        status = look_at_descriptors(&s);
    if (!status) {
        xo_invalidate(g->space);
        look_at_tables_again(&s);
        xo_invalidate(g->space);
        look_at_files_again(&s);
        status = make_result(&s, out);
    }
    free(s.tasks);
    free(s.tables.v);
    free(s.entries.v);
    return status ? xvmi_error_frame(g->err, status, "finding the owners of sockets") : XVMI_OK;
}

void xvmi_owner_scan_free(struct xvmi_owner_scan *scan)
{
    if (!scan)
        return;
    free(scan->entries);
    free(scan->owners);
    free(scan);
}

size_t xvmi_owner_scan_find(const struct xvmi_owner_scan *scan, const struct xvmi_socket *socket,
                            const struct xvmi_socket_owner **owners)
{
    const struct entry key = {.file = socket->file, .ino = socket->ino};
    size_t first = 0, n = 0;
    for (size_t end = scan->n; first < end;) { /* the first entry that is not before the key */
        size_t middle = first + (end - first) / 2;
        if (by_socket(&scan->entries[middle], &key) < 0)
            first = middle + 1;
        else
            end = middle;
    }
    while (first + n < scan->n && !by_socket(&scan->entries[first + n], &key))
        n++;
    *owners = scan->owners + first;
    return n;
}
