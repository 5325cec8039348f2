// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "os/linux/addr.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/vec.h"

/* Bounds on what one device and one namespace can have before it is a loop or an attack. */
#define MAX_DEVICES   (16u << 10)
#define MAX_ADDRESSES (64u << 10)

static enum xvmi_status add(struct xl_guest *g, struct xl_addr_list *addrs, const struct xl_addr *a)
{
    if (addrs->n >= MAX_ADDRESSES)
        return xvmi_error_set(g->err, XVMI_ERR_LIMIT, "more than %u addresses", MAX_ADDRESSES);
    return xb_vec_push(addrs, *a) ? XVMI_OK
                                  : xvmi_error_set(g->err, XVMI_ERR_NO_MEMORY, "out of memory");
}

/* A network's last address reaches all of its hosts, whether its device says so or not
 * (fib_add_ifaddr() in net/ipv4/fib_frontend.c), unless it has no room for one. */
static bool last_of_net(const struct xl_addr *a, const uint8_t mask[4], struct xl_addr *last)
{
    *last = *a;
    last->broadcast = true;
    for (int i = 0; i < 4; i++)
        last->addr[i] |= (uint8_t)~mask[i];
    return mask[0] && mask[3] < 254;
}

static enum xvmi_status list_ipv4(struct xl_guest *g, uint64_t in_dev, uint32_t net,
                                  struct xl_addr_list *addrs)
{
    struct xw_fault fault;
    uint64_t ifa;
    if (xw_get(g->space, &g->lay, in_dev, in_dev_addrs, &ifa, &fault))
        return xl_fault(g, &fault);
    while (ifa) {
        static const uint8_t none[16];
        struct xl_addr a = {.net = net, .family = XW_AF_INET}, b = a, last;
        uint8_t mask[4];
        b.broadcast = true;
        if (xw_get_bytes(g->space, &g->lay, ifa, in_addr_local, a.addr, 4, &fault) ||
            xw_get_bytes(g->space, &g->lay, ifa, in_addr_mask, mask, 4, &fault) ||
            xw_get_bytes(g->space, &g->lay, ifa, in_addr_broadcast, b.addr, 4, &fault) ||
            xw_get(g->space, &g->lay, ifa, in_addr_next, &ifa, &fault))
            return xl_fault(g, &fault);
        enum xvmi_status status = add(g, addrs, &a);
        if (!status && memcmp(b.addr, none, 4) && memcmp(b.addr, a.addr, 4))
            status = add(g, addrs, &b);
        if (!status && last_of_net(&a, mask, &last))
            status = add(g, addrs, &last);
        if (status)
            return status;
    }
    return XVMI_OK;
}

static enum xvmi_status list_ipv6(struct xl_guest *g, uint64_t in6_dev, uint32_t net,
                                  struct xl_addr_list *addrs)
{
    struct xw_fault fault;
    uint64_t head = in6_dev + g->lay.in6_dev_addrs.off, node;
    if (xo_read_u64(g->space, head, &node))
        return xo_fault(g->space, g->err);
    while (node != head) {
        struct xl_addr a = {.net = net, .family = XW_AF_INET6};
        uint64_t ifa = node - g->lay.in6_addr_list.off;
        if (xw_get_bytes(g->space, &g->lay, ifa, in6_addr_addr, a.addr, 16, &fault))
            return xl_fault(g, &fault);
        if (xo_read_u64(g->space, node, &node))
            return xo_fault(g->space, g->err);
        enum xvmi_status status = add(g, addrs, &a);
        if (status)
            return status;
    }
    return XVMI_OK;
}

static enum xvmi_status list_device(struct xl_guest *g, uint64_t dev, uint32_t net,
                                    struct xl_addr_list *addrs)
{
    struct xw_fault fault;
    uint64_t in_dev, in6_dev = 0;
    if (xw_get(g->space, &g->lay, dev, dev_ip, &in_dev, &fault) ||
        (xw_has(g->lay.dev_ip6) && xw_get(g->space, &g->lay, dev, dev_ip6, &in6_dev, &fault)))
        return xl_fault(g, &fault);
    enum xvmi_status status = in_dev ? list_ipv4(g, in_dev, net, addrs) : XVMI_OK;
    return status || !in6_dev ? status : list_ipv6(g, in6_dev, net, addrs);
}

