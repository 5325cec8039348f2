// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Guesses, in this order; each is proven by reading fd[n] == file on live memory:
 *
 *   last      who held this file the last time it was asked for, or seen in a search
 *   opener    every process has a struct cred of its own (copy_creds() in kernel/cred.c makes one
 *             for each fork that is no thread), and a file points to that of its opener: one look
 *             into a table from credentials to processes, as long as the opener did not exec or
 *             change its ids since. New processes are at the end of the task list, so the table is
 *             brought up to date by looking at the new ones alone.
 *   current   the processes that run on the vCPUs right now
 *   tasks     all descriptors of all processes, which also fills the tables
 *
 * Finding one holder is not finding all: the file's reference count says when there may be more
 * (fork, SCM_RIGHTS). It also counts threads that are inside a system call on the file, so the
 * count at which a search found nobody else is remembered.
 */
#include "os/linux/holders.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "os/linux/task.h"

#define WAYS       4
#define MAX_CPUS   256
#define MAX_FDS    (1u << 22) /* of one process: 32 MiB of pointers */
#define CHUNK      512u
#define NEW_TASKS  4096 /* looked at in one go for new processes; more: the search */
#define MEMORY_MIN (64u << 10)

/* Who held a file. Also remembers what is known of its count. */
struct last_entry {
    uint64_t file, task, start_ns, thread;
    int32_t pid, fd;
    uint64_t ino;      /* of the life of the file that `searched` is about */
    uint32_t searched; /* largest count at which a search found all holders; 0: none yet */
    uint32_t used;
};

/* Whose credentials these are. */
struct cred_entry {
    uint64_t cred, task, start_ns;
    int32_t pid;
    uint32_t used;
};

struct xl_holders {
    struct xl_guest *g;
    struct last_entry *last; /* sets of WAYS */
    struct cred_entry *creds;
    uint32_t last_sets, cred_sets; /* powers of two */
    uint32_t clock;
    bool primed;
};

