// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "os/linux/budget.h"

#include <time.h>

enum xvmi_status xl_budget_check(const struct xl_guest *g, const struct xl_budget *budget)
{
    if (g->space->reads > budget->max_reads)
        return xvmi_error_set(g->err, XVMI_ERR_LIMIT, "the budget of reads is used up");
    if (!budget->deadline)
        return XVMI_OK;
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    uint64_t now = (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
    return now < budget->deadline
               ? XVMI_OK
               : xvmi_error_set(g->err, XVMI_ERR_LIMIT, "the deadline has passed");
}
