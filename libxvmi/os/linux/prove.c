// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <stdio.h>
#include <string.h>

#include "os/linux/image.h"
#include "os/linux/kernel.h"

/* A profile is believed when what it says about the running kernel is so. Each check names itself,
 * what it expected and what it saw. */

#define BANNER "Linux version "

/* Links followed in either direction: a list that closes sooner was seen whole. */
#define RING_STEPS 512
#define NETNS_MAX  65536
#define RETRIES    16 /* the lists change under us */

uint64_t xl_symbol(const struct xl_kernel *kernel, const struct xvmi_profile *profile,
                   const char *name)
{
    uint64_t addr;
    if (xvmi_profile_symbol(profile, name, &addr))
        return 0;
    return addr >= XL_IMAGE_MAP ? addr + kernel->kaslr_offset : addr; /* else per-CPU */
}

struct proof {
    const struct xl_kernel *kernel;
    struct xo_space *space;
    const struct xvmi_profile *profile;
    struct xvmi_error *err;
};

/* A read failed: a wrong profile points anywhere. */
static enum xvmi_status unreadable(const struct proof *proof, const char *what)
{
    enum xvmi_status status = xo_fault(proof->space, proof->err);
    if (status != XVMI_ERR_GONE && status != XVMI_ERR_NO_MEMORY && status != XVMI_ERR_PERMISSION)
        status = XVMI_ERR_MISMATCH;
    return xvmi_error_frame(proof->err, status, "%s cannot be read", what);
}

static enum xvmi_status need_symbol(const struct proof *proof, const char *name, uint64_t *addr)
{
    *addr = xl_symbol(proof->kernel, proof->profile, name);
    if (*addr)
        return XVMI_OK;
    return xvmi_error_set(proof->err, XVMI_ERR_MISMATCH, "the profile has no symbol %s", name);
}

static enum xvmi_status need_member(const struct proof *proof, const char *type, const char *name,
                                    struct xvmi_member *member)
{
    if (!xvmi_profile_member(proof->profile, type, name, member))
        return XVMI_OK;
    return xvmi_error_set(proof->err, XVMI_ERR_MISMATCH, "the profile has no %s.%s", type, name);
}

static enum xvmi_status check_banner(const struct proof *proof)
{
    char expected[sizeof(BANNER) + XVMI_RELEASE_MAX + 1], seen[sizeof(expected)];
    uint64_t addr;
    enum xvmi_status status = need_symbol(proof, "linux_banner", &addr);
    if (status)
        return status;
    int len = snprintf(expected, sizeof(expected), BANNER "%s ", proof->kernel->release);
    if (xo_read(proof->space, addr, seen, (size_t)len))
        return unreadable(proof, "linux_banner");
    seen[len] = 0;
    if (strcmp(seen, expected) != 0)
        return xvmi_error_set(proof->err, XVMI_ERR_MISMATCH,
                              "linux_banner at 0x%lx: expected '%s', saw '%s'", addr, expected,
                              seen);
    return XVMI_OK;
}

/* The idle task of the boot CPU is "swapper" until it is told its number. */
static enum xvmi_status check_comm(const struct proof *proof, uint64_t init_task)
{
    struct xvmi_member comm;
    char seen[16] = "";
    enum xvmi_status status = need_member(proof, "task_struct", "comm", &comm);
    if (status)
        return status;
    uint64_t addr = init_task + comm.offset;
    if (xo_read(proof->space, addr, seen, sizeof(seen)))
        return unreadable(proof, "init_task.comm");
    seen[sizeof(seen) - 1] = 0;
    if (strcmp(seen, "swapper/0") != 0 && strcmp(seen, "swapper") != 0)
        return xvmi_error_set(proof->err, XVMI_ERR_MISMATCH,
                              "init_task.comm at 0x%lx: expected 'swapper/0', saw '%s'", addr,
                              seen);
    return XVMI_OK;
}

/* Follows a list_head forward (by next, 0) or backward (by prev, 8); every link must be answered
 * by its opposite. */
static enum xvmi_status walk_ring(const struct proof *proof, uint64_t head, unsigned by)
{
    uint64_t at = head;
    for (int i = 0; i < RING_STEPS; i++) {
        uint64_t to, back;
        if (xo_read_u64(proof->space, at + by, &to))
            return unreadable(proof, "init_task.tasks: a link");
        if (xo_read_u64(proof->space, to + (8 - by), &back))
            return unreadable(proof, "init_task.tasks: a task on the list");
        if (back != at)
            return xvmi_error_set(proof->err, XVMI_ERR_MISMATCH,
                                  "init_task.tasks: expected a ring of links, but from 0x%lx %s is "
                                  "0x%lx, and back from there is 0x%lx",
                                  at, by ? "prev" : "next", to, back);
        at = to;
        if (at == head)
            return XVMI_OK;
    }
    return XVMI_OK;
}

static enum xvmi_status check_ring(const struct proof *proof, uint64_t init_task)
{
    struct xvmi_member tasks;
    enum xvmi_status status = need_member(proof, "task_struct", "tasks", &tasks);
    if (status)
        return status;
    uint64_t head = init_task + tasks.offset;
    for (int i = 0; i < RETRIES; i++) {
        status = walk_ring(proof, head, 0);
        if (!status)
            status = walk_ring(proof, head, 8);
        if (status != XVMI_ERR_MISMATCH || !xm_live(proof->space->mem))
            return status;
        xo_invalidate(proof->space);
    }
    return status;
}

/* init_net was the first to get onto the list and never leaves it. */
static enum xvmi_status check_init_net(const struct proof *proof)
{
    struct xvmi_member list;
    uint64_t init_net, head, at;
    enum xvmi_status status = need_symbol(proof, "init_net", &init_net);
    if (!status)
        status = need_symbol(proof, "net_namespace_list", &head);
    if (!status)
        status = need_member(proof, "net", "list", &list);
    if (status)
        return status;
    at = head;
    for (int i = 0; i < NETNS_MAX; i++) {
        if (xo_read_u64(proof->space, at, &at))
            return unreadable(proof, "net_namespace_list: a link");
        if (at == init_net + list.offset)
            return XVMI_OK;
        if (at == head)
            return xvmi_error_set(proof->err, XVMI_ERR_MISMATCH,
                                  "net_namespace_list at 0x%lx: expected init_net (0x%lx) on it, "
                                  "saw %d others",
                                  head, init_net, i);
    }
    return xvmi_error_set(proof->err, XVMI_ERR_MISMATCH,
                          "net_namespace_list at 0x%lx: expected init_net (0x%lx) on it, saw %d "
                          "others and no end",
                          head, init_net, NETNS_MAX);
}

enum xvmi_status xl_prove(const struct xl_kernel *kernel, struct xo_space *space,
                          const struct xvmi_profile *profile, struct xvmi_error *err)
{
    struct proof proof = {kernel, space, profile, err};
    uint64_t init_task;
    enum xvmi_status status = check_banner(&proof);
    if (!status)
        status = need_symbol(&proof, "init_task", &init_task);
    if (!status)
        status = check_comm(&proof, init_task);
    if (!status)
        status = check_ring(&proof, init_task);
    if (!status)
        status = check_init_net(&proof);
    return status ? xvmi_error_frame(err, status, "the profile does not fit this kernel") : XVMI_OK;
}
