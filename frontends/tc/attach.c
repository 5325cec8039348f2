// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "attach.h"

/* By which we know our own filters. */
#define HANDLE 0x78766d69u /* "xvmi" */
/* Filters of lower numbers come first; one number has one kind of filter, so ours may be taken. */
#define PRIORITIES 8u

/* include/uapi/linux/bpf.h of Linux 6.6, which may be newer than the headers. */
#define ATTACH_TCX_INGRESS 46
#define ATTACH_TCX_EGRESS  47
#define FLAG_BEFORE        (1u << 3)

static struct bpf_tc_hook tc_hook(int ifindex, bool egress)
{
    return (struct bpf_tc_hook){
        .sz = sizeof(struct bpf_tc_hook),
        .ifindex = ifindex,
        .attach_point = egress ? BPF_TC_EGRESS : BPF_TC_INGRESS,
    };
}

/* At the head: who is before us and ends the chain would take frames past the filter. */
static int attach_tcx(int ifindex, bool egress, int prog)
{
    LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = FLAG_BEFORE);
    return bpf_link_create(prog, ifindex,
                           (enum bpf_attach_type)(egress ? ATTACH_TCX_EGRESS : ATTACH_TCX_INGRESS),
                           &opts);
}

static int attach_clsact(int ifindex, bool egress, int prog, struct xtc_hook *hook)
{
    struct bpf_tc_hook at = tc_hook(ifindex, egress);
    struct xtc_hook old;
    int status = bpf_tc_hook_create(&at), found = xtc_find(ifindex, egress, &old);
    uint32_t first = 1, last = PRIORITIES;
    if (status && status != -EEXIST)
        return status;
    if (found >= 0) {
        close(found);
        first = last = old.priority;
    }
    for (uint32_t priority = first; priority <= last; priority++) {
        LIBBPF_OPTS(bpf_tc_opts, opts, .prog_fd = prog, .handle = HANDLE, .priority = priority,
                    .flags = found >= 0 ? BPF_TC_F_REPLACE : 0);
        status = bpf_tc_attach(&at, &opts);
        if (!status) {
            hook->priority = priority;
            return 0;
        }
    }
    return status;
}

enum xvmi_status xtc_attach(int ifindex, bool egress, int prog, bool lasting, struct xtc_hook *hook,
                            struct xvmi_error *err)
{
    struct xtc_hook old = XTC_NO_HOOK;
    *hook = (struct xtc_hook){.ifindex = ifindex, .egress = egress, .link = -1};
    if (!lasting)
        hook->link = attach_tcx(ifindex, egress, prog);
    if (hook->link >= 0) {
        int found = xtc_find(ifindex, egress, &old);
        if (found >= 0) {
            close(found);
            xtc_detach(&old);
        }
        return XVMI_OK;
    }
    hook->link = -1;
    int status = attach_clsact(ifindex, egress, prog, hook);
    if (!status)
        return XVMI_OK;
    return xvmi_error_set(err,
                          status == -EPERM || status == -EACCES ? XVMI_ERR_PERMISSION
                          : status == -ENODEV                   ? XVMI_ERR_NOT_FOUND
                                                                : XVMI_ERR_UNSUPPORTED,
                          "cannot attach to the device's %s: %s", egress ? "egress" : "ingress",
                          strerror(-status));
}

void xtc_detach(struct xtc_hook *hook)
{
    if (hook->link >= 0)
        close(hook->link);
    if (hook->priority) {
        struct bpf_tc_hook at = tc_hook(hook->ifindex, hook->egress);
        LIBBPF_OPTS(bpf_tc_opts, opts, .handle = HANDLE, .priority = hook->priority);
        /* The device may be gone. */
        (void)bpf_tc_detach(&at, &opts);
    }
    *hook = XTC_NO_HOOK;
}

static bool is_ours(int prog)
{
    struct bpf_prog_info info = {0};
    uint32_t len = sizeof(info);
    return !bpf_obj_get_info_by_fd(prog, &info, &len) && !strncmp(info.name, "xvmi_", 5);
}

int xtc_find(int ifindex, bool egress, struct xtc_hook *hook)
{
    struct bpf_tc_hook at = tc_hook(ifindex, egress);
    *hook = XTC_NO_HOOK;
    for (uint32_t priority = 1; priority <= PRIORITIES; priority++) {
        LIBBPF_OPTS(bpf_tc_opts, opts, .handle = HANDLE, .priority = priority);
        if (bpf_tc_query(&at, &opts) || !opts.prog_id)
            continue;
        int prog = bpf_prog_get_fd_by_id(opts.prog_id);
        if (prog >= 0 && is_ours(prog)) {
            *hook = (struct xtc_hook){ifindex, egress, -1, priority};
            return prog;
        }
        if (prog >= 0)
            close(prog);
    }
    return -1;
}
