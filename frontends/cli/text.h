/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XVMI_CLI_TEXT_H
#define XVMI_CLI_TEXT_H

/*
 * Guests choose the names of their processes, files and sockets. Nothing they choose may steer
 * the terminal that shows it or break the JSON that carries it.
 */

#include <stddef.h>

#include <jansson.h>

/* A copy to show on a terminal, to be freed: bytes of control characters (C0, C1, and those that
 * turn the direction of writing), of what is not UTF-8, and of all that is not ASCII where the
 * locale does not use UTF-8, become \xHH. */
char *text_safe(const char *s, size_t len);

/* A JSON string. JSON has no way to carry arbitrary bytes: each one that is not part of valid
 * UTF-8 becomes U+FFFD. Control characters are kept; JSON escapes them. */
json_t *text_json(const char *s, size_t len);

/* Columns that `s` takes on a terminal. */
size_t text_width(const char *s);

#endif
