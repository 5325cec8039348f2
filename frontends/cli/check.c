// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* xvmi check: reads a policy, says what is wrong with it, and writes it in its other form. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xvmi/policy.h>

#include "cli.h"
#include "json.h"

struct check_args {
    const char *file, *to;
    bool json;
};

enum { OPT_TO = 0x400, OPT_CHECK_JSON };

static const struct argp_option options[] = {
    {"to", OPT_TO, "FORM", 0, "Write the policy to standard output, as `text' or `json'", 1},
    {"json", OPT_CHECK_JSON, NULL, 0, "Print what there is to say as one JSON document", 1},
    {0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct check_args *args = state->input;
    switch (key) {
    case OPT_TO:
        args->to = arg;
        if (strcmp(arg, "text") && strcmp(arg, "json"))
            fail_usage(state->name, "--to takes text or json, not '%s'", arg);
        return 0;
    case OPT_CHECK_JSON:
        args->json = true;
        return 0;
    case ARGP_KEY_ARG:
        if (args->file)
            fail_usage(state->name, "one policy at a time: '%s' is one too many", arg);
        args->file = arg;
        return 0;
    case ARGP_KEY_END:
        if (!args->file)
            fail_usage(state->name, "say which policy: a file, or - for standard input");
        if (args->json && args->to)
            fail_usage(state->name, "--json and --to both write to standard output: take one");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static void say(void *context, const struct xvmi_policy_message *message)
{
    const struct check_args *args = context;
    char text[2048];
    if (!args->json) {
        xvmi_policy_message_format(message, text, sizeof(text));
        fputs(text, stderr);
        return;
    }
    json_t *o = json_object();
    json_put_text(o, "file", message->file);
    json_put_int_or_null(o, "line", message->line);
    json_put_int_or_null(o, "column", message->line ? message->column : 0);
    json_put_text(o, "severity", message->warning ? "warning" : "error");
    json_put_text(o, "message", message->text);
    json_print_element(o);
}

/* All of standard input; a policy that is too long is cut where that shows. */
static char *read_input(const char *command, size_t *len)
{
    const size_t max = XVMI_POLICY_SIZE_MAX + 1;
    char *text = NULL;
    size_t cap = 0;
    *len = 0;
    do {
        if (*len == cap)
            text = must_grow(text, cap = cap ? cap * 2 : 65536, 1);
        *len += fread(text + *len, 1, cap - *len, stdin);
    } while (!feof(stdin) && !ferror(stdin) && *len < max);
    if (ferror(stdin))
        fail(command, XVMI_ERR_IO, "cannot read standard input");
    return text;
}

static enum xvmi_status load(const char *command, struct check_args *args,
                             struct xvmi_policy **policy, struct xvmi_error *err)
{
    const struct xvmi_policy_options policy_options = {
        .size = sizeof(policy_options), .message = say, .context = args};
    if (strcmp(args->file, "-"))
        return xvmi_policy_load(args->file, &policy_options, policy, err);
    size_t len;
    char *text = read_input(command, &len);
    enum xvmi_status status = xvmi_policy_parse(text, len, "<stdin>", &policy_options, policy, err);
    free(text);
    return status;
}

static void write_policy(const char *command, const struct xvmi_policy *policy, bool json)
{
    char *text;
    if (json ? xvmi_policy_json(policy, &text) : xvmi_policy_text(policy, &text))
        fail(command, XVMI_ERR_NO_MEMORY, "out of memory");
    fputs(text, stdout);
    if (json)
        putchar('\n');
    free(text);
}

int cmd_check(int argc, char **argv)
{
    static const struct argp argp = {
        .options = options,
        .parser = parse,
        .args_doc = "FILE",
        .doc = "Read a policy and say what is wrong with it."
               "\v"
               "FILE holds the text language or its JSON form; - is standard input. Exit status: "
               "0 it can be used, 1 it has errors, 3 it cannot be read.\n"
               "\n"
               "Examples:\n"
               "  xvmi check web.policy\n"
               "  xvmi check --to json web.policy > web.json\n"
               "\n"
               "The language: xvmi-policy(5).",
    };
    struct check_args args = {0};
    struct xvmi_error err = XVMI_ERROR_INIT;
    struct xvmi_policy *policy;
    argp_parse(&argp, argc, argv, 0, NULL, &args);
    if (args.json)
        json_begin_array();
    enum xvmi_status status = load(argv[0], &args, &policy, &err);
    if (args.json)
        json_end_array();
    if (status && status != XVMI_ERR_FORMAT)
        fail(argv[0], status, err.text);
    if (!status && args.to)
        write_policy(argv[0], policy, !strcmp(args.to, "json"));
    xvmi_policy_unref(policy);
    int written = finish_output(argv[0]);
    return status ? EXIT_NO : written;
}
