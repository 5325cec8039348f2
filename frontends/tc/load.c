// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* The BPF object, and what an earlier agent left on a device. */
#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "load.h"
#include "skeleton.h"

#define MAPS_MAX 16u

/* A map of a program, by the beginning and end of its name (that of a section is cut). */
static int map_of(int prog, const char *name, struct bpf_map_info *map)
{
    uint32_t ids[MAPS_MAX], len = sizeof(struct bpf_prog_info);
    struct bpf_prog_info info = {.nr_map_ids = MAPS_MAX, .map_ids = (uint64_t)(uintptr_t)ids};
    if (bpf_obj_get_info_by_fd(prog, &info, &len))
        return -1;
    for (uint32_t i = 0; i < info.nr_map_ids && i < MAPS_MAX; i++) {
        int fd = bpf_map_get_fd_by_id(ids[i]);
        len = sizeof(*map);
        *map = (struct bpf_map_info){0};
        if (fd >= 0 && !bpf_obj_get_info_by_fd(fd, map, &len) && !strcmp(map->name, name))
            return fd;
        if (fd >= 0)
            close(fd);
    }
    return -1;
}

/* The head of what an earlier agent shared with its programs. */
static bool read_shared(int prog, uint64_t *policy, uint32_t *epoch)
{
    struct bpf_map_info info;
    struct xtc_shared *shared = NULL;
    uint32_t key = 0;
    bool read = false;
    int fd = map_of(prog, "xtc_bpf.bss", &info);
    if (fd >= 0 && info.value_size == sizeof(*shared) && (shared = malloc(sizeof(*shared))) &&
        !bpf_map_lookup_elem(fd, &key, shared)) {
        *policy = shared->policy;
        *epoch = shared->epoch;
        read = true;
    }
    free(shared);
    if (fd >= 0)
        close(fd);
    return read;
}

/* False when there is nothing that could be used. */
static bool take_over(struct xtc *tc, uint64_t *policy, uint32_t *epoch)
{
    struct xtc_hook hook;
    struct bpf_map_info info;
    struct bpf_map *flows = tc->bpf->maps.xvmi_flows;
    int prog = xtc_find(tc->ifindex, false, &hook), fd = -1;
    if (prog < 0)
        return false;
    bool good = read_shared(prog, policy, epoch) && (fd = map_of(prog, "xvmi_flows", &info)) >= 0 &&
                info.value_size == sizeof(struct xtc_entry) &&
                info.key_size == sizeof(struct xvmi_flow) &&
                info.max_entries == tc->options.flows && !bpf_map__reuse_fd(flows, fd);
    if (fd >= 0)
        close(fd);
    close(prog);
    return good;
}

static enum xvmi_status why_not_loaded(int status, struct xvmi_error *err)
{
    if (status == -EPERM)
        return xvmi_error_set(err, XVMI_ERR_PERMISSION,
                              "loading the BPF programs needs CAP_BPF and CAP_NET_ADMIN: %s",
                              strerror(-status));
    if (status == -ENOMEM)
        return xvmi_error_set(err, XVMI_ERR_NO_MEMORY, "out of memory for BPF maps");
    return xvmi_error_set(err, XVMI_ERR_UNSUPPORTED,
                          "the kernel does not take the BPF programs (Linux 5.12 is needed): %s",
                          strerror(-status));
}

enum xvmi_status xtc_load(struct xtc *tc, const struct xtc_config *config, struct xvmi_error *err)
{
    uint64_t policy = 0;
    uint32_t epoch = 1;
    tc->bpf = xtc_bpf__open();
    if (!tc->bpf)
        return why_not_loaded(-errno, err);
    memcpy((void *)&tc->bpf->rodata->config, config, sizeof(*config));
    (void)bpf_map__set_max_entries(tc->bpf->maps.xvmi_flows, tc->options.flows);
    tc->took_over = take_over(tc, &policy, &epoch);
    tc->bpf->bss->shared.epoch =
        epoch + (tc->took_over && policy != xtc_policy_id(tc, tc->options.policy));
    tc->bpf->bss->shared.since = xtc_now();
    tc->bpf->bss->shared.policy = xtc_policy_id(tc, tc->options.policy);
    int status = xtc_bpf__load(tc->bpf);
    return status ? why_not_loaded(status, err) : XVMI_OK;
}
