// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* What a policy says about packets whose senders are made up. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "filter/match.h"

#define CHAIN_MAX 80

/* Senders: holder i has the tasks chain[i][0] (itself) and up. */
struct world {
    struct xf_facts facts;
    struct xvmi_owner owner;
    enum xf_known found; /* what asking for the owner gives */
    struct {
        struct xvmi_task task;
        const char *exe; /* NULL: cannot be read; "": there is none */
    } chain[2][CHAIN_MAX];
    unsigned depth[2];
    const char *cmdline, *cgroup;
    unsigned asked_owner, asked_processes, asked_exe;
};

static enum xf_known get_owner(struct xf_facts *facts, bool processes,
                               const struct xvmi_owner **owner)
{
    struct world *w = (struct world *)facts;
    w->asked_owner++;
    w->asked_processes += processes;
    *owner = &w->owner;
    return w->found;
}

static enum xf_known get_task(struct xf_facts *facts, uint32_t i, uint32_t depth,
                              const struct xvmi_task **task)
{
    struct world *w = (struct world *)facts;
    if (depth >= w->depth[i])
        return XF_ABSENT;
    *task = &w->chain[i][depth].task;
    return XF_KNOWN;
}

static enum xf_known get_text(struct xf_facts *facts, uint32_t i, uint32_t depth,
                              enum xf_about about, const char **text, size_t *len)
{
    struct world *w = (struct world *)facts;
    w->asked_exe += about == XF_ABOUT_EXE;
    *text = about == XF_ABOUT_CGROUP    ? w->cgroup
            : about == XF_ABOUT_CMDLINE ? w->cmdline
                                        : w->chain[i][depth].exe;
    if (!*text)
        return XF_UNREADABLE;
    *len = strlen(*text);
    return *len ? XF_KNOWN : XF_ABSENT;
}

static enum xf_known get_age(struct xf_facts *facts, const struct xvmi_task *task, uint64_t *ns)
{
    (void)facts;
    *ns = 100000000000u - task->start_ns;
    return XF_KNOWN;
}

static void add_task(struct world *w, unsigned holder, const char *comm, const char *exe)
{
    unsigned depth = w->depth[holder]++;
    strncpy(w->chain[holder][depth].task.comm, comm, XVMI_COMM_MAX - 1);
    w->chain[holder][depth].exe = exe;
    w->owner.kind = XVMI_OWNER_PROCESS;
    w->owner.n_owners = w->owner.n_owners > holder ? w->owner.n_owners : holder + 1;
}

static struct world *world(void)
{
    static struct world w;
    w = (struct world){.facts = {get_owner, get_task, get_text, get_age}};
    w.cmdline = w.cgroup = "";
    w.owner.socket.state = XVMI_STATE_ESTABLISHED;
    return &w;
}

static struct world *one_process(const char *comm, const char *exe)
{
    struct world *w = world();
    add_task(w, 0, comm, exe);
    return w;
}

/* "tcp 10.0.0.2:5000 > 192.0.2.1:80" without the parsing. */
static struct xf_packet tcp(uint16_t sport, uint16_t dport)
{
    struct xf_packet p = {.flow = {.family = 2, .proto = 6, .lport = sport, .rport = dport},
                          .has_ports = true};
    inet_pton(AF_INET, "10.0.0.2", p.flow.local);
    inet_pton(AF_INET, "192.0.2.1", p.flow.remote);
    return p;
}

static struct xf_verdict ask(const char *rules, struct world *w, const struct xf_packet *packet)
{
    char text[1024];
    struct xvmi_policy *policy;
    struct xvmi_error err = XVMI_ERROR_INIT;
    struct xf_verdict verdict;
    snprintf(text, sizeof(text), "vm \"*\" {\n%s\n}\n", rules);
    cr_assert_eq(xvmi_policy_parse(text, strlen(text), "p", NULL, &policy, &err), XVMI_OK, "%s",
                 err.text);
    xf_match(policy, xf_policy_program(policy, "vm"), packet, &w->facts, &verdict);
    xvmi_policy_unref(policy);
    return verdict;
}

