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
    uint32_t generation; /* of the policy, for fragments */
    struct xf_token_kept tokens[XF_TOKENS];
};

uint64_t xf_monotonic(void *context);
/* As xvmi_filter_new(), on a guest of the caller's. */
enum xvmi_status xf_filter_new(const struct xvmi_filter_options *options,
                               const struct xf_guest_ops *ops, struct xvmi_filter **filter,
                               struct xvmi_error *err);

#endif
