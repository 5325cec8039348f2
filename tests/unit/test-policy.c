// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* The policy language: what is read, what is complained of, and the JSON twin. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include <xvmi/policy.h>

#include "filter/compiled.h"

/* All messages, formatted, one after the other. */
struct said {
    char text[16384];
    unsigned n;
};

static void hear(void *context, const struct xvmi_policy_message *message)
{
    struct said *said = context;
    size_t used = strlen(said->text);
    xvmi_policy_message_format(message, said->text + used, sizeof(said->text) - used);
    said->n++;
}

static struct xvmi_policy *parse(const char *text, struct said *said, struct xvmi_error *err)
{
    struct xvmi_policy_options options = {
        .size = sizeof(options), .message = said ? hear : NULL, .context = said};
    struct xvmi_policy *policy;
    if (said)
        *said = (struct said){0};
    enum xvmi_status status = xvmi_policy_parse(text, strlen(text), "p", &options, &policy, err);
    cr_assert_eq(status != XVMI_OK, policy == NULL);
    return policy;
}

static struct xvmi_policy *must(const char *text)
{
    struct xvmi_error err = XVMI_ERROR_INIT;
    struct xvmi_policy *policy = parse(text, NULL, &err);
    cr_assert(policy, "%s", err.text);
    return policy;
}

/* The complaints about a policy that must not load. */
static const char *wrong(const char *text)
{
    static struct said said;
    struct xvmi_error err = XVMI_ERROR_INIT;
    struct xvmi_policy *policy = parse(text, &said, &err);
    cr_assert_null(policy, "loaded: %s", text);
    cr_assert_eq(err.status, XVMI_ERR_FORMAT);
    return said.text;
}

static void check_wrong(const char *text, const char *complaint)
{
    cr_expect_str_eq(wrong(text), complaint, "for: %s\nis: %s\nnot: %s", text, wrong(text),
                     complaint);
}

static const char web[] = "vm \"web-*\" {\n"
                          "    default deny log\n"
                          "    allow exe \"/usr/sbin/nginx\" tcp dport { 80, 443 }\n"
                          "    allow uid www-data to 10.0.0.0/8\n"
                          "    allow container \"shop/*\" udp dport 53\n"
                          "    deny  exe \"/usr/bin/nmap\" reject\n"
                          "    audit parent exe \"/usr/sbin/sshd\"\n"
                          "    set admins { 192.0.2.1, 2001:db8::/32 }\n"
                          "    allow to @admins\n"
                          "}\n";

Test(policy, reads_at_once)
{
    struct said said;
    struct xvmi_policy *policy = parse(web, &said, NULL);
    struct xvmi_policy_rule rule;
    uint32_t needs;
    cr_assert(policy, "%s", said.text);
    cr_expect_str_eq(said.text,
                     "p:4:15: warning: 'www-data' is taken for what it is on Debian: give the "
                     "guest's file with 'users \"FILE\"'\n"
                     "    allow uid www-data to 10.0.0.0/8\n"
                     "              ^\n");
    cr_expect_eq(xvmi_policy_rules(policy), 6);
    cr_expect_eq(policy->rules.v[3].verb, XF_REJECT);
    cr_expect_eq(xvmi_policy_needs(policy, "db-1", &needs), XVMI_ERR_NOT_FOUND);
    cr_expect_eq(xvmi_policy_needs(policy, "web-1", &needs), XVMI_OK);
    cr_expect_eq(needs, XVMI_NEED_SOCKET | XVMI_NEED_PROCESS | XVMI_NEED_EXE | XVMI_NEED_CGROUP |
                            XVMI_NEED_ANCESTRY);
    cr_expect_eq(xvmi_policy_rule(policy, 0, &rule), XVMI_ERR_NOT_FOUND);
    cr_expect_eq(xvmi_policy_rule(policy, 7, &rule), XVMI_ERR_NOT_FOUND);
    cr_expect_eq(xvmi_policy_rule(policy, 6, &rule), XVMI_OK);
    cr_expect_str_eq(rule.file, "p");
    cr_expect_eq(rule.line, 9);
    cr_expect_eq(rule.column, 5);
    xvmi_policy_unref(policy);
}

