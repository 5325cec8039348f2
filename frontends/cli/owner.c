// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* xvmi owner: who inside the guest is behind a flow. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xvmi/owner.h>

#include "cli.h"
#include "json.h"
#include "progress.h"
#include "sockets.h"
#include "text.h"

static const struct {
    const char *name;
    uint8_t v4, v6; /* IPPROTO_* */
} protocols[] = {
    {"tcp", 6, 6},
    {"udp", 17, 17},
    {"icmp", 1, 58},
    {"raw", 255, 255},
    {"udplite", 136, 136},
    {"sctp", 132, 132},
};

/* "10.0.0.2:80", "[fd00::2]:80", "10.0.0.2", "fd00::2": an address, and a number if there is one.
 * False when it is none. */
static bool parse_end(const char *text, uint8_t addr[16], uint8_t *family, uint16_t *port)
{
    char host[INET6_ADDRSTRLEN];
    const char *first = text, *last = text + strlen(text), *number = NULL;
    if (*text == '[') {
        first++;
        last = strchr(text, ']');
        if (!last || (last[1] && last[1] != ':'))
            return false;
        number = last[1] ? last + 2 : NULL;
    } else if (strchr(text, ':') && strchr(text, ':') == strrchr(text, ':')) {
        last = strchr(text, ':');
        number = last + 1;
    }
    if ((size_t)(last - first) >= sizeof(host))
        return false;
    memcpy(host, first, (size_t)(last - first));
    host[last - first] = 0;
    if (number) {
        char *end;
        unsigned long value = strtoul(number, &end, 10);
        if (*number < '0' || *number > '9' || *end || value > 65535)
            return false;
        *port = (uint16_t)value;
    }
    *family = strchr(host, ':') ? LINUX_AF_INET6 : LINUX_AF_INET;
    return inet_pton(*family == LINUX_AF_INET6 ? AF_INET6 : AF_INET, host, addr) == 1;
}

/* "tcp LOCAL REMOTE" */
static bool parse_flow(const char *text, struct xvmi_flow *flow)
{
    char proto[16], local[64], remote[64], rest;
    uint8_t family = 0;
    memset(flow, 0, sizeof(*flow));
    if (sscanf(text, "%15s %63s %63s %c", proto, local, remote, &rest) != 3 ||
        !parse_end(local, flow->local, &flow->family, &flow->lport) ||
        !parse_end(remote, flow->remote, &family, &flow->rport) || family != flow->family)
        return false;
    for (size_t i = 0; i < sizeof(protocols) / sizeof(*protocols); i++) {
        if (strcmp(protocols[i].name, proto))
            continue;
        flow->proto = flow->family == LINUX_AF_INET6 ? protocols[i].v6 : protocols[i].v4;
        if (!strcmp(proto, "raw") && flow->lport) { /* raw LOCAL:PROTOCOL REMOTE */
            flow->proto = (uint8_t)flow->lport;
            flow->lport = 0;
        }
        return true;
    }
    return false;
}

#define WANTED                                                                                     \
    (XVMI_WANT_TASK | XVMI_WANT_EXE | XVMI_WANT_CMDLINE | XVMI_WANT_CGROUP | XVMI_WANT_ANCESTRY)

static char *via_text(const struct xvmi_owner *owner)
{
    if (owner->via_process == XVMI_VIA_NO_PROCESS)
        return must_printf("%s", xvmi_via_socket_text(owner->via_socket));
    return must_printf("%s,%s", xvmi_via_socket_text(owner->via_socket),
                       xvmi_via_process_text(owner->via_process));
}

static void put_comm(json_t *o, const char *comm)
{
    json_put(o, "comm", text_json(comm, strnlen(comm, XVMI_COMM_MAX)));
}

/* null: there is none, or it could not be read: then it is named under "missing". */
static void put_text(json_t *o, const char *key, const char *text, size_t len)
{
    json_put(o, key, text ? text_json(text, len) : json_null());
}

static void append(json_t *array, json_t *element)
{
    if (json_array_append_new(array, element))
        fail("xvmi owner", XVMI_ERR_NO_MEMORY, "out of memory");
}

