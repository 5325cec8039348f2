// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * net/sctp/: sockets are filed by local port (struct sctp_bind_bucket), whatever addresses they are
 * bound to. A socket has one association or many, each with a peer that may have many addresses.
 * The kernel's own way goes by a resizable hash table of those; by port it is a few steps more, but
 * the same in all versions.
 */
#include "os/linux/sctp.h"

#include <stdlib.h>
#include <string.h>

#include "base/vec.h"
#include "os/linux/module.h"

#define MAX_SLOTS 0x10000u

enum field {
    GLOBALS_TABLE,
    GLOBALS_SLOTS,
    SLOT_CHAIN,
    BIND_NODE,
    BIND_PORT,
    BIND_NET,
    BIND_OWNERS,
    SOCK_ENDPOINT,
    ENDPOINT_ASSOCS,
    ASSOC_NODE,
    ASSOC_PORT,
    ASSOC_PEERS,
    PEER_NODE,
    PEER_ADDRESS,
    FIELDS,
};

static const struct xt_want wants[] = {
    [GLOBALS_TABLE] = {XT_MEMBER, false, "sctp_globals", "port_hashtable"},
    [GLOBALS_SLOTS] = {XT_MEMBER, false, "sctp_globals", "port_hashsize"},
    [SLOT_CHAIN] = {XT_MEMBER, false, "sctp_bind_hashbucket", "chain"},
    [BIND_NODE] = {XT_MEMBER, false, "sctp_bind_bucket", "node"},
    [BIND_PORT] = {XT_MEMBER, false, "sctp_bind_bucket", "port"},
    [BIND_NET] = {XT_MEMBER, false, "sctp_bind_bucket", "net"},
    [BIND_OWNERS] = {XT_MEMBER, false, "sctp_bind_bucket", "owner"},
    [SOCK_ENDPOINT] = {XT_MEMBER, false, "sctp_sock", "ep"},
    [ENDPOINT_ASSOCS] = {XT_MEMBER, false, "sctp_endpoint", "asocs"},
    [ASSOC_NODE] = {XT_MEMBER, false, "sctp_association", "asocs"},
    [ASSOC_PORT] = {XT_MEMBER, false, "sctp_association", "peer.port"},
    [ASSOC_PEERS] = {XT_MEMBER, false, "sctp_association", "peer.transport_addr_list"},
    [PEER_NODE] = {XT_MEMBER, false, "sctp_transport", "transports"},
    [PEER_ADDRESS] = {XT_MEMBER, false, "sctp_transport", "ipaddr"},
    [FIELDS] = {XT_SIZE, false, "sctp_bind_hashbucket", ""},
};

void xl_sctp_init(struct xl_sctp *s, struct xl_guest *g)
{
    *s = (struct xl_sctp){.g = g};
}

void xl_sctp_fini(struct xl_sctp *s)
{
    free(s->where);
    s->where = NULL;
}

/* --- what the module says --- */

static enum xvmi_status take_types(struct xl_sctp *s, const struct xvmi_profile *profile)
{
    s->where = calloc(FIELDS, sizeof(*s->where));
    if (!s->where)
        return xvmi_error_set(s->g->err, XVMI_ERR_NO_MEMORY, "out of memory");
    enum xvmi_status status = xvmi_profile_struct_size(profile, wants[FIELDS].type, &s->slot_size);
    for (size_t i = 0; i < FIELDS && !status; i++)
        status = xvmi_profile_member(profile, wants[i].type, wants[i].name, &s->where[i]);
    return status;
}

static uint64_t place(const struct xl_sctp *s, uint64_t base, enum field field)
{
    return base + s->where[field].offset;
}

static enum xvmi_status read_pointer(struct xl_sctp *s, uint64_t base, enum field field,
                                     uint64_t *value)
{
    return xo_read_u64(s->g->space, place(s, base, field), value) ? xo_fault(s->g->space, s->g->err)
                                                                  : XVMI_OK;
}

static enum xvmi_status read_port(struct xl_sctp *s, uint64_t base, enum field field,
                                  uint16_t *port)
{
    return xo_read(s->g->space, place(s, base, field), port, sizeof(*port))
               ? xo_fault(s->g->space, s->g->err)
               : XVMI_OK;
}

static enum xvmi_status read_globals(struct xl_sctp *s)
{
    enum xvmi_status status = read_pointer(s, s->globals, GLOBALS_TABLE, &s->table);
    if (!status && xo_read_u32(s->g->space, place(s, s->globals, GLOBALS_SLOTS), &s->slots))
        status = xo_fault(s->g->space, s->g->err);
    if (!status && (!xw_is_pointer(s->table) || !s->slots || s->slots > MAX_SLOTS ||
                    s->slots & (s->slots - 1)))
        status = xvmi_error_set(s->g->err, XVMI_ERR_FORMAT, "SCTP: no table of ports");
    return status;
}

/* The module may have been removed, and loaded anew, since. */
static bool is_still_there(struct xl_sctp *s)
{
    uint64_t table;
    return s->where && !xo_read_u64(s->g->space, place(s, s->globals, GLOBALS_TABLE), &table) &&
           table == s->table;
}

