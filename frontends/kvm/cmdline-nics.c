// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Network devices on QEMU's command line. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nics.h"

/* The value of an option: "a,b=c" or, as managers write it, JSON. */
struct option {
    const char *list;
    json_t *json;
};

static struct option option_of(const char *list)
{
    bool json = *list == '{';
    return (struct option){list, json ? json_loads(list, JSON_REJECT_DUPLICATES, NULL) : NULL};
}

/* `key` is what the property is called; `first`: it may stand in front without its name. */
static bool get(const struct option *o, const char *key, bool first, char *value, size_t size)
{
    const json_t *json = json_object_get(o->json, key);
    *value = 0;
    if (json_is_integer(json))
        return snprintf(value, size, "%" JSON_INTEGER_FORMAT, json_integer_value(json)) > 0;
    if (json_is_string(json))
        return snprintf(value, size, "%s", json_string_value(json)) < (int)size;
    if (*o->list == '{')
        return false;
    if (xk_cmdline_property(o->list, key, value, size))
        return true;
    *value = 0;
    return first && xk_cmdline_property(o->list, NULL, value, size) && !strchr(value, '=');
}

static bool is_tap(const struct option *o)
{
    char type[16];
    return get(o, "type", true, type, sizeof(type)) &&
           (!strcmp(type, "tap") || !strcmp(type, "bridge"));
}

/* "fd=5", or the first of "fds=5:6:7": all are queues of one device. */
static int fd_of(const struct option *o)
{
    char value[32] = "";
    if (!get(o, "fd", false, value, sizeof(value)))
        get(o, "fds", false, value, sizeof(value));
    return *value >= '0' && *value <= '9' ? atoi(value) : -1;
}

static void set_backend(const struct option *o, struct xk_nic_said *nic)
{
    if (!get(o, "ifname", false, nic->ifname, sizeof(nic->ifname)))
        nic->ifname[0] = 0;
    nic->fd = fd_of(o);
}

static void set_mac(const struct option *o, const char *key, struct xk_nic_said *nic)
{
    char value[32];
    if (get(o, key, false, value, sizeof(value)) && !xk_mac_parse(value, nic->mac))
        memset(nic->mac, 0, sizeof(nic->mac));
}

/* The options called `name`, one after the other, until `take` says stop. */
static void each(struct xk_cmdline cmdline, const char *name, struct xk_nics_said *said,
                 void (*take)(struct xk_cmdline cmdline, const struct option *o,
                              struct xk_nics_said *said))
{
    struct xk_cmdline rest = cmdline;
    const char *list;
    while (said->n < XK_NICS_MAX && (list = xk_cmdline_option(&rest, name))) {
        struct option o = option_of(list);
        take(cmdline, &o, said);
        json_decref(o.json);
    }
}

/* -netdev tap,id=ID with that id. */
static bool find_netdev(struct xk_cmdline cmdline, const char *id, struct xk_nic_said *nic)
{
    const char *list;
    bool found = false;
    while (!found && (list = xk_cmdline_option(&cmdline, "netdev"))) {
        struct option o = option_of(list);
        char its[sizeof(nic->netdev)];
        found = is_tap(&o) && get(&o, "id", false, its, sizeof(its)) && !strcmp(its, id);
        if (found)
            set_backend(&o, nic);
        json_decref(o.json);
    }
    return found;
}

static void take_device(struct xk_cmdline cmdline, const struct option *o,
                        struct xk_nics_said *said)
{
    struct xk_nic_said nic = {.fd = -1};
    if (!get(o, "netdev", false, nic.netdev, sizeof(nic.netdev)) ||
        !find_netdev(cmdline, nic.netdev, &nic))
        return;
    set_mac(o, "mac", &nic);
    said->v[said->n++] = nic;
}

/* -nic is both ends in one. */
static void take_nic(struct xk_cmdline cmdline, const struct option *o, struct xk_nics_said *said)
{
    struct xk_nic_said nic = {.fd = -1};
    (void)cmdline;
    if (!is_tap(o))
        return;
    snprintf(nic.netdev, sizeof(nic.netdev), "nic");
    set_backend(o, &nic);
    set_mac(o, "mac", &nic);
    said->v[said->n++] = nic;
}

void xk_nics_of_cmdline(struct xk_cmdline cmdline, struct xk_nics_said *said)
{
    *said = (struct xk_nics_said){.n = 0};
    each(cmdline, "device", said, take_device);
    each(cmdline, "nic", said, take_nic);
}
