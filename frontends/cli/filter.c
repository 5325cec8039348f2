// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* xvmi filter: a policy on a guest's network device, until interrupted. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "filter.h"
#include "progress.h"

#define CACHE_BYTES (16u << 20)

enum {
    OPT_DEV = 0x500,
    OPT_POLICY,
    OPT_NAME,
    OPT_MISS,
    OPT_QUEUE,
    OPT_ON_EXIT,
    OPT_WAIT,
    OPT_DRY_RUN,
    OPT_LEARN,
    OPT_EVENTS,
};

static const struct argp_option options[] = {
    {"dev", OPT_DEV, "TAP", 0, "The guest's network device on this host", 1},
    {"policy", OPT_POLICY, "FILE", 0, "What may pass, see xvmi-policy(5)", 1},
    {"name", OPT_NAME, "NAME", 0,
     "By which the policy knows the guest; default: the last part of URI without its extension", 1},
    {"miss", OPT_MISS, "FATE", 0,
     "What happens to a packet until it is known who sent it: hold (default), drop or pass", 2},
    {"queue", OPT_QUEUE, "N", 0,
     "Packets that may wait in each direction, 4 to 4096; more are dropped (default: 512)", 2},
    {"on-exit", OPT_ON_EXIT, "STATE", 0,
     "What the device is without this program: open (default) or closed", 2},
    {"wait", OPT_WAIT, NULL, 0,
     "Start before the guest's kernel runs; what is `unreadable` in the policy decides until then",
     2},
    {"dry-run", OPT_DRY_RUN, NULL, 0, "Decide as ever, but let everything pass", 3},
    {"learn", OPT_LEARN, "FILE", 0,
     "Let everything pass, and write a policy that allows what was seen", 3},
    {"events", OPT_EVENTS, "FILE", 0, "Write decisions to FILE (-: standard output), as JSON", 3},
    {0},
};

