/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XL_ORPHAN_H
#define XL_ORPHAN_H

/* Where an open file is that no process has among its descriptors. */

#include "os/linux/holders.h"

/* Looks into the queues of unix sockets and the file tables of io_uring. *holders are those who
 * hold the socket or the ring that has it. As slow as a search through all descriptors. */
XVMI_CHECKED enum xvmi_status xl_orphan_find(struct xl_guest *g, struct xl_holders *h,
                                             const struct xl_held *what,
                                             const struct xl_budget *budget,
                                             enum xvmi_orphan *orphan,
                                             struct xl_holder_list *holders);

#endif
