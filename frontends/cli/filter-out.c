// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* What `xvmi filter` says: events, counters, learned policies. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "filter.h"
#include "text.h"

/* At the end, for a reader that has not taken all of a line. */
#define LINGER_MS 1000

/* A description of our own, on which writing does not wait: that of standard output is others' too.
 * Files have no need of it, and sockets cannot be opened again. */
static int open_again(int fd)
{
    char path[32];
    struct stat what;
    if (fstat(fd, &what) || !(S_ISFIFO(what.st_mode) || S_ISCHR(what.st_mode)))
        return fd;
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    int again = open(path, O_WRONLY | O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (again < 0)
        return fd;
    close(fd);
    return again;
}

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
    s->events = open_again(s->events);
}

/* As much as the reader takes now; true when that is all. */
static bool write_unsent(struct filter_session *s)
{
    while (s->unsent_at < s->unsent_len) {
        const char *rest = s->unsent + s->unsent_at;
        size_t len = s->unsent_len - s->unsent_at;
        ssize_t n = send(s->events, rest, len, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno == ENOTSOCK)
            n = write(s->events, rest, len);
        if (n <= 0)
            return false;
        s->unsent_at += (size_t)n;
    }
    free(s->unsent);
    s->unsent = NULL;
    s->unsent_at = s->unsent_len = 0;
    return true;
}

/* RFC 3339: `time` is good for differences, people and other logs go by this. */
static void put_date(char *date, size_t size)
{
    struct timespec now;
    struct tm tm;
    char seconds[32];
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &tm);
    strftime(seconds, sizeof(seconds), "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(date, size, "%s.%06ldZ", seconds, now.tv_nsec / 1000);
}

/* A reader that does not keep up loses events, but no part of one: the guest's packets do not wait
 * for it. */
static void write_line(struct filter_session *s, const char *json)
{
    if (s->events < 0)
        return;
    if (!write_unsent(s)) {
        s->events_lost++;
        return;
    }
    char date[64];
    put_date(date, sizeof(date));
    s->unsent = must_printf("{\"date\":\"%s\",%s\n", date, json + 1); /* behind its brace */
    s->unsent_len = strlen(s->unsent);
    (void)write_unsent(s);
}

void filter_close_events(struct filter_session *s)
{
    struct pollfd out = {.fd = s->events, .events = POLLOUT};
    while (s->events >= 0 && !write_unsent(s) && poll(&out, 1, LINGER_MS) == 1 &&
           out.revents == POLLOUT)
        ;
    free(s->unsent);
    s->unsent = NULL;
    if (s->events >= 0)
        close(s->events);
    s->events = -1;
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
