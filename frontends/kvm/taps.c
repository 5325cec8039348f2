// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* The tap devices that a process has open. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "nics.h"

/* "iff:\tNAME\n" (drivers/net/tun.c, tun_chr_show_fdinfo); empty while no device is attached. */
bool xk_tap_parse(const char *text, char dev[16])
{
    const char *at = strstr(text, "\niff:\t");
    at = at ? at + 6 : !strncmp(text, "iff:\t", 5) ? text + 5 : "";
    size_t n = strcspn(at, "\n");
    if (!n || n >= 16)
        return false;
    memcpy(dev, at, n);
    dev[n] = 0;
    return true;
}

static bool read_tap(int dir, const char *name, char dev[16])
{
    char text[512];
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, text, sizeof(text) - 1);
    close(fd);
    text[n > 0 ? n : 0] = 0;
    return xk_tap_parse(text, dev);
}

/* A QEMU has thousands of descriptors at most, and of these few are taps. */
static enum xvmi_status read_all(DIR *dir, struct xk_tap **taps, size_t *n, struct xvmi_error *err)
{
    size_t cap = 0;
    for (struct dirent *e; *n < XK_TAPS_MAX && (e = readdir(dir)) != NULL;) {
        struct xk_tap tap = {.fd = atoi(e->d_name)};
        if (*e->d_name < '0' || *e->d_name > '9' || !read_tap(dirfd(dir), e->d_name, tap.dev))
            continue;
        if (*n == cap) {
            cap = cap ? cap * 2 : 8;
            struct xk_tap *more = realloc(*taps, cap * sizeof(*more));
            if (!more)
                return xvmi_error_set(err, XVMI_ERR_NO_MEMORY, "out of memory");
            *taps = more;
        }
        (*taps)[(*n)++] = tap;
    }
    return XVMI_OK;
}

enum xvmi_status xk_taps_read(const struct xk_process *process, struct xk_tap **taps, size_t *n,
                              struct xvmi_error *err)
{
    char path[64];
    *taps = NULL;
    *n = 0;
    snprintf(path, sizeof(path), "/proc/%d/fdinfo", process->pid);
    DIR *dir = opendir(path);
    if (!dir)
        return xk_process_error(err, errno, process->pid, "descriptors");
    enum xvmi_status s = read_all(dir, taps, n, err);
    closedir(dir);
    if (!s)
        s = xk_process_check(process, err);
    if (s) {
        free(*taps);
        *taps = NULL;
    }
    return s;
}
