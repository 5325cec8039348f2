// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "table.h"
#include "text.h"

static void put(struct table *table, char *cell)
{
    if (table->n == table->cap) {
        table->cap = table->cap ? table->cap * 2 : 256;
        table->cells = must_grow(table->cells, table->cap, sizeof(*table->cells));
    }
    table->cells[table->n++] = cell;
}

void table_cell(struct table *table, const char *fmt, ...)
{
    char *cell;
    va_list args;
    va_start(args, fmt);
    if (vasprintf(&cell, fmt, args) < 0)
        cell = must_printf("?");
    va_end(args);
    put(table, cell);
}

void table_guest_cell(struct table *table, const char *s, size_t len)
{
    put(table, text_safe(s, len));
}

/* The caller ends the line. */
static void print_cell(const struct table_column *column, const char *cell, size_t width, bool last)
{
    size_t used = text_width(cell);
    int fill = used < width ? (int)(width - used) : 0;
    if (column->right)
        printf("%*s%s", fill, "", cell);
    else
        printf("%s%*s", cell, last ? 0 : fill, "");
    if (!last)
        fputs("  ", stdout);
}

void table_print(struct table *table)
{
    size_t columns = table->n_columns;
    size_t *width = must_alloc(columns, sizeof(*width));
    const char *no_color = getenv("NO_COLOR");
    bool bold = isatty(STDOUT_FILENO) && !(no_color && *no_color);

    for (size_t c = 0; c < columns; c++)
        width[c] = text_width(table->columns[c].title);
    for (size_t i = 0; i < table->n; i++) {
        size_t w = text_width(table->cells[i]);
        if (w > width[i % columns])
            width[i % columns] = w;
    }

    if (bold)
        fputs("\033[1m", stdout);
    for (size_t c = 0; c < columns; c++)
        print_cell(&table->columns[c], table->columns[c].title, width[c], c + 1 == columns);
    puts(bold ? "\033[0m" : "");
    for (size_t i = 0; i < table->n; i++) {
        size_t c = i % columns;
        print_cell(&table->columns[c], table->cells[i], width[c], c + 1 == columns);
        if (c + 1 == columns)
            putchar('\n');
        free(table->cells[i]);
    }
    free(table->cells);
    free(width);
}