static json_t *missing_json(uint32_t missing)
{
    static const struct {
        uint32_t what;
        const char *name;
    } names[] = {{XVMI_WANT_EXE, "exe"},
                 {XVMI_WANT_CMDLINE, "cmdline"},
                 {XVMI_WANT_CGROUP, "cgroup"},
                 {XVMI_WANT_ANCESTRY, "ancestry"}};
    json_t *array = json_array();
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (missing & names[i].what)
            append(array, json_string(names[i].name));
    return array;
}

static size_t text_len(const char *text)
{
    return text ? strlen(text) : 0;
}

static json_t *owner_json(const struct xvmi_flow_owner *who)
{
    json_t *o = json_object(), *ancestry = json_array();
    json_put_int(o, "pid", (uint64_t)who->task.pid);
    put_comm(o, who->task.comm);
    json_put_int(o, "fd", (uint64_t)who->fd);
    put_text(o, "exe", who->exe, text_len(who->exe));
    json_put(o, "own_mounts", json_boolean(who->task.flags & XVMI_TASK_OWN_MOUNTS));
    put_text(o, "cmdline", who->cmdline, who->cmdline_len ? who->cmdline_len - 1 : 0);
    put_text(o, "cgroup", who->cgroup, text_len(who->cgroup));
    json_put_int(o, "uid", who->task.uid);
    json_put_int(o, "euid", who->task.euid);
    json_put_int(o, "netns", who->task.netns);
    json_put_int(o, "start_ns", who->task.start_ns);
    for (size_t i = 0; i < who->n_parents; i++) {
        json_t *parent = json_object();
        json_put_int(parent, "pid", (uint64_t)who->parents[i].pid);
        put_comm(parent, who->parents[i].comm);
        json_put_int(parent, "uid", who->parents[i].uid);
        json_put_int(parent, "start_ns", who->parents[i].start_ns);
        append(ancestry, parent);
    }
    json_put(o, "ancestry", ancestry);
    json_put(o, "missing", missing_json(who->missing));
    return o;
}

static json_t *last_json(const struct xvmi_last_owner *last)
{
    if (!last->pid)
        return json_null();
    json_t *o = json_object();
    json_put_int(o, "pid", (uint64_t)last->pid);
    put_comm(o, last->comm);
    json_put_int(o, "start_ns", last->start_ns);
    return o;
}

static void print_json(const struct xvmi_owner *owner, const struct sockets *sockets)
{
    json_t *o = json_object(), *owners = json_array();
    json_put(o, "found", json_boolean(owner->kind != XVMI_OWNER_NONE));
    json_put_text(o, "kind", xvmi_owner_kind_text(owner->kind));
    json_put_text(o, "orphan", owner->orphan ? xvmi_orphan_text(owner->orphan) : NULL);
    json_put(o, "last", last_json(&owner->last));
    json_put(o, "translated", json_boolean(owner->translated));
    json_put(o, "socket",
             owner->kind == XVMI_OWNER_NONE ? json_null()
                                            : sockets_facts_json(sockets, &owner->socket));
    for (uint32_t i = 0; i < owner->n_owners; i++)
        append(owners, owner_json(&owner->owners[i]));
    json_put(o, "owners", owners);
    json_put(o, "more", json_boolean(owner->more));
    char *via = via_text(owner);
    json_put_text(o, "via", via);
    free(via);
    json_put_int(o, "reads", owner->reads);
    json_put_int(o, "ns", owner->ns);
    json_print(o);
}

static void print_owner(const struct xvmi_flow_owner *who)
{
    char *comm = text_safe(who->task.comm, strnlen(who->task.comm, XVMI_COMM_MAX));
    char *path = who->exe ? text_safe(who->exe, strlen(who->exe)) : NULL;
    char *group = who->cgroup ? text_safe(who->cgroup, strlen(who->cgroup)) : NULL;
    printf("%s  pid %d  uid %u  fd %d  %s%s  %s\n", comm, who->task.pid, who->task.uid, who->fd,
           path ? path : "-", who->task.flags & XVMI_TASK_OWN_MOUNTS ? " (own mounts)" : "",
           group ? group : "-");
    free(comm);
    free(path);
    free(group);
    for (size_t i = 0; i < who->n_parents; i++) {
        const struct xvmi_task *parent = &who->parents[i];
        char *name = text_safe(parent->comm, strnlen(parent->comm, XVMI_COMM_MAX));
        printf("%*sfrom %s  pid %d  uid %u\n", (int)(2 * i + 2), "", name, parent->pid,
               parent->uid);
        free(name);
    }
}

