// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "host.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PRIVCMD     "/dev/xen/privcmd"
#define OLD_PRIVCMD "/proc/xen/privcmd"

static void __attribute__((format(printf, 5, 0)))
remember(xentoollog_logger *ops, xentoollog_level level, int error, const char *context,
         const char *format, va_list args)
{
    struct xe_log *log = (struct xe_log *)ops;
    (void)error;
    (void)context;
    if (level >= XTL_ERROR)
        vsnprintf(log->last, sizeof(log->last), format, args);
}

enum xvmi_status xe_host_failed(const struct xe_host *host, int error, const char *what,
                                struct xvmi_error *err)
{
    enum xvmi_status status = XVMI_ERR_IO;
    const char *hint = strerror(error);
    if (error == EPERM || error == EACCES) {
        status = XVMI_ERR_PERMISSION;
        hint = "not permitted: run as root in dom0; if you do, the running Xen is not of the "
               "version that the installed libxenctrl was made for";
    } else if (error == ENOSYS) {
        status = XVMI_ERR_UNSUPPORTED;
        hint = "this domain may not control others, or the running Xen is not of the version that "
               "the installed libxenctrl was made for";
    } else if (error == ESRCH) {
        status = XVMI_ERR_GONE;
        hint = "there is no such domain any more";
    } else if (error == ENOMEM) {
        status = XVMI_ERR_NO_MEMORY;
    }
    return xvmi_error_set(err, status, "%s: %s%s%s%s", what, hint, *host->log.last ? " (" : "",
                          host->log.last, *host->log.last ? ")" : "");
}

/* Why Xen's libraries would fail, before they do with fewer words. */
static enum xvmi_status look_around(struct xvmi_error *err)
{
    const char *path = access(PRIVCMD, F_OK) == 0 ? PRIVCMD : OLD_PRIVCMD;
    if (access(path, F_OK) != 0)
        return xvmi_error_set(err, XVMI_ERR_UNSUPPORTED,
                              "no " PRIVCMD ": this is not Xen's dom0, or the module xen-privcmd "
                              "is not loaded");
    if (access(path, R_OK | W_OK) != 0)
        return xvmi_error_set(err, XVMI_ERR_PERMISSION, "%s: %s: run as root", path,
                              strerror(errno));
    return XVMI_OK;
}

static enum xvmi_status connect_to(struct xe_host *host, struct xvmi_error *err)
{
    host->xc = xc_interface_open(&host->log.ops, &host->log.ops, 0);
    if (!host->xc)
        return xe_host_failed(host, errno, "opening Xen's interface", err);
    host->memory = xenforeignmemory_open(&host->log.ops, 0);
    if (!host->memory)
        return xe_host_failed(host, errno, "opening Xen's interface to memory", err);
    host->store = xs_open(0);
    if (!host->store)
        return xvmi_error_set(err, XVMI_ERR_IO, "connecting to xenstore: %s: is xenstored running?",
                              strerror(errno));
    return XVMI_OK;
}

enum xvmi_status xe_host_open(struct xe_host *host, struct xvmi_error *err)
{
    *host = (struct xe_host){.log.ops.vmessage = remember};
    enum xvmi_status status = look_around(err);
    if (!status)
        status = connect_to(host, err);
    if (status)
        xe_host_close(host);
    return status;
}

void xe_host_close(struct xe_host *host)
{
    if (host->store)
        xs_close(host->store);
    if (host->memory)
        xenforeignmemory_close(host->memory);
    if (host->xc)
        xc_interface_close(host->xc);
    *host = (struct xe_host){0};
}

char *xe_host_value(const struct xe_host *host, const char *format, ...)
{
    char path[256];
    unsigned len;
    va_list args;
    va_start(args, format);
    int n = vsnprintf(path, sizeof(path), format, args);
    va_end(args);
    return n > 0 && (size_t)n < sizeof(path) ? xs_read(host->store, XBT_NULL, path, &len) : NULL;
}

enum xvmi_status xe_host_domain(const struct xe_host *host, uint32_t domid, xc_domaininfo_t *info,
                                struct xvmi_error *err)
{
    *info = (xc_domaininfo_t){0};
    int n = xc_domain_getinfolist(host->xc, domid, 1, info);
    if (n < 0)
        return xe_host_failed(host, errno, "asking Xen about the domain", err);
    if (n == 0 || info->domain != domid || info->flags & XEN_DOMINF_dying)
        return xvmi_error_set(err, XVMI_ERR_GONE, "domain %u is no more", domid);
    return XVMI_OK;
}

bool xe_parse_domid(const char *text, uint32_t *domid)
{
    char *end;
    if (*text < '0' || *text > '9')
        return false;
    unsigned long number = strtoul(text, &end, 10);
    if (*end || number >= DOMID_FIRST_RESERVED)
        return false;
    *domid = (uint32_t)number;
    return true;
}

/* The living domain that is called so. */
static bool find_by_name(const struct xe_host *host, const char *name, uint32_t *domid)
{
    unsigned n = 0;
    bool found = false;
    char **ids = xs_directory(host->store, XBT_NULL, "/local/domain", &n);
    for (unsigned i = 0; ids && i < n && !found; i++) {
        xc_domaininfo_t info;
        char *theirs = xe_host_value(host, "/local/domain/%s/name", ids[i]);
        found = theirs && strcmp(theirs, name) == 0 && xe_parse_domid(ids[i], domid) &&
                !xe_host_domain(host, *domid, &info, NULL);
        free(theirs);
    }
    free(ids);
    return found;
}

enum xvmi_status xe_host_find(const struct xe_host *host, const char *name, uint32_t *domid,
                              bool *by_name, struct xvmi_error *err)
{
    *by_name = !xe_parse_domid(name, domid);
    if (*by_name)
        return find_by_name(host, name, domid)
                   ? XVMI_OK
                   : xvmi_error_set(err, XVMI_ERR_NOT_FOUND,
                                    "there is no domain called %s (`xl list` lists them)", name);
    if (*domid == 0)
        return xvmi_error_set(err, XVMI_ERR_UNSUPPORTED,
                              "domain 0 is the one this runs in: it cannot look into itself");
    xc_domaininfo_t info;
    enum xvmi_status status = xe_host_domain(host, *domid, &info, err);
    if (status == XVMI_ERR_GONE)
        return xvmi_error_set(err, XVMI_ERR_NOT_FOUND,
                              "there is no domain %s (`xl list` lists them)", name);
    return status;
}
