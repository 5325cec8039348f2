/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XF_ENGINE_H
#define XF_ENGINE_H

#include <xvmi/filter.h>

#include "filter/fragments.h"
#include "filter/learn.h"
#include "filter/subject.h"

/* Tokens by their number, which is all that the cache keeps: a place each, the newer wins. */
#define XF_TOKENS 4096u
/* So often in a row a token is enough. It does not tell that another process got hold of the
 * socket as well; a full look-up does. */
#define XF_TOKEN_USES 15u

struct xf_token_kept {
    uint64_t number; /* 0: empty */
    uint32_t uses;   /* XF_TOKEN_USES: it takes a full look-up */
    struct xvmi_owner_token token;
};

/* Flows whose senders are looked at together. */
#define XF_BATCH 32u

struct xvmi_filter {
    struct xvmi_filter_options options;
    char *name;
    struct xvmi_nic *nics; /* options.n_nics */
    struct xvmi_policy *policy;
    const struct xf_program *program; /* of policy, for this guest */
    struct xvmi_cache *cache;
    struct xf_subject subject;
    struct xf_fragments *fragments;
    struct xf_learn *learn; /* NULL: does not */
    struct xvmi_filter_stats stats;
    uint64_t within;     /* ns that the look-up for this frame may take */
    uint32_t generation; /* of the policy, for fragments */
    struct xf_token_kept tokens[XF_TOKENS];
    struct xvmi_owner senders[XF_BATCH]; /* see xvmi_filter_prove() */
};

uint64_t xf_monotonic(void *context);
/* As xvmi_filter_new(), on a guest of the caller's. */
enum xvmi_status xf_filter_new(const struct xvmi_filter_options *options,
                               const struct xf_guest_ops *ops, struct xvmi_filter **filter,
                               struct xvmi_error *err);

/* prove.c: does no packet open such flows? Then what was decided is used only while the sender is
 * proven to be the same. */
bool xf_opens_not(const struct xvmi_flow *flow);
/* All who stand behind a flow, in one number, for struct xvmi_decision. `status`: of the look-up. */
uint64_t xf_sender(enum xvmi_status status, const struct xvmi_owner *owner);
/* xvmi_filter_prove() for the frame that is being decided about. */
bool xf_prove_frame(struct xvmi_filter *f, const struct xvmi_flow *flow, uint64_t token);

#endif
