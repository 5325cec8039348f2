// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "ram.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <linux/magic.h>

/* By the mapping itself: needs CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN, and works when QEMU
 * has closed its descriptor. */
static int open_map_file(pid_t pid, const struct xk_vma *vma)
{
    char path[96];
    snprintf(path, sizeof(path), "/proc/%d/map_files/%" PRIx64 "-%" PRIx64, pid, vma->start,
             vma->end);
    return open(path, O_RDONLY | O_CLOEXEC);
}

static bool is_file_of(const struct stat *st, const struct xk_vma *vma)
{
    return st->st_ino == vma->inode && major(st->st_dev) == vma->major &&
           minor(st->st_dev) == vma->minor;
}

/* By the descriptor that QEMU mapped from. */
static int open_fd_of(pid_t pid, const struct xk_vma *vma)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/fd", pid);
    DIR *dir = opendir(path);
    int found = -1;
    for (struct dirent *e; dir && found < 0 && (e = readdir(dir)) != NULL;) {
        struct stat st;
        if (fstatat(dirfd(dir), e->d_name, &st, 0) || !is_file_of(&st, vma))
            continue;
        found = openat(dirfd(dir), e->d_name, O_RDONLY | O_CLOEXEC);
    }
    if (dir)
        closedir(dir);
    return found;
}

/*
 * A hugetlbfs file has no SEEK_DATA, and touching a hole takes a page from the pool, with
 * SIGBUS when that is empty. It is mapped only when QEMU preallocated it; else reads of its
 * descriptor give zeros for holes and leave them holes.
 */
static void classify(struct xk_file *file, const struct stat *st)
{
    struct statfs fs;
    file->page = (uint64_t)sysconf(_SC_PAGESIZE);
    if (fstatfs(file->fd, &fs)) {
        file->mappable = false;
    } else if (fs.f_type == HUGETLBFS_MAGIC) {
        file->page = (uint64_t)fs.f_bsize;
        file->mappable = st->st_blocks >= st->st_size / 512;
    } else {
        file->mappable = true;
        file->sparse = true;
    }
}

enum xvmi_status xk_file_open(const struct xk_process *process, const struct xk_vma *vma,
                              struct xk_file **out, struct xvmi_error *err)
{
    struct stat st;
    *out = NULL;
    int fd = open_map_file(process->pid, vma);
    if (fd < 0)
        fd = open_fd_of(process->pid, vma);
    if (fd < 0)
        return XVMI_OK;
    /* Device files (DAX, VFIO) have rules of their own: leave those to process_vm_readv. */
    if (fstat(fd, &st) || st.st_ino != vma->inode || !S_ISREG(st.st_mode)) {
        close(fd);
        return XVMI_OK;
    }
    struct xk_file *file = calloc(1, sizeof(*file));
    if (!file) {
        close(fd);
        return xvmi_error_set(err, XVMI_ERR_NO_MEMORY, "out of memory");
    }
    *file =
        (struct xk_file){.inode = vma->inode, .major = vma->major, .minor = vma->minor, .fd = fd};
    classify(file, &st);
    *out = file;
    return XVMI_OK;
}

void xk_file_close(struct xk_file *file)
{
    if (!file)
        return;
    close(file->fd);
    free(file);
}

enum xvmi_status xk_file_map(const struct xk_file *file, uint64_t offset, uint64_t size, void **map,
                             size_t *map_len, const uint8_t **at, struct xvmi_error *err)
{
    struct stat st;
    uint64_t skip = offset & (file->page - 1);
    /* A page behind the file's end is SIGBUS. QEMU seals its memfds against shrinking; other
     * files are trusted to stay as large as they are now. */
    if (fstat(file->fd, &st))
        return xvmi_error_set(err, XVMI_ERR_IO, "file behind RAM: %s", strerror(errno));
    if (st.st_size < 0 || size > (uint64_t)st.st_size || offset > (uint64_t)st.st_size - size)
        return xvmi_error_set(err, XVMI_ERR_FORMAT,
                              "RAM at %#" PRIx64 " of its file is behind the file's end (%#" PRIx64
                              ")",
                              offset, (uint64_t)st.st_size);
    uint64_t len = (size + skip + file->page - 1) & ~(file->page - 1);
    *map = mmap(NULL, len, PROT_READ, MAP_SHARED | MAP_NORESERVE, file->fd, (off_t)(offset - skip));
    if (*map == MAP_FAILED)
        return xvmi_error_set(err, XVMI_ERR_IO, "mapping %#" PRIx64 " bytes of RAM: %s", size,
                              strerror(errno));
    *map_len = len;
    *at = (const uint8_t *)*map + skip;
    return XVMI_OK;
}
