// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <xvmi/policy.h>

#include "base/cleanup.h"
#include "base/vec.h"
#include "filter/idmap.h"

struct entry {
    const char *name;
    uint32_t id;
};

struct xf_idmap {
    char *text; /* the file, names cut out of it */
    struct {
        struct entry *v;
        size_t n, cap;
    } entries;
};

void xf_idmap_free(struct xf_idmap *map)
{
    if (!map)
        return;
    free(map->entries.v);
    free(map->text);
    free(map);
}

/* The third field of the line that begins with `name`. */
static bool parse_id(const char *rest, const char *end, uint32_t *id)
{
    const char *p = memchr(rest, ':', (size_t)(end - rest));
    uint64_t value = 0;
    if (!p || ++p == end || *p < '0' || *p > '9')
        return false;
    for (; p < end && *p >= '0' && *p <= '9'; p++) {
        value = value * 10 + (uint64_t)(*p - '0');
        if (value > UINT32_MAX)
            return false;
    }
    *id = (uint32_t)value;
    return p < end && *p == ':';
}

/* Names sort by spelling; of one name the first in the file counts, as for getpwnam(). */
static int by_name(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    int order = strcmp(x->name, y->name);
    return order ? order : x->name < y->name ? -1 : x->name > y->name;
}

static bool parse(struct xf_idmap *map, size_t len)
{
    char *line = map->text, *end = map->text + len;
    while (line < end) {
        char *eol = memchr(line, '\n', (size_t)(end - line));
        if (!eol)
            eol = end;
        char *colon = memchr(line, ':', (size_t)(eol - line));
        struct entry entry = {.name = line};
        if (colon && colon > line && *line != '#' && parse_id(colon + 1, eol, &entry.id)) {
            *colon = 0;
            if (!xb_vec_push(&map->entries, entry))
                return false;
        }
        line = eol + 1;
    }
    if (map->entries.n)
        qsort(map->entries.v, map->entries.n, sizeof(*map->entries.v), by_name);
    return true;
}

enum xvmi_status xf_idmap_load(const char *policy, const char *path, struct xf_idmap **map,
                               struct xvmi_error *err)
{
    const char *slash = *path == '/' ? NULL : strrchr(policy, '/');
    xb_auto_free char *full = NULL;
    struct xf_idmap *m = calloc(1, sizeof(*m));
    size_t len;
    *map = NULL;
    if (!m || asprintf(&full, "%.*s%s", slash ? (int)(slash - policy + 1) : 0, policy, path) < 0) {
        full = NULL;
        free(m);
        return xvmi_error_set(err, XVMI_ERR_NO_MEMORY, "out of memory");
    }
    enum xvmi_status status = xf_read_file(full, XVMI_POLICY_SIZE_MAX, &m->text, &len, err);
    if (!status && !parse(m, len))
        status = xvmi_error_set(err, XVMI_ERR_NO_MEMORY, "out of memory");
    if (status) {
        xf_idmap_free(m);
        return status;
    }
    *map = m;
    return XVMI_OK;
}

bool xf_idmap_find(const struct xf_idmap *map, const char *name, uint32_t *id)
{
    size_t lo = 0, hi = map->entries.n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (strcmp(map->entries.v[mid].name, name) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (lo == map->entries.n || strcmp(map->entries.v[lo].name, name))
        return false;
    *id = map->entries.v[lo].id;
    return true;
}

/* Debian policy 9.2.2: ids below 100 are the same everywhere, and so is nobody's. */
static const struct entry users[] = {
    {"root", 0},    {"daemon", 1}, {"bin", 2},       {"sys", 3},        {"sync", 4},  {"games", 5},
    {"man", 6},     {"lp", 7},     {"mail", 8},      {"news", 9},       {"uucp", 10}, {"proxy", 13},
    {"backup", 34}, {"list", 38},  {"www-data", 33}, {"nobody", 65534},
};
static const struct entry groups[] = {
    {"root", 0},        {"daemon", 1},    {"bin", 2},     {"sys", 3},     {"adm", 4},
    {"tty", 5},         {"disk", 6},      {"lp", 7},      {"mail", 8},    {"news", 9},
    {"uucp", 10},       {"man", 12},      {"proxy", 13},  {"kmem", 15},   {"dialout", 20},
    {"sudo", 27},       {"www-data", 33}, {"backup", 34}, {"shadow", 42}, {"users", 100},
    {"nogroup", 65534},
};

static bool find_static(const struct entry *table, size_t n, const char *name, uint32_t *id)
{
    for (size_t i = 0; i < n; i++)
        if (!strcmp(table[i].name, name)) {
            *id = table[i].id;
            return true;
        }
    return false;
}

bool xf_debian_user(const char *name, uint32_t *id)
{
    return find_static(users, sizeof(users) / sizeof(*users), name, id);
}

bool xf_debian_group(const char *name, uint32_t *id)
{
    return find_static(groups, sizeof(groups) / sizeof(*groups), name, id);
}

static enum xvmi_status open_error(struct xvmi_error *err, const char *path)
{
    enum xvmi_status status = errno == ENOENT || errno == ENOTDIR ? XVMI_ERR_NOT_FOUND
                              : errno == EACCES || errno == EPERM ? XVMI_ERR_PERMISSION
                                                                  : XVMI_ERR_IO;
    return xvmi_error_set(err, status, "%s: %s", path, strerror(errno));
}

enum xvmi_status xf_read_file(const char *path, size_t max, char **text, size_t *len,
                              struct xvmi_error *err)
{
    *text = NULL;
    *len = 0;
    /* Not blocking: a pipe without a writer must not hold us up. */
    xb_auto_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    struct stat st;
    if (fd < 0 || fstat(fd, &st))
        return open_error(err, path);
    if (!S_ISREG(st.st_mode))
        return xvmi_error_set(err, XVMI_ERR_INVALID, "%s: not a regular file", path);
    if ((uint64_t)st.st_size > max)
        return xvmi_error_set(err, XVMI_ERR_LIMIT, "%s: longer than %zu bytes", path, max);
    size_t cap = (size_t)st.st_size;
    xb_auto_free char *buf = malloc(cap + 1);
    if (!buf)
        return xvmi_error_set(err, XVMI_ERR_NO_MEMORY, "%s: out of memory", path);
    while (*len < cap) {
        ssize_t n = read(fd, buf + *len, cap - *len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return open_error(err, path);
        if (!n)
            break;
        *len += (size_t)n;
    }
    buf[*len] = 0;
    *text = xb_steal_ptr(&buf);
    return XVMI_OK;
}
