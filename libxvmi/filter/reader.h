/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XF_READER_H
#define XF_READER_H

/* The two readers of policies, and what lexer and grammar share. */

#include <setjmp.h>

#include "filter/ast.h"
#include "filter/report.h"

/* Make the tree. What is wrong is in report; the tree is whole only without errors. */
void xf_read_text(const char *text, size_t len, struct xf_ast *ast, struct xf_report *report);
void xf_read_json(const char *text, size_t len, struct xf_ast *ast, struct xf_report *report);

/* ---- lexer and grammar ---- */

struct xf_reader {
    struct xf_ast *ast;
    struct xf_report *report;
    struct xf_block *block; /* the one being read; NULL at the top */
    struct xf_at at;        /* where the lexer is */
    const char *word;       /* what it found last; NULL when that is no word */
    unsigned syntax_errors;
    jmp_buf fatal;
};

union xf_token;

int xf_reader_word(struct xf_reader *reader, union xf_token *token, const struct xf_at *at,
                   const char *text, size_t len);
int xf_reader_string(struct xf_reader *reader, union xf_token *token, const struct xf_at *at,
                     const char *text, size_t len);
void xf_reader_stray(struct xf_reader *reader, struct xf_at at, unsigned char c);
_Noreturn void xf_reader_fatal(struct xf_reader *reader);

/* The actions of the grammar. */
struct xf_values xf_values_add(struct xf_values values, struct xf_value *value);
struct xf_line *xf_line_add(struct xf_line *line, struct xf_match *match);
void xf_reader_block(struct xf_reader *reader, struct xf_at at, struct xf_values globs);
void xf_reader_block_end(struct xf_reader *reader);
void xf_reader_line(struct xf_reader *reader, struct xf_line *line);
void xf_reader_set(struct xf_reader *reader, struct xf_at at, const struct xf_value *name,
                   struct xf_values values);
void xf_reader_file(struct xf_reader *reader, struct xf_at at, bool groups,
                    const struct xf_value *path);
void xf_reader_default(struct xf_reader *reader, struct xf_at at, bool in, enum xf_verb verb,
                       bool log);
void xf_reader_option(struct xf_reader *reader, struct xf_at at, enum xf_option option,
                      const struct xf_value *value);

/* Shared by the two readers; they report what cannot be. */
struct xf_value *xf_value_new(struct xf_ast *ast, struct xf_report *report, struct xf_at at,
                              const char *text, size_t len, bool quoted);
/* Letters, digits, '_', '.' and '-', no digit first: the name of a set. */
bool xf_name_valid(const char *name);
/* UTF-8 without control characters. */
bool xf_printable(const char *text, size_t len);

#endif
