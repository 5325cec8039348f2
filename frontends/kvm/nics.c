// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "nics.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Devices whose properties are looked at. */
#define DEVICES_MAX 1024

bool xk_mac_parse(const char *text, uint8_t mac[6])
{
    unsigned v[6];
    int n = 0;
    if (strlen(text) != 17 || strspn(text, "0123456789abcdefABCDEF:") != 17 ||
        sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x%n", &v[0], &v[1], &v[2], &v[3], &v[4], &v[5], &n) !=
            6 ||
        n != 17)
        return false;
    for (int i = 0; i < 6; i++)
        mac[i] = (uint8_t)v[i];
    return true;
}

/* ---- `info network` ---- */

/*
 * hmp_info_network() and print_net_client() of QEMU's net/, 2.12 to 10: a line a queue, with the
 * backend's below it, or all that is on a hub below the hub.
 *
 *     NAME: index=0,type=nic,model=virtio-net-pci,macaddr=52:54:00:00:00:02
 *      \ ID: index=0,type=tap,ifname=tap0,script=no,downscript=no
 *     hub 0
 *      \ hub0port1: ID: index=0,type=tap,fd=23
 *      \ hub0port0: NAME: index=0,type=nic,...
 */
struct listing {
    struct xk_nics_said *said;
    char name[128];        /* of the last device */
    bool below;            /* it is the line above's backend that comes next */
    bool hub;              /* inside one */
    size_t hub_first;      /* its first device */
    struct xk_nic_said on; /* the backend on it */
};

static void set_backend(struct xk_nic_said *to, const struct xk_nic_said *from)
{
    memcpy(to->netdev, from->netdev, sizeof(to->netdev));
    memcpy(to->ifname, from->ifname, sizeof(to->ifname));
    to->fd = from->fd;
}

static void end_hub(struct listing *l)
{
    for (size_t i = l->hub_first; l->hub && i < l->said->n; i++)
        set_backend(&l->said->v[i], &l->on);
    l->hub = false;
}

static void take_nic(struct listing *l, const char *name, const char *list)
{
    char value[32];
    struct xk_nics_said *said = l->said;
    bool more = xk_cmdline_property(list, "index", value, sizeof(value)) && strcmp(value, "0");
    l->below = false;
    if (more && said->n && !strcmp(l->name, name)) {
        said->v[said->n - 1].queues++;
        return;
    }
    if (said->n == XK_NICS_MAX)
        return;
    struct xk_nic_said *nic = &said->v[said->n++];
    *nic = (struct xk_nic_said){.fd = -1, .queues = 1};
    if (xk_cmdline_property(list, "macaddr", value, sizeof(value)) &&
        !xk_mac_parse(value, nic->mac))
        memset(nic->mac, 0, sizeof(nic->mac));
    memcpy(l->name, name, sizeof(l->name));
    l->below = true;
}

static void take_backend(struct listing *l, const char *name, const char *list)
{
    char value[32];
    struct xk_nic_said said = {.fd = -1};
    memcpy(said.netdev, name, sizeof(said.netdev));
    if (!xk_cmdline_property(list, "ifname", said.ifname, sizeof(said.ifname)))
        said.ifname[0] = 0;
    if (xk_cmdline_property(list, "fd", value, sizeof(value)) && *value >= '0' && *value <= '9')
        said.fd = atoi(value);
    if (l->hub)
        l->on = said;
    else if (l->below)
        set_backend(&l->said->v[l->said->n - 1], &said);
    l->below = false;
}

/* The line up to its end; the name is what stands before ": index=" and behind the last ": ". */
static void take_line(struct listing *l, char *line)
{
    char name[128] = "", type[16];
    bool indented = !strncmp(line, " \\ ", 3);
    if (!indented)
        end_hub(l);
    if (!strncmp(line, "hub ", 4)) {
        l->hub = true;
        l->hub_first = l->said->n;
        l->on = (struct xk_nic_said){.fd = -1};
        l->below = false;
        return;
    }
    char *list = strstr(line, ": index="), *from = line + (indented ? 3 : 0), *colon;
    if (!list || list < from)
        return;
    *list = 0;
    while ((colon = strstr(from, ": ")))
        from = colon + 2;
    memcpy(name, from, strnlen(from, sizeof(name) - 1));
    list += 2;
    if (!xk_cmdline_property(list, "type", type, sizeof(type)))
        return;
    if (!strcmp(type, "nic"))
        take_nic(l, name, list);
    else if (indented)
        take_backend(l, name, list);
}

