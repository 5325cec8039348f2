// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* The driver for `xen:NAME` and `xen:ID`, in dom0. */
#include <stdlib.h>
#include <string.h>

#include "domain.h"
#include "regs.h"
#include "store.h"

struct guest {
    struct xe_host host;
    struct xe_domain domain;
    char *name; /* NULL: opened by number, which the guest does not keep when it restarts */
    struct xe_watch watch;
    struct xvmi_nic nics[XE_NICS];
};

static void guest_close(void *ctx)
{
    struct guest *g = ctx;
    if (!g)
        return;
    xe_watch_stop(&g->watch);
    xe_domain_close(&g->domain);
    xe_host_close(&g->host);
    free(g->name);
    free(g);
}

static enum xvmi_status guest_ranges(void *ctx, const struct xvmi_mem_range **ranges, size_t *n,
                                     struct xvmi_error *err)
{
    const struct guest *g = ctx;
    (void)err;
    *ranges = g->domain.ranges;
    *n = g->domain.n_ranges;
    return XVMI_OK;
}

/* A page is not there: because nothing of the domain is? */
static enum xvmi_status why_absent(const struct guest *g, enum xvmi_status status,
                                   struct xvmi_error *err)
{
    xc_domaininfo_t info;
    if (status != XVMI_ERR_NOT_PRESENT)
        return status;
    enum xvmi_status gone = xe_host_domain(&g->host, g->domain.domid, &info, NULL);
    return gone ? xe_host_domain(&g->host, g->domain.domid, &info, err) : status;
}

/* Between the end of a domain and the one that comes back by its name there is none. */
static enum xvmi_status check_there(const struct guest *g, struct xvmi_error *err)
{
    return g->domain.maps ? XVMI_OK : xvmi_error_set(err, XVMI_ERR_GONE, "the domain ended");
}

static enum xvmi_status guest_page(void *ctx, uint64_t gpa, const uint8_t **host,
                                   struct xvmi_error *err)
{
    struct guest *g = ctx;
    enum xvmi_status status = check_there(g, err);
    if (status)
        return status;
    return why_absent(g, xe_maps_page(g->domain.maps, gpa / XE_PAGE, host, err), err);
}

/* All of it by mappings that are kept, or XVMI_ERR_LIMIT. */
static enum xvmi_status read_pages(struct guest *g, uint64_t gpa, uint8_t *dst, size_t len,
                                   struct xvmi_error *err)
{
    while (len > 0) {
        const uint8_t *page;
        size_t skip = gpa % XE_PAGE, take = len < XE_PAGE - skip ? len : XE_PAGE - skip;
        enum xvmi_status status = xe_maps_page(g->domain.maps, gpa / XE_PAGE, &page, err);
        if (status)
            return status;
        memcpy(dst, page + skip, take);
        gpa += take;
        dst += take;
        len -= take;
    }
    return XVMI_OK;
}

static enum xvmi_status guest_read(void *ctx, uint64_t gpa, void *dst, size_t len,
                                   struct xvmi_error *err)
{
    struct guest *g = ctx;
    enum xvmi_status status = check_there(g, err);
    if (status)
        return status;
    status = XVMI_ERR_LIMIT;
    if (len < XE_BATCH * XE_PAGE / 8) /* more would only push out what is used often */
        status = read_pages(g, gpa, dst, len, err);
    if (status == XVMI_ERR_LIMIT)
        status = xe_maps_copy(g->domain.maps, gpa, dst, len, err);
    return why_absent(g, status, err);
}

static enum xvmi_status guest_read_batch(void *ctx, struct xvmi_mem_read *reads, size_t n,
                                         struct xvmi_error *err)
{
    struct guest *g = ctx;
    enum xvmi_status status = check_there(g, err);
    if (status)
        return status;
    xe_maps_expect(g->domain.maps, reads, n);
    for (size_t i = 0; i < n; i++) {
        reads[i].status = guest_read(g, reads[i].gpa, reads[i].dst, reads[i].len, err);
        if (reads[i].status == XVMI_ERR_GONE)
            return reads[i].status;
    }
    return XVMI_OK;
}

