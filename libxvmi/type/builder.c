// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/vec.h"
#include "type/build.h"
#include "type/profile.h"

static_assert((int)XT_SIZE == XVMI_PROFILE_SIZE && (int)XT_MEMBER == XVMI_PROFILE_MEMBER &&
                  (int)XT_ENUM == XVMI_PROFILE_ENUMERATOR && (int)XT_SYMBOL == XVMI_PROFILE_SYMBOL,
              "wants and entries share their kinds");

static bool is_type(const struct xt_want *want)
{
    return want->kind == XT_SIZE || want->kind == XT_MEMBER;
}

static bool valid_want(const struct xt_want *want)
{
    if (!want->type || !want->name)
        return false;
    bool has_name = want->name[0] && want->name[0] != '|';
    switch (want->kind) {
    case XT_SIZE:
        return want->type[0] && !want->name[0];
    case XT_MEMBER:
        return want->type[0] && has_name;
    case XT_ENUM:
    case XT_SYMBOL:
        return !want->type[0] && has_name;
    }
    return false;
}

static bool index_type(struct xt_builder *b, uint32_t want)
{
    const char *name = b->wants[want].type;
    struct xt_name *slot = xt_names_slot(&b->type_names, name, strlen(name));
    if (!slot->len) {
        struct xt_wanted_type type = {.name = name, .first = XT_NONE};
        if (!xb_vec_push(&b->types, type))
            return false;
        *slot = (struct xt_name){name, strlen(name), (uint32_t)b->types.n - 1};
    }
    struct xt_wanted_type *type = &b->types.v[slot->value];
    b->results[want].next = type->first;
    type->first = want;
    type->required += !b->wants[want].optional;
    return true;
}

static bool index_spellings(struct xt_builder *b, struct xt_names *names, uint32_t want)
{
    const char *text = b->wants[want].name;
    for (uint32_t rank = 0;; rank++) {
        size_t len = strcspn(text, "|");
        if (len) {
            struct xt_name *slot = xt_names_slot(names, text, len);
            struct xt_spelling spelling = {want, rank, slot->len ? slot->value : XT_NONE};
            if (!xb_vec_push(&b->spellings, spelling))
                return false;
            *slot = (struct xt_name){text, len, (uint32_t)b->spellings.n - 1};
        }
        if (!text[len])
            return true;
        text += len + 1;
    }
}

static size_t count_spellings(const struct xt_want *wants, size_t n)
{
    size_t count = n;
    for (size_t i = 0; i < n; i++)
        for (const char *s = strchr(wants[i].name, '|'); s; s = strchr(s + 1, '|'))
            count++;
    return count;
}

static bool index_wants(struct xt_builder *b)
{
    b->results = calloc(b->n + 1, sizeof(*b->results));
    b->trial = calloc(b->n + 1, sizeof(*b->trial));
    size_t spellings = count_spellings(b->wants, b->n);
    if (!b->results || !b->trial || !xt_names_init(&b->type_names, b->n) ||
        !xt_names_init(&b->enum_names, spellings) || !xt_names_init(&b->symbol_names, spellings))
        return false;
    for (uint32_t i = 0; i < b->n; i++) {
        const struct xt_want *want = &b->wants[i];
        b->results[i].rank = XT_NONE;
        b->enums_open += want->kind == XT_ENUM;
        bool ok =
            is_type(want)
                ? index_type(b, i)
                : index_spellings(b, want->kind == XT_ENUM ? &b->enum_names : &b->symbol_names, i);
        if (!ok)
            return false;
    }
    return true;
}