void xk_nics_of_monitor(const char *text, struct xk_nics_said *said)
{
    struct listing l = {.said = said};
    *said = (struct xk_nics_said){.n = 0};
    while (*text) {
        char line[1024];
        size_t n = strcspn(text, "\r\n");
        snprintf(line, sizeof(line), "%.*s", (int)(n < sizeof(line) ? n : sizeof(line) - 1), text);
        take_line(&l, line);
        text += n;
        text += strspn(text, "\r\n");
    }
    end_hub(&l);
}

/* ---- the host's devices ---- */

static const struct xk_tap *tap_of(const struct xk_nic_said *said, const struct xk_tap *taps,
                                   size_t n)
{
    for (size_t i = 0; said->fd >= 0 && i < n; i++)
        if (taps[i].fd == said->fd)
            return &taps[i];
    for (size_t i = 0; *said->ifname && i < n; i++)
        if (!strcmp(taps[i].dev, said->ifname))
            return &taps[i];
    return NULL;
}

static bool is_taken(const struct xvmi_nic *nics, size_t n, const char *dev)
{
    for (size_t i = 0; i < n; i++)
        if (!strcmp(nics[i].dev, dev))
            return true;
    return false;
}

/* The one tap that no device has; NULL when there are none or several. */
static const struct xk_tap *left_over(const struct xk_tap *taps, size_t n_taps,
                                      const struct xvmi_nic *nics, size_t n)
{
    const struct xk_tap *found = NULL;
    for (size_t i = 0; i < n_taps; i++) {
        if (is_taken(nics, n, taps[i].dev) || (found && !strcmp(found->dev, taps[i].dev)))
            continue;
        if (found)
            return NULL;
        found = &taps[i];
    }
    return found;
}

static void set_dev(struct xvmi_nic *nic, const char *dev)
{
    memcpy(nic->dev, dev, strnlen(dev, sizeof(nic->dev) - 1));
}

static uint8_t count_queues(const struct xvmi_nic *nic, const struct xk_tap *taps, size_t n_taps,
                            unsigned said)
{
    unsigned n = 0;
    for (size_t i = 0; i < n_taps; i++)
        n += *nic->dev && !strcmp(taps[i].dev, nic->dev);
    n = n ? n : said;
    return (uint8_t)(n < UINT8_MAX ? n : UINT8_MAX);
}

size_t xk_nics_join(const struct xk_nics_said *said, const struct xk_tap *taps, size_t n_taps,
                    bool extra, struct xvmi_nic *nics)
{
    size_t n = said->n, open = 0, last = 0;
    memset(nics, 0, XK_NICS_MAX * sizeof(*nics));
    for (size_t i = 0; i < n; i++) {
        const struct xk_tap *tap = tap_of(&said->v[i], taps, n_taps);
        memcpy(nics[i].mac, said->v[i].mac, sizeof(nics[i].mac));
        if (tap)
            set_dev(&nics[i], tap->dev);
        else if (!n_taps)
            set_dev(&nics[i], said->v[i].ifname);
        if (!*nics[i].dev && *said->v[i].netdev) {
            open++;
            last = i;
        }
    }
    const struct xk_tap *tap = left_over(taps, n_taps, nics, n);
    if (tap && open == 1)
        set_dev(&nics[last], tap->dev);
    for (size_t i = 0; extra && i < n_taps && n < XK_NICS_MAX; i++)
        if (!is_taken(nics, n, taps[i].dev))
            set_dev(&nics[n++], taps[i].dev);
    for (size_t i = 0; i < n; i++)
        nics[i].queues = count_queues(&nics[i], taps, n_taps, i < said->n ? said->v[i].queues : 0);
    return n;
}

