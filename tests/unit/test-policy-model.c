// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Random policies on random packets, against an evaluator that is slow and obvious: it keeps
 * each rule as lists of values and asks them one after the other, in the order written.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "filter/match.h"

static uint64_t state = 88172645463325252u;

static unsigned pick(unsigned n)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (unsigned)(state >> 33) % n;
}

/* What a condition can be about here; each with at most three ranges of small numbers. */
enum about { ABOUT_PROTO, ABOUT_DPORT, ABOUT_TO, ABOUT_UID, ABOUT_EUID, ABOUT_EXE, ABOUTS };
static const char *const words[ABOUTS] = {"proto", "dport", "to", "uid", "euid", "exe"};

struct cond {
    bool used, negate;
    unsigned n;
    struct {
        unsigned lo, hi;
    } v[3];
};

struct rule {
    unsigned verb; /* enum xf_verb */
    struct cond conds[ABOUTS];
};

#define RULES 12
struct model {
    bool deny, any, lenient_unknown, lenient_unread;
    unsigned n;
    struct rule rules[RULES];
};

/* The sender: its numbers by `about`, per holder; 99 is "cannot be read". */
struct sender {
    struct xf_facts facts;
    enum { KNOWN, NONE, KERNEL, UNREAD } kind;
    struct xvmi_owner owner;
    unsigned uid, exe[3];
    char path[3][16];
};
#define UNREADABLE 99

static struct cond random_cond(enum about about)
{
    struct cond c = {.used = pick(3) == 0, .negate = pick(4) == 0, .n = pick(2) ? 1 : 1 + pick(3)};
    for (unsigned i = 0; i < c.n; i++) {
        c.v[i].lo = pick(8);
        c.v[i].hi = c.v[i].lo + (about == ABOUT_EXE ? 0 : pick(3));
    }
    return c;
}

static struct model random_model(void)
{
    struct model m = {.deny = pick(2),
                      .any = pick(2),
                      .lenient_unknown = pick(2),
                      .lenient_unread = pick(2),
                      .n = pick(RULES + 1)};
    for (unsigned i = 0; i < m.n; i++) {
        m.rules[i].verb = pick(XF_VERBS);
        for (enum about a = 0; a < ABOUTS; a++)
            m.rules[i].conds[a] = random_cond(a);
    }
    return m;
}

static void print_value(FILE *f, enum about about, unsigned lo, unsigned hi)
{
    if (about == ABOUT_EXE)
        fprintf(f, lo % 2 ? "\"/bin/%u\"" : "\"/b*/[%u]\"", lo);
    else if (about == ABOUT_TO)
        fprintf(f, "10.0.0.%u-10.0.0.%u", lo, hi);
    else
        fprintf(f, "%u-%u", lo, hi);
}

static struct xvmi_policy *compile(const struct model *m)
{
    char *text;
    size_t len;
    struct xvmi_policy *policy;
    struct xvmi_error err = XVMI_ERROR_INIT;
    FILE *f = open_memstream(&text, &len);
    fprintf(f, "vm \"*\" {\ndefault %s\nowners %s\nunknown %s\nunreadable %s\n",
            m->deny ? "deny" : "allow", m->any ? "any" : "all",
            m->lenient_unknown ? "allow" : "deny", m->lenient_unread ? "allow" : "deny");
    for (unsigned i = 0; i < m->n; i++) {
        fputs(xf_verb_word(m->rules[i].verb), f);
        for (unsigned k = 0, a = pick(ABOUTS); k < ABOUTS; k++, a = (a + 1) % ABOUTS) {
            const struct cond *c = &m->rules[i].conds[a];
            if (!c->used)
                continue;
            fprintf(f, " %s %s{", words[a], c->negate ? "!= " : "");
            for (unsigned v = 0; v < c->n; v++) {
                fputs(v ? ", " : " ", f);
                print_value(f, a, c->v[v].lo, c->v[v].hi);
            }
            fputs(" }", f);
        }
        fputc('\n', f);
    }
    fputs("}\n", f);
    fclose(f);
    cr_assert_eq(xvmi_policy_parse(text, len, "p", NULL, &policy, &err), XVMI_OK, "%s\n%s",
                 err.text, text);
    free(text);
    return policy;
}

/* ---- the sender as the matcher sees it ---- */

static enum xf_known get_owner(struct xf_facts *facts, bool processes,
                               const struct xvmi_owner **owner)
{
    struct sender *s = (struct sender *)facts;
    (void)processes;
    *owner = &s->owner;
    return s->kind == UNREAD ? XF_UNREADABLE : XF_KNOWN;
}

static enum xf_known get_task(struct xf_facts *facts, uint32_t i, uint32_t depth,
                              const struct xvmi_task **task)
{
    (void)depth;
    *task = &((struct sender *)facts)->owner.owners[i].task;
    return XF_KNOWN;
}

static enum xf_known get_text(struct xf_facts *facts, uint32_t i, uint32_t depth,
                              enum xf_about about, const char **text, size_t *len)
{
    struct sender *s = (struct sender *)facts;
    (void)depth;
    (void)about;
    *text = s->path[i];
    *len = strlen(*text);
    return s->exe[i] == UNREADABLE ? XF_UNREADABLE : XF_KNOWN;
}