static uint32_t parse_queue(const struct argp_state *state, const char *arg)
{
    char *end;
    unsigned long n = strtoul(arg, &end, 10);
    if (*end || *arg < '0' || *arg > '9' || n < XTC_QUEUE_MIN || n > XTC_QUEUE_MAX)
        fail_usage(state->name, "--queue takes a number from %u to %u, not '%s'", XTC_QUEUE_MIN,
                   XTC_QUEUE_MAX, arg);
    return (uint32_t)n;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct filter_args *args = state->input;
    static const char *const fates[] = {"hold", "drop", "pass"};
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &args->guest;
        return 0;
    case OPT_DEV:
        if (strlen(arg) >= sizeof(((struct filter_session *)0)->dev))
            fail_usage(state->name, "no network device is called '%s'", arg);
        args->dev = arg;
        return 0;
    case OPT_POLICY:
        args->policy = arg;
        return 0;
    case OPT_NAME:
        args->name = arg;
        return 0;
    case OPT_MISS:
        for (int i = 0; i < 3; i++)
            if (!strcmp(arg, fates[i])) {
                args->miss = (enum xtc_miss)i;
                return 0;
            }
        fail_usage(state->name, "--miss takes hold, drop or pass, not '%s'", arg);
    case OPT_QUEUE:
        args->queue = parse_queue(state, arg);
        return 0;
    case OPT_ON_EXIT:
        args->on_exit = strcmp(arg, "closed") ? XTC_OPEN : XTC_CLOSED;
        if (strcmp(arg, "closed") && strcmp(arg, "open"))
            fail_usage(state->name, "--on-exit takes open or closed, not '%s'", arg);
        return 0;
    case OPT_WAIT:
        args->guest.unbooted = true;
        return 0;
    case OPT_DRY_RUN:
        args->dry_run = true;
        return 0;
    case OPT_LEARN:
        args->learn = arg;
        return 0;
    case OPT_EVENTS:
        args->events = arg;
        return 0;
    case ARGP_KEY_END:
        if (!args->dev)
            fail_usage(state->name, "say which device with --dev (see %s --help)", state->name);
        if (!args->policy && !args->learn)
            fail_usage(state->name, "say what may pass with --policy (see %s --help)", state->name);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* ---- the policy ---- */

static void say(void *context, const struct xvmi_policy_message *message)
{
    char text[2048];
    (void)context;
    xvmi_policy_message_format(message, text, sizeof(text));
    fputs(text, stderr);
}

static enum xvmi_status load_policy(const struct filter_session *s, struct xvmi_policy **policy,
                                    struct xvmi_error *err)
{
    static const char all[] = "vm \"*\" { default allow }\n";
    const struct xvmi_policy_options how = {.size = sizeof(how), .message = say};
    if (s->args->policy)
        return xvmi_policy_load(s->args->policy, &how, policy, err);
    return xvmi_policy_parse(all, sizeof(all) - 1, "<none>", &how, policy, err);
}

uint64_t filter_decider(const struct filter_session *s)
{
    uint64_t hash = xvmi_policy_digest(s->policy);
    for (const char *c = s->name; *c; c++)
        hash = (hash ^ (unsigned char)*c) * 0x100000001b3u; /* FNV-1a */
    return hash;
}

static void reload(struct filter_session *s)
{
    struct xvmi_error err = XVMI_ERROR_INIT;
    struct xvmi_policy *policy;
    enum xvmi_status status = load_policy(s, &policy, &err);
    if (!status)
        status = xvmi_filter_reload(s->filter, policy, &err);
    if (status) {
        xvmi_policy_unref(policy);
        filter_note(s, "reload-failed", "the old policy stays: %s", err.text);
        return;
    }
    xvmi_policy_unref(s->policy);
    s->policy = policy;
    if (filter_renew(s, &err))
        filter_note(s, "reload-incomplete", "what the guest receives is not filtered: %s",
                    err.text);
    else
        filter_note(s, "reloaded", "another policy is in force");
}

/* ---- the loop ---- */

static void hear_signal(struct filter_session *s)
{
    struct signalfd_siginfo info;
    if (read(s->signals, &info, sizeof(info)) != sizeof(info))
        return;
    if (info.ssi_signo == SIGHUP)
        reload(s);
    else if (info.ssi_signo == SIGUSR1)
        filter_print_counters(s);
    else
        s->done = true;
    if (info.ssi_signo == SIGUSR1)
        (void)filter_write_learned(s);
}

static void work(struct filter_session *s)
{
    struct xvmi_error err = XVMI_ERROR_INIT;
    enum xvmi_status status = xtc_work(s->tc, &err);
    if (status == XVMI_ERR_GONE)
        filter_lose_device(s);
    else if (status)
        fail(s->command, status, err.text);
}

static void serve(struct filter_session *s)
{
    struct epoll_event events[4];
    int n = epoll_wait(s->epoll, events, 4, 0);
    if (!n && !filter_tend(s))
        n = epoll_wait(s->epoll, events, 4, filter_patience(s));
    if (n < 0 && errno != EINTR)
        fail(s->command, XVMI_ERR_IO, must_printf("epoll: %s", strerror(errno)));
    bool frames = false;
    for (int i = 0; i < n; i++) {
        if (events[i].data.fd == s->signals)
            hear_signal(s);
        else if (events[i].data.fd == s->life)
            filter_hear_guest(s);
        else
            frames = true;
    }
    filter_check_kernel(s); /* frames of another one are not for what the old one left */
    if (frames && s->tc && !s->done)
        work(s);
    if (s->suspect)
        filter_look_again(s);
    if (!s->tc && !s->done)
        filter_find_device(s);
    if (s->stale)
        filter_find_kernel(s);
}

/* ---- beginning and end ---- */

static const char *name_of(const struct filter_args *args)
{
    if (args->name)
        return args->name;
    const char *colon = strchr(args->guest.uri, ':'), *slash = strrchr(args->guest.uri, '/');
    char *name = must_printf("%s", slash ? slash + 1 : colon ? colon + 1 : args->guest.uri);
    char *dot = strrchr(name, '.');
    if (dot && dot > name)
        *dot = 0;
    return name;
}

static void take_signals(struct filter_session *s)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGUSR1);
    signal(SIGPIPE, SIG_IGN); /* a reader of events that went away */
    if (sigprocmask(SIG_BLOCK, &set, NULL) ||
        (s->signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC)) < 0)
        fail(s->command, XVMI_ERR_IO, must_printf("signals: %s", strerror(errno)));
}

