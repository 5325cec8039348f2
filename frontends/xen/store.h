/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XE_STORE_H
#define XE_STORE_H

/* What xenstore tells of a domain: its network devices, and what happens to it. */

#include <xvmi/mem.h>

#include "domain.h"

#define XE_NICS 64u /* looked at, of one domain */

/* The domain's network devices, in order of their numbers, into nics[XE_NICS]. */
XVMI_CHECKED enum xvmi_status xe_store_nics(const struct xe_host *host, uint32_t domid,
                                            struct xvmi_nic *nics, size_t *n,
                                            struct xvmi_error *err);

/* "00:16:3e:01:02:03"; all zero and false for what is no MAC address. */
bool xe_parse_mac(const char *text, uint8_t mac[6]);

struct xe_watch {
    struct xe_domain *domain;
    uint32_t domid;   /* its number when this was started */
    const char *name; /* of the domain, when it was opened by name; NULL: it ends with its number */
    bool on, quiet[3]; /* xenstore fires each watch once when it is set */
    bool told_stop, told_end;
    bool memory, devices; /* to be told */
};

/* Also when the domain has another number now. */
XVMI_CHECKED enum xvmi_status xe_watch_start(struct xe_watch *watch, struct xe_domain *domain,
                                             const char *name, int *fd, struct xvmi_error *err);
XVMI_CHECKED enum xvmi_status xe_watch_next(struct xe_watch *watch, enum xvmi_vm_event *event,
                                            struct xvmi_error *err);
void xe_watch_stop(struct xe_watch *watch);

#endif
