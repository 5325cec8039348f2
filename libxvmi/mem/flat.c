// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "mem/kdump.h"

/*
 * makedumpfile's flattened format, for writing to a pipe (makedumpfile.h: struct
 * makedumpfile_header, makedumpfile_data_header): a header of 4096 bytes, then pieces, each
 * with its place in the real file, both numbers big-endian; -1, -1 ends it.
 */
#define FLAT_HEADER 4096u

struct piece {
    int64_t offset;
    int64_t size;
};

/* What is rearranged may have holes, but not many: an absurd place is damage. */
static uint64_t highest_end(size_t size)
{
    return 4 * (uint64_t)size + (UINT64_C(1) << 30);
}

static int temporary_file(void)
{
    const char *dir = secure_getenv("TMPDIR");
    int fd = open(dir && *dir ? dir : "/var/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    return fd >= 0 ? fd : memfd_create("xvmi-kdump", MFD_CLOEXEC);
}

static enum xvmi_status write_all(int fd, const uint8_t *data, size_t size, uint64_t offset,
                                  struct xvmi_error *err)
{
    while (size > 0) {
        ssize_t n = pwrite(fd, data, size, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return xvmi_error_set(err, XVMI_ERR_IO,
                                  "rearranging the flattened dump into a temporary file: %s (set "
                                  "TMPDIR to a folder with more room)",
                                  strerror(n < 0 ? errno : ENOSPC));
        data += n;
        size -= (size_t)n;
        offset += (uint64_t)n;
    }
    return XVMI_OK;
}

enum xvmi_status xm_flat_rearrange(const uint8_t *map, size_t size, int *fd, struct xvmi_error *err)
{
    xb_auto_close int out = temporary_file();
    if (out < 0)
        return xvmi_error_set(err, XVMI_ERR_IO, "cannot make a temporary file: %s",
                              strerror(errno));
    size_t at = FLAT_HEADER;
    for (;;) {
        struct piece piece;
        if (at > size || sizeof(piece) > size - at)
            return xvmi_error_set(err, XVMI_ERR_FORMAT,
                                  "the flattened dump is truncated: no end mark in 0x%zx bytes",
                                  size);
        memcpy(&piece, map + at, sizeof(piece));
        uint64_t offset = be64toh((uint64_t)piece.offset), n = be64toh((uint64_t)piece.size);
        if (offset == UINT64_MAX && n == UINT64_MAX)
            break;
        size_t data = at + sizeof(piece);
        if (n == 0 || n > size - data || offset > highest_end(size) - n)
            return xvmi_error_set(err, XVMI_ERR_FORMAT,
                                  "the flattened dump is truncated or damaged: a piece of 0x%lx "
                                  "bytes for 0x%lx at byte 0x%zx of 0x%zx",
                                  n, offset, at, size);
        enum xvmi_status status = write_all(out, map + data, n, offset, err);
        if (status)
            return status;
        at = data + n;
    }
    *fd = xb_steal_fd(&out);
    return XVMI_OK;
}
