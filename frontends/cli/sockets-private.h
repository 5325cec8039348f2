/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XVMI_CLI_SOCKETS_PRIVATE_H
#define XVMI_CLI_SOCKETS_PRIVATE_H

/* Between looking at sockets (sockets.c) and printing them (sockets-print.c). */

#include "field.h"
#include "sockets.h"

struct unix_name {
    uint64_t ino;
    char path[XVMI_UNIX_PATH_MAX + 1];
};

/* One look into the guest that serves many sockets: of a cgroup, of a process. */
struct look_up {
    uint64_t key; /* GVA */
    struct field field;
};

/* The name that the unix socket with this inode is bound to, NULL for none. */
const struct unix_name *sockets_unix_name(const struct sockets *sockets, uint64_t ino);

/* Who holds sockets->v[i]: how many, and *owners them. */
size_t sockets_owners(const struct sockets *sockets, size_t i,
                      const struct xvmi_socket_owner **owners);

/* What was found out about `key`; an empty field when nothing was. */
const struct field *sockets_find(void *const *tree, uint64_t key);

#endif
