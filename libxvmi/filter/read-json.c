// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* From the JSON form of a policy to its tree. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "filter/json-places.h"
#include "filter/reader.h"

/* Where in the document we are; messages begin with it. */
struct path {
    const struct path *up;
    const char *key; /* NULL: an index */
    size_t index;
    const json_t *node; /* what is there */
};

struct json_reader {
    struct xf_ast *ast;
    struct xf_report *report;
    const struct xf_places *places; /* NULL: the document says itself where it came from */
};

static struct xf_at place_of(const struct json_reader *r, const json_t *node)
{
    return r->places ? xf_places_find(r->places, node) : (struct xf_at){0};
}

/* The innermost thing whose place is known. */
static struct xf_at place_on(const struct json_reader *r, const struct path *path)
{
    struct xf_at at = {0};
    for (; path && !at.line; path = path->up)
        at = place_of(r, path->node);
    return at;
}

static void path_text(const struct path *path, char *buf, size_t size)
{
    if (!path) {
        *buf = 0;
        return;
    }
    path_text(path->up, buf, size);
    size_t used = strlen(buf);
    if (path->key)
        snprintf(buf + used, size - used, "%s%.40s", used ? "." : "", path->key);
    else
        snprintf(buf + used, size - used, "[%zu]", path->index);
}

static void complain(struct json_reader *r, const struct path *path, const char *what)
{
    char where[160];
    path_text(path, where, sizeof(where));
    xf_error(r->report, place_on(r, path), "%s: %s", *where ? where : "the document", what);
}

static void *need(struct json_reader *r, void *p)
{
    if (!p)
        r->report->no_memory = true;
    return p;
}

#define NEW(r, type) ((type *)need(r, xb_arena_alloc(&(r)->ast->arena, sizeof(type))))

/* NULL after a complaint. */
static const char *string_of(struct json_reader *r, const struct path *path, const json_t *json)
{
    const char *text = json_string_value(json);
    if (!text || strlen(text) != json_string_length(json)) {
        complain(r, path, "a string is wanted");
        return NULL;
    }
    return text;
}

static const char *keep_string(struct json_reader *r, const struct path *path, const json_t *json)
{
    const char *text = string_of(r, path, json);
    if (text && !xf_printable(text, strlen(text)))
        complain(r, path, "control characters cannot stand here");
    return text ? need(r, xb_arena_text(&r->ast->arena, text, strlen(text))) : NULL;
}

static bool bool_of(struct json_reader *r, const struct path *path, const json_t *json)
{
    if (!json_is_boolean(json))
        complain(r, path, "true or false is wanted");
    return json_is_true(json);
}

/* What it says of its place in the text it was made from, else its place. */
static struct xf_at at_of(const struct json_reader *r, const json_t *object)
{
    const json_t *at = json_object_get(object, "at");
    json_int_t line = json_integer_value(json_array_get(at, 0));
    json_int_t column = json_integer_value(json_array_get(at, 1));
    if (line < 1 || line > UINT32_MAX || column < 1 || column > UINT32_MAX)
        return place_of(r, object);
    return (struct xf_at){(uint32_t)line, (uint32_t)column};
}

/* ---- values ---- */

static struct xf_value *read_value(struct json_reader *r, const struct path *path,
                                   const json_t *json)
{
    char number[32];
    const char *text = number;
    bool literal = json_is_object(json);
    if (json_is_integer(json))
        snprintf(number, sizeof(number), "%" JSON_INTEGER_FORMAT, json_integer_value(json));
    else if (!(text = string_of(r, path, literal ? json_object_get(json, "text") : json)))
        return NULL;
    bool quoted = literal || *text != '@';
    return xf_value_new(r->ast, r->report, place_of(r, json), text, strlen(text), quoted);
}

static struct xf_values read_values(struct json_reader *r, const struct path *path,
                                    const json_t *json)
{
    struct xf_values values = {0};
    size_t n = json_is_array(json) ? json_array_size(json) : 1;
    for (size_t i = 0; i < n; i++) {
        const json_t *one = json_is_array(json) ? json_array_get(json, i) : json;
        const struct path at = {.up = path, .index = i, .node = one};
        struct xf_value *value = read_value(r, json_is_array(json) ? &at : path, one);
        if (value)
            values = xf_values_add(values, value);
    }
    return values;
}

/* ---- names ---- */

