// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Names in a policy: sets, users, groups, and the values that they stand for. */
#include <stdlib.h>
#include <string.h>

#include "base/vec.h"
#include "filter/compile.h"

/* In a whole policy: one large set may be made anew for many blocks. */
#define VALUES_MAX (8u << 20)

/* ---- levels ---- */

static struct xf_idmap *load_ids(struct xf_compiler *c, const char *path, struct xf_at at)
{
    const struct xvmi_policy_options *options = c->report->options;
    struct xvmi_error err = XVMI_ERROR_INIT;
    struct xf_idmap *map;
    if (!path)
        return NULL;
    if (options && options->no_files)
        xf_error(c->report, at, "files cannot be named in this policy");
    else if (xf_idmap_load(c->policy->file, path, &map, &err))
        xf_error(c->report, at, "cannot read it: %s", err.text);
    else
        return map;
    return NULL;
}

static int by_name(const void *a, const void *b)
{
    const struct xf_named *x = *(const struct xf_named *const *)a;
    const struct xf_named *y = *(const struct xf_named *const *)b;
    int order = strcmp(x->name, y->name);
    return order ? order : x->at.line < y->at.line ? -1 : x->at.line > y->at.line;
}

/* Addresses and anything else in one set is a slip that no use of the set would show. */
static void check_named(struct xf_compiler *c, const struct xf_named *set)
{
    bool first = set->values.first && xf_value_is_addr(set->values.first->text);
    for (const struct xf_value *v = set->values.first; v; v = v->next)
        if (v->reference)
            xf_error(c->report, v->at, "a set cannot hold another set");
        else if (xf_value_is_addr(v->text) != first)
            xf_error(c->report, v->at, "'%s' is %s address, '%s' is %s: a set holds one sort",
                     v->text, first ? "no" : "an", set->values.first->text, first ? "one" : "not");
}

static void level_begin(struct xf_compiler *c, struct xf_level *level, const struct xf_names *names)
{
    *level = (struct xf_level){.names = names};
    level->users = load_ids(c, names->users, names->users_at);
    level->groups = load_ids(c, names->groups, names->groups_at);
    for (const struct xf_named *set = names->first; set; set = set->next)
        level->n++;
    level->by_name = calloc(level->n + 1, sizeof(*level->by_name));
    if (!level->by_name) {
        c->report->no_memory = true;
        level->n = 0;
        return;
    }
    size_t i = 0;
    for (const struct xf_named *set = names->first; set; set = set->next) {
        check_named(c, set);
        level->by_name[i++] = set;
    }
    qsort(level->by_name, level->n, sizeof(*level->by_name), by_name);
    for (i = 1; i < level->n; i++)
        if (!strcmp(level->by_name[i - 1]->name, level->by_name[i]->name))
            xf_error(c->report, level->by_name[i]->at, "set '%s' was given before, at line %u",
                     level->by_name[i]->name, level->by_name[i - 1]->at.line);
}

static void level_end(struct xf_level *level)
{
    xf_idmap_free(level->users);
    xf_idmap_free(level->groups);
    free(level->by_name);
    free(level->uses.v);
}

void xf_compile_file(struct xf_compiler *c)
{
    level_begin(c, &c->file, &c->policy->ast.names);
}

void xf_compile_file_end(struct xf_compiler *c)
{
    level_end(&c->file);
}

void xf_compile_scope(struct xf_compiler *c)
{
    level_begin(c, &c->local, &c->block->names);
    c->scope.users = c->block->names.users ? c->local.users : c->file.users;
    c->scope.groups = c->block->names.groups ? c->local.groups : c->file.groups;
}

void xf_compile_scope_end(struct xf_compiler *c)
{
    level_end(&c->local);
    c->scope = (struct xf_scope){0};
}

/* ---- values ---- */

static bool refer(struct xf_compiler *c, uint32_t index)
{
    if (xb_vec_push(&c->policy->refs, index))
        return true;
    c->report->no_memory = true;
    return false;
}

static struct xf_set *set_new(struct xf_compiler *c)
{
    struct xf_set *set = calloc(1, sizeof(*set));
    if (set && xb_vec_push(&c->policy->sets, set))
        return set;
    free(set);
    c->report->no_memory = true;
    return NULL;
}

struct xf_set *xf_compile_set_new(struct xf_compiler *c)
{
    struct xf_set *set = set_new(c);
    return set && refer(c, (uint32_t)c->policy->sets.n - 1) ? set : NULL;
}

