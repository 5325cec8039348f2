// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Looking at sockets: everything is asked of the guest here, before anything is printed. */
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include <xvmi/owner.h>

#include "cli.h"
#include "sockets-private.h"
#include "sockets.h"

static int by_ino(const void *a, const void *b)
{
    const struct unix_name *x = a, *y = b;
    return (x->ino > y->ino) - (x->ino < y->ino);
}

static int by_key(const void *a, const void *b)
{
    const struct look_up *x = a, *y = b;
    return (x->key > y->key) - (x->key < y->key);
}

static int by_address(const void *a, const void *b)
{
    const struct xvmi_task *x = a, *y = b;
    return (x->addr > y->addr) - (x->addr < y->addr);
}

const struct unix_name *sockets_unix_name(const struct sockets *sockets, uint64_t ino)
{
    struct unix_name key = {.ino = ino};
    if (!ino || !sockets->n_names)
        return NULL;
    return bsearch(&key, sockets->names, sockets->n_names, sizeof(key), by_ino);
}

const struct field *sockets_find(void *const *tree, uint64_t key)
{
    static const struct field none;
    struct look_up wanted = {.key = key};
    struct look_up *const *found = tfind(&wanted, tree, by_key);
    return found ? &(*found)->field : &none;
}

/* The place for what is found out about `key`, NULL when it is there already. */
static struct field *new_look_up(void **tree, uint64_t key)
{
    struct look_up *fresh = must_alloc(1, sizeof(*fresh));
    fresh->key = key;
    struct look_up **at = tsearch(fresh, tree, by_key);
    if (!at)
        fail("xvmi", XVMI_ERR_NO_MEMORY, "out of memory");
    if (*at == fresh)
        return &fresh->field;
    free(fresh);
    return NULL;
}

static void name_unix_sockets(struct sockets *sockets)
{
    sockets->names = must_alloc(sockets->n, sizeof(*sockets->names));
    for (size_t i = 0; i < sockets->n; i++) {
        const struct xvmi_socket *socket = &sockets->v[i];
        if (socket->kind != XVMI_SOCKET_UNIX || !socket->ino || !socket->path_len)
            continue;
        struct unix_name *name = &sockets->names[sockets->n_names++];
        name->ino = socket->ino;
        sock_path(socket, name->path);
    }
    qsort(sockets->names, sockets->n_names, sizeof(*sockets->names), by_ino);
}

/* By kind, namespace, listening ones first, local port and the rest. */
static int for_reading(const void *a, const void *b)
{
    const struct xvmi_socket *x = a, *y = b;
    bool x_listens = x->state == XVMI_STATE_LISTEN, y_listens = y->state == XVMI_STATE_LISTEN;
    if (x->kind != y->kind)
        return x->kind < y->kind ? -1 : 1;
    if (x->netns != y->netns)
        return x->netns < y->netns ? -1 : 1;
    if (x_listens != y_listens)
        return x_listens ? -1 : 1;
    if (x->lport != y->lport)
        return x->lport < y->lport ? -1 : 1;
    if (x->family != y->family)
        return x->family < y->family ? -1 : 1;
    int order = memcmp(x->local, y->local, sizeof(x->local));
    if (!order)
        order = memcmp(x->remote, y->remote, sizeof(x->remote));
    if (!order)
        order = (x->rport > y->rport) - (x->rport < y->rport);
    return order ? order : (x->ino > y->ino) - (x->ino < y->ino);
}

enum xvmi_status sockets_list(struct sockets *sockets, struct xvmi_vm *vm, unsigned kinds)
{
    enum xvmi_status status = xvmi_socket_list(vm, kinds, &sockets->v, &sockets->n);
    if (status)
        return status;
    if (sockets->n)
        qsort(sockets->v, sockets->n, sizeof(*sockets->v), for_reading);
    name_unix_sockets(sockets);
    return XVMI_OK;
}

static enum xvmi_status look_at_cgroups(struct sockets *sockets, struct xvmi_vm *vm)
{
    for (size_t i = 0; i < sockets->n; i++) {
        const struct xvmi_socket *socket = &sockets->v[i];
        struct field *field =
            socket->cgroup ? new_look_up(&sockets->cgroups, socket->cgroup) : NULL;
        if (!field)
            continue;
        char buf[XVMI_PATH_MAX] = "";
        enum xvmi_status status = xvmi_socket_cgroup(vm, socket, buf, sizeof(buf));
        status = field_set(field, "cgroup", vm, status, buf, strlen(buf));
        if (status)
            return status;
    }
    return XVMI_OK;
}

static enum xvmi_status look_at_exe(struct sockets *sockets, struct xvmi_vm *vm,
                                    const struct xvmi_task *tasks, size_t n,
                                    const struct xvmi_socket_owner *owner)
{
    struct field *field = new_look_up(&sockets->exes, owner->task);
    if (!field)
        return XVMI_OK;
    struct xvmi_task key = {.addr = owner->task};
    const struct xvmi_task *task = n ? bsearch(&key, tasks, n, sizeof(key), by_address) : NULL;
    if (task && task->pid == owner->pid)
        return field_task_exe(vm, task, field);
    field->error = must_printf("exe: process %d came or went meanwhile", owner->pid);
    return XVMI_OK;
}

