// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VIFS "/local/domain/0/backend/vif/%u"

bool xe_parse_mac(const char *text, uint8_t mac[6])
{
    unsigned v[6];
    int end = 0;
    memset(mac, 0, 6);
    if (sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x%n", &v[0], &v[1], &v[2], &v[3], &v[4], &v[5], &end) !=
            6 ||
        text[end])
        return false;
    for (int i = 0; i < 6; i++)
        mac[i] = (uint8_t)v[i];
    return true;
}

static struct xvmi_nic read_nic(const struct xe_host *host, uint32_t domid, uint32_t number)
{
    struct xvmi_nic nic = {.queues = 1};
    char *name = xe_host_value(host, VIFS "/%u/vifname", domid, number);
    char *mac = xe_host_value(host, VIFS "/%u/mac", domid, number);
    char *queues =
        xe_host_value(host, "/local/domain/%u/device/vif/%u/multi-queue-num-queues", domid, number);
    if (name && strlen(name) < sizeof(nic.dev))
        memcpy(nic.dev, name, strlen(name) + 1);
    else if (!name)
        snprintf(nic.dev, sizeof(nic.dev), "vif%u.%u", domid, number % 10000);
    if (mac)
        xe_parse_mac(mac, nic.mac);
    unsigned long n = queues ? strtoul(queues, NULL, 10) : 1; /* the guest wrote it */
    nic.queues = n > 0 && n <= UINT8_MAX ? (uint8_t)n : 0;
    free(name);
    free(mac);
    free(queues);
    return nic;
}

static int by_number(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

enum xvmi_status xe_store_nics(const struct xe_host *host, uint32_t domid, struct xvmi_nic *nics,
                               size_t *n, struct xvmi_error *err)
{
    char path[64];
    uint32_t numbers[XE_NICS];
    unsigned found = 0;
    *n = 0;
    snprintf(path, sizeof(path), VIFS, domid);
    char **names = xs_directory(host->store, XBT_NULL, path, &found);
    if (!names && errno != ENOENT)
        return xvmi_error_set(err, XVMI_ERR_IO, "reading %s in xenstore: %s", path,
                              strerror(errno));
    for (unsigned i = 0; names && i < found && *n < XE_NICS; i++)
        if (xe_parse_domid(names[i], &numbers[*n]))
            ++*n;
    free(names);
    qsort(numbers, *n, sizeof(numbers[0]), by_number);
    for (size_t i = 0; i < *n; i++)
        nics[i] = read_nic(host, domid, numbers[i]);
    return XVMI_OK;
}

/* Events */

enum { DOMAINS, MEMORY, DEVICES }; /* tokens: their digit */

static bool set_watch(const struct xe_watch *watch, const char *path, int token)
{
    char text[2] = {(char)('0' + token), 0};
    return xs_watch(watch->domain->host->store, path, text);
}

enum xvmi_status xe_watch_start(struct xe_watch *watch, struct xe_domain *domain, const char *name,
                                int *fd, struct xvmi_error *err)
{
    char memory[64], devices[64];
    uint32_t domid = domain->domid;
    *fd = xs_fileno(domain->host->store);
    if (watch->on && watch->domid == domid)
        return XVMI_OK;
    xe_watch_stop(watch);
    *watch = (struct xe_watch){.domain = domain, .domid = domid, .name = name, .on = true};
    snprintf(memory, sizeof(memory), "/local/domain/%u/memory/target", domid);
    snprintf(devices, sizeof(devices), VIFS, domid);
    if (!set_watch(watch, memory, MEMORY) || !set_watch(watch, devices, DEVICES) ||
        !set_watch(watch, "@introduceDomain", DOMAINS) ||
        !set_watch(watch, "@releaseDomain", DOMAINS))
        return xvmi_error_set(err, XVMI_ERR_IO, "watching xenstore: %s", strerror(errno));
    return XVMI_OK;
}

void xe_watch_stop(struct xe_watch *watch)
{
    char path[64];
    if (!watch->on)
        return;
    struct xs_handle *store = watch->domain->host->store;
    snprintf(path, sizeof(path), "/local/domain/%u/memory/target", watch->domid);
    xs_unwatch(store, path, "1");
    snprintf(path, sizeof(path), VIFS, watch->domid);
    xs_unwatch(store, path, "2");
    xs_unwatch(store, "@introduceDomain", "0");
    xs_unwatch(store, "@releaseDomain", "0");
    watch->on = false;
}

/* Take all that xenstore has to say. Domains are asked about anyway: their watches only wake. */
static void drain(struct xe_watch *watch)
{
    char **said;
    while ((said = xs_check_watch(watch->domain->host->store))) {
        const char *token = said[XS_WATCH_TOKEN];
        int which = token[0] - '0';
        if (which == MEMORY || which == DEVICES) {
            if (watch->quiet[which] && which == MEMORY)
                watch->memory = true;
            else if (watch->quiet[which])
                watch->devices = true;
            watch->quiet[which] = true;
        }
        free(said);
    }
}

/* What became of a domain that is no more. */
static enum xvmi_vm_event after_end(struct xe_watch *watch)
{
    uint32_t other;
    bool by_name;
    if (watch->told_end)
        return XVMI_VM_NOTHING;
    bool back =
        watch->name && !xe_host_find(watch->domain->host, watch->name, &other, &by_name, NULL);
    if (!back && watch->name && xe_domain_is_away(watch->domain))
        return XVMI_VM_NOTHING; /* not yet: @introduceDomain will wake us */
    watch->told_end = true;
    return back ? XVMI_VM_RESET : XVMI_VM_ENDED;
}

static enum xvmi_vm_event next_of_domain(struct xe_watch *watch)
{
    xc_domaininfo_t info;
    if (xe_domain_look(watch->domain, &info, NULL))
        return after_end(watch);
    bool stopped = info.flags & XEN_DOMINF_shutdown;
    if (stopped == watch->told_stop)
        return XVMI_VM_NOTHING;
    watch->told_stop = stopped;
    return stopped ? XVMI_VM_STOPPED : XVMI_VM_RESUMED;
}

enum xvmi_status xe_watch_next(struct xe_watch *watch, enum xvmi_vm_event *event,
                               struct xvmi_error *err)
{
    (void)err;
    *event = XVMI_VM_NOTHING;
    if (!watch->on)
        return XVMI_OK;
    drain(watch);
    *event = next_of_domain(watch);
    if (*event != XVMI_VM_NOTHING)
        return XVMI_OK;
    if (watch->memory)
        *event = XVMI_VM_MEMORY;
    else if (watch->devices)
        *event = XVMI_VM_DEVICES;
    watch->devices = watch->devices && watch->memory;
    watch->memory = false;
    return XVMI_OK;
}
