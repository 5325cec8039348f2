// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "alloc.h"
#include "cli.h"

static void *or_die(void *p)
{
    if (p)
        return p;
    fputs("xvmi: out of memory\n", stderr);
    exit(EXIT_NO_ANSWER);
}

void *must_alloc(size_t n, size_t size)
{
    return or_die(calloc(n ? n : 1, size));
}

void *must_grow(void *p, size_t n, size_t size)
{
    return or_die(reallocarray(p, n ? n : 1, size));
}

char *must_printf(const char *fmt, ...)
{
    char *text;
    va_list args;
    va_start(args, fmt);
    int n = vasprintf(&text, fmt, args);
    va_end(args);
    return or_die(n < 0 ? NULL : text);
}
