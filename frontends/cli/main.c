// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* xvmi: finds the subcommand and hands over. */
#include <locale.h>
#include <stdio.h>
#include <string.h>

#include <xvmi/version.h>

#include "cli.h"

static const struct command {
    const char *name;
    int (*run)(int argc, char **argv);
} commands[] = {
    {"info", cmd_info},       {"ps", cmd_ps},       {"ss", cmd_ss},         {"owner", cmd_owner},
    {"profile", cmd_profile}, {"check", cmd_check}, {"filter", cmd_filter},
};

static const char doc[] =
    "See inside a running Linux guest from outside."
    "\v"
    "Commands:\n"
    "  info     what kernel runs in the guest and how it was found\n"
    "  ps       the guest's processes\n"
    "  ss       the guest's sockets and who holds them\n"
    "  owner    who inside the guest is behind a flow\n"
    "  profile  make or show a file that describes one kernel build\n"
    "  check    read a filter's policy and say what is wrong with it\n"
    "  filter   let pass what a guest's processes may send\n"
    "\n"
    "A guest is named by a URI:\n"
    "  qemu:PATH   a running QEMU, by the path of its QMP socket\n"
    "  qemu:pid=N  the same, by its process id\n"
    "  file:PATH   a memory image: ELF core, LiME, kdump or raw\n"
    "\n"
    "Exit status: 0 done, 1 the answer is no, 2 wrong usage, 3 the guest cannot be reached or "
    "understood.\n"
    "`xvmi COMMAND --help' and the page xvmi-COMMAND(1) say more.";

static void print_version(FILE *stream, struct argp_state *state)
{
    (void)state;
    fprintf(stream, "xvmi %s\n", xvmi_version());
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    (void)arg;
    int *command_index = state->input;
    switch (key) {
    case ARGP_KEY_ARG:
        *command_index = state->next - 1;
        state->next = state->argc; /* the rest is the subcommand's */
        return 0;
    case ARGP_KEY_NO_ARGS:
        fail_usage(
            "xvmi",
            "no command given: info, ps, ss, owner, profile, check or filter (see xvmi --help)");
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

int main(int argc, char **argv)
{
    static const struct argp argp = {.parser = parse, .args_doc = "COMMAND [ARG...]", .doc = doc};

    setlocale(LC_CTYPE, "");
    argp_program_version_hook = print_version;
    argp_err_exit_status = EXIT_USAGE;
    int at = 0;
    if (argc > 0)
        argv[0] = must_printf("xvmi"); /* what getopt's messages begin with */
    if (argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &at))
        return EXIT_USAGE;

    for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++) {
        if (strcmp(commands[i].name, argv[at]))
            continue;
        argv[at] = must_printf("xvmi %s", commands[i].name);
        return commands[i].run(argc - at, argv + at);
    }
    fail_usage(
        "xvmi",
        "'%s' is not a command: info, ps, ss, owner, profile, check or filter (see xvmi --help)",
        argv[at]);
}
