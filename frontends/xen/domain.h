/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XE_DOMAIN_H
#define XE_DOMAIN_H

/* A domain's memory: which pages there are, what is behind them, and their mappings. */

#include <xvmi/mem.h>

#include "frames.h"
#include "host.h"
#include "maps.h"

struct xe_domain {
    const struct xe_host *host;
    uint32_t domid;
    bool pv;
    unsigned vcpus;
    uint64_t pages;   /* that it holds, as Xen counts */
    uint64_t low_end; /* PVH and HVM: below it is all RAM that is below 4 GiB */
    uint64_t looked_ms, renewed_ms;
    uint64_t ended_ms;        /* when it was first seen to be no more */
    bool may_return;          /* it shut down for a reason that most domains start again after */
    struct xe_frames *frames; /* PV */
    struct xe_maps *maps;
    struct xvmi_mem_range ranges[2];
    size_t n_ranges;
};

XVMI_CHECKED enum xvmi_status xe_domain_open(struct xe_domain *domain, const struct xe_host *host,
                                             uint32_t domid, struct xvmi_error *err);
void xe_domain_close(struct xe_domain *domain);

/* What Xen knows of it; XVMI_ERR_GONE. */
XVMI_CHECKED enum xvmi_status xe_domain_look(struct xe_domain *domain, xc_domaininfo_t *info,
                                             struct xvmi_error *err);
/* It is no more, but may have gone to start again just now: who knows its name waits for that. */
bool xe_domain_is_away(const struct xe_domain *domain);

/* Time for a new round? Whether pointers into the maps are dead now. */
bool xe_domain_release(struct xe_domain *domain);

/* A new round: what changed is mapped anew. *changed: the ranges are others now. */
XVMI_CHECKED enum xvmi_status xe_domain_refresh(struct xe_domain *domain, bool *changed,
                                                struct xvmi_error *err);

#endif
