// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Guesses, in this order; each is proven by reading fd[n] == file on live memory:
 *
 *   last      who held this file the last time it was asked for
 *   index     who was seen to hold it when others were looked for
 *   opener    every process has a struct cred of its own (copy_creds() in kernel/cred.c makes one
 *             for each fork that is no thread), and a file points to that of its opener: one look
 *             into a table from credentials to processes, as long as the opener did not exec or
 *             change its ids since. New processes are at the end of the task list, so the table is
 *             brought up to date by looking at the new ones alone.
 *   current   the processes that run on the vCPUs right now
 *   cgroup    the processes of the control group that the socket was made in, when they are few
 *   tasks     all descriptors of all processes, which also fills the tables
 *
 * Finding one holder is not finding all: the file's reference count says when there may be more
 * (fork, SCM_RIGHTS). It also counts threads that are inside a system call on the file, so the
 * holders that a search found are remembered together with the count at which it found no others.
 */
#include "os/linux/holders.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "os/linux/holdermemo.h"
#include "os/linux/task.h"

#define MAX_CPUS    256
#define MAX_FDS     (1u << 22) /* of one process: 32 MiB of pointers */
#define CHUNK       512u
#define NEW_TASKS   4096 /* looked at in one go for new processes; more: the search */
#define FEW_LINKS   64   /* of a control group whose processes are looked at */
#define FEW_TASKS   256
#define MAX_WAITING 64 /* on one socket */

struct xl_holders {
    struct xl_guest *g;
    struct xl_memo memo;
    bool primed; /* the credentials of all processes were looked at once */
    struct {
        uint64_t task, start_ns; /* where xl_holders_tend() goes on after; 0: at the beginning */
    } tended;
};

/* The state of one question. */
struct search {
    struct xl_holders *h;
    uint64_t file, ino, cgroup;
    const struct xl_budget *budget;
    struct xl_holder_list *list;
    uint32_t per_holder[XVMI_OWNERS_MAX]; /* descriptors of list->v */
    uint32_t descriptors;                 /* of all holders together, those of list->more, too */
    uint32_t count;                       /* the file's references */
    bool shared;                          /* somebody shares the descriptor table of a holder */
    bool threaded;                        /* a holder has threads: their system calls count */
};

enum xvmi_status xl_budget_check(const struct xl_guest *g, const struct xl_budget *budget)
{
    if (g->space->reads > budget->max_reads)
        return xvmi_error_set(g->err, XVMI_ERR_LIMIT, "the budget of reads is used up");
    if (!budget->deadline)
        return XVMI_OK;
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    uint64_t now = (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
    return now < budget->deadline
               ? XVMI_OK
               : xvmi_error_set(g->err, XVMI_ERR_LIMIT, "the deadline has passed");
}

enum xvmi_status xl_holders_new(struct xl_guest *g, size_t memory, struct xl_holders **out)
{
    struct xl_holders *h = calloc(1, sizeof(*h));
    if (!h || !xl_memo_init(&h->memo, memory)) {
        free(h);
        return xvmi_error_set(g->err, XVMI_ERR_NO_MEMORY, "out of memory");
    }
    h->g = g;
    *out = h;
    return XVMI_OK;
}

void xl_holders_free(struct xl_holders *h)
{
    if (!h)
        return;
    xl_memo_fini(&h->memo);
    free(h);
}

void xl_holders_near(const struct xl_holders *h, uint64_t file)
{
    xl_memo_near(&h->memo, file);
}

/* --- proving a guess --- */

static bool is_process(struct xl_guest *g, const struct xl_holder *holder)
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
    return holder->fd >= 0 && is_process(g, holder) &&
           (holder->thread == holder->task ||
            (!xw_get(g->space, &g->lay, holder->thread, task_tgid, &tgid, &fault) &&
             (int32_t)tgid == holder->pid)) &&
           !xw_get(g->space, &g->lay, holder->thread, task_files, &files, &fault) && files &&
           !xw_fd_file(g->space, &g->lay, files, (uint32_t)holder->fd, &seen, &fault) &&
           seen == file;
}

/* How many descriptors of a table lead to `file`, and the first of them. What they lead to
 * besides is remembered when `all` is wanted. */
