/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XVMI_CLI_SOCKETS_H
#define XVMI_CLI_SOCKETS_H

/* Sockets with everything that is shown of them. */

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>
#include <xvmi/socket.h>

#include "sockname.h"

/* How owners are looked for. */
enum sockets_owners {
    OWNERS_INDEX, /* socket by socket, as the look-up of a flow does */
    OWNERS_SCAN,  /* through the descriptors of all processes */
    OWNERS_NONE,
};

struct sockets {
    struct xvmi_socket *v;
    size_t n; /* the caller may leave some out before sockets_look_at() */

    struct unix_name *names; /* of all unix sockets, by inode: peers are named by them */
    size_t n_names;
    enum sockets_owners how;
    struct xvmi_owner_scan *scan;     /* OWNERS_SCAN */
    struct xvmi_socket_owner *owners; /* OWNERS_INDEX: those of v[i] from first_owner[i] on */
    size_t *first_owner;              /* n + 1 */
    void *cgroups;                    /* tsearch trees of struct look_up */
    void *exes;
};

enum xvmi_status sockets_list(struct sockets *sockets, struct xvmi_vm *vm, unsigned kinds);

/* Owners, cgroups and executables of what is left. A status other than XVMI_OK means that nothing
 * may be printed. */
enum xvmi_status sockets_look_at(struct sockets *sockets, struct xvmi_vm *vm,
                                 enum sockets_owners how);

void sockets_print_text(const struct sockets *sockets);
void sockets_print_json(const struct sockets *sockets);
/* One socket without its owners: a new reference. */
json_t *sockets_facts_json(const struct sockets *sockets, const struct xvmi_socket *socket);
void sockets_free(struct sockets *sockets);

#endif
