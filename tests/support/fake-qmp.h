/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef FAKE_QMP_H
#define FAKE_QMP_H

/* The other end of a QMP connection, which answers by a table, or misbehaves by it. */

#include <stdbool.h>
#include <sys/types.h>

/* The answer to a command whose text contains `match`. "$ID" in `reply` stands for its id. */
struct fake_answer {
    const char *match; /* NULL ends the table */
    const char *reply;
};

/* Instead of a reply: say nothing, hang up, send events or one long string without end. */
extern const char FAKE_HANG[], FAKE_CLOSE[], FAKE_EVENTS[], FAKE_ENDLESS[];

/* As QEMU 7.2 greets. */
extern const char FAKE_GREETING[];

/* Serve a connection until the peer closes it. Commands not in the table are refused as
 * unknown, but for qmp_capabilities. */
void fake_qmp_serve(int fd, const char *greeting, const struct fake_answer *answers);

/* The parts of that: say `text`, answer one command. False when the connection is over. */
bool fake_qmp_say(int fd, const char *text);
bool fake_qmp_answer(int fd, const char *command, const struct fake_answer *answers);

/* Serve one end of a socket pair in a child process; the other end is returned. */
int fake_qmp_start(const char *greeting, const struct fake_answer *answers, pid_t *child);
void fake_qmp_stop(pid_t child);

#endif