static uint32_t count_in_table(struct search *s, uint64_t table, uint32_t max_fds,
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
static bool shares_table(struct search *s, const struct xl_holder *holder)
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

static void add_holder(struct search *s, const struct xl_holder *holder, uint32_t descriptors)
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
static bool try_process(struct search *s, struct xl_holder *holder, bool all)
{
    struct xl_guest *g = s->h->g;
    struct xw_fault fault;
    uint64_t files, table;
    uint32_t max_fds;
    if (xw_get(g->space, &g->lay, holder->task, task_files, &files, &fault) || !files ||
        xw_fdtable(g->space, &g->lay, files, &table, &max_fds, &fault))
        return false;
    holder->fd = -1;
    uint32_t n = count_in_table(s, table, max_fds, holder, all);
    if (!n || !xl_holder_holds(g, holder, s->file))
        return false;
    add_holder(s, holder, n);
    return true;
}

/* References to the file: since 6.13 counted from 0. */
static uint32_t references(struct xl_guest *g, uint64_t file)
{
    struct xw_fault fault;
    uint64_t count;
    if (xw_get(g->space, &g->lay, file, file_count, &count, &fault))
        return UINT32_MAX;
    count += xw_has(g->lay.file_ref) ? 1 : 0;
    return count < UINT32_MAX ? (uint32_t)count : UINT32_MAX;
}

static bool is_thread_of_holder(const struct search *s, uint64_t task)
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
static uint32_t waiting(const struct search *s)
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
static uint32_t unexplained(const struct search *s, uint32_t descriptors)
{
    if (s->count <= descriptors)
        return 0;
    const uint32_t rest = s->count - descriptors, waits = waiting(s);
    return rest > waits ? rest - waits : 0;
}

/* Nobody but those found can hold the file. */
static bool complete(const struct search *s)
{
    return s->list->n && !s->shared && !unexplained(s, s->descriptors);
}

/* --- last, index --- */

/* Does a holder of so many descriptors still have all of them? */
static bool still_has(struct search *s, struct xl_holder *holder, uint32_t descriptors)
{
    if (descriptors < 2) {
        if (!xl_holder_holds(s->h->g, holder, s->file))
            return false;
        add_holder(s, holder, 1);
        return true;
    }
    const uint32_t before = s->descriptors;
    return holder->thread == holder->task && is_process(s->h->g, holder) &&
           try_process(s, holder, false) && s->descriptors - before == descriptors;
}

static void nobody_yet(struct search *s)
{
    s->list->n = 0;
    s->list->more = false;
    s->descriptors = 0;
    s->shared = s->threaded = false;
}

/* True when all who were in the file's group still are, and no more references are unexplained than
 * when a search found nobody else. A reference that one of them gave up could be somebody else's.
 */
static bool try_group(struct search *s)
{
    struct xl_memo_group *group = xl_memo_group(&s->h->memo, s->file, s->ino);
    if (!group)
        return false;
    for (uint32_t i = 0; i < group->n; i++)
        if (!still_has(s, &group->v[i], group->descriptors[i])) {
            group->n = 0;
            nobody_yet(s);
            return false;
        }
    /* Of a group that is too large for an answer not all are looked at again. */
    if (unexplained(s, group->more ? group->total : s->descriptors) > group->unexplained) {
        nobody_yet(s);
        return false;
    }
    s->list->more = group->more;
    s->list->via = XVMI_VIA_LAST;
    return true;
}

/* True when those who held the file last time still do, and nobody else can. */
static bool try_last(struct search *s)
{
    struct xl_memo_last *set = xl_memo_last(&s->h->memo, s->file);
    s->list->via = XVMI_VIA_LAST;
    for (int i = 0; i < XL_MEMO_WAYS; i++) {
        struct xl_memo_last *e = &set[i];
        if (e->file != s->file)
            continue;
        if (!still_has(s, &e->holder, e->descriptors)) {
            *e = (struct xl_memo_last){0};
            continue;
        }
        e->used = ++s->h->memo.clock;
        if (!e->ino)
            s->list->via = XVMI_VIA_INDEX;
        e->ino = s->ino;
    }
    return complete(s);
}

/* --- opener --- */

/* The task before `addr` in the list: list_head.prev lies behind next. */
static bool previous_task(struct xl_guest *g, uint64_t addr, uint64_t *previous)
{
    uint64_t node;
    if (xo_read_u64(g->space, addr + g->lay.task_tasks.off + 8, &node) || !xw_is_pointer(node))
        return false;
    *previous = node - g->lay.task_tasks.off;
    return true;
}

static bool known(struct xl_holders *h, uint64_t cred, const struct xw_task *t)
{
    const struct xl_memo_cred *set = xl_memo_cred(&h->memo, cred);
    for (int i = 0; i < XL_MEMO_WAYS; i++)
        if (set[i].cred == cred && set[i].task == t->addr && set[i].start_ns == t->start_ns)
            return true;
    return false;
}

/* Bring the table up to date: from the newest task back to the first that is known. */
static void learn_new_tasks(struct search *s, bool look_for_file)
{
    struct xl_holders *h = s->h;
    struct xl_guest *g = h->g;
    const uint64_t init = g->sym.sym_init_task;
    uint64_t task = init, cred;
    /* The first time all of them are new. */
    uint64_t most = h->primed ? NEW_TASKS : xm_total(g->space->mem) / g->lay.size_task;
    for (uint64_t i = 0; i < most && previous_task(g, task, &task) && task != init; i++) {
        struct xw_task t;
        struct xw_fault fault;
        if (xw_task_ids(g->space, &g->lay, task, &t, &fault) ||
            xw_get(g->space, &g->lay, task, task_cred, &cred, &fault) || known(h, cred, &t))
            break;
        xl_memo_add_cred(&h->memo, cred, &t);
        struct xl_holder holder = {t.addr, t.start_ns, t.addr, (int32_t)t.tgid, -1};
        if (look_for_file)
            try_process(s, &holder, true);
        if (i % 256 == 255 && xl_budget_check(g, s->budget))
            return;
    }
    h->primed = true;
}

static bool try_cred(struct search *s, uint64_t cred)
{
    struct xl_holders *h = s->h;
    struct xl_memo_cred *set = xl_memo_cred(&h->memo, cred);
    for (int i = 0; i < XL_MEMO_WAYS; i++) {
        struct xl_memo_cred *e = &set[i];
        struct xl_holder holder = {e->task, e->start_ns, e->task, e->pid, -1};
        if (e->cred != cred)
            continue;
        e->used = ++h->memo.clock;
        return is_process(h->g, &holder) && try_process(s, &holder, false);
    }
    return false;
}

static bool try_opener(struct search *s)
{
    struct xl_guest *g = s->h->g;
    struct xw_fault fault;
    uint64_t cred;
    if (xw_get(g->space, &g->lay, s->file, file_cred, &cred, &fault))
        return false;
    s->list->via = XVMI_VIA_OPENER;
    if (!s->h->primed || (!try_cred(s, cred) && !s->list->n)) {
        learn_new_tasks(s, false);
        try_cred(s, cred);
    }
    return complete(s);
}

/* Whoever else holds it may have been forked a moment ago. */
static bool try_new_tasks(struct search *s)
{
    if (s->list->n)
        learn_new_tasks(s, true);
    return complete(s);
}

/* --- current --- */

static bool per_cpu_current(struct xl_guest *g, uint64_t *offset)
{
    if (g->sym.sym_pcpu_hot && xw_has(g->lay.hot_current))
        *offset = g->sym.sym_pcpu_hot + g->lay.hot_current.off;
    else
        *offset = g->sym.sym_current_task;
    return *offset && g->sym.sym_per_cpu_offset;
}

static bool try_current(struct search *s)
{
    struct xl_guest *g = s->h->g;
    uint64_t offset, base, task, leader;
    uint32_t cpus = 1;
    struct xw_fault fault;
    if (!per_cpu_current(g, &offset))
        return false;
    if (g->sym.sym_nr_cpu_ids && xo_read_u32(g->space, g->sym.sym_nr_cpu_ids, &cpus))
        return false;
    for (uint32_t cpu = 0; cpu < cpus && cpu < MAX_CPUS; cpu++) {
        struct xw_task t;
        if (xo_read_u64(g->space, g->sym.sym_per_cpu_offset + cpu * (uint64_t)8, &base) ||
            xo_read_u64(g->space, base + offset, &task) || !xw_is_pointer(task) ||
            xw_get(g->space, &g->lay, task, task_group_leader, &leader, &fault) ||
            xw_task_ids(g->space, &g->lay, leader, &t, &fault))
            continue;
        struct xl_holder holder = {leader, t.start_ns, leader, (int32_t)t.tgid, -1};
        if (!s->list->n && try_process(s, &holder, false))
            s->list->via = XVMI_VIA_CURRENT;
    }
    return complete(s);
}

/* --- cgroup --- */

/* The processes in one list of a css_set; *left of them may still be looked at. */
static bool try_task_list(struct search *s, uint64_t head, uint32_t *left)
{
    struct xl_guest *g = s->h->g;
    uint64_t node, leader, before = 0;
    if (xo_read_u64(g->space, head, &node))
        return false;
    for (; node != head && xw_is_pointer(node) && *left; --*left) {
        struct xw_fault fault;
        struct xw_task t;
        if (!xw_get(g->space, &g->lay, node - g->lay.task_cg_list.off, task_group_leader, &leader,
                    &fault) &&
            leader != before && !xw_task_ids(g->space, &g->lay, leader, &t, &fault)) {
            struct xl_holder holder = {leader, t.start_ns, leader, (int32_t)t.tgid, -1};
            if (try_process(s, &holder, false))
                return true;
            before = leader; /* threads of a process stand together */
        }
        if (xo_read_u64(g->space, node, &node))
            return false;
    }
    return false;
}

/* cgroup.cset_links leads to the css_sets that have the group, each with its tasks. */
static bool try_cgroup(struct search *s)
{
    struct xl_guest *g = s->h->g;
    struct xw_fault fault;
    uint32_t left = FEW_TASKS;
    uint64_t head = s->cgroup + g->lay.cgroup_links.off, node, set;
    if (!s->cgroup || !xw_has(g->lay.cgroup_links) || !xw_has(g->lay.task_cg_list) ||
        xo_read_u64(g->space, head, &node))
        return false;
    for (int i = 0; i < FEW_LINKS && node != head && xw_is_pointer(node); i++) {
        if (!xw_get(g->space, &g->lay, node - g->lay.link_node.off, link_cset, &set, &fault) &&
            set &&
            (try_task_list(s, set + g->lay.cset_tasks.off, &left) ||
             try_task_list(s, set + g->lay.cset_mg_tasks.off, &left))) {
            s->list->via = XVMI_VIA_CGROUP;
            return complete(s);
        }
        if (xo_read_u64(g->space, node, &node))
            return false;
    }
    return false;
}

/* --- tasks --- */

/* Threads that unshared their descriptors from the process: the holder is still the process. */
static void try_threads(struct search *s, const struct xvmi_task *p, struct xl_holder *holder)
{
    struct xl_guest *g = s->h->g;
    struct xw_fault fault;
    uint64_t signal, node, files, leader_files;
    if (p->threads < 2 || xw_get(g->space, &g->lay, p->addr, task_signal, &signal, &fault) ||
        xw_get(g->space, &g->lay, p->addr, task_files, &leader_files, &fault))
        return;
    const uint64_t head = signal + g->lay.signal_thread_head.off;
    const uint64_t most = xm_total(g->space->mem) / g->lay.size_task;
    if (xo_read_u64(g->space, head, &node))
        return;
    for (uint64_t i = 0; i < p->threads && i < most && node != head && xw_is_pointer(node); i++) {
        uint64_t task = node - g->lay.task_thread_node.off, table;
        uint32_t max_fds;
        if (!xw_get(g->space, &g->lay, task, task_files, &files, &fault) && files &&
            files != leader_files &&
            !xw_fdtable(g->space, &g->lay, files, &table, &max_fds, &fault)) {
            holder->thread = task;
            uint32_t n = count_in_table(s, table, max_fds, holder, false);
            if (n && xl_holder_holds(g, holder, s->file))
                add_holder(s, holder, n);
        }
        if (xo_read_u64(g->space, node, &node))
            return;
    }
}

static enum xvmi_status search_tasks(struct search *s)
{
    struct xl_guest *g = s->h->g;
    xb_auto_free struct xvmi_task *tasks = NULL;
    size_t n;
    enum xvmi_status status = xl_task_list(g, &tasks, &n);
    if (status)
        return status;
    s->list->via = XVMI_VIA_TASKS;
    for (size_t i = 0; i < n; i++) {
        struct xl_holder holder = {tasks[i].addr, tasks[i].start_ns, tasks[i].addr, tasks[i].pid,
                                   -1};
        struct xw_task t = {
            .addr = tasks[i].addr, .start_ns = tasks[i].start_ns, .tgid = (uint32_t)tasks[i].pid};
        struct xw_fault fault;
        uint64_t cred;
        status = xl_budget_check(g, s->budget);
        if (status)
            return status;
        if (tasks[i].flags & XVMI_TASK_KERNEL)
            continue;
        if (!xw_get(g->space, &g->lay, t.addr, task_cred, &cred, &fault))
            xl_memo_add_cred(&s->h->memo, cred, &t);
        if (!try_process(s, &holder, true))
            try_threads(s, &tasks[i], &holder);
    }
    s->h->primed = true;
    return XVMI_OK;
}

/* --- all together --- */

/* One holder for each reference is remembered as that, anything else as a group. */
static void remember(struct search *s)
{
    struct xl_memo *m = &s->h->memo;
    const struct xl_holder_list *list = s->list;
    if (complete(s) && list->n <= XL_MEMO_WAYS) {
        for (uint32_t i = 0; i < list->n; i++)
            xl_memo_add_last(m, s->file, s->ino, &list->v[i], s->per_holder[i]);
        return;
    }
    if (!list->n)
        return;
    struct xl_memo_group *group = xl_memo_new_group(m, s->file, s->ino);
    group->total = s->descriptors;
    group->unexplained = unexplained(s, s->descriptors);
    group->n = list->n;
    group->more = list->more;
    memcpy(group->v, list->v, sizeof(group->v));
    memcpy(group->descriptors, s->per_holder, sizeof(group->descriptors));
}

enum xvmi_status xl_holders_find(struct xl_holders *h, const struct xl_held *what,
                                 const struct xl_budget *budget, struct xl_holder_list *list)
{
    *list = (struct xl_holder_list){0};
    struct search s = {.h = h,
                       .file = what->file,
                       .ino = what->ino,
                       .cgroup = what->cgroup,
                       .budget = budget,
                       .list = list};
    s.count = references(h->g, s.file);
    if (try_group(&s) || try_last(&s))
        return XVMI_OK;
    nobody_yet(&s);
    if (try_opener(&s) || try_new_tasks(&s) ||
        (!list->n && (try_current(&s) || (!list->n && try_cgroup(&s))))) {
        remember(&s);
        return XVMI_OK;
    }
    enum xvmi_status status = search_tasks(&s);
    if (status)
        return status;
    uint32_t after = references(h->g, s.file);
    s.count = after > s.count ? after : s.count;
    remember(&s);
    if (!list->n)
        list->via = XVMI_VIA_NO_PROCESS;
    return XVMI_OK;
}

/* --- idle time --- */

/* The task to go on after: the one of last time if it still lives, else the first older one is
 * looked for by the caller. */
static uint64_t tend_from(struct xl_holders *h)
{
    const struct xl_holder at = {.task = h->tended.task, .start_ns = h->tended.start_ns};
    struct xw_task t;
    struct xw_fault fault;
    if (at.task && !xw_task_ids(h->g->space, &h->g->lay, at.task, &t, &fault) &&
        t.start_ns == at.start_ns)
        return at.task;
    return h->g->sym.sym_init_task;
}

enum xvmi_status xl_holders_tend(struct xl_holders *h, const struct xl_budget *budget, bool *done)
{
    struct xl_guest *g = h->g;
    const uint64_t init = g->sym.sym_init_task;
    const uint64_t most = xm_total(g->space->mem) / g->lay.size_task;
    struct xl_holder_list nobody = {0};
    struct search s = {.h = h, .file = 1, .budget = budget, .list = &nobody}; /* no file is at 1 */
    uint64_t task = tend_from(h), cred;
    *done = false;
    for (uint64_t i = 0; i < most; i++) {
        struct xw_task t;
        struct xw_fault fault;
        if (xw_task_next(g->space, &g->lay, task, &task, &fault) ||
            (task != init && xw_task_ids(g->space, &g->lay, task, &t, &fault)))
            return XVMI_OK; /* the list changed there: from where we were, next time */
        if (task == init)
            break;
        if (t.start_ns <= h->tended.start_ns)
            continue;
        if (!xw_get(g->space, &g->lay, task, task_cred, &cred, &fault))
            xl_memo_add_cred(&h->memo, cred, &t);
        struct xl_holder holder = {task, t.start_ns, task, (int32_t)t.tgid, -1};
        try_process(&s, &holder, true);
        h->tended.task = task;
        h->tended.start_ns = t.start_ns;
        if (xl_budget_check(g, budget))
            return XVMI_OK;
    }
    h->tended.task = h->tended.start_ns = 0;
    *done = true;
    return XVMI_OK;
}
