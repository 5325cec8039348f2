// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * owner-hostile URI LOOKUPS    Are owners right while a guest runs `guest-helper hostile`?
 *
 * A flow's remote port is the number of the process that opened its socket, so that whoever holds
 * it can be told from a bystander whatever the moment: see guest-helper/hostile.c. Others share the
 * local port: what they bound and did not connect yet explains a flow whose socket is gone, and
 * rightly so. So each flow is asked for as it is received, when the one that is connected counts
 * alone, and as it is sent, when all count that have the port, who are of one user.
 *
 * Exit status 0: no bystander was named, and of the sockets that stand at least 999 in 1000 were
 * found.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xvmi/owner.h>

#define PORT 47000 /* plus role */
enum role { ROLE_STANDS = 3000, ROLE_SHIFTS, ROLE_SHARES, ROLE_BOMBS, ROLE_END };

static struct xvmi_vm *vm;
static struct xvmi_finder *finder;
static struct count {
    unsigned long asked, found, bound, none, orphan, changed, wrong;
} count[ROLE_END - ROLE_STANDS];

static void check(enum xvmi_status status, const char *what)
{
    if (!status)
        return;
    fprintf(stderr, "owner-hostile: %s: %s\n", what, xvmi_vm_error(vm));
    exit(1);
}

/* Those of the latter roles pass sockets between a process and its children. */
static bool may_hold(const struct xvmi_task *task, int from, uint32_t role, uint8_t direction)
{
    return task->uid == role && (direction == XVMI_FLOW_OUT || task->pid == from ||
                                 (role >= ROLE_SHARES && task->ppid == from));
}

static void ask(int from, uint32_t role, uint8_t family, uint8_t direction)
{
    struct count *c = &count[role - ROLE_STANDS];
    struct xvmi_flow flow = {.proto = 17,
                             .family = family,
                             .lport = (uint16_t)(PORT + role),
                             .rport = (uint16_t)from,
                             .direction = direction};
    struct xvmi_owner owner;
    inet_pton(family == 2 ? AF_INET : AF_INET6, family == 2 ? "10.0.0.2" : "fd00::2", flow.local);
    inet_pton(family == 2 ? AF_INET : AF_INET6, family == 2 ? "10.0.0.1" : "fd00::1", flow.remote);
    enum xvmi_status status = xvmi_owner_find(finder, &flow, NULL, &owner);
    c->asked++;
    if (status == XVMI_ERR_CHANGED) {
        c->changed++;
        return;
    }
    check(status, "looking for an owner");
    c->none += owner.kind == XVMI_OWNER_NONE;
    c->orphan += owner.kind == XVMI_OWNER_ORPHAN;
    if (owner.kind == XVMI_OWNER_PROCESS && !owner.socket.rport) {
        c->bound++;
        return;
    }
    c->found += owner.kind == XVMI_OWNER_PROCESS;
    for (uint32_t i = 0; i < owner.n_owners; i++)
        if (!may_hold(&owner.owners[i].task, from, role, direction)) {
            const struct xvmi_task *task = &owner.owners[i].task;
            printf("wrong: of %d (user %u): pid %d, parent %d, user %u, %s, fd %d, by %s\n", from,
                   role, task->pid, task->ppid, task->uid, task->comm, owner.owners[i].fd,
                   xvmi_via_process_text(owner.via_process));
            c->wrong++;
            return;
        }
}

static unsigned long asked(void)
{
    unsigned long n = 0;
    for (int i = 0; i < ROLE_END - ROLE_STANDS; i++)
        n += count[i].asked;
    return n;
}

/* The process that opens sockets: of those that share them, the parent. */
static int opener(const struct xvmi_task *tasks, size_t n, const struct xvmi_task *task)
{
    for (size_t i = 0; i < n && task->uid == ROLE_SHARES; i++)
        if (tasks[i].pid == task->ppid && tasks[i].uid == ROLE_SHARES)
            return task->ppid;
    return task->pid;
}

static void ask_about_all(void)
{
    struct xvmi_task *tasks;
    size_t n;
    check(xvmi_vm_refresh(vm), "looking again");
    check(xvmi_task_list(vm, &tasks, &n), "listing tasks");
    for (size_t i = 0; i < n; i++)
        if (tasks[i].uid >= ROLE_STANDS && tasks[i].uid < ROLE_END && tasks[i].pid < 65536)
            for (int k = 0; k < 4 - 2 * (tasks[i].uid == ROLE_SHARES); k++)
                ask(opener(tasks, n, &tasks[i]), tasks[i].uid, k / 2 ? 10 : 2,
                    k % 2 ? XVMI_FLOW_OUT : XVMI_FLOW_IN);
    free(tasks);
}

static bool report(void)
{
    static const char *const names[] = {"that stand", "that shift", "that share", "that fork"};
    bool right = true;
    for (int i = 0; i < ROLE_END - ROLE_STANDS; i++) {
        const struct count *c = &count[i];
        printf("%s: %lu look-ups, %lu found, %lu bound by others, %lu none, %lu orphans, "
               "%lu changed while looking, %lu wrong\n",
               names[i], c->asked, c->found, c->bound, c->none, c->orphan, c->changed, c->wrong);
        right = right && c->asked && c->found && !c->wrong;
    }
    return right && (count[0].asked - count[0].found) * 1000 <= count[0].asked;
}

int main(int argc, char **argv)
{
    struct xvmi_error err = XVMI_ERROR_INIT;
    if (argc != 3)
        return 2;
    if (xvmi_vm_open(argv[1], NULL, &vm, &err)) {
        fprintf(stderr, "owner-hostile: %s\n", err.text);
        return 1;
    }
    check(xvmi_finder_new(vm, NULL, &finder), "finder");
    const unsigned long lookups = strtoul(argv[2], NULL, 10);
    unsigned long before;
    do {
        before = asked();
        ask_about_all();
    } while (asked() < lookups && asked() > before);
    const bool right = report() && asked() >= lookups;
    xvmi_finder_free(finder);
    xvmi_vm_close(vm);
    return right ? 0 : 1;
}
