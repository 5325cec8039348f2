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
 * (fork, SCM_RIGHTS). It also counts those who poll the file and threads that are inside a system
 * call on it, so holders are remembered together with what they left unexplained of the count.
 */
#include "os/linux/holders.h"

#include <stdlib.h>
#include <string.h>

#include "os/linux/holdsearch.h"

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

/* --- last, index --- */

/* Does a holder of so many descriptors still have all of them? */
static bool still_has(struct xl_search *s, struct xl_holder *holder, uint32_t descriptors)
{
    if (descriptors < 2) {
        if (!xl_holder_holds(s->h->g, holder, s->file))
            return false;
        xl_search_add(s, holder, 1);
        return true;
    }
    const uint32_t before = s->descriptors;
    return holder->thread == holder->task && xl_holder_is_process(s->h->g, holder) &&
           xl_search_process(s, holder, false) && s->descriptors - before == descriptors;
}

static void nobody_yet(struct xl_search *s)
{
    s->list->n = 0;
    s->list->more = false;
    s->descriptors = 0;
    s->shared = s->threaded = false;
}

/* True when all who were in the file's group still are, and no more references are unexplained than
 * when a search found nobody else. A reference that one of them gave up could be somebody else's.
 */
static bool try_group(struct xl_search *s)
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
    if (xl_search_unexplained(s, group->more ? group->total : s->descriptors) >
        group->unexplained) {
        nobody_yet(s);
        return false;
    }
    s->list->more = group->more;
    s->list->via = XVMI_VIA_LAST;
    return true;
}

/* True when those who held the file last time still do, and nobody else can. */
static bool try_last(struct xl_search *s)
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
    return xl_search_complete(s);
}

/* --- all together --- */

/* One holder for each reference is remembered as that, anything else as a group. */
static void remember(struct xl_search *s)
{
    struct xl_memo *m = &s->h->memo;
    const struct xl_holder_list *list = s->list;
    if (xl_search_complete(s) && list->n <= XL_MEMO_WAYS) {
        for (uint32_t i = 0; i < list->n; i++)
            xl_memo_add_last(m, s->file, s->ino, &list->v[i], s->per_holder[i]);
        return;
    }
    if (!list->n)
        return;
    struct xl_memo_group *group = xl_memo_new_group(m, s->file, s->ino);
    group->total = s->descriptors;
    group->unexplained = xl_search_unexplained(s, s->descriptors);
    group->n = list->n;
    group->more = list->more;
    memcpy(group->v, list->v, sizeof(group->v));
    memcpy(group->descriptors, s->per_holder, sizeof(group->descriptors));
}

enum xvmi_status xl_holders_find(struct xl_holders *h, const struct xl_held *what,
                                 const struct xl_budget *budget, struct xl_holder_list *list)
{
    *list = (struct xl_holder_list){0};
    struct xl_search s = {.h = h,
                          .file = what->file,
                          .ino = what->ino,
                          .cgroup = what->cgroup,
                          .budget = budget,
                          .list = list};
    s.count = xl_search_references(h->g, s.file);
    if (try_group(&s) || try_last(&s))
        return XVMI_OK;
    nobody_yet(&s);
    if (xl_try_opener(&s) || xl_try_new_tasks(&s) ||
        (!list->n && (xl_try_current(&s) || (!list->n && xl_try_cgroup(&s))))) {
        remember(&s);
        return XVMI_OK;
    }
    enum xvmi_status status = xl_search_tasks(&s);
    if (status)
        return status;
    uint32_t after = xl_search_references(h->g, s.file);
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
    struct xl_search s = {
        .h = h, .file = 1, .budget = budget, .list = &nobody}; /* no file is at 1 */
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
        xl_search_process(&s, &holder, true);
        h->tended.task = task;
        h->tended.start_ns = t.start_ns;
        if (xl_budget_check(g, budget))
            return XVMI_OK;
    }
    h->tended.task = h->tended.start_ns = 0;
    *done = true;
    return XVMI_OK;
}