static uint32_t needs_of(const char *rule)
{
    char text[256];
    uint32_t needs;
    snprintf(text, sizeof(text), "vm \"*\" { default deny; %s }", rule);
    struct xvmi_policy *policy = must(text);
    cr_assert_eq(xvmi_policy_needs(policy, "x", &needs), XVMI_OK);
    xvmi_policy_unref(policy);
    return needs;
}

Test(policy, needs_no_more_than_it_says)
{
    cr_expect_eq(needs_of(""), 0);
    cr_expect_eq(needs_of("allow tcp dport 25"), 0);
    cr_expect_eq(needs_of("allow icmp type echo-request"), XVMI_NEED_ICMP_TYPE);
    cr_expect_eq(needs_of("allow uid 0"), XVMI_NEED_SOCKET);
    cr_expect_eq(needs_of("allow netns 4026531840"), XVMI_NEED_SOCKET);
    cr_expect_eq(needs_of("allow container \"a\""), XVMI_NEED_SOCKET | XVMI_NEED_CGROUP);
    cr_expect_eq(needs_of("allow euid 0"), XVMI_NEED_SOCKET | XVMI_NEED_PROCESS | XVMI_NEED_CREDS);
    cr_expect_eq(needs_of("allow in tcp dport 22"), XVMI_NEED_INCOMING);
    cr_expect_eq(needs_of("default in allow"), 0);
    cr_expect_eq(needs_of("default in deny"), XVMI_NEED_INCOMING);
    cr_expect_eq(needs_of("allow age < 10s"), XVMI_NEED_SOCKET | XVMI_NEED_PROCESS | XVMI_NEED_AGE);
}

static void check_twin(const char *text)
{
    struct xvmi_policy *first = must(text);
    char *json, *json2, *text2;
    cr_assert_eq(xvmi_policy_json(first, &json), XVMI_OK);
    struct xvmi_policy *second = must(json);
    cr_assert_eq(xvmi_policy_json(second, &json2), XVMI_OK);
    cr_expect_str_eq(json, json2);
    cr_assert_eq(xvmi_policy_text(second, &text2), XVMI_OK);
    struct xvmi_policy *third = must(text2);
    cr_expect_eq(xvmi_policy_digest(first), xvmi_policy_digest(second));
    cr_expect_eq(xvmi_policy_digest(first), xvmi_policy_digest(third));
    cr_expect_eq(xvmi_policy_rules(first), xvmi_policy_rules(second));
    for (uint32_t i = 0; i < xvmi_policy_rules(first); i++) {
        const struct xf_rule *a = &first->rules.v[i], *b = &second->rules.v[i];
        cr_expect(a->verb == b->verb && a->log == b->log && a->in == b->in &&
                  a->conds == b->conds && a->n_conds == b->n_conds && a->needs == b->needs &&
                  a->at.line == b->at.line && a->at.column == b->at.column);
    }
    free(json);
    free(json2);
    free(text2);
    xvmi_policy_unref(first);
    xvmi_policy_unref(second);
    xvmi_policy_unref(third);
}

