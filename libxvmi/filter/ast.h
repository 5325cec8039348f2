/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XF_AST_H
#define XF_AST_H

/*
 * A policy as it was written, whether in the text language or in JSON: both readers make this
 * tree, both writers print it, the compiler alone gives it a meaning. Values stay text until
 * then, so that both forms allow the same and complain with the same words.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"

enum xf_field {
#define XF_FIELD(id, key, words, class, needs) XF_##id,
#include "filter/fields.def"
#undef XF_FIELD
    XF_FIELDS
};

enum xf_op { XF_EQ, XF_NE, XF_LT, XF_LE, XF_GT, XF_GE, XF_OPS };

/* What a rule's first word says. */
enum xf_verb { XF_ALLOW, XF_DENY, XF_REJECT, XF_AUDIT, XF_VERBS };

/* Choices of a vm block; value 0 is what holds when nothing is said. */
enum xf_option {
    XF_OPT_OWNERS,
    XF_OPT_UNKNOWN,
    XF_OPT_UNREADABLE,
    XF_OPT_ARP,
    XF_OPT_ND,
    XF_OPT_FRAGMENTS,
    XF_OPT_MALFORMED,
    XF_OPT_OTHER,
    XF_OPT_SPOOFED,
    XF_OPT_MAC,
    XF_OPTIONS
};

/* From 1; line 0 is "not known", as in JSON that a person wrote. */
struct xf_at {
    uint32_t line, column;
};

struct xf_value {
    struct xf_value *next;
    const char *text; /* without the @ of a reference */
    bool quoted;
    bool reference; /* to a named set */
    struct xf_at at;
};

struct xf_values {
    struct xf_value *first, *last;
    uint32_t n;
};

struct xf_match {
    struct xf_match *next;
    enum xf_field field;
    enum xf_op op;
    struct xf_values values;
    struct xf_at at;
};

struct xf_line {
    struct xf_line *next;
    enum xf_verb verb;
    bool log, in;
    struct xf_match *first, *last;
    struct xf_at at;
};

struct xf_named {
    struct xf_named *next;
    const char *name;
    struct xf_values values;
    struct xf_at at;
};

/* What can stand at the top of a file and in a block, where it hides the file's. */
struct xf_names {
    struct xf_named *first, *last;
    const char *users, *groups; /* paths of passwd and group files; NULL: none given */
    struct xf_at users_at, groups_at;
};

struct xf_default {
    bool given, log;
    enum xf_verb verb;
    struct xf_at at;
};

struct xf_block {
    struct xf_block *next;
    struct xf_values globs;
    struct xf_names names;
    struct xf_default out, in;
    struct {
        bool given;
        uint8_t value;
        struct xf_at at;
    } options[XF_OPTIONS];
    struct xf_line *first, *last;
    struct xf_at at;
};

struct xf_ast {
    struct xb_arena arena;
    bool own_places; /* JSON that a person wrote: places are those in it, and not written out */
    bool learned;    /* says of itself that it was written by learning */
    struct xf_names names;
    struct xf_block *first, *last;
};

/* Append to one of the lists above. */
#define xf_append(list, node)                                                                      \
    do {                                                                                           \
        if ((list)->last)                                                                          \
            (list)->last->next = (node);                                                           \
        else                                                                                       \
            (list)->first = (node);                                                                \
        (list)->last = (node);                                                                     \
    } while (0)

const char *xf_field_words(enum xf_field field);
const char *xf_field_key(enum xf_field field);
/* XF_FIELDS when there is none of this key. */
enum xf_field xf_field_by_key(const char *key);

const char *xf_op_sign(enum xf_op op); /* "==", "!=", "<"... */
const char *xf_op_key(enum xf_op op);  /* "is", "not", "lt"... */
const char *xf_verb_word(enum xf_verb verb);
/* XF_VERBS when there is none. */
enum xf_verb xf_verb_by_word(const char *word);
const char *xf_option_word(enum xf_option option);
/* XF_OPTIONS when there is none. */
enum xf_option xf_option_by_word(const char *word);
/* The words of an option's value 0 and 1; NULL beyond. */
const char *xf_option_value(enum xf_option option, unsigned value);

#endif
