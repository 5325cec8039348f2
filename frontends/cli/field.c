// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "field.h"
#include "json.h"
#include "text.h"

/* A guest chooses the length of its arguments, up to 2 MiB a process. */
#define CMDLINE_MAX (32u << 10)

enum xvmi_status field_set(struct field *field, const char *name, const struct xvmi_vm *vm,
                           enum xvmi_status status, const char *buf, size_t len)
{
    *field = (struct field){0};
    if (status == XVMI_OK) {
        field->text = must_alloc(len + 1, 1);
        memcpy(field->text, buf, len);
        field->len = len;
    } else if (status_is_final(status)) {
        return status;
    } else if (status != XVMI_ERR_NOT_FOUND) {
        const char *story = xvmi_vm_error(vm);
        field->error =
            must_printf("%s: %s", name, story && *story ? story : xvmi_status_text(status));
    }
    return XVMI_OK;
}

void field_free(struct field *field)
{
    free(field->text);
    free(field->error);
    *field = (struct field){0};
}

void field_put(json_t *object, const char *key, const struct field *field)
{
    json_put(object, key, field->text ? text_json(field->text, field->len) : json_null());
    if (field->error)
        json_add_error(object, field->error);
}

void field_cell(struct table *table, const struct field *field)
{
    if (field->text)
        table_guest_cell(table, field->text, field->len);
    else
        table_cell(table, "%s", field->error ? "?" : "-");
}

enum xvmi_status field_task_exe(struct xvmi_vm *vm, const struct xvmi_task *task,
                                struct field *field)
{
    char buf[XVMI_PATH_MAX] = "";
    enum xvmi_status status = xvmi_task_exe(vm, task, buf, sizeof(buf));
    return field_set(field, "exe", vm, status, buf, strlen(buf));
}

enum xvmi_status field_task_cgroup(struct xvmi_vm *vm, const struct xvmi_task *task,
                                   struct field *field)
{
    char buf[XVMI_PATH_MAX] = "";
    enum xvmi_status status = xvmi_task_cgroup(vm, task, buf, sizeof(buf));
    return field_set(field, "cgroup", vm, status, buf, strlen(buf));
}

enum xvmi_status field_task_cmdline(struct xvmi_vm *vm, const struct xvmi_task *task,
                                    struct field *field)
{
    static char buf[CMDLINE_MAX];
    size_t total = 0;
    enum xvmi_status status = xvmi_task_cmdline(vm, task, buf, sizeof(buf), &total);
    size_t len = total < sizeof(buf) ? total : sizeof(buf);
    if (status)
        return field_set(field, "cmdline", vm, status, buf, 0);

    while (len && !buf[len - 1])
        len--;
    for (size_t i = 0; i < len; i++)
        if (!buf[i])
            buf[i] = ' ';
    if (!len) /* a process that erased its arguments, as in /proc: none */
        return field_set(field, "cmdline", vm, XVMI_ERR_NOT_FOUND, buf, 0);
    status = field_set(field, "cmdline", vm, XVMI_OK, buf, len);
    if (total > sizeof(buf))
        field->error = must_printf("cmdline: cut after %zu of %zu bytes", sizeof(buf), total);
    return status;
}
