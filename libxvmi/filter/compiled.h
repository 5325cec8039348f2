/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XF_COMPILED_H
#define XF_COMPILED_H

/* A policy as it is matched: flat arrays that refer to each other by index. */

#include <xvmi/policy.h>

#include "filter/ast.h"
#include "filter/report.h"
#include "filter/set.h"
#include "filter/value.h"

/* Most conditions have one value: it stands here as well, where it is found without a detour. */
enum xf_single { XF_SEVERAL, XF_ONE_RANGE, XF_ONE_TEXT };

struct xf_cond {
    uint8_t field; /* enum xf_field */
    bool negate;
    uint8_t single;        /* enum xf_single */
    uint64_t lo, hi;       /* the range; the text's hash in `lo` */
    uint32_t refs, n_refs; /* its sets are policy->refs[refs] and on: it is met when one fits */
};

struct xf_rule {
    uint8_t verb; /* enum xf_verb */
    bool log, in;
    uint32_t conds, n_conds; /* in the order of enum xf_field */
    uint32_t needs;          /* XVMI_NEED_* of its conditions */
    struct xf_at at;
};

/* What one vm block came to. */
struct xf_program {
    struct xf_set names;         /* of guests: patterns */
    struct xf_default out, in;   /* always given */
    uint8_t options[XF_OPTIONS]; /* 0: the word that holds when nothing is said */
    bool sources;                /* `spoofed deny` was said: look up every sender's address */
    uint32_t rules, n_rules;     /* rule i has the number i + 1 */
    uint32_t needs;
    struct xf_at at;
};

/* A named set, made once for each class of values it is used as. */
struct xf_use {
    const struct xf_named *set;
    enum xf_class class;
    unsigned icmp;              /* as in struct xf_scope */
    const struct xf_names *ids; /* whose users or groups */
    uint32_t index;             /* of policy->sets */
};

struct xvmi_policy {
    unsigned refs_held; /* atomic */
    char *file;
    struct xf_ast ast;
    uint64_t digest;
    struct {
        struct xf_set **v;
        size_t n, cap;
    } sets;
    struct {
        uint32_t *v;
        size_t n, cap;
    } refs;
    struct {
        struct xf_cond *v;
        size_t n, cap;
    } conds;
    struct {
        struct xf_rule *v;
        size_t n, cap;
    } rules;
    struct {
        struct xf_program *v;
        size_t n, cap;
    } programs;
};

/* policy->ast and ->file to the rest of it. What is wrong goes to report. */
void xf_compile(struct xvmi_policy *policy, struct xf_report *report);

enum xf_class xf_field_class(enum xf_field field);
uint32_t xf_field_needs(enum xf_field field);

/* The block for a guest: the first whose patterns fit; NULL when none does. */
const struct xf_program *xf_policy_program(const struct xvmi_policy *policy, const char *vm);

#endif
