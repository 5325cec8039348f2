/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XVMI_CLI_H
#define XVMI_CLI_H

/*
 * What the subcommands of `xvmi` share. Each subcommand is one file with one entry point that
 * returns an exit status; argv[0] is "xvmi NAME" so that argp's messages name it.
 */

#include <argp.h>
#include <stdbool.h>

#include <xvmi/profile.h>
#include <xvmi/vm.h>

#include "alloc.h"

enum exit_code {
    EXIT_DONE = 0,
    EXIT_NO = 1,        /* the question was answered with no */
    EXIT_USAGE = 2,     /* the command line makes no sense */
    EXIT_NO_ANSWER = 3, /* the guest cannot be reached or understood; output not written */
};

int cmd_info(int argc, char **argv);
int cmd_ps(int argc, char **argv);
int cmd_ss(int argc, char **argv);
int cmd_owner(int argc, char **argv);
int cmd_profile(int argc, char **argv);
int cmd_check(int argc, char **argv);
int cmd_filter(int argc, char **argv);

/* Options and the one argument of every command that opens a guest. A command puts
 * guest_argp among its argp children and passes a struct guest_args as its input. */
struct guest_args {
    const char *uri;
    const char *profile;
    bool no_cache;
    bool unbooted; /* set by commands that can do without a kernel: open it without one */
    bool json;
    const char *subject_name; /* what a second argument is called; NULL: there is none */
    const char *subject;
};
extern const struct argp guest_argp;

/* Open the guest, or say on stderr why not and exit. */
struct xvmi_vm *guest_open(const char *command, const struct guest_args *args);

/* End the command because a call failed: one line on stderr, EXIT_NO_ANSWER. */
_Noreturn void fail(const char *command, enum xvmi_status status, const char *text);
/* The same when it was about a guest; the line names it. */
_Noreturn void fail_guest(const char *command, const char *uri, enum xvmi_status status,
                          const char *text);

/* End the command because its command line makes no sense: EXIT_USAGE. */
_Noreturn void fail_usage(const char *command, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Is there no sense in asking the guest anything more after this? Otherwise only the one
 * attribute that was asked for is unknown. */
bool status_is_final(enum xvmi_status status);

/* Flush stdout; a full disk is a failure of the command. */
int finish_output(const char *command);

#endif
