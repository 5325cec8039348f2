// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Who might hold a file that is not known yet. */
#include "base/cleanup.h"
#include "os/linux/holdsearch.h"
#include "os/linux/task.h"

#define MAX_CPUS  256
#define NEW_TASKS 4096 /* looked at in one go for new processes; more: the search */
#define FEW_LINKS 64   /* of a control group whose processes are looked at */
#define FEW_TASKS 256

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
static void learn_new_tasks(struct xl_search *s, bool look_for_file)
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
            xl_search_process(s, &holder, true);
        if (i % 256 == 255 && xl_budget_check(g, s->budget))
            return;
    }
    h->primed = true;
}

static bool try_cred(struct xl_search *s, uint64_t cred)
{
    struct xl_holders *h = s->h;
    struct xl_memo_cred *set = xl_memo_cred(&h->memo, cred);
    for (int i = 0; i < XL_MEMO_WAYS; i++) {
        struct xl_memo_cred *e = &set[i];
        struct xl_holder holder = {e->task, e->start_ns, e->task, e->pid, -1};
        if (e->cred != cred)
            continue;
        e->used = ++h->memo.clock;
        return xl_holder_is_process(h->g, &holder) && xl_search_process(s, &holder, false);
    }
    return false;
}

bool xl_try_opener(struct xl_search *s)
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
    return xl_search_complete(s);
}

/* Whoever else holds it may have been forked a moment ago. */
bool xl_try_new_tasks(struct xl_search *s)
{
    if (s->list->n)
        learn_new_tasks(s, true);
    return xl_search_complete(s);
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

bool xl_try_current(struct xl_search *s)
{
    struct xl_guest *g = s->h->g;
    uint64_t offset, base, task, leader;
    uint32_t cpus = 1;
    struct xw_fault fault;
    if (!per_cpu_current(g, &offset))
        return false;
    if (g->sym.sym_nr_cpu_ids && xo_read_u32(g->space, g->sym.sym_nr_cpu_ids, &cpus))
        return false;
    for (uint32_t cpu = 0; cpu < cpus && cpu < MAX_CPUS && !s->list->n; cpu++) {
        struct xw_task t;
        if (xo_read_u64(g->space, g->sym.sym_per_cpu_offset + cpu * (uint64_t)8, &base) ||
            xo_read_u64(g->space, base + offset, &task) || !xw_is_pointer(task) ||
            xw_get(g->space, &g->lay, task, task_group_leader, &leader, &fault) ||
            xw_task_ids(g->space, &g->lay, leader, &t, &fault))
            continue;
        struct xl_holder holder = {leader, t.start_ns, leader, (int32_t)t.tgid, -1};
        if (xl_search_process(s, &holder, false))
            s->list->via = XVMI_VIA_CURRENT;
    }
    return xl_search_complete(s);
}

/* --- cgroup --- */

/* The processes in one list of a css_set; *left of them may still be looked at. */
static bool try_task_list(struct xl_search *s, uint64_t head, uint32_t *left)
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
            if (xl_search_process(s, &holder, false))
                return true;
            before = leader; /* threads of a process stand together */
        }
        if (xo_read_u64(g->space, node, &node))
            return false;
    }
    return false;
}

/* cgroup.cset_links leads to the css_sets that have the group, each with its tasks. */
bool xl_try_cgroup(struct xl_search *s)
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
            return xl_search_complete(s);
        }
        if (xo_read_u64(g->space, node, &node))
            return false;
    }
    return false;
}

/* --- tasks --- */

/* Threads that unshared their descriptors from the process: the holder is still the process. */
static void try_threads(struct xl_search *s, const struct xvmi_task *p, struct xl_holder *holder)
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
            uint32_t n = xl_search_table(s, table, max_fds, holder, false);
            if (n && xl_holder_holds(g, holder, s->file))
                xl_search_add(s, holder, n);
        }
        if (xo_read_u64(g->space, node, &node))
            return;
    }
}

enum xvmi_status xl_search_tasks(struct xl_search *s)
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
        if (!xl_search_process(s, &holder, true))
            try_threads(s, &tasks[i], &holder);
    }
    s->h->primed = true;
    return XVMI_OK;
}
