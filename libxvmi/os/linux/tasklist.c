// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * The list of processes, read while the guest changes it.
 *
 * init_task.tasks is a ring that RCU keeps walkable inside the guest; nothing keeps it so for us:
 * a task that was unlinked and freed may lead anywhere. So each step is proven: the link we came by
 * still leads to the task and the task's back link to where we came from. When a step does not
 * hold, the walk goes back to the newest task that is still linked and continues there. Forks are
 * appended at the end, so nothing that lives through the walk is missed; what was seen is not
 * listed twice.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/u64set.h"
#include "base/vec.h"
#include "os/linux/task.h"

#define LOOK_BACK 256 /* tasks that a setback tries before it starts over */

struct task_vec {
    struct xvmi_task *v;
    size_t n, cap;
};

struct list_walk {
    struct xl_guest *g;
    struct task_vec found;
    struct xb_u64set seen;
    size_t setbacks;
    size_t most; /* as many task_structs as the guest's memory could hold */
};

enum step { STEP_OK, STEP_CHANGED, STEP_FAILED };

/* list_head: next at 0, prev at 8. Are `prev` and `addr` neighbours, seen from both sides? */
static bool linked(struct xl_guest *g, uint64_t prev, uint64_t addr)
{
    uint32_t off = g->lay.task_tasks.off;
    uint64_t next, back;
    return !xo_read_u64(g->space, prev + off, &next) && next == addr + off &&
           !xo_read_u64(g->space, addr + off + 8, &back) && back == prev + off;
}

static bool still_in_list(struct xl_guest *g, uint64_t addr)
{
    uint64_t back;
    uint32_t off = g->lay.task_tasks.off;
    return !xo_read_u64(g->space, addr + off + 8, &back) && xw_is_pointer(back) &&
           linked(g, back - off, addr);
}

/* Returns a walker's status. */
static int read_namespaces(struct xl_guest *g, const struct xw_task *t, struct xvmi_task *out,
                           struct xw_fault *fault)
{
    uint64_t net, inum, mnt, first, first_mnt;
    int status;
    if (!t->nsproxy) /* given up on exit */
        return 0;
    if ((status = xw_get(g->space, &g->lay, t->nsproxy, nsproxy_net, &net, fault)) ||
        (status = xw_get(g->space, &g->lay, net, net_inum, &inum, fault)) ||
        (status = xw_get(g->space, &g->lay, t->nsproxy, nsproxy_mnt, &mnt, fault)) ||
        (status = xw_get(g->space, &g->lay, g->sym.sym_init_task, task_nsproxy, &first, fault)) ||
        (status = xw_get(g->space, &g->lay, first, nsproxy_mnt, &first_mnt, fault)))
        return status;
    out->netns = (uint32_t)inum;
    if (mnt != first_mnt)
        out->flags |= XVMI_TASK_OWN_MOUNTS;
    return 0;
}

/* One process as the API shows it. Returns a walker's status. */
static int read_task(struct xl_guest *g, uint64_t addr, struct xvmi_task *out,
                     struct xw_fault *fault)
{
    struct xw_task t, parent = {0};
    int status = xw_task_read(g->space, &g->lay, addr, &t, fault);
    if (!status && t.leader != addr)
        status = xw_fail(fault, addr, XW_ID_task_group_leader, XW_BAD_VALUE);
    if (!status)
        status = xw_task_ids(g->space, &g->lay, t.parent, &parent, fault);
    if (status)
        return status;
    *out = (struct xvmi_task){
        .addr = addr,
        .mm = t.flags & XW_PF_KTHREAD ? 0 : t.mm, /* kthreads may borrow one */
        .start_ns = t.start_ns,
        .pid = (int32_t)t.tgid,
        .ppid = (int32_t)parent.tgid,
        .nspid = (int32_t)t.nspid,
        .uid = t.uid,
        .euid = t.euid,
        .gid = t.gid,
        .egid = t.egid,
        .threads = t.threads,
        .flags = (t.flags & XW_PF_KTHREAD ? XVMI_TASK_KERNEL : 0) |
                 (t.exit_state ? XVMI_TASK_EXITING : 0),
    };
    memcpy(out->comm, t.comm, sizeof(out->comm));
    return read_namespaces(g, &t, out, fault);
}

enum xvmi_status xl_task_read(struct xl_guest *g, uint64_t addr, struct xvmi_task *task)
{
    struct xw_fault fault;
    return read_task(g, addr, task, &fault) ? xl_fault(g, &fault) : XVMI_OK;
}

