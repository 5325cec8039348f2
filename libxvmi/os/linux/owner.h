/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XL_OWNER_H
#define XL_OWNER_H

#include <xvmi/owner.h>

#include "os/linux/guest.h"

/* What xvmi_finder_new() and xvmi_task_parent() do, on a guest. The rest of <xvmi/owner.h> needs
 * no more than the finder. */
XVMI_CHECKED enum xvmi_status xl_finder_new(struct xl_guest *g,
                                            const struct xvmi_finder_options *options,
                                            struct xvmi_finder **finder);

#endif