static const char everything[] =
    "# a comment\n"
    "learned\n"
    "set scanners { \"/usr/bin/nmap\", \"/opt/**/masscan\", }\n"
    "set mixed { root, 1000-1999, nobody }\n"
    "vm \"a\", \"b-[0-9]*\" {\n"
    "    default reject; default in deny log\n"
    "    owners any; unknown allow; unreadable allow; arp deny; nd deny\n"
    "    fragments allow; malformed allow; other allow\n"
    "    set empty { }\n"
    "    allow in tcp sport 1024-65535 dport { 22, 8000-8100 } from 10.0.0.1-10.0.0.9 log\n"
    "    deny exe @scanners\n"
    "    deny exe != { @scanners, \"/bin/x\" } uid != @mixed \\\n"
    "         gid >= 1000 euid { root, log }\n"
    "    allow icmp type { echo-request, 13 }\n"
    "    allow icmp6 type echo-request\n"
    "    allow proto { tcp, 47, 100-110 } owner { kernel, orphan }\n"
    "    audit age < 10s comm \"a\\\"b\\\\*\" cmdline \"** --flag\" log\n"
    "    audit age 1s-2m\n"
    "    deny ancestor comm \"@x\" parent exe \"/usr/bin/*\" cgroup \"/a/?\" netns 4026531840\n"
    "    allow to { ::/0, 2001:db8::1, ::1-::ffff }\n"
    "}\n";

Test(policy, has_an_exact_twin)
{
    char file[] = "/tmp/xvmi-policy-XXXXXX", text[4096];
    int fd = mkstemp(file);
    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, "log:x:77:77::/:/bin/sh\nroot:x:0:0::/:\nnobody:x:9:9::/:\n", 54), 54);
    close(fd);
    check_twin(web);
    snprintf(text, sizeof(text), "users \"%s\"\n%s", file, everything);
    check_twin(text);
    unlink(file);
}

Test(policy, json_by_hand)
{
    struct xvmi_policy *json = must(
        " \n{\"sets\": {\"s\": [\"10.0.0.0/8\"]}, \"vms\": [{\"vm\": \"w*\", \"default\": "
        "{\"verdict\": \"deny\"}, \"unknown\": \"allow\", \"rules\": [{\"verdict\": \"allow\", "
        "\"proto\": \"tcp\", \"dport\": [80, \"8000-8080\"], \"to\": {\"not\": \"@s\"}, "
        "\"age\": {\"lt\": \"10s\"}, \"comm\": {\"text\": \"@c\"}}]}]}");
    struct xvmi_policy *text = must("set s { 10.0.0.0/8 }\n"
                                    "vm \"w*\" {\n default deny\n unknown allow\n"
                                    "allow tcp dport { 80, 8000-8080 } to != @s age < 10s "
                                    "comm \"@c\"\n}\n");
    cr_expect_eq(xvmi_policy_digest(json), xvmi_policy_digest(text));
    xvmi_policy_unref(json);
    xvmi_policy_unref(text);
}

Test(policy, complaints_show_the_place)
{
    check_wrong("vm \"a\" {\n"
                "    default deny\n"
                "\tallow uid nginx to 10.0.0.1/8\n"
                "    allow tcp dport 70000\n"
                "}\n",
                "p:3:21: '10.0.0.1/8' is not a prefix: this has bits set behind its length\n"
                "\tallow uid nginx to 10.0.0.1/8\n"
                "\t                   ^\n"
                "p:3:12: 'nginx' is not a user: for names that not every Debian has, give the "
                "guest's /etc/passwd with 'users \"FILE\"'\n"
                "\tallow uid nginx to 10.0.0.1/8\n"
                "\t          ^\n"
                "p:4:21: '70000' is not a port or a range of ports, 0 to 65535\n"
                "    allow tcp dport 70000\n"
                "                    ^\n");
}

