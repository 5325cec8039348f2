/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XE_FRAMES_H
#define XE_FRAMES_H

/*
 * PV guests: which machine frame is behind a page of the guest's, and the other way round.
 *
 * The guest keeps the first list itself and tells Xen where it is (p2m, arch_shared_info in
 * xen/arch-x86/xen.h); Xen keeps the second one for all of the machine (m2p). Both are mapped and
 * read as they change. The guest can write what it likes into either: a frame that is not its own
 * cannot be mapped, and that is Xen's word.
 */

#include "host.h"

struct xe_frames;

/* `most` is how many pages the domain may have. XVMI_ERR_CHANGED: the guest has not told yet. */
XVMI_CHECKED enum xvmi_status xe_frames_open(const struct xe_host *host, uint32_t domid,
                                             const xc_domaininfo_t *info, struct xe_frames **frames,
                                             struct xvmi_error *err);
void xe_frames_close(struct xe_frames *frames);

/* Whether the list lies elsewhere now or is of another length: open anew. */
bool xe_frames_moved(const struct xe_frames *frames);

uint64_t xe_frames_pages(const struct xe_frames *frames); /* on the list */

/* The machine frame of a page, XE_NO_FRAME when it has none of its own. */
uint64_t xe_frames_machine(const struct xe_frames *frames, uint64_t page);

/* The page whose machine frame this is, XE_NO_FRAME when it is none of this guest's. */
uint64_t xe_frames_page(struct xe_frames *frames, uint64_t machine);

/* What an entry of the guest's list says. */
static inline uint64_t xe_frames_entry(uint64_t entry)
{
    /* Linux (arch/x86/include/asm/xen/page.h, 6.1): the two top bits say that the frame is another
     * domain's, or a device's; all bits set: none. */
    return entry >> 62 ? ~UINT64_C(0) : entry;
}

#endif
