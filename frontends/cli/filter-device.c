// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * The device that is filtered, through its life. A tap outlives the restarts of its guest; a vif
 * does not: Xen gives the domain that comes back another, which is filtered from the moment it
 * appears, before the domain runs.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "filter.h"

enum xvmi_status filter_open_device(struct filter_session *s, struct xvmi_error *err)
{
    const struct filter_args *args = s->args;
    struct xtc_options how = {
        .size = sizeof(how),
        .dev = s->dev,
        .filter = s->filter,
        .policy = filter_decider(s),
        .nic = s->nic,
        .dry_run = args->dry_run || args->learn,
        .miss = args->miss,
        .on_exit = args->on_exit,
        .queue = args->queue,
        .event = filter_event,
        .context = s,
    };
    if (s->nic < s->n_nics)
        memcpy(how.mac, s->nics[s->nic].mac, sizeof(how.mac));
    enum xvmi_status status = xtc_open(&how, &s->tc, err);
    if (!status)
        filter_watch(s, xtc_fd(s->tc));
    return status;
}

enum xvmi_status filter_renew(struct filter_session *s, struct xvmi_error *err)
{
    return s->tc ? xtc_renew(s->tc, s->filter, filter_decider(s), err) : XVMI_OK;
}

void filter_stats(struct filter_session *s, struct xtc_stats *stats)
{
    *stats = s->before;
    struct xtc_stats now = {.size = sizeof(now)};
    if (!s->tc)
        return;
    xtc_stats(s->tc, &now);
    /* Behind the size there are nothing but counters. */
    uint64_t *sum = (uint64_t *)stats;
    const uint64_t *more = (const uint64_t *)&now;
    for (size_t i = 1; i < sizeof(now) / sizeof(*sum); i++)
        sum[i] += more[i];
}

void filter_lose_device(struct filter_session *s)
{
    struct xvmi_error err = XVMI_ERROR_INIT;
    filter_stats(s, &s->before);
    xtc_close(s->tc);
    s->tc = NULL;
    if (!s->nic_known || xvmi_vm_refresh(s->vm) != XVMI_ERR_CHANGED) {
        s->done = true;
        filter_note(s, "ended", "%s: the device is gone", s->dev);
        return;
    }
    filter_note(s, "device-gone", "%s is gone, as the guest restarts", s->dev);
    filter_be_stale(s);
    enum xvmi_status status = xtc_links_open(&s->links, &err);
    if (status)
        fail(s->command, status, err.text);
    filter_watch(s, s->links);
    filter_find_device(s);
}

void filter_find_device(struct filter_session *s)
{
    struct xvmi_error err = XVMI_ERROR_INIT;
    (void)xtc_links_changed(s->links);
    if (xvmi_vm_refresh(s->vm) == XVMI_ERR_GONE) {
        filter_guest_ended(s);
        return;
    }
    filter_read_nics(s);
    if (s->nic >= s->n_nics || !*s->nics[s->nic].dev)
        return;
    memcpy(s->dev, s->nics[s->nic].dev, sizeof(s->dev));
    enum xvmi_status status = filter_open_device(s, &err);
    if (status == XVMI_ERR_NOT_FOUND)
        return;
    if (status)
        fail(s->command, status, err.text);
    close(s->links);
    filter_note(s, "device", "%s is filtered (%s)", s->dev, xtc_attached_by(s->tc));
}
