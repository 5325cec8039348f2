// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "domain.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

/* Where RAM of PVH and HVM guests goes on that does not fit below 4 GiB. */
#define FOUR_GIB (UINT64_C(4) << 30)
/* Xen puts pages of its own there, and where there is a device model its devices are below
 * (HVM_BELOW_4G_RAM_END): no RAM. */
#define LOW_END     (UINT64_C(0xfc000000))
#define LOW_END_HVM (UINT64_C(0xf0000000))
#define STEP        (UINT64_C(512)) /* pages between two that are tried */

/*
 * How often it is looked whether mappings are still right. PV: the guest's list of frames is
 * compared. PVH and HVM: frames cannot be asked for, but Xen's count of the domain's pages can: a
 * page that is ballooned out while we have it mapped still counts as the domain's, and one that
 * comes in its place makes the count go up. Only when as many others leave in the same moment it
 * does not, so now and then all is mapped anew.
 */
#define LOOK_MS      100
#define HVM_RENEW_MS 10000

/* Longer than the toolstack takes to destroy a domain that reboots and to build it anew. */
#define AWAY_MS 120000

static uint64_t now_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* Its life */

static bool may_return(const xc_domaininfo_t *info)
{
    unsigned why = info->flags >> XEN_DOMINF_shutdownshift & XEN_DOMINF_shutdownmask;
    return info->flags & XEN_DOMINF_shutdown &&
           (why == SHUTDOWN_reboot || why == SHUTDOWN_crash || why == SHUTDOWN_watchdog);
}

enum xvmi_status xe_domain_look(struct xe_domain *domain, xc_domaininfo_t *info,
                                struct xvmi_error *err)
{
    enum xvmi_status status = xe_host_domain(domain->host, domain->domid, info, err);
    if (info->domain == domain->domid) /* also while it dies */
        domain->may_return = may_return(info);
    if (status == XVMI_ERR_GONE && !domain->ended_ms)
        domain->ended_ms = now_ms();
    return status;
}

bool xe_domain_is_away(const struct xe_domain *domain)
{
    return domain->ended_ms && domain->may_return && now_ms() - domain->ended_ms < AWAY_MS;
}

/* The source of maps */

static uint64_t machine_frame(void *ctx, uint64_t page)
{
    const struct xe_domain *domain = ctx;
    return xe_frames_machine(domain->frames, page);
}

static uint64_t guest_frame(void *ctx, uint64_t page)
{
    (void)ctx;
    return page;
}

static void *map_pages(void *ctx, const uint64_t *frames, size_t n, int *fails)
{
    const struct xe_domain *domain = ctx;
    _Static_assert(sizeof(xen_pfn_t) == sizeof(*frames), "frames are 64 bits wide");
    return xenforeignmemory_map(domain->host->memory, domain->domid, PROT_READ, n,
                                (const xen_pfn_t *)frames, fails);
}

static void unmap_pages(void *ctx, void *at, size_t n)
{
    const struct xe_domain *domain = ctx;
    xenforeignmemory_unmap(domain->host->memory, at, n);
}

/* The end of the last page of [from, to) that is there, looking every 2 MiB; `from` when none is.
 */
static enum xvmi_status last_page(struct xe_domain *domain, uint64_t from, uint64_t to,
                                  uint64_t *end, struct xvmi_error *err)
{
    bool present[XE_BATCH];
    *end = from;
    for (uint64_t page = from; page < to; page += XE_BATCH * STEP) {
        uint64_t left = (to - page + STEP - 1) / STEP;
        size_t n = left < XE_BATCH ? (size_t)left : XE_BATCH;
        enum xvmi_status status = xe_maps_probe(domain->maps, page, STEP, n, present, err);
        if (status)
            return status;
        for (size_t i = 0; i < n; i++)
            if (present[i])
                *end = page + (i + 1) * STEP;
    }
    return XVMI_OK;
}

static void add_range(struct xe_domain *domain, uint64_t page, uint64_t end)
{
    if (end > page)
        domain->ranges[domain->n_ranges++] =
            (struct xvmi_mem_range){.gpa = page * XE_PAGE, .size = (end - page) * XE_PAGE};
}

