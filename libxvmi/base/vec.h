/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XB_VEC_H
#define XB_VEC_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

/*
 * A growable array. The element type is the caller's:
 *
 *     struct pid_vec { int *v; size_t n, cap; } pids = {0};
 *     if (!xb_vec_push(&pids, 42)) ... out of memory; the array is as it was
 *     free(pids.v);
 *
 * Growing moves the elements: keep indices across a push, not pointers.
 */
#define xb_vec_push(vec, value)                                                                    \
    (xb_vec_reserve((void **)&(vec)->v, &(vec)->cap, (vec)->n + 1, sizeof(*(vec)->v))              \
         ? ((vec)->v[(vec)->n++] = (value), true)                                                  \
         : false)

static inline bool xb_vec_reserve(void **v, size_t *cap, size_t want, size_t elem)
{
    if (want <= *cap)
        return true;
    size_t grown = *cap ? *cap * 2 : 16;
    if (grown < want)
        grown = want;
    if (grown > SIZE_MAX / elem)
        return false;
    void *p = realloc(*v, grown * elem);
    if (!p)
        return false;
    *v = p;
    *cap = grown;
    return true;
}

#endif