void xf_compile_value(struct xf_compiler *c, enum xf_class class, const struct xf_value *value,
                      const char *set_name, struct xf_set *set)
{
    const char *why = "";
    enum xf_parsed parsed = XF_NOT_PARSED;
    if (class >= XF_CLASS_TEXT && !value->quoted && !set_name) {
        xf_error(c->report, value->at, "put it in quotes: \"%s\"", value->text);
        return;
    }
    if (c->values++ >= VALUES_MAX) {
        if (c->values == VALUES_MAX + 1)
            xf_error(c->report, value->at, "more than %u values in all", VALUES_MAX);
        return;
    }
    parsed = xf_value_add(class, value->text, &c->scope, set, &why);
    if (parsed == XF_NO_MEMORY)
        c->report->no_memory = true;
    if (parsed == XF_NOT_PARSED)
        xf_error(c->report, value->at, "'%s'%s%s is not %s", value->text,
                 set_name ? " in set " : "", set_name ? set_name : "", why);
    if (parsed == XF_PARSED_GUESS && !c->guessed) {
        c->guessed = true;
        xf_warning(c->report, value->at,
                   "'%s' is taken for what it is on Debian: give the guest's file with '%s "
                   "\"FILE\"'",
                   value->text, class == XF_CLASS_USER ? "users" : "groups");
    }
}

static const struct xf_named *find_named(const struct xf_level *level, const char *name)
{
    const struct xf_named key = {.name = name}, *p = &key;
    size_t lo = 0, hi = level->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (strcmp(level->by_name[mid]->name, p->name) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < level->n && !strcmp(level->by_name[lo]->name, name) ? level->by_name[lo] : NULL;
}

static int compare_use(const struct xf_use *a, const struct xf_use *b)
{
    uintptr_t x = (uintptr_t)a->set, y = (uintptr_t)b->set;
    if (x != y)
        return x < y ? -1 : 1;
    if (a->class != b->class)
        return a->class < b->class ? -1 : 1;
    if (a->icmp != b->icmp)
        return a->icmp < b->icmp ? -1 : 1;
    x = (uintptr_t)a->ids;
    y = (uintptr_t)b->ids;
    return x < y ? -1 : x > y;
}

/* Where the use is, or should go. */
static size_t find_use(const struct xf_level *level, const struct xf_use *use)
{
    size_t lo = 0, hi = level->uses.n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (compare_use(&level->uses.v[mid], use) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

/* As many rules as there are may use one set: it is made once. */
static bool make_use(struct xf_compiler *c, struct xf_level *level, size_t at, struct xf_use use)
{
    struct xf_set *set = set_new(c);
    if (!set)
        return false;
    use.index = (uint32_t)c->policy->sets.n - 1;
    for (const struct xf_value *v = use.set->values.first; v; v = v->next)
        xf_compile_value(c, use.class, v, use.set->name, set);
    if (!xf_set_seal(set) || !xb_vec_push(&level->uses, use)) {
        c->report->no_memory = true;
        return false;
    }
    struct xf_use *v = level->uses.v;
    memmove(v + at + 1, v + at, (level->uses.n - 1 - at) * sizeof(*v));
    v[at] = use;
    return true;
}

void xf_compile_reference(struct xf_compiler *c, const struct xf_match *match, enum xf_class class,
                          const struct xf_value *value)
{
    struct xf_level *level = &c->local;
    struct xf_use use = {.class = class};
    if (!(use.set = find_named(level, value->text))) {
        level = &c->file;
        use.set = find_named(level, value->text);
    }
    if (!use.set) {
        xf_error(c->report, value->at, "there is no set '%s' here", value->text);
        return;
    }
    if (match->op != XF_EQ && match->op != XF_NE) {
        xf_error(c->report, value->at, "'%s' compares with a single value", xf_op_sign(match->op));
        return;
    }
    use.icmp = class == XF_CLASS_ICMP ? c->scope.icmp : 0;
    if (class == XF_CLASS_USER)
        use.ids = c->block->names.users ? &c->block->names : &c->policy->ast.names;
    if (class == XF_CLASS_GROUP)
        use.ids = c->block->names.groups ? &c->block->names : &c->policy->ast.names;
    size_t at = find_use(level, &use);
    bool made = at < level->uses.n && !compare_use(&level->uses.v[at], &use);
    if (made || make_use(c, level, at, use))
        refer(c, level->uses.v[at].index);
}
