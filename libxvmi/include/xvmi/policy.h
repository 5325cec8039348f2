/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XVMI_POLICY_H
#define XVMI_POLICY_H

/*
 * A policy: which process, user or container of a guest may send what. The language and its
 * JSON twin are described in xvmi-policy(5) and docs/policy.md.
 *
 * A loaded policy never changes, is counted by reference and may be used by any number of
 * threads at once.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <xvmi/error.h>
#include <xvmi/export.h>

#ifdef __cplusplus
extern "C" {
#endif

struct xvmi_policy;

/* Longest text of a policy, and of the passwd and group files it names. */
#define XVMI_POLICY_SIZE_MAX (16u << 20)
/* Errors told of one policy; the rest is counted. */
#define XVMI_POLICY_ERRORS_MAX 20

/* Something to say about a policy. Everything is borrowed for the time of the callback. */
struct xvmi_policy_message {
    const char *file;
    uint32_t line, column; /* from 1, column in bytes; line 0: not known */
    bool warning;          /* the policy can be used all the same */
    const char *text;
    const char *source; /* the line it is about, without newline; NULL when not known */
    size_t source_len;
};

/*
 * The message as compilers print theirs, with newlines:
 *
 *     web.policy:3:11: no user 'nginx' in 'passwd'
 *         allow uid nginx to 10.0.0.0/8
 *               ^
 *
 * Written to buf[size], always with a NUL and cut when it does not fit; what does not belong
 * on a terminal is '?'.
 */
XVMI_PUBLIC void xvmi_policy_message_format(const struct xvmi_policy_message *message, char *buf,
                                            size_t size);

/* Options of loading; zero everything, then set `size`. NULL means the defaults. */
struct xvmi_policy_options {
    size_t size;
    /* Called for each error and warning, in the order of lines as far as that can be. */
    void (*message)(void *context, const struct xvmi_policy_message *message);
    void *context;
    bool no_files; /* refuse `users` and `groups`: for policies of people who shall not make
                      this process open files */
};

/*
 * Load a policy, in either form: JSON is what begins with '{'. All or nothing; with errors,
 * *policy is NULL and `err` (may be NULL) has the first as FILE:LINE:COLUMN: TEXT.
 *
 *   XVMI_ERR_FORMAT     the policy has errors
 *   XVMI_ERR_LIMIT      it is longer than XVMI_POLICY_SIZE_MAX
 *   XVMI_ERR_NOT_FOUND, XVMI_ERR_PERMISSION, XVMI_ERR_IO  the file cannot be read
 */
XVMI_PUBLIC XVMI_CHECKED enum xvmi_status xvmi_policy_load(
    const char *path, const struct xvmi_policy_options *options, struct xvmi_policy **policy,
    struct xvmi_error *err);
/* The same from memory. `name` stands where the file's path would; files that the policy names
 * are looked for beside it. */
XVMI_PUBLIC XVMI_CHECKED enum xvmi_status xvmi_policy_parse(
    const char *text, size_t len, const char *name, const struct xvmi_policy_options *options,
    struct xvmi_policy **policy, struct xvmi_error *err);
/* One more owner; returns `policy`. */
XVMI_PUBLIC struct xvmi_policy *xvmi_policy_ref(struct xvmi_policy *policy);
/* One owner less; the last one frees it. NULL is fine. */
XVMI_PUBLIC void xvmi_policy_unref(struct xvmi_policy *policy);

/*
 * The policy in the other form, or in its own without comments; to be freed by the caller.
 * Loading either gives the same policy again. Lines and columns travel in JSON.
 */
XVMI_PUBLIC XVMI_CHECKED enum xvmi_status xvmi_policy_json(const struct xvmi_policy *policy,
                                                           char **json);
XVMI_PUBLIC XVMI_CHECKED enum xvmi_status xvmi_policy_text(const struct xvmi_policy *policy,
                                                           char **text);
/* A number that is the same for policies that say the same, wherever they were read from.
 * Users and groups count as the numbers they were found to be. */
XVMI_PUBLIC uint64_t xvmi_policy_digest(const struct xvmi_policy *policy);
/* Does it say `learned`? */
XVMI_PUBLIC bool xvmi_policy_learned(const struct xvmi_policy *policy);

/* What deciding under a policy can ask for. */
enum {
    XVMI_NEED_SOCKET = 1u << 0,    /* the socket: its user, control group, network namespace */
    XVMI_NEED_PROCESS = 1u << 1,   /* the processes that hold it */
    XVMI_NEED_COMM = 1u << 2,      /* their names */
    XVMI_NEED_EXE = 1u << 3,       /* their executables */
    XVMI_NEED_CMDLINE = 1u << 4,   /* their arguments */
    XVMI_NEED_CGROUP = 1u << 5,    /* the path of the control group */
    XVMI_NEED_ANCESTRY = 1u << 6,  /* their ancestors */
    XVMI_NEED_AGE = 1u << 7,       /* how long ago they started */
    XVMI_NEED_ICMP_TYPE = 1u << 8, /* more of the packet than its flow */
    XVMI_NEED_INCOMING = 1u << 9,  /* what the guest receives is filtered as well */
    XVMI_NEED_CREDS = 1u << 10,    /* effective user and group of the processes */
    XVMI_NEED_MAC = 1u << 11,      /* the frame's source MAC address, which no flow has */
};
/* What the vm block of the guest called `vm` can ask for. XVMI_ERR_NOT_FOUND when the policy
 * has no block for it. */
XVMI_PUBLIC XVMI_CHECKED enum xvmi_status xvmi_policy_needs(const struct xvmi_policy *policy,
                                                            const char *vm, uint32_t *needs);

/* Rules are numbered from 1 through the whole policy. */
struct xvmi_policy_rule {
    const char *file;      /* borrowed from the policy */
    uint32_t line, column; /* line 0: not known */
};
XVMI_PUBLIC XVMI_CHECKED enum xvmi_status xvmi_policy_rule(const struct xvmi_policy *policy,
                                                           uint32_t number,
                                                           struct xvmi_policy_rule *rule);
XVMI_PUBLIC uint32_t xvmi_policy_rules(const struct xvmi_policy *policy);

#ifdef __cplusplus
}
#endif
#endif