static enum xvmi_status guest_next_data(void *ctx, uint64_t gpa, uint64_t *start, uint64_t *end,
                                        struct xvmi_error *err)
{
    struct guest *g = ctx;
    bool present[XE_BATCH];
    enum xvmi_status status = check_there(g, err);
    if (status)
        return status;
    for (size_t i = 0; i < g->domain.n_ranges; i++) {
        const struct xvmi_mem_range *range = &g->domain.ranges[i];
        uint64_t last = (range->gpa + range->size) / XE_PAGE;
        uint64_t page = (gpa > range->gpa ? gpa : range->gpa) / XE_PAGE;
        while (page < last) {
            size_t n = last - page < XE_BATCH ? (size_t)(last - page) : XE_BATCH, k = 0;
            status = xe_maps_probe(g->domain.maps, page, 1, n, present, err);
            if (status)
                return status;
            while (k < n && !present[k])
                k++;
            size_t first = k;
            while (k < n && present[k])
                k++;
            *start = page + first > gpa / XE_PAGE ? (page + first) * XE_PAGE : gpa;
            *end = (page + k) * XE_PAGE;
            if (k > first)
                return XVMI_OK;
            page += n;
        }
    }
    return xvmi_error_set(err, XVMI_ERR_NOT_FOUND, "no memory at or after 0x%lx", gpa);
}

static bool guest_release(void *ctx)
{
    struct guest *g = ctx;
    return g->domain.maps && xe_domain_release(&g->domain);
}

/* Page tables of PV guests have machine addresses. */
static enum xvmi_status guest_from_tables(void *ctx, uint64_t addr, uint64_t *gpa,
                                          struct xvmi_error *err)
{
    struct guest *g = ctx;
    *gpa = addr;
    if (!g->domain.pv || !g->domain.maps)
        return check_there(g, err);
    uint64_t page = xe_frames_page(g->domain.frames, addr / XE_PAGE);
    if (page == XE_NO_FRAME)
        return xvmi_error_set(err, XVMI_ERR_NOT_PRESENT,
                              "machine address 0x%lx is none of the guest's own memory", addr);
    *gpa = page * XE_PAGE + addr % XE_PAGE;
    return XVMI_OK;
}

static enum xvmi_status guest_regs(void *ctx, unsigned vcpu, struct xvmi_vcpu_regs *regs,
                                   struct xvmi_error *err)
{
    struct guest *g = ctx;
    enum xvmi_status status = check_there(g, err);
    if (status)
        return status;
    if (vcpu >= g->domain.vcpus)
        return xvmi_error_set(err, XVMI_ERR_NOT_FOUND, "there are %u vCPUs", g->domain.vcpus);
    if (!g->domain.pv)
        return xe_regs_hvm(&g->host, g->domain.domid, vcpu, regs, err);
    status = xe_regs_pv(&g->host, g->domain.domid, vcpu, regs, err);
    return status ? status : guest_from_tables(g, regs->cr3, &regs->cr3, err);
}

/* The domain has ended; one that was opened by its name may have come back as another. */
static enum xvmi_status come_back(struct guest *g, bool *changed, struct xvmi_error *err)
{
    uint32_t domid;
    bool by_name;
    int fd;
    struct xvmi_error ignored;
    xc_domaininfo_t info;
    if (!g->name || xe_host_find(&g->host, g->name, &domid, &by_name, &ignored))
        return xe_domain_is_away(&g->domain) && g->watch.on
                   ? xvmi_error_set(err, XVMI_ERR_CHANGED, "the domain restarts")
                   : xvmi_error_set(err, XVMI_ERR_GONE, "the domain ended");
    xe_domain_close(&g->domain);
    g->domain = (struct xe_domain){.host = &g->host, .domid = domid};
    enum xvmi_status status = XVMI_OK;
    if (g->watch.on)
        status = xe_watch_start(&g->watch, &g->domain, g->name, &fd, err);
    if (!status)
        status = xe_domain_look(&g->domain, &info, err);
    if (!status && !info.cpu_time) /* not all of its memory need be there */
        status = xvmi_error_set(err, XVMI_ERR_CHANGED, "the domain has not started yet");
    *changed = true;
    return status ? status : xe_domain_open(&g->domain, &g->host, domid, err);
}

