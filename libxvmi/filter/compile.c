// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* From the tree of a policy to what is matched: blocks, rules, conditions. */
#include <stdlib.h>
#include <string.h>

#include "base/vec.h"
#include "filter/compile.h"

static const struct {
    uint8_t class;
    uint32_t needs;
} fields[XF_FIELDS] = {
#define XF_FIELD(id, key, words, class, needs) [XF_##id] = {XF_CLASS_##class, needs},
#include "filter/fields.def"
#undef XF_FIELD
};

enum xf_class xf_field_class(enum xf_field field)
{
    return (enum xf_class)fields[field].class;
}

uint32_t xf_field_needs(enum xf_field field)
{
    return fields[field].needs;
}

/* ---- conditions ---- */

/* One value with <, <=, > or >=, as a range. */
static bool add_bound(struct xf_compiler *c, const struct xf_match *match, enum xf_class class,
                      struct xf_set *set)
{
    const struct xf_value *value = match->values.first;
    struct xf_range range;
    const char *why = "something with an order";
    if (match->values.n != 1 || value->reference) {
        xf_error(c->report, match->at, "'%s' compares with a single value", xf_op_sign(match->op));
        return false;
    }
    if (class == XF_CLASS_PROTO || class == XF_CLASS_KIND || class == XF_CLASS_ICMP ||
        !xf_value_number(class, value->text, &c->scope, &range, &why) || range.lo != range.hi) {
        xf_error(c->report, value->at, "'%s %s' does not take '%s': it wants %s",
                 xf_field_words(match->field), xf_op_sign(match->op), value->text, why);
        return false;
    }
    uint64_t n = range.lo;
    if ((match->op == XF_LT && !n) || (match->op == XF_GT && n == UINT64_MAX)) {
        xf_error(c->report, value->at, "nothing can be '%s %s'", xf_op_sign(match->op),
                 value->text);
        return false;
    }
    if (match->op == XF_LT || match->op == XF_LE)
        range = (struct xf_range){0, n - (match->op == XF_LT)};
    else
        range = (struct xf_range){n + (match->op == XF_GT), UINT64_MAX};
    if (!xf_set_add_number(set, range.lo, range.hi))
        c->report->no_memory = true;
    return true;
}

static void compile_values(struct xf_compiler *c, const struct xf_match *match)
{
    enum xf_class class = xf_field_class(match->field);
    struct xf_set *own = NULL;
    for (const struct xf_value *value = match->values.first; value; value = value->next) {
        if (value->reference) {
            xf_compile_reference(c, match, class, value);
            continue;
        }
        if (!own && !(own = xf_compile_set_new(c)))
            return;
        if (match->op == XF_EQ || match->op == XF_NE)
            xf_compile_value(c, class, value, NULL, own);
        else if (!add_bound(c, match, class, own))
            return;
    }
    if (own && !xf_set_seal(own))
        c->report->no_memory = true;
}

static void find_single(const struct xvmi_policy *policy, struct xf_cond *cond)
{
    if (cond->n_refs != 1)
        return;
    const struct xf_set *set = policy->sets.v[policy->refs.v[cond->refs]];
    if (set->v4.n + set->v6.n + set->globs.n)
        return;
    if (set->numbers.n == 1 && !set->texts.n) {
        cond->single = XF_ONE_RANGE;
        cond->lo = set->numbers.v[0].lo;
        cond->hi = set->numbers.v[0].hi;
    } else if (set->texts.n == 1 && !set->numbers.n) {
        cond->single = XF_ONE_TEXT;
        for (size_t i = 0; i < set->texts.cap; i++)
            if (set->texts.v[i].text)
                cond->lo = set->texts.v[i].hash;
    }
}

static void compile_match(struct xf_compiler *c, const struct xf_match *match)
{
    struct xf_cond cond = {
        .field = (uint8_t)match->field,
        .negate = match->op == XF_NE,
        .refs = (uint32_t)c->policy->refs.n,
    };
    if (match->field == XF_AGE && match->op <= XF_NE && match->values.n == 1 &&
        !match->values.first->reference && !strchr(match->values.first->text, '-'))
        xf_error(c->report, match->at, "'age' wants < or > or a range");
    compile_values(c, match);
    cond.n_refs = (uint32_t)c->policy->refs.n - cond.refs;
    if (!c->report->errors && !c->report->no_memory)
        find_single(c->policy, &cond);
    if (!xb_vec_push(&c->policy->conds, cond))
        c->report->no_memory = true;
}

/* ---- rules ---- */

static bool single_word(const struct xf_match *match, const char *a, const char *b)
{
    return match && match->op == XF_EQ && match->values.n == 1 && !match->values.first->reference &&
           (!strcmp(match->values.first->text, a) || !strcmp(match->values.first->text, b));
}

