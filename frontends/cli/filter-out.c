// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* What `xvmi filter` says: events, counters, learned policies. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "filter.h"
#include "text.h"

void filter_open_events(struct filter_session *s)
{
    const char *path = s->args->events;
    s->events = -1;
    if (!path)
        return;
    s->events = strcmp(path, "-") ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666)
                                  : dup(STDOUT_FILENO);
    if (s->events < 0)
        fail(s->command, XVMI_ERR_IO, must_printf("%s: %s", path, strerror(errno)));
}

/* A reader that does not keep up loses events: the guest's packets do not wait for it. */
static void write_line(struct filter_session *s, const char *json)
{
    struct pollfd out = {.fd = s->events, .events = POLLOUT};
    if (s->events < 0)
        return;
    if (poll(&out, 1, 0) != 1 || !(out.revents & POLLOUT)) {
        s->events_lost++;
        return;
    }
    char *line = must_printf("%s\n", json);
    size_t len = strlen(line);
    if (write(s->events, line, len) != (ssize_t)len)
        s->events_lost++;
    free(line);
}

/* A frame that an earlier decision, or one of the policy's options, let pass is no news. */
static bool is_news(const struct xvmi_filter_event *event)
{
    if (event->reason == XVMI_REASON_CACHED || event->reason == XVMI_REASON_UNFILTERED)
        return false;
    return event->reason == XVMI_REASON_RULE || event->reason == XVMI_REASON_DEFAULT ||
           event->verdict != XVMI_VERDICT_PASS;
}

void filter_event(void *context, const struct xvmi_filter_event *event)
{
    struct filter_session *s = context;
    char *json;
    s->suspect |= event->lookup == XVMI_ERR_CHANGED || event->lookup == XVMI_ERR_GONE;
    if (s->events < 0 || !is_news(event))
        return;
    if (xvmi_filter_event_json(s->filter, event, &json)) {
        s->events_lost++;
        return;
    }
    write_line(s, json);
    free(json);
}

static uint64_t now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

void filter_note(struct filter_session *s, const char *what, const char *fmt, ...)
{
    char *text;
    va_list args;
    va_start(args, fmt);
    if (vasprintf(&text, fmt, args) < 0)
        text = NULL;
    va_end(args);
    char *safe = text_safe(text ? text : "", text ? strlen(text) : 0);
    fprintf(stderr, "%s: %s\n", s->command, safe);
    json_t *o = json_object();
    json_put_int(o, "time", now_ns());
    json_put_text(o, "vm", s->name);
    json_put_text(o, "event", what);
    json_put_text(o, "text", safe);
    char *line = json_dumps(o, JSON_COMPACT);
    if (line)
        write_line(s, line);
    json_decref(o);
    free(line);
    free(safe);
    free(text);
}

/* ---- counters ---- */

struct counter {
    const char *name, *words;
    uint64_t value;
};

static size_t collect(struct filter_session *s, struct counter *c)
{
    struct xtc_stats tc;
    struct xvmi_filter_stats f = {.size = sizeof(f)};
    size_t n = 0;
    filter_stats(s, &tc);
    xvmi_filter_stats(s->filter, &f);
    for (int in = 0; in < 2; in++) {
        const char *to = in ? "in" : "out";
        const struct counter one[] = {
            {"passed", "passed in the kernel", tc.passed[in]},
            {"dropped", "dropped in the kernel", tc.dropped[in]},
            {"held", "held for a decision", tc.held[in]},
            {"sent", "held, then passed", tc.sent[in]},
            {"denied", "held, then dropped", tc.denied[in]},
            {"missed", "not waited for a decision", tc.missed[in]},
            {"told", "looked at afterwards", tc.told[in]},
            {"untold", "not looked at: too many", tc.untold[in]},
            {"overflow", "could not wait: too many", tc.overflow[in]},
        };
        for (size_t i = 0; i < sizeof(one) / sizeof(*one); i++) {
            c[n] = one[i];
            c[n++].name = must_printf("%s_%s", to, one[i].name);
        }
    }
    const struct counter rest[] = {
        {"rejected", "answers to rejected frames", tc.rejected},
        {"lost", "the kernel did not take back", tc.lost},
        {"changed", "flows that others took over", tc.changed},
        {"decisions", "decisions", f.frames},
        {"lookups", "senders looked up", f.lookups},
        {"revalidated", "senders looked at again", f.revalidated},
        {"proven", "flows asked for the same sender", f.proven},
        {"unknown", "senders not found", f.unknown},
        {"unreadable", "guest not readable", f.unreadable},
        {"malformed", "malformed frames", f.malformed},
        {"reloads", "policies loaded again", f.reloads},
        {"events_lost", "events nobody read in time", s->events_lost},
    };
    for (size_t i = 0; i < sizeof(rest) / sizeof(*rest); i++) {
        c[n] = rest[i];
        c[n++].name = must_printf("%s", rest[i].name);
    }
    return n;
}

void filter_print_counters(struct filter_session *s)
{
    struct counter c[40];
    size_t n = collect(s, c);
    json_t *o = json_object();
    for (size_t i = 0; i < n; i++) {
        json_put_int(o, c[i].name, c[i].value);
        if (!s->args->guest.json && c[i].value)
            fprintf(stderr, "%12llu  %-16s %s\n", (unsigned long long)c[i].value, c[i].name,
                    c[i].words);
        free((char *)c[i].name);
    }
    char *line = s->args->guest.json ? json_dumps(o, JSON_COMPACT) : NULL;
    if (line)
        fprintf(stderr, "%s\n", line);
    free(line);
    json_decref(o);
}

/* ---- learning ---- */

bool filter_write_learned(struct filter_session *s)
{
    const char *path = s->args->learn;
    char *policy;
    if (!path)
        return true;
    if (xvmi_filter_learned(s->filter, &policy)) {
        fprintf(stderr, "%s: out of memory\n", s->command);
        return false;
    }
    char *next = must_printf("%s.new", path);
    FILE *f = fopen(next, "we");
    bool good = f && fputs(policy, f) >= 0;
    good = f && !fclose(f) && good && !rename(next, path);
    if (!good)
        fprintf(stderr, "%s: %s: %s\n", s->command, path, strerror(errno));
    free(next);
    free(policy);
    return good;
}
