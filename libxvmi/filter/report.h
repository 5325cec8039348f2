/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XF_REPORT_H
#define XF_REPORT_H

/* Where readers and the compiler put what they find wrong with a policy. */

#include <stdarg.h>

#include <xvmi/policy.h>

#include "filter/ast.h"

struct xf_report {
    const char *file;
    const char *source; /* the policy's text; NULL when places are not places in it */
    size_t source_len;
    const struct xvmi_policy_options *options; /* may be NULL */
    struct xvmi_error *err;                    /* gets the first error; may be NULL */
    unsigned errors;
    bool no_memory;
};

void xf_error(struct xf_report *report, struct xf_at at, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void xf_warning(struct xf_report *report, struct xf_at at, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* XVMI_OK, or what loading has to fail with. */
enum xvmi_status xf_report_status(const struct xf_report *report);

#endif
