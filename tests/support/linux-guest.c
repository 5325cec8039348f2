// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "support/linux-guest.h"

#include <stdlib.h>
#include <string.h>

static enum xvmi_status ranges(void *ctx, const struct xvmi_mem_range **out, size_t *n,
                               struct xvmi_error *err)
{
    struct lw_guest *g = ctx;
    (void)err;
    *out = &g->range;
    *n = 1;
    return XVMI_OK;
}

static enum xvmi_status read_ram(void *ctx, uint64_t gpa, void *dst, size_t len,
                                 struct xvmi_error *err)
{
    struct lw_guest *g = ctx;
    g->reads++;
    if (g->hook)
        g->hook(g, g->reads);
    if (gpa > g->lw->size || len > g->lw->size - gpa)
        return xvmi_error_set(err, XVMI_ERR_NOT_PRESENT, "outside");
    memcpy(dst, g->lw->ram + gpa, len);
    return XVMI_OK;
}

static void close_nothing(void *ctx)
{
    (void)ctx;
}

static const struct xvmi_mem_ops ops = {
    .size = sizeof(ops), .close = close_nothing, .ranges = ranges, .read = read_ram};

void lw_guest_open(struct lw_guest *g, struct lw *lw, bool mapped)
{
    *g = (struct lw_guest){.lw = lw};
    g->range = (struct xvmi_mem_range){.gpa = 0, .size = lw->size, .host = mapped ? lw->ram : NULL};
    struct xvmi_mem_backend backend = {
        .size = sizeof(backend), .ops = &ops, .ctx = g, .vcpus = 1, .live = true};
    struct xx_paging paging = {.root = 0, .levels = 4};
    if (xm_new(&backend, "toy", &g->mem, &g->err) ||
        xo_init(&g->space, g->mem, paging, true, &g->err))
        abort();
    /* All of it is direct map: no page tables, all zero, stand behind it. */
    g->space.direct_base = LW_BASE;
    g->space.direct_size = lw->size;
    g->guest =
        (struct xl_guest){.space = &g->space, .lay = lw->lay, .sym = lw->sym, .err = &g->err};
}

void lw_guest_close(struct lw_guest *g)
{
    xo_fini(&g->space);
    xm_close(g->mem);
}
