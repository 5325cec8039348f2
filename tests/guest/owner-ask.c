// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * owner-ask URI    Answers questions about a guest's flows, with one finder for all of them.
 *
 * A question is a line: PROTOCOL LOCAL LPORT REMOTE RPORT DIRECTION MAC. The protocol is a number,
 * so is the direction (enum xvmi_flow_direction); MAC is "-" when it is not known. Before it may
 * stand one of
 *
 *   fresh    with a finder of its own, which has seen nothing before
 *   lean     no more than pids is asked for
 *   same     no question: is the sender of the last answer still the same?
 *
 * An answer is a line, too: a JSON object with "status", and the answer when that is 0.
 */
#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xvmi/owner.h>

static struct xvmi_vm *vm;

static void give_up(const char *what)
{
    fprintf(stderr, "owner-ask: %s: %s\n", what, xvmi_vm_error(vm));
    exit(1);
}

static struct xvmi_finder *new_finder(void)
{
    struct xvmi_finder *finder;
    if (xvmi_finder_new(vm, NULL, &finder))
        give_up("finder");
    return finder;
}

static bool parse(const char *line, struct xvmi_flow *flow, uint8_t mac[6])
{
    char local[INET6_ADDRSTRLEN], remote[INET6_ADDRSTRLEN], hardware[18];
    *flow = (struct xvmi_flow){.family = 2};
    memset(mac, 0, 6);
    if (sscanf(line, "%hhu %45s %hu %45s %hu %hhu %17s", &flow->proto, local, &flow->lport, remote,
               &flow->rport, &flow->direction, hardware) != 7)
        return false;
    if (strchr(local, ':'))
        flow->family = 10;
    if (hardware[0] != '-' && sscanf(hardware, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &mac[0], &mac[1],
                                     &mac[2], &mac[3], &mac[4], &mac[5]) != 6)
        return false;
    const int family = flow->family == 2 ? AF_INET : AF_INET6;
    return inet_pton(family, local, flow->local) == 1 &&
           inet_pton(family, remote, flow->remote) == 1;
}

static void print_answer(const struct xvmi_owner *a)
{
    printf("{\"status\": 0, \"kind\": \"%s\", \"orphan\": \"%s\", \"last\": %d, "
           "\"last_start_ns\": %" PRIu64 ", ",
           xvmi_owner_kind_text(a->kind), xvmi_orphan_text(a->orphan), a->last.pid,
           a->last.start_ns);
    printf("\"socket_via\": \"%s\", \"process_via\": \"%s\", \"translated\": %d, \"more\": %d, "
           "\"reads\": %u, \"ino\": %" PRIu64 ", \"uid\": %u, \"netns\": %u, \"state\": %u, "
           "\"socket_kind\": %u, \"owners\": [",
           xvmi_via_socket_text(a->via_socket), xvmi_via_process_text(a->via_process),
           a->translated, a->more, a->reads, a->socket.ino, a->socket.uid, a->socket.netns,
           a->socket.state, a->socket.kind);
    for (uint32_t i = 0; i < a->n_owners; i++) {
        const struct xvmi_flow_owner *who = &a->owners[i];
        /* The tests' control groups have plain names. */
        printf("%s{\"pid\": %d, \"fd\": %d, \"uid\": %u, \"start_ns\": %" PRIu64
               ", \"cgroup\": \"%s\"}",
               i ? ", " : "", who->task.pid, who->fd, who->task.uid, who->task.start_ns,
               who->cgroup ? who->cgroup : "");
    }
    puts("]}");
}

static enum xvmi_status find(struct xvmi_finder *finder, const struct xvmi_flow *flow,
                             const uint8_t mac[6], uint32_t want, struct xvmi_owner_token *token)
{
    struct xvmi_owner_query query = {.size = sizeof(query), .want = want};
    struct xvmi_owner answer;
    memcpy(query.mac, mac, 6);
    enum xvmi_status status = xvmi_owner_find(finder, flow, &query, &answer);
    if (!status) {
        *token = answer.token;
        print_answer(&answer);
    }
    return status;
}

int main(int argc, char **argv)
{
    struct xvmi_error err = XVMI_ERROR_INIT;
    struct xvmi_owner_token token = {0};
    char line[256];
    if (argc != 2)
        return 2;
    if (xvmi_vm_open(argv[1], NULL, &vm, &err)) {
        fprintf(stderr, "owner-ask: %s\n", err.text);
        return 1;
    }
    struct xvmi_finder *common = new_finder();
    while (fgets(line, sizeof(line), stdin)) {
        const bool fresh = !strncmp(line, "fresh ", 6), lean = !strncmp(line, "lean ", 5);
        struct xvmi_flow flow;
        uint8_t mac[6];
        enum xvmi_status status;
        if (!strcmp(line, "same\n")) {
            status = xvmi_owner_revalidate(common, &token);
            printf("{\"status\": %d}\n", status);
        } else if (!parse(line + (fresh ? 6 : lean ? 5 : 0), &flow, mac)) {
            return 2;
        } else {
            struct xvmi_finder *finder = fresh ? new_finder() : common;
            status = find(finder, &flow, mac,
                          lean ? XVMI_WANT_NAME : XVMI_WANT_TASK | XVMI_WANT_CGROUP, &token);
            if (status) {
                printf("{\"status\": %d}\n", status);
                fprintf(stderr, "owner-ask: %s: %s\n", strtok(line, "\n"), xvmi_vm_error(vm));
            }
            if (fresh)
                xvmi_finder_free(finder);
        }
        fflush(stdout);
    }
    xvmi_finder_free(common);
    xvmi_vm_close(vm);
    return 0;
}
