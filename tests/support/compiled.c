// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* A "kernel" of one unit; never run. */
#include "compiled.h"

struct compiled_task init_task;

int _start(void);
int _start(void)
{
    return init_task.pid + init_task.state;
}
