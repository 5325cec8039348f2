// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* From the text of a policy to its tree: words, and what the grammar's rules do. */
#include <string.h>

#include "filter/reader.h"

#include "grammar.h"
#include "lexer.h"

static const struct {
    const char *word;
    int token;
    unsigned code;
} words[] = {
    {"vm", VM, 0},         {"set", SET, 0},         {"users", FILES, 0},
    {"groups", FILES, 1},  {"default", DEFAULT, 0}, {"learned", LEARNED, 0},
    {"log", LOG, 0},       {"in", IN, 0},           {"out", OUT, 0},
    {"parent", PARENT, 0}, {"ancestor", PARENT, 0}, {"tcp", PROTOCOL, 0},
    {"udp", PROTOCOL, 0},  {"icmp", PROTOCOL, 0},   {"icmp6", PROTOCOL, 0},
    {"sctp", PROTOCOL, 0},
};

static int find_word(const char *text, unsigned *code)
{
    for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
        if (!strcmp(words[i].word, text)) {
            *code = words[i].code;
            return words[i].token;
        }
    if ((*code = xf_verb_by_word(text)) != XF_VERBS)
        return VERB;
    if ((*code = xf_option_by_word(text)) != XF_OPTIONS)
        return OPTION;
    /* Keys with an underscore are two words in text. */
    if ((*code = xf_field_by_key(text)) != XF_FIELDS && !strchr(text, '_'))
        return FIELD;
    return WORD;
}

bool xf_printable(const char *text, size_t len)
{
    const unsigned char *p = (const unsigned char *)text, *end = p + len;
    while (p < end) {
        unsigned c = *p++;
        unsigned more = c < 0x80 ? 0 : c >= 0xc2 && c < 0xe0 ? 1 : (c & 0xf0) == 0xe0 ? 2 : 3;
        if (more == 3 && (c < 0xf0 || c > 0xf4))
            return false;
        if (more > (size_t)(end - p))
            return false;
        unsigned code = c & (0xffu >> (more + 1));
        for (unsigned i = 0; i < more; i++, p++) {
            if ((*p & 0xc0) != 0x80)
                return false;
            code = code << 6 | (*p & 0x3fu);
        }
        if ((more == 2 && (code < 0x800 || (code >= 0xd800 && code < 0xe000))) ||
            (more == 3 && (code < 0x10000 || code > 0x10ffff)) || c < 0x20 || c == 0x7f)
            return false;
    }
    return true;
}

struct xf_value *xf_value_new(struct xf_ast *ast, struct xf_report *report, struct xf_at at,
                              const char *text, size_t len, bool quoted)
{
    struct xf_value *value = xb_arena_alloc(&ast->arena, sizeof(*value));
    if (value) {
        value->reference = !quoted && len && *text == '@';
        value->text = xb_arena_text(&ast->arena, text + value->reference, len - value->reference);
        value->quoted = quoted;
        value->at = at;
    }
    if (!value || !value->text) {
        report->no_memory = true;
        return NULL;
    }
    if (!xf_printable(text, len))
        xf_error(report, at, "values are UTF-8 without control characters");
    return value;
}

bool xf_name_valid(const char *name)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_";
    if (!*name || !strchr(letters, *name))
        return false;
    name += strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789.-");
    return !*name;
}

/* The end of the input, as far as the grammar is concerned; no_memory says the rest. */
static int token_of(union xf_token *token, struct xf_value *value, int kind)
{
    token->word.value = value;
    return value ? kind : XF_YYEOF;
}

int xf_reader_word(struct xf_reader *reader, union xf_token *token, const struct xf_at *at,
                   const char *text, size_t len)
{
    struct xf_value *value = xf_value_new(reader->ast, reader->report, *at, text, len, false);
    unsigned code = 0;
    int kind = value && !value->reference ? find_word(value->text, &code) : WORD;
    reader->word = value ? value->text : NULL;
    token->word.code = code;
    return token_of(token, value, kind);
}

int xf_reader_string(struct xf_reader *reader, union xf_token *token, const struct xf_at *at,
                     const char *text, size_t len)
{
    struct xf_value *value =
        xf_value_new(reader->ast, reader->report, *at, text + 1, len - 2, true);
    token->word.code = 0;
    reader->word = NULL;
    if (!value)
        return token_of(token, NULL, 0);
    char *to = memchr(value->text, '\\', len - 2), *from = to;
    while (from && *from) {
        if (*from == '\\' && from[1] != '\\' && from[1] != '"')
            xf_error(reader->report,
                     (struct xf_at){at->line, at->column + 1 + (uint32_t)(from - value->text)},
                     "in a string, \\ goes before \\ and \" only");
        from += *from == '\\' && from[1];
        *to++ = *from++;
    }
    if (to)
        *to = 0;
    return token_of(token, value, STRING);
}