static enum xf_verb verb(const char *rules, struct world *w)
{
    struct xf_packet packet = tcp(5000, 80);
    return ask(rules, w, &packet).verb;
}

/* Whether the condition is met, in a rule that allows and in one that denies. */
#define MET(condition, w)                                                                          \
    cr_expect(verb("default deny; allow " condition, w) == XF_ALLOW &&                             \
                  verb("default allow; deny " condition, w) == XF_DENY,                            \
              condition)
#define NOT_MET(condition, w)                                                                      \
    cr_expect(verb("default deny; allow " condition, w) == XF_DENY &&                              \
                  verb("default allow; deny " condition, w) == XF_ALLOW,                           \
              condition)
/* Nobody knows: as the strictest has it, and with the option the other way round. */
#define UNSURE(condition, w, option)                                                               \
    cr_expect(verb("default deny; allow " condition, w) == XF_DENY &&                              \
                  verb("default allow; deny " condition, w) == XF_DENY &&                          \
                  verb("default deny; " option " allow; allow " condition, w) == XF_ALLOW &&       \
                  verb("default allow; " option " allow; deny " condition, w) == XF_ALLOW,         \
              condition)

Test(policy_match, packets)
{
    struct world *w = one_process("curl", "/usr/bin/curl");
    MET("tcp", w);
    NOT_MET("udp", w);
    MET("proto { 6, 17 }", w);
    MET("proto != udp", w);
    MET("dport 80", w);
    MET("tcp dport { 443, 70-90 } sport 5000", w);
    NOT_MET("dport != 80", w);
    MET("dport > 79", w);
    NOT_MET("dport < 80", w);
    MET("dport <= 80", w);
    NOT_MET("sport 80", w);
    MET("to 192.0.2.0/24 from 10.0.0.1-10.0.0.2", w);
    NOT_MET("to { 192.0.2.2, ::/0 }", w);
    MET("to != ::/0", w);
    NOT_MET("in", w);
    MET("out", w);
    NOT_MET("icmp type 8", w);
    cr_expect_eq(w->asked_owner, 0);
}

Test(policy_match, incoming_packets_swap_the_sides)
{
    struct world *w = one_process("sshd", "/usr/sbin/sshd");
    struct xf_packet packet = tcp(22, 6000);
    packet.flow.direction = XVMI_FLOW_IN;
    cr_expect_eq(ask("default deny; allow in dport 22 from 192.0.2.1 to 10.0.0.2\n"
                     "default in deny",
                     w, &packet)
                     .verb,
                 XF_ALLOW);
    cr_expect_eq(ask("default deny; default in reject; allow dport 22", w, &packet).verb,
                 XF_REJECT);
    cr_expect_eq(ask("default deny", w, &packet).verb, XF_ALLOW);
}

Test(policy_match, icmp)
{
    struct world *w = world();
    struct xf_packet p = {.flow = {.family = 2, .proto = 1}, .has_type = true, .type = 8};
    cr_expect_eq(ask("default deny; allow icmp type echo-request", w, &p).verb, XF_ALLOW);
    cr_expect_eq(ask("default deny; allow icmp type != 8", w, &p).verb, XF_DENY);
    cr_expect_eq(ask("default deny; allow icmp6 type 8", w, &p).verb, XF_DENY);
    cr_expect_eq(ask("default allow; deny dport != 80", w, &p).verb, XF_ALLOW);
    p = (struct xf_packet){.flow = {.family = 10, .proto = 58}, .has_type = true, .type = 128};
    cr_expect_eq(ask("default deny; allow icmp6 type echo-request", w, &p).verb, XF_ALLOW);
}

