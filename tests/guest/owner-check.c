// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * owner-check URI LOOKUPS    Are owners right while a guest runs `guest-helper ports`?
 * owner-check URI            Are they those that a search through all descriptors finds?
 *
 * Exit status 0: yes.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xvmi/owner.h>

#define PORT_BASE 20000

static struct xvmi_vm *vm;
static struct xvmi_finder *finder;

static void check(enum xvmi_status status, const char *what)
{
    if (!status)
        return;
    fprintf(stderr, "owner-check: %s: %s\n", what, xvmi_vm_error(vm));
    exit(1);
}

static struct xvmi_flow flow_to(uint8_t proto, uint8_t family, uint16_t lport)
{
    struct xvmi_flow flow = {.proto = proto, .family = family, .lport = lport, .rport = 9};
    inet_pton(family == 2 ? AF_INET : AF_INET6, family == 2 ? "10.0.0.2" : "fd00::2", flow.local);
    inet_pton(family == 2 ? AF_INET : AF_INET6, family == 2 ? "10.0.0.1" : "fd00::1", flow.remote);
    return flow;
}

static struct {
    unsigned long asked, found, none, changed, wrong, standing, standing_found;
    unsigned long via[XVMI_VIA_PROCESSES];
} count;

/* Whoever holds the port has the pid that it says. */
static void ask(int pid, uint8_t proto, uint8_t family, bool stands)
{
    struct xvmi_flow flow = flow_to(proto, family, (uint16_t)(PORT_BASE + pid));
    struct xvmi_owner owner;
    enum xvmi_status status = xvmi_owner_find(finder, &flow, NULL, &owner);
    count.asked++;
    count.standing += stands;
    if (status == XVMI_ERR_CHANGED) {
        count.changed++;
        return;
    }
    check(status, "looking for an owner");
    if (owner.via_socket == XVMI_VIA_PACKET || owner.via_socket == XVMI_VIA_RAW ||
        !owner.n_owners) {
        count.none++;
        return;
    }
    for (uint32_t i = 0; i < owner.n_owners; i++)
        if (owner.owners[i].task.pid != pid) {
            count.wrong++;
            printf("wrong: port %d, pid %d (%s), %s\n", flow.lport, owner.owners[i].task.pid,
                   owner.owners[i].task.comm, xvmi_via_process_text(owner.via_process));
            return;
        }
    count.found++;
    count.standing_found += stands;
    count.via[owner.via_process]++;
}

static void ask_about_all(unsigned long most)
{
    struct xvmi_task *tasks;
    size_t n;
    check(xvmi_vm_refresh(vm), "looking again");
    check(xvmi_task_list(vm, &tasks, &n), "listing tasks");
    for (size_t i = 0; i < n; i++) {
        bool stands = !strcmp(tasks[i].comm, "port-stands");
        if (!stands && strcmp(tasks[i].comm, "port-life") && strcmp(tasks[i].comm, "renamed"))
            continue;
        for (int k = 0; k < 4 && count.asked < most; k++)
            ask(tasks[i].pid, k & 1 ? 6 : 17, k & 2 ? 10 : 2, stands);
    }
    free(tasks);
}

static int churn(unsigned long lookups)
{
    while (count.asked < lookups)
        ask_about_all(lookups);
    printf("%lu look-ups: %lu found, %lu none, %lu changed while looking, %lu wrong\n", count.asked,
           count.found, count.none, count.changed, count.wrong);
    printf("of sockets that stand: %lu of %lu found\n", count.standing_found, count.standing);
    for (int via = 0; via < XVMI_VIA_PROCESSES; via++)
        printf("%s %lu%s", xvmi_via_process_text((enum xvmi_via_process)via), count.via[via],
               via + 1 < XVMI_VIA_PROCESSES ? ", " : "\n");
    return count.wrong || !count.standing ||
           count.standing - count.standing_found > count.standing / 1000;
}

/* An IPv4 flow of an IPv6 socket is IPv4 on the wire. */
static bool flow_of(const struct xvmi_socket *s, struct xvmi_flow *flow)
{
    static const uint8_t any[16], mapped[12] = {[10] = 0xff, [11] = 0xff};
    *flow = (struct xvmi_flow){.family = (uint8_t)s->family,
                               .lport = s->lport,
                               .rport = s->rport,
                               .proto = s->kind == XVMI_SOCKET_TCP ? 6 : 17};
    bool v4 = s->family == 10 && !memcmp(s->local, mapped, 12);
    size_t skip = v4 ? 12 : 0, len = s->family == 2 ? 4 : 16 - skip;
    flow->family = v4 ? 2 : flow->family;
    memcpy(flow->local, s->local + skip, len);
    memcpy(flow->remote, s->remote + skip, len);
    return memcmp(s->local, any, 16) != 0;
}

