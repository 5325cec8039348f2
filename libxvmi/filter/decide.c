// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* One frame: what it is, what is known of its flow, and if need be who sent it. */
#include <stddef.h>
#include <string.h>

#include "filter/engine.h"

/* What is not certain is looked at again soon: the socket may appear, the page be read in. */
#define RETRY_NS 100000000u

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

static void keep_token(struct xvmi_filter *f, uint64_t number, bool enough)
{
    f->tokens[number % XF_TOKENS] =
        (struct xf_token_kept){number, enough ? 0 : XF_TOKEN_USES, f->subject.owner.token};
}

/* What is kept of the decision's sender; NULL when others took its place. */
static struct xf_token_kept *find_token(struct xvmi_filter *f, const struct xvmi_decision *d)
{
    struct xf_token_kept *kept = &f->tokens[d->token % XF_TOKENS];
    return kept->number == d->token ? kept : NULL;
}

static void fill_decision(struct xvmi_filter *f, struct xvmi_filter_event *event)
{
    const struct xf_subject *s = &f->subject;
    struct xvmi_decision *d = &event->decision;
    bool found = s->found && !s->status;
    *d = (struct xvmi_decision){
        .verdict = (uint8_t)event->verdict,
        .revalidate = s->found ? XVMI_REVALIDATE_TIME : XVMI_REVALIDATE_NEVER,
        .rule = event->rule,
        .token = s->found ? xf_sender(s->status, &s->owner) : 1,
        .validated = event->time,
    };
    if (s->found)
        d->every = event->uncertain || !found || s->owner.kind == XVMI_OWNER_NONE
                       ? RETRY_NS
                       : f->options.revalidate_ns;
    if (!found || s->owner.kind == XVMI_OWNER_NONE)
        return;
    d->uid = s->owner.socket.uid;
    if (s->owner.n_owners)
        d->pid = (uint32_t)s->owner.owners[0].task.pid;
    keep_token(f, d->token,
               !is_volatile(f->program->needs) && !event->uncertain && s->owner.n_owners <= 1);
}

/* A guest that says it is another one is nobody in particular; unless the policy has use for that
 * (a router forwards for others), it does not get so far. */
static void deny_spoofed(struct xvmi_filter *f, struct xvmi_filter_event *event)
{
    event->verdict = XVMI_VERDICT_DROP;
    event->reason = XVMI_REASON_SPOOFED;
    event->rule = 0;
    event->log = true;
    event->uncertain = false;
    event->file = NULL;
    event->line = event->column = 0;
    f->stats.spoofed++;
}

static bool is_spoofed(struct xvmi_filter *f, const struct xf_frame *frame, bool mac)
{
    if (frame->packet.flow.direction != XVMI_FLOW_OUT || f->program->options[XF_OPT_SPOOFED])
        return false;
    if (mac || frame->kind != XF_FRAME_PACKET)
        return mac;
    return (f->program->sources || f->subject.found) && xf_subject_foreign(&f->subject);
}

/* Look up what the policy asks for and decide. `mac`: the frame has another device's address. */
static void decide_anew(struct xvmi_filter *f, const struct xf_frame *frame, bool mac,
                        struct xvmi_filter_event *event)
{
    struct xf_verdict verdict;
    xf_subject_reset(&f->subject, &frame->packet, event->time);
    if (mac)
        xf_subject_disown(&f->subject);
    f->subject.query.deadline_ns = xf_monotonic(NULL) + f->within;
    xf_match(f->policy, f->program, &frame->packet, &f->subject.facts, &verdict);
    event->unfinished =
        f->within < f->options.max_ns && f->subject.found && f->subject.status == XVMI_ERR_LIMIT;
    if (event->unfinished)
        return;
    event->verdict = verdict_of(verdict.verb);
    event->reason = verdict.rule ? XVMI_REASON_RULE : XVMI_REASON_DEFAULT;
    event->rule = verdict.rule;
    event->audit = verdict.audit;
    event->log = verdict.log || verdict.audit;
    event->uncertain = verdict.uncertain;
    event->file = verdict.at.line ? f->policy->file : NULL;
    event->line = verdict.at.line;
    event->column = verdict.at.column;
    bool spoofed = is_spoofed(f, frame, mac);
    event->lookup = f->subject.status;
    event->owner = f->subject.found && !f->subject.status ? &f->subject.owner : NULL;
    event->cacheable = !mac && !xf_subject_answers(&f->subject) &&
                       (!frame->packet.has_type || !(f->program->needs & XVMI_NEED_ICMP_TYPE));
    f->stats.lookups += f->subject.found;
    f->stats.unreadable += f->subject.found && f->subject.status;
    f->stats.unknown += event->owner && event->owner->kind == XVMI_OWNER_NONE;
    if (spoofed)
        deny_spoofed(f, event);
    else if (f->learn)
        xf_learn_packet(f->learn, &frame->packet, &f->subject.facts);
}

