// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "ram.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Pieces, times the mappings that NUMA policies and huge pages may cut them into. */
#define SEGS_MAX 65536

/* Two pieces that follow each other in the guest and in what backs them are one segment. */
static bool joins(const struct xk_seg *prev, const struct xk_seg *next)
{
    return prev->gpa + prev->size == next->gpa && prev->file == next->file &&
           prev->hva + prev->size == next->hva &&
           (!prev->file || prev->offset + prev->size == next->offset);
}

static enum xvmi_status push_seg(struct xk_ram *ram, const struct xk_seg *seg,
                                 struct xvmi_error *err)
{
    if (ram->n_segs && joins(&ram->segs[ram->n_segs - 1], seg)) {
        ram->segs[ram->n_segs - 1].size += seg->size;
        return XVMI_OK;
    }
    if (ram->n_segs == ram->cap_segs) {
        if (ram->n_segs >= SEGS_MAX)
            return xvmi_error_set(err, XVMI_ERR_LIMIT, "RAM in more than %d parts", SEGS_MAX);
        size_t cap = ram->cap_segs ? ram->cap_segs * 2 : 16;
        struct xk_seg *segs = realloc(ram->segs, cap * sizeof(*segs));
        if (!segs)
            return xvmi_error_set(err, XVMI_ERR_NO_MEMORY, "out of memory");
        ram->segs = segs;
        ram->cap_segs = cap;
    }
    ram->segs[ram->n_segs++] = *seg;
    return XVMI_OK;
}

/* The file behind a shared mapping, opened once. NULL: there is none that could be used. */
static enum xvmi_status file_of(struct xk_ram *ram, const struct xk_vma *vma,
                                const struct xk_file **out, struct xvmi_error *err)
{
    *out = NULL;
    if (!vma->shared || !vma->file)
        return XVMI_OK;
    for (size_t i = 0; i < ram->n_files; i++) {
        const struct xk_file *f = ram->files[i];
        if (f->inode == vma->inode && f->major == vma->major && f->minor == vma->minor) {
            *out = f;
            return XVMI_OK;
        }
    }
    struct xk_file *file;
    enum xvmi_status s = xk_file_open(ram->process, vma, &file, err);
    if (s || !file)
        return s;
    struct xk_file **files = realloc(ram->files, (ram->n_files + 1) * sizeof(struct xk_file *));
    if (!files) {
        xk_file_close(file);
        return xvmi_error_set(err, XVMI_ERR_NO_MEMORY, "out of memory");
    }
    ram->files = files;
    ram->files[ram->n_files++] = file;
    *out = file;
    return XVMI_OK;
}

/* Cut a piece along the process's mappings. */
static enum xvmi_status add_piece(struct xk_ram *ram, const struct xk_maps *maps,
                                  struct xk_piece piece, struct xvmi_error *err)
{
    if (piece.size > UINT64_MAX - piece.hva || piece.size > UINT64_MAX - piece.gpa)
        return xvmi_error_set(err, XVMI_ERR_FORMAT, "RAM at %#" PRIx64 " wraps around", piece.gpa);
    while (piece.size) {
        const struct xk_vma *vma = xk_maps_find(maps, piece.hva);
        if (!vma || !vma->readable)
            return xvmi_error_set(err, XVMI_ERR_CHANGED,
                                  "RAM at %#" PRIx64 " should be at %#" PRIx64
                                  " in process %d, where no readable memory is",
                                  piece.gpa, piece.hva, ram->process->pid);
        uint64_t skip = piece.hva - vma->start;
        uint64_t left = vma->end - piece.hva;
        struct xk_seg seg = {.gpa = piece.gpa,
                             .size = piece.size < left ? piece.size : left,
                             .hva = piece.hva,
                             .offset = vma->offset + skip,
                             .map = MAP_FAILED};
        enum xvmi_status s = file_of(ram, vma, &seg.file, err);
        if (!s)
            s = push_seg(ram, &seg, err);
        if (s)
            return s;
        piece.gpa += seg.size;
        piece.hva += seg.size;
        piece.size -= seg.size;
    }
    return XVMI_OK;
}