/* XVMI_ERR_NOT_FOUND, without text: the module is not loaded. */
static enum xvmi_status look_for_module(struct xl_sctp *s)
{
    struct xl_module_symbol globals = {.name = "sctp_globals"};
    struct xvmi_profile *profile = NULL;
    if (is_still_there(s))
        return XVMI_OK;
    xl_sctp_fini(s);
    if (s->g->sym.sym_sctp || !xw_has(s->g->lay.skc_bind_node))
        return xvmi_error_set(s->g->err, XVMI_ERR_UNSUPPORTED,
                              "SCTP sockets of a kernel that has them built in");
    enum xvmi_status status = xl_module_symbols(s->g, "sctp", &globals, 1);
    if (status)
        return status;
    if (!globals.addr || globals.addr == s->strange)
        return xvmi_error_set(s->g->err, XVMI_ERR_UNSUPPORTED,
                              "SCTP sockets: module sctp is not as it is known");
    status = xl_module_types(s->g, "sctp", wants, sizeof(wants) / sizeof(wants[0]), &profile);
    if (!status)
        status = take_types(s, profile);
    xvmi_profile_unref(profile);
    s->globals = globals.addr;
    if (status == XVMI_ERR_UNSUPPORTED)
        s->strange = globals.addr;
    if (!status)
        status = read_globals(s);
    if (status)
        xl_sctp_fini(s);
    return status;
}

/* --- lists --- */

/* What comes after `link`, of a list that begins at `head`; 0: nothing. Both kinds of lists say in
 * their second word where the link to them is. */
static enum xvmi_status next_node(struct xl_sctp *s, uint64_t head, uint64_t link, uint64_t *node)
{
    struct xl_guest *g = s->g;
    uint64_t back;
    if (xo_read_u64(g->space, link, node))
        return xo_fault(g->space, g->err);
    if (!*node || *node == head) {
        *node = 0;
        return XVMI_OK;
    }
    if (!xw_is_pointer(*node))
        return xvmi_error_set(g->err, XVMI_ERR_FORMAT, "SCTP: list with a bad pointer");
    enum xvmi_status status = xl_budget_check(g, s->budget);
    if (status)
        return xvmi_error_frame(g->err, status, "SCTP");
    if (xo_read_u64(g->space, *node + 8, &back))
        return xo_fault(g->space, g->err);
    return back == link ? XVMI_OK
                        : xvmi_error_set(g->err, XVMI_ERR_CHANGED, "changed while looking");
}

/* A struct sctp_transport's address: a sockaddr of either family. */
static enum xvmi_status is_peer(struct xl_sctp *s, uint64_t peer, const struct xvmi_flow *flow,
                                bool *is)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    uint8_t raw[28]; /* struct sockaddr_in6 */
    uint16_t family;
    if (xo_read(s->g->space, place(s, peer, PEER_ADDRESS), raw, sizeof(raw)))
        return xo_fault(s->g->space, s->g->err);
    memcpy(&family, raw, sizeof(family));
    const uint8_t *v4 = family == XW_AF_INET ? raw + 4 : raw + 20, *v6 = raw + 8;
    if (flow->family == XW_AF_INET6)
        *is = family == XW_AF_INET6 && !memcmp(v6, flow->remote, 16);
    else
        *is = (family == XW_AF_INET || (family == XW_AF_INET6 && !memcmp(v6, mapped, 12))) &&
              !memcmp(v4, flow->remote, 4);
    return XVMI_OK;
}

static enum xvmi_status is_association(struct xl_sctp *s, uint64_t assoc,
                                       const struct xvmi_flow *flow, bool *is)
{
    uint16_t port;
    enum xvmi_status status = read_port(s, assoc, ASSOC_PORT, &port);
    const uint64_t head = place(s, assoc, ASSOC_PEERS);
    *is = false;
    if (status || port != flow->rport)
        return status;
    for (uint64_t node = head; !status && node && !*is;) {
        status = next_node(s, head, node, &node);
        if (!status && node)
            status = is_peer(s, node - s->where[PEER_NODE].offset, flow, is);
    }
    return status;
}

static enum xvmi_status has_association(struct xl_sctp *s, uint64_t sock,
                                        const struct xvmi_flow *flow, bool *has)
{
    uint64_t endpoint = 0;
    enum xvmi_status status = read_pointer(s, sock, SOCK_ENDPOINT, &endpoint);
    *has = false;
    if (status || !xw_is_pointer(endpoint))
        return status;
    const uint64_t head = place(s, endpoint, ENDPOINT_ASSOCS);
    for (uint64_t node = head; !status && node && !*has;) {
        status = next_node(s, head, node, &node);
        if (!status && node)
            status = is_association(s, node - s->where[ASSOC_NODE].offset, flow, has);
    }
    return status;
}

/* --- a flow --- */

