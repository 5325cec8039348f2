// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "os/linux/trail.h"

#include <stdlib.h>
#include <string.h>

#define LINE       64u
#define MAX_PLACES 48u

/* One flow's way: two cache lines. Only the newest of the flows that share a slot is known. */
struct trail {
    uint64_t key;
    uint64_t at[XL_TRAIL_OBJECTS];
    struct xvmi_last_owner owner;
    uint64_t pad;
};
_Static_assert(sizeof(struct trail) == 2 * LINE, "two cache lines");

/* A piece of an object that is read. */
struct place {
    enum xl_trail_object object;
    uint32_t off;
};

struct xl_trails {
    struct xl_guest *g;
    struct trail *slot;
    uint64_t mask;
    uint32_t n_places, n_socket_places; /* those of bucket, sock and socket come first */
    struct place place[MAX_PLACES];
};

/* Objects are aligned to cache lines, most of them: members of one line need one place. */
static void add_place(struct xl_trails *t, enum xl_trail_object object, uint32_t off)
{
    for (uint32_t i = 0; i < t->n_places; i++)
        if (t->place[i].object == object && t->place[i].off / LINE == off / LINE)
            return;
    if (t->n_places < MAX_PLACES)
        t->place[t->n_places++] = (struct place){object, off};
}

static void add_field(struct xl_trails *t, enum xl_trail_object object, struct xw_field f)
{
    if (xw_has(f))
        add_place(t, object, f.off);
}

static void list_places(struct xl_trails *t)
{
    const struct xw_layout *lay = &t->g->lay;
    const struct xw_field sock[] = {lay->skc_daddr,     lay->skc_node,    lay->skc_v6_daddr,
                                    lay->skc_cookie,    lay->sock_socket, lay->sock_type,
                                    lay->sock_protocol, lay->sock_uid,    lay->sock_cgroup};
    const struct xw_field task[] = {lay->task_tgid, lay->task_start, lay->task_files,
                                    lay->task_comm, lay->task_mm,    lay->task_signal};
    add_place(t, XL_TRAIL_BUCKET, 0);
    for (size_t i = 0; i < sizeof(sock) / sizeof(sock[0]); i++)
        add_field(t, XL_TRAIL_SOCK, sock[i]);
    add_field(t, XL_TRAIL_SOCKET, lay->socket_file);
    add_place(t, XL_TRAIL_SOCKET, lay->socket_alloc_inode.off + lay->inode_ino.off);
    t->n_socket_places = t->n_places;
    add_field(t, XL_TRAIL_FILE, lay->file_count);
    for (size_t i = 0; i < sizeof(task) / sizeof(task[0]); i++)
        add_field(t, XL_TRAIL_TASK, task[i]);
    add_field(t, XL_TRAIL_SIGNAL, lay->signal_nr_threads);
    add_field(t, XL_TRAIL_FILES, lay->files_count);
    add_field(t, XL_TRAIL_FILES, lay->files_fdt);
    add_field(t, XL_TRAIL_FDTABLE, lay->fdt_fd);
    add_field(t, XL_TRAIL_FDTABLE, lay->fdt_max_fds);
    add_place(t, XL_TRAIL_FD, 0);
    add_field(t, XL_TRAIL_MM, lay->mm_exe_file);
}

enum xvmi_status xl_trails_new(struct xl_guest *g, size_t memory, struct xl_trails **trails)
{
    struct xl_trails *t = calloc(1, sizeof(*t));
    uint64_t n = 64;
    while (n * 2 * sizeof(*t->slot) <= memory)
        n *= 2;
    if (t) {
        t->g = g;
        t->mask = n - 1;
        t->slot = aligned_alloc(2 * LINE, n * sizeof(*t->slot));
    }
    if (!t || !t->slot) {
        free(t);
        return xvmi_error_set(g->err, XVMI_ERR_NO_MEMORY, "out of memory");
    }
    memset(t->slot, 0, n * sizeof(*t->slot));
    list_places(t);
    *trails = t;
    return XVMI_OK;
}

void xl_trails_free(struct xl_trails *t)
{
    if (!t)
        return;
    free(t->slot);
    free(t);
}

