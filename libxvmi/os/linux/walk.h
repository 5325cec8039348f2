/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XL_WALK_H
#define XL_WALK_H

/* Binds the walkers (walk/) to guest memory seen through struct xo_space. */

#include <stdint.h>

#include "os/space.h"

#define XW_CTX struct xo_space
static inline int xw_read(struct xo_space *space, void *dst, uint32_t len, uint64_t gva)
{
    /* `len` is a constant at nearly every call: the common ones are a load each. */
    if (len == 8)
        return (int)xo_read_u64(space, gva, dst);
    if (len == 4)
        return (int)xo_read_u32(space, gva, dst);
    return (int)xo_read(space, gva, dst, len);
}

#include "walk/sock.h"
#include "walk/task.h"

#endif
