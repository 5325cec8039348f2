/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XTC_LOAD_H
#define XTC_LOAD_H

#include "private.h"

/* Load the programs, with the decisions that an earlier agent left on the device, if it did. */
XVMI_CHECKED enum xvmi_status xtc_load(struct xtc *tc, const struct xtc_config *config,
                                       struct xvmi_error *err);

#endif
