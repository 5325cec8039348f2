// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <dwarf.h>
#include <stdlib.h>
#include <string.h>

#include "base/vec.h"
#include "type/dwarf-form.h"

/* Compilers number abbreviations from 1 without gaps; large kernel units have some 300. */
#define CODE_MAX  65535
#define STEPS_MAX (4U << 20)

/* How to get over the attributes of a DIE. Steps below STEP_END skip that many bytes. */
enum step {
    STEP_END = 0x80,
    STEP_DECLARATION, /* a flag in the DIE */
    STEP_SIBLING,     /* followed by the form, as STEP_NAME is */
    STEP_NAME,
    STEP_VARIABLE, /* and above: plus an enum xt_variable */
};

static enum xvmi_status bad_unit(struct xvmi_error *err, size_t at, const char *what)
{
    return xvmi_error_set(err, XVMI_ERR_FORMAT, "DWARF: unit at %#zx: %s", at, what);
}

static enum xvmi_status read_header(const struct xt_dwarf *dwarf, size_t at, struct xt_unit *unit,
                                    struct xvmi_error *err)
{
    struct xt_cursor c = xt_cursor_at(&dwarf->info, at, dwarf->info.n);
    *unit = (struct xt_unit){.at = at, .offset_size = 4, .name = ""};
    uint64_t length = xt_get_fixed(&c, 4);
    if (length == 0xffffffff) {
        unit->offset_size = 8;
        length = xt_get_fixed(&c, 8);
    }
    if (c.bad || length > (uint64_t)(c.end - c.p))
        return bad_unit(err, at, "longer than the section");
    c.end = c.p + length;
    unit->end = (size_t)(c.end - dwarf->info.p);
    unit->version = (uint8_t)xt_get_fixed(&c, 2);
    if (unit->version < 2 || unit->version > 5)
        return xvmi_error_set(err, XVMI_ERR_UNSUPPORTED,
                              "DWARF: unit at %#zx is of version %u, not 2 to 5", at,
                              unit->version);
    uint8_t type = DW_UT_compile;
    if (unit->version == 5) {
        type = (uint8_t)xt_get_fixed(&c, 1);
        unit->address_size = (uint8_t)xt_get_fixed(&c, 1);
    }
    unit->abbrev = xt_get_fixed(&c, unit->offset_size);
    if (unit->version < 5)
        unit->address_size = (uint8_t)xt_get_fixed(&c, 1);
    unit->skip = type != DW_UT_compile && type != DW_UT_partial;
    unit->dies = (size_t)(c.p - dwarf->info.p);
    /* Without DW_AT_str_offsets_base: after the first header of .debug_str_offsets. */
    unit->str_base = unit->offset_size == 8 ? 16 : 8;
    if (c.bad || (unit->address_size != 8 && unit->address_size != 4))
        return bad_unit(err, at, "the header makes no sense");
    return XVMI_OK;
}

/* Move to the attributes of abbreviation `code`. */
static bool find_abbrev(struct xt_cursor *c, uint64_t code)
{
    for (uint64_t at; (at = xt_get_leb(c)) && !c->bad;) {
        xt_get_leb(c);
        xt_get_fixed(c, 1);
        if (at == code)
            return !c->bad;
        for (uint64_t attribute, form; xt_next_attribute(c, &attribute, &form);)
            ;
    }
    return false;
}

enum xvmi_status xt_unit_read(const struct xt_dwarf *dwarf, size_t at, struct xt_unit *unit,
                              struct xvmi_error *err)
{
    enum xvmi_status status = read_header(dwarf, at, unit, err);
    if (status || unit->skip)
        return status;
    struct xt_cursor die = xt_cursor_at(&dwarf->info, unit->dies, unit->end);
    struct xt_cursor abbrev = xt_cursor_at(&dwarf->abbrev, unit->abbrev, dwarf->abbrev.n);
    uint64_t code = xt_get_leb(&die);
    if (!code || abbrev.bad || !find_abbrev(&abbrev, code))
        return bad_unit(err, at, "its abbreviations are missing");
    struct xt_cursor name = {.bad = true};
    uint64_t name_form = 0;
    for (uint64_t attribute, form; xt_next_attribute(&abbrev, &attribute, &form);) {
        if (attribute == DW_AT_name) {
            name = die;
            name_form = form;
        }
        if (attribute == DW_AT_str_offsets_base && xt_form_size(unit, form) == unit->offset_size) {
            unit->str_base = xt_get_fixed(&die, unit->offset_size);
            continue;
        }
        xt_form_skip(&die, unit, form);
    }
    if (die.bad || abbrev.bad)
        return bad_unit(err, at, "its first entry is cut off");
    /* Only now: the base of indexed strings may follow the name. */
    if (name_form)
        unit->name = xt_form_name(&name, dwarf, unit, name_form);
    return XVMI_OK;
}