/* Our cache keeps what the policy says; other caches are told what to do. */
static void set_action(const struct xvmi_filter *f, struct xvmi_filter_event *event)
{
    bool dry = f->options.dry_run || f->options.learn;
    event->action = dry ? XVMI_VERDICT_PASS : event->verdict;
    event->decision.verdict = (uint8_t)event->action;
    event->prove = event->cacheable && xf_opens_not(&event->flow) &&
                   event->decision.revalidate != XVMI_REVALIDATE_NEVER;
}

/* Does the sender of this flow, which no packet opens, go on? */
static bool is_proven(struct xvmi_filter *f, const struct xvmi_flow *flow,
                      const struct xvmi_decision *known)
{
    return known->revalidate == XVMI_REVALIDATE_NEVER || xf_prove_frame(f, flow, known->token);
}

/* True when what the cache knows about the flow still holds; `d` is what it knows. */
static bool revalidate(struct xvmi_filter *f, const struct xvmi_flow *flow, uint64_t stamp,
                       uint64_t now, struct xvmi_decision *d)
{
    struct xf_token_kept *kept = find_token(f, d);
    if (!kept || kept->uses >= XF_TOKEN_USES || f->subject.blind)
        return false;
    kept->uses++;
    if (xf_opens_not(flow) ? !xf_prove_frame(f, flow, d->token)
                           : f->subject.ops->refresh(f->options.vm) ||
                                 f->subject.ops->revalidate(f->options.finder, &kept->token))
        return false;
    if (xvmi_cache_revalidate(f->cache, flow, d->token, now, stamp))
        return false;
    d->validated = now;
    f->stats.revalidated++;
    return true;
}

/*
 * A process may close a connection, or end, while its kernel still sends what was written.
 * Nobody holds the socket then; it is the one that was decided about when it is at the same
 * address, or is what remains of it in time-wait, where nothing but ACK and RST is sent.
 */
