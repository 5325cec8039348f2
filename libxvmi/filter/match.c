// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <string.h>

#include "filter/match.h"

/* Holders beyond those that were returned: there, but nothing is known about them. */
#define UNSEEN (UINT32_MAX - 1)

struct match {
    const struct xvmi_policy *policy;
    const struct xf_program *program;
    const struct xf_packet *packet;
    struct xf_facts *facts;
    uint32_t holder;    /* the one that this round is about */
    const char *hashed; /* the text that `hash` is of: many rules ask for the same */
    size_t hashed_len;
    uint64_t hash;
    /* What was answered about it before: many rules ask for the same. */
    struct {
        bool asked;
        enum xf_known known;
        const struct xvmi_task *task;
    } process;
    struct {
        bool asked;
        enum xf_known known;
        const char *text;
        size_t len;
    } exe;
    bool asked_holder; /* something was asked that may differ between holders */
};

enum truth { NO, YES, NOT_KNOWN, NOT_READ };

static enum truth truth_of(enum xf_known known)
{
    return known == XF_UNKNOWN ? NOT_KNOWN : known == XF_UNREADABLE ? NOT_READ : NO;
}

/* ---- comparing ---- */

static bool has_number(const struct match *m, const struct xf_cond *cond, uint64_t number)
{
    if (cond->single == XF_ONE_RANGE)
        return number >= cond->lo && number <= cond->hi;
    for (uint32_t i = 0; i < cond->n_refs; i++)
        if (xf_set_has_number(m->policy->sets.v[m->policy->refs.v[cond->refs + i]], number))
            return true;
    return false;
}

static bool has_addr(const struct match *m, const struct xf_cond *cond, const uint8_t addr[16])
{
    struct xf_addr number = xf_addr_load(m->packet->flow.family, addr);
    for (uint32_t i = 0; i < cond->n_refs; i++)
        if (xf_set_has_addr(m->policy->sets.v[m->policy->refs.v[cond->refs + i]],
                            m->packet->flow.family, number))
            return true;
    return false;
}

static bool has_text(struct match *m, const struct xf_cond *cond, const char *text, size_t len)
{
    if (m->hashed != text || m->hashed_len != len) {
        m->hashed = text;
        m->hashed_len = len;
        m->hash = xf_text_hash(text, len);
    }
    if (cond->single == XF_ONE_TEXT && cond->lo != m->hash)
        return false;
    for (uint32_t i = 0; i < cond->n_refs; i++)
        if (xf_set_has_text(m->policy->sets.v[m->policy->refs.v[cond->refs + i]], text, len,
                            m->hash))
            return true;
    return false;
}

static enum truth fits(const struct xf_cond *cond, bool has)
{
    return has != cond->negate ? YES : NO;
}

/* ---- the packet ---- */

static enum truth ask_packet(const struct match *m, const struct xf_cond *cond)
{
    const struct xvmi_flow *flow = &m->packet->flow;
    bool in = flow->direction == XVMI_FLOW_IN;
    switch (cond->field) {
    case XF_PROTO:
        return fits(cond, has_number(m, cond, flow->proto));
    case XF_SPORT:
    case XF_DPORT:
        if (!m->packet->has_ports)
            return NO;
        return fits(
            cond, has_number(m, cond, (cond->field == XF_SPORT) != in ? flow->lport : flow->rport));
    case XF_FROM:
    case XF_TO:
        return fits(cond,
                    has_addr(m, cond, (cond->field == XF_FROM) != in ? flow->local : flow->remote));
    default:
        return m->packet->has_type ? fits(cond, has_number(m, cond, m->packet->type)) : NO;
    }
}

/* ---- the socket ---- */

