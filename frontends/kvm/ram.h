/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XK_RAM_H
#define XK_RAM_H

/*
 * Guest RAM inside a QEMU process, given where it lies in the process's address space.
 *
 * What QEMU maps shared from a file (memfd, tmpfs, hugetlbfs) is mapped here too, read-only;
 * the rest is read by process_vm_readv. Knows nothing of QMP.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <xvmi/error.h>
#include <xvmi/mem.h>

#include "process.h"

/* Guest-physical [gpa, gpa + size) is at host virtual address hva of the process. */
struct xk_piece {
    uint64_t gpa, size, hva;
};

/* A file that holds guest RAM. */
struct xk_file {
    uint64_t inode;
    unsigned major, minor;
    int fd;
    uint64_t page; /* what offsets of mmap are multiples of */
    bool sparse;   /* SEEK_DATA tells holes */
    bool mappable; /* reading a mapping can neither fail nor allocate from a scarce pool */
};

/* A piece, or the part of it that one file or anonymous memory backs. */
struct xk_seg {
    uint64_t gpa, size, hva;
    const struct xk_file *file; /* NULL: read from the process */
    uint64_t offset;            /* in file */
    void *map;                  /* MAP_FAILED: none */
    size_t map_len;
};

struct xk_ram {
    const struct xk_process *process;
    int pagemap; /* -1 when every segment's file tells its holes */
    struct xk_file **files;
    size_t n_files;
    struct xk_seg *segs; /* as ranges, one for one */
    size_t n_segs, cap_segs;
    struct xvmi_mem_range *ranges;
};

/*
 * Find what backs the pieces, which are sorted by gpa and do not overlap, and map what can be
 * mapped. XVMI_ERR_CHANGED when a piece is not readable memory of the process. `process` is
 * borrowed until xk_ram_close().
 */
XVMI_CHECKED enum xvmi_status xk_ram_open(const struct xk_process *process,
                                          const struct xk_piece *pieces, size_t n,
                                          struct xk_ram **ram, struct xvmi_error *err);
void xk_ram_close(struct xk_ram *ram);

/* Whether both are the same memory at the same place. */
bool xk_ram_same(const struct xk_ram *a, const struct xk_ram *b);

/* The segment that holds gpa, or else the first behind it; NULL when there is none. */
const struct xk_seg *xk_ram_seg(const struct xk_ram *ram, uint64_t gpa);

/* As in struct xvmi_mem_ops. */
XVMI_CHECKED enum xvmi_status xk_ram_read(const struct xk_ram *ram, uint64_t gpa, void *dst,
                                          size_t len, struct xvmi_error *err);
XVMI_CHECKED enum xvmi_status xk_ram_read_batch(const struct xk_ram *ram,
                                                struct xvmi_mem_read *reads, size_t n,
                                                struct xvmi_error *err);
XVMI_CHECKED enum xvmi_status xk_ram_next_data(const struct xk_ram *ram, uint64_t gpa,
                                               uint64_t *start, uint64_t *end,
                                               struct xvmi_error *err);

/* backing.c: the file behind a mapping; *file stays NULL when it cannot be had, which only
 * makes access slower. */
XVMI_CHECKED enum xvmi_status xk_file_open(const struct xk_process *process,
                                           const struct xk_vma *vma, struct xk_file **file,
                                           struct xvmi_error *err);
void xk_file_close(struct xk_file *file);

/* Map [offset, offset + size) of the file; *map is the whole mapping, *at where offset is. */
XVMI_CHECKED enum xvmi_status xk_file_map(const struct xk_file *file, uint64_t offset,
                                          uint64_t size, void **map, size_t *map_len,
                                          const uint8_t **at, struct xvmi_error *err);

#endif
