// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Opening the guest, and how commands end when something fails. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "progress.h"
#include "text.h"

enum { OPT_JSON = 0x100, OPT_PROFILE, OPT_NO_CACHE };

static const struct argp_option options[] = {
    {"json", OPT_JSON, NULL, 0, "Print one JSON document instead of text", 50},
    {"profile", OPT_PROFILE, "FILE", 0, "Use this profile file or vmlinux instead of finding one",
     51},
    {"no-cache", OPT_NO_CACHE, NULL, 0, "Neither read nor write the cache of profiles", 51},
    {0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct guest_args *args = state->input;
    switch (key) {
    case OPT_JSON:
        args->json = true;
        return 0;
    case OPT_PROFILE:
        args->profile = arg;
        return 0;
    case OPT_NO_CACHE:
        args->no_cache = true;
        return 0;
    case ARGP_KEY_ARG:
        if (!args->uri)
            args->uri = arg;
        else if (args->subject_name && !args->subject)
            args->subject = arg;
        else
            fail_usage(state->name, "one guest at a time: '%s' is one too many", arg);
        return 0;
    case ARGP_KEY_END:
        if (!args->uri)
            fail_usage(
                state->name,
                "no guest given: qemu:PATH, qemu:pid=N, xen:NAME or file:PATH (see %s --help)",
                state->name);
        if (args->subject_name && !args->subject)
            fail_usage(state->name, "no %s given (see %s --help)", args->subject_name, state->name);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

const struct argp guest_argp = {.options = options, .parser = parse, .args_doc = "URI"};

struct xvmi_vm *guest_open(const char *command, const struct guest_args *args)
{
    struct xvmi_error err = XVMI_ERROR_INIT;
    struct xvmi_vm_options opts = {.size = sizeof(opts),
                                   .profile = args->profile,
                                   .no_cache = args->no_cache,
                                   .unbooted = args->unbooted};
    struct xvmi_vm *vm;

    progress_start("finding the guest's kernel");
    enum xvmi_status status = xvmi_vm_open(args->uri, &opts, &vm, &err);
    progress_stop();
    if (status == XVMI_ERR_MISMATCH)
        fail_guest(command, args->uri, status,
                   must_printf("%s (%s)", err.text,
                               args->profile
                                   ? "leave --profile out, or name the vmlinux of this very kernel"
                                   : "has it booted? then name its vmlinux with --profile"));
    if (status)
        fail_guest(command, args->uri, status, err.text);
    return vm;
}

/* What the reader can do about it, where the status alone tells. */
static const char *advice(enum xvmi_status status)
{
    switch (status) {
    case XVMI_ERR_CHANGED:
        return "try again";
    case XVMI_ERR_NOT_PRESENT:
        return "has the guest booted? try again when it has";
    case XVMI_ERR_GONE:
        return "start the guest and try again";
    case XVMI_ERR_UNSUPPORTED:
        return "see xvmi(1) for the guests that are understood";
    default:
        return NULL;
    }
}

void fail(const char *command, enum xvmi_status status, const char *text)
{
    char *safe = text_safe(text, strlen(text));
    const char *next = advice(status);
    fprintf(stderr, "%s: %s%s%s%s\n", command, safe, next ? " (" : "", next ? next : "",
            next ? ")" : "");
    exit(EXIT_NO_ANSWER);
}

void fail_guest(const char *command, const char *uri, enum xvmi_status status, const char *text)
{
    /* The library's frames may name the guest already. */
    if (!strncmp(text, uri, strlen(uri)))
        fail(command, status, text);
    fail(command, status, must_printf("%s: %s", uri, *text ? text : xvmi_status_text(status)));
}

void fail_usage(const char *command, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    fprintf(stderr, "%s: ", command);
    vfprintf(stderr, fmt, args);
    fputc('\n', stderr);
    va_end(args);
    exit(EXIT_USAGE);
}

bool status_is_final(enum xvmi_status status)
{
    switch (status) {
    case XVMI_ERR_NO_MEMORY:
    case XVMI_ERR_INVALID:
    case XVMI_ERR_PERMISSION:
    case XVMI_ERR_IO:
    case XVMI_ERR_GONE:
    case XVMI_ERR_TIMEOUT:
        return true;
    default:
        return false;
    }
}

int finish_output(const char *command)
{
    if (!fflush(stdout) && !ferror(stdout))
        return EXIT_DONE;
    fprintf(stderr, "%s: writing the answer: %s\n", command, strerror(errno));
    return EXIT_NO_ANSWER;
}
