// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "cmdline.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)

/* Beyond this QEMU may move RAM out of the way of a hole below 1 TiB (AMD's HyperTransport). */
#define SIZE_MAX_PLAIN (512 * GIB)

static const char *next_arg(struct xk_cmdline *rest)
{
    if (!rest->len)
        return NULL;
    const char *arg = rest->text;
    size_t n = strlen(arg) + 1;
    rest->text += n;
    rest->len -= n;
    return arg;
}

const char *xk_cmdline_option(struct xk_cmdline *rest, const char *name)
{
    const char *arg;
    while ((arg = next_arg(rest))) {
        if (*arg != '-')
            continue;
        arg += arg[1] == '-' ? 2 : 1;
        if (!strcmp(arg, name))
            return next_arg(rest);
    }
    return NULL;
}

static bool has_option(struct xk_cmdline cmdline, const char *name)
{
    return xk_cmdline_option(&cmdline, name) != NULL;
}

bool xk_cmdline_property(const char *list, const char *key, char *value, size_t size)
{
    bool first = true;
    for (; *list; first = false) {
        size_t n = 0, key_len = key ? strlen(key) : 0;
        bool wanted = key ? !strncmp(list, key, key_len) && list[key_len] == '=' : first;
        list += wanted && key ? key_len + 1 : 0;
        for (; *list && (*list != ',' || list[1] == ','); list++, n++) {
            if (*list == ',')
                list++;
            if (wanted && n + 1 < size)
                value[n] = *list;
        }
        if (wanted) {
            value[n < size ? n : size - 1] = 0;
            return n < size;
        }
        list += *list == ',';
    }
    return false;
}

/* "server", "server=on" or "server=yes" among the properties: QEMU listens. */
static bool is_server(const char *list)
{
    char value[8];
    if (xk_cmdline_property(list, "server", value, sizeof(value)))
        return !strcmp(value, "on") || !strcmp(value, "yes");
    const char *at = strstr(list, ",server");
    return at && (at[7] == 0 || at[7] == ',');
}

/* The path of "-chardev socket,id=ID,path=PATH,server=on". */
static bool chardev_path(struct xk_cmdline cmdline, const char *id, char path[XK_PATH_MAX])
{
    const char *list;
    char value[256];
    while ((list = xk_cmdline_option(&cmdline, "chardev"))) {
        if (xk_cmdline_property(list, NULL, value, sizeof(value)) && !strcmp(value, "socket") &&
            xk_cmdline_property(list, "id", value, sizeof(value)) && !strcmp(value, id) &&
            is_server(list))
            return xk_cmdline_property(list, "path", path, XK_PATH_MAX) && *path;
    }
    return false;
}

/* The path that the value of -qmp or -mon leads to. */
static bool monitor_path(struct xk_cmdline cmdline, const char *list, bool mon,
                         char path[XK_PATH_MAX])
{
    char value[256];
    if (mon)
        return xk_cmdline_property(list, "mode", value, sizeof(value)) &&
               !strcmp(value, "control") &&
               (xk_cmdline_property(list, "chardev", value, sizeof(value)) ||
                xk_cmdline_property(list, NULL, value, sizeof(value))) &&
               chardev_path(cmdline, value, path);
    return !strncmp(list, "unix:", 5) && is_server(list) &&
           xk_cmdline_property(list + 5, NULL, path, XK_PATH_MAX) && *path;
}

enum xvmi_status xk_cmdline_qmp(struct xk_cmdline cmdline, unsigned index, char path[XK_PATH_MAX])
{
    static const char *const options[] = {"qmp", "qmp-pretty", "mon"};
    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
        struct xk_cmdline rest = cmdline;
        const char *list;
        while ((list = xk_cmdline_option(&rest, options[i]))) {
            if (monitor_path(cmdline, list, i == 2, path) && index-- == 0)
                return XVMI_OK;
        }
    }
    return XVMI_ERR_NOT_FOUND;
}

