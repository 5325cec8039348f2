// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Flows that no packet opens: nothing on the wire tells that a port was closed and is another
 * process's now. Who sends is a number; a look at the guest says whether it is still the same.
 */
#include <string.h>

#include "filter/engine.h"

/* Numbers that are no sender's. */
enum { UNREAD = 1, NOBODY, FOREIGN };

bool xf_opens_not(const struct xvmi_flow *flow)
{
    return flow->proto != 6 && flow->proto != 132;
}

/* Others hold the socket as well: from the token, and when each of them started. */
static uint64_t with_holder(uint64_t number, const struct xvmi_task *task)
{
    number = (number ^ task->addr) * 0xff51afd7ed558ccdu;
    number = (number ^ number >> 32 ^ task->start_ns) * 0xff51afd7ed558ccdu;
    return number ^ number >> 32;
}

uint64_t xf_sender(enum xvmi_status status, const struct xvmi_owner *owner)
{
    if (status)
        return UNREAD;
    if (owner->kind == XVMI_OWNER_NONE)
        return owner->foreign ? FOREIGN : NOBODY;
    uint64_t number = xvmi_owner_token_number(&owner->token);
    for (uint32_t i = 1; i < owner->n_owners; i++)
        number = with_holder(number, &owner->owners[i].task);
    number ^= owner->mixed; /* the conditions on users answer otherwise */
    return number > FOREIGN ? number : FOREIGN + 1;
}

static struct xvmi_owner_query query_of(const struct xvmi_filter *f)
{
    return (struct xvmi_owner_query){
        .size = sizeof(struct xvmi_owner_query),
        .want = f->subject.processes || f->learn ? XVMI_WANT_NAME : XVMI_WANT_SOCKET,
        .max_reads = f->options.max_reads,
        .deadline_ns = xf_monotonic(NULL) + f->within,
    };
}

static void prove_some(struct xvmi_filter *f, const struct xvmi_flow *flows, const uint64_t *tokens,
                       size_t n, bool *same)
{
    enum xvmi_status status[XF_BATCH];
    const struct xvmi_owner_query query = query_of(f);
    if (f->subject.ops->find_batch(f->options.finder, flows, n, &query, f->senders, status))
        return;
    for (size_t i = 0; i < n; i++)
        same[i] = !status[i] && xf_sender(XVMI_OK, &f->senders[i]) == tokens[i];
}

void xvmi_filter_prove(struct xvmi_filter *f, const struct xvmi_flow *flows, const uint64_t *tokens,
                       size_t n, bool *same)
{
    memset(same, 0, n * sizeof(*same));
    f->within = f->options.max_ns;
    f->stats.proven += n;
    if (f->subject.blind || f->subject.ops->refresh(f->options.vm))
        return;
    for (size_t done = 0, some; done < n; done += some) {
        some = n - done < XF_BATCH ? n - done : XF_BATCH;
        prove_some(f, flows + done, tokens + done, some, same + done);
    }
}

bool xf_prove_frame(struct xvmi_filter *f, const struct xvmi_flow *flow, uint64_t token)
{
    struct xvmi_owner_query query = query_of(f);
    f->stats.proven++;
    if (f->subject.blind || f->subject.ops->refresh(f->options.vm))
        return false;
    memcpy(query.mac, f->subject.query.mac, sizeof(query.mac));
    enum xvmi_status status = f->subject.ops->find(f->options.finder, flow, &query, &f->senders[0]);
    return !status && xf_sender(status, &f->senders[0]) == token;
}
