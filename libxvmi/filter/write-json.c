// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* A policy's tree, in JSON: the same words, in the same order. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "filter/writer.h"

/* jansson's setters take NULL for "could not be made" and fail; this remembers that. */
struct out {
    bool failed;
    bool no_places; /* they are those of this very form, and change when it is written */
};

static void put(struct out *out, json_t *object, const char *key, json_t *value)
{
    out->failed |= json_object_set_new(object, key, value) != 0;
}

static void add(struct out *out, json_t *array, json_t *value)
{
    out->failed |= json_array_append_new(array, value) != 0;
}

static void put_at(struct out *out, json_t *object, struct xf_at at)
{
    if (!at.line || out->no_places)
        return;
    json_t *pair = json_array();
    add(out, pair, json_integer(at.line));
    add(out, pair, json_integer(at.column));
    put(out, object, "at", pair);
}

/* Numbers that come back as the same text. */
static bool is_plain_number(const char *text)
{
    size_t len = strlen(text);
    return len && len < 16 && strspn(text, "0123456789") == len && (len == 1 || *text != '0');
}

/* A text that begins with @ but names no set stands in an object. */
static json_t *value_json(struct out *out, const struct xf_value *value)
{
    if (value->reference)
        return json_sprintf("@%s", value->text);
    if (is_plain_number(value->text))
        return json_integer(strtoll(value->text, NULL, 10));
    if (*value->text != '@')
        return json_string(value->text);
    json_t *object = json_object();
    put(out, object, "text", json_string(value->text));
    return object;
}

static json_t *values_json(struct out *out, const struct xf_values *values)
{
    json_t *array = json_array();
    for (const struct xf_value *v = values->first; v; v = v->next)
        add(out, array, value_json(out, v));
    return array;
}

static json_t *match_json(struct out *out, const struct xf_match *match)
{
    json_t *values = values_json(out, &match->values);
    if (match->op == XF_EQ)
        return values;
    json_t *object = json_object();
    put(out, object, xf_op_key(match->op), values);
    return object;
}

static json_t *rule_json(struct out *out, const struct xf_line *line)
{
    json_t *rule = json_object();
    put(out, rule, "verdict", json_string(xf_verb_word(line->verb)));
    if (line->in)
        put(out, rule, "direction", json_string("in"));
    for (const struct xf_match *m = line->first; m; m = m->next)
        put(out, rule, xf_field_key(m->field), match_json(out, m));
    if (line->log)
        put(out, rule, "log", json_true());
    put_at(out, rule, line->at);
    return rule;
}

static void put_names(struct out *out, json_t *object, const struct xf_names *names)
{
    if (names->users)
        put(out, object, "users", json_string(names->users));
    if (names->groups)
        put(out, object, "groups", json_string(names->groups));
    if (!names->first)
        return;
    json_t *sets = json_object();
    for (const struct xf_named *set = names->first; set; set = set->next)
        put(out, sets, set->name, values_json(out, &set->values));
    put(out, object, "sets", sets);
}

static void put_default(struct out *out, json_t *object, const char *key,
                        const struct xf_default *def)
{
    if (!def->given)
        return;
    json_t *o = json_object();
    put(out, o, "verdict", json_string(xf_verb_word(def->verb)));
    if (def->log)
        put(out, o, "log", json_true());
    put_at(out, o, def->at);
    put(out, object, key, o);
}

static json_t *block_json(struct out *out, const struct xf_block *block)
{
    json_t *o = json_object(), *rules = json_array();
    put(out, o, "vm", values_json(out, &block->globs));
    put_default(out, o, "default", &block->out);
    put_default(out, o, "default_in", &block->in);
    for (enum xf_option i = 0; i < XF_OPTIONS; i++)
        if (block->options[i].given)
            put(out, o, xf_option_word(i),
                json_string(xf_option_value(i, block->options[i].value)));
    put_names(out, o, &block->names);
    for (const struct xf_line *line = block->first; line; line = line->next)
        add(out, rules, rule_json(out, line));
    put(out, o, "rules", rules);
    put_at(out, o, block->at);
    return o;
}

char *xf_write_json(const struct xf_ast *ast)
{
    struct out out = {.no_places = ast->own_places};
    json_t *root = json_object(), *blocks = json_array();
    char *text = NULL;
    if (ast->learned)
        put(&out, root, "learned", json_true());
    put_names(&out, root, &ast->names);
    for (const struct xf_block *block = ast->first; block; block = block->next)
        add(&out, blocks, block_json(&out, block));
    put(&out, root, "vms", blocks);
    if (!out.failed)
        text = json_dumps(root, JSON_INDENT(2));
    json_decref(root);
    return text;
}
