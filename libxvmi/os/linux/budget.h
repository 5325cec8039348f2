/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XL_BUDGET_H
#define XL_BUDGET_H

#include "os/linux/guest.h"

/* What one question may still cost. */
struct xl_budget {
    uint64_t max_reads; /* value of space->reads at which to stop */
    uint64_t deadline;  /* CLOCK_MONOTONIC ns; 0: none */
};

/* XVMI_ERR_LIMIT when it is used up. */
XVMI_CHECKED enum xvmi_status xl_budget_check(const struct xl_guest *g,
                                              const struct xl_budget *budget);

#endif