Test(policy_match, senders)
{
    struct world *w = one_process("nginx", "/usr/sbin/nginx");
    struct xvmi_task *task = &w->chain[0][0].task;
    w->owner.socket.uid = 33;
    w->owner.socket.netns = 4026531840u;
    task->euid = 34;
    task->gid = 35;
    task->start_ns = 95000000000u;
    w->cmdline = "nginx: worker /process";
    w->cgroup = "/shop/web/sub";
    MET("exe \"/usr/sbin/nginx\"", w);
    NOT_MET("exe { \"/usr/bin/nginx\", \"/usr/sbin/ngin\" }", w);
    MET("exe \"/usr/*/nginx\"", w);
    NOT_MET("exe \"/usr/*\"", w);
    MET("exe \"/usr/**\"", w);
    MET("exe \"**/ngin[x-z]\"", w);
    NOT_MET("exe \"**/ngin[!x-z]\"", w);
    NOT_MET("exe != \"/usr/sbin/nginx\"", w);
    MET("exe != \"/bin/sh\"", w);
    MET("comm \"ngi?x\"", w);
    MET("cmdline \"*worker*\"", w);
    MET("uid www-data", w);
    NOT_MET("uid 34", w);
    MET("euid 34 gid 30-40", w);
    MET("netns 4026531840", w);
    MET("container \"shop\"", w);
    MET("container \"shop/*\"", w);
    NOT_MET("container \"web\"", w);
    NOT_MET("container \"sho\"", w);
    MET("container \"/shop/web\"", w);
    MET("cgroup \"/shop/web/sub\"", w);
    NOT_MET("cgroup \"/shop/web\"", w);
    MET("age < 10s", w);
    MET("age 5s-1m", w);
    NOT_MET("age > 5s", w);
    MET("owner process", w);
    NOT_MET("owner { kernel, none }", w);
}

Test(policy_match, ancestors)
{
    struct world *w = one_process("nc", "/bin/nc");
    add_task(w, 0, "bash", "/bin/bash");
    add_task(w, 0, "sshd", NULL);
    add_task(w, 0, "systemd", "/usr/lib/systemd/systemd");
    MET("parent exe \"/bin/bash\"", w);
    MET("ancestor exe \"/usr/lib/systemd/*\"", w);
    NOT_MET("parent comm \"nc\"", w);
    MET("parent comm \"sshd\"", w);
    NOT_MET("parent comm != \"sshd\"", w);
    UNSURE("parent exe \"/usr/sbin/sshd\"", w, "unreadable");
    while (w->depth[0] < CHAIN_MAX)
        add_task(w, 0, "x", "/x");
    UNSURE("parent comm \"init\"", w, "unreadable");
}

Test(policy_match, who_is_not_known)
{
    struct world *w = world(); /* kind none */
    UNSURE("exe \"/bin/x\"", w, "unknown");
    UNSURE("exe != \"/bin/x\"", w, "unknown");
    UNSURE("uid 0", w, "unknown");
    UNSURE("container \"x\"", w, "unknown");
    MET("owner none", w);
    NOT_MET("exe \"/bin/x\" udp", w);
    w->owner.kind = XVMI_OWNER_ORPHAN;
    UNSURE("comm \"x\"", w, "unknown");
    MET("uid 0", w);
    w->owner.socket.state = XVMI_STATE_TIME_WAIT;
    UNSURE("uid 0", w, "unknown");
    w->owner.socket.state = XVMI_STATE_FIN_WAIT2; /* of a time-wait socket */
    UNSURE("uid 0", w, "unknown");
    w->owner.socket.file = 1;
    MET("uid 0", w);
    w->owner.kind = XVMI_OWNER_KERNEL;
    w->owner.socket.state = XVMI_STATE_CLOSE;
    NOT_MET("exe \"/bin/x\"", w);
    NOT_MET("exe != \"/bin/x\"", w);
    MET("owner kernel", w);
    w->found = XF_UNREADABLE;
    UNSURE("uid 0", w, "unreadable");
    UNSURE("owner none", w, "unreadable");
    w = one_process("x", NULL);
    UNSURE("exe \"/bin/x\"", w, "unreadable");
    NOT_MET("exe \"/bin/x\" comm \"y\"", w);
    w = one_process("x", ""); /* no executable, but no kernel thread: it is ending */
    UNSURE("exe \"/bin/x\"", w, "unreadable");
    w->chain[0][0].task.flags = XVMI_TASK_KERNEL;
    NOT_MET("exe \"/bin/x\"", w);
}