Test(policy, goes_on_after_an_error)
{
    check_wrong("vm \"a\" {\n"
                "    default deny\n"
                "    allow 5\n"
                "    allow uid\n"
                "    deny allow\n"
                "    drop udp\n"
                "    allow tcp dport { 80 443 }\n"
                "    set x { 1, 2 3 }\n"
                "    allow saddr 10.0.0.1\n"
                "    allow exe /bin/sh\n"
                "}\n"
                "allow\n",
                "p:3:11: '5' cannot stand here\n"
                "    allow 5\n"
                "          ^\n"
                "p:4:14: end of line cannot stand here\n"
                "    allow uid\n"
                "             ^\n"
                "p:5:10: 'allow' cannot stand here: a rule begins with its verdict\n"
                "    deny allow\n"
                "         ^\n"
                "p:6:5: 'drop' cannot stand here: the word is 'deny'\n"
                "    drop udp\n"
                "    ^\n"
                "p:7:26: '443' cannot stand here: expected end of line, '}' or ','\n"
                "    allow tcp dport { 80 443 }\n"
                "                         ^\n"
                "p:8:18: '3' cannot stand here: expected end of line, '}' or ','\n"
                "    set x { 1, 2 3 }\n"
                "                 ^\n"
                "p:9:11: 'saddr' cannot stand here: the word is 'from'\n"
                "    allow saddr 10.0.0.1\n"
                "          ^\n"
                "p:12:1: 'allow' cannot stand here\n"
                "allow\n"
                "^\n");
}

#define RULE(rule)                    "vm \"a\" { default deny; " rule " }"
#define AT(column, text, rule, caret) "p:1:" #column ": " text "\n" RULE(rule) "\n" caret "^\n"

Test(policy, complaints_by_kind)
{
    check_wrong("", "p: no vm block: nothing would be filtered\n");
    check_wrong("vm \"a\" { allow }",
                "p:1:1: this block does not say 'default allow' or 'default deny'\n"
                "vm \"a\" { allow }\n^\n");
    check_wrong(RULE("allow exe nmap"), AT(34, "put it in quotes: \"nmap\"", "allow exe nmap",
                                           "                                 "));
    check_wrong(RULE("allow to @x"), AT(33, "there is no set 'x' here", "allow to @x",
                                        "                                "));
    check_wrong(RULE("allow type 8"), AT(30, "'type' needs 'icmp' or 'icmp6' before it",
                                         "allow type 8", "                             "));
    check_wrong(RULE("allow tcp udp"), AT(34, "'proto' stands twice in one rule: write { A, B }",
                                          "allow tcp udp", "                                 "));
    check_wrong(RULE("allow age 5s"), AT(30, "'age' wants < or > or a range", "allow age 5s",
                                         "                             "));
    check_wrong(
        RULE("deny age < 5"),
        AT(35,
           "'age <' does not take '5': it wants a time with its unit, as 500ms, 10s, 5m, 2h "
           "or 1d",
           "deny age < 5", "                                  "));
    check_wrong(RULE("owners some"), AT(31, "'owners' is 'all' or 'any'", "owners some",
                                        "                              "));
    check_wrong(RULE("allow comm \"a"),
                AT(35, "no closing quote on this line", "allow comm \"a",
                   "                                  ")
                    AT(35, "the end of the file cannot stand here", "allow comm \"a",
                       "                                  "));
}

Test(policy, errors_are_bounded)
{
    static char text[40000];
    struct said said;
    struct xvmi_error err = XVMI_ERROR_INIT;
    strcpy(text, "vm \"a\" {\ndefault deny\n");
    for (unsigned i = 0; i < 1000; i++)
        strcat(text, "allow uid 1x log\n");
    strcat(text, "}\n");
    cr_assert_null(parse(text, &said, &err));
    cr_expect_eq(said.n, XVMI_POLICY_ERRORS_MAX);
    cr_expect_str_eq(err.text, "p:3:11: '1x' is not a number or a range of numbers");
}

Test(policy, refuses_files_when_told)
{
    const char text[] = "users \"/etc/passwd\"\nvm \"a\" { default deny }";
    struct xvmi_policy_options options = {.size = sizeof(options), .no_files = true};
    struct xvmi_error err = XVMI_ERROR_INIT;
    struct xvmi_policy *policy;
    cr_assert_eq(xvmi_policy_parse(text, strlen(text), "p", &options, &policy, &err),
                 XVMI_ERR_FORMAT);
    cr_expect_str_eq(err.text, "p:1:7: files cannot be named in this policy");
}

