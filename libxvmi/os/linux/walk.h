/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XL_WALK_H
#define XL_WALK_H

/* Binds the walkers (walk/) to guest memory seen through struct xo_space. */

#include <stdint.h>

#include "os/space.h"

struct xl_u16 {
    uint16_t v;
} __attribute__((packed, may_alias));

#define XW_CTX struct xo_space
/* `len` is a constant at nearly every call: the common ones are one load each. */
static inline int xw_read(struct xo_space *space, void *dst, uint32_t len, uint64_t gva)
{
    if (len == 8)
        return (int)xo_read_u64(space, gva, dst);
    if (len == 4)
        return (int)xo_read_u32(space, gva, dst);
    const void *hot;
    if (len > 2 || !xo_hot(space, gva, &hot))
        return (int)xo_read(space, gva, dst, len);
    space->reads++;
    if (len == 2)
        *(struct xl_u16 *)dst = (struct xl_u16){((const volatile struct xl_u16 *)hot)->v};
    else if (len == 1)
        *(uint8_t *)dst = *(const volatile uint8_t *)hot;
    return 0;
}

#include "walk/sock.h"
#include "walk/task.h"

#endif
