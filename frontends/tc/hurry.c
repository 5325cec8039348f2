// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/sched/types.h>

#include "tc.h"

/* A thread that asks for short slices interrupts those that run in long ones as it wakes up
 * (Linux 6.12, PREEMPT_SHORT in kernel/sched/features.h); older kernels take no notice. */
#define SLICE_NS 100000u

void xtc_hurry(void)
{
    struct sched_attr attr = {
        .size = SCHED_ATTR_SIZE_VER0,
        .sched_nice = getpriority(PRIO_PROCESS, 0),
        .sched_runtime = SLICE_NS,
    };
    (void)syscall(SYS_sched_setattr, 0, &attr, 0);
}