void xf_reader_stray(struct xf_reader *reader, struct xf_at at, unsigned char c)
{
    if (c > 0x20 && c < 0x7f)
        xf_error(reader->report, at, "a stray '%c'", c);
    else
        xf_error(reader->report, at, "a stray byte %#x: only strings hold such", c);
}

_Noreturn void xf_reader_fatal(struct xf_reader *reader)
{
    longjmp(reader->fatal, 1);
}

void xf_read_text(const char *text, size_t len, struct xf_ast *ast, struct xf_report *report)
{
    struct xf_reader reader = {.ast = ast, .report = report, .at = {1, 1}};
    yyscan_t scanner;
    if (xf_yylex_init_extra(&reader, &scanner)) {
        report->no_memory = true;
        return;
    }
    if (setjmp(reader.fatal) || !xf_yy_scan_bytes(text, (int)len, scanner))
        report->no_memory = true;
    else if (xf_yyparse(scanner, &reader) == 2)
        report->no_memory = true;
    xf_yylex_destroy(scanner);
}

/* ---- actions ---- */

struct xf_values xf_values_add(struct xf_values values, struct xf_value *value)
{
    xf_append(&values, value);
    values.n++;
    return values;
}

struct xf_line *xf_line_add(struct xf_line *line, struct xf_match *match)
{
    xf_append(line, match);
    return line;
}

static struct xf_names *names_here(struct xf_reader *reader)
{
    return reader->block ? &reader->block->names : &reader->ast->names;
}

void xf_reader_block(struct xf_reader *reader, struct xf_at at, struct xf_values globs)
{
    struct xf_block *block = xb_arena_alloc(&reader->ast->arena, sizeof(*block));
    if (!block) {
        reader->report->no_memory = true;
        return;
    }
    block->at = at;
    block->globs = globs;
    xf_append(reader->ast, block);
    reader->block = block;
}

void xf_reader_block_end(struct xf_reader *reader)
{
    reader->block = NULL;
}

void xf_reader_line(struct xf_reader *reader, struct xf_line *line)
{
    if (reader->block)
        xf_append(reader->block, line);
}

void xf_reader_set(struct xf_reader *reader, struct xf_at at, const struct xf_value *name,
                   struct xf_values values)
{
    struct xf_named *set = xb_arena_alloc(&reader->ast->arena, sizeof(*set));
    if (!set) {
        reader->report->no_memory = true;
        return;
    }
    if (name->reference)
        xf_error(reader->report, at, "the name of a set is written without @ here");
    if (!xf_name_valid(name->text))
        xf_error(reader->report, at, "the name of a set has letters, digits, '_', '.' and '-'");
    set->name = name->text;
    set->values = values;
    set->at = at;
    struct xf_names *names = names_here(reader);
    xf_append(names, set);
}

void xf_reader_file(struct xf_reader *reader, struct xf_at at, bool groups,
                    const struct xf_value *path)
{
    struct xf_names *names = names_here(reader);
    const char **to = groups ? &names->groups : &names->users;
    if (*to)
        xf_error(reader->report, at, "'%s' was given before", groups ? "groups" : "users");
    *to = path->text;
    *(groups ? &names->groups_at : &names->users_at) = path->at;
}

void xf_reader_default(struct xf_reader *reader, struct xf_at at, bool in, enum xf_verb verb,
                       bool log)
{
    if (!reader->block)
        return;
    struct xf_default *def = in ? &reader->block->in : &reader->block->out;
    if (def->given)
        xf_error(reader->report, at, "'default%s' was given before, at line %u", in ? " in" : "",
                 def->at.line);
    *def = (struct xf_default){true, log, verb, at};
}

void xf_reader_option(struct xf_reader *reader, struct xf_at at, enum xf_option option,
                      const struct xf_value *value)
{
    if (!reader->block)
        return;
    unsigned i = 0;
    while (i < 2 && strcmp(xf_option_value(option, i), value->text))
        i++;
    if (i == 2)
        xf_error(reader->report, value->at, "'%s' is '%s' or '%s'", xf_option_word(option),
                 xf_option_value(option, 0), xf_option_value(option, 1));
    if (reader->block->options[option].given)
        xf_error(reader->report, at, "'%s' was given before, at line %u", xf_option_word(option),
                 reader->block->options[option].at.line);
    reader->block->options[option].given = true;
    reader->block->options[option].value = i == 1;
    reader->block->options[option].at = at;
}