static enum xf_known find_holder(struct match *m, const struct xvmi_task **task)
{
    const struct xvmi_owner *owner;
    enum xf_known known = m->facts->owner(m->facts, true, &owner);
    if (known != XF_KNOWN)
        return known;
    if (owner->kind == XVMI_OWNER_KERNEL && !owner->n_owners)
        return XF_ABSENT;
    if (owner->kind == XVMI_OWNER_NONE || !owner->n_owners)
        return XF_UNKNOWN;
    m->asked_holder = true;
    if (m->holder == UNSEEN)
        return XF_UNREADABLE;
    return m->facts->task(m->facts, m->holder, 0, task);
}

/* The process this round is about. */
static enum xf_known get_holder(struct match *m, const struct xvmi_task **task)
{
    if (!m->process.asked) {
        m->process.known = find_holder(m, &m->process.task);
        m->process.asked = true;
    }
    *task = m->process.task;
    return m->process.known;
}

static enum xf_known get_exe(struct match *m, const char **text, size_t *len)
{
    if (!m->exe.asked) {
        m->exe.known =
            m->facts->text(m->facts, m->holder, 0, XF_ABOUT_EXE, &m->exe.text, &m->exe.len);
        m->exe.asked = true;
    }
    *text = m->exe.text;
    *len = m->exe.len;
    return m->exe.known;
}

static enum truth ask_kind(struct match *m, const struct xf_cond *cond)
{
    const struct xvmi_owner *owner;
    enum xf_known known = m->facts->owner(m->facts, true, &owner);
    if (known == XF_UNKNOWN)
        return fits(cond, has_number(m, cond, XVMI_OWNER_NONE));
    return known == XF_KNOWN ? fits(cond, has_number(m, cond, owner->kind)) : truth_of(known);
}

static enum xf_known get_socket(struct match *m, const struct xvmi_socket **socket)
{
    const struct xvmi_owner *owner;
    enum xf_known known = m->facts->owner(m->facts, false, &owner);
    if (known == XF_KNOWN && (owner->kind == XVMI_OWNER_NONE || owner->mixed))
        known = XF_UNKNOWN;
    if (known == XF_KNOWN && xf_is_answer(owner))
        known = XF_ABSENT;
    if (known == XF_KNOWN)
        *socket = &owner->socket;
    return known;
}

/* Requests and sockets in time-wait have no user; the kernel shows the latter as FIN_WAIT2 too,
 * then without a file (inet_timewait_sock.tw_substate). */
static bool has_uid(const struct xvmi_socket *socket)
{
    return socket->state != XVMI_STATE_TIME_WAIT && socket->state != XVMI_STATE_NEW_SYN_RECV &&
           (socket->state != XVMI_STATE_FIN_WAIT2 || socket->file);
}

/* Of the process where the socket has none. */
static enum truth ask_uid(struct match *m, const struct xf_cond *cond)
{
    const struct xvmi_socket *socket;
    const struct xvmi_task *task;
    enum xf_known known = get_socket(m, &socket);
    if (known != XF_KNOWN)
        return truth_of(known);
    if (has_uid(socket))
        return fits(cond, has_number(m, cond, socket->uid));
    known = get_holder(m, &task);
    return known == XF_KNOWN ? fits(cond, has_number(m, cond, task->uid)) : truth_of(known);
}

static enum truth ask_netns(struct match *m, const struct xf_cond *cond)
{
    const struct xvmi_socket *socket;
    enum xf_known known = get_socket(m, &socket);
    if (known == XF_KNOWN && !socket->netns)
        return NOT_READ;
    return known == XF_KNOWN ? fits(cond, has_number(m, cond, socket->netns)) : truth_of(known);
}

/* Of the socket; of the process where the socket has none. */
static enum truth ask_cgroup(struct match *m, const struct xf_cond *cond)
{
    const struct xvmi_socket *socket;
    const struct xvmi_task *task;
    const char *text;
    size_t len;
    enum xf_known known = get_socket(m, &socket);
    if (known != XF_KNOWN)
        return truth_of(known);
    known = m->facts->text(m->facts, XF_OF_SOCKET, 0, XF_ABOUT_CGROUP, &text, &len);
    if (known == XF_ABSENT && (known = get_holder(m, &task)) == XF_KNOWN)
        known = m->facts->text(m->facts, m->holder, 0, XF_ABOUT_CGROUP, &text, &len);
    if (known != XF_KNOWN)
        return truth_of(known);
    size_t skip = cond->field == XF_CONTAINER && len && *text == '/';
    return fits(cond, has_text(m, cond, text + skip, len - skip));
}

