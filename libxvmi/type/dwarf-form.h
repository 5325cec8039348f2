/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XT_DWARF_FORM_H
#define XT_DWARF_FORM_H

/* The bytes of DWARF: a cursor that stays inside of its section, and the forms of attributes. */

#include <string.h>

#include "type/dwarf-scan.h"

/* What is missing reads as 0, sets `bad` and leaves nothing to read. */
struct xt_cursor {
    const uint8_t *p, *end;
    bool bad;
};

/* Where cursors over nothing stand: nothing may be added to a null pointer, not even 0. */
static const uint8_t xt_nothing[1];

/* Over [at, end) of a section. */
static inline struct xt_cursor xt_cursor_at(const struct xt_bytes *bytes, uint64_t at, uint64_t end)
{
    if (end > bytes->n || at > end)
        return (struct xt_cursor){xt_nothing, xt_nothing, true};
    if (!bytes->p) /* a section that is not there is empty */
        return (struct xt_cursor){xt_nothing, xt_nothing, false};
    return (struct xt_cursor){bytes->p + at, bytes->p + end, false};
}

static inline void xt_cursor_break(struct xt_cursor *c)
{
    c->bad = true;
    c->p = c->end;
}

static inline void xt_skip(struct xt_cursor *c, uint64_t n)
{
    if (n > (uint64_t)(c->end - c->p))
        xt_cursor_break(c);
    else
        c->p += n;
}

/* Little endian, like every host that we run on. */
static inline uint64_t xt_get_fixed(struct xt_cursor *c, unsigned int size)
{
    uint64_t v = 0;
    if (size > (size_t)(c->end - c->p)) {
        xt_cursor_break(c);
        return 0;
    }
    memcpy(&v, c->p, size);
    c->p += size;
    return v;
}

static inline uint64_t xt_get_leb(struct xt_cursor *c)
{
    if (c->p < c->end && *c->p < 0x80)
        return *c->p++;
    uint64_t v = 0;
    for (unsigned int shift = 0; c->p < c->end && shift < 70; shift += 7) {
        uint8_t byte = *c->p++;
        if (shift < 64)
            v |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80))
            return v;
    }
    xt_cursor_break(c);
    return 0;
}

static inline const char *xt_get_string(struct xt_cursor *c)
{
    const uint8_t *begin = c->p;
    const uint8_t *nul = begin < c->end ? memchr(begin, 0, (size_t)(c->end - begin)) : NULL;
    if (!nul) {
        xt_cursor_break(c);
        return "";
    }
    c->p = nul + 1;
    return (const char *)begin;
}

/* One (attribute, form) pair of an abbreviation; false at the end of the list. */
static inline bool xt_next_attribute(struct xt_cursor *c, uint64_t *attribute, uint64_t *form)
{
    *attribute = xt_get_leb(c);
    *form = xt_get_leb(c);
    if (*form == 0x21) /* DW_FORM_implicit_const: the value follows */
        xt_get_leb(c);
    return !c->bad && (*attribute || *form);
}

/* Bytes that a form takes in a DIE; XT_FORM_VARIES: it depends on the DIE. */
#define XT_FORM_VARIES  (-1)
#define XT_FORM_UNKNOWN (-2)
int xt_form_size(const struct xt_unit *unit, uint64_t form);

/* How to get over a form that varies. */
enum xt_variable {
    XT_VARIABLE_LEB,
    XT_VARIABLE_STRING,
    XT_VARIABLE_BLOCK1,
    XT_VARIABLE_BLOCK2,
    XT_VARIABLE_BLOCK4,
    XT_VARIABLE_BLOCK,
    XT_VARIABLE_INDIRECT, /* the form itself is in the DIE */
};
enum xt_variable xt_form_variable(uint64_t form);
void xt_skip_variable(struct xt_cursor *c, const struct xt_unit *unit, enum xt_variable kind);

void xt_form_skip(struct xt_cursor *c, const struct xt_unit *unit, uint64_t form);

/* A string; "" when it is in a form that no kernel's compiler uses for names, or not there. */
const char *xt_form_name(struct xt_cursor *c, const struct xt_dwarf *dwarf,
                         const struct xt_unit *unit, uint64_t form);

#endif
