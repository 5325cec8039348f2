/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XL_ATTRIBUTES_H
#define XL_ATTRIBUTES_H

#include <xvmi/owner.h>

#include "base/arena.h"
#include "os/linux/guest.h"

/* Fill in what is wanted (XVMI_WANT_*) to be known of a process whose addr, pid and start are known.
 * Texts and parents go into the arena. XVMI_ERR_CHANGED when it ended. */
XVMI_CHECKED enum xvmi_status xl_owner_attributes(struct xl_guest *g, struct xb_arena *arena,
                                                  uint32_t want, struct xvmi_flow_owner *owner);

#endif