/* Pages that the balloon may give back are in the ranges, whether they are there now or not. */
static enum xvmi_status find_ranges(struct xe_domain *domain, struct xvmi_error *err)
{
    xen_pfn_t last;
    uint64_t end, low_end = domain->low_end / XE_PAGE, high = FOUR_GIB / XE_PAGE;
    domain->n_ranges = 0;
    if (domain->pv) {
        add_range(domain, 0, xe_frames_pages(domain->frames));
        return XVMI_OK;
    }
    if (xc_domain_maximum_gpfn(domain->host->xc, domain->domid, &last) < 0)
        return xe_host_failed(domain->host, errno, "asking Xen for the domain's last page", err);
    enum xvmi_status status =
        last_page(domain, 0, last + 1 < low_end ? last + 1 : low_end, &end, err);
    if (status)
        return status;
    char *most = xe_host_value(domain->host, "/local/domain/%u/memory/static-max", domain->domid);
    uint64_t may_have = most ? strtoull(most, NULL, 10) / (XE_PAGE / 1024) : 0;
    free(most);
    if (may_have > end && may_have < (UINT64_C(3) << 30) / XE_PAGE)
        end = may_have;
    add_range(domain, 0, end);
    if (last >= high) {
        status = last_page(domain, high, last + 1, &end, err);
        add_range(domain, high, end);
    }
    if (!status && domain->n_ranges == 0)
        status = xvmi_error_set(err, XVMI_ERR_CHANGED, "the domain has no memory yet");
    return status;
}

static enum xvmi_status check_width(const struct xe_domain *domain, struct xvmi_error *err)
{
    unsigned width = 8;
    if (domain->pv && !xc_domain_get_guest_width(domain->host->xc, domain->domid, &width) &&
        width != 8)
        return xvmi_error_set(err, XVMI_ERR_UNSUPPORTED, "domain %u is a 32-bit PV guest",
                              domain->domid);
    return XVMI_OK;
}

enum xvmi_status xe_domain_open(struct xe_domain *domain, const struct xe_host *host,
                                uint32_t domid, struct xvmi_error *err)
{
    xc_domaininfo_t info;
    *domain = (struct xe_domain){.host = host, .domid = domid, .looked_ms = now_ms()};
    domain->renewed_ms = domain->looked_ms;
    enum xvmi_status status = xe_domain_look(domain, &info, err);
    if (status)
        return status;
    domain->pv = !(info.flags & XEN_DOMINF_hvm_guest);
    domain->low_end = info.arch_config.emulation_flags & XEN_X86_EMU_PIC ? LOW_END_HVM : LOW_END;
    domain->vcpus = info.max_vcpu_id + 1;
    domain->pages = info.tot_pages;
    status = check_width(domain, err);
    if (!status && domain->pv)
        status = xe_frames_open(host, domid, &info, &domain->frames, err);
    if (!status)
        status = xe_maps_new(&(struct xe_source){domain, domain->pv ? machine_frame : guest_frame,
                                                 map_pages, unmap_pages},
                             &domain->maps, err);
    if (!status)
        status = find_ranges(domain, err);
    if (status) {
        xe_domain_close(domain);
        return xvmi_error_frame(err, status, "domain %u", domid);
    }
    return XVMI_OK;
}

void xe_domain_close(struct xe_domain *domain)
{
    xe_maps_free(domain->maps);
    xe_frames_close(domain->frames);
    domain->maps = NULL;
    domain->frames = NULL;
}

/* The list of frames lies elsewhere: the old one stays until there is a new one. */
static enum xvmi_status renew_frames(struct xe_domain *domain, const xc_domaininfo_t *info,
                                     bool *changed, struct xvmi_error *err)
{
    struct xe_frames *frames;
    enum xvmi_status status = xe_frames_open(domain->host, domain->domid, info, &frames, err);
    if (status)
        return status;
    *changed = xe_frames_pages(frames) != xe_frames_pages(domain->frames);
    xe_frames_close(domain->frames);
    domain->frames = frames;
    return *changed ? find_ranges(domain, err) : XVMI_OK;
}

enum xvmi_status xe_domain_refresh(struct xe_domain *domain, bool *changed, struct xvmi_error *err)
{
    xc_domaininfo_t info;
    *changed = false;
    enum xvmi_status status = xe_domain_look(domain, &info, err);
    if (status) {
        /* A dying domain cannot go while we hold its pages. */
        xe_maps_round(domain->maps, true);
        return status;
    }
    uint64_t now = now_ms();
    bool others =
        info.tot_pages != domain->pages || (!domain->pv && now - domain->renewed_ms > HVM_RENEW_MS);
    if (others)
        domain->renewed_ms = now;
    domain->pages = info.tot_pages;
    domain->looked_ms = now;
    xe_maps_round(domain->maps, others);
    if (domain->pv && xe_frames_moved(domain->frames))
        status = renew_frames(domain, &info, changed, err);
    return status;
}

bool xe_domain_release(struct xe_domain *domain)
{
    xc_domaininfo_t info;
    uint64_t now = now_ms();
    if (now - domain->looked_ms <= LOOK_MS && !xe_maps_full(domain->maps))
        return false;
    domain->looked_ms = now;
    if (domain->pv)
        return xe_maps_round(domain->maps, false);
    bool others = now - domain->renewed_ms > HVM_RENEW_MS ||
                  xe_host_domain(domain->host, domain->domid, &info, NULL) ||
                  info.tot_pages != domain->pages;
    if (others) {
        domain->renewed_ms = now;
        domain->pages = info.tot_pages;
    }
    return xe_maps_round(domain->maps, others);
}
