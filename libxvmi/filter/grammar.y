/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* The policy language; docs/policy.md describes it for people. Nothing nests without bound:
 * values in a set, sets and rules in a vm block, blocks in a file. */
%code requires {
#include "filter/reader.h"
}
%code top {
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
}

%code provides {
/* As the lexer calls them. */
#define YYSTYPE XF_YYSTYPE
#define YYLTYPE XF_YYLTYPE
}

%define api.pure full
%define api.prefix {xf_yy}
%define api.location.type {struct xf_at}
%define parse.error custom
%define parse.lac full
%locations
%param { void *scanner }
%parse-param { struct xf_reader *reader }

%union xf_token {
    struct {
        struct xf_value *value; /* the word itself, should it turn out to be an operand */
        unsigned code;          /* which verb, field... */
    } word;
    struct xf_values values;
    struct xf_match *match;
    struct xf_line *line;
    enum xf_op op;
}

%code {
#include <string.h>

#include "lexer.h"

#define YYLLOC_DEFAULT(current, rhs, n)                                                            \
    ((current) = (n) ? YYRHSLOC(rhs, 1) : YYRHSLOC(rhs, 0))

static void xf_yyerror(const struct xf_at *at, void *scanner, struct xf_reader *reader,
                       const char *text);
static struct xf_line *line_new(struct xf_reader *reader, struct xf_at at, unsigned verb);
static struct xf_match *match_new(struct xf_reader *reader, struct xf_at at, unsigned field,
                                  enum xf_op op, struct xf_values values);
static void end_in_reject(struct xf_reader *reader, struct xf_at at, struct xf_line *line,
                          unsigned verb);
static void direct(struct xf_reader *reader, struct xf_at at, struct xf_line *line, bool in);
#define ALLOCATED(p)                                                                               \
    do {                                                                                           \
        if (!(p)) {                                                                                \
            reader->report->no_memory = true;                                                      \
            YYABORT;                                                                               \
        }                                                                                          \
    } while (0)
}

%token SEPARATOR "end of line"
%token <op> OP "comparison"
%token <word> WORD "word" STRING "string" VM "'vm'" SET "'set'" FILES "'users' or 'groups'"
%token <word> DEFAULT "'default'" LEARNED "'learned'" LOG "'log'" IN "'in'" OUT "'out'"
%token <word> PARENT "'parent'" VERB "verdict" OPTION "option" FIELD "condition"
%token <word> PROTOCOL "protocol"
%type <word> any
%type <values> values value_list strings
%type <op> op
%type <match> match
%type <line> rule
%type <word> value

%%

policy: lines ;
lines: line | lines separator line ;
separator: SEPARATOR { yyerrok; } ; /* what follows is looked at, whatever was before */
line: %empty
    | vm
    | common
    | LEARNED { reader->ast->learned = true; }
    | error
    ;

vm: VM strings blank '{' { xf_reader_block(reader, @1, $2); }
    statements '}' { xf_reader_block_end(reader); }
    ;
strings: STRING { $$ = xf_values_add((struct xf_values){0}, $1.value); }
    | strings ',' blank STRING { $$ = xf_values_add($1, $4.value); }
    ;
blank: %empty | blank SEPARATOR ;

common: SET any blank '{' blank '}' {
        xf_reader_set(reader, @2, $2.value, (struct xf_values){0});
    }
    | SET any blank '{' blank value_list list_end '}' { xf_reader_set(reader, @2, $2.value, $6); }
    | SET any blank '{' error '}' { xf_reader_set(reader, @2, $2.value, (struct xf_values){0}); }
    | FILES STRING { xf_reader_file(reader, @1, $1.code, $2.value); }
    ;

statements: statement | statements separator statement ;
statement: %empty
    | common
    | DEFAULT VERB { xf_reader_default(reader, @1, false, $2.code, false); }
    | DEFAULT VERB LOG { xf_reader_default(reader, @1, false, $2.code, true); }
    | DEFAULT IN VERB { xf_reader_default(reader, @1, true, $3.code, false); }
    | DEFAULT IN VERB LOG { xf_reader_default(reader, @1, true, $3.code, true); }
    | OPTION any { xf_reader_option(reader, @1, $1.code, $2.value); }
    | rule { xf_reader_line(reader, $1); }
    | error
    ;

rule: VERB { $$ = line_new(reader, @1, $1.code); ALLOCATED($$); }
    | rule match { $$ = xf_line_add($1, $2); }
    | rule LOG { $$ = $1; $$->log = true; }
    | rule IN { $$ = $1; direct(reader, @2, $$, true); }
    | rule OUT { $$ = $1; direct(reader, @2, $$, false); }
    | rule VERB { $$ = $1; end_in_reject(reader, @2, $$, $2.code); }
    ;