static enum xvmi_status guest_refresh(void *ctx, bool *changed, struct xvmi_error *err)
{
    struct guest *g = ctx;
    g->host.log.last[0] = 0;
    enum xvmi_status status = XVMI_ERR_GONE;
    if (g->domain.maps)
        status = xe_domain_refresh(&g->domain, changed, err);
    if (!status && g->domain.may_return && g->name && g->watch.on)
        return xvmi_error_set(err, XVMI_ERR_CHANGED, "the domain shut down to restart");
    return status == XVMI_ERR_GONE ? come_back(g, changed, err) : status;
}

static enum xvmi_status guest_nics(void *ctx, const struct xvmi_nic **nics, size_t *n,
                                   struct xvmi_error *err)
{
    struct guest *g = ctx;
    *nics = g->nics;
    return xe_store_nics(&g->host, g->domain.domid, g->nics, n, err);
}

static enum xvmi_status guest_event_fd(void *ctx, int *fd, struct xvmi_error *err)
{
    struct guest *g = ctx;
    return xe_watch_start(&g->watch, &g->domain, g->name, fd, err);
}

static enum xvmi_status guest_event(void *ctx, enum xvmi_vm_event *event, struct xvmi_error *err)
{
    struct guest *g = ctx;
    return xe_watch_next(&g->watch, event, err);
}

static const struct xvmi_mem_ops ops = {
    .size = sizeof(ops),
    .close = guest_close,
    .ranges = guest_ranges,
    .read = guest_read,
    .read_batch = guest_read_batch,
    .next_data = guest_next_data,
    .regs = guest_regs,
    .refresh = guest_refresh,
    .nics = guest_nics,
    .event_fd = guest_event_fd,
    .event = guest_event,
    .page = guest_page,
    .release = guest_release,
    .from_tables = guest_from_tables,
};

static enum xvmi_status open_guest(struct guest *g, const char *rest, struct xvmi_error *err)
{
    uint32_t domid;
    bool by_name;
    enum xvmi_status status = xe_host_open(&g->host, err);
    if (!status)
        status = xe_host_find(&g->host, rest, &domid, &by_name, err);
    if (!status && by_name && !(g->name = strdup(rest)))
        status = xvmi_error_set(err, XVMI_ERR_NO_MEMORY, "out of memory");
    if (!status)
        status = xe_domain_open(&g->domain, &g->host, domid, err);
    return status;
}

static enum xvmi_status driver_open(const char *rest, struct xvmi_mem_backend *backend,
                                    struct xvmi_error *err)
{
    if (!*rest)
        return xvmi_error_set(err, XVMI_ERR_INVALID,
                              "a domain is named xen:NAME or xen:NUMBER (`xl list` has both)");
    struct guest *g = calloc(1, sizeof(*g));
    if (!g)
        return xvmi_error_set(err, XVMI_ERR_NO_MEMORY, "out of memory");
    enum xvmi_status status = open_guest(g, rest, err);
    if (status) {
        guest_close(g);
        return status;
    }
    *backend = (struct xvmi_mem_backend){
        .size = sizeof(*backend), .ops = &ops, .ctx = g, .vcpus = g->domain.vcpus, .live = true};
    return XVMI_OK;
}

extern const struct xvmi_driver xvmi_driver;
XVMI_PUBLIC const struct xvmi_driver xvmi_driver = {
    .abi = XVMI_DRIVER_ABI,
    .scheme = "xen",
    .open = driver_open,
};
