// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "json.h"
#include "text.h"

static bool first_element;

static void no_memory(void)
{
    fail("xvmi", XVMI_ERR_NO_MEMORY, "out of memory");
}

void json_put(json_t *object, const char *key, json_t *value)
{
    if (json_object_set_new_nocheck(object, key, value))
        no_memory();
}

void json_put_int(json_t *object, const char *key, uint64_t value)
{
    json_put(object, key, json_integer((json_int_t)value));
}

void json_put_int_or_null(json_t *object, const char *key, uint64_t value)
{
    json_put(object, key, value ? json_integer((json_int_t)value) : json_null());
}

void json_put_text(json_t *object, const char *key, const char *text)
{
    json_put(object, key, text && *text ? text_json(text, strlen(text)) : json_null());
}

void json_add_error(json_t *object, const char *text)
{
    json_t *errors = json_object_get(object, "errors");
    if (!errors) {
        json_put(object, "errors", json_array());
        errors = json_object_get(object, "errors");
    }
    if (json_array_append_new(errors, text_json(text, strlen(text))))
        no_memory();
}

static void dump(json_t *object)
{
    /* Fails only when stdout does, which finish_output() reports. */
    json_dumpf(object, stdout, JSON_REAL_PRECISION(9));
    json_decref(object);
}

void json_print(json_t *object)
{
    dump(object);
    putchar('\n');
}

void json_begin_array(void)
{
    putchar('[');
    first_element = true;
}

void json_print_element(json_t *object)
{
    fputs(first_element ? "\n" : ",\n", stdout);
    first_element = false;
    dump(object);
}

void json_end_array(void)
{
    puts(first_element ? "]" : "\n]");
}