static void add(struct xl_sctp_sockets *to, uint64_t sock)
{
    if (to->n < XVMI_OWNERS_MAX)
        to->sock[to->n++] = sock;
    else
        to->more = true;
}

struct search {
    const struct xvmi_flow *flow;
    uint64_t net;
    struct xl_sctp_sockets connected, listening;
};

static enum xvmi_status look_at_sock(struct xl_sctp *s, struct search *search, uint64_t sock)
{
    struct xw_fault fault;
    uint64_t state;
    bool has;
    enum xvmi_status status = has_association(s, sock, search->flow, &has);
    if (status)
        return status;
    if (has) {
        add(&search->connected, sock);
        return XVMI_OK;
    }
    if (xw_get(s->g->space, &s->g->lay, sock, skc_state, &state, &fault))
        return xl_fault(s->g, &fault);
    if (state == XVMI_STATE_LISTEN)
        add(&search->listening, sock);
    return XVMI_OK;
}

/* The sockets that share a port; of another port or namespace, none. */
static enum xvmi_status look_at_binding(struct xl_sctp *s, struct search *search, uint64_t binding)
{
    uint64_t net = 0;
    uint16_t port = 0;
    enum xvmi_status status = read_port(s, binding, BIND_PORT, &port);
    if (!status)
        status = read_pointer(s, binding, BIND_NET, &net);
    if (status || port != search->flow->lport || net != search->net)
        return status;
    const uint64_t head = place(s, binding, BIND_OWNERS);
    for (uint64_t node = head; !status && node;) {
        status = next_node(s, head, node, &node);
        if (!status && node)
            status = look_at_sock(s, search, node - s->g->lay.skc_bind_node.off);
    }
    return status;
}

static enum xvmi_status look(struct xl_sctp *s, struct search *search, uint64_t slot)
{
    enum xvmi_status status = XVMI_OK;
    search->connected = search->listening = (struct xl_sctp_sockets){.slot = slot};
    for (uint64_t node = slot; !status && node;) {
        status = next_node(s, slot, node, &node);
        if (!status && node)
            status = look_at_binding(s, search, node - s->where[BIND_NODE].offset);
    }
    return status;
}

static uint64_t slot_head(const struct xl_sctp *s, uint32_t slot)
{
    return place(s, s->table + (uint64_t)slot * s->slot_size, SLOT_CHAIN);
}

enum xvmi_status xl_sctp_find(struct xl_sctp *s, uint64_t net, uint32_t hash_mix,
                              const struct xvmi_flow *flow, const struct xl_budget *budget,
                              struct xl_sctp_sockets *found)
{
    struct search search = {.flow = flow, .net = net};
    enum xvmi_status status = look_for_module(s);
    *found = (struct xl_sctp_sockets){0};
    s->budget = budget;
    if (status)
        return status == XVMI_ERR_NOT_FOUND ? XVMI_OK : status;
    const uint32_t slot = (hash_mix + flow->lport) & (s->slots - 1); /* sctp_phashfn() */
    const uint64_t head = slot_head(s, slot);
    for (int i = 0; i < XL_RETRIES; i++) {
        status = look(s, &search, head);
        if (!status || status == XVMI_ERR_LIMIT)
            break;
        xo_invalidate(s->g->space);
    }
    if (!status)
        *found = search.connected.n ? search.connected : search.listening;
    return status;
}

/* --- all sockets --- */

static enum xvmi_status list_binding(struct xl_sctp *s, uint64_t binding, struct xl_addr_vec *socks)
{
    const uint64_t head = place(s, binding, BIND_OWNERS);
    enum xvmi_status status = XVMI_OK;
    for (uint64_t node = head; !status && node;) {
        status = next_node(s, head, node, &node);
        if (!status && node && !xb_vec_push(socks, node - s->g->lay.skc_bind_node.off))
            status = xvmi_error_set(s->g->err, XVMI_ERR_NO_MEMORY, "out of memory");
    }
    return status;
}

static enum xvmi_status list_slot(struct xl_sctp *s, uint64_t slot, struct xl_addr_vec *socks)
{
    enum xvmi_status status = XVMI_OK;
    for (uint64_t node = slot; !status && node;) {
        status = next_node(s, slot, node, &node);
        if (!status && node)
            status = list_binding(s, node - s->where[BIND_NODE].offset, socks);
    }
    return status;
}

enum xvmi_status xl_sctp_list(struct xl_sctp *s, const struct xl_budget *budget,
                              struct xl_addr_vec *socks)
{
    enum xvmi_status status = look_for_module(s);
    if (status)
        return status == XVMI_ERR_NOT_FOUND ? XVMI_OK : status;
    s->budget = budget;
    for (uint32_t slot = 0; slot < s->slots && !status; slot++) {
        const size_t before = socks->n;
        for (int i = 0; i < XL_RETRIES; i++) {
            status = list_slot(s, slot_head(s, slot), socks);
            if (!status || status == XVMI_ERR_LIMIT || status == XVMI_ERR_NO_MEMORY)
                break;
            socks->n = before;
            xo_invalidate(s->g->space);
        }
    }
    return status;
}
