// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <inttypes.h>
#include <string.h>

#include "os/linux/guest.h"

/* walk/linux.def, row by row: what type/ is asked for, and where in struct xw_layout or
 * struct xw_symbols the answer goes. */
#define XW_SIZE(id, type)             {XT_SIZE, false, #type, ""},
#define XW_OPT_SIZE(id, type)         {XT_SIZE, true, #type, ""},
#define XW_MEMBER(id, type, path)     {XT_MEMBER, false, #type, path},
#define XW_OPT_MEMBER(id, type, path) {XT_MEMBER, true, #type, path},
#define XW_SYMBOL(id, name)           {XT_SYMBOL, false, "", name},
#define XW_OPT_SYMBOL(id, name)       {XT_SYMBOL, true, "", name},
static const struct xt_want wants[] = {
#include "walk/linux.def"
};
#undef XW_SIZE
#undef XW_OPT_SIZE
#undef XW_MEMBER
#undef XW_OPT_MEMBER
#undef XW_SYMBOL
#undef XW_OPT_SYMBOL

#define XW_SIZE(id, type)             offsetof(struct xw_layout, size_##id),
#define XW_OPT_SIZE(id, type)         offsetof(struct xw_layout, size_##id),
#define XW_MEMBER(id, type, path)     offsetof(struct xw_layout, id),
#define XW_OPT_MEMBER(id, type, path) offsetof(struct xw_layout, id),
#define XW_SYMBOL(id, name)           offsetof(struct xw_symbols, id),
#define XW_OPT_SYMBOL(id, name)       offsetof(struct xw_symbols, id),
static const size_t targets[] = {
#include "walk/linux.def"
};
#undef XW_SIZE
#undef XW_OPT_SIZE
#undef XW_MEMBER
#undef XW_OPT_MEMBER
#undef XW_SYMBOL
#undef XW_OPT_SYMBOL

/* Names of enum xw_id. */
#define XW_SIZE(id, type)
#define XW_OPT_SIZE(id, type)
#define XW_MEMBER(id, type, path)     #type "." path,
#define XW_OPT_MEMBER(id, type, path) #type "." path,
#define XW_SYMBOL(id, name)
#define XW_OPT_SYMBOL(id, name)
static const char *const field_names[] = {
#include "walk/linux.def"
};
#undef XW_SIZE
#undef XW_OPT_SIZE
#undef XW_MEMBER
#undef XW_OPT_MEMBER
#undef XW_SYMBOL
#undef XW_OPT_SYMBOL

#define COUNT(array)    (sizeof(array) / sizeof((array)[0]))
#define KERNEL_IMAGE    0xffffffff80000000 /* __START_KERNEL_map */
#define MAX_MEMBER_SIZE UINT16_MAX

const struct xt_want *xl_wants(size_t *n)
{
    *n = COUNT(wants);
    return wants;
}

/* A profile goes by the first of several spellings. */
static const char *first_spelling(const char *spellings, char *buf, size_t size)
{
    size_t len = strcspn(spellings, "|");
    if (len >= size)
        len = size - 1;
    memcpy(buf, spellings, len);
    buf[len] = 0;
    return buf;
}

static enum xvmi_status fill_size(const struct xvmi_profile *profile, const struct xt_want *want,
                                  uint32_t *target)
{
    return xvmi_profile_struct_size(profile, want->type, target);
}

static enum xvmi_status fill_member(const struct xvmi_profile *profile, const struct xt_want *want,
                                    struct xw_field *target)
{
    char name[128];
    struct xvmi_member m;
    enum xvmi_status status = xvmi_profile_member(
        profile, want->type, first_spelling(want->name, name, sizeof(name)), &m);
    if (status)
        return status;
    if (m.size > MAX_MEMBER_SIZE)
        m.size =
            MAX_MEMBER_SIZE; /* struct ipv4 of struct net and the like: only its place counts */
    target->off = m.offset;
    target->size = m.size ? (uint16_t)m.size : 1; /* a flexible array is there, too */
    target->shift = m.bit_offset;
    target->bits = m.bit_size;
    return XVMI_OK;
}

static enum xvmi_status fill_symbol(const struct xvmi_profile *profile, const struct xt_want *want,
                                    uint64_t kaslr_offset, uint64_t *target)
{
    char name[128];
    uint64_t addr;
    enum xvmi_status status =
        xvmi_profile_symbol(profile, first_spelling(want->name, name, sizeof(name)), &addr);
    if (status)
        return status;
    *target = addr >= KERNEL_IMAGE ? addr + kaslr_offset : addr; /* else a per-CPU offset */
    return XVMI_OK;
}

enum xvmi_status xl_layout_fill(const struct xvmi_profile *profile, uint64_t kaslr_offset,
                                struct xw_layout *lay, struct xw_symbols *sym,
                                struct xvmi_error *err)
{
    memset(lay, 0, sizeof(*lay));
    memset(sym, 0, sizeof(*sym));
    for (size_t i = 0; i < COUNT(wants); i++) {
        const struct xt_want *want = &wants[i];
        char *in_layout = (char *)lay + targets[i];
        enum xvmi_status status;
        if (want->kind == XT_SIZE)
            status = fill_size(profile, want, (uint32_t *)in_layout);
        else if (want->kind == XT_MEMBER)
            status = fill_member(profile, want, (struct xw_field *)in_layout);
        else
            status =
                fill_symbol(profile, want, kaslr_offset, (uint64_t *)((char *)sym + targets[i]));
        if (status && !want->optional)
            return xvmi_error_set(err, XVMI_ERR_MISMATCH, "the profile lacks %s%s%s, make it anew",
                                  want->type, *want->type && *want->name ? "." : "", want->name);
    }
    /* Divisors and strides: a profile file could say anything. */
    if (!lay->size_task || !lay->size_upid || !lay->size_ehash_bucket || !lay->size_lhash_bucket ||
        !lay->size_udp_slot)
        return xvmi_error_set(err, XVMI_ERR_MISMATCH, "the profile has a struct of size 0");
    return XVMI_OK;
}

enum xvmi_status xl_fault(const struct xl_guest *g, const struct xw_fault *fault)
{
    const char *field = fault->field < COUNT(field_names) ? field_names[fault->field] : "?";
    enum xvmi_status status;
    if (fault->status == XW_ABSENT)
        status = xvmi_error_set(g->err, XVMI_ERR_UNSUPPORTED, "this kernel has no such member");
    else if (fault->status == XW_BAD_VALUE)
        status = xvmi_error_set(g->err, XVMI_ERR_FORMAT, "impossible value");
    else
        status = xo_fault(g->space, g->err);
    return xvmi_error_frame(g->err, status, "%s of 0x%" PRIx64, field, fault->base);
}