size_t sockets_owners(const struct sockets *sockets, size_t i,
                      const struct xvmi_socket_owner **owners)
{
    *owners = NULL;
    if (sockets->scan)
        return xvmi_owner_scan_find(sockets->scan, &sockets->v[i], owners);
    if (!sockets->first_owner)
        return 0;
    *owners = sockets->owners + sockets->first_owner[i];
    return sockets->first_owner[i + 1] - sockets->first_owner[i];
}

static void add_owners(struct sockets *sockets, size_t *n, size_t *room,
                       const struct xvmi_owner *owner)
{
    if (*n + owner->n_owners > *room) {
        *room *= 2;
        sockets->owners = realloc(sockets->owners, *room * sizeof(*sockets->owners));
        if (!sockets->owners)
            fail("xvmi", XVMI_ERR_NO_MEMORY, "out of memory");
    }
    for (uint32_t k = 0; k < owner->n_owners; k++) {
        const struct xvmi_flow_owner *who = &owner->owners[k];
        struct xvmi_socket_owner *out = &sockets->owners[(*n)++];
        *out =
            (struct xvmi_socket_owner){.task = who->task.addr, .pid = who->task.pid, .fd = who->fd};
        memcpy(out->comm, who->task.comm, sizeof(out->comm));
    }
}

/* All processes are seen once, then each socket is asked for. *more: one has more owners than an
 * answer holds. */
static enum xvmi_status find_owners(struct sockets *sockets, struct xvmi_finder *finder, bool *more)
{
    const struct xvmi_owner_query query = {.size = sizeof(query), .want = XVMI_WANT_NAME};
    bool done;
    enum xvmi_status status = xvmi_finder_tend(finder, 0, &done);
    size_t n = 0, room = sockets->n + XVMI_OWNERS_MAX;
    sockets->first_owner = must_alloc(sockets->n + 1, sizeof(*sockets->first_owner));
    sockets->owners = must_alloc(room, sizeof(*sockets->owners));
    for (size_t i = 0; i < sockets->n && !status; i++) {
        struct xvmi_owner owner = {0};
        sockets->first_owner[i] = n;
        if (!sockets->v[i].file)
            continue;
        status = xvmi_owner_of(finder, &sockets->v[i], &query, &owner);
        if (!status && owner.kind == XVMI_OWNER_PROCESS)
            add_owners(sockets, &n, &room, &owner);
        else if (!status_is_final(status)) /* closed since it was listed */
            status = XVMI_OK;
        *more = *more || owner.more;
    }
    sockets->first_owner[sockets->n] = n;
    return status;
}

static enum xvmi_status look_at_owners(struct sockets *sockets, struct xvmi_vm *vm)
{
    struct xvmi_finder *finder;
    bool more = false;
    enum xvmi_status status = XVMI_OK;
    if (sockets->how == OWNERS_INDEX) {
        status = xvmi_finder_new(vm, NULL, &finder);
        if (!status) {
            status = find_owners(sockets, finder, &more);
            xvmi_finder_free(finder);
        }
    }
    if (!status && (more || sockets->how == OWNERS_SCAN))
        status = xvmi_owner_scan_new(vm, &sockets->scan);
    return status;
}

static enum xvmi_status look_at_exes(struct sockets *sockets, struct xvmi_vm *vm)
{
    struct xvmi_task *tasks = NULL;
    size_t n = 0;
    enum xvmi_status status = xvmi_task_list(vm, &tasks, &n);
    if (status)
        return status;
    qsort(tasks, n, sizeof(*tasks), by_address);
    for (size_t i = 0; !status && i < sockets->n; i++) {
        const struct xvmi_socket_owner *owners;
        size_t found = sockets_owners(sockets, i, &owners);
        for (size_t o = 0; !status && o < found; o++)
            status = look_at_exe(sockets, vm, tasks, n, &owners[o]);
    }
    free(tasks);
    return status;
}

enum xvmi_status sockets_look_at(struct sockets *sockets, struct xvmi_vm *vm,
                                 enum sockets_owners how)
{
    sockets->how = how;
    enum xvmi_status status = look_at_cgroups(sockets, vm);
    if (!status && how != OWNERS_NONE)
        status = look_at_owners(sockets, vm);
    if (!status && how != OWNERS_NONE)
        status = look_at_exes(sockets, vm);
    return status;
}

static void free_look_up(void *node)
{
    struct look_up *look_up = node;
    field_free(&look_up->field);
    free(look_up);
}

void sockets_free(struct sockets *sockets)
{
    tdestroy(sockets->cgroups, free_look_up);
    tdestroy(sockets->exes, free_look_up);
    xvmi_owner_scan_free(sockets->scan);
    free(sockets->owners);
    free(sockets->first_owner);
    free(sockets->names);
    free(sockets->v);
    *sockets = (struct sockets){0};
}
