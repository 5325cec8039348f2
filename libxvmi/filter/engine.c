// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* The life of a filter; decide.c does its work. */
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "filter/engine.h"
#include "filter/reject.h"

#define REVALIDATE_NS 1000000000u
#define MAX_READS     65536u
#define MAX_NS        50000000u
#define NICS_MAX      256u

uint64_t xf_monotonic(void *context)
{
    struct timespec ts;
    (void)context;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void set_defaults(struct xvmi_filter_options *options)
{
    if (!options->clock)
        options->clock = xf_monotonic;
    if (!options->revalidate_ns)
        options->revalidate_ns = REVALIDATE_NS;
    if (!options->max_reads)
        options->max_reads = MAX_READS;
    if (!options->max_ns)
        options->max_ns = MAX_NS;
}

static void use_policy(struct xvmi_filter *f, struct xvmi_policy *policy,
                       const struct xf_program *program)
{
    f->policy = xvmi_policy_ref(policy);
    f->program = program;
    f->subject.processes = program->needs & XVMI_NEED_PROCESS;
    memset(f->tokens, 0, sizeof(f->tokens));
    f->generation++;
}

static const struct xf_program *find_program(const struct xvmi_policy *policy, const char *name,
                                             struct xvmi_error *err)
{
    const struct xf_program *program = xf_policy_program(policy, name);
    if (!program)
        xvmi_error_set(err, XVMI_ERR_NOT_FOUND, "%s: no vm block is for the guest '%s'",
                       policy->file, name);
    return program;
}

enum xvmi_status xf_filter_new(const struct xvmi_filter_options *options,
                               const struct xf_guest_ops *ops, struct xvmi_filter **filter,
                               struct xvmi_error *err)
{
    struct xvmi_filter_options all = {0};
    uint64_t secret = 0;
    *filter = NULL;
    memcpy(&all, options, options->size < sizeof(all) ? options->size : sizeof(all));
    if (!all.policy || !all.name)
        return xvmi_error_set(err, XVMI_ERR_INVALID, "a filter needs a policy and a guest's name");
    const struct xf_program *program = find_program(all.policy, all.name, err);
    if (!program)
        return XVMI_ERR_NOT_FOUND;
    if (getrandom(&secret, sizeof(secret), 0) != sizeof(secret))
        return xvmi_error_set(err, XVMI_ERR_IO, "the host gives no random numbers");
    struct xvmi_filter *f = calloc(1, sizeof(*f));
    if (all.n_nics > NICS_MAX)
        all.n_nics = NICS_MAX;
    if (!f || !(f->name = strdup(all.name)) ||
        (all.n_nics && !(f->nics = calloc(all.n_nics, sizeof(*f->nics)))) ||
        !(f->fragments = xf_fragments_new(secret)) || (all.learn && !(f->learn = xf_learn_new()))) {
        xvmi_filter_free(f);
        return xvmi_error_set(err, XVMI_ERR_NO_MEMORY, "out of memory");
    }
    set_defaults(&all);
    if (all.n_nics)
        memcpy(f->nics, all.nics, all.n_nics * sizeof(*f->nics));
    f->options = all;
    f->cache = all.cache ? xvmi_cache_ref(all.cache) : NULL;
    f->subject.ops = ops;
    f->subject.vm = all.vm;
    f->subject.finder = all.finder;
    f->subject.query =
        (struct xvmi_owner_query){.size = sizeof(f->subject.query), .max_reads = all.max_reads};
    use_policy(f, all.policy, program);
    *filter = f;
    return XVMI_OK;
}

enum xvmi_status xvmi_filter_new(const struct xvmi_filter_options *options,
                                 struct xvmi_filter **filter, struct xvmi_error *err)
{
    *filter = NULL;
    if (options->size < offsetof(struct xvmi_filter_options, policy) || !options->vm)
        return xvmi_error_set(err, XVMI_ERR_INVALID, "a filter needs a guest");
    enum xvmi_status status = xf_filter_new(options, &xf_guest_ops, filter, err);
    if (!status)
        (*filter)->subject.blind = !options->finder;
    return status;
}

void xvmi_filter_free(struct xvmi_filter *f)
{
    if (!f)
        return;
    xf_subject_fini(&f->subject);
    xf_learn_free(f->learn);
    free(f->fragments);
    xvmi_cache_unref(f->cache);
    xvmi_policy_unref(f->policy);
    free(f->name);
    free(f->nics);
    free(f);
}

enum xvmi_status xvmi_filter_reload(struct xvmi_filter *f, struct xvmi_policy *policy,
                                    struct xvmi_error *err)
{
    const struct xf_program *program = find_program(policy, f->name, err);
    if (!program)
        return XVMI_ERR_NOT_FOUND;
    struct xvmi_policy *old = f->policy;
    use_policy(f, policy, program);
    if (f->cache)
        xvmi_cache_new_epoch(f->cache);
    xvmi_policy_unref(old);
    f->stats.reloads++;
    return XVMI_OK;
}

void xvmi_filter_set_finder(struct xvmi_filter *f, struct xvmi_finder *finder)
{
    f->options.finder = f->subject.finder = finder;
    f->subject.blind = !finder;
    memset(f->tokens, 0, sizeof(f->tokens));
    f->generation++;
    if (f->cache)
        xvmi_cache_invalidate_vm(f->cache, f->options.number);
}

uint32_t xvmi_filter_needs(const struct xvmi_filter *f)
{
    return f->program->needs;
}

void xvmi_filter_stats(const struct xvmi_filter *f, struct xvmi_filter_stats *stats)
{
    size_t size = stats->size < sizeof(*stats) ? stats->size : sizeof(*stats);
    memcpy(stats, &f->stats, size);
    stats->size = size;
}

size_t xvmi_filter_reject(const void *frame, size_t len, void *buf, size_t size)
{
    uint8_t out[XF_REJECT_MAX];
    struct xf_frame parsed;
    _Static_assert(XF_REJECT_MAX == XVMI_REJECT_FRAME_MAX, "public");
    if (!xf_frame_parse(frame, len, XVMI_FLOW_OUT, 0, 0, &parsed))
        return 0;
    size_t n = xf_reject_build(frame, len, &parsed, out);
    if (n > size)
        return 0;
    memcpy(buf, out, n);
    return n;
}
