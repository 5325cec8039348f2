/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause OR GPL-2.0-only */
#ifndef XW_LAYOUT_H
#define XW_LAYOUT_H

/*
 * Where a kernel keeps things, as plain data: in user space filled from a profile by os/linux,
 * in BPF programs `const volatile` rodata that the loader sets.
 *
 * Freestanding: the includer provides the fixed-width integer types (stdint.h, or vmlinux.h and
 * typedefs under BPF).
 */

/* One member. Absent ones have size 0. A bit-field has bits != 0: its value is `bits` bits from bit
 * `shift` of the little-endian `size`-byte word at `off`. */
struct xw_field {
    uint32_t off;
    uint16_t size; /* bytes; of the whole array for arrays */
    uint8_t shift;
    uint8_t bits;
};

#define XW_SIZE(id, type)             uint32_t size_##id;
#define XW_OPT_SIZE(id, type)         uint32_t size_##id;
#define XW_MEMBER(id, type, path)     struct xw_field id;
#define XW_OPT_MEMBER(id, type, path) struct xw_field id;
#define XW_SYMBOL(id, name)
#define XW_OPT_SYMBOL(id, name)
struct xw_layout {
#include "linux.def"
    uint32_t pad;
};
#undef XW_SIZE
#undef XW_OPT_SIZE
#undef XW_MEMBER
#undef XW_OPT_MEMBER
#undef XW_SYMBOL
#undef XW_OPT_SYMBOL

/* Run-time addresses in the guest, KASLR included; 0 when the kernel has no such symbol. */
#define XW_SIZE(id, type)
#define XW_OPT_SIZE(id, type)
#define XW_MEMBER(id, type, path)
#define XW_OPT_MEMBER(id, type, path)
#define XW_SYMBOL(id, name)     uint64_t id;
#define XW_OPT_SYMBOL(id, name) uint64_t id;
struct xw_symbols {
#include "linux.def"
};
#undef XW_SIZE
#undef XW_OPT_SIZE
#undef XW_MEMBER
#undef XW_OPT_MEMBER
#undef XW_SYMBOL
#undef XW_OPT_SYMBOL

static inline int xw_has(struct xw_field field)
{
    return field.size != 0;
}

#endif