static struct sender random_sender(void)
{
    struct sender s = {.facts = {get_owner, get_task, get_text, NULL}, .kind = KNOWN};
    if (pick(3) == 0)
        s.kind = 1 + pick(3);
    s.owner.kind = s.kind == KNOWN    ? XVMI_OWNER_PROCESS
                   : s.kind == KERNEL ? XVMI_OWNER_KERNEL
                                      : XVMI_OWNER_NONE;
    s.owner.socket.state = XVMI_STATE_ESTABLISHED;
    s.owner.socket.addr = 1;
    s.uid = s.owner.socket.uid = pick(10);
    s.owner.n_owners = s.kind == KNOWN ? 1 + pick(3) : 0;
    s.owner.more = s.kind == KNOWN && pick(5) == 0;
    for (unsigned i = 0; i < 3; i++) {
        s.owner.owners[i].task.euid = pick(10);
        s.exe[i] = pick(8) ? pick(8) : UNREADABLE;
        snprintf(s.path[i], sizeof(s.path[i]), "/bin/%u", s.exe[i]);
    }
    return s;
}

/* ---- the obvious evaluator ---- */

enum truth { NO, YES, UNKNOWN, UNREAD_TRUTH };

static bool in_values(const struct cond *c, unsigned value)
{
    for (unsigned i = 0; i < c->n; i++)
        if (value >= c->v[i].lo && value <= c->v[i].hi)
            return true;
    return false;
}

static enum truth of_value(const struct cond *c, unsigned value)
{
    return in_values(c, value) != c->negate ? YES : NO;
}

static enum truth truth_of(const struct cond *c, enum about a, const unsigned packet[3],
                           const struct sender *s, unsigned holder)
{
    if (a <= ABOUT_TO)
        return a == ABOUT_DPORT && packet[0] == 1 ? NO : of_value(c, packet[a]);
    if (s->kind == UNREAD)
        return UNREAD_TRUTH;
    if (s->kind == NONE)
        return UNKNOWN;
    if (a == ABOUT_UID)
        return of_value(c, s->uid);
    if (s->kind == KERNEL)
        return NO;
    if (holder >= s->owner.n_owners || (a == ABOUT_EXE && s->exe[holder] == UNREADABLE))
        return UNREAD_TRUTH;
    return of_value(c, a == ABOUT_EXE ? s->exe[holder] : s->owner.owners[holder].task.euid);
}

static unsigned verdict_for(const struct model *m, const unsigned packet[3], const struct sender *s,
                            unsigned holder)
{
    for (unsigned i = 0; i < m->n; i++) {
        bool unknown = false, unread = false, no = false;
        for (enum about a = 0; a < ABOUTS; a++) {
            if (!m->rules[i].conds[a].used)
                continue;
            enum truth t = truth_of(&m->rules[i].conds[a], a, packet, s, holder);
            no |= t == NO;
            unknown |= t == UNKNOWN;
            unread |= t == UNREAD_TRUTH;
        }
        if (no || m->rules[i].verb == XF_AUDIT)
            continue;
        bool lenient = (!unknown || m->lenient_unknown) && (!unread || m->lenient_unread);
        if ((unknown || unread) && (m->rules[i].verb == XF_ALLOW) != lenient)
            continue;
        return m->rules[i].verb;
    }
    return m->deny ? XF_DENY : XF_ALLOW;
}

static unsigned verdict(const struct model *m, const unsigned packet[3], const struct sender *s)
{
    static const unsigned strictness[] = {[XF_ALLOW] = 0, [XF_REJECT] = 1, [XF_DENY] = 2};
    unsigned result = verdict_for(m, packet, s, 0);
    unsigned holders = s->owner.n_owners + (s->owner.more && !m->any);
    for (unsigned i = 1; i < holders; i++) {
        unsigned other = verdict_for(m, packet, s, i);
        if (m->any ? strictness[other] < strictness[result]
                   : strictness[other] > strictness[result])
            result = other;
    }
    return result;
}

Test(policy_model, compiled_is_as_obvious)
{
    unsigned seen[XF_VERBS] = {0};
    for (unsigned round = 0; round < 3000; round++) {
        struct model m = random_model();
        struct xvmi_policy *policy = compile(&m);
        const struct xf_program *program = xf_policy_program(policy, "x");
        for (unsigned k = 0; k < 40; k++) {
            unsigned packet[3] = {pick(10), pick(10), pick(10)};
            struct sender s = random_sender();
            struct xf_packet p = {
                .flow = {.family = 2,
                         .proto = (uint8_t)packet[0],
                         .rport = (uint16_t)packet[1],
                         .remote = {10, 0, 0, (uint8_t)packet[2]}},
                .has_ports = packet[0] != 1,
            };
            struct xf_verdict v;
            xf_match(policy, program, &p, &s.facts, &v);
            unsigned want = verdict(&m, packet, &s);
            cr_assert_eq(v.verb, want, "round %u, packet %u: %s, not %s", round, k,
                         xf_verb_word(v.verb), xf_verb_word(want));
            seen[want]++;
        }
        xvmi_policy_unref(policy);
    }
    cr_expect(seen[XF_ALLOW] > 1000 && seen[XF_DENY] > 1000 && seen[XF_REJECT] > 1000);
}