static bool is_loopback(const struct xvmi_flow *flow)
{
    static const uint8_t v6[16] = {[15] = 1};
    return flow->family == 2 ? flow->local[0] == 127 : !memcmp(flow->local, v6, 16);
}

/* Sockets of a SO_REUSEPORT group: one flow, any of them. */
static bool same_tuple(const struct xvmi_socket *a, const struct xvmi_socket *b)
{
    return a->netns == b->netns && a->kind == b->kind && a->lport == b->lport &&
           a->rport == b->rport && !memcmp(a->local, b->local, 16) &&
           !memcmp(a->remote, b->remote, 16);
}

static bool has_owner(const struct xvmi_owner *owner, int pid)
{
    for (uint32_t i = 0; i < owner->n_owners; i++)
        if (owner->owners[i].task.pid == pid)
            return true;
    return false;
}

/* All namespaces have the loopback device's address: what could be from a socket of each of two,
 * and leaves neither, is nobody's in particular. */
static bool is_ambiguous(const struct xvmi_socket *all, size_t n, const struct xvmi_socket *s)
{
    for (size_t i = 0; i < n; i++)
        if (all[i].netns != s->netns && all[i].kind == s->kind && all[i].lport == s->lport)
            return true;
    return false;
}

static int compare(void)
{
    struct xvmi_socket *sockets;
    struct xvmi_owner_scan *scan;
    size_t n, asked = 0, wrong = 0, ambiguous = 0;
    check(xvmi_socket_list(vm, XVMI_SOCKET_BIT(XVMI_SOCKET_TCP) | XVMI_SOCKET_BIT(XVMI_SOCKET_UDP),
                           &sockets, &n),
          "listing sockets");
    check(xvmi_owner_scan_new(vm, &scan), "searching descriptors");
    for (size_t i = 0; i < n; i++) {
        struct xvmi_flow flow;
        struct xvmi_owner owner;
        const struct xvmi_socket_owner *want;
        size_t wants = xvmi_owner_scan_find(scan, &sockets[i], &want);
        if (!flow_of(&sockets[i], &flow))
            continue;
        enum xvmi_status status = xvmi_owner_find(finder, &flow, NULL, &owner);
        asked++;
        if (status == XVMI_ERR_UNSUPPORTED && is_loopback(&flow) &&
            is_ambiguous(sockets, n, &sockets[i])) {
            ambiguous++;
            continue;
        }
        check(status, "looking for an owner");
        bool this_one = owner.socket.addr == sockets[i].addr;
        bool same = this_one || same_tuple(&owner.socket, &sockets[i]);
        /* All namespaces have the loopback device's address, and such a flow leaves none of them.
         */
        if (is_loopback(&flow) && owner.n_owners && owner.socket.netns != sockets[i].netns)
            same = owner.socket.lport == sockets[i].lport;
        if (same && !this_one)
            continue;
        if (this_one && wants) /* else it may be the listener's */
            same = owner.n_owners == wants;
        for (size_t k = 0; k < wants && same; k++)
            same = has_owner(&owner, want[k].pid);
        same = same && (!wants || !xvmi_owner_revalidate(finder, &owner.token));
        if (same)
            continue;
        wrong++;
        printf("wrong: kind %d, family %d, state %d, port %d: %u owners, first %d; not %zu, %d\n",
               sockets[i].kind, sockets[i].family, sockets[i].state, sockets[i].lport,
               owner.n_owners, owner.n_owners ? owner.owners[0].task.pid : 0, wants,
               wants ? want[0].pid : 0);
    }
    printf("%zu sockets, %zu wrong, %zu in two namespaces\n", asked, wrong, ambiguous);
    xvmi_owner_scan_free(scan);
    free(sockets);
    return wrong || ambiguous < 2 || ambiguous > asked / 10; /* the zoo has one such pair */
}

int main(int argc, char **argv)
{
    struct xvmi_error err = XVMI_ERROR_INIT;
    if (argc < 2)
        return 2;
    if (xvmi_vm_open(argv[1], NULL, &vm, &err)) {
        fprintf(stderr, "owner-check: %s\n", err.text);
        return 1;
    }
    check(xvmi_finder_new(vm, NULL, &finder), "finder");
    int status = argc > 2 ? churn(strtoul(argv[2], NULL, 10)) : compare();
    xvmi_finder_free(finder);
    xvmi_vm_close(vm);
    return status;
}
