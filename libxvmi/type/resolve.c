// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/vec.h"
#include "type/resolve.h"

/* task_struct nests three deep. */
#define DEPTH_MAX 12

static void free_fields(struct xt_fields *fields)
{
    free(fields->v);
}

/*
 * The members of a struct as a C programmer sees them: those of anonymous structs and unions count
 * as its own. The list grows while we go over it: an anonymous member is followed by its own.
 */
static enum xvmi_status flatten(struct xt_source *source, uint64_t type, uint64_t base,
                                unsigned int depth, struct xt_fields *out, struct xvmi_error *err)
{
    if (depth > DEPTH_MAX)
        return xvmi_error_set(err, XVMI_ERR_LIMIT, "anonymous members nest deeper than %d",
                              DEPTH_MAX);
    size_t begin = out->n;
    enum xvmi_status status = source->members(source, type, out, err);
    size_t end = out->n;
    if (status)
        return status;
    if (end - begin >= source->budget)
        return xvmi_error_set(err, XVMI_ERR_LIMIT, "more members than any kernel has");
    source->budget -= (uint32_t)(end - begin) + 1;
    for (size_t i = begin; i < end; i++) {
        struct xt_field *field = &out->v[i];
        if (__builtin_add_overflow(field->bit_offset, base, &field->bit_offset))
            return xvmi_error_set(err, XVMI_ERR_FORMAT, "member offset overflows");
        /* A nameless bit-field is padding. */
        if (field->name[0] || field->bit_size)
            continue;
        uint64_t offset = field->bit_offset;
        struct xt_shape shape;
        status = source->shape(source, field->type, &shape, err);
        if (!status && shape.is_struct)
            status = flatten(source, shape.type, offset, depth + 1, out, err);
        if (status)
            return status;
    }
    return XVMI_OK;
}

static const struct xt_field *find_field(const struct xt_fields *fields, const char *name,
                                         size_t len)
{
    for (size_t i = 0; i < fields->n; i++)
        if (strncmp(fields->v[i].name, name, len) == 0 && fields->v[i].name[len] == 0)
            return &fields->v[i];
    return NULL;
}

/*
 * The smallest load that holds the whole bit-field, aligned to its size: such a load lies inside
 * the storage unit of the declared type, hence inside the struct.
 */
static bool place_bits(uint64_t bit, uint32_t bits, struct xvmi_member *m)
{
    for (uint32_t size = 1; size <= 8; size *= 2) {
        uint64_t offset = bit / 8 / size * size;
        if (bit - offset * 8 + bits > size * 8)
            continue;
        if (offset > UINT32_MAX - size)
            return false;
        *m = (struct xvmi_member){.offset = (uint32_t)offset,
                                  .size = size,
                                  .count = 1,
                                  .bit_offset = (uint8_t)(bit - offset * 8),
                                  .bit_size = (uint8_t)bits};
        return true;
    }
    return false;
}

static bool place(const struct xt_field *field, const struct xt_shape *shape, struct xvmi_member *m)
{
    if (field->bit_size)
        return place_bits(field->bit_offset, field->bit_size, m);
    if (shape->bits && shape->bits != shape->size * 8)
        return place_bits(field->bit_offset + shape->bits_at, shape->bits, m);
    uint64_t offset = field->bit_offset / 8;
    if (field->bit_offset % 8 || offset > UINT32_MAX || shape->size > UINT32_MAX - offset ||
        shape->count > UINT32_MAX)
        return false;
    if (shape->count && shape->size % shape->count)
        return false;
    *m = (struct xvmi_member){.offset = (uint32_t)offset,
                              .size = (uint32_t)shape->size,
                              .count = shape->size ? (uint32_t)shape->count : 0};
    /* An empty struct is there, though it takes no room. */
    if (!shape->size && shape->is_struct)
        m->count = 1;
    return true;
}

