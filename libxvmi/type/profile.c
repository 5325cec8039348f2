// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <stdlib.h>
#include <string.h>

#include "type/profile.h"

struct xvmi_profile *xt_profile_new(void)
{
    struct xvmi_profile *profile = calloc(1, sizeof(*profile));
    if (profile)
        atomic_init(&profile->refs, 1);
    return profile;
}

struct xvmi_profile *xvmi_profile_ref(struct xvmi_profile *profile)
{
    atomic_fetch_add_explicit(&profile->refs, 1, memory_order_relaxed);
    return profile;
}

void xvmi_profile_unref(struct xvmi_profile *profile)
{
    /* Acquire and release: whoever frees sees what the others did before they let go. */
    if (!profile || atomic_fetch_sub_explicit(&profile->refs, 1, memory_order_acq_rel) != 1)
        return;
    free(profile->entries);
    free(profile->strings);
    free(profile);
}

int xt_entry_compare(const void *a, const void *b)
{
    const struct xvmi_profile_entry *x = a, *y = b;
    if (x->kind != y->kind)
        return x->kind < y->kind ? -1 : 1;
    int order = strcmp(x->type, y->type);
    return order ? order : strcmp(x->name, y->name);
}

static const struct xvmi_profile_entry *find(const struct xvmi_profile *profile,
                                             enum xvmi_profile_kind kind, const char *type,
                                             const char *name)
{
    struct xvmi_profile_entry key = {.kind = kind, .type = type, .name = name};
    return profile->n ? bsearch(&key, profile->entries, profile->n, sizeof(key), xt_entry_compare)
                      : NULL;
}

static const struct xvmi_profile_entry *find_present(const struct xvmi_profile *profile,
                                                     enum xvmi_profile_kind kind, const char *type,
                                                     const char *name)
{
    const struct xvmi_profile_entry *entry = find(profile, kind, type, name);
    return entry && entry->present ? entry : NULL;
}

enum xvmi_status xvmi_profile_member(const struct xvmi_profile *profile, const char *type,
                                     const char *name, struct xvmi_member *member)
{
    const struct xvmi_profile_entry *entry = find_present(profile, XVMI_PROFILE_MEMBER, type, name);
    if (!entry)
        return XVMI_ERR_NOT_FOUND;
    *member = entry->member;
    return XVMI_OK;
}

enum xvmi_status xvmi_profile_struct_size(const struct xvmi_profile *profile, const char *type,
                                          uint32_t *size)
{
    const struct xvmi_profile_entry *entry = find_present(profile, XVMI_PROFILE_SIZE, type, "");
    if (!entry)
        return XVMI_ERR_NOT_FOUND;
    *size = (uint32_t)entry->value;
    return XVMI_OK;
}

enum xvmi_status xvmi_profile_enumerator(const struct xvmi_profile *profile, const char *name,
                                         int64_t *value)
{
    const struct xvmi_profile_entry *entry =
        find_present(profile, XVMI_PROFILE_ENUMERATOR, "", name);
    if (!entry)
        return XVMI_ERR_NOT_FOUND;
    *value = (int64_t)entry->value;
    return XVMI_OK;
}

enum xvmi_status xvmi_profile_symbol(const struct xvmi_profile *profile, const char *name,
                                     uint64_t *address)
{
    const struct xvmi_profile_entry *entry = find_present(profile, XVMI_PROFILE_SYMBOL, "", name);
    if (!entry)
        return XVMI_ERR_NOT_FOUND;
    *address = entry->value;
    return XVMI_OK;
}

enum xvmi_profile_source xvmi_profile_source(const struct xvmi_profile *profile)
{
    return profile->source;
}

const char *xvmi_profile_source_text(enum xvmi_profile_source source)
{
    switch (source) {
    case XVMI_SOURCE_DWARF:
        return "dwarf";
    case XVMI_SOURCE_BTF:
        return "btf";
    case XVMI_SOURCE_NONE:
        break;
    }
    return "none";
}

const uint8_t *xvmi_profile_build_id(const struct xvmi_profile *profile, size_t *len)
{
    *len = profile->build_id_len;
    return profile->build_id;
}

const char *xvmi_profile_release(const struct xvmi_profile *profile)
{
    return profile->release;
}

void xt_profile_set_release(struct xvmi_profile *profile, const char *release)
{
    size_t i = 0;
    for (; release[i] && i < XVMI_RELEASE_MAX; i++) {
        unsigned char c = (unsigned char)release[i];
        profile->release[i] = c < 0x20 || c >= 0x7f ? '?' : (char)c;
    }
    profile->release[i] = 0;
}

size_t xvmi_profile_count(const struct xvmi_profile *profile)
{
    return profile->n;
}

enum xvmi_status xvmi_profile_entry(const struct xvmi_profile *profile, size_t index,
                                    struct xvmi_profile_entry *entry)
{
    if (index >= profile->n)
        return XVMI_ERR_NOT_FOUND;
    *entry = profile->entries[index];
    return XVMI_OK;
}

static const struct xvmi_profile_entry *find_want(const struct xvmi_profile *profile,
                                                  const struct xt_want *want)
{
    /* Entries go by the first spelling; the whole list must be the same, or an entry that says
     * "absent" was not looked for under all of its names. */
    char first[128];
    size_t len = strcspn(want->name, "|");
    if (len >= sizeof(first))
        return NULL;
    memcpy(first, want->name, len);
    first[len] = 0;
    const struct xvmi_profile_entry *entry =
        find(profile, (enum xvmi_profile_kind)want->kind, want->type, first);
    return entry && strcmp(entry->spellings, want->name) == 0 ? entry : NULL;
}

enum xvmi_status xt_profile_covers(const struct xvmi_profile *profile, const struct xt_want *wants,
                                   size_t n, struct xvmi_error *err)
{
    for (size_t i = 0; i < n; i++) {
        const struct xt_want *want = &wants[i];
        const struct xvmi_profile_entry *entry = find_want(profile, want);
        const char *dot = want->type[0] && want->name[0] ? "." : "";
        if (!entry)
            return xvmi_error_set(err, XVMI_ERR_MISMATCH,
                                  "the profile was made by another version of libxvmi (it does "
                                  "not know %s%s%s): make it again",
                                  want->type, dot, want->name);
        if (!entry->present && !want->optional)
            return xvmi_error_set(err, XVMI_ERR_MISMATCH, "the profile lacks %s%s%s", want->type,
                                  dot, want->name);
    }
    return XVMI_OK;
}
