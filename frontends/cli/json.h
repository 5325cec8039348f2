/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XVMI_CLI_JSON_H
#define XVMI_CLI_JSON_H

/*
 * JSON as all commands print it: every key is always there, numbers are numbers, null is "none"
 * or "not known". What could not be looked up is null and has a sentence in "errors", a key that
 * is there only then.
 */

#include <stdint.h>

#include <jansson.h>

/* Puts `value` in, taking the reference; a value that could not be made ends the program. */
void json_put(json_t *object, const char *key, json_t *value);
void json_put_int(json_t *object, const char *key, uint64_t value);
/* A NUL-terminated string; NULL or "" becomes null. */
void json_put_text(json_t *object, const char *key, const char *text);
/* 0 means none. */
void json_put_int_or_null(json_t *object, const char *key, uint64_t value);
/* Appends to "errors", which is made when missing. */
void json_add_error(json_t *object, const char *text);

/* Prints an object on a line of its own, and drops it. */
void json_print(json_t *object);
/* Between json_begin_array() and json_end_array(): the next element of the array that is the
 * whole output, one a line. */
void json_begin_array(void);
void json_print_element(json_t *object);
void json_end_array(void);

#endif
