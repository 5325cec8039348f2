// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "ram.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

/* Elements a system call: the kernel takes up to IOV_MAX. */
#define BATCH_MAX 512

/* Bytes a system call: beyond INT_MAX the kernel cuts silently. */
#define BATCH_BYTES (64u << 20)

static enum xvmi_status absent(uint64_t gpa, struct xvmi_error *err)
{
    return xvmi_error_set(err, XVMI_ERR_NOT_PRESENT, "no RAM at guest-physical %#" PRIx64, gpa);
}

/* QEMU took the memory out (unplugged it) since we looked at the layout. */
static enum xvmi_status unmapped(uint64_t gpa, struct xvmi_error *err)
{
    return xvmi_error_set(
        err, XVMI_ERR_NOT_PRESENT,
        "QEMU has no memory any more at guest-physical %#" PRIx64 ": its layout changed", gpa);
}

/* By the descriptor, not the mapping: this reads zeros from a hole and leaves it a hole. */
static enum xvmi_status read_file(const struct xk_seg *seg, uint64_t skip, void *dst, size_t len,
                                  struct xvmi_error *err)
{
    uint8_t *p = dst;
    while (len) {
        ssize_t n = pread(seg->file->fd, p, len, (off_t)(seg->offset + skip));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return xvmi_error_set(err, XVMI_ERR_IO, "reading the file behind RAM: %s",
                                  strerror(errno));
        if (n == 0)
            return unmapped(seg->gpa + skip, err);
        p += n;
        skip += (uint64_t)n;
        len -= (size_t)n;
    }
    return XVMI_OK;
}

static enum xvmi_status read_process(const struct xk_ram *ram, const struct xk_seg *seg,
                                     uint64_t skip, void *dst, size_t len, struct xvmi_error *err)
{
    uint8_t *p = dst;
    while (len) {
        struct iovec local = {p, len};
        struct iovec remote = {(void *)(uintptr_t)(seg->hva + skip), len};
        ssize_t n = process_vm_readv(ram->process->pid, &local, 1, &remote, 1, 0);
        if (n < 0 && errno == EFAULT)
            return unmapped(seg->gpa + skip, err);
        if (n < 0)
            return xk_process_error(err, errno, ram->process->pid, "reading memory");
        if (n == 0)
            return unmapped(seg->gpa + skip, err);
        p += n;
        skip += (uint64_t)n;
        len -= (size_t)n;
    }
    return XVMI_OK;
}

/* All of [gpa, gpa + len), without asking whether the process is still the same. */
static enum xvmi_status read_any(const struct xk_ram *ram, uint64_t gpa, void *dst, size_t len,
                                 struct xvmi_error *err)
{
    uint8_t *p = dst;
    while (len) {
        const struct xk_seg *seg = xk_ram_seg(ram, gpa);
        if (!seg || gpa < seg->gpa)
            return absent(gpa, err);
        uint64_t skip = gpa - seg->gpa;
        size_t n = len < seg->size - skip ? len : (size_t)(seg->size - skip);
        enum xvmi_status s =
            seg->file ? read_file(seg, skip, p, n, err) : read_process(ram, seg, skip, p, n, err);
        if (s)
            return s;
        p += n;
        gpa += n;
        len -= n;
    }
    return XVMI_OK;
}

enum xvmi_status xk_ram_read(const struct xk_ram *ram, uint64_t gpa, void *dst, size_t len,
                             struct xvmi_error *err)
{
    enum xvmi_status s = read_any(ram, gpa, dst, len, err);
    bool gone = xk_process_check(ram->process, NULL) != XVMI_OK;
    return gone ? xk_process_check(ram->process, err) : s;
}

/* Elements that one process_vm_readv can take, gathered. */
struct batch {
    struct iovec local[BATCH_MAX], remote[BATCH_MAX];
    struct xvmi_mem_read *read[BATCH_MAX];
    unsigned n;
    size_t bytes;
};

/*
 * Read what was gathered. The kernel stops at the first address it cannot read and tells how
 * many bytes it copied: the element it stopped in has failed, those behind are tried again.
 */
static enum xvmi_status flush(const struct xk_ram *ram, struct batch *b, struct xvmi_error *err)
{
    unsigned i = 0;
    while (i < b->n) {
        ssize_t got =
            process_vm_readv(ram->process->pid, b->local + i, b->n - i, b->remote + i, b->n - i, 0);
        if (got < 0 && errno != EFAULT)
            return xk_process_error(err, errno, ram->process->pid, "reading memory");
        size_t left = got < 0 ? 0 : (size_t)got;
        while (i < b->n && left >= b->local[i].iov_len) {
            left -= b->local[i].iov_len;
            b->read[i++]->status = XVMI_OK;
        }
        if (i < b->n)
            b->read[i++]->status = XVMI_ERR_NOT_PRESENT;
    }
    b->n = 0;
    b->bytes = 0;
    return XVMI_OK;
}

static bool gather(struct batch *b, const struct xk_seg *seg, struct xvmi_mem_read *read)
{
    uint64_t skip = read->gpa - seg->gpa;
    if (seg->file || read->len == 0 || read->len > BATCH_BYTES || read->len > seg->size - skip)
        return false;
    b->local[b->n] = (struct iovec){read->dst, read->len};
    b->remote[b->n] = (struct iovec){(void *)(uintptr_t)(seg->hva + skip), read->len};
    b->read[b->n++] = read;
    b->bytes += read->len;
    return true;
}

enum xvmi_status xk_ram_read_batch(const struct xk_ram *ram, struct xvmi_mem_read *reads, size_t n,
                                   struct xvmi_error *err)
{
    struct batch b;
    enum xvmi_status s = XVMI_OK;
    b.n = 0;
    b.bytes = 0;
    for (size_t i = 0; !s && i < n; i++) {
        const struct xk_seg *seg = xk_ram_seg(ram, reads[i].gpa);
        if (!seg || reads[i].gpa < seg->gpa || !gather(&b, seg, &reads[i]))
            reads[i].status = read_any(ram, reads[i].gpa, reads[i].dst, reads[i].len, NULL);
        if (b.n == BATCH_MAX || b.bytes >= BATCH_BYTES)
            s = flush(ram, &b, err);
    }
    if (!s)
        s = flush(ram, &b, err);
    /* The numbers read are worth nothing if the pid went to another process. */
    enum xvmi_status gone = xk_process_check(ram->process, err);
    return gone ? gone : s;
}
