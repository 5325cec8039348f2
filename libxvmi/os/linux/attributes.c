// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* What is known of a process that was named as an owner: no more than was asked for. */
#include "os/linux/attributes.h"

#include <string.h>

#include "os/linux/task.h"

#define MAX_PARENTS 64 /* generations; more are cut */

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

static enum xvmi_status keep(struct xl_guest *g, struct xb_arena *arena, const char *text,
                             size_t len, const char **kept)
{
    *kept = xb_arena_text(arena, text, len);
    return *kept ? XVMI_OK : xvmi_error_set(g->err, XVMI_ERR_NO_MEMORY, "out of memory");
}

static enum xvmi_status add_exe(struct xl_guest *g, struct xb_arena *arena,
                                struct xvmi_flow_owner *owner)
{
    char path[XVMI_PATH_MAX];
    enum xvmi_status status = xl_task_exe(g, &owner->task, path, sizeof(path));
    return status ? status : keep(g, arena, path, strlen(path), &owner->exe);
}

static enum xvmi_status add_cgroup(struct xl_guest *g, struct xb_arena *arena,
                                   struct xvmi_flow_owner *owner)
{
    char path[XVMI_PATH_MAX];
    enum xvmi_status status = xl_task_cgroup(g, &owner->task, path, sizeof(path));
    return status ? status : keep(g, arena, path, strlen(path), &owner->cgroup);
}

static enum xvmi_status add_cmdline(struct xl_guest *g, struct xb_arena *arena,
                                    struct xvmi_flow_owner *owner)
{
    char words[XVMI_PATH_MAX];
    size_t *len = &owner->cmdline_len;
    enum xvmi_status status = xl_task_cmdline(g, &owner->task, words, sizeof(words), len);
    return status ? status : keep(g, arena, words, *len, &owner->cmdline);
}

static enum xvmi_status add_ancestry(struct xl_guest *g, struct xb_arena *arena,
                                     struct xvmi_flow_owner *owner)
{
    struct xvmi_task parents[MAX_PARENTS], *kept;
    const struct xvmi_task *child = &owner->task;
    enum xvmi_status status = XVMI_OK;
    size_t n = 0;
    for (; n < MAX_PARENTS; child = &parents[n++]) {
        status = xl_task_parent(g, child, &parents[n]);
        if (status)
            break;
    }
    if (n) {
        kept = xb_arena_alloc(arena, n * sizeof(*kept));
        if (!kept)
            return xvmi_error_set(g->err, XVMI_ERR_NO_MEMORY, "out of memory");
        memcpy(kept, parents, n * sizeof(*kept));
        owner->parents = kept;
        owner->n_parents = n;
    }
    return status;
}

static const struct {
    uint32_t what;
    enum xvmi_status (*add)(struct xl_guest *, struct xb_arena *, struct xvmi_flow_owner *);
} extras[] = {
    {XVMI_WANT_EXE, add_exe},
    {XVMI_WANT_CMDLINE, add_cmdline},
    {XVMI_WANT_CGROUP, add_cgroup},
    {XVMI_WANT_ANCESTRY, add_ancestry},
};

enum xvmi_status xl_owner_attributes(struct xl_guest *g, struct xb_arena *arena, uint32_t want,
                                     struct xvmi_flow_owner *owner)
{
    struct xvmi_task task;
    enum xvmi_status status = want & XVMI_WANT_TASK ? xl_task_read(g, owner->task.addr, &task)
                                                    : read_name(g, owner->task.addr, &task);
    if (status)
        return status;
    if (task.pid != owner->task.pid || task.start_ns != owner->task.start_ns)
        return xvmi_error_set(g->err, XVMI_ERR_CHANGED, "the process ended");
    owner->task = task;
    for (size_t i = 0; i < sizeof(extras) / sizeof(extras[0]); i++) {
        if (!(want & extras[i].what))
            continue;
        status = extras[i].add(g, arena, owner);
        if (status == XVMI_ERR_CHANGED || status == XVMI_ERR_NO_MEMORY)
            return status;
        /* What cannot be read is missing, not the end of the answer; what does not exist is NULL.
         */
        if (status && status != XVMI_ERR_NOT_FOUND)
            owner->missing |= extras[i].what;
    }
    return XVMI_OK;
}
