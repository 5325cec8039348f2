/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef BTF_WRITER_H
#define BTF_WRITER_H

/*
 * Makes BTF for tests, a type a call, as include/uapi/linux/btf.h lays it out. Each call returns
 * the id of its type; ids count from 1, and may be named before they exist.
 *
 *     struct btf_writer w;
 *     btf_writer_init(&w);
 *     uint32_t u32 = btf_writer_int(&w, "unsigned int", 4, 32);
 *     btf_writer_struct(&w, "point", 8);
 *     btf_writer_member(&w, "x", u32, 0);
 *     btf_writer_member(&w, "y", u32, 32);
 *     size_t size;
 *     void *blob = btf_writer_finish(&w, &size);
 */

#include <stddef.h>
#include <stdint.h>

struct btf_writer {
    uint8_t types[1 << 16];
    size_t types_len;
    size_t last; /* where the type begins that members go to */
    uint32_t n;
    char strings[1 << 16];
    size_t strings_len;
};

void btf_writer_init(struct btf_writer *w);

uint32_t btf_writer_int(struct btf_writer *w, const char *name, uint32_t size, uint32_t bits);
/* Typedef, qualifiers, pointer: anything that only refers to `type`. `kind` is BTF_KIND_... */
uint32_t btf_writer_ref(struct btf_writer *w, uint32_t kind, const char *name, uint32_t type);
uint32_t btf_writer_array(struct btf_writer *w, uint32_t type, uint32_t nelems);
uint32_t btf_writer_struct(struct btf_writer *w, const char *name, uint32_t size);
uint32_t btf_writer_union(struct btf_writer *w, const char *name, uint32_t size);
/* A member of the last struct or union. The first bit-field makes it one with bit-field sizes. */
void btf_writer_member(struct btf_writer *w, const char *name, uint32_t type, uint32_t bit_offset);
void btf_writer_bits(struct btf_writer *w, const char *name, uint32_t type, uint32_t bit_offset,
                     uint32_t bits);
uint32_t btf_writer_enum(struct btf_writer *w, const char *name);
uint32_t btf_writer_enum64(struct btf_writer *w, const char *name);
void btf_writer_enumerator(struct btf_writer *w, const char *name, int64_t value);

/* The blob, to be freed by the caller. */
void *btf_writer_finish(const struct btf_writer *w, size_t *size);
/* A module's: what `w` has that its copy `kernel`, made earlier, has not. */
void *btf_writer_finish_module(const struct btf_writer *w, const struct btf_writer *kernel,
                               size_t *size);

#endif
