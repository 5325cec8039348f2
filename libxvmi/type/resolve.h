/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XT_RESOLVE_H
#define XT_RESOLVE_H

/*
 * Answers what is wanted of one struct definition, the same way for BTF and DWARF: through
 * anonymous structs and unions, along dotted paths, under all spellings.
 */

#include "type/build.h"

/* A member as its struct declares it. `type` is the source's own handle: a BTF id, the offset of a
 * DIE. */
struct xt_field {
    const char *name; /* "" when it has none */
    uint64_t type;
    uint64_t bit_offset; /* from the start of the struct; DWARF and BTF count alike on x86 */
    uint32_t bit_size;   /* 0: not a bit-field */
};

struct xt_fields {
    struct xt_field *v;
    size_t n, cap;
};

/* A type with typedefs and qualifiers taken off. */
struct xt_shape {
    bool is_struct; /* or union; `type` has its members */
    uint64_t type;  /* what was left */
    uint64_t size;  /* bytes; of an array, all elements */
    uint64_t count; /* elements of an array, else 1 */
    uint32_t bits;  /* a base type that uses only some of its bits says which (old BTF) */
    uint32_t bits_at;
};

struct xt_source {
    enum xvmi_status (*shape)(struct xt_source *source, uint64_t type, struct xt_shape *shape,
                              struct xvmi_error *err);
    /* Append the direct members of a struct. */
    enum xvmi_status (*members)(struct xt_source *source, uint64_t type, struct xt_fields *fields,
                                struct xvmi_error *err);
    uint32_t budget; /* fields that may still be looked at: types can be crafted to explode */
};

/* Some 100 wanted structs of a real kernel need 10,000. */
#define XT_FIELD_BUDGET (1U << 20)

/* Offer a complete definition of `type`; the one that answers most of its wants is kept, the first
 * of equals. */
XVMI_CHECKED enum xvmi_status xt_resolve(struct xt_builder *builder, struct xt_wanted_type *type,
                                         struct xt_source *source, uint64_t definition,
                                         struct xvmi_error *err);

#endif
