/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XF_COMPILE_H
#define XF_COMPILE_H

/* What the two files of the compiler share: compile.c has rules, scope.c has names. */

#include "filter/compiled.h"

/* Sets and id files of a file or of a block. */
struct xf_level {
    const struct xf_names *names;
    struct xf_idmap *users, *groups;
    const struct xf_named **by_name; /* sorted, n of them */
    size_t n;
    struct {
        struct xf_use *v; /* sorted by set and class */
        size_t n, cap;
    } uses;
};

struct xf_compiler {
    struct xvmi_policy *policy;
    struct xf_report *report;
    const struct xf_block *block;
    struct xf_level file, local;
    struct xf_scope scope;
    uint32_t values; /* made so far */
    bool guessed;    /* the warning about names was given */
};

void xf_compile_file(struct xf_compiler *c);
void xf_compile_file_end(struct xf_compiler *c);
void xf_compile_scope(struct xf_compiler *c); /* of c->block */
void xf_compile_scope_end(struct xf_compiler *c);

/* A set that the policy owns, to which the next condition refers. */
struct xf_set *xf_compile_set_new(struct xf_compiler *c);
/* Adds one value; `set_name` is the named set it stands in, NULL: none. */
void xf_compile_value(struct xf_compiler *c, enum xf_class class, const struct xf_value *value,
                      const char *set_name, struct xf_set *set);
/* Lets the next condition refer to the named set, made as that class. */
void xf_compile_reference(struct xf_compiler *c, const struct xf_match *match, enum xf_class class,
                          const struct xf_value *value);

#endif
