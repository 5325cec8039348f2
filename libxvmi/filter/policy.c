// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "filter/compiled.h"
#include "filter/idmap.h"
#include "filter/reader.h"
#include "filter/writer.h"

static void policy_free(struct xvmi_policy *policy)
{
    for (size_t i = 0; i < policy->sets.n; i++) {
        xf_set_fini(policy->sets.v[i]);
        free(policy->sets.v[i]);
    }
    for (size_t i = 0; i < policy->programs.n; i++)
        xf_set_fini(&policy->programs.v[i].names);
    free(policy->sets.v);
    free(policy->refs.v);
    free(policy->conds.v);
    free(policy->rules.v);
    free(policy->programs.v);
    xb_arena_fini(&policy->ast.arena);
    free(policy->file);
    free(policy);
}

/* What it says, and what numbers that came to. */
static bool make_digest(struct xvmi_policy *policy)
{
    xb_auto_free char *text = xf_write_text(&policy->ast);
    if (!text)
        return false;
    uint64_t digest = xf_text_hash(text, strlen(text));
    for (size_t i = 0; i < policy->sets.n; i++) {
        const struct xf_set *set = policy->sets.v[i];
        digest = digest * 31 + xf_text_hash((const char *)set->numbers.v,
                                            set->numbers.n * sizeof(*set->numbers.v));
    }
    policy->digest = digest;
    return true;
}

static bool is_json(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!strchr(" \t\r\n", text[i]) || !text[i])
            return text[i] == '{';
    return false;
}

enum xvmi_status xvmi_policy_parse(const char *text, size_t len, const char *name,
                                   const struct xvmi_policy_options *options,
                                   struct xvmi_policy **policy, struct xvmi_error *err)
{
    struct xf_report report = {
        .file = name, .source = text, .source_len = len, .options = options, .err = err};
    *policy = NULL;
    if (len > XVMI_POLICY_SIZE_MAX)
        return xvmi_error_set(err, XVMI_ERR_LIMIT, "%s: longer than %u bytes", name,
                              XVMI_POLICY_SIZE_MAX);
    struct xvmi_policy *p = calloc(1, sizeof(*p));
    if (!p || !(p->file = strdup(name))) {
        free(p);
        return xvmi_error_set(err, XVMI_ERR_NO_MEMORY, "%s: out of memory", name);
    }
    p->refs_held = 1;
    if (is_json(text, len))
        xf_read_json(text, len, &p->ast, &report);
    else
        xf_read_text(text, len, &p->ast, &report);
    /* After errors of form, the tree is only a part of what was meant. */
    if (!report.errors && !report.no_memory)
        xf_compile(p, &report);
    if (!report.errors && !report.no_memory && !make_digest(p))
        report.no_memory = true;
    enum xvmi_status status = xf_report_status(&report);
    if (status)
        policy_free(p);
    else
        *policy = p;
    return status;
}

enum xvmi_status xvmi_policy_load(const char *path, const struct xvmi_policy_options *options,
                                  struct xvmi_policy **policy, struct xvmi_error *err)
{
    xb_auto_free char *text = NULL;
    size_t len;
    *policy = NULL;
    enum xvmi_status status = xf_read_file(path, XVMI_POLICY_SIZE_MAX, &text, &len, err);
    return status ? status : xvmi_policy_parse(text, len, path, options, policy, err);
}

struct xvmi_policy *xvmi_policy_ref(struct xvmi_policy *policy)
{
    __atomic_add_fetch(&policy->refs_held, 1, __ATOMIC_RELAXED);
    return policy;
}

void xvmi_policy_unref(struct xvmi_policy *policy)
{
    if (policy && !__atomic_sub_fetch(&policy->refs_held, 1, __ATOMIC_ACQ_REL))
        policy_free(policy);
}

enum xvmi_status xvmi_policy_json(const struct xvmi_policy *policy, char **json)
{
    *json = xf_write_json(&policy->ast);
    return *json ? XVMI_OK : XVMI_ERR_NO_MEMORY;
}

enum xvmi_status xvmi_policy_text(const struct xvmi_policy *policy, char **text)
{
    *text = xf_write_text(&policy->ast);
    return *text ? XVMI_OK : XVMI_ERR_NO_MEMORY;
}

uint64_t xvmi_policy_digest(const struct xvmi_policy *policy)
{
    return policy->digest;
}

bool xvmi_policy_learned(const struct xvmi_policy *policy)
{
    return policy->ast.learned;
}

enum xvmi_status xvmi_policy_needs(const struct xvmi_policy *policy, const char *vm,
                                   uint32_t *needs)
{
    const struct xf_program *program = xf_policy_program(policy, vm);
    if (!program)
        return XVMI_ERR_NOT_FOUND;
    *needs = program->needs;
    return XVMI_OK;
}

uint32_t xvmi_policy_rules(const struct xvmi_policy *policy)
{
    return (uint32_t)policy->rules.n;
}

enum xvmi_status xvmi_policy_rule(const struct xvmi_policy *policy, uint32_t number,
                                  struct xvmi_policy_rule *rule)
{
    if (!number || number > policy->rules.n)
        return XVMI_ERR_NOT_FOUND;
    struct xf_at at = policy->rules.v[number - 1].at;
    *rule = (struct xvmi_policy_rule){policy->file, at.line, at.column};
    return XVMI_OK;
}
