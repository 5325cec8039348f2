// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <assert.h>
#include <linux/btf.h>
#include <stdlib.h>
#include <string.h>

#include "support/btf-writer.h"

void btf_writer_init(struct btf_writer *w)
{
    memset(w, 0, sizeof(*w));
    w->strings_len = 1;
}

static uint32_t add_string(struct btf_writer *w, const char *s)
{
    if (!*s)
        return 0;
    size_t at = w->strings_len, len = strlen(s) + 1;
    assert(len <= sizeof(w->strings) - at);
    memcpy(w->strings + at, s, len);
    w->strings_len += len;
    return (uint32_t)at;
}

static void put(struct btf_writer *w, const void *data, size_t len)
{
    assert(len <= sizeof(w->types) - w->types_len);
    memcpy(w->types + w->types_len, data, len);
    w->types_len += len;
}

static void put32(struct btf_writer *w, uint32_t v)
{
    put(w, &v, sizeof(v));
}

static uint32_t add_type(struct btf_writer *w, uint32_t kind, const char *name, uint32_t size)
{
    struct btf_type t = {.name_off = add_string(w, name), .info = kind << 24, .size = size};
    w->last = w->types_len;
    put(w, &t, sizeof(t));
    return ++w->n;
}

uint32_t btf_writer_int(struct btf_writer *w, const char *name, uint32_t size, uint32_t bits)
{
    uint32_t id = add_type(w, BTF_KIND_INT, name, size);
    put32(w, bits);
    return id;
}

uint32_t btf_writer_ref(struct btf_writer *w, uint32_t kind, const char *name, uint32_t type)
{
    return add_type(w, kind, name, type);
}

uint32_t btf_writer_array(struct btf_writer *w, uint32_t type, uint32_t nelems)
{
    struct btf_array array = {.type = type, .index_type = 1, .nelems = nelems};
    uint32_t id = add_type(w, BTF_KIND_ARRAY, "", 0);
    put(w, &array, sizeof(array));
    return id;
}

uint32_t btf_writer_struct(struct btf_writer *w, const char *name, uint32_t size)
{
    return add_type(w, BTF_KIND_STRUCT, name, size);
}

uint32_t btf_writer_union(struct btf_writer *w, const char *name, uint32_t size)
{
    return add_type(w, BTF_KIND_UNION, name, size);
}

/* One more in the last type. */
static void count_one(struct btf_writer *w)
{
    struct btf_type t;
    memcpy(&t, w->types + w->last, sizeof(t));
    t.info++;
    memcpy(w->types + w->last, &t, sizeof(t));
}

void btf_writer_member(struct btf_writer *w, const char *name, uint32_t type, uint32_t bit_offset)
{
    struct btf_member m = {.name_off = add_string(w, name), .type = type, .offset = bit_offset};
    put(w, &m, sizeof(m));
    count_one(w);
}

void btf_writer_bits(struct btf_writer *w, const char *name, uint32_t type, uint32_t bit_offset,
                     uint32_t bits)
{
    btf_writer_member(w, name, type, bit_offset | bits << 24);
    struct btf_type t;
    memcpy(&t, w->types + w->last, sizeof(t));
    t.info |= 1U << 31;
    memcpy(w->types + w->last, &t, sizeof(t));
}

uint32_t btf_writer_enum(struct btf_writer *w, const char *name)
{
    return add_type(w, BTF_KIND_ENUM, name, 4);
}

uint32_t btf_writer_enum64(struct btf_writer *w, const char *name)
{
    return add_type(w, BTF_KIND_ENUM64, name, 8);
}

void btf_writer_enumerator(struct btf_writer *w, const char *name, int64_t value)
{
    struct btf_type t;
    memcpy(&t, w->types + w->last, sizeof(t));
    put32(w, add_string(w, name));
    put32(w, (uint32_t)value);
    if (t.info >> 24 == BTF_KIND_ENUM64)
        put32(w, (uint32_t)((uint64_t)value >> 32));
    count_one(w);
}

static void *finish(const struct btf_writer *w, size_t types, size_t strings, size_t *size)
{
    const size_t types_len = w->types_len - types, strings_len = w->strings_len - strings;
    struct btf_header h = {.magic = BTF_MAGIC,
                           .version = BTF_VERSION,
                           .hdr_len = sizeof(h),
                           .type_len = (uint32_t)types_len,
                           .str_off = (uint32_t)types_len,
                           .str_len = (uint32_t)strings_len};
    *size = sizeof(h) + types_len + strings_len;
    uint8_t *blob = malloc(*size);
    assert(blob);
    memcpy(blob, &h, sizeof(h));
    memcpy(blob + sizeof(h), w->types + types, types_len);
    memcpy(blob + sizeof(h) + types_len, w->strings + strings, strings_len);
    return blob;
}

void *btf_writer_finish(const struct btf_writer *w, size_t *size)
{
    return finish(w, 0, 0, size);
}

void *btf_writer_finish_module(const struct btf_writer *w, const struct btf_writer *kernel,
                               size_t *size)
{
    return finish(w, kernel->types_len, kernel->strings_len, size);
}
