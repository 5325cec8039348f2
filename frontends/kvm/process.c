// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* More than any vm.max_map_count in use. */
#define MAPS_MAX (1u << 20)

enum xvmi_status xk_process_error(struct xvmi_error *err, int e, pid_t pid, const char *what)
{
    switch (e) {
    case EPERM:
    case EACCES:
        return xvmi_error_set(err, XVMI_ERR_PERMISSION,
                              "%s of process %d: not permitted: run as root or with CAP_SYS_PTRACE",
                              what, pid);
    case ESRCH:
    case ENOENT:
        return xvmi_error_set(err, XVMI_ERR_GONE, "process %d has ended", pid);
    case ENOMEM:
        return xvmi_error_set(err, XVMI_ERR_NO_MEMORY, "%s of process %d: out of memory", what,
                              pid);
    default:
        return xvmi_error_set(err, XVMI_ERR_IO, "%s of process %d: %s", what, pid, strerror(e));
    }
}

enum xvmi_status xk_process_open(pid_t pid, struct xk_process *process, struct xvmi_error *err)
{
    /* glibc 2.36 has pidfd_open(), older ones do not. */
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (fd < 0 && (errno == ESRCH || errno == EINVAL))
        return xvmi_error_set(err, XVMI_ERR_NOT_FOUND, "there is no process %d", pid);
    if (fd < 0)
        return xk_process_error(err, errno, pid, "pidfd_open");
    *process = (struct xk_process){.pid = pid, .pidfd = fd};
    enum xvmi_status s = xk_process_check(process, err);
    if (s)
        xk_process_close(process);
    return s;
}

void xk_process_close(struct xk_process *process)
{
    if (process->pidfd >= 0)
        close(process->pidfd);
    *process = (struct xk_process)XK_PROCESS_NONE;
}

enum xvmi_status xk_process_check(const struct xk_process *process, struct xvmi_error *err)
{
    struct pollfd p = {.fd = process->pidfd, .events = POLLIN};
    int n;
    while ((n = poll(&p, 1, 0)) < 0 && errno == EINTR)
        ;
    if (n == 0)
        return XVMI_OK;
    return xvmi_error_set(err, XVMI_ERR_GONE, "QEMU (process %d) has ended", process->pid);
}

/* "START-END PERM OFFSET MAJOR:MINOR INODE ..." (fs/proc/task_mmu.c) */
bool xk_maps_parse(const char *line, struct xk_vma *vma)
{
    char perm[5];
    *vma = (struct xk_vma){0};
    if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %" SCNx64 " %x:%x %" SCNu64, &vma->start,
               &vma->end, perm, &vma->offset, &vma->major, &vma->minor, &vma->inode) != 7)
        return false;
    if (strlen(perm) != 4 || vma->start >= vma->end ||
        vma->offset > UINT64_MAX - (vma->end - vma->start))
        return false;
    vma->readable = perm[0] == 'r';
    vma->writable = perm[1] == 'w';
    vma->executable = perm[2] == 'x';
    vma->shared = perm[3] == 's';
    vma->file = vma->inode != 0;
    return true;
}

static enum xvmi_status push_vma(struct xk_maps *maps, const struct xk_vma *vma,
                                 struct xvmi_error *err)
{
    if (maps->n == maps->cap) {
        if (maps->n >= MAPS_MAX)
            return xvmi_error_set(err, XVMI_ERR_LIMIT, "more than %u mappings", MAPS_MAX);
        size_t cap = maps->cap ? maps->cap * 2 : 256;
        struct xk_vma *v = realloc(maps->v, cap * sizeof(*v));
        if (!v)
            return xvmi_error_set(err, XVMI_ERR_NO_MEMORY, "out of memory");
        maps->v = v;
        maps->cap = cap;
    }
    maps->v[maps->n++] = *vma;
    return XVMI_OK;
}

static enum xvmi_status read_lines(FILE *f, struct xk_maps *maps, struct xvmi_error *err)
{
    char *line = NULL;
    size_t cap = 0;
    enum xvmi_status s = XVMI_OK;
    while (!s && getline(&line, &cap, f) > 0) {
        struct xk_vma vma;
        if (!xk_maps_parse(line, &vma))
            s = xvmi_error_set(err, XVMI_ERR_FORMAT, "bad line in its memory map: %s", line);
        /* Mappings that change while they are read may come twice; the newer one is dropped. */
        else if (!maps->n || vma.start >= maps->v[maps->n - 1].end)
            s = push_vma(maps, &vma, err);
    }
    free(line);
    return s;
}

enum xvmi_status xk_maps_read(const struct xk_process *process, struct xk_maps *maps,
                              struct xvmi_error *err)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/maps", process->pid);
    *maps = (struct xk_maps){0};
    FILE *f = fopen(path, "re");
    if (!f)
        return xk_process_error(err, errno, process->pid, "memory map");
    setvbuf(f, NULL, _IOFBF, 1 << 16); /* the kernel fills what we offer, up to a page */
    errno = 0;
    enum xvmi_status s = read_lines(f, maps, err);
    if (!s && ferror(f))
        s = xk_process_error(err, errno, process->pid, "memory map");
    fclose(f);
    /* An ended process has an empty map, and maybe a successor under its number. */
    if (!s)
        s = xk_process_check(process, err);
    if (s)
        xk_maps_fini(maps);
    return s;
}

void xk_maps_fini(struct xk_maps *maps)
{
    free(maps->v);
    *maps = (struct xk_maps){0};
}

const struct xk_vma *xk_maps_find(const struct xk_maps *maps, uint64_t hva)
{
    size_t low = 0, high = maps->n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (maps->v[mid].end <= hva)
            low = mid + 1;
        else
            high = mid;
    }
    return low < maps->n && maps->v[low].start <= hva ? &maps->v[low] : NULL;
}