/* The state of one question. */
struct search {
    struct xl_holders *h;
    uint64_t file;
    const struct xl_budget *budget;
    struct xl_holder_list *list;
    uint32_t descriptors; /* of all holders together */
    uint32_t count;       /* the file's references */
    uint64_t ino;
    bool threaded; /* a holder has threads: the count may be larger for a moment */
    bool shared;   /* somebody shares the descriptor table of a holder */
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

/* --- the tables --- */

static uint32_t set_of(uint64_t key, uint32_t sets)
{
    return (uint32_t)(key * 0x9e3779b97f4a7c15u >> 32) & (sets - 1);
}

static uint32_t power_of_two(size_t n)
{
    uint32_t p = 1;
    while ((size_t)p * 2 <= n && p < 1u << 24)
        p *= 2;
    return p;
}

enum xvmi_status xl_holders_new(struct xl_guest *g, size_t memory, struct xl_holders **out)
{
    if (memory < MEMORY_MIN)
        memory = MEMORY_MIN;
    struct xl_holders *h = calloc(1, sizeof(*h));
    if (h) {
        h->g = g;
        h->last_sets = power_of_two(memory / 4 * 3 / (WAYS * sizeof(*h->last)));
        h->cred_sets = power_of_two(memory / 4 / (WAYS * sizeof(*h->creds)));
        h->last = calloc((size_t)h->last_sets * WAYS, sizeof(*h->last));
        h->creds = calloc((size_t)h->cred_sets * WAYS, sizeof(*h->creds));
    }
    if (!h || !h->last || !h->creds) {
        xl_holders_free(h);
        return xvmi_error_set(g->err, XVMI_ERR_NO_MEMORY, "out of memory");
    }
    *out = h;
    return XVMI_OK;
}

void xl_holders_free(struct xl_holders *h)
{
    if (!h)
        return;
    free(h->last);
    free(h->creds);
    free(h);
}

/* The entry of (file, task), or the one of its set that was used longest ago. */
static struct last_entry *last_slot(struct xl_holders *h, uint64_t file, uint64_t task)
{
    struct last_entry *set = h->last + (size_t)set_of(file, h->last_sets) * WAYS, *oldest = set;
    for (int i = 0; i < WAYS; i++) {
        if (set[i].file == file && set[i].task == task)
            return &set[i];
        if (set[i].used < oldest->used)
            oldest = &set[i];
    }
    return oldest;
}

static void remember_file(struct xl_holders *h, uint64_t file, uint64_t ino,
                          const struct xl_holder *holder, uint32_t searched)
{
    struct last_entry *e = last_slot(h, file, holder->task);
    if (e->file == file && e->task == holder->task && e->start_ns == holder->start_ns &&
        e->ino == ino && e->searched > searched)
        searched = e->searched;
    *e = (struct last_entry){.file = file,
                             .task = holder->task,
                             .start_ns = holder->start_ns,
                             .thread = holder->thread,
                             .pid = holder->pid,
                             .fd = holder->fd,
                             .ino = ino,
                             .searched = searched,
                             .used = ++h->clock};
}

static void remember_cred(struct xl_holders *h, uint64_t cred, const struct xw_task *t)
{
    struct cred_entry *set = h->creds + (size_t)set_of(cred, h->cred_sets) * WAYS, *at = set;
    for (int i = 0; i < WAYS; i++) {
        if (set[i].cred == cred) {
            at = &set[i];
            break;
        }
        if (set[i].used < at->used)
            at = &set[i];
    }
    *at = (struct cred_entry){.cred = cred,
                              .task = t->addr,
                              .start_ns = t->start_ns,
                              .pid = (int32_t)t->tgid,
                              .used = ++h->clock};
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
                remember_file(s->h, copy[i], 0, &other, 0);
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
    for (; at > 0 && list->v[at - 1].start_ns > holder->start_ns; at--)
        list->v[at] = list->v[at - 1];
    list->v[at] = *holder;
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

/* Nobody but those found can hold the file. */
static bool complete(const struct search *s)
{
    return s->list->n && s->count <= s->descriptors && !s->shared;
}

/* --- last --- */

/* True when those who held the file last time still do, and nobody else can. */
static bool try_last(struct search *s)
{
    struct xl_holders *h = s->h;
    struct last_entry *set = h->last + (size_t)set_of(s->file, h->last_sets) * WAYS;
    uint32_t searched = 0;
    bool lost = false; /* a reference that this one gave up may be somebody else's now */
    for (int i = 0; i < WAYS; i++) {
        struct last_entry *e = &set[i];
        struct xl_holder holder = {e->task, e->start_ns, e->thread, e->pid, e->fd};
        if (e->file != s->file)
            continue;
        if (!xl_holder_holds(h->g, &holder, s->file)) {
            *e = (struct last_entry){0};
            lost = true;
            continue;
        }
        e->used = ++h->clock;
        add_holder(s, &holder, 1);
        if (e->ino == s->ino && e->searched > searched)
            searched = e->searched;
    }
    s->list->via = XVMI_VIA_LAST;
    return complete(s) ||
           (s->list->n && !lost && (s->threaded || s->shared) && s->count <= searched);
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
    const struct cred_entry *set = h->creds + (size_t)set_of(cred, h->cred_sets) * WAYS;
    for (int i = 0; i < WAYS; i++)
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
        remember_cred(h, cred, &t);
        struct xl_holder holder = {t.addr, t.start_ns, t.addr, (int32_t)t.tgid, -1};
        if (look_for_file)
            try_process(s, &holder, false);
        if (i % 256 == 255 && xl_budget_check(g, s->budget))
            return;
    }
    h->primed = true;
}

static bool try_cred(struct search *s, uint64_t cred)
{
    struct xl_holders *h = s->h;
    struct cred_entry *set = h->creds + (size_t)set_of(cred, h->cred_sets) * WAYS;
    for (int i = 0; i < WAYS; i++) {
        struct cred_entry *e = &set[i];
        struct xl_holder holder = {e->task, e->start_ns, e->task, e->pid, -1};
        if (e->cred != cred)
            continue;
        e->used = ++h->clock;
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
    if (!s->list->n)
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
            remember_cred(s->h, cred, &t);
        if (!try_process(s, &holder, true))
            try_threads(s, &tasks[i], &holder);
    }
    s->h->primed = true;
    return XVMI_OK;
}

/* --- all together --- */

static void remember_all(struct search *s, uint32_t searched)
{
    for (uint32_t i = 0; i < s->list->n; i++)
        remember_file(s->h, s->file, s->ino, &s->list->v[i], searched);
}

enum xvmi_status xl_holders_find(struct xl_holders *h, uint64_t file, uint64_t ino,
                                 const struct xl_budget *budget, struct xl_holder_list *list)
{
    *list = (struct xl_holder_list){0};
    struct search s = {.h = h, .file = file, .ino = ino, .budget = budget, .list = list};
    s.count = references(h->g, file);
    if (try_last(&s))
        return XVMI_OK;
    /* From here on descriptors are counted whole, not as they were remembered. */
    list->n = 0;
    s.descriptors = 0;
    s.shared = s.threaded = false;
    if (try_opener(&s) || try_new_tasks(&s) || (!list->n && try_current(&s))) {
        remember_all(&s, 0);
        return XVMI_OK;
    }
    enum xvmi_status status = search_tasks(&s);
    if (status)
        return status;
    uint32_t after = references(h->g, file);
    remember_all(&s, after > s.count ? after : s.count);
    if (!list->n)
        list->via = XVMI_VIA_NO_PROCESS;
    return XVMI_OK;
}