int xl_task_links(struct xl_guest *g, uint64_t addr, struct xl_task_links *links,
                  struct xw_fault *fault)
{
    int status = xw_get(g->space, &g->lay, addr, task_real_cred, &links->cred, fault);
    if (!status)
        status = xw_get(g->space, &g->lay, addr, task_nsproxy, &links->nsproxy, fault);
    return status ? status
                  : xw_get(g->space, &g->lay, addr, task_real_parent, &links->parent, fault);
}

bool xl_task_links_hold(struct xl_guest *g, uint64_t addr, const struct xl_task_links *links)
{
    struct xl_task_links now;
    struct xw_fault fault;
    return !xl_task_links(g, addr, &now, &fault) && !memcmp(&now, links, sizeof(now));
}

/* Read the task that `prev` leads to, and prove that it was in the list then. */
static enum step take_next(struct list_walk *w, uint64_t prev, uint64_t *addr)
{
    struct xl_guest *g = w->g;
    struct xw_fault fault;
    struct xl_task_links links;
    struct xvmi_task task;
    if (xw_task_next(g->space, &g->lay, prev, addr, &fault))
        return STEP_CHANGED;
    if (*addr == g->sym.sym_init_task)
        return linked(g, prev, *addr) ? STEP_OK : STEP_CHANGED;
    if (xb_u64set_has(&w->seen, *addr)) /* seen before a setback, or a ring that leaves init out */
        return linked(g, prev, *addr) && w->setbacks ? STEP_OK : STEP_CHANGED;
    if (xl_task_links(g, *addr, &links, &fault) || read_task(g, *addr, &task, &fault) ||
        !xl_task_links_hold(g, *addr, &links) || !linked(g, prev, *addr))
        return STEP_CHANGED;
    if (!xb_vec_push(&w->found, task) || xb_u64set_add(&w->seen, *addr) < 0) {
        xvmi_error_set(g->err, XVMI_ERR_NO_MEMORY, "out of memory after %zu tasks", w->found.n);
        return STEP_FAILED;
    }
    return STEP_OK;
}

/* The newest task found so far that is still in the list; init_task always is. */
static uint64_t go_back(struct list_walk *w)
{
    xo_invalidate(w->g->space);
    w->setbacks++;
    size_t tried = 0;
    for (size_t i = w->found.n; i-- > 0 && tried++ < LOOK_BACK;)
        if (still_in_list(w->g, w->found.v[i].addr))
            return w->found.v[i].addr;
    return w->g->sym.sym_init_task;
}

/* Why the step after `prev` cannot be made, now that retrying did not help. */
static enum xvmi_status give_up(struct list_walk *w, uint64_t prev)
{
    struct xl_guest *g = w->g;
    struct xw_fault fault;
    struct xvmi_task task;
    uint64_t addr;
    enum xvmi_status status;
    if (xw_task_next(g->space, &g->lay, prev, &addr, &fault))
        status = xl_fault(g, &fault);
    else if (addr != g->sym.sym_init_task && read_task(g, addr, &task, &fault))
        status = xl_fault(g, &fault);
    else if (linked(g, prev, addr) && xb_u64set_has(&w->seen, addr))
        status = xvmi_error_set(g->err, XVMI_ERR_FORMAT, "the list runs in a circle");
    else
        status = xvmi_error_set(g->err, XVMI_ERR_CHANGED, "changed while looking, %zu times",
                                w->setbacks);
    return xvmi_error_frame(g->err, status, "listing tasks: after task 0x%" PRIx64 " (%zu found)",
                            prev, w->found.n);
}

static enum xvmi_status walk_list(struct list_walk *w)
{
    const uint64_t init = w->g->sym.sym_init_task;
    uint64_t at = init, next = 0;
    /* Steps, not tasks: after a setback some are made again. */
    for (size_t steps = 0; steps < 2 * w->most + LOOK_BACK * XL_RETRIES; steps++) {
        switch (take_next(w, at, &next)) {
        case STEP_FAILED:
            return w->g->err->status;
        case STEP_OK:
            if (next == init)
                return XVMI_OK;
            at = next;
            break;
        case STEP_CHANGED:
            if (w->setbacks >= XL_RETRIES + w->found.n)
                return give_up(w, at);
            at = go_back(w);
            break;
        }
    }
    return xvmi_error_set(w->g->err, XVMI_ERR_LIMIT,
                          "listing tasks: more than memory could hold (%zu)", w->most);
}

enum xvmi_status xl_task_list(struct xl_guest *g, struct xvmi_task **tasks, size_t *n)
{
    struct list_walk w = {.g = g, .most = (size_t)(xm_total(g->space->mem) / g->lay.size_task) + 1};
    enum xvmi_status status = walk_list(&w);
    free(w.seen.slots);
    if (status) {
        free(w.found.v);
        return status;
    }
    *tasks = w.found.v;
    *n = w.found.n;
    return XVMI_OK;
}
