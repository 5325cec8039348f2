// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <xvmi/error.h>

const char *xvmi_status_text(enum xvmi_status status)
{
    switch (status) {
    case XVMI_OK:
        return "success";
    case XVMI_ERR_NO_MEMORY:
        return "out of memory";
    case XVMI_ERR_INVALID:
        return "invalid argument";
    case XVMI_ERR_NOT_FOUND:
        return "not found";
    case XVMI_ERR_NOT_PRESENT:
        return "not present";
    case XVMI_ERR_FORMAT:
        return "malformed";
    case XVMI_ERR_LIMIT:
        return "limit reached";
    case XVMI_ERR_CHANGED:
        return "changed while looking";
    case XVMI_ERR_UNSUPPORTED:
        return "unsupported";
    case XVMI_ERR_PERMISSION:
        return "permission denied";
    case XVMI_ERR_IO:
        return "input/output error";
    case XVMI_ERR_MISMATCH:
        return "profile does not fit";
    case XVMI_ERR_GONE:
        return "guest is gone";
    case XVMI_ERR_TIMEOUT:
        return "timed out";
    }
    return "unknown status";
}

/* Names in the text come from guests: they must not steer a terminal. */
static void hide_control_characters(char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            *text = '?';
}

enum xvmi_status xvmi_error_set(struct xvmi_error *err, enum xvmi_status status, const char *fmt,
                                ...)
{
    if (!err)
        return status;
    va_list args;
    va_start(args, fmt);
    vsnprintf(err->text, sizeof(err->text), fmt, args);
    va_end(args);
    hide_control_characters(err->text);
    err->status = status;
    return status;
}

enum xvmi_status xvmi_error_frame(struct xvmi_error *err, enum xvmi_status status, const char *fmt,
                                  ...)
{
    if (!err)
        return status;
    char inner[sizeof(err->text)];
    memcpy(inner, err->text, sizeof(inner));
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(err->text, sizeof(err->text), fmt, args);
    va_end(args);
    hide_control_characters(err->text);
    size_t used = n < 0 ? 0 : (size_t)n;
    if (used < sizeof(err->text) - 1)
        snprintf(err->text + used, sizeof(err->text) - used, ": %s", inner);
    err->status = status;
    return status;
}
