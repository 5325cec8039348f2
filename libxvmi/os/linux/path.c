// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <string.h>

#include "os/linux/path.h"

/* A path has at most XVMI_PATH_MAX / 2 components; more steps than this are a loop. Mounts
 * stacked on one directory add steps without a component. */
#define MAX_STEPS 4096
#define NAME_LEN  255 /* NAME_MAX; kernfs keeps to it as well */

/* A path grows from its end towards its root. */
struct path_builder {
    char *buf;
    size_t size, start; /* the path so far is buf[start .. size) */
};

static struct path_builder begin_path(char *buf, size_t size, const char *suffix)
{
    struct path_builder b = {buf, size, 0};
    size_t len = strlen(suffix) + 1;
    if (len <= size) {
        b.start = size - len;
        memcpy(buf + b.start, suffix, len);
    }
    return b;
}

static bool prepend(struct path_builder *b, const char *name, size_t len)
{
    if (b->start < len + 1)
        return false;
    b->start -= len;
    memcpy(b->buf + b->start, name, len);
    b->buf[--b->start] = '/';
    return true;
}

static enum xvmi_status end_path(struct path_builder *b, bool empty, struct xvmi_error *err)
{
    if (empty && !prepend(b, "", 0))
        return xvmi_error_set(err, XVMI_ERR_LIMIT, "no room for the path");
    memmove(b->buf, b->buf + b->start, b->size - b->start);
    return XVMI_OK;
}

static enum xvmi_status prepend_dentry(struct xl_guest *g, struct path_builder *b, uint64_t dentry)
{
    struct xw_fault fault;
    uint64_t name, len;
    char text[NAME_LEN];
    if (xw_get(g->space, &g->lay, dentry, dentry_len, &len, &fault) ||
        xw_get(g->space, &g->lay, dentry, dentry_name, &name, &fault))
        return xl_fault(g, &fault);
    if (len == 0 || len > NAME_LEN)
        return xvmi_error_set(g->err, XVMI_ERR_FORMAT, "dentry with a name of %u bytes",
                              (unsigned)len);
    if (xo_read(g->space, name, text, len))
        return xo_fault(g->space, g->err);
    if (!prepend(b, text, len))
        return xvmi_error_set(g->err, XVMI_ERR_LIMIT, "path of more than %zu bytes", b->size - 1);
    return XVMI_OK;
}

/*
 * d_path() calls a file deleted when its dentry is out of the hash and no root. A root that its
 * mount does not begin at is a file that never was in a directory (memfd_create()): simple_dname()
 * shows the name that it was given. What was opened by a handle and is not connected to the tree
 * has such a dentry, too, by the name "/".
 */
static enum xvmi_status is_deleted(struct xl_guest *g, uint64_t mount, uint64_t dentry,
                                   bool *deleted, bool *nowhere)
{
    const struct xw_layout *lay = &g->lay;
    struct xw_fault fault;
    uint64_t pprev, parent, root, len;
    if (xw_get(g->space, lay, dentry, dentry_hash, &pprev, &fault) ||
        xw_get(g->space, lay, dentry, dentry_parent, &parent, &fault) ||
        xw_get(g->space, lay, dentry, dentry_len, &len, &fault) ||
        xw_get(g->space, lay, mount + lay->mount_mnt.off, vfsmount_root, &root, &fault))
        return xl_fault(g, &fault);
    *nowhere = parent == dentry && root != dentry && len > 1;
    *deleted = *nowhere || (pprev == 0 && parent != dentry);
    return XVMI_OK;
}

/* From a dentry to the one above, through the mount that hides it. *end at the topmost root. */
static enum xvmi_status step_up(struct xl_guest *g, struct path_builder *b, uint64_t *mount,
                                uint64_t *dentry, bool *end)
{
    const struct xw_layout *lay = &g->lay;
    struct xw_fault fault;
    uint64_t root, parent;
    if (xw_get(g->space, lay, *mount + lay->mount_mnt.off, vfsmount_root, &root, &fault))
        return xl_fault(g, &fault);
    if (*dentry == root) {
        uint64_t above;
        if (xw_get(g->space, lay, *mount, mount_parent, &above, &fault) ||
            xw_get(g->space, lay, *mount, mount_mountpoint, dentry, &fault))
            return xl_fault(g, &fault);
        *end = above == *mount;
        *mount = above;
        return XVMI_OK;
    }
    if (xw_get(g->space, lay, *dentry, dentry_parent, &parent, &fault))
        return xl_fault(g, &fault);
    *end = parent == *dentry; /* the root of a file system that is not mounted here any more */
    if (*end)
        return XVMI_OK;
    enum xvmi_status status = prepend_dentry(g, b, *dentry);
    *dentry = parent;
    return status;
}

enum xvmi_status xl_file_path(struct xl_guest *g, uint64_t file, char *buf, size_t size)
{
    struct xw_fault fault;
    uint64_t mnt, dentry;
    if (xw_get(g->space, &g->lay, file, file_mnt, &mnt, &fault) ||
        xw_get(g->space, &g->lay, file, file_dentry, &dentry, &fault))
        return xl_fault(g, &fault);
    const uint64_t start = dentry;
    uint64_t mount = mnt - g->lay.mount_mnt.off;
    bool deleted = false, nowhere = false, end = false;
    enum xvmi_status status = is_deleted(g, mount, dentry, &deleted, &nowhere);
    if (status)
        return status;

    struct path_builder b = begin_path(buf, size, deleted ? " (deleted)" : "");
    size_t empty = b.start;
    for (int i = 0; i < MAX_STEPS && !end && !status; i++)
        status = step_up(g, &b, &mount, &dentry, &end);
    if (!status && nowhere)
        status = prepend_dentry(g, &b, start);
    if (status)
        return status;
    if (!end)
        return xvmi_error_set(g->err, XVMI_ERR_FORMAT, "path with more than %d steps", MAX_STEPS);
    return end_path(&b, b.start == empty, g->err);
}

enum xvmi_status xl_cgroup_path(struct xl_guest *g, uint64_t cgroup, char *buf, size_t size)
{
    const struct xw_layout *lay = &g->lay;
    struct xw_fault fault;
    uint64_t kn, parent, name;
    if (xw_get(g->space, lay, cgroup, cgroup_kn, &kn, &fault))
        return xl_fault(g, &fault);
    struct path_builder b = begin_path(buf, size, "");
    size_t empty = b.start;
    for (int i = 0; i < MAX_STEPS; i++) {
        if (xw_get(g->space, lay, kn, kn_parent, &parent, &fault))
            return xl_fault(g, &fault);
        if (!parent)
            return end_path(&b, b.start == empty, g->err);
        char text[NAME_LEN + 1];
        bool cut;
        if (xw_get(g->space, lay, kn, kn_name, &name, &fault))
            return xl_fault(g, &fault);
        if (xo_read_str(g->space, name, text, sizeof(text), &cut))
            return xo_fault(g->space, g->err);
        if (cut || !*text)
            return xvmi_error_set(g->err, XVMI_ERR_FORMAT, "control group with an impossible name");
        if (!prepend(&b, text, strlen(text)))
            return xvmi_error_set(g->err, XVMI_ERR_LIMIT, "path of more than %zu bytes", size - 1);
        kn = parent;
    }
    return xvmi_error_set(g->err, XVMI_ERR_FORMAT, "control group more than %d deep", MAX_STEPS);
}
