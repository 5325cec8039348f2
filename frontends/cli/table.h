/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XVMI_CLI_TABLE_H
#define XVMI_CLI_TABLE_H

/* Text in columns as wide as their widest cell. Cells are filled row by row. */

#include <stdbool.h>
#include <stddef.h>

struct table_column {
    const char *title;
    bool right; /* numbers */
};

struct table {
    const struct table_column *columns; /* borrowed */
    size_t n_columns;
    char **cells; /* owned */
    size_t n, cap;
};

#define TABLE_INIT(cols)                                                                           \
    {                                                                                              \
        .columns = (cols), .n_columns = sizeof(cols) / sizeof((cols)[0]),                          \
    }

/* The next cell; it must hold nothing a terminal would obey (text_safe()). */
void table_cell(struct table *table, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The next cell, a string of the guest. */
void table_guest_cell(struct table *table, const char *s, size_t len);

/* Title and rows on stdout, the title bold on a terminal unless $NO_COLOR is set; then frees. */
void table_print(struct table *table);

#endif
