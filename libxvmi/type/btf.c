// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Types from BTF, through libbpf. The blob comes out of a guest: it is checked as a whole before
 * libbpf sees it, because libbpf writes its complaints to the program's stderr, and every name and
 * type id is fetched through accessors that check their range.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/btf.h>

#include "base/cleanup.h"
#include "base/vec.h"
#include "type/resolve.h"

/* Typedefs, qualifiers and array dimensions in a row; chains can be crafted to form a circle. */
#define CHAIN_MAX 32

struct btf_source {
    struct xt_source base;
    struct btf *btf;
};

static void free_btf(struct btf **btf)
{
    btf__free(*btf);
}

/* Bytes after a type's common part; -1: unknown kind. */
static int64_t tail_size(const struct btf_type *t)
{
    uint32_t vlen = btf_vlen(t);
    switch (btf_kind(t)) {
    case BTF_KIND_FWD:
    case BTF_KIND_CONST:
    case BTF_KIND_VOLATILE:
    case BTF_KIND_RESTRICT:
    case BTF_KIND_PTR:
    case BTF_KIND_TYPEDEF:
    case BTF_KIND_FUNC:
    case BTF_KIND_FLOAT:
    case BTF_KIND_TYPE_TAG:
        return 0;
    case BTF_KIND_INT:
    case BTF_KIND_VAR:
    case BTF_KIND_DECL_TAG:
        return sizeof(uint32_t);
    case BTF_KIND_ENUM:
        return (int64_t)(vlen * sizeof(struct btf_enum));
    case BTF_KIND_ENUM64:
        return (int64_t)(vlen * sizeof(struct btf_enum64));
    case BTF_KIND_ARRAY:
        return sizeof(struct btf_array);
    case BTF_KIND_STRUCT:
    case BTF_KIND_UNION:
        return (int64_t)(vlen * sizeof(struct btf_member));
    case BTF_KIND_FUNC_PROTO:
        return (int64_t)(vlen * sizeof(struct btf_param));
    case BTF_KIND_DATASEC:
        return (int64_t)(vlen * sizeof(struct btf_var_secinfo));
    }
    return -1;
}

static enum xvmi_status check_types(const uint8_t *data, uint32_t size, struct xvmi_error *err)
{
    for (uint32_t at = 0, id = 1; at < size; id++) {
        struct btf_type type;
        if (size - at < sizeof(type))
            return xvmi_error_set(err, XVMI_ERR_FORMAT, "BTF: type %u is cut off", id);
        memcpy(&type, data + at, sizeof(type));
        int64_t tail = tail_size(&type);
        if (tail < 0)
            return xvmi_error_set(err, XVMI_ERR_UNSUPPORTED, "BTF: type %u is of unknown kind %u",
                                  id, btf_kind(&type));
        if (tail > (int64_t)(size - at - sizeof(type)))
            return xvmi_error_set(err, XVMI_ERR_FORMAT, "BTF: type %u is cut off", id);
        at += (uint32_t)sizeof(type) + (uint32_t)tail;
    }
    return XVMI_OK;
}

/* `extends`: its strings go on where those of another blob end. */
static enum xvmi_status check_blob(const uint8_t *data, size_t size, bool extends,
                                   struct xvmi_error *err)
{
    struct btf_header h;
    if (size < sizeof(h) || size > UINT32_MAX)
        return xvmi_error_set(err, XVMI_ERR_FORMAT, "BTF: %zu bytes cannot be one", size);
    memcpy(&h, data, sizeof(h));
    if (h.magic != BTF_MAGIC)
        return xvmi_error_set(err, XVMI_ERR_FORMAT, "BTF: wrong magic %#x", h.magic);
    if (h.version != BTF_VERSION || h.hdr_len < sizeof(h) || h.hdr_len > size)
        return xvmi_error_set(err, XVMI_ERR_UNSUPPORTED, "BTF: version %u, header of %u bytes",
                              h.version, h.hdr_len);
    uint32_t room = (uint32_t)size - h.hdr_len;
    if (h.type_off > room || h.type_len > room - h.type_off || h.str_off > room ||
        h.str_len > room - h.str_off || h.type_off % 4 || h.hdr_len % 4 ||
        h.type_off + h.type_len > h.str_off)
        return xvmi_error_set(err, XVMI_ERR_FORMAT, "BTF: sections lie outside of %zu bytes", size);
    const uint8_t *strings = data + h.hdr_len + h.str_off;
    if (!h.str_len || (strings[0] && !extends) || strings[h.str_len - 1])
        return xvmi_error_set(err, XVMI_ERR_FORMAT, "BTF: strings do not begin and end with NUL");
    return check_types(data + h.hdr_len + h.type_off, h.type_len, err);
}

