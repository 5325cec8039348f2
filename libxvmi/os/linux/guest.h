/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XL_GUEST_H
#define XL_GUEST_H

/*
 * A Linux guest that is understood: where its kernel keeps things, and its memory.
 * Everything in os/linux that asks a question takes one of these.
 */

#include <xvmi/profile.h>

#include "os/linux/walk.h"
#include "type/want.h"

struct xl_guest {
    struct xo_space *space; /* the kernel's address space */
    struct xw_layout lay;
    struct xw_symbols sym;
    struct xvmi_error *err; /* where failures are told; never NULL */
};

/* How often a look at something that keeps changing is repeated before it is an error. */
#define XL_RETRIES 16

/* The table of walk/linux.def as type/ wants it. */
const struct xt_want *xl_wants(size_t *n);

/* Layout and run-time symbols out of a profile. XVMI_ERR_MISMATCH when it lacks something. */
XVMI_CHECKED enum xvmi_status xl_layout_fill(const struct xvmi_profile *profile,
                                             uint64_t kaslr_offset, struct xw_layout *lay,
                                             struct xw_symbols *sym, struct xvmi_error *err);

/* Tell what stopped a walker in g->err ("task_struct.mm at 0x…: page not present (…)"); returns
 * the status. */
enum xvmi_status xl_fault(const struct xl_guest *g, const struct xw_fault *fault);

#endif
