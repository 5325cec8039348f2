/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause OR GPL-2.0-only */
#ifndef XW_READ_H
#define XW_READ_H

/*
 * How walkers read guest memory. The includer binds it first:
 *
 *   XW_CTX                                     a type; walkers hand `XW_CTX *` through
 *   int xw_read(XW_CTX *, void *dst, uint32_t len, uint64_t gva)
 *                                              all of it and 0, or a negative status
 *
 * os/linux/walk.h does so for user space, a BPF program with bpf_probe_read_*(). Walkers call no
 * other function, allocate nothing, keep no globals, and have constant bounds on every loop.
 *
 * Guest and host are both little-endian (x86-64).
 */

#include "layout.h"

#ifdef __BPF__
#define XW_INLINE static __attribute__((always_inline)) inline
#else
#define XW_INLINE static inline
#endif

/* Numbers for the members of linux.def, to say in which one a walk failed. */
#define XW_SIZE(id, type)
#define XW_OPT_SIZE(id, type)
#define XW_MEMBER(id, type, path)     XW_ID_##id,
#define XW_OPT_MEMBER(id, type, path) XW_ID_##id,
#define XW_SYMBOL(id, name)
#define XW_OPT_SYMBOL(id, name)
enum xw_id {
#include "linux.def"
    XW_IDS,
};
#undef XW_SIZE
#undef XW_OPT_SIZE
#undef XW_MEMBER
#undef XW_OPT_MEMBER
#undef XW_SYMBOL
#undef XW_OPT_SYMBOL

/* Why a walk stopped. */
struct xw_fault {
    uint64_t base;  /* the object it was looking at */
    uint32_t field; /* enum xw_id */
    int32_t status; /* what xw_read() said, or one of the below */
};
enum {
    XW_ABSENT = -1001,    /* this kernel has no such member */
    XW_BAD_VALUE = -1002, /* the value read cannot be */
};

/* Record a failure in `fault`; returns its status. */
XW_INLINE int xw_fail(struct xw_fault *fault, uint64_t base, uint32_t field, int status)
{
    fault->base = base;
    fault->field = field;
    fault->status = status;
    return status;
}

/* An integer or pointer member, widened without sign. */
XW_INLINE int xw_uint(XW_CTX *ctx, uint64_t base, struct xw_field f, uint32_t id, uint64_t *out,
                      struct xw_fault *fault)
{
    uint64_t value = 0;
    int status;
    switch (f.size) {
    case 1:
        status = xw_read(ctx, &value, 1, base + f.off);
        break;
    case 2:
        status = xw_read(ctx, &value, 2, base + f.off);
        break;
    case 4:
        status = xw_read(ctx, &value, 4, base + f.off);
        break;
    case 8:
        status = xw_read(ctx, &value, 8, base + f.off);
        break;
    default:
        status = XW_ABSENT;
    }
    if (status)
        return xw_fail(fault, base, id, status);
    if (f.bits) {
        value >>= f.shift & 63;
        if (f.bits < 64)
            value &= ((uint64_t)1 << f.bits) - 1;
    }
    *out = value;
    return 0;
}

/* xw_get(ctx, layout, base, member id of linux.def, &uint64, fault) */
#define xw_get(ctx, lay, base, id, out, fault)                                                     \
    xw_uint((ctx), (base), (lay)->id, XW_ID_##id, (out), (fault))

/* `len` bytes (a constant) of member `id`. */
#define xw_get_bytes(ctx, lay, base, id, dst, len, fault)                                          \
    xw_bytes((ctx), (base), (lay)->id, XW_ID_##id, (dst), (len), (fault))
XW_INLINE int xw_bytes(XW_CTX *ctx, uint64_t base, struct xw_field f, uint32_t id, void *dst,
                       uint32_t len, struct xw_fault *fault)
{
    int status = f.size < len ? XW_ABSENT : xw_read(ctx, dst, len, base + f.off);
    return status ? xw_fail(fault, base, id, status) : 0;
}

/* A pointer that can lead on: in the kernel's half (4- or 5-level) and aligned. */
XW_INLINE int xw_is_pointer(uint64_t p)
{
    return p >> 56 == 0xff && !(p & 7);
}

/* hlist chains end in NULL, hlist_nulls chains in an odd value: no object lies at either. */
XW_INLINE int xw_chain_ends(uint64_t node)
{
    return node == 0 || (node & 1);
}

#endif