/* ---- the process ---- */

static enum truth ask_number(struct match *m, const struct xf_cond *cond)
{
    const struct xvmi_task *task;
    uint64_t age;
    enum xf_known known = get_holder(m, &task);
    if (known != XF_KNOWN)
        return truth_of(known);
    if (cond->field != XF_AGE)
        return fits(cond, has_number(m, cond, cond->field == XF_EUID ? task->euid : task->gid));
    known = m->facts->age(m->facts, task, &age);
    return known == XF_KNOWN ? fits(cond, has_number(m, cond, age)) : truth_of(known);
}

static bool has_comm(struct match *m, const struct xf_cond *cond, const struct xvmi_task *task)
{
    return has_text(m, cond, task->comm, strnlen(task->comm, sizeof(task->comm)));
}

/* A process that runs in user space has an executable; when none is found it is ending. */
static enum truth ask_path(struct match *m, const struct xf_cond *cond, uint32_t depth,
                           enum xf_about about, const struct xvmi_task *task)
{
    const char *text;
    size_t len;
    enum xf_known known = about == XF_ABOUT_EXE && !depth
                              ? get_exe(m, &text, &len)
                              : m->facts->text(m->facts, m->holder, depth, about, &text, &len);
    if (known == XF_ABSENT && !(task->flags & XVMI_TASK_KERNEL))
        return NOT_READ;
    return known == XF_KNOWN ? (has_text(m, cond, text, len) ? YES : NO) : truth_of(known);
}

static enum truth negated(const struct xf_cond *cond, enum truth truth)
{
    return truth > YES ? truth : fits(cond, truth == YES);
}

static enum truth ask_process(struct match *m, const struct xf_cond *cond)
{
    const struct xvmi_task *task;
    enum xf_known known = get_holder(m, &task);
    if (known != XF_KNOWN)
        return truth_of(known);
    if (cond->field == XF_COMM)
        return fits(cond, has_comm(m, cond, task));
    if (task->flags & XVMI_TASK_KERNEL)
        return NO;
    return negated(
        cond, ask_path(m, cond, 0, cond->field == XF_EXE ? XF_ABOUT_EXE : XF_ABOUT_CMDLINE, task));
}

/* Any ancestor. What could not be read counts only when none of the others fits. */
static enum truth ask_ancestors(struct match *m, const struct xf_cond *cond)
{
    const struct xvmi_task *task;
    enum truth truth = NO;
    enum xf_known known = get_holder(m, &task);
    if (known != XF_KNOWN)
        return truth_of(known);
    for (uint32_t depth = 1; depth <= XF_ANCESTORS_MAX; depth++) {
        known = m->facts->task(m->facts, m->holder, depth, &task);
        if (known == XF_ABSENT)
            return negated(cond, truth);
        if (known != XF_KNOWN)
            return truth_of(known);
        enum truth one = cond->field == XF_PARENT_COMM
                             ? (has_comm(m, cond, task) ? YES : NO)
                             : ask_path(m, cond, depth, XF_ABOUT_EXE, task);
        if (one == YES)
            return negated(cond, YES);
        if (one != NO)
            truth = one;
    }
    return NOT_READ;
}

static enum truth ask(struct match *m, const struct xf_cond *cond)
{
    switch (cond->field) {
    case XF_OWNER:
        return ask_kind(m, cond);
    case XF_UID:
        return ask_uid(m, cond);
    case XF_NETNS:
        return ask_netns(m, cond);
    case XF_CGROUP:
    case XF_CONTAINER:
        return ask_cgroup(m, cond);
    case XF_EUID:
    case XF_GID:
    case XF_AGE:
        return ask_number(m, cond);
    case XF_COMM:
    case XF_EXE:
    case XF_CMDLINE:
        return ask_process(m, cond);
    case XF_PARENT_COMM:
    case XF_PARENT_EXE:
        return ask_ancestors(m, cond);
    default:
        return ask_packet(m, cond);
    }
}