static void print_text(const struct xvmi_owner *owner)
{
    if (owner->kind == XVMI_OWNER_ORPHAN)
        printf("no process: the socket is an orphan, %s\n", xvmi_orphan_text(owner->orphan));
    else if (!owner->n_owners)
        printf("no process: %s\n", xvmi_owner_kind_text(owner->kind));
    if (owner->kind == XVMI_OWNER_ORPHAN && owner->n_owners)
        printf("kept by\n");
    for (uint32_t i = 0; i < owner->n_owners; i++)
        print_owner(&owner->owners[i]);
    if (owner->more)
        printf("and others\n");
    char *via = via_text(owner);
    printf("found by %s, %u reads, %.1f us\n", via, owner->reads, (double)owner->ns / 1e3);
    free(via);
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    (void)arg;
    if (key != ARGP_KEY_INIT)
        return ARGP_ERR_UNKNOWN;
    state->child_inputs[0] = state->input;
    return 0;
}

int cmd_owner(int argc, char **argv)
{
    struct argp guest = guest_argp;
    guest.args_doc = NULL; /* argp would put it behind ours */
    const struct argp_child children[] = {{&guest, 0, NULL, 0}, {0}};
    const struct argp argp = {
        .parser = parse,
        .children = children,
        .args_doc = "URI FLOW",
        .doc = "Say who inside a guest is behind a flow, as it is seen on the wire."
               "\v"
               "FLOW is one argument: PROTOCOL LOCAL REMOTE, the guest's side first. Protocols are "
               "tcp, udp, udplite, sctp, icmp (LOCAL:ID is the id of an echo) and raw (LOCAL:PROTOCOL). IPv6 "
               "addresses with a port stand in brackets.\n"
               "\n"
               "Examples:\n"
               "  xvmi owner qemu:/run/vm.qmp 'tcp 10.0.0.2:51234 10.0.0.1:80'\n"
               "  xvmi owner qemu:/run/vm.qmp 'udp [fd00::2]:53 [fd00::1]:40000'",
    };
    struct guest_args args = {.subject_name = "flow"};
    struct xvmi_flow flow;
    argp_parse(&argp, argc, argv, 0, NULL, &args);
    if (!parse_flow(args.subject, &flow))
        fail_usage(argv[0],
                   "'%s' is no flow: PROTOCOL LOCAL REMOTE, like 'tcp 10.0.0.2:51234 10.0.0.1:80'",
                   args.subject);

    struct xvmi_vm *vm = guest_open(argv[0], &args);
    struct xvmi_finder *finder;
    struct xvmi_owner owner;
    const struct xvmi_owner_query query = {.size = sizeof(query), .want = WANTED};
    progress_start("looking for the owner");
    enum xvmi_status status = xvmi_finder_new(vm, NULL, &finder);
    if (!status)
        status = xvmi_owner_find(finder, &flow, &query, &owner);
    struct sockets one = {.v = &owner.socket, .n = 1};
    if (!status && owner.kind != XVMI_OWNER_NONE)
        status = sockets_look_at(&one, vm, OWNERS_NONE);
    progress_stop();
    if (status)
        fail_guest(argv[0], args.uri, status, xvmi_vm_error(vm));

    if (args.json)
        print_json(&owner, &one);
    else
        print_text(&owner);
    one.v = NULL; /* not from the heap */
    sockets_free(&one);
    xvmi_finder_free(finder);
    xvmi_vm_close(vm);
    int written = finish_output(argv[0]);
    return written == EXIT_DONE && owner.kind == XVMI_OWNER_NONE ? EXIT_NO : written;
}
