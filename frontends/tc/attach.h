/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XTC_ATTACH_H
#define XTC_ATTACH_H

/*
 * BPF programs on network devices: by a TCX link (Linux 6.6), which vanishes with its last
 * descriptor, or as a filter of a clsact qdisc, which stays until it is removed.
 */

#include <stdbool.h>
#include <stdint.h>

#include <xvmi/error.h>

struct xtc_hook {
    int ifindex;
    bool egress;
    int link;          /* of TCX; -1: none */
    uint32_t priority; /* of the clsact filter; 0: none */
};
#define XTC_NO_HOOK ((struct xtc_hook){.link = -1})

/* `lasting`: stays when the process ends. What an earlier agent left at this place is replaced,
 * without a moment in which neither is there. The qdisc is made if need be and left there: others
 * may use it. */
XVMI_CHECKED enum xvmi_status xtc_attach(int ifindex, bool egress, int prog, bool lasting,
                                         struct xtc_hook *hook, struct xvmi_error *err);
void xtc_detach(struct xtc_hook *hook);
/* What an earlier agent left at this place; a descriptor of its program, -1 when there is
 * none. */
int xtc_find(int ifindex, bool egress, struct xtc_hook *hook);

#endif
