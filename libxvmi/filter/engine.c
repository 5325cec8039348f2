// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "filter/engine.h"
#include "filter/reject.h"

#define REVALIDATE_NS 1000000000u
/* What is not certain is looked at again soon: the socket may appear, the page be read in. */
#define RETRY_NS  100000000u
#define MAX_READS 65536u
#define MAX_NS    50000000u

static uint64_t monotonic(void *context)
{
    struct timespec ts;
    (void)context;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static uint64_t clock_now(const struct xvmi_filter *f)
{
    return f->options.clock(f->options.context);
}

/* ---- life ---- */

static void set_defaults(struct xvmi_filter_options *options)
{
    if (!options->clock)
        options->clock = monotonic;
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
    if (!f || !(f->name = strdup(all.name)) || !(f->fragments = xf_fragments_new(secret)) ||
        (all.learn && !(f->learn = xf_learn_new()))) {
        xvmi_filter_free(f);
        return xvmi_error_set(err, XVMI_ERR_NO_MEMORY, "out of memory");
    }
    set_defaults(&all);
    f->options = all;
    f->cache = all.cache ? xvmi_cache_ref(all.cache) : NULL;
    f->subject.ops = ops;
    f->subject.vm = all.vm;
    f->subject.finder = all.finder;
    f->subject.clock = &f->clock;
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
    if (options->size < offsetof(struct xvmi_filter_options, policy) || !options->vm ||
        !options->finder)
        return xvmi_error_set(err, XVMI_ERR_INVALID, "a filter needs a guest and its finder");
    return xf_filter_new(options, &xf_guest_ops, filter, err);
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

/* ---- decisions ---- */

static enum xvmi_verdict verdict_of(enum xf_verb verb)
{
    return verb == XF_ALLOW    ? XVMI_VERDICT_PASS
           : verb == XF_REJECT ? XVMI_VERDICT_REJECT
                               : XVMI_VERDICT_DROP;
}

static void set_place(const struct xvmi_filter *f, struct xvmi_filter_event *event)
{
    struct xvmi_policy_rule rule;
    if (!event->rule || xvmi_policy_rule(f->policy, event->rule, &rule))
        return;
    event->file = rule.file;
    event->line = rule.line;
    event->column = rule.column;
}

/* By one of the options; `denying` is the value of it that denies. */
static void by_option(const struct xvmi_filter *f, enum xf_option option, unsigned denying,
                      enum xvmi_filter_reason reason, struct xvmi_filter_event *event)
{
    event->reason = reason;
    event->verdict = f->program->options[option] == denying ? XVMI_VERDICT_DROP : XVMI_VERDICT_PASS;
}

/* May the verdict change while socket, process and executable stay the same? */
static bool is_volatile(uint32_t needs)
{
    return needs & (XVMI_NEED_COMM | XVMI_NEED_CMDLINE | XVMI_NEED_ANCESTRY | XVMI_NEED_AGE |
                    XVMI_NEED_CREDS);
}

/* A number without its token is looked up again when it is due. */
static void keep_token(struct xvmi_filter *f, uint64_t number, bool enough)
{
    struct xf_token_kept *kept = &f->tokens[number % XF_TOKENS];
    if (enough)
        *kept = (struct xf_token_kept){number, 0, f->subject.owner.token};
    else if (kept->number == number)
        kept->number = 0;
}

static void fill_decision(struct xvmi_filter *f, struct xvmi_filter_event *event)
{
    const struct xf_subject *s = &f->subject;
    struct xvmi_decision *d = &event->decision;
    bool found = s->found && !s->status;
    *d = (struct xvmi_decision){
        .verdict = (uint8_t)event->action,
        .revalidate = s->found ? XVMI_REVALIDATE_TIME : XVMI_REVALIDATE_NEVER,
        .rule = event->rule,
        .token = 1,
        .validated = event->time,
    };
    if (s->found)
        d->every = event->uncertain || !found || s->owner.kind == XVMI_OWNER_NONE
                       ? RETRY_NS
                       : f->options.revalidate_ns;
    if (!found || s->owner.kind == XVMI_OWNER_NONE)
        return;
    d->uid = s->owner.socket.uid;
    d->token = xvmi_owner_token_number(&s->owner.token);
    if (s->owner.n_owners)
        d->pid = (uint32_t)s->owner.owners[0].task.pid;
    keep_token(f, d->token,
               !is_volatile(f->program->needs) && !event->uncertain && s->owner.n_owners <= 1);
}

/* Look up what the policy asks for and decide. */
static void decide_anew(struct xvmi_filter *f, const struct xf_frame *frame,
                        struct xvmi_filter_event *event)
{
    struct xf_verdict verdict;
    xf_subject_reset(&f->subject, &frame->packet.flow, frame->opens, event->time);
    f->subject.query.deadline_ns = monotonic(NULL) + f->options.max_ns;
    xf_match(f->policy, f->program, &frame->packet, &f->subject.facts, &verdict);
    event->verdict = verdict_of(verdict.verb);
    event->reason = verdict.rule ? XVMI_REASON_RULE : XVMI_REASON_DEFAULT;
    event->rule = verdict.rule;
    event->audit = verdict.audit;
    event->log = verdict.log || verdict.audit;
    event->uncertain = verdict.uncertain;
    event->file = verdict.at.line ? f->policy->file : NULL;
    event->line = verdict.at.line;
    event->column = verdict.at.column;
    event->lookup = f->subject.status;
    event->owner = f->subject.found && !f->subject.status ? &f->subject.owner : NULL;
    event->cacheable = !frame->packet.has_type || !(f->program->needs & XVMI_NEED_ICMP_TYPE);
    f->stats.lookups += f->subject.found;
    f->stats.unreadable += f->subject.found && f->subject.status;
    f->stats.unknown += event->owner && event->owner->kind == XVMI_OWNER_NONE;
    if (f->learn)
        xf_learn_packet(f->learn, &frame->packet, &f->subject.facts);
}

static void set_action(const struct xvmi_filter *f, struct xvmi_filter_event *event)
{
    bool dry = f->options.dry_run || f->options.learn;
    event->action = dry ? XVMI_VERDICT_PASS : event->verdict;
}

/* True when what the cache knows about the flow still holds. */
static bool revalidate(struct xvmi_filter *f, const struct xf_frame *frame, uint64_t stamp,
                       struct xvmi_filter_event *event)
{
    const struct xvmi_flow *flow = &frame->packet.flow;
    struct xvmi_decision *d = &event->decision;
    if (xvmi_cache_get(f->cache, flow, d))
        return false;
    struct xf_token_kept *kept = &f->tokens[d->token % XF_TOKENS];
    if (kept->number != d->token || kept->uses++ >= XF_TOKEN_USES)
        return false;
    if (f->subject.ops->refresh(f->options.vm) ||
        f->subject.ops->revalidate(f->options.finder, &kept->token) ||
        xvmi_cache_revalidate(f->cache, flow, d->token, event->time, stamp))
        return false;
    d->validated = event->time;
    f->stats.revalidated++;
    return true;
}

static void from_cache(struct xvmi_filter *f, uint8_t verdict, uint32_t rule,
                       struct xvmi_filter_event *event)
{
    event->verdict = (enum xvmi_verdict)verdict;
    event->rule = rule;
    event->reason = XVMI_REASON_CACHED;
    set_place(f, event);
    f->stats.cached++;
}

static void decide_packet(struct xvmi_filter *f, const struct xf_frame *frame, size_t len,
                          struct xvmi_filter_event *event)
{
    struct xvmi_packet packet = {frame->packet.flow, (uint32_t)len,
                                 frame->opens ? XVMI_PACKET_OPENS : 0};
    struct xvmi_answer answer = {0};
    /* What an ICMP type decides is not a matter of its flow. */
    bool use = f->cache && !(frame->packet.has_type && f->program->needs & XVMI_NEED_ICMP_TYPE);
    if (use)
        xvmi_cache_lookup(f->cache, &packet, 1, event->time, &answer, NULL);
    if (answer.outcome == XVMI_HIT) {
        from_cache(f, answer.verdict, answer.rule, event);
        set_action(f, event);
        return;
    }
    if (answer.outcome == XVMI_REVALIDATE && revalidate(f, frame, answer.stamp, event)) {
        from_cache(f, answer.verdict, answer.rule, event);
        set_action(f, event);
        event->cacheable = true;
        return;
    }
    decide_anew(f, frame, event);
    set_action(f, event);
    if (!event->cacheable)
        return;
    fill_decision(f, event);
    /* Refused means that the policy or the guest changed meanwhile: good for this frame only. */
    if (use && xvmi_cache_insert(f->cache, &frame->packet.flow, &event->decision, answer.stamp))
        event->cacheable = false;
}

static void decide_fragment(struct xvmi_filter *f, const struct xf_frame *frame,
                            struct xvmi_filter_event *event)
{
    uint8_t verdict;
    f->stats.fragments++;
    by_option(f, XF_OPT_FRAGMENTS, 0, XVMI_REASON_FRAGMENT, event);
    if (xf_fragments_get(f->fragments, frame, f->generation, event->time, &verdict, &event->rule))
        event->verdict = (enum xvmi_verdict)verdict;
    else
        f->stats.fragments_lost++;
    set_place(f, event);
}

static void count(struct xvmi_filter *f, const struct xvmi_filter_event *event)
{
    f->stats.frames++;
    f->stats.passed += event->action == XVMI_VERDICT_PASS;
    f->stats.dropped += event->action == XVMI_VERDICT_DROP;
    f->stats.rejected += event->action == XVMI_VERDICT_REJECT;
    f->stats.arp += event->reason == XVMI_REASON_ARP;
    f->stats.nd += event->reason == XVMI_REASON_ND;
    f->stats.other += event->reason == XVMI_REASON_OTHER;
    f->stats.malformed += event->reason == XVMI_REASON_MALFORMED;
}

static void decide_frame(struct xvmi_filter *f, const struct xf_frame *frame, size_t len,
                         struct xvmi_filter_event *event)
{
    switch (frame->kind) {
    case XF_FRAME_MALFORMED:
        event->malformed = frame->reason;
        by_option(f, XF_OPT_MALFORMED, 0, XVMI_REASON_MALFORMED, event);
        break;
    case XF_FRAME_ARP:
        by_option(f, XF_OPT_ARP, 1, XVMI_REASON_ARP, event);
        break;
    case XF_FRAME_ND:
        by_option(f, XF_OPT_ND, 1, XVMI_REASON_ND, event);
        break;
    case XF_FRAME_OTHER:
        by_option(f, XF_OPT_OTHER, 0, XVMI_REASON_OTHER, event);
        break;
    case XF_FRAME_FRAGMENT:
        decide_fragment(f, frame, event);
        break;
    case XF_FRAME_PACKET:
        decide_packet(f, frame, len, event);
        if (frame->fragmented)
            xf_fragments_put(f->fragments, frame, (uint8_t)event->verdict, event->rule,
                             f->generation, event->time);
        return;
    }
    set_action(f, event);
}

void xvmi_filter_decide(struct xvmi_filter *f, const void *data, size_t len,
                        enum xvmi_flow_direction direction, uint8_t nic, uint64_t now,
                        struct xvmi_filter_event *out)
{
    uint64_t begin = clock_now(f);
    struct xvmi_filter_event event = {.size = sizeof(event), .time = now};
    struct xf_frame frame;
    xf_frame_parse(data, len, direction, f->options.number, nic, &frame);
    event.flow = frame.packet.flow;
    if (direction == XVMI_FLOW_IN && !(f->program->needs & XVMI_NEED_INCOMING)) {
        event.verdict = XVMI_VERDICT_PASS;
        event.reason = XVMI_REASON_UNFILTERED;
        set_action(f, &event);
    } else {
        decide_frame(f, &frame, len, &event);
    }
    count(f, &event);
    event.latency_ns = clock_now(f) - begin;
    size_t size = out->size < sizeof(event) ? out->size : sizeof(event);
    memcpy(out, &event, size);
    out->size = size;
}