static void read_sets(struct json_reader *r, const struct path *path, json_t *json,
                      struct xf_names *names)
{
    const char *key;
    json_t *value;
    if (!json_is_object(json)) {
        complain(r, path, "an object of sets by name is wanted");
        return;
    }
    json_object_foreach(json, key, value)
    {
        const struct path at = {.up = path, .key = key, .node = value};
        struct xf_named *set = NEW(r, struct xf_named);
        if (!set || !(set->name = need(r, xb_arena_text(&r->ast->arena, key, strlen(key)))))
            return;
        if (!xf_name_valid(key))
            complain(r, &at, "the name of a set has letters, digits, '_', '.' and '-'");
        set->at = place_of(r, value);
        set->values = read_values(r, &at, value);
        xf_append(names, set);
    }
}

/* False when the key is none of these. */
static bool read_name(struct json_reader *r, const struct path *path, json_t *json,
                      struct xf_names *names)
{
    if (!strcmp(path->key, "users"))
        names->users = keep_string(r, path, json);
    else if (!strcmp(path->key, "groups"))
        names->groups = keep_string(r, path, json);
    else if (!strcmp(path->key, "sets"))
        read_sets(r, path, json, names);
    else
        return false;
    return true;
}

/* ---- rules ---- */

static void read_match(struct json_reader *r, const struct path *path, json_t *json,
                       enum xf_field field, struct xf_line *line)
{
    struct xf_match *match = NEW(r, struct xf_match);
    if (!match)
        return;
    match->field = field;
    match->at = place_of(r, json);
    if (!match->at.line)
        match->at = line->at;
    json_t *values = json;
    if (json_is_object(json) && !json_object_get(json, "text")) {
        values = NULL;
        for (enum xf_op op = 0; op < XF_OPS && json_object_size(json) == 1; op++)
            if ((values = json_object_get(json, xf_op_key(op)))) {
                match->op = op;
                break;
            }
    }
    if (!values)
        complain(r, path, "one of is, not, lt, le, gt and ge is wanted");
    else
        match->values = read_values(r, path, values);
    if (values && !match->values.n)
        complain(r, path, "a value is wanted");
    xf_append(line, match);
}

static enum xf_verb read_verb(struct json_reader *r, const struct path *path, const json_t *json)
{
    const struct path at = {.up = path, .key = "verdict", .node = json};
    const char *text = string_of(r, &at, json);
    enum xf_verb verb = text ? xf_verb_by_word(text) : XF_VERBS;
    if (text && verb == XF_VERBS)
        complain(r, &at, "allow, deny, reject or audit is wanted");
    return verb == XF_VERBS ? XF_DENY : verb;
}

static void read_direction(struct json_reader *r, const struct path *path, const json_t *json,
                           struct xf_line *line)
{
    const char *text = string_of(r, path, json);
    line->in = text && !strcmp(text, "in");
    if (text && !line->in && strcmp(text, "out"))
        complain(r, path, "in or out is wanted");
}

static void read_rule(struct json_reader *r, const struct path *path, json_t *json,
                      struct xf_block *block)
{
    struct xf_line *line = NEW(r, struct xf_line);
    const char *key;
    json_t *value;
    if (!line)
        return;
    if (!json_is_object(json)) {
        complain(r, path, "an object is wanted");
        return;
    }
    line->at = at_of(r, json);
    line->verb = read_verb(r, path, json_object_get(json, "verdict"));
    json_object_foreach(json, key, value)
    {
        const struct path at = {.up = path, .key = key, .node = value};
        enum xf_field field = xf_field_by_key(key);
        if (field != XF_FIELDS)
            read_match(r, &at, value, field, line);
        else if (!strcmp(key, "log"))
            line->log = bool_of(r, &at, value);
        else if (!strcmp(key, "direction"))
            read_direction(r, &at, value, line);
        else if (strcmp(key, "verdict") && strcmp(key, "at"))
            complain(r, &at, "no such key in a rule");
    }
    xf_append(block, line);
}

/* ---- blocks ---- */

static struct xf_default read_default(struct json_reader *r, const struct path *path, json_t *json)
{
    const struct path log = {.up = path, .key = "log"};
    const json_t *value = json_object_get(json, "log");
    return (struct xf_default){
        .given = true,
        .verb = read_verb(r, path, json_object_get(json, "verdict")),
        .log = value && bool_of(r, &log, value),
        .at = at_of(r, json),
    };
}