/* ---- rules ---- */

/*
 * A condition that nobody can answer. With "deny" it counts as met where that is the stricter
 * of the two, in rules that deny; with "allow" in rules that allow. An audit rule notes it.
 */
static bool resolve(const struct match *m, const struct xf_rule *rule, bool unread, bool unknown)
{
    bool lenient = (!unread || m->program->options[XF_OPT_UNREADABLE]) &&
                   (!unknown || m->program->options[XF_OPT_UNKNOWN]);
    return rule->verb == XF_AUDIT || (rule->verb == XF_ALLOW) == lenient;
}

static bool rule_fits(struct match *m, const struct xf_rule *rule, bool *uncertain)
{
    bool unread = false, unknown = false;
    for (uint32_t i = 0; i < rule->n_conds; i++) {
        enum truth truth = ask(m, &m->policy->conds.v[rule->conds + i]);
        if (truth == NO)
            return false;
        unread |= truth == NOT_READ;
        unknown |= truth == NOT_KNOWN;
    }
    *uncertain = unread || unknown;
    return !*uncertain || resolve(m, rule, unread, unknown);
}

/* For one holder of the socket. */
static void decide(struct match *m, struct xf_verdict *verdict)
{
    m->process.asked = m->exe.asked = false;
    bool in = m->packet->flow.direction == XVMI_FLOW_IN;
    const struct xf_default *def = in ? &m->program->in : &m->program->out;
    *verdict = (struct xf_verdict){
        .verb = def->given ? def->verb : XF_ALLOW, .log = def->log, .at = def->at};
    verdict->holder = m->holder == UNSEEN ? 0 : m->holder;
    for (uint32_t i = 0; i < m->program->n_rules; i++) {
        uint32_t number = m->program->rules + i + 1;
        const struct xf_rule *rule = &m->policy->rules.v[number - 1];
        bool uncertain = false;
        bool met = rule->in == in && rule_fits(m, rule, &uncertain);
        verdict->uncertain |= uncertain && rule->verb != XF_AUDIT;
        if (!met)
            continue;
        if (rule->verb == XF_AUDIT) {
            verdict->audit = verdict->audit ? verdict->audit : number;
            continue;
        }
        verdict->verb = (enum xf_verb)rule->verb;
        verdict->rule = number;
        verdict->log = rule->log;
        verdict->at = rule->at;
        return;
    }
}

static unsigned strictness(enum xf_verb verb)
{
    return verb == XF_ALLOW ? 0 : verb == XF_REJECT ? 1 : 2;
}

void xf_match(const struct xvmi_policy *policy, const struct xf_program *program,
              const struct xf_packet *packet, struct xf_facts *facts, struct xf_verdict *verdict)
{
    struct match m = {.policy = policy, .program = program, .packet = packet, .facts = facts};
    const struct xvmi_owner *owner;
    bool any = program->options[XF_OPT_OWNERS];
    decide(&m, verdict);
    if (!m.asked_holder || facts->owner(facts, true, &owner) != XF_KNOWN)
        return;
    uint32_t rounds = owner->n_owners + (owner->more && !any);
    for (uint32_t i = 1; i < rounds; i++) {
        struct xf_verdict other;
        m.holder = i < owner->n_owners ? i : UNSEEN;
        decide(&m, &other);
        uint32_t audit = verdict->audit ? verdict->audit : other.audit;
        if (any ? strictness(other.verb) < strictness(verdict->verb)
                : strictness(other.verb) > strictness(verdict->verb))
            *verdict = other;
        verdict->audit = audit;
    }
}