static enum xvmi_status bad_type(struct xvmi_error *err, uint64_t id)
{
    return xvmi_error_set(err, XVMI_ERR_FORMAT, "BTF: type %llu is missing or circular",
                          (unsigned long long)id);
}

/* Follow typedefs and qualifiers; NULL: no such type, or a circle. */
static const struct btf_type *strip(const struct btf *btf, uint32_t *id)
{
    for (int i = 0; i < CHAIN_MAX; i++) {
        const struct btf_type *t = btf__type_by_id(btf, *id);
        if (!t)
            return NULL;
        switch (btf_kind(t)) {
        case BTF_KIND_TYPEDEF:
        case BTF_KIND_CONST:
        case BTF_KIND_VOLATILE:
        case BTF_KIND_RESTRICT:
        case BTF_KIND_TYPE_TAG:
            *id = t->type;
            continue;
        default:
            return t;
        }
    }
    return NULL;
}

static bool has_size(const struct btf_type *t)
{
    switch (btf_kind(t)) {
    case BTF_KIND_INT:
    case BTF_KIND_FLOAT:
    case BTF_KIND_ENUM:
    case BTF_KIND_ENUM64:
    case BTF_KIND_STRUCT:
    case BTF_KIND_UNION:
        return true;
    default:
        return false;
    }
}

static enum xvmi_status btf_shape(struct xt_source *base, uint64_t type, struct xt_shape *shape,
                                  struct xvmi_error *err)
{
    const struct btf_source *source = (const struct btf_source *)base;
    uint32_t id = (uint32_t)type;
    uint64_t count = 1;
    const struct btf_type *t = strip(source->btf, &id);
    bool is_array = t && btf_is_array(t);
    for (int i = 0; t && btf_is_array(t); i++) {
        const struct btf_array *array = btf_array(t);
        if (i == CHAIN_MAX || __builtin_mul_overflow(count, array->nelems, &count))
            return bad_type(err, type);
        id = array->type;
        t = strip(source->btf, &id);
    }
    if (!t)
        return bad_type(err, type);
    uint64_t size = has_size(t) ? t->size : btf_is_ptr(t) ? 8 : 0;
    *shape = (struct xt_shape){.is_struct = btf_is_composite(t) && !is_array,
                               .type = id,
                               .count = count,
                               .bits = btf_is_int(t) && !is_array ? btf_int_bits(t) : 0,
                               .bits_at = btf_is_int(t) ? btf_int_offset(t) : 0};
    if (__builtin_mul_overflow(size, count, &shape->size))
        return bad_type(err, type);
    return XVMI_OK;
}

static enum xvmi_status btf_add_members(struct xt_source *base, uint64_t type,
                                        struct xt_fields *fields, struct xvmi_error *err)
{
    const struct btf_source *source = (const struct btf_source *)base;
    const struct btf_type *t = btf__type_by_id(source->btf, (uint32_t)type);
    if (!t || !btf_is_composite(t))
        return bad_type(err, type);
    const struct btf_member *m = btf_members(t);
    for (uint32_t i = 0; i < btf_vlen(t); i++) {
        const char *name = btf__name_by_offset(source->btf, m[i].name_off);
        if (!name)
            return xvmi_error_set(err, XVMI_ERR_FORMAT,
                                  "BTF: type %llu: name of member %u lies "
                                  "outside of the strings",
                                  (unsigned long long)type, i);
        struct xt_field field = {.name = name,
                                 .type = m[i].type,
                                 .bit_offset = btf_member_bit_offset(t, i),
                                 .bit_size = btf_member_bitfield_size(t, i)};
        if (!xb_vec_push(fields, field))
            return xvmi_error_set(err, XVMI_ERR_NO_MEMORY, "no memory for the members of a struct");
    }
    return XVMI_OK;
}