static enum xvmi_status join(const struct xk_process *process, const struct xk_nics_said *said,
                             bool extra, struct xvmi_nic **nics, size_t *n, struct xvmi_error *err)
{
    struct xk_tap *taps;
    size_t n_taps;
    enum xvmi_status s = xk_taps_read(process, &taps, &n_taps, err);
    if (s)
        return s;
    *nics = calloc(XK_NICS_MAX, sizeof(**nics));
    if (*nics)
        *n = xk_nics_join(said, taps, n_taps, extra, *nics);
    else
        s = xvmi_error_set(err, XVMI_ERR_NO_MEMORY, "out of memory");
    free(taps);
    return s;
}

enum xvmi_status xk_nics_look(const struct xk_process *process, struct xk_cmdline cmdline,
                              struct xvmi_nic **nics, size_t *n, struct xvmi_error *err)
{
    struct xk_nics_said said;
    xk_nics_of_cmdline(cmdline, &said);
    return join(process, &said, true, nics, n, err);
}

/* ---- asking ---- */

static enum xvmi_status get(struct xk_qmp *qmp, const char *path, const char *property,
                            json_t **value, struct xvmi_error *err)
{
    *value = NULL;
    enum xvmi_status s = xk_qmp_command(
        qmp, "qom-get", json_pack("{s:s, s:s}", "path", path, "property", property), value, err);
    /* Most devices have no such property, and QEMU says so. */
    return s == XVMI_ERR_IO || s == XVMI_ERR_UNSUPPORTED ? XVMI_OK : s;
}

/*
 * The address that the device was made with. What `info network` prints is the one in use, which
 * the guest's root may choose.
 */
static enum xvmi_status take_mac(struct xk_qmp *qmp, const char *path, struct xk_nics_said *said,
                                 struct xvmi_error *err)
{
    json_t *netdev, *mac = NULL;
    enum xvmi_status s = get(qmp, path, "netdev", &netdev, err);
    const char *id = json_string_value(netdev);
    if (!s && id && *id)
        s = get(qmp, path, "mac", &mac, err);
    const char *text = json_string_value(mac);
    for (size_t i = 0; !s && text && i < said->n; i++)
        if (!strcmp(said->v[i].netdev, id) && !xk_mac_parse(text, said->v[i].mac))
            memset(said->v[i].mac, 0, sizeof(said->v[i].mac));
    json_decref(netdev);
    json_decref(mac);
    return s;
}

static enum xvmi_status take_macs(struct xk_qmp *qmp, const char *folder, struct xk_nics_said *said,
                                  struct xvmi_error *err)
{
    json_t *list = NULL;
    enum xvmi_status s =
        xk_qmp_command(qmp, "qom-list", json_pack("{s:s}", "path", folder), &list, err);
    for (size_t i = 0; !s && i < json_array_size(list) && i < DEVICES_MAX; i++) {
        const json_t *one = json_array_get(list, i);
        const char *name = json_string_value(json_object_get(one, "name"));
        const char *type = json_string_value(json_object_get(one, "type"));
        char path[256];
        if (!name || !type || strncmp(type, "child<", 6) ||
            snprintf(path, sizeof(path), "%s/%s", folder, name) >= (int)sizeof(path))
            continue;
        s = take_mac(qmp, path, said, err);
    }
    json_decref(list);
    return s == XVMI_ERR_IO || s == XVMI_ERR_UNSUPPORTED ? XVMI_OK : s;
}

enum xvmi_status xk_nics_ask(struct xk_qmp *qmp, const struct xk_process *process,
                             struct xvmi_nic **nics, size_t *n, struct xvmi_error *err)
{
    struct xk_nics_said said = {.n = 0};
    char *text = NULL;
    enum xvmi_status s = xk_qmp_human(qmp, "info network", -1, &text, err);
    if (!s)
        xk_nics_of_monitor(text, &said);
    free(text);
    if (!s && said.n)
        s = take_macs(qmp, "/machine/peripheral", &said, err);
    if (!s && said.n)
        s = take_macs(qmp, "/machine/peripheral-anon", &said, err);
    /* QEMU tells of one change of a device's filters, and of no other until it was asked. */
    if (!s && said.n)
        s = xk_qmp_command(qmp, "query-rx-filter", NULL, NULL, err);
    if (s == XVMI_ERR_IO || s == XVMI_ERR_UNSUPPORTED)
        s = XVMI_OK;
    return s ? s : join(process, &said, false, nics, n, err);
}