void xt_scan_init(struct xt_scan *scan, const struct xt_dwarf *dwarf)
{
    *scan = (struct xt_scan){.dwarf = dwarf, .loaded = UINT64_MAX};
}

void xt_scan_fini(struct xt_scan *scan)
{
    free(scan->abbrevs.v);
    free(scan->steps.v);
}

static bool has_wanted_name(uint64_t tag)
{
    return tag == DW_TAG_structure_type || tag == DW_TAG_union_type || tag == DW_TAG_enumerator;
}

/* Steps of one attribute; `fixed` gathers bytes to skip. */
static bool push_steps(struct xt_scan *scan, const struct xt_unit *unit, struct xt_abbrev *abbrev,
                       uint64_t attribute, uint64_t form, unsigned int *fixed)
{
    int size = xt_form_size(unit, form);
    unsigned int step = STEP_END;
    if (attribute == DW_AT_declaration && form == DW_FORM_flag_present)
        abbrev->declaration = true;
    if (attribute == DW_AT_declaration && form == DW_FORM_flag)
        step = STEP_DECLARATION;
    else if (attribute == DW_AT_sibling && form != DW_FORM_indirect)
        step = STEP_SIBLING;
    else if (attribute == DW_AT_name && has_wanted_name(abbrev->tag) && form != DW_FORM_indirect)
        step = STEP_NAME;
    else if (size == XT_FORM_VARIES)
        step = STEP_VARIABLE + xt_form_variable(form);
    if (size == XT_FORM_UNKNOWN || form > 0xffff)
        return false;
    if (step == STEP_END)
        *fixed += (unsigned int)size;
    for (; *fixed && (step != STEP_END || *fixed >= 0x7f);) {
        unsigned int part = *fixed < 0x7f ? *fixed : 0x7f;
        if (!xb_vec_push(&scan->steps, (uint8_t)part))
            return false;
        *fixed -= part;
    }
    if (step == STEP_END)
        return true;
    if (!xb_vec_push(&scan->steps, (uint8_t)step))
        return false;
    if (step != STEP_SIBLING && step != STEP_NAME)
        return true;
    return xb_vec_push(&scan->steps, (uint8_t)form) &&
           xb_vec_push(&scan->steps, (uint8_t)(form >> 8));
}

static bool load_abbrev(struct xt_scan *scan, const struct xt_unit *unit, struct xt_cursor *c,
                        struct xt_abbrev *abbrev)
{
    abbrev->tag = (uint16_t)xt_get_leb(c);
    abbrev->children = xt_get_fixed(c, 1);
    abbrev->steps = (uint32_t)scan->steps.n;
    unsigned int fixed = 0;
    for (uint64_t attribute, form; xt_next_attribute(c, &attribute, &form);)
        if (scan->steps.n > STEPS_MAX || !push_steps(scan, unit, abbrev, attribute, form, &fixed))
            return false;
    if (fixed && !xb_vec_push(&scan->steps, (uint8_t)fixed))
        return false;
    return !c->bad && xb_vec_push(&scan->steps, (uint8_t)STEP_END);
}

static bool load_abbrevs(struct xt_scan *scan, const struct xt_unit *unit)
{
    uint32_t for_unit =
        (uint32_t)unit->version << 16 | (uint32_t)unit->offset_size << 8 | unit->address_size;
    if (scan->loaded == unit->abbrev && scan->loaded_for == for_unit)
        return true;
    scan->loaded = UINT64_MAX;
    scan->abbrevs.n = scan->steps.n = 0;
    struct xt_cursor c = xt_cursor_at(&scan->dwarf->abbrev, unit->abbrev, scan->dwarf->abbrev.n);
    for (uint64_t code; !c.bad && (code = xt_get_leb(&c));) {
        if (code > CODE_MAX)
            return false;
        while (scan->abbrevs.n <= code)
            if (!xb_vec_push(&scan->abbrevs, (struct xt_abbrev){0}))
                return false;
        struct xt_abbrev abbrev = {0};
        if (!load_abbrev(scan, unit, &c, &abbrev))
            return false;
        scan->abbrevs.v[code] = abbrev;
    }
    if (c.bad)
        return false;
    scan->loaded = unit->abbrev;
    scan->loaded_for = for_unit;
    return true;
}