static enum xvmi_status list_net(struct xl_guest *g, const struct xl_net *net, uint32_t index,
                                 struct xl_addr_list *addrs)
{
    uint64_t head = net->addr + g->lay.net_devices.off, node;
    if (xo_read_u64(g->space, head, &node))
        return xo_fault(g->space, g->err);
    for (uint32_t i = 0; i < MAX_DEVICES; i++) {
        if (node == head)
            return XVMI_OK;
        enum xvmi_status status = list_device(g, node - g->lay.dev_list.off, index, addrs);
        if (status)
            return status;
        if (xo_read_u64(g->space, node, &node))
            return xo_fault(g->space, g->err);
    }
    return xvmi_error_set(g->err, XVMI_ERR_LIMIT, "more than %u devices", MAX_DEVICES);
}

static bool is_device(struct xl_guest *g, uint64_t dev, const uint8_t *mac)
{
    struct xw_fault fault;
    uint64_t at;
    uint8_t own[6];
    if (!mac)
        return !xw_get(g->space, &g->lay, dev, dev_parent, &at, &fault) && at;
    return !xw_get(g->space, &g->lay, dev, dev_mac, &at, &fault) && at &&
           !xo_read(g->space, at, own, sizeof(own)) && !memcmp(own, mac, sizeof(own));
}

bool xl_net_has_device(struct xl_guest *g, uint64_t net, const uint8_t *mac)
{
    uint64_t head = net + g->lay.net_devices.off, node;
    if (xo_read_u64(g->space, head, &node))
        return false;
    for (uint32_t i = 0; i < MAX_DEVICES && node != head && xw_is_pointer(node); i++) {
        if (is_device(g, node - g->lay.dev_list.off, mac))
            return true;
        if (xo_read_u64(g->space, node, &node))
            return false;
    }
    return false;
}

static int compare(const struct xl_addr *x, uint8_t family, const uint8_t addr[16])
{
    return x->family != family ? x->family - family : memcmp(x->addr, addr, 16);
}

static int by_address(const void *a, const void *b)
{
    const struct xl_addr *x = a, *y = b;
    int order = compare(x, y->family, y->addr);
    return order ? order : (x->net > y->net) - (x->net < y->net);
}

/* Sorted, each address once a namespace, whatever the number of its devices that carry it. */
static void sort_addrs(struct xl_addr_list *addrs)
{
    size_t kept = 0;
    if (addrs->n)
        qsort(addrs->v, addrs->n, sizeof(*addrs->v), by_address);
    for (size_t i = 0; i < addrs->n; i++) {
        if (!kept || by_address(&addrs->v[kept - 1], &addrs->v[i]))
            addrs->v[kept++] = addrs->v[i];
        else if (!addrs->v[i].broadcast)
            addrs->v[kept - 1].broadcast = false;
    }
    addrs->n = kept;
}

const struct xl_addr *xl_addr_find(const struct xl_addr_list *addrs, uint8_t family,
                                   const uint8_t addr[16], size_t *n)
{
    size_t first = 0;
    for (size_t end = addrs->n; first < end;) {
        size_t middle = first + (end - first) / 2;
        if (compare(&addrs->v[middle], family, addr) < 0)
            first = middle + 1;
        else
            end = middle;
    }
    for (*n = 0; first + *n < addrs->n && !compare(&addrs->v[first + *n], family, addr);)
        ++*n;
    return addrs->n ? addrs->v + first : NULL;
}

enum xvmi_status xl_addr_list(struct xl_guest *g, const struct xl_net_vec *nets,
                              struct xl_addr_list *addrs)
{
    *addrs = (struct xl_addr_list){0};
    for (uint32_t i = 0; i < nets->n; i++) {
        size_t before = addrs->n;
        enum xvmi_status status = XVMI_ERR_CHANGED;
        for (int try = 0; try < XL_RETRIES && status; try++) {
            addrs->n = before;
            status = list_net(g, &nets->v[i], i, addrs);
            if (status)
                xo_invalidate(g->space); /* devices come and go: look again */
        }
        if (status) {
            free(addrs->v);
            *addrs = (struct xl_addr_list){0};
            return xvmi_error_frame(g->err, status, "addresses of network namespace %" PRIu32,
                                    nets->v[i].inum);
        }
    }
    sort_addrs(addrs);
    return XVMI_OK;
}
