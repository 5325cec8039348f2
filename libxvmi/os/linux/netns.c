// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "os/linux/netns.h"

#include <stdlib.h>

#include "base/vec.h"

/* A struct net takes more than a page, 64 Ki of them more than any guest has. */
#define MAX_NETS (64u << 10)

/* One pass over the ring; XVMI_ERR_CHANGED when a link does not hold from both sides. */
static enum xvmi_status walk_ring(struct xl_guest *g, struct xl_net_vec *nets)
{
    const uint64_t head = g->sym.sym_net_namespace_list;
    uint64_t at = head, next, back, inum;
    struct xw_fault fault;
    for (nets->n = 0; nets->n < MAX_NETS;) {
        if (xo_read_u64(g->space, at, &next) || xo_read_u64(g->space, next + 8, &back))
            return xo_fault(g->space, g->err);
        if (back != at)
            return xvmi_error_set(g->err, XVMI_ERR_CHANGED, "changed while looking");
        if (next == head)
            return XVMI_OK;
        uint64_t net = next - g->lay.net_list.off;
        if (xw_get(g->space, &g->lay, net, net_inum, &inum, &fault))
            return xl_fault(g, &fault);
        if (!xb_vec_push(nets, ((struct xl_net){net, (uint32_t)inum})))
            return xvmi_error_set(g->err, XVMI_ERR_NO_MEMORY, "out of memory");
        at = next;
    }
    return xvmi_error_set(g->err, XVMI_ERR_LIMIT, "more than %u", MAX_NETS);
}

enum xvmi_status xl_net_list(struct xl_guest *g, struct xl_net_vec *nets)
{
    *nets = (struct xl_net_vec){0};
    enum xvmi_status status = XVMI_ERR_CHANGED;
    for (int i = 0; i < XL_RETRIES && status; i++) {
        if (i)
            xo_invalidate(g->space);
        status = walk_ring(g, nets);
        if (status == XVMI_ERR_NO_MEMORY || status == XVMI_ERR_LIMIT)
            break;
    }
    if (!status && !nets->n)
        status = xvmi_error_set(g->err, XVMI_ERR_FORMAT, "there are none");
    if (status) {
        free(nets->v);
        *nets = (struct xl_net_vec){0};
        return xvmi_error_frame(g->err, status, "listing network namespaces");
    }
    return XVMI_OK;
}