struct stepped {
    const char *name;
    uint64_t sibling; /* offset in the unit, 0: none */
    bool declaration;
};

static uint64_t get_sibling(struct xt_cursor *c, const struct xt_unit *unit, unsigned int form)
{
    switch (form) {
    case DW_FORM_ref1:
    case DW_FORM_ref2:
    case DW_FORM_ref4:
    case DW_FORM_ref8:
        return xt_get_fixed(c, (unsigned int)xt_form_size(unit, form));
    case DW_FORM_ref_udata:
        return xt_get_leb(c);
    default:
        xt_form_skip(c, unit, form);
        return 0;
    }
}

/* Over the attributes of one DIE. */
static void step_over(const struct xt_scan *scan, const struct xt_unit *unit,
                      const struct xt_abbrev *abbrev, struct xt_cursor *c, struct stepped *out)
{
    *out = (struct stepped){.name = "", .declaration = abbrev->declaration};
    for (const uint8_t *step = scan->steps.v + abbrev->steps; *step != STEP_END; step++) {
        if (*step < STEP_END) {
            xt_skip(c, *step);
        } else if (*step == STEP_NAME) {
            out->name = xt_form_name(c, scan->dwarf, unit, step[1] | (uint64_t)step[2] << 8);
            step += 2;
        } else if (*step == STEP_SIBLING) {
            out->sibling = get_sibling(c, unit, step[1] | (unsigned int)step[2] << 8);
            step += 2;
            /* All else that is known of a DIE with children has been seen, unless it is one of
             * ours: then its name could follow. */
            if (out->sibling && !has_wanted_name(abbrev->tag) &&
                abbrev->tag != DW_TAG_enumeration_type)
                return;
        } else if (*step == STEP_DECLARATION) {
            out->declaration |= xt_get_fixed(c, 1) != 0;
        } else {
            xt_skip_variable(c, unit, (enum xt_variable)(*step - STEP_VARIABLE));
        }
    }
}

static bool is_reported(const struct xt_abbrev *abbrev, const struct stepped *die,
                        unsigned int depth, bool enumerators)
{
    if (!die->name[0])
        return false;
    if (abbrev->tag == DW_TAG_enumerator)
        return enumerators && depth == 2;
    return depth == 1 && has_wanted_name(abbrev->tag) && !die->declaration;
}

enum xvmi_status xt_unit_scan(struct xt_scan *scan, const struct xt_unit *unit, bool enumerators,
                              xt_die_fn *fn, void *ctx, struct xvmi_error *err)
{
    if (!load_abbrevs(scan, unit))
        return bad_unit(err, unit->at, "its abbreviations make no sense");
    struct xt_cursor c = xt_cursor_at(&scan->dwarf->info, unit->dies, unit->end);
    unsigned int depth = 0;
    do {
        size_t at = (size_t)(c.p - scan->dwarf->info.p);
        uint64_t code = xt_get_leb(&c);
        if (!code && !c.bad && depth) {
            depth--;
            continue;
        }
        if (c.bad || code >= scan->abbrevs.n || !scan->abbrevs.v[code].tag)
            return bad_unit(err, unit->at, "an entry has no abbreviation");
        const struct xt_abbrev *abbrev = &scan->abbrevs.v[code];
        struct stepped die;
        step_over(scan, unit, abbrev, &c, &die);
        if (c.bad)
            return bad_unit(err, unit->at, "an entry is cut off");
        if (is_reported(abbrev, &die, depth, enumerators)) {
            struct xt_die found = {at, abbrev->tag, die.name, strlen(die.name)};
            enum xvmi_status status = fn(ctx, &found, err);
            if (status)
                return status;
        }
        bool descend = depth == 0 || (enumerators && abbrev->tag == DW_TAG_enumeration_type);
        if (!abbrev->children)
            continue;
        if (!die.sibling || descend) {
            depth++;
            continue;
        }
        /* Only forward: a circle would never end. */
        size_t done = (size_t)(c.p - scan->dwarf->info.p) - unit->at;
        if (die.sibling < done || die.sibling > unit->end - unit->at)
            return bad_unit(err, unit->at, "a sibling lies outside");
        xt_skip(&c, die.sibling - done);
    } while (depth && c.p < c.end);
    return XVMI_OK;
}
