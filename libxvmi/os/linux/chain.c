// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "os/linux/chain.h"

#include <inttypes.h>

#include "base/vec.h"

static enum xvmi_status read_once(struct xl_guest *g, uint64_t head, size_t more,
                                  struct xl_addr_vec *socks)
{
    uint64_t link = head, node, back;
    for (;; more--) {
        if (xo_read_u64(g->space, link, &node))
            return xo_fault(g->space, g->err);
        if (xw_chain_ends(node))
            return XVMI_OK;
        if (!xw_is_pointer(node))
            return xvmi_error_set(g->err, XVMI_ERR_FORMAT, "0x%" PRIx64 " is no pointer", node);
        if (xo_read_u64(g->space, node + 8, &back))
            return xo_fault(g->space, g->err);
        if (back != link)
            return xvmi_error_set(g->err, XVMI_ERR_CHANGED, "changed while looking, %d times",
                                  XL_RETRIES);
        if (!more)
            return xvmi_error_set(g->err, XVMI_ERR_LIMIT, "more sockets than memory could hold");
        if (!xb_vec_push(socks, xw_sock_of_node(&g->lay, node)))
            return xvmi_error_set(g->err, XVMI_ERR_NO_MEMORY, "out of memory");
        link = node;
    }
}

enum xvmi_status xl_chain_read(struct xl_guest *g, uint64_t head, size_t more,
                               struct xl_addr_vec *socks)
{
    size_t before = socks->n;
    enum xvmi_status status = XVMI_OK;
    for (int i = 0; i < XL_RETRIES; i++) {
        status = read_once(g, head, more, socks);
        if (!status || status == XVMI_ERR_NO_MEMORY || status == XVMI_ERR_LIMIT)
            break;
        socks->n = before;
        xo_invalidate(g->space);
    }
    return status ? xvmi_error_frame(g->err, status, "chain at 0x%" PRIx64, head) : XVMI_OK;
}
