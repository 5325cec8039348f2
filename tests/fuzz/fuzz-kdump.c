// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause

/* Files of any kind through the front door, kdump and flattened kdump above all: open, read a
 * little everywhere, close. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "mem/mem.h"

/* Pages looked at in one image: they can claim to be endless. */
#define LOOKS 64

static void look_around(struct xm_mem *mem)
{
    uint8_t page[4096];
    uint64_t start = 0, end = 0;
    for (int i = 0; i < LOOKS && !xm_next_data(mem, end, &start, &end, NULL); i++) {
        size_t len = end - start < sizeof(page) ? (size_t)(end - start) : sizeof(page);
        enum xvmi_status status = xm_read(mem, start, page, len, NULL);
        (void)status;
    }
    struct xvmi_vcpu_regs regs;
    for (unsigned i = 0; i < LOOKS && !xm_regs(mem, i, &regs, NULL); i++)
        ;
    size_t len;
    enum xvmi_status status = xm_vmcoreinfo(mem, page, sizeof(page), &len, NULL);
    (void)status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        abort();
    char uri[64];
    snprintf(uri, sizeof(uri), "file:/proc/self/fd/%d", fd);
    struct xvmi_error err = XVMI_ERROR_INIT;
    struct xm_mem *mem;
    if (xm_open(uri, &mem, &err)) {
        if (!err.text[0])
            abort();
    } else {
        look_around(mem);
        xm_close(mem);
    }
    close(fd);
    return 0;
}
