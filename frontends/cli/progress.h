/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XVMI_CLI_PROGRESS_H
#define XVMI_CLI_PROGRESS_H

/* A line on a terminal's stderr that says what is going on, from the second second on, and
 * vanishes when it is over. `what` is borrowed until progress_stop(). */
void progress_start(const char *what);
void progress_stop(void);

#endif
