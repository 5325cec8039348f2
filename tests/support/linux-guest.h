/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef LINUX_GUEST_H
#define LINUX_GUEST_H

/* A struct xl_guest over the toy kernel of linux-writer.h. */

#include "os/linux/guest.h"
#include "support/linux-writer.h"

struct lw_guest {
    struct lw *lw;
    struct xm_mem *mem;
    struct xo_space space;
    struct xl_guest guest;
    struct xvmi_error err;
    struct xvmi_mem_range range;
    /* Of an unmapped guest: called before each page that is read from the backend, to change
     * memory under the reader. `n` counts from 1. */
    void (*hook)(struct lw_guest *g, unsigned n);
    unsigned reads;
};

/* Mapped memory, or memory that is read page by page. */
void lw_guest_open(struct lw_guest *g, struct lw *lw, bool mapped);
void lw_guest_close(struct lw_guest *g);

#endif
