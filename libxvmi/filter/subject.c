// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <stdlib.h>
#include <string.h>

#include "filter/subject.h"

const struct xf_guest_ops xf_guest_ops = {
    .refresh = xvmi_vm_refresh,
    .find = xvmi_owner_find,
    .find_batch = xvmi_owner_find_batch,
    .revalidate = xvmi_owner_revalidate,
    .parent = xvmi_task_parent,
    .exe = xvmi_task_exe,
    .cmdline = xvmi_task_cmdline,
    .cgroup = xvmi_task_cgroup,
    .socket_cgroup = xvmi_socket_cgroup,
    .clock = xvmi_task_clock,
};

/* What was fetched about a process or the socket. */
struct xf_text_kept {
    struct xf_text_kept *next;
    uint32_t holder, depth;
    enum xf_about about;
    enum xf_known known;
    const char *text;
    size_t len;
};

/* An ancestor; depth 0 is in the owner itself. */
struct xf_task_kept {
    struct xf_task_kept *next;
    uint32_t holder, depth;
    enum xf_known known;
    struct xvmi_task task;
};

static struct xf_subject *subject_of(struct xf_facts *facts)
{
    return (struct xf_subject *)facts;
}

/* ---- the owner ---- */

static void find(struct xf_subject *s, bool processes)
{
    s->query.want = processes ? XVMI_WANT_TASK : XVMI_WANT_SOCKET;
    if (s->blind)
        s->status = XVMI_ERR_CHANGED;
    else if (!s->found)
        s->status = s->ops->refresh(s->vm);
    if (s->found || !s->status)
        s->status = s->ops->find(s->finder, &s->flow, &s->query, &s->owner);
    s->found = true;
    s->with_processes = processes;
    /* No socket is behind what the kernel answers: those that it has for this are in no table. */
    if (!s->status && s->answers && s->owner.kind == XVMI_OWNER_NONE && !s->owner.foreign)
        s->owner.kind = XVMI_OWNER_KERNEL;
}

static enum xf_known get_owner(struct xf_facts *facts, bool processes,
                               const struct xvmi_owner **owner)
{
    struct xf_subject *s = subject_of(facts);
    if (!s->found || (processes && !s->with_processes && !s->status))
        find(s, processes || s->processes);
    *owner = &s->owner;
    if (s->status == XVMI_ERR_UNSUPPORTED)
        return XF_UNKNOWN;
    return s->status ? XF_UNREADABLE : XF_KNOWN;
}

/* ---- processes ---- */

static const struct xf_task_kept *keep_task(struct xf_subject *s, uint32_t holder, uint32_t depth,
                                            const struct xvmi_task *child)
{
    struct xf_task_kept *kept = xb_arena_alloc(&s->arena, sizeof(*kept));
    if (!kept)
        return NULL;
    kept->holder = holder;
    kept->depth = depth;
    enum xvmi_status status = s->ops->parent(s->vm, child, &kept->task);
    kept->known = status == XVMI_ERR_NOT_FOUND ? XF_ABSENT : status ? XF_UNREADABLE : XF_KNOWN;
    kept->next = s->tasks;
    s->tasks = kept;
    return kept;
}

static enum xf_known get_task(struct xf_facts *facts, uint32_t holder, uint32_t depth,
                              const struct xvmi_task **task)
{
    struct xf_subject *s = subject_of(facts);
    const struct xvmi_task *child;
    if (!s->found || s->status || holder >= s->owner.n_owners)
        return XF_UNREADABLE;
    if (!depth) {
        *task = &s->owner.owners[holder].task;
        return XF_KNOWN;
    }
    const struct xf_task_kept *kept = s->tasks;
    while (kept && (kept->holder != holder || kept->depth != depth))
        kept = kept->next;
    if (!kept) {
        /* The matcher climbs one by one, so this goes one step deep at most. */
        enum xf_known known = get_task(facts, holder, depth - 1, &child);
        if (known != XF_KNOWN)
            return known;
        kept = keep_task(s, holder, depth, child);
    }
    if (!kept)
        return XF_UNREADABLE;
    *task = &kept->task;
    return kept->known;
}

/* ---- texts ---- */

/* Arguments end with NUL each; a space between them reads as a person would write it. */
static void join(char *text, size_t *len)
{
    while (*len && !text[*len - 1])
        --*len;
    for (size_t i = 0; i < *len; i++)
        if (!text[i])
            text[i] = ' ';
}

