// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Which guest memory was ever touched. A file says so itself (SEEK_DATA); for the rest the
 * page map of the process does. Pages that are in swap count as touched. So does the zero page
 * that reading an untouched page leaves in the page map.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "ram.h"

/* Documentation/admin-guide/mm/pagemap.rst */
#define PM_PRESENT (UINT64_C(1) << 63)
#define PM_SWAP    (UINT64_C(1) << 62)

/* Entries read at first and at most: stretches of data are often short, holes often long. */
#define CHUNK_MIN 64u
#define CHUNK_MAX 8192u

/* In file offsets. *start == to: none before `to`. */
static enum xvmi_status seek_data(const struct xk_file *file, uint64_t from, uint64_t to,
                                  uint64_t *start, uint64_t *end, struct xvmi_error *err)
{
    *start = *end = to;
    off_t data = lseek(file->fd, (off_t)from, SEEK_DATA);
    if (data < 0 && errno == ENXIO)
        return XVMI_OK;
    off_t hole = data < 0 ? data : lseek(file->fd, data, SEEK_HOLE);
    if (hole < 0)
        return xvmi_error_set(err, XVMI_ERR_IO, "looking for data in the file behind RAM: %s",
                              strerror(errno));
    if ((uint64_t)data < to) {
        *start = (uint64_t)data;
        *end = (uint64_t)hole < to ? (uint64_t)hole : to;
    }
    return XVMI_OK;
}

/* The first page of [page, limit) that is touched, or is not, as `touched` asks. */
static enum xvmi_status seek_page(const struct xk_ram *ram, bool touched, uint64_t page,
                                  uint64_t limit, uint64_t *found, struct xvmi_error *err)
{
    uint64_t chunk[CHUNK_MAX];
    size_t want = CHUNK_MIN;
    for (; page < limit; want = want * 8 < CHUNK_MAX ? want * 8 : CHUNK_MAX) {
        size_t n = limit - page < want ? (size_t)(limit - page) : want;
        ssize_t got = pread(ram->pagemap, chunk, n * 8, (off_t)(page * 8));
        if (got < 0)
            return xk_process_error(err, errno, ram->process->pid, "page map");
        n = (size_t)got / 8;
        if (n == 0) /* the process has ended */
            return xvmi_error_set(err, XVMI_ERR_GONE, "process %d has ended", ram->process->pid);
        for (size_t i = 0; i < n; i++, page++) {
            if (((chunk[i] & (PM_PRESENT | PM_SWAP)) != 0) == touched) {
                *found = page;
                return XVMI_OK;
            }
        }
    }
    *found = limit;
    return XVMI_OK;
}

/* As seek_data(), in host virtual addresses. */
static enum xvmi_status seek_pages(const struct xk_ram *ram, uint64_t from, uint64_t to,
                                   uint64_t *start, uint64_t *end, struct xvmi_error *err)
{
    const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    uint64_t limit = (to - 1) / page + 1, first, last;
    enum xvmi_status s = seek_page(ram, true, from / page, limit, &first, err);
    if (!s)
        s = seek_page(ram, false, first, limit, &last, err);
    if (s)
        return s;
    *start = first * page > from ? first * page : from;
    *end = last * page < to ? last * page : to;
    if (*start > to)
        *start = to;
    return XVMI_OK;
}

enum xvmi_status xk_ram_next_data(const struct xk_ram *ram, uint64_t gpa, uint64_t *start,
                                  uint64_t *end, struct xvmi_error *err)
{
    const struct xk_seg *seg = xk_ram_seg(ram, gpa);
    for (; seg && seg < ram->segs + ram->n_segs; seg++) {
        bool file = seg->file && seg->file->sparse;
        uint64_t base = file ? seg->offset : seg->hva;
        uint64_t skip = gpa > seg->gpa ? gpa - seg->gpa : 0;
        uint64_t first, last;
        enum xvmi_status s =
            file ? seek_data(seg->file, base + skip, base + seg->size, &first, &last, err)
                 : seek_pages(ram, base + skip, base + seg->size, &first, &last, err);
        if (s)
            return s;
        if (first < last) {
            *start = seg->gpa + (first - base);
            *end = seg->gpa + (last - base);
            return xk_process_check(ram->process, err);
        }
    }
    return xvmi_error_set(err, XVMI_ERR_NOT_FOUND, "no touched memory at or behind %#" PRIx64, gpa);
}
