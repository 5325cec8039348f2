// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "json.h"
#include "sockets-private.h"
#include "table.h"
#include "text.h"

static const struct field *exe_of(const struct sockets *sockets,
                                  const struct xvmi_socket_owner *owner)
{
    return sockets_find(&sockets->exes, owner->task);
}

/* "10.0.0.2:80", "[::1]:*", "*:80" */
static void inet_cell(struct table *table, const struct xvmi_socket *socket, bool remote)
{
    char host[SOCK_HOST_MAX];
    sock_host(socket, remote, host);
    char *device = strchr(host, '%');
    if (device)
        *device++ = 0;
    bool brackets = strchr(host, ':');
    char *text = must_printf("%s%s%s%s%s", brackets ? "[" : "", host, brackets ? "]" : "",
                             device ? "%" : "", device ? device : "");
    uint16_t port = sock_port(socket, remote);
    if (port)
        table_cell(table, "%s:%u", text, port);
    else
        table_cell(table, "%s:*", text);
    free(text);
}

static void packet_cells(struct table *table, const struct xvmi_socket *socket)
{
    char what[SOCK_HOST_MAX];
    sock_ethertype(socket, what);
    if (socket->ifindex)
        table_cell(table, "%s:if%u", what, socket->ifindex);
    else
        table_cell(table, "%s:*", what);
    table_cell(table, "*");
}

static void unix_cell(struct table *table, const char *path, uint64_t ino)
{
    char *cell = must_printf("%s %llu", *path ? path : "*", (unsigned long long)ino);
    table_guest_cell(table, cell, strlen(cell));
    free(cell);
}

static void address_cells(const struct sockets *sockets, struct table *table,
                          const struct xvmi_socket *socket)
{
    if (sock_is_inet(socket)) {
        inet_cell(table, socket, false);
        inet_cell(table, socket, true);
    } else if (socket->kind == XVMI_SOCKET_UNIX) {
        char path[XVMI_UNIX_PATH_MAX + 1];
        sock_path(socket, path);
        const struct unix_name *peer = sockets_unix_name(sockets, socket->peer_ino);
        unix_cell(table, path, socket->ino);
        unix_cell(table, peer ? peer->path : "", socket->peer_ino);
    } else {
        packet_cells(table, socket);
    }
}

/* users:(("nginx",pid=1,fd=3),("nginx",pid=2,fd=3)) */
static void owners_cell(const struct sockets *sockets, struct table *table, size_t i)
{
    const struct xvmi_socket_owner *owners;
    const size_t n = sockets_owners(sockets, i, &owners);
    char *text = NULL;
    size_t size;

    if (!n) {
        table_cell(table, "%s", "");
        return;
    }
    FILE *stream = open_memstream(&text, &size);
    if (!stream)
        fail("xvmi", XVMI_ERR_NO_MEMORY, "out of memory");
    fputs("users:(", stream);
    for (size_t k = 0; k < n; k++)
        fprintf(stream, "%s(\"%.*s\",pid=%d,fd=%d)", k ? "," : "", XVMI_COMM_MAX, owners[k].comm,
                owners[k].pid, owners[k].fd);
    fputc(')', stream);
    if (fclose(stream))
        fail("xvmi", XVMI_ERR_NO_MEMORY, "out of memory");
    table_guest_cell(table, text, size);
    free(text);
}

void sockets_print_text(const struct sockets *sockets)
{
    static const struct table_column columns[] = {
        {"Netid", false},
        {"State", false},
        {"Local Address:Port", false},
        {"Peer Address:Port", false},
        {"Netns", true},
        {"Process", false},
    };
    struct table table = TABLE_INIT(columns);

    for (size_t i = 0; i < sockets->n; i++) {
        const struct xvmi_socket *socket = &sockets->v[i];
        table_cell(&table, "%s", sock_proto(socket));
        table_cell(&table, "%s", sock_state(socket));
        address_cells(sockets, &table, socket);
        table_cell(&table, "%u", socket->netns);
        owners_cell(sockets, &table, i);
    }
    table_print(&table);
}

static void put_addresses(const struct sockets *sockets, json_t *o,
                          const struct xvmi_socket *socket)
{
    char local[SOCK_HOST_MAX] = "", remote[SOCK_HOST_MAX] = "";
    char path[XVMI_UNIX_PATH_MAX + 1];

    if (socket->kind == XVMI_SOCKET_UNIX) {
        const struct unix_name *peer = sockets_unix_name(sockets, socket->peer_ino);
        sock_path(socket, path);
        json_put_text(o, "local", path);
        json_put_int_or_null(o, "lport", socket->ino);
        json_put_text(o, "remote", peer ? peer->path : NULL);
        json_put_int_or_null(o, "rport", socket->peer_ino);
        return;
    }
    if (sock_is_inet(socket)) {
        sock_host(socket, false, local);
        sock_host(socket, true, remote);
    } else {
        sock_ethertype(socket, local);
    }
    bool inet = sock_is_inet(socket);
    json_put_text(o, "local", local);
    json_put_int_or_null(o, "lport", inet ? sock_port(socket, false) : socket->ifindex);
    json_put_text(o, "remote", remote);
    json_put_int_or_null(o, "rport", inet ? sock_port(socket, true) : 0);
}

static void put_owners(const struct sockets *sockets, json_t *o, size_t index)
{
    const struct xvmi_socket_owner *owners;
    if (sockets->how == OWNERS_NONE) {
        json_put(o, "owners", json_null());
        return;
    }
    const size_t n = sockets_owners(sockets, index, &owners);
    json_put(o, "owners", json_array());
    for (size_t i = 0; i < n; i++) {
        json_t *owner = json_object();
        json_put_int(owner, "pid", (uint64_t)owners[i].pid);
        json_put(owner, "comm", text_json(owners[i].comm, strnlen(owners[i].comm, XVMI_COMM_MAX)));
        json_put_int(owner, "fd", (uint64_t)owners[i].fd);
        field_put(owner, "exe", exe_of(sockets, &owners[i]));
        if (json_array_append_new(json_object_get(o, "owners"), owner))
            fail("xvmi", XVMI_ERR_NO_MEMORY, "out of memory");
    }
}

json_t *sockets_facts_json(const struct sockets *sockets, const struct xvmi_socket *socket)
{
    bool small = socket->state == XVMI_STATE_TIME_WAIT ||
                 socket->state == XVMI_STATE_NEW_SYN_RECV; /* these have no owner left or yet */
    json_t *o = json_object();
    json_put_text(o, "proto", sock_proto(socket));
    json_put_text(o, "state", sock_state(socket));
    put_addresses(sockets, o, socket);
    json_put_int_or_null(o, "netns", socket->netns);
    json_put_int_or_null(o, "ino", socket->ino);
    json_put(o, "uid", small ? json_null() : json_integer(socket->uid));
    field_put(o, "cgroup", sockets_find(&sockets->cgroups, socket->cgroup));
    return o;
}

void sockets_print_json(const struct sockets *sockets)
{
    json_begin_array();
    for (size_t i = 0; i < sockets->n; i++) {
        json_t *o = sockets_facts_json(sockets, &sockets->v[i]);
        put_owners(sockets, o, i);
        json_print_element(o);
    }
    json_end_array();
}