/* "512", "512M", "6G": without a letter in MiB. */
static bool parse_size(const char *text, uint64_t *size)
{
    uint64_t unit = MIB;
    int n = 0;
    if (strspn(text, "0123456789") > 12 || sscanf(text, "%" SCNu64 "%n", size, &n) != 1)
        return false;
    switch (text[n]) {
    case 0:
        break;
    case 'm':
    case 'M':
        n++;
        break;
    case 'g':
    case 'G':
        unit = GIB;
        n++;
        break;
    case 't':
    case 'T':
        unit = 1024 * GIB;
        n++;
        break;
    default:
        return false;
    }
    if (text[n] || *size > SIZE_MAX_PLAIN / unit)
        return false;
    *size *= unit;
    return *size > 0;
}

static enum xvmi_status unsupported(struct xvmi_error *err, const char *what)
{
    return xvmi_error_set(err, XVMI_ERR_UNSUPPORTED,
                          "%s: where its RAM lies can only be asked by QMP: start QEMU with "
                          "-qmp unix:PATH,server=on,wait=off and name PATH",
                          what);
}

static enum xvmi_status ram_size(struct xk_cmdline cmdline, uint64_t *size, struct xvmi_error *err)
{
    const char *list;
    char value[32];
    *size = 128 * MIB; /* QEMU's default */
    while ((list = xk_cmdline_option(&cmdline, "m"))) {
        if (strstr(list, "maxmem=") || strstr(list, "slots="))
            return unsupported(err, "memory hotplug");
        if (!(xk_cmdline_property(list, "size", value, sizeof(value)) ||
              xk_cmdline_property(list, NULL, value, sizeof(value))) ||
            !parse_size(value, size))
            return unsupported(err, "an unusual -m option");
    }
    return XVMI_OK;
}

static bool starts_with(const char *text, const char *start)
{
    return !strncmp(text, start, strlen(start));
}

/* How much RAM lies below 4 GiB: hw/i386/pc_piix.c, pc_q35.c and microvm.c of QEMU 2.1 to 10. */
static bool low_memory(const char *type, uint64_t size, uint64_t *low)
{
    if (!strcmp(type, "pc") || starts_with(type, "pc-i440fx-"))
        *low = size >= 0xe0000000 ? 0xc0000000 : size;
    else if (!strcmp(type, "q35") || starts_with(type, "pc-q35-"))
        *low = size >= 0xb0000000 ? 0x80000000 : size;
    else if (!strcmp(type, "microvm"))
        *low = size > 0xc0000000 ? 0xc0000000 : size;
    else
        return false;
    return true;
}

enum xvmi_status xk_cmdline_machine(struct xk_cmdline cmdline, struct xk_machine *machine,
                                    struct xvmi_error *err)
{
    static const char *const names[] = {"machine", "M"};
    char type[64] = "pc";
    if (has_option(cmdline, "numa"))
        return unsupported(err, "NUMA nodes");
    if (has_option(cmdline, "readconfig"))
        return unsupported(err, "configuration from a file");
    for (size_t i = 0; i < 2; i++) {
        struct xk_cmdline rest = cmdline;
        const char *list;
        while ((list = xk_cmdline_option(&rest, names[i]))) {
            char first[64];
            if (strstr(list, "max-ram-below-4g"))
                return unsupported(err, "max-ram-below-4g");
            if (xk_cmdline_property(list, "type", first, sizeof(first)) ||
                (xk_cmdline_property(list, NULL, first, sizeof(first)) && !strchr(first, '=')))
                memcpy(type, first, sizeof(type));
        }
    }
    enum xvmi_status s = ram_size(cmdline, &machine->size, err);
    if (s)
        return s;
    if (!low_memory(type, machine->size, &machine->low))
        return unsupported(err, "not a machine of type pc, q35 or microvm");
    return XVMI_OK;
}
