// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* A policy's tree, in the text language. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "filter/value.h"
#include "filter/writer.h"

static void put_string(FILE *f, const char *text)
{
    fputc('"', f);
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            fputc('\\', f);
        fputc(*text, f);
    }
    fputc('"', f);
}

/* Whether the lexer reads it as one word. */
static bool is_word(const char *text)
{
    static const char word[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                               "_.:/*?+-";
    return *text && !text[strspn(text, word)];
}

static bool is_number(const char *text)
{
    return *text && !text[strspn(text, "0123456789-")];
}

/* `words`: without quotes where that does. */
static void put_value(FILE *f, const struct xf_value *value, bool words)
{
    if (value->reference)
        fprintf(f, "@%s", value->text);
    else if (words && is_word(value->text))
        fputs(value->text, f);
    else
        put_string(f, value->text);
}

static void put_values(FILE *f, const struct xf_values *values, bool words, bool braces)
{
    if (braces)
        fputs("{ ", f);
    for (const struct xf_value *v = values->first; v; v = v->next) {
        put_value(f, v, words);
        if (v->next)
            fputs(", ", f);
    }
    if (braces)
        fputs(values->n ? " }" : "}", f);
}

static bool takes_words(enum xf_field field)
{
    return field <= XF_NETNS || field == XF_EUID || field == XF_GID || field == XF_AGE;
}

static void put_rule(FILE *f, const struct xf_line *line)
{
    fprintf(f, "    %s%s", xf_verb_word(line->verb), line->in ? " in" : "");
    for (const struct xf_match *m = line->first; m; m = m->next) {
        fprintf(f, " %s ", xf_field_words(m->field));
        if (m->op != XF_EQ)
            fprintf(f, "%s ", xf_op_sign(m->op));
        put_values(f, &m->values, takes_words(m->field), m->values.n != 1);
    }
    fputs(line->log ? " log\n" : "\n", f);
}

static void put_names(FILE *f, const char *indent, const struct xf_names *names)
{
    const char *const paths[] = {names->users, names->groups};
    for (unsigned i = 0; i < 2; i++)
        if (paths[i]) {
            fprintf(f, "%s%s ", indent, i ? "groups" : "users");
            put_string(f, paths[i]);
            fputc('\n', f);
        }
    for (const struct xf_named *set = names->first; set; set = set->next) {
        fprintf(f, "%sset %s ", indent, set->name);
        fputs("{ ", f);
        for (const struct xf_value *v = set->values.first; v; v = v->next) {
            put_value(f, v, xf_value_is_addr(v->text) || is_number(v->text));
            fputs(v->next ? ", " : " ", f);
        }
        fputs("}\n", f);
    }
}

static void put_default(FILE *f, const char *direction, const struct xf_default *def)
{
    if (def->given)
        fprintf(f, "    default %s%s%s\n", direction, xf_verb_word(def->verb),
                def->log ? " log" : "");
}

static void put_block(FILE *f, const struct xf_block *block)
{
    fputs("vm ", f);
    put_values(f, &block->globs, false, false);
    fputs(" {\n", f);
    put_default(f, "", &block->out);
    put_default(f, "in ", &block->in);
    for (enum xf_option o = 0; o < XF_OPTIONS; o++)
        if (block->options[o].given)
            fprintf(f, "    %s %s\n", xf_option_word(o),
                    xf_option_value(o, block->options[o].value));
    put_names(f, "    ", &block->names);
    for (const struct xf_line *line = block->first; line; line = line->next)
        put_rule(f, line);
    fputs("}\n", f);
}

char *xf_write_text(const struct xf_ast *ast)
{
    char *text = NULL;
    size_t len;
    FILE *f = open_memstream(&text, &len);
    if (!f)
        return NULL;
    if (ast->learned)
        fputs("learned\n", f);
    put_names(f, "", &ast->names);
    for (const struct xf_block *block = ast->first; block; block = block->next)
        put_block(f, block);
    bool failed = ferror(f);
    if (!fclose(f) && !failed)
        return text;
    free(text);
    return NULL;
}