match: FIELD op values { $$ = match_new(reader, @1, $1.code, $2, $3); ALLOCATED($$); }
    | PARENT FIELD op values {
        if ($2.code != XF_EXE && $2.code != XF_COMM)
            xf_error(reader->report, @2, "'parent' goes with 'exe' or 'comm'");
        $$ = match_new(reader, @1, $2.code == XF_COMM ? XF_PARENT_COMM : XF_PARENT_EXE, $3, $4);
        ALLOCATED($$);
    }
    | PROTOCOL {
        $$ = match_new(reader, @1, XF_PROTO, XF_EQ, xf_values_add((struct xf_values){0}, $1.value));
        ALLOCATED($$);
    }
    ;
op: %empty { $$ = XF_EQ; } | OP ;
values: value { $$ = xf_values_add((struct xf_values){0}, $1.value); }
    | '{' blank value_list list_end '}' { $$ = $3; }
    | '{' error '}' { $$ = (struct xf_values){0}; } /* it is not the block that ends here */
    ;
value_list: value { $$ = xf_values_add((struct xf_values){0}, $1.value); }
    | value_list blank ',' blank value { $$ = xf_values_add($1, $5.value); }
    ;
list_end: blank | blank ',' blank ;
value: any | STRING ;
/* Where a word must stand, any will do: a user may be called 'log'. */
any: WORD | VM | SET | FILES | DEFAULT | LEARNED | LOG | IN | OUT | PARENT | VERB | OPTION
    | FIELD | PROTOCOL
    ;

%%

static struct xf_line *line_new(struct xf_reader *reader, struct xf_at at, unsigned verb)
{
    struct xf_line *line = xb_arena_alloc(&reader->ast->arena, sizeof(*line));
    if (line) {
        line->verb = (enum xf_verb)verb;
        line->at = at;
    }
    return line;
}

static struct xf_match *match_new(struct xf_reader *reader, struct xf_at at, unsigned field,
                                  enum xf_op op, struct xf_values values)
{
    struct xf_match *match = xb_arena_alloc(&reader->ast->arena, sizeof(*match));
    if (match) {
        match->field = (enum xf_field)field;
        match->op = op;
        match->values = values;
        match->at = at;
    }
    return match;
}

/* `deny ... reject` is another way to write `reject ...`. */
static void end_in_reject(struct xf_reader *reader, struct xf_at at, struct xf_line *line,
                          unsigned verb)
{
    if (verb == XF_REJECT && line->verb == XF_DENY)
        line->verb = XF_REJECT;
    else
        xf_error(reader->report, at, "'%s' cannot stand here: a rule begins with its verdict",
                 xf_verb_word((enum xf_verb)verb));
}

static void direct(struct xf_reader *reader, struct xf_at at, struct xf_line *line, bool in)
{
    if (!in && line->in)
        xf_error(reader->report, at, "a rule is for 'in' or 'out': write two rules");
    line->in = in;
}

static void xf_yyerror(const struct xf_at *at, void *scanner, struct xf_reader *reader,
                       const char *text)
{
    (void)scanner;
    (void)text; /* the parser's stack is at its limit, or memory is */
    (void)at;
    reader->report->no_memory = true;
}

/* What people write who know nftables. */
static const char *word_instead(const char *word)
{
    static const char *const words[][2] = {
        {"accept", "allow"}, {"drop", "deny"},    {"saddr", "from"},
        {"daddr", "to"},     {"ip", "from' or 'to"}, {"ip6", "from' or 'to"},
        {"skuid", "uid"},    {"skgid", "gid"},    {"policy", "default"},
        {"l4proto", "proto"}};
    for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
        if (!strcmp(words[i][0], word))
            return words[i][1];
    return NULL;
}

/* Names what may stand there if that is few things; a list of twenty helps nobody. */
static int yyreport_syntax_error(const yypcontext_t *context, void *scanner,
                                 struct xf_reader *reader)
{
    (void)scanner;
    yysymbol_kind_t found = yypcontext_token(context), expected[5];
    const char *word = found == YYSYMBOL_YYEOF ? NULL : reader->word;
    const char *instead = word ? word_instead(word) : NULL;
    if (instead) {
        xf_error(reader->report, *yypcontext_location(context),
                 "'%s' cannot stand here: the word is '%s'", word, instead);
        return 0;
    }
    int n = yypcontext_expected_tokens(context, expected, 5);
    char text[160] = "";
    size_t used = 0;
    for (int i = 0; i < n && used < sizeof(text); i++)
        used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s",
                                 i == 0 ? ": expected " : i == n - 1 ? " or " : ", ",
                                 yysymbol_name(expected[i]));
    xf_error(reader->report, *yypcontext_location(context), "%s%s%s cannot stand here%s",
             word ? "'" : "",
             word                      ? word
             : found == YYSYMBOL_YYEOF ? "the end of the file"
             : found < 0               ? "this"
                                       : yysymbol_name(found),
             word ? "'" : "", text);
    return 0;
}
