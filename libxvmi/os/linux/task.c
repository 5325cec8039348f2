// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Facts about one process: executable, arguments, control group. */
#include <inttypes.h>
#include <string.h>

#include "os/linux/path.h"
#include "os/linux/task.h"

/* Is the process we were told about still the one at that address? */
static enum xvmi_status same_process(struct xl_guest *g, const struct xvmi_task *task)
{
    struct xw_task now;
    struct xw_fault fault;
    if (xw_task_ids(g->space, &g->lay, task->addr, &now, &fault) ||
        now.start_ns != task->start_ns || (int32_t)now.tgid != task->pid)
        return xvmi_error_set(g->err, XVMI_ERR_CHANGED, "the process ended");
    return XVMI_OK;
}

/* The story of a failure that is the process's, unless it is gone: then that is the story. */
static enum xvmi_status tell(struct xl_guest *g, const struct xvmi_task *task, const char *what,
                             enum xvmi_status status)
{
    if (status && status != XVMI_ERR_LIMIT) {
        struct xvmi_error cause = *g->err;
        if (!same_process(g, task))
            *g->err = cause;
        else
            status = g->err->status;
    }
    return status ? xvmi_error_frame(g->err, status, "task %" PRId32 ": %s", task->pid, what)
                  : XVMI_OK;
}

static enum xvmi_status read_mm(struct xl_guest *g, const struct xvmi_task *task, uint64_t *mm)
{
    struct xw_fault fault;
    if (task->flags & XVMI_TASK_KERNEL)
        return xvmi_error_set(g->err, XVMI_ERR_NOT_FOUND, "kernel threads have none");
    if (xw_get(g->space, &g->lay, task->addr, task_mm, mm, &fault))
        return xl_fault(g, &fault);
    if (!*mm)
        return xvmi_error_set(g->err, XVMI_ERR_NOT_FOUND, "the process is exiting");
    return XVMI_OK;
}

static enum xvmi_status read_exe(struct xl_guest *g, const struct xvmi_task *task, char *buf,
                                 size_t size)
{
    struct xw_fault fault;
    uint64_t mm, file;
    enum xvmi_status status = read_mm(g, task, &mm);
    if (status)
        return status;
    if (xw_get(g->space, &g->lay, mm, mm_exe_file, &file, &fault))
        return xl_fault(g, &fault);
    if (!file)
        return xvmi_error_set(g->err, XVMI_ERR_NOT_FOUND, "its memory has no executable");
    return xl_file_path(g, file, buf, size);
}

enum xvmi_status xl_task_exe(struct xl_guest *g, const struct xvmi_task *task, char *buf,
                             size_t size)
{
    enum xvmi_status status = read_exe(g, task, buf, size);
    if (!status)
        status = same_process(g, task);
    return tell(g, task, "executable", status);
}

/* Where the arguments lie, and where the environment behind them does. */
struct arg_area {
    uint64_t mm, arg_start, arg_end, env_start, env_end;
};

static enum xvmi_status read_arg_area(struct xl_guest *g, struct arg_area *a)
{
    struct xw_fault fault;
    if (xw_get(g->space, &g->lay, a->mm, mm_arg_start, &a->arg_start, &fault) ||
        xw_get(g->space, &g->lay, a->mm, mm_arg_end, &a->arg_end, &fault) ||
        xw_get(g->space, &g->lay, a->mm, mm_env_start, &a->env_start, &fault) ||
        xw_get(g->space, &g->lay, a->mm, mm_env_end, &a->env_end, &fault))
        return xl_fault(g, &fault);
    return XVMI_OK;
}

/* The address space of a process: its own top-level table, found through the kernel's. */
static enum xvmi_status open_user_space(struct xl_guest *g, uint64_t mm, struct xo_space *user)
{
    struct xw_fault fault;
    uint64_t pgd, left;
    struct xx_paging paging = g->space->paging;
    if (xw_get(g->space, &g->lay, mm, mm_pgd, &pgd, &fault))
        return xl_fault(g, &fault);
    if (xo_translate(g->space, pgd, &paging.root, &left))
        return xo_fault(g->space, g->err);
    return xo_init(user, g->space->mem, paging, false, g->err);
}