static enum xvmi_status fetch(struct xf_subject *s, const struct xvmi_task *task,
                              enum xf_about about, char *buf, size_t size, size_t *len)
{
    enum xvmi_status status;
    if (about == XF_ABOUT_CMDLINE) {
        status = s->ops->cmdline(s->vm, task, buf, size - 1, len);
        if (!status)
            join(buf, len);
        return status;
    }
    if (!task)
        status = s->owner.socket.cgroup ? s->ops->socket_cgroup(s->vm, &s->owner.socket, buf, size)
                                        : XVMI_ERR_NOT_FOUND;
    else
        status = about == XF_ABOUT_EXE ? s->ops->exe(s->vm, task, buf, size)
                                       : s->ops->cgroup(s->vm, task, buf, size);
    *len = status ? 0 : strnlen(buf, size);
    return status;
}

static struct xf_text_kept *keep_text(struct xf_subject *s, uint32_t holder, uint32_t depth,
                                      enum xf_about about)
{
    char buf[XVMI_PATH_MAX];
    const struct xvmi_task *task = NULL;
    struct xf_text_kept *kept = xb_arena_alloc(&s->arena, sizeof(*kept));
    if (!kept)
        return NULL;
    *kept = (struct xf_text_kept){s->kept, holder, depth, about, XF_UNREADABLE, "", 0};
    s->kept = kept;
    if (holder != XF_OF_SOCKET) {
        enum xf_known known = get_task(&s->facts, holder, depth, &task);
        if (known != XF_KNOWN) {
            kept->known = known;
            return kept;
        }
    }
    enum xvmi_status status = fetch(s, task, about, buf, sizeof(buf), &kept->len);
    if (status == XVMI_ERR_NOT_FOUND)
        kept->known = XF_ABSENT;
    if (status)
        return kept;
    kept->text = xb_arena_text(&s->arena, buf, kept->len);
    kept->known = kept->text ? XF_KNOWN : XF_UNREADABLE;
    return kept;
}

static enum xf_known get_text(struct xf_facts *facts, uint32_t holder, uint32_t depth,
                              enum xf_about about, const char **text, size_t *len)
{
    struct xf_subject *s = subject_of(facts);
    struct xf_text_kept *kept = s->kept;
    while (kept && (kept->holder != holder || kept->depth != depth || kept->about != about))
        kept = kept->next;
    if (!kept && !(kept = keep_text(s, holder, depth, about)))
        return XF_UNREADABLE;
    *text = kept->text;
    *len = kept->len;
    return kept->known;
}

/* ---- age ---- */

/* A process that started since the clock's last tick is new. */
static enum xf_known get_age(struct xf_facts *facts, const struct xvmi_task *task, uint64_t *ns)
{
    struct xf_subject *s = subject_of(facts);
    uint64_t now;
    if (s->ops->clock(s->vm, &now))
        return XF_UNREADABLE;
    *ns = now > task->start_ns ? now - task->start_ns : 0;
    return XF_KNOWN;
}

void xf_subject_disown(struct xf_subject *s)
{
    memset(&s->owner, 0, sizeof(s->owner));
    s->owner.foreign = true;
    s->found = s->with_processes = true;
    s->status = XVMI_OK;
}

bool xf_subject_foreign(struct xf_subject *s)
{
    const struct xvmi_owner *owner;
    return get_owner(&s->facts, false, &owner) == XF_KNOWN && owner->foreign;
}

bool xf_subject_answers(const struct xf_subject *s)
{
    return s->found && !s->status && xf_is_answer(&s->owner);
}

void xf_subject_reset(struct xf_subject *s, const struct xf_packet *packet, uint64_t now)
{
    s->facts = (struct xf_facts){get_owner, get_task, get_text, get_age};
    s->flow = packet->flow;
    s->answers = packet->answers && packet->flow.direction == XVMI_FLOW_OUT;
    s->now = now;
    s->found = s->with_processes = false;
    s->status = XVMI_OK;
    s->kept = NULL;
    s->tasks = NULL;
    xb_arena_reset(&s->arena);
}

void xf_subject_fini(struct xf_subject *s)
{
    xb_arena_fini(&s->arena);
}
