// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "os/linux/task.h"

/* A struct of a sequence count and, 8 bytes in, the timekeeper (kernel/time/timekeeping.c). */
#define TIMEKEEPER 8

/* As ktime_get_coarse_with_offset() does it. */
static enum xvmi_status read_clock(struct xl_guest *g, uint64_t tk, uint64_t *ns)
{
    struct xw_fault fault;
    uint64_t base, nsec, shift, boot;
    if (xw_get(g->space, &g->lay, tk, tk_base, &base, &fault) ||
        xw_get(g->space, &g->lay, tk, tk_nsec, &nsec, &fault) ||
        xw_get(g->space, &g->lay, tk, tk_shift, &shift, &fault) ||
        xw_get(g->space, &g->lay, tk, tk_offs_boot, &boot, &fault))
        return xl_fault(g, &fault);
    *ns = base + (nsec >> (shift & 63)) + boot;
    return XVMI_OK;
}

enum xvmi_status xl_clock(struct xl_guest *g, uint64_t *ns)
{
    uint64_t at = g->sym.sym_tk_core ? g->sym.sym_tk_core : g->sym.sym_tk_data;
    if (!at || !xw_has(g->lay.tk_base) || !xw_has(g->lay.tk_nsec) || !xw_has(g->lay.tk_shift) ||
        !xw_has(g->lay.tk_offs_boot))
        return xvmi_error_set(g->err, XVMI_ERR_UNSUPPORTED,
                              "where this kernel keeps its clock is not known");
    for (int i = 0; i < XL_RETRIES; i++) {
        uint32_t before, after;
        if (xo_read_u32(g->space, at, &before))
            return xo_fault(g->space, g->err);
        enum xvmi_status status = read_clock(g, at + TIMEKEEPER, ns);
        if (status)
            return status;
        if (xo_read_u32(g->space, at, &after))
            return xo_fault(g->space, g->err);
        if (before == after && !(before & 1))
            return XVMI_OK;
        xo_invalidate(g->space);
    }
    return xvmi_error_set(g->err, XVMI_ERR_CHANGED, "the guest's clock kept changing");
}