static enum xvmi_status add_pieces(struct xk_ram *ram, const struct xk_piece *pieces, size_t n,
                                   struct xvmi_error *err)
{
    struct xk_maps maps;
    enum xvmi_status s = xk_maps_read(ram->process, &maps, err);
    if (s)
        return s;
    for (size_t i = 0; !s && i < n; i++)
        s = add_piece(ram, &maps, pieces[i], err);
    xk_maps_fini(&maps);
    return s;
}

static enum xvmi_status map_segs(struct xk_ram *ram, struct xvmi_error *err)
{
    ram->ranges = calloc(ram->n_segs ? ram->n_segs : 1, sizeof(*ram->ranges));
    if (!ram->ranges)
        return xvmi_error_set(err, XVMI_ERR_NO_MEMORY, "out of memory");
    for (size_t i = 0; i < ram->n_segs; i++) {
        struct xk_seg *seg = &ram->segs[i];
        struct xvmi_mem_range *range = &ram->ranges[i];
        *range = (struct xvmi_mem_range){.gpa = seg->gpa, .size = seg->size};
        if (!seg->file || !seg->file->mappable)
            continue;
        enum xvmi_status s = xk_file_map(seg->file, seg->offset, seg->size, &seg->map,
                                         &seg->map_len, &range->host, err);
        if (s)
            return s;
    }
    return XVMI_OK;
}

static enum xvmi_status open_pagemap(struct xk_ram *ram, struct xvmi_error *err)
{
    char path[64];
    bool needed = false;
    for (size_t i = 0; i < ram->n_segs; i++)
        needed |= !ram->segs[i].file || !ram->segs[i].file->sparse;
    if (!needed)
        return XVMI_OK;
    snprintf(path, sizeof(path), "/proc/%d/pagemap", ram->process->pid);
    ram->pagemap = open(path, O_RDONLY | O_CLOEXEC);
    if (ram->pagemap < 0)
        return xk_process_error(err, errno, ram->process->pid, "page map");
    return XVMI_OK;
}

enum xvmi_status xk_ram_open(const struct xk_process *process, const struct xk_piece *pieces,
                             size_t n, struct xk_ram **out, struct xvmi_error *err)
{
    struct xk_ram *ram = calloc(1, sizeof(*ram));
    if (!ram)
        return xvmi_error_set(err, XVMI_ERR_NO_MEMORY, "out of memory");
    ram->process = process;
    ram->pagemap = -1;
    enum xvmi_status s = add_pieces(ram, pieces, n, err);
    if (!s)
        s = open_pagemap(ram, err);
    if (!s)
        s = map_segs(ram, err);
    /* All was opened by pid: was it this process until now? */
    if (!s)
        s = xk_process_check(process, err);
    if (s)
        xk_ram_close(ram);
    else
        *out = ram;
    return s;
}

void xk_ram_close(struct xk_ram *ram)
{
    if (!ram)
        return;
    for (size_t i = 0; i < ram->n_segs; i++) {
        if (ram->segs[i].map != MAP_FAILED)
            munmap(ram->segs[i].map, ram->segs[i].map_len);
    }
    for (size_t i = 0; i < ram->n_files; i++)
        xk_file_close(ram->files[i]);
    if (ram->pagemap >= 0)
        close(ram->pagemap);
    free(ram->files);
    free(ram->segs);
    free(ram->ranges);
    free(ram);
}

bool xk_ram_same(const struct xk_ram *a, const struct xk_ram *b)
{
    if (a->n_segs != b->n_segs)
        return false;
    for (size_t i = 0; i < a->n_segs; i++) {
        const struct xk_seg *s = &a->segs[i], *t = &b->segs[i];
        if (s->gpa != t->gpa || s->size != t->size || s->hva != t->hva || s->offset != t->offset ||
            !s->file != !t->file ||
            (s->file && (s->file->inode != t->file->inode || s->file->major != t->file->major ||
                         s->file->minor != t->file->minor)))
            return false;
    }
    return true;
}

const struct xk_seg *xk_ram_seg(const struct xk_ram *ram, uint64_t gpa)
{
    size_t low = 0, high = ram->n_segs;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (ram->segs[mid].gpa + ram->segs[mid].size <= gpa)
            low = mid + 1;
        else
            high = mid;
    }
    return low < ram->n_segs ? &ram->segs[low] : NULL;
}