/*
 * As get_mm_cmdline() in fs/proc/base.c (since 4.2): a process may have written a title of its own
 * over its arguments and on into its environment; then the NUL that ends the arguments is gone, and
 * the title ends at the first NUL. 4096 bytes of a title are looked at, as there.
 */
static enum xvmi_status copy_arguments(struct xl_guest *g, struct xo_space *user,
                                       const struct arg_area *a, char *buf, size_t size,
                                       size_t *len)
{
    char last;
    uint64_t want = a->arg_end - a->arg_start;
    if (xo_read(user, a->arg_end - 1, &last, 1))
        return xo_fault(user, g->err);
    bool title = last != 0;
    if (title && a->env_start == a->arg_end && a->env_end > a->env_start)
        want = a->env_end - a->arg_start;
    if (title && want > 4096)
        want = 4096;
    *len = want < size ? (size_t)want : size;
    if (xo_read(user, a->arg_start, buf, *len))
        return xo_fault(user, g->err);
    const char *nul = title ? memchr(buf, 0, *len) : NULL;
    if (nul)
        *len = (size_t)(nul - buf) + 1;
    return XVMI_OK;
}

static enum xvmi_status read_cmdline(struct xl_guest *g, const struct xvmi_task *task, char *buf,
                                     size_t size, size_t *len)
{
    struct arg_area area = {0};
    struct xo_space user;
    *len = 0;
    enum xvmi_status status = read_mm(g, task, &area.mm);
    if (!status)
        status = read_arg_area(g, &area);
    if (status)
        return status;
    if (area.arg_start >= area.arg_end || !size)
        return XVMI_OK;
    status = open_user_space(g, area.mm, &user);
    if (status)
        return status;
    status = copy_arguments(g, &user, &area, buf, size, len);
    xo_fini(&user);
    return status;
}

enum xvmi_status xl_task_cmdline(struct xl_guest *g, const struct xvmi_task *task, char *buf,
                                 size_t size, size_t *len)
{
    enum xvmi_status status = read_cmdline(g, task, buf, size, len);
    if (!status)
        status = same_process(g, task);
    return tell(g, task, "arguments", status);
}

static enum xvmi_status read_cgroup(struct xl_guest *g, const struct xvmi_task *task, char *buf,
                                    size_t size)
{
    struct xw_fault fault;
    uint64_t css_set, cgroup;
    if (xw_get(g->space, &g->lay, task->addr, task_cgroups, &css_set, &fault) ||
        xw_get(g->space, &g->lay, css_set, css_set_dfl, &cgroup, &fault))
        return xl_fault(g, &fault);
    return xl_cgroup_path(g, cgroup, buf, size);
}

enum xvmi_status xl_task_cgroup(struct xl_guest *g, const struct xvmi_task *task, char *buf,
                                size_t size)
{
    enum xvmi_status status = read_cgroup(g, task, buf, size);
    if (!status)
        status = same_process(g, task);
    return tell(g, task, "control group", status);
}

static enum xvmi_status read_parent(struct xl_guest *g, const struct xvmi_task *task,
                                    struct xvmi_task *parent)
{
    struct xw_fault fault;
    uint64_t addr;
    if (xw_get(g->space, &g->lay, task->addr, task_real_parent, &addr, &fault))
        return xl_fault(g, &fault);
    if (addr == g->sym.sym_init_task)
        return xvmi_error_set(g->err, XVMI_ERR_NOT_FOUND, "it is at the top");
    return xl_task_read(g, addr, parent);
}

enum xvmi_status xl_task_parent(struct xl_guest *g, const struct xvmi_task *task,
                                struct xvmi_task *parent)
{
    enum xvmi_status status = read_parent(g, task, parent);
    if (!status)
        status = same_process(g, task);
    return tell(g, task, "parent", status);
}
