// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <stddef.h>
#include <string.h>

#include "filter/ast.h"

static const struct {
    const char *key, *words;
} fields[XF_FIELDS] = {
#define XF_FIELD(id, key, words, class, needs) [XF_##id] = {key, words},
#include "filter/fields.def"
#undef XF_FIELD
};

static const char *const op_signs[XF_OPS] = {"==", "!=", "<", "<=", ">", ">="};
static const char *const op_keys[XF_OPS] = {"is", "not", "lt", "le", "gt", "ge"};
static const char *const verbs[XF_VERBS] = {"allow", "deny", "reject", "audit"};

static const struct {
    const char *word, *values[2];
} options[XF_OPTIONS] = {
    [XF_OPT_OWNERS] = {"owners", {"all", "any"}},
    [XF_OPT_UNKNOWN] = {"unknown", {"deny", "allow"}},
    [XF_OPT_UNREADABLE] = {"unreadable", {"deny", "allow"}},
    [XF_OPT_ARP] = {"arp", {"allow", "deny"}},
    [XF_OPT_ND] = {"nd", {"allow", "deny"}},
    [XF_OPT_FRAGMENTS] = {"fragments", {"deny", "allow"}},
    [XF_OPT_MALFORMED] = {"malformed", {"deny", "allow"}},
    [XF_OPT_OTHER] = {"other", {"deny", "allow"}},
    [XF_OPT_SPOOFED] = {"spoofed", {"deny", "allow"}},
    [XF_OPT_MAC] = {"mac", {"any", "own"}},
};

const char *xf_field_words(enum xf_field field)
{
    return fields[field].words;
}

const char *xf_field_key(enum xf_field field)
{
    return fields[field].key;
}

enum xf_field xf_field_by_key(const char *key)
{
    enum xf_field f = 0;
    while (f < XF_FIELDS && strcmp(fields[f].key, key))
        f++;
    return f;
}

const char *xf_op_sign(enum xf_op op)
{
    return op_signs[op];
}

const char *xf_op_key(enum xf_op op)
{
    return op_keys[op];
}

const char *xf_verb_word(enum xf_verb verb)
{
    return verbs[verb];
}

enum xf_verb xf_verb_by_word(const char *word)
{
    enum xf_verb v = 0;
    while (v < XF_VERBS && strcmp(verbs[v], word))
        v++;
    return v;
}

const char *xf_option_word(enum xf_option option)
{
    return options[option].word;
}

enum xf_option xf_option_by_word(const char *word)
{
    enum xf_option o = 0;
    while (o < XF_OPTIONS && strcmp(options[o].word, word))
        o++;
    return o;
}

const char *xf_option_value(enum xf_option option, unsigned value)
{
    return value < 2 ? options[option].values[value] : NULL;
}