/* One dotted path from the flattened members of the outer struct. */
static enum xvmi_status find_path(struct xt_source *source, const struct xt_fields *outer,
                                  const char *path, size_t len, bool *found, struct xvmi_member *m,
                                  struct xvmi_error *err)
{
    xb_cleanup(free_fields) struct xt_fields inner = {0};
    const struct xt_fields *fields = outer;
    for (const char *end = path + len;;) {
        const char *dot = memchr(path, '.', (size_t)(end - path));
        const struct xt_field *field = find_field(fields, path, (size_t)((dot ? dot : end) - path));
        *found = field;
        if (!field)
            return XVMI_OK;
        struct xt_shape shape;
        enum xvmi_status status = source->shape(source, field->type, &shape, err);
        if (status)
            return status;
        if (!dot)
            return place(field, &shape, m)
                       ? XVMI_OK
                       : xvmi_error_set(err, XVMI_ERR_FORMAT, "offset or size makes no sense");
        *found = shape.is_struct && !field->bit_size;
        if (!*found)
            return XVMI_OK;
        uint64_t base = field->bit_offset;
        inner.n = 0;
        status = flatten(source, shape.type, base, 0, &inner, err);
        if (status)
            return status;
        fields = &inner;
        path = dot + 1;
    }
}

static enum xvmi_status find_spelling(struct xt_source *source, const struct xt_fields *fields,
                                      const char *spellings, struct xt_result *result,
                                      struct xvmi_error *err)
{
    result->rank = XT_NONE;
    for (uint32_t rank = 0;; rank++) {
        size_t len = strcspn(spellings, "|");
        bool found = false;
        enum xvmi_status status =
            find_path(source, fields, spellings, len, &found, &result->member, err);
        if (status)
            return xvmi_error_frame(err, status, "%.*s", (int)len, spellings);
        if (found)
            result->rank = rank;
        if (found || !spellings[len])
            return XVMI_OK;
        spellings += len + 1;
    }
}

static enum xvmi_status try_want(struct xt_source *source, const struct xt_want *want,
                                 const struct xt_shape *shape, const struct xt_fields *fields,
                                 struct xt_result *result, struct xvmi_error *err)
{
    *result = (struct xt_result){.next = result->next};
    if (want->kind == XT_SIZE) {
        result->value = shape->size;
        return XVMI_OK;
    }
    enum xvmi_status status = find_spelling(source, fields, want->name, result, err);
    const struct xvmi_member *m = &result->member;
    if (!status && result->rank != XT_NONE && (uint64_t)m->offset + m->size > shape->size)
        return xvmi_error_set(err, XVMI_ERR_FORMAT, "%s lies outside of its struct", want->name);
    return status;
}

struct score {
    uint32_t required, total;
};

static enum xvmi_status try_definition(struct xt_builder *b, const struct xt_wanted_type *type,
                                       struct xt_source *source, uint64_t definition,
                                       struct score *score, struct xvmi_error *err)
{
    struct xt_shape shape;
    enum xvmi_status status = source->shape(source, definition, &shape, err);
    if (!status && (!shape.is_struct || shape.size > UINT32_MAX))
        return xvmi_error_set(err, XVMI_ERR_FORMAT, "not a struct of sensible size");
    xb_cleanup(free_fields) struct xt_fields fields = {0};
    if (!status)
        status = flatten(source, shape.type, 0, 0, &fields, err);
    for (uint32_t i = type->first; i != XT_NONE && !status; i = b->results[i].next) {
        b->trial[i].next = b->results[i].next;
        status = try_want(source, &b->wants[i], &shape, &fields, &b->trial[i], err);
        if (!status && b->trial[i].rank != XT_NONE) {
            score->total++;
            score->required += !b->wants[i].optional;
        }
    }
    return status;
}

enum xvmi_status xt_resolve(struct xt_builder *builder, struct xt_wanted_type *type,
                            struct xt_source *source, uint64_t definition, struct xvmi_error *err)
{
    struct score score = {0};
    enum xvmi_status status = try_definition(builder, type, source, definition, &score, err);
    if (status)
        return xvmi_error_frame(err, status, "struct %s", type->name);
    type->complete |= score.required == type->required;
    uint64_t rank = (uint64_t)score.required << 32 | score.total;
    if (rank <= type->score)
        return XVMI_OK;
    type->score = rank;
    for (uint32_t i = type->first; i != XT_NONE; i = builder->results[i].next)
        builder->results[i] = builder->trial[i];
    return XVMI_OK;
}
