// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* xvmi ss: which sockets are asked for. What is known of each is in sockets.c. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "progress.h"
#include "sockets.h"
#include "text.h"

#define BIT(state) (1u << (state))
#define ALL_STATES (BIT(XVMI_STATE_NEW_SYN_RECV + 1) - 1)
#define LISTENING  (BIT(XVMI_STATE_LISTEN) | BIT(XVMI_STATE_CLOSE))
#define CONNECTED                                                                                  \
    (ALL_STATES & ~(LISTENING | BIT(XVMI_STATE_TIME_WAIT) | BIT(XVMI_STATE_SYN_RECV) |             \
                    BIT(XVMI_STATE_NEW_SYN_RECV)))
#define INET_KINDS                                                                                 \
    (XVMI_SOCKET_ALL & ~(XVMI_SOCKET_BIT(XVMI_SOCKET_PACKET) | XVMI_SOCKET_BIT(XVMI_SOCKET_UNIX)))

struct ss_args {
    struct guest_args guest; /* first: the child parser's input */
    unsigned kinds;          /* 0: none named */
    enum sockets_owners how;
    bool listening, all, v4, v6;
};

enum { OPT_OWNERS = 0x200 };

static const struct argp_option options[] = {
    {"tcp", 't', NULL, 0, "TCP sockets", 1},
    {"udp", 'u', NULL, 0, "UDP and UDP-Lite sockets", 1},
    {"sctp", 'S', NULL, 0, "SCTP sockets", 1},
    {"raw", 'w', NULL, 0, "Raw and ping sockets", 1},
    {"packet", '0', NULL, 0, "Packet sockets", 1},
    {"unix", 'x', NULL, 0, "Unix sockets", 1},
    {"listening", 'l', NULL, 0, "Only those that listen or are not connected", 2},
    {"all", 'a', NULL, 0, "Connected or not", 2},
    {"ipv4", '4', NULL, 0, "Only IPv4", 2},
    {"ipv6", '6', NULL, 0, "Only IPv6", 2},
    {"owners", OPT_OWNERS, "HOW", 0,
     "How to find who holds a socket: `index' asks for each (the default), `scan' looks through "
     "the "
     "descriptors of all processes, `none' does not look",
     3},
    {0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct ss_args *args = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &args->guest;
        return 0;
    case 't':
        args->kinds |= XVMI_SOCKET_BIT(XVMI_SOCKET_TCP);
        return 0;
    case 'u':
        args->kinds |= XVMI_SOCKET_BIT(XVMI_SOCKET_UDP) | XVMI_SOCKET_BIT(XVMI_SOCKET_UDPLITE);
        return 0;
    case 'S':
        args->kinds |= XVMI_SOCKET_BIT(XVMI_SOCKET_SCTP);
        return 0;
    case 'w':
        args->kinds |= XVMI_SOCKET_BIT(XVMI_SOCKET_RAW) | XVMI_SOCKET_BIT(XVMI_SOCKET_PING);
        return 0;
    case '0':
        args->kinds |= XVMI_SOCKET_BIT(XVMI_SOCKET_PACKET);
        return 0;
    case 'x':
        args->kinds |= XVMI_SOCKET_BIT(XVMI_SOCKET_UNIX);
        return 0;
    case 'l':
        args->listening = true;
        return 0;
    case 'a':
        args->all = true;
        return 0;
    case '4':
        args->v4 = true;
        return 0;
    case '6':
        args->v6 = true;
        return 0;
    case OPT_OWNERS:
        if (!strcmp(arg, "index"))
            args->how = OWNERS_INDEX;
        else if (!strcmp(arg, "scan"))
            args->how = OWNERS_SCAN;
        else if (!strcmp(arg, "none"))
            args->how = OWNERS_NONE;
        else
            fail_usage(state->name, "--owners is index, scan or none, not '%s'", arg);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/*
 * The states that ss shows: without -a and -l the connected ones, and for kinds that are named
 * and never are in such a state, all of them that exist (packet and datagram sockets of unix are
 * not connected by nature).
 */
static unsigned states_of(const struct ss_args *args)
{
    if (args->all)
        return ALL_STATES;
    if (args->listening)
        return LISTENING;
    unsigned states = CONNECTED;
    if (args->kinds & (XVMI_SOCKET_BIT(XVMI_SOCKET_PACKET) | XVMI_SOCKET_BIT(XVMI_SOCKET_UNIX)))
        states |= BIT(XVMI_STATE_CLOSE);
    return states;
}

static bool wanted(const struct ss_args *args, unsigned states, const struct xvmi_socket *socket)
{
    /* A state that the kernel does not have is shown, not hidden. */
    if (socket->state && socket->state <= XVMI_STATE_NEW_SYN_RECV && !(states & BIT(socket->state)))
        return false;
    if (!(args->v4 || args->v6) || !(XVMI_SOCKET_BIT(socket->kind) & INET_KINDS))
        return true;
    return (args->v4 && socket->family == LINUX_AF_INET) ||
           (args->v6 && socket->family == LINUX_AF_INET6);
}

/* Kinds to list: what was named, else all; -4 and -6 alone name the kinds that have addresses. */
static unsigned kinds_of(const struct ss_args *args)
{
    if (args->kinds)
        return args->kinds;
    return args->v4 || args->v6 ? INET_KINDS : XVMI_SOCKET_ALL;
}

/* SCTP of a kernel whose types are not known is an error only when it was asked for by name. */
static enum xvmi_status list(const struct ss_args *args, struct xvmi_vm *vm,
                             struct sockets *sockets)
{
    const unsigned kinds = kinds_of(args), sctp = XVMI_SOCKET_BIT(XVMI_SOCKET_SCTP);
    enum xvmi_status status = sockets_list(sockets, vm, kinds);
    if (status != XVMI_ERR_UNSUPPORTED || !(kinds & sctp) || args->kinds & sctp)
        return status;
    char *why = text_safe(xvmi_vm_error(vm), strlen(xvmi_vm_error(vm)));
    status = sockets_list(sockets, vm, kinds & ~sctp);
    if (!status)
        fprintf(stderr, "xvmi ss: sockets of SCTP are not shown: %s\n", why);
    free(why);
    return status;
}

int cmd_ss(int argc, char **argv)
{
    static const struct argp_child children[] = {{&guest_argp, 0, NULL, 0}, {0}};
    static const struct argp argp = {
        .options = options,
        .parser = parse,
        .children = children,
        .doc = "List the sockets of all network namespaces of a guest and who holds them."
               "\v"
               "Without -a and -l only connected sockets are shown, without any of -t, -u, -S, -w, "
               "-0 and -x those of all kinds, as ss does.\n"
               "\n"
               "Examples:\n"
               "  xvmi ss -tul qemu:/run/vm.qmp      who listens\n"
               "  xvmi ss -a --json qemu:pid=4711    everything, for scripts",
    };
    struct ss_args args = {0};
    argp_parse(&argp, argc, argv, 0, NULL, &args);

    struct xvmi_vm *vm = guest_open(argv[0], &args.guest);
    struct sockets sockets = {0};
    progress_start("reading the guest's sockets");
    enum xvmi_status status = list(&args, vm, &sockets);
    if (!status) {
        unsigned states = states_of(&args);
        size_t kept = 0;
        for (size_t i = 0; i < sockets.n; i++)
            if (wanted(&args, states, &sockets.v[i]))
                sockets.v[kept++] = sockets.v[i];
        sockets.n = kept;
        status = sockets_look_at(&sockets, vm, args.how);
    }
    progress_stop();
    if (status)
        fail_guest(argv[0], args.guest.uri, status, xvmi_vm_error(vm));

    if (args.guest.json)
        sockets_print_json(&sockets);
    else
        sockets_print_text(&sockets);
    sockets_free(&sockets);
    xvmi_vm_close(vm);
    return finish_output(argv[0]);
}