/* Types of ICMP mean something else in IPv6: the rule has to say which it is about. */
static void find_icmp(struct xf_compiler *c, struct xf_match *const by_field[XF_FIELDS])
{
    const struct xf_match *proto = by_field[XF_PROTO];
    c->scope.icmp = single_word(proto, "icmp", "1")     ? 1
                    : single_word(proto, "icmp6", "58") ? 58
                                                        : 0;
    if (by_field[XF_TYPE] && !c->scope.icmp)
        xf_error(c->report, by_field[XF_TYPE]->at, "'type' needs 'icmp' or 'icmp6' before it");
}

static void compile_rule(struct xf_compiler *c, const struct xf_line *line)
{
    struct xf_match *by_field[XF_FIELDS] = {0};
    struct xf_rule rule = {
        .verb = (uint8_t)line->verb,
        .log = line->log,
        .in = line->in,
        .conds = (uint32_t)c->policy->conds.n,
        .at = line->at,
    };
    for (struct xf_match *match = line->first; match; match = match->next) {
        if (by_field[match->field])
            xf_error(c->report, match->at, "'%s' stands twice in one rule: write { A, B }",
                     xf_field_words(match->field));
        by_field[match->field] = match;
    }
    find_icmp(c, by_field);
    for (unsigned f = 0; f < XF_FIELDS; f++)
        if (by_field[f]) {
            compile_match(c, by_field[f]);
            rule.needs |= xf_field_needs((enum xf_field)f);
        }
    rule.n_conds = (uint32_t)c->policy->conds.n - rule.conds;
    if (!xb_vec_push(&c->policy->rules, rule))
        c->report->no_memory = true;
}

/* ---- blocks ---- */

static void compile_globs(struct xf_compiler *c, const struct xf_block *block,
                          struct xf_program *program)
{
    for (const struct xf_value *value = block->globs.first; value; value = value->next)
        xf_compile_value(c, XF_CLASS_TEXT, value, NULL, &program->names);
    if (!xf_set_seal(&program->names))
        c->report->no_memory = true;
}

static void compile_defaults(struct xf_compiler *c, const struct xf_block *block,
                             struct xf_program *program)
{
    program->out = block->out;
    program->in = block->in;
    if (!block->out.given)
        xf_error(c->report, block->at, "this block does not say 'default allow' or 'default deny'");
    if (block->out.verb == XF_AUDIT || block->in.verb == XF_AUDIT)
        xf_error(c->report, block->out.verb == XF_AUDIT ? block->out.at : block->in.at,
                 "the default is allow, deny or reject");
    if (block->in.given && block->in.verb != XF_ALLOW)
        program->needs |= XVMI_NEED_INCOMING;
}

static void compile_block(struct xf_compiler *c, struct xf_block *block)
{
    struct xf_program program = {.rules = (uint32_t)c->policy->rules.n, .at = block->at};
    for (unsigned i = 0; i < XF_OPTIONS; i++)
        program.options[i] = block->options[i].value;
    program.sources = block->options[XF_OPT_SPOOFED].given && !program.options[XF_OPT_SPOOFED];
    program.needs = (program.sources ? XVMI_NEED_SOCKET : 0) |
                    (program.options[XF_OPT_MAC] ? XVMI_NEED_MAC : 0);
    c->block = block;
    xf_compile_scope(c);
    compile_globs(c, block, &program);
    compile_defaults(c, block, &program);
    for (const struct xf_line *line = block->first; line; line = line->next) {
        compile_rule(c, line);
        program.needs |= line->in ? XVMI_NEED_INCOMING : 0;
    }
    xf_compile_scope_end(c);
    program.n_rules = (uint32_t)c->policy->rules.n - program.rules;
    for (uint32_t i = program.rules; i < c->policy->rules.n; i++)
        program.needs |= c->policy->rules.v[i].needs;
    if (xb_vec_push(&c->policy->programs, program))
        return;
    xf_set_fini(&program.names);
    c->report->no_memory = true;
}

void xf_compile(struct xvmi_policy *policy, struct xf_report *report)
{
    struct xf_compiler c = {.policy = policy, .report = report};
    xf_compile_file(&c);
    if (!policy->ast.first)
        xf_error(report, (struct xf_at){0}, "no vm block: nothing would be filtered");
    for (struct xf_block *block = policy->ast.first; block && !report->no_memory;
         block = block->next)
        compile_block(&c, block);
    xf_compile_file_end(&c);
}

const struct xf_program *xf_policy_program(const struct xvmi_policy *policy, const char *vm)
{
    size_t len = strlen(vm);
    uint64_t hash = xf_text_hash(vm, len);
    for (size_t i = 0; i < policy->programs.n; i++)
        if (xf_set_has_text(&policy->programs.v[i].names, vm, len, hash))
            return &policy->programs.v[i];
    return NULL;
}