static void read_option(struct json_reader *r, const struct path *path, const json_t *json,
                        enum xf_option option, struct xf_block *block)
{
    const char *text = string_of(r, path, json);
    unsigned value = 0;
    while (text && value < 2 && strcmp(text, xf_option_value(option, value)))
        value++;
    if (value == 2)
        complain(r, path, "not a word that this option knows");
    block->options[option].given = true;
    block->options[option].value = value == 1;
}

static void read_rules(struct json_reader *r, const struct path *path, const json_t *json,
                       struct xf_block *block)
{
    if (!json_is_array(json))
        complain(r, path, "an array is wanted");
    for (size_t i = 0; i < json_array_size(json); i++) {
        const struct path at = {.up = path, .index = i, .node = json_array_get(json, i)};
        read_rule(r, &at, json_array_get(json, i), block);
    }
}

static void read_block(struct json_reader *r, const struct path *path, json_t *json)
{
    struct xf_block *block = NEW(r, struct xf_block);
    const char *key;
    json_t *value;
    if (!block)
        return;
    if (!json_is_object(json) || !json_object_get(json, "vm")) {
        complain(r, path, "an object with a key 'vm' is wanted");
        return;
    }
    block->at = at_of(r, json);
    json_object_foreach(json, key, value)
    {
        const struct path at = {.up = path, .key = key, .node = value};
        enum xf_option option = xf_option_by_word(key);
        if (option != XF_OPTIONS)
            read_option(r, &at, value, option, block);
        else if (!strcmp(key, "vm"))
            block->globs = read_values(r, &at, value);
        else if (!strcmp(key, "default"))
            block->out = read_default(r, &at, value);
        else if (!strcmp(key, "default_in"))
            block->in = read_default(r, &at, value);
        else if (!strcmp(key, "rules"))
            read_rules(r, &at, value, block);
        else if (!read_name(r, &at, value, &block->names) && strcmp(key, "at"))
            complain(r, &at, "no such key in a vm block");
    }
    for (const struct xf_value *v = block->globs.first; v; v = v->next)
        if (v->reference)
            complain(r, path, "the names of guests are strings, not sets");
    xf_append(r->ast, block);
}

static void read_root(struct json_reader *r, json_t *root)
{
    const char *key;
    json_t *value;
    json_object_foreach(root, key, value)
    {
        const struct path at = {.key = key, .node = value};
        if (!strcmp(key, "vms")) {
            if (!json_is_array(value))
                complain(r, &at, "an array is wanted");
            for (size_t i = 0; i < json_array_size(value); i++) {
                const struct path one = {.up = &at, .index = i, .node = json_array_get(value, i)};
                read_block(r, &one, json_array_get(value, i));
            }
        } else if (!strcmp(key, "learned")) {
            r->ast->learned = bool_of(r, &at, value);
        } else if (!read_name(r, &at, value, &r->ast->names)) {
            complain(r, &at, "no such key in a policy");
        }
    }
}

/* Does anything in it say where it was in another text? */
static bool has_places(const json_t *root)
{
    const json_t *vms = json_object_get(root, "vms"), *vm, *rule;
    size_t i, k;
    json_array_foreach(vms, i, vm)
    {
        if (json_object_get(vm, "at") || json_object_get(json_object_get(vm, "default"), "at") ||
            json_object_get(json_object_get(vm, "default_in"), "at"))
            return true;
        json_array_foreach(json_object_get(vm, "rules"), k, rule)
        {
            if (json_object_get(rule, "at"))
                return true;
        }
    }
    return false;
}

void xf_read_json(const char *text, size_t len, struct xf_ast *ast, struct xf_report *report)
{
    struct json_reader r = {.ast = ast, .report = report};
    json_error_t error;
    json_t *root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &error);
    if (!root) {
        struct xf_at at = {error.line > 0 ? (uint32_t)error.line : 1,
                           error.column > 0 ? (uint32_t)error.column : 1};
        if (json_error_code(&error) == json_error_out_of_memory)
            report->no_memory = true;
        else
            xf_error(report, at, "JSON: %s", error.text);
        return;
    }
    struct xf_places places = {0};
    if (has_places(root)) {
        report->source = NULL; /* they are places in that text */
    } else {
        xf_places_fill(&places, text, len, root);
        r.places = &places;
        ast->own_places = true;
    }
    read_root(&r, root);
    xf_places_fini(&places);
    json_decref(root);
}