static enum xvmi_status new_filter(struct filter_session *s, struct xvmi_error *err)
{
    enum xvmi_status status = s->stale ? XVMI_OK : xvmi_finder_new(s->vm, NULL, &s->finder);
    if (status)
        return xvmi_error_set(err, status, "%s", xvmi_vm_error(s->vm));
    const struct xvmi_filter_options how = {
        .size = sizeof(how),
        .vm = s->vm,
        .finder = s->finder,
        .policy = s->policy,
        .cache = s->cache,
        .name = s->name,
        .dry_run = s->args->dry_run,
        .learn = s->args->learn,
        .nics = s->nics,
        .n_nics = s->n_nics,
    };
    status = xvmi_filter_new(&how, &s->filter, err);
    if (status == XVMI_ERR_NOT_FOUND && !s->args->name)
        fail(s->command, status, must_printf("%s (--name tells what it is called)", err->text));
    return status;
}

/* The first look-up learns where the guest's tables lie: not while a packet waits. */
static void warm_up(struct xvmi_finder *finder)
{
    const struct xvmi_flow nobody = {.family = 2, .proto = 6};
    struct xvmi_owner owner;
    (void)!xvmi_owner_find(finder, &nobody, NULL, &owner);
}

static void begin(struct filter_session *s)
{
    const struct filter_args *args = s->args;
    struct xvmi_error err = XVMI_ERROR_INIT;
    struct xvmi_cache_options cache = {.size = sizeof(cache), .memory = CACHE_BYTES};
    enum xvmi_status status = load_policy(s, &s->policy, &err);
    if (status)
        fail(s->command, status, err.text);
    filter_open_events(s);
    s->vm = guest_open(s->command, &args->guest);
    filter_know_guest(s);
    status = xvmi_cache_new(&cache, &s->cache, &err);
    if (!status)
        status = new_filter(s, &err);
    if (status)
        fail(s->command, status, err.text);
    if (s->finder)
        warm_up(s->finder);
    s->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (s->epoll < 0)
        fail(s->command, XVMI_ERR_IO, must_printf("epoll: %s", strerror(errno)));
    status = filter_open_device(s, &err);
    if (status)
        fail(s->command, status, err.text);
    filter_watch(s, s->signals);
    filter_watch(s, s->life);
    filter_note(s, "started", "%s is filtered (%s%s)", s->dev, xtc_attached_by(s->tc),
                xtc_took_over(s->tc) ? ", taken over" : "");
}

static int end(struct filter_session *s)
{
    filter_print_counters(s);
    bool written = filter_write_learned(s);
    filter_note(s, "stopped", "%s is %s", s->dev,
                !s->tc                         ? "gone"
                : s->args->on_exit == XTC_OPEN ? "open"
                                               : "closed to what is not known");
    xtc_close(s->tc);
    filter_close_events(s);
    xvmi_filter_free(s->filter);
    xvmi_finder_free(s->finder);
    xvmi_vm_close(s->vm);
    free(s->nics);
    xvmi_cache_unref(s->cache);
    xvmi_policy_unref(s->policy);
    if (!s->args->name)
        free((char *)s->name);
    return written ? EXIT_DONE : EXIT_NO_ANSWER;
}

int cmd_filter(int argc, char **argv)
{
    const struct argp_child children[] = {{&guest_argp, 0, NULL, 0}, {0}};
    const struct argp argp = {
        .options = options,
        .parser = parse,
        .children = children,
        .doc = "Let pass what a guest's processes may send, as a policy says."
               "\v"
               "Runs until it is interrupted or the guest ends. SIGHUP loads the policy again, "
               "SIGUSR1 prints counters. Needs root, and the network namespace of the device.\n"
               "\n"
               "Examples:\n"
               "  xvmi filter qemu:/run/web.qmp --dev tap0 --policy web.policy --events -\n"
               "  xvmi filter qemu:/run/web.qmp --dev tap0 --learn web.policy",
    };
    struct filter_args args = {0};
    argp_parse(&argp, argc, argv, 0, NULL, &args);
    struct filter_session session = {
        .command = argv[0], .args = &args, .name = name_of(&args), .life = -1};
    memcpy(session.dev, args.dev, strlen(args.dev) + 1);
    take_signals(&session);
    begin(&session);
    xtc_hurry();
    while (!session.done)
        serve(&session);
    return end(&session);
}
