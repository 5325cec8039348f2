/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XT_BUILD_H
#define XT_BUILD_H

/* Between the builder, which knows what is wanted, and the readers of BTF and DWARF, which know
 * where to look. */

#include "type/builder.h"
#include "type/names.h"

#define XT_NONE     UINT32_MAX
#define XT_NUMBERED 0x10000u /* handicap of a symbol that only has a number more than the name */

/* A struct or union of which something is wanted. */
struct xt_wanted_type {
    const char *name;
    uint32_t first;    /* its wants: xt_builder.results[first], then .next */
    uint32_t required; /* how many of them are not optional */
    uint64_t score;    /* of the best definition so far: required answers, then all */
    bool complete;     /* a definition was seen that has everything required */
};

struct xt_result {
    uint32_t next; /* next want of the same type */
    uint32_t rank; /* of the spelling that was found; XT_NONE: not found */
    struct xvmi_member member;
    uint64_t value;
};

/* One spelling of a wanted enumerator or symbol. */
struct xt_spelling {
    uint32_t want;
    uint32_t rank;
    uint32_t next; /* another want with the same spelling */
};

struct xt_builder {
    const struct xt_want *wants;
    size_t n;
    struct xt_result *results; /* [n] */
    struct xt_result *trial;   /* [n] answers of the definition being looked at */
    struct {
        struct xt_wanted_type *v;
        size_t n, cap;
    } types;
    struct {
        struct xt_spelling *v;
        size_t n, cap;
    } spellings;
    struct xt_names type_names; /* value: index into types */
    struct xt_names enum_names; /* value: index into spellings */
    struct xt_names symbol_names;
    uint32_t enums_open; /* wanted enumerators not found yet under their first spelling */
    enum xvmi_profile_source source;
    uint8_t build_id[XVMI_BUILD_ID_MAX];
    size_t build_id_len;
    char release[XVMI_RELEASE_MAX + 1];
};

/* Which wanted type has that tag; NULL: none. */
static inline struct xt_wanted_type *xt_builder_type(const struct xt_builder *builder,
                                                     const char *name, size_t len)
{
    const struct xt_name *hit = xt_names_find(&builder->type_names, name, len);
    return hit ? &builder->types.v[hit->value] : NULL;
}

void xt_builder_add_enumerator(struct xt_builder *builder, const char *name, size_t len,
                               int64_t value);

/* Every type was seen with all that is required, and every required enumerator. */
bool xt_builder_has_types(const struct xt_builder *builder);

#endif
