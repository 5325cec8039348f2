// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <stdio.h>
#include <string.h>

#include "filter/report.h"

/* Longer lines are shown in part: generated policies have some of megabytes. */
#define SOURCE_SHOWN 160

static void find_line(const struct xf_report *report, uint32_t line,
                      struct xvmi_policy_message *message)
{
    const char *p = report->source;
    const char *end = p + report->source_len;
    while (--line) {
        p = memchr(p, '\n', (size_t)(end - p));
        if (!p)
            return;
        p++;
    }
    const char *eol = memchr(p, '\n', (size_t)(end - p));
    message->source = p;
    message->source_len = (size_t)((eol ? eol : end) - p);
}

static void tell(struct xf_report *report, struct xf_at at, bool warning, const char *fmt,
                 va_list args)
{
    char text[XVMI_ERROR_TEXT_MAX];
    struct xvmi_policy_message message = {
        .file = report->file,
        .line = at.line,
        .column = at.column,
        .warning = warning,
        .text = text,
    };
    vsnprintf(text, sizeof(text), fmt, args);
    if (!warning && !report->errors && at.line)
        xvmi_error_set(report->err, XVMI_ERR_FORMAT, "%s:%u:%u: %s", report->file, at.line,
                       at.column, text);
    else if (!warning && !report->errors)
        xvmi_error_set(report->err, XVMI_ERR_FORMAT, "%s: %s", report->file, text);
    if (!warning && report->errors++ >= XVMI_POLICY_ERRORS_MAX)
        return;
    if (!report->options || !report->options->message)
        return;
    if (report->source && at.line)
        find_line(report, at.line, &message);
    report->options->message(report->options->context, &message);
}

void xf_error(struct xf_report *report, struct xf_at at, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    tell(report, at, false, fmt, args);
    va_end(args);
}

void xf_warning(struct xf_report *report, struct xf_at at, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    tell(report, at, true, fmt, args);
    va_end(args);
}

enum xvmi_status xf_report_status(const struct xf_report *report)
{
    if (report->no_memory)
        return xvmi_error_set(report->err, XVMI_ERR_NO_MEMORY, "%s: out of memory", report->file);
    return report->errors ? XVMI_ERR_FORMAT : XVMI_OK;
}

struct out {
    char *at, *end; /* end is where the NUL goes at the latest */
};

static void put(struct out *out, char c)
{
    if (out->at < out->end)
        *out->at++ = c;
}

static void put_text(struct out *out, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        put(out,
            ((unsigned char)text[i] < 0x20 && text[i] != '\t') || text[i] == 0x7f ? '?' : text[i]);
}

/* The line from `from` on, and the caret: over tabs by tabs, one column a UTF-8 sequence. */
static void put_source(struct out *out, const struct xvmi_policy_message *m)
{
    size_t column = m->column ? m->column - 1 : 0;
    size_t from = column > SOURCE_SHOWN / 2 ? column - SOURCE_SHOWN / 2 : 0;
    if (m->source_len <= SOURCE_SHOWN)
        from = 0;
    if (from > m->source_len)
        return;
    size_t len = m->source_len - from;
    if (len > SOURCE_SHOWN)
        len = SOURCE_SHOWN;
    while (len && (m->source[from + len - 1] & 0xc0) == 0x80 && len == SOURCE_SHOWN)
        len--;
    put_text(out, m->source + from, len);
    put(out, '\n');
    for (size_t i = from; i < column && i < from + len; i++)
        if (m->source[i] == '\t')
            put(out, '\t');
        else if ((m->source[i] & 0xc0) != 0x80)
            put(out, ' ');
    put_text(out, "^", 1);
    put(out, '\n');
}

void xvmi_policy_message_format(const struct xvmi_policy_message *message, char *buf, size_t size)
{
    if (!size)
        return;
    struct out out = {buf, buf + size - 1};
    char place[32] = "";
    if (message->line)
        snprintf(place, sizeof(place), ":%u:%u", message->line, message->column);
    put_text(&out, message->file, strlen(message->file));
    put_text(&out, place, strlen(place));
    put_text(&out, ": ", 2);
    if (message->warning)
        put_text(&out, "warning: ", 9);
    put_text(&out, message->text, strlen(message->text));
    put(&out, '\n');
    if (message->source)
        put_source(&out, message);
    *out.at = 0;
}