Test(policy, json_complaints)
{
    check_wrong("{\"vms\": [",
                "p:1:9: JSON: ']' expected near end of file\n{\"vms\": [\n        ^\n");
    check_wrong("{\"vms\": [\n"
                " {\"vm\": \"a\", \"default\": {\"verdict\": \"no\"},\n"
                "  \"x\": 1, \"rules\":\n"
                "  [{\"verdict\": \"allow\", \"uid\": {\"near\": 5}, \"log\": null}]}]}",
                "p:2:37: vms[0].default.verdict: allow, deny, reject or audit is wanted\n"
                " {\"vm\": \"a\", \"default\": {\"verdict\": \"no\"},\n"
                "                                    ^\n"
                "p:3:8: vms[0].x: no such key in a vm block\n"
                "  \"x\": 1, \"rules\":\n"
                "       ^\n"
                "p:4:32: vms[0].rules[0].uid: one of is, not, lt, le, gt and ge is wanted\n"
                "  [{\"verdict\": \"allow\", \"uid\": {\"near\": 5}, \"log\": null}]}]}\n"
                "                               ^\n"
                "p:4:4: vms[0].rules[0].log: true or false is wanted\n"
                "  [{\"verdict\": \"allow\", \"uid\": {\"near\": 5}, \"log\": null}]}]}\n"
                "   ^\n");
}

/* What the compiler finds is at the value that is wrong. */
Test(policy, json_values_have_places)
{
    check_wrong("{\"sets\": {\"\\u0073\\\"\": [1]}, \"vms\": []}",
                "p:1:23: sets.s\": the name of a set has letters, digits, '_', '.' and '-'\n"
                "{\"sets\": {\"\\u0073\\\"\": [1]}, \"vms\": []}\n"
                "                      ^\n");
    check_wrong("{\"vms\": [{\"vm\": \"a\", \"default\": {\"verdict\": \"deny\"}, \"rules\": [\n"
                "\t{\"verdict\": \"allow\", \"proto\": \"tcp\", \"dport\": [80, 70000]}]}]}",
                "p:2:53: '70000' is not a port or a range of ports, 0 to 65535\n"
                "\t{\"verdict\": \"allow\", \"proto\": \"tcp\", \"dport\": [80, 70000]}]}]}\n"
                "\t                                                   ^\n");
}

/* Rules of JSON that was written by hand are where they stand in it; that does not travel. */
Test(policy, json_rules_have_places)
{
    static const char text[] =
        "{\"vms\": [{\"vm\": \"a\", \"default\": {\"verdict\": \"deny\"},\n"
        "\"rules\": [{\"verdict\": \"allow\"},\n  {\"verdict\": \"deny\"}]}]}";
    struct xvmi_policy *policy;
    struct xvmi_policy_rule rule;
    struct xvmi_error err = XVMI_ERROR_INIT;
    char *json;
    cr_assert_eq(xvmi_policy_parse(text, strlen(text), "p", NULL, &policy, &err), XVMI_OK, "%s",
                 err.text);
    cr_assert_eq(xvmi_policy_rule(policy, 2, &rule), XVMI_OK);
    cr_expect(rule.line == 3 && rule.column == 3, "%u:%u", rule.line, rule.column);
    cr_assert_eq(xvmi_policy_json(policy, &json), XVMI_OK);
    cr_expect(!strstr(json, "\"at\""));
    free(json);
    xvmi_policy_unref(policy);
}

Test(policy, files_are_read_or_named)
{
    struct xvmi_error err = XVMI_ERROR_INIT;
    struct xvmi_policy *policy;
    cr_expect_eq(xvmi_policy_load("/nowhere/p", NULL, &policy, &err), XVMI_ERR_NOT_FOUND);
    cr_expect_str_eq(err.text, "/nowhere/p: No such file or directory");
    cr_expect_eq(xvmi_policy_load("/dev/zero", NULL, &policy, &err), XVMI_ERR_INVALID);
}