enum xvmi_status xt_builder_new(const struct xt_want *wants, size_t n, struct xt_builder **out,
                                struct xvmi_error *err)
{
    if (n > XT_ENTRIES_MAX)
        return xvmi_error_set(err, XVMI_ERR_LIMIT, "%zu wants are too many", n);
    for (size_t i = 0; i < n; i++)
        if (!valid_want(&wants[i]))
            return xvmi_error_set(err, XVMI_ERR_INVALID, "want %zu makes no sense", i);
    struct xt_builder *b = calloc(1, sizeof(*b));
    if (b) {
        b->wants = wants;
        b->n = n;
    }
    if (!b || !index_wants(b)) {
        xt_builder_free(b);
        return xvmi_error_set(err, XVMI_ERR_NO_MEMORY, "no memory for a profile");
    }
    *out = b;
    return XVMI_OK;
}

void xt_builder_free(struct xt_builder *builder)
{
    if (!builder)
        return;
    xt_names_fini(&builder->type_names);
    xt_names_fini(&builder->enum_names);
    xt_names_fini(&builder->symbol_names);
    free(builder->types.v);
    free(builder->spellings.v);
    free(builder->results);
    free(builder->trial);
    free(builder);
}

/* The first of a name counts, and an earlier spelling more than a later one. `handicap` ranks what
 * goes by a name only nearly behind all that have it. */
static void add_value(struct xt_builder *b, const struct xt_names *names, const char *name,
                      size_t len, uint32_t handicap, uint64_t value)
{
    if (!len)
        return;
    const struct xt_name *hit = xt_names_find(names, name, len);
    for (uint32_t i = hit ? hit->value : XT_NONE; i != XT_NONE; i = b->spellings.v[i].next) {
        const struct xt_spelling *spelling = &b->spellings.v[i];
        struct xt_result *result = &b->results[spelling->want];
        uint32_t rank = spelling->rank + handicap;
        if (rank < result->rank) {
            b->enums_open -= b->wants[spelling->want].kind == XT_ENUM && rank == 0;
            result->rank = rank;
            result->value = value;
        }
    }
}

/* Compilers number the static variables of functions: "secret.17". The length without that. */
static size_t without_number(const char *name, size_t len)
{
    size_t end = len;
    while (end > 0 && name[end - 1] >= '0' && name[end - 1] <= '9')
        end--;
    return end > 1 && end < len && name[end - 1] == '.' ? end - 1 : len;
}

void xt_builder_add_symbol(struct xt_builder *builder, const char *name, size_t len, uint64_t addr)
{
    size_t bare = without_number(name, len);
    if (bare == len)
        add_value(builder, &builder->symbol_names, name, len, 0, addr);
    else
        add_value(builder, &builder->symbol_names, name, bare, XT_NUMBERED, addr);
}

void xt_builder_add_enumerator(struct xt_builder *builder, const char *name, size_t len,
                               int64_t value)
{
    add_value(builder, &builder->enum_names, name, len, 0, (uint64_t)value);
}

void xt_builder_set_identity(struct xt_builder *builder, const void *build_id, size_t len,
                             const char *release)
{
    if (build_id && len && len <= XVMI_BUILD_ID_MAX) {
        memcpy(builder->build_id, build_id, len);
        builder->build_id_len = len;
    }
    if (release)
        snprintf(builder->release, sizeof(builder->release), "%s", release);
}

bool xt_builder_has_types(const struct xt_builder *builder)
{
    for (size_t i = 0; i < builder->types.n; i++)
        if (!builder->types.v[i].complete)
            return false;
    for (size_t i = 0; i < builder->n; i++)
        if (builder->wants[i].kind == XT_ENUM && !builder->wants[i].optional &&
            builder->results[i].rank == XT_NONE)
            return false;
    return true;
}

static void name_want(const struct xt_want *want, char *text, size_t size)
{
    const char *lead = is_type(want)           ? "struct "
                       : want->kind == XT_ENUM ? "enumerator "
                                               : "symbol ";
    snprintf(text, size, "%s%s%s%s", lead, want->type, want->kind == XT_MEMBER ? "." : "",
             want->name);
}

