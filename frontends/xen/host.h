/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XE_HOST_H
#define XE_HOST_H

/* The way to Xen: its libraries' handles, quiet, and what goes wrong with them in words. */

#include <stdbool.h>
#include <stdint.h>

#include <xenctrl.h>
#include <xenforeignmemory.h>
#include <xenstore.h>

#include <xvmi/error.h>

/* Xen's libraries write to stderr unless they are given a logger. */
struct xe_log {
    xentoollog_logger ops;
    char last[160]; /* what they said last; "" when nothing */
};

struct xe_host {
    struct xe_log log;
    xc_interface *xc;
    xenforeignmemory_handle *memory;
    struct xs_handle *store;
};

XVMI_CHECKED enum xvmi_status xe_host_open(struct xe_host *host, struct xvmi_error *err);
void xe_host_close(struct xe_host *host);

/* The error for a failed call of Xen's libraries with this errno: "WHAT: why (what they said)". */
enum xvmi_status xe_host_failed(const struct xe_host *host, int error, const char *what,
                                struct xvmi_error *err);

/* A value of xenstore's, freed by the caller; NULL when it is not there. */
char *xe_host_value(const struct xe_host *host, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* What Xen knows of a domain. XVMI_ERR_GONE when there is none of the number, or it is dying. */
XVMI_CHECKED enum xvmi_status xe_host_domain(const struct xe_host *host, uint32_t domid,
                                             xc_domaininfo_t *info, struct xvmi_error *err);

/* A name or number to a domain's number. A number wins. XVMI_ERR_NOT_FOUND. */
XVMI_CHECKED enum xvmi_status xe_host_find(const struct xe_host *host, const char *name,
                                           uint32_t *domid, bool *by_name, struct xvmi_error *err);

/* "7" to 7; false for what is no domain's number. */
bool xe_parse_domid(const char *text, uint32_t *domid);

#endif