/* Flows with the same key share a trail, which then leads one of them astray: slow, not wrong. */
uint64_t xl_trail_key(const struct xvmi_flow *flow)
{
    uint64_t part, key = 0;
    for (size_t i = 4; i < sizeof(*flow); i += 8) { /* from `local` on: 40 bytes */
        memcpy(&part, (const char *)flow + i, 8);
        key = (key ^ part) * 0x9e3779b97f4a7c15u;
        key ^= key >> 29;
    }
    return key ? key : 1;
}

static void near(struct xl_trails *t, uint64_t key, uint32_t n_places)
{
    const struct trail *trail = &t->slot[key & t->mask];
    uint64_t at[MAX_PLACES];
    size_t n = 0;
    if (trail->key != key)
        return;
    for (uint32_t i = 0; i < n_places; i++) {
        uint64_t object = trail->at[t->place[i].object];
        at[n] = object + t->place[i].off;
        n += object != 0;
    }
    xo_expect(t->g->space, at, n);
}

uint64_t xl_trails_near(struct xl_trails *t, uint64_t key)
{
    const struct trail *trail = &t->slot[key & t->mask];
    near(t, key, t->n_places);
    return trail->key == key ? trail->at[XL_TRAIL_FILE] : 0;
}

void xl_trails_near_socket(struct xl_trails *t, uint64_t key)
{
    near(t, key, t->n_socket_places);
}

/* The rest of the way, from what is known; what cannot be read stays 0. */
static void follow_socket(struct xl_guest *g, struct trail *trail)
{
    struct xw_fault fault;
    uint64_t *at = trail->at;
    if (xw_get(g->space, &g->lay, at[XL_TRAIL_SOCK], sock_socket, &at[XL_TRAIL_SOCKET], &fault) ||
        !at[XL_TRAIL_SOCKET] ||
        xw_get(g->space, &g->lay, at[XL_TRAIL_SOCKET], socket_file, &at[XL_TRAIL_FILE], &fault))
        at[XL_TRAIL_FILE] = 0;
}

static void follow_task(struct xl_guest *g, struct trail *trail, int32_t fd)
{
    struct xw_fault fault;
    uint64_t *at = trail->at, table;
    if (xw_get(g->space, &g->lay, at[XL_TRAIL_TASK], task_signal, &at[XL_TRAIL_SIGNAL], &fault) ||
        xw_get(g->space, &g->lay, at[XL_TRAIL_TASK], task_mm, &at[XL_TRAIL_MM], &fault) ||
        xw_get(g->space, &g->lay, at[XL_TRAIL_TASK], task_files, &at[XL_TRAIL_FILES], &fault) ||
        !at[XL_TRAIL_FILES] ||
        xw_get(g->space, &g->lay, at[XL_TRAIL_FILES], files_fdt, &at[XL_TRAIL_FDTABLE], &fault) ||
        !at[XL_TRAIL_FDTABLE] ||
        xw_get(g->space, &g->lay, at[XL_TRAIL_FDTABLE], fdt_fd, &table, &fault))
        return;
    at[XL_TRAIL_FD] = table + (uint64_t)(uint32_t)fd * 8;
}

bool xl_trails_last(const struct xl_trails *t, uint64_t key, struct xvmi_last_owner *last)
{
    const struct trail *trail = &t->slot[key & t->mask];
    if (trail->key != key || !trail->owner.pid)
        return false;
    *last = trail->owner;
    return true;
}

void xl_trails_learn(struct xl_trails *t, uint64_t key, uint64_t bucket, uint64_t sock,
                     uint64_t thread, const struct xvmi_flow_owner *owner)
{
    struct trail *trail = &t->slot[key & t->mask];
    if (trail->key == key && trail->at[XL_TRAIL_SOCK] == sock && trail->at[XL_TRAIL_TASK] == thread)
        return;
    *trail = (struct trail){
        .key = key,
        .at = {[XL_TRAIL_BUCKET] = bucket, [XL_TRAIL_SOCK] = sock, [XL_TRAIL_TASK] = thread},
        .owner = {.pid = owner->task.pid, .start_ns = owner->task.start_ns}};
    memcpy(trail->owner.comm, owner->task.comm, sizeof(trail->owner.comm));
    follow_socket(t->g, trail);
    follow_task(t->g, trail, owner->fd);
}