static void add_enumerators(struct xt_builder *b, const struct btf *btf, const struct btf_type *t)
{
    for (uint32_t i = 0; i < btf_vlen(t); i++) {
        bool is_64 = btf_is_enum64(t);
        /* 32-bit values are taken as signed: before Linux 6.0 BTF did not say which they are. */
        int64_t value = is_64 ? (int64_t)btf_enum64_value(&btf_enum64(t)[i]) : btf_enum(t)[i].val;
        const char *name =
            btf__name_by_offset(btf, is_64 ? btf_enum64(t)[i].name_off : btf_enum(t)[i].name_off);
        if (name)
            xt_builder_add_enumerator(b, name, strlen(name), value);
    }
}

static enum xvmi_status scan(struct xt_builder *b, struct btf_source *source,
                             struct xvmi_error *err)
{
    uint32_t n = btf__type_cnt(source->btf);
    for (uint32_t id = 1; id < n; id++) {
        const struct btf_type *t = btf__type_by_id(source->btf, id);
        if (btf_is_any_enum(t)) {
            if (b->enums_open)
                add_enumerators(b, source->btf, t);
            continue;
        }
        const char *name =
            btf_is_composite(t) ? btf__name_by_offset(source->btf, t->name_off) : NULL;
        struct xt_wanted_type *type =
            name && name[0] ? xt_builder_type(b, name, strlen(name)) : NULL;
        enum xvmi_status status = type ? xt_resolve(b, type, &source->base, id, err) : XVMI_OK;
        if (status)
            return xvmi_error_frame(err, status, "BTF: type %u", id);
    }
    return XVMI_OK;
}

enum xvmi_status xt_builder_add_btf(struct xt_builder *builder, const void *data, size_t size,
                                    struct xvmi_error *err)
{
    enum xvmi_status status = check_blob(data, size, false, err);
    if (status)
        return status;
    xb_cleanup(free_btf) struct btf *btf = btf__new(data, (uint32_t)size);
    if (!btf)
        return errno == ENOMEM ? xvmi_error_set(err, XVMI_ERR_NO_MEMORY, "no memory for BTF")
                               : xvmi_error_set(err, XVMI_ERR_FORMAT, "BTF: libbpf cannot read it");
    struct btf_source source = {
        .base = {.shape = btf_shape, .members = btf_add_members, .budget = XT_FIELD_BUDGET},
        .btf = btf};
    status = scan(builder, &source, err);
    if (!status)
        builder->source = XVMI_SOURCE_BTF;
    return status;
}

static uint8_t *put(uint8_t *to, const void *data, size_t len)
{
    memcpy(to, data, len);
    return to + len;
}

/* Numbers of types and offsets of strings go on from those of the kernel's BTF, so one behind the
 * other they are one. */
enum xvmi_status xt_builder_add_module_btf(struct xt_builder *builder, const void *base,
                                           size_t base_size, const void *module, size_t module_size,
                                           struct xvmi_error *err)
{
    struct btf_header a, b, joined;
    enum xvmi_status status = check_blob(base, base_size, false, err);
    if (!status)
        status = check_blob(module, module_size, true, err);
    if (status)
        return status;
    memcpy(&a, base, sizeof(a));
    memcpy(&b, module, sizeof(b));
    const uint64_t types = (uint64_t)a.type_len + b.type_len,
                   strings = (uint64_t)a.str_len + b.str_len;
    const uint64_t size = sizeof(joined) + types + strings;
    if (size > UINT32_MAX)
        return xvmi_error_set(err, XVMI_ERR_FORMAT, "BTF: %llu bytes cannot be one",
                              (unsigned long long)size);
    xb_auto_free uint8_t *data = malloc(size);
    if (!data)
        return xvmi_error_set(err, XVMI_ERR_NO_MEMORY, "no memory for BTF");
    joined = (struct btf_header){.magic = BTF_MAGIC,
                                 .version = BTF_VERSION,
                                 .hdr_len = sizeof(joined),
                                 .type_len = (uint32_t)types,
                                 .str_off = (uint32_t)types,
                                 .str_len = (uint32_t)strings};
    const uint8_t *in_base = (const uint8_t *)base + a.hdr_len;
    const uint8_t *in_module = (const uint8_t *)module + b.hdr_len;
    uint8_t *to = put(data, &joined, sizeof(joined));
    to = put(to, in_base + a.type_off, a.type_len);
    to = put(to, in_module + b.type_off, b.type_len);
    to = put(to, in_base + a.str_off, a.str_len);
    put(to, in_module + b.str_off, b.str_len);
    return xt_builder_add_btf(builder, data, size, err);
}
