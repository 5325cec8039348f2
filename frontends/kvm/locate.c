// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "locate.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The kernel allows more, QEMUs stay far below. */
#define CMDLINE_MAX (1u << 20)

/* A rebuilt or upgraded program reads "NAME (deleted)". */
static enum xvmi_status check_program(const struct xk_process *process, struct xvmi_error *err)
{
    char path[64], exe[PATH_MAX];
    snprintf(path, sizeof(path), "/proc/%d/exe", process->pid);
    ssize_t n = readlink(path, exe, sizeof(exe) - 1);
    if (n < 0)
        return xk_process_error(err, errno, process->pid, "program");
    exe[n] = 0;
    const char *slash = strrchr(exe, '/');
    if (!strstr(slash ? slash : exe, "qemu"))
        return xvmi_error_set(err, XVMI_ERR_INVALID, "process %d runs %s, not QEMU", process->pid,
                              exe);
    return XVMI_OK;
}

static enum xvmi_status read_cmdline(int fd, const struct xk_process *process, char *text,
                                     struct xk_cmdline *cmdline, struct xvmi_error *err)
{
    size_t len = 0;
    ssize_t n;
    while (len < CMDLINE_MAX && (n = read(fd, text + len, CMDLINE_MAX - len)) != 0) {
        if (n < 0)
            return xk_process_error(err, errno, process->pid, "command line");
        len += (size_t)n;
    }
    text[len++] = 0;
    *cmdline = (struct xk_cmdline){text, len};
    return xk_process_check(process, err);
}

enum xvmi_status xk_locate_cmdline(const struct xk_process *process, struct xk_cmdline *cmdline,
                                   struct xvmi_error *err)
{
    enum xvmi_status s = check_program(process, err);
    if (s)
        return s;
    char path[64], *text = malloc(CMDLINE_MAX + 1);
    if (!text)
        return xvmi_error_set(err, XVMI_ERR_NO_MEMORY, "out of memory");
    snprintf(path, sizeof(path), "/proc/%d/cmdline", process->pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        s = xk_process_error(err, errno, process->pid, "command line");
    } else {
        s = read_cmdline(fd, process, text, cmdline, err);
        close(fd);
    }
    if (s)
        free(text);
    return s;
}

enum xvmi_status xk_locate_qmp(const struct xk_process *process, struct xk_cmdline cmdline,
                               unsigned index, char **path, struct xvmi_error *err)
{
    char socket[XK_PATH_MAX];
    enum xvmi_status s = xk_cmdline_qmp(cmdline, index, socket);
    if (s)
        return xvmi_error_set(err, s, "no QMP socket on the command line of process %d",
                              process->pid);
    if (asprintf(path, "/proc/%d/%s/%s", process->pid, *socket == '/' ? "root" : "cwd", socket) < 0)
        return xvmi_error_set(err, XVMI_ERR_NO_MEMORY, "out of memory");
    return XVMI_OK;
}

/* Guest RAM is one block on the host: a mapping of its size that can be written, not run. */
static enum xvmi_status find_block(const struct xk_maps *maps, uint64_t size, uint64_t *hva,
                                   struct xvmi_error *err)
{
    unsigned found = 0;
    for (size_t i = 0; i < maps->n; i++) {
        const struct xk_vma *vma = &maps->v[i];
        if (vma->end - vma->start == size && vma->readable && vma->writable && !vma->executable) {
            *hva = vma->start;
            found++;
        }
    }
    if (found == 1)
        return XVMI_OK;
    return xvmi_error_set(err, XVMI_ERR_UNSUPPORTED,
                          "%u mappings of QEMU may be the guest's RAM (%" PRIu64
                          " MiB): which one is can only be asked by QMP",
                          found, size >> 20);
}

enum xvmi_status xk_locate_ram(const struct xk_process *process, struct xk_cmdline cmdline,
                               struct xk_piece pieces[2], size_t *n, struct xvmi_error *err)
{
    struct xk_machine machine;
    struct xk_maps maps;
    uint64_t hva = 0;
    enum xvmi_status s = xk_cmdline_machine(cmdline, &machine, err);
    if (!s)
        s = xk_maps_read(process, &maps, err);
    if (s)
        return s;
    s = find_block(&maps, machine.size, &hva, err);
    xk_maps_fini(&maps);
    pieces[0] = (struct xk_piece){0, machine.low, hva};
    pieces[1] = (struct xk_piece){UINT64_C(1) << 32, machine.size - machine.low, hva + machine.low};
    *n = pieces[1].size ? 2 : 1;
    return s;
}