Test(policy_match, several_owners)
{
    struct world *w = one_process("good", "/good");
    add_task(w, 1, "bad", "/bad");
    cr_expect_eq(verb("default deny; allow exe \"/good\"", w), XF_DENY);
    cr_expect_eq(verb("default deny; owners any; allow exe \"/good\"", w), XF_ALLOW);
    cr_expect_eq(verb("default allow; deny exe \"/bad\"", w), XF_DENY);
    cr_expect_eq(verb("default allow; owners any; deny exe \"/bad\"", w), XF_ALLOW);
    cr_expect_eq(verb("default deny; allow exe { \"/good\", \"/bad\" }", w), XF_ALLOW);
    w->owner.more = true;
    cr_expect_eq(verb("default deny; allow exe { \"/good\", \"/bad\" }", w), XF_DENY);
    cr_expect_eq(verb("default deny; owners any; allow exe { \"/good\", \"/bad\" }", w), XF_ALLOW);
}

Test(policy_match, first_match_wins_and_audit_goes_on)
{
    struct world *w = one_process("x", "/x");
    struct xf_packet packet = tcp(1, 2);
    struct xf_verdict v = ask("default deny log\naudit comm \"x\"\naudit tcp\nreject tcp log\n"
                              "allow tcp",
                              w, &packet);
    cr_expect_eq(v.verb, XF_REJECT);
    cr_expect_eq(v.rule, 3);
    cr_expect_eq(v.audit, 1);
    cr_expect(v.log && !v.uncertain);
    cr_expect_eq(v.at.line, 5);
    v = ask("default deny log\nallow udp", w, &packet);
    cr_expect(v.verb == XF_DENY && v.rule == 0 && v.log && v.at.line == 2);
}

Test(policy_match, asks_only_when_it_must)
{
    struct world *w = one_process("x", "/x");
    verb("default deny; allow udp exe \"/x\"; allow tcp; deny exe \"/y\"", w);
    cr_expect_eq(w->asked_owner, 0);
    verb("default deny; allow uid 7 exe \"/x\"", w);
    cr_expect(w->asked_owner > 0 && w->asked_processes == 0 && w->asked_exe == 0);
    verb("default deny; allow comm \"y\" exe \"/x\"", w);
    cr_expect_eq(w->asked_exe, 0);
}

Test(policy_match, globs)
{
    static const struct {
        const char *pattern, *text;
        bool text_mode, path_mode, tree_mode;
    } cases[] = {
        {"*", "", true, true, true},
        {"*", "a/b", true, false, true},
        {"**", "a/b", true, true, true},
        {"a*c", "abc", true, true, true},
        {"a*c", "abcbc", true, true, true},
        {"a*c", "a/c", true, false, false},
        {"a**c", "a/b/c", true, true, true},
        {"**b*d", "b/bcd", true, true, true},
        {"**b*d", "bc/d", true, false, false},
        {"**/x", "a/x/y/x", true, true, true},
        {"?", "/", true, false, false},
        {"[*]", "*", true, true, true},
        {"[]a]", "]", true, true, true},
        {"[!a]", "/", true, false, false},
        {"a/b", "a/b/c", false, false, true},
        {"a/b", "a/bc", false, false, false},
        {"a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false, false, false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        for (enum xf_glob_mode mode = XF_GLOB_TEXT; mode <= XF_GLOB_TREE; mode++) {
            const char *why;
            struct xf_glob *glob = xf_glob_new(cases[i].pattern, mode, &why);
            cr_assert(glob);
            bool want = mode == XF_GLOB_TEXT   ? cases[i].text_mode
                        : mode == XF_GLOB_PATH ? cases[i].path_mode
                                               : cases[i].tree_mode;
            cr_expect_eq(xf_glob_match(glob, cases[i].text, strlen(cases[i].text)), want,
                         "%s %s %d", cases[i].pattern, cases[i].text, mode);
            free(glob);
        }
    const char *why;
    cr_expect_null(xf_glob_new("a[b", XF_GLOB_TEXT, &why));
    cr_expect_null(xf_glob_new("[z-a]", XF_GLOB_TEXT, &why));
}