static bool is_closing(struct xvmi_filter *f, const struct xf_frame *frame,
                       const struct xvmi_decision *before)
{
    const struct xf_subject *s = &f->subject;
    const struct xf_token_kept *kept = find_token(f, before);
    const struct xvmi_socket *socket = &s->owner.socket;
    if (!kept || frame->packet.flow.proto != 6 || frame->opens || !s->found || s->status ||
        s->owner.kind != XVMI_OWNER_ORPHAN || s->owner.n_owners)
        return false;
    if (socket->state == XVMI_STATE_TIME_WAIT)
        return true;
    bool closing = socket->state == XVMI_STATE_FIN_WAIT1 || socket->state == XVMI_STATE_FIN_WAIT2 ||
                   socket->state == XVMI_STATE_CLOSING || socket->state == XVMI_STATE_LAST_ACK;
    return closing && (socket->addr == kept->token.sock || socket->state == XVMI_STATE_FIN_WAIT2);
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

/* What was decided holds on; false: decide anew, which was done already when *decided. */
static bool use_again(struct xvmi_filter *f, const struct xf_frame *frame, uint64_t stamp,
                      struct xvmi_filter_event *event, bool *decided)
{
    const struct xvmi_flow *flow = &frame->packet.flow;
    struct xvmi_decision before;
    if (xvmi_cache_get(f->cache, flow, &before))
        return false;
    if (!revalidate(f, flow, stamp, event->time, &before)) {
        decide_anew(f, frame, false, event);
        *decided = true;
        if (event->unfinished || !event->uncertain || !is_closing(f, frame, &before))
            return false;
        event->uncertain = event->log = false;
        event->audit = 0;
        event->file = NULL;
        event->line = event->column = 0;
        before.validated = event->time;
        if (xvmi_cache_insert(f->cache, flow, &before, stamp))
            return false;
    }
    event->decision = before;
    event->cacheable = true;
    from_cache(f, before.verdict, before.rule, event);
    return true;
}

static void decide_packet(struct xvmi_filter *f, const struct xf_frame *frame, size_t len, bool mac,
                          struct xvmi_filter_event *event)
{
    struct xvmi_packet packet = {frame->packet.flow, (uint32_t)len,
                                 frame->opens ? XVMI_PACKET_OPENS : 0};
    struct xvmi_answer answer = {0};
    struct xvmi_decision known;
    bool decided = false, is_known = false;
    /* What an ICMP type decides is not a matter of its flow. */
    bool use =
        f->cache && !mac && !(frame->packet.has_type && f->program->needs & XVMI_NEED_ICMP_TYPE);
    if (use)
        xvmi_cache_lookup(f->cache, &packet, 1, event->time, &answer, NULL);
    if (answer.outcome == XVMI_HIT) /* unless it is forgotten just now */
        is_known = !xvmi_cache_get(f->cache, &packet.flow, &known);
    if (answer.outcome == XVMI_HIT && xf_opens_not(&packet.flow) &&
        !(is_known && is_proven(f, &packet.flow, &known))) {
        answer.outcome = XVMI_MISS;
        answer.stamp = xvmi_cache_stamp(f->cache, &packet.flow);
    }
    if (answer.outcome == XVMI_HIT) {
        from_cache(f, answer.verdict, answer.rule, event);
        event->cacheable = is_known;
        if (is_known)
            event->decision = known;
    }
    if (answer.outcome == XVMI_HIT || (answer.outcome == XVMI_REVALIDATE && !frame->opens &&
                                       use_again(f, frame, answer.stamp, event, &decided))) {
        set_action(f, event);
        return;
    }
    if (!decided)
        decide_anew(f, frame, mac, event);
    if (event->unfinished)
        return;
    set_action(f, event);
    if (!event->cacheable)
        return;
    fill_decision(f, event);
    /* Refused means that the policy or the guest changed meanwhile: good for this frame only. */
    if (use && xvmi_cache_insert(f->cache, &frame->packet.flow, &event->decision, answer.stamp))
        event->cacheable = false;
    set_action(f, event);
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

/* Has the frame another source address than the device that it came out of? */
static bool has_other_mac(const struct xvmi_filter *f, const struct xvmi_flow *flow,
                          const uint8_t *data, size_t len)
{
    static const uint8_t none[6];
    if (f->program->options[XF_OPT_MAC] == 0 || flow->direction != XVMI_FLOW_OUT ||
        flow->nic >= f->options.n_nics || len < 12)
        return false;
    const uint8_t *mac = f->nics[flow->nic].mac;
    return memcmp(mac, none, 6) && memcmp(mac, data + 6, 6);
}

static void decide_frame(struct xvmi_filter *f, const struct xf_frame *frame, size_t len, bool mac,
                         struct xvmi_filter_event *event)
{
    if (frame->kind != XF_FRAME_PACKET && is_spoofed(f, frame, mac)) {
        deny_spoofed(f, event);
        set_action(f, event);
        return;
    }
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
        decide_packet(f, frame, len, mac, event);
        if (frame->fragmented && !event->unfinished)
            xf_fragments_put(f->fragments, frame, (uint8_t)event->verdict, event->rule,
                             f->generation, event->time);
        return;
    }
    set_action(f, event);
}

/* It tells network namespaces apart that have the same IP address. */
static void set_source(struct xvmi_filter *f, const uint8_t *data, size_t len)
{
    memset(f->subject.query.mac, 0, 6);
    if (len >= 12)
        memcpy(f->subject.query.mac, data + 6, 6);
}

void xvmi_filter_decide(struct xvmi_filter *f, const void *data, size_t len,
                        enum xvmi_flow_direction direction, uint8_t nic, uint64_t now,
                        struct xvmi_filter_event *out)
{
    uint64_t begin = f->options.clock(f->options.context);
    struct xvmi_filter_event event = {.size = sizeof(event), .time = now};
    if (out->size >= offsetof(struct xvmi_filter_event, unfinished))
        event.within_ns = out->within_ns;
    f->within = event.within_ns && event.within_ns < f->options.max_ns ? event.within_ns
                                                                       : f->options.max_ns;
    struct xf_frame frame;
    xf_frame_parse(data, len, direction, f->options.number, nic, &frame);
    event.flow = frame.packet.flow;
    if (direction == XVMI_FLOW_IN && !(f->program->needs & XVMI_NEED_INCOMING)) {
        event.verdict = XVMI_VERDICT_PASS;
        event.reason = XVMI_REASON_UNFILTERED;
        set_action(f, &event);
    } else {
        bool mac = has_other_mac(f, &event.flow, data, len);
        set_source(f, data, direction == XVMI_FLOW_OUT ? len : 0);
        decide_frame(f, &frame, len, mac, &event);
    }
    if (!event.unfinished)
        count(f, &event);
    event.latency_ns = f->options.clock(f->options.context) - begin;
    size_t size = out->size < sizeof(event) ? out->size : sizeof(event);
    memcpy(out, &event, size);
    out->size = size;
}