static enum xvmi_status check_required(const struct xt_builder *b, struct xvmi_error *err)
{
    char names[400] = "", one[160];
    size_t missing = 0, used = 0;
    for (size_t i = 0; i < b->n; i++) {
        if (b->wants[i].optional || b->results[i].rank != XT_NONE)
            continue;
        if (missing++ < 4) {
            name_want(&b->wants[i], one, sizeof(one));
            int len = snprintf(names + used, sizeof(names) - used, "%s%s", used ? ", " : "", one);
            used += len > 0 && (size_t)len < sizeof(names) - used ? (size_t)len : 0;
        }
    }
    if (!missing)
        return XVMI_OK;
    return xvmi_error_set(err, XVMI_ERR_NOT_FOUND, "the kernel's profile lacks %s%s", names,
                          missing > 4 ? " and more" : "");
}

struct pool {
    char *at;
};

static const char *keep(struct pool *pool, const char *text, size_t len)
{
    char *copy = pool->at;
    memcpy(copy, text, len);
    copy[len] = 0;
    pool->at += len + 1;
    return copy;
}

static void fill_entries(const struct xt_builder *b, struct xvmi_profile *profile)
{
    struct pool pool = {profile->strings};
    for (size_t i = 0; i < b->n; i++) {
        const struct xt_want *want = &b->wants[i];
        const struct xt_result *result = &b->results[i];
        struct xvmi_profile_entry *entry = &profile->entries[i];
        entry->kind = (enum xvmi_profile_kind)want->kind;
        entry->type = keep(&pool, want->type, strlen(want->type));
        entry->name = keep(&pool, want->name, strcspn(want->name, "|"));
        entry->spellings = keep(&pool, want->name, strlen(want->name));
        entry->present = result->rank != XT_NONE;
        if (entry->present) {
            entry->member = result->member;
            entry->value = result->value;
        }
    }
}

/* The same thing wanted twice is one entry. */
static enum xvmi_status sort_entries(struct xvmi_profile *profile, struct xvmi_error *err)
{
    struct xvmi_profile_entry *v = profile->entries;
    size_t kept = 0;
    qsort(v, profile->n, sizeof(*v), xt_entry_compare);
    for (size_t i = 0; i < profile->n; i++) {
        if (kept && xt_entry_compare(&v[kept - 1], &v[i]) == 0) {
            if (strcmp(v[kept - 1].spellings, v[i].spellings) != 0)
                return xvmi_error_set(err, XVMI_ERR_INVALID,
                                      "%s %s is wanted with two lists of "
                                      "spellings",
                                      v[i].type, v[i].name);
            continue;
        }
        v[kept++] = v[i];
    }
    profile->n = kept;
    return XVMI_OK;
}

static enum xvmi_status fill(const struct xt_builder *b, struct xvmi_profile *profile,
                             struct xvmi_error *err)
{
    size_t strings = 1;
    for (size_t i = 0; i < b->n; i++)
        strings += strlen(b->wants[i].type) + 2 * strlen(b->wants[i].name) + 3;
    profile->n = b->n;
    profile->entries = calloc(b->n + 1, sizeof(*profile->entries));
    profile->strings = calloc(1, strings);
    if (!profile->entries || !profile->strings)
        return xvmi_error_set(err, XVMI_ERR_NO_MEMORY, "no memory for a profile");
    profile->source = b->source;
    profile->build_id_len = b->build_id_len;
    memcpy(profile->build_id, b->build_id, b->build_id_len);
    xt_profile_set_release(profile, b->release);
    fill_entries(b, profile);
    return sort_entries(profile, err);
}

enum xvmi_status xt_builder_finish(struct xt_builder *builder, struct xvmi_profile **out,
                                   struct xvmi_error *err)
{
    enum xvmi_status status = check_required(builder, err);
    if (status)
        return status;
    struct xvmi_profile *profile = xt_profile_new();
    if (!profile)
        return xvmi_error_set(err, XVMI_ERR_NO_MEMORY, "no memory for a profile");
    status = fill(builder, profile, err);
    if (status) {
        xvmi_profile_unref(profile);
        return status;
    }
    *out = profile;
    return XVMI_OK;
}
