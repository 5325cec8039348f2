/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XVMI_CLI_FIELD_H
#define XVMI_CLI_FIELD_H

/*
 * An attribute that costs a further look into the guest and may not be there to see: a text,
 * or none, or unknown with the reason. Never "" for any of the latter two.
 */

#include <stddef.h>

#include <jansson.h>

#include <xvmi/task.h>

#include "table.h"

struct field {
    char *text; /* NULL: none, or unknown when there is an error */
    size_t len; /* of text: it can hold NULs (arguments) */
    char *error;
};

/* What a look-up of attribute `name` came to: the text in buf on success. A status after which
 * nothing else can be asked (status_is_final()) is returned, else XVMI_OK. */
enum xvmi_status field_set(struct field *field, const char *name, const struct xvmi_vm *vm,
                           enum xvmi_status status, const char *buf, size_t len);
void field_free(struct field *field);

/* As JSON: the text, or null, with the reason among the object's errors. */
void field_put(json_t *object, const char *key, const struct field *field);
/* As text: "-" for none, "?" for unknown. */
void field_cell(struct table *table, const struct field *field);

enum xvmi_status field_task_exe(struct xvmi_vm *vm, const struct xvmi_task *task,
                                struct field *field);
enum xvmi_status field_task_cgroup(struct xvmi_vm *vm, const struct xvmi_task *task,
                                   struct field *field);
/* The arguments joined by spaces, as ps prints them; cut at 32 KiB, which is then an error of
 * the field beside its text. */
enum xvmi_status field_task_cmdline(struct xvmi_vm *vm, const struct xvmi_task *task,
                                    struct field *field);

#endif
