// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "mem/driver.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool is_scheme(const char *scheme)
{
    size_t n = strspn(scheme, "abcdefghijklmnopqrstuvwxyz0123456789-");
    return n > 0 && n <= 32 && !scheme[n];
}

/* Sets `path` and returns true when a folder of the colon-separated list `dirs` has the file. */
static bool find_in(const char *dirs, const char *file, char *path, size_t size)
{
    while (*dirs) {
        size_t n = strcspn(dirs, ":");
        int len = snprintf(path, size, "%.*s/%s", (int)n, dirs, file);
        if (n > 0 && len > 0 && (size_t)len < size && access(path, F_OK) == 0)
            return true;
        dirs += n + (dirs[n] == ':');
    }
    return false;
}

static enum xvmi_status missing(const char *scheme, const char *file, const char *dirs,
                                struct xvmi_error *err)
{
    const char *hint = "install the driver package";
    if (strcmp(scheme, "qemu") == 0)
        hint = "install the driver package, or build libxvmi with -Dkvm=enabled";
    else if (strcmp(scheme, "xen") == 0)
        hint = "install the driver package, or build libxvmi with -Dxen=enabled";
    return xvmi_error_set(err, XVMI_ERR_NOT_FOUND, "no driver for '%s:': %s is not in %s%s%s: %s",
                          scheme, file, dirs ? dirs : "", dirs ? " or " : "", XVMI_DRIVER_DIR,
                          hint);
}

static enum xvmi_status load(const char *path, const char *scheme,
                             const struct xvmi_driver **driver, struct xvmi_error *err)
{
    /* A driver is never unloaded: its ops, threads and destructors may outlive our handle. */
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (!handle)
        return xvmi_error_set(err, XVMI_ERR_UNSUPPORTED, "driver %s does not load: %s", path,
                              dlerror());
    const struct xvmi_driver *found = dlsym(handle, "xvmi_driver");
    dlclose(handle);
    if (!found)
        return xvmi_error_set(err, XVMI_ERR_UNSUPPORTED,
                              "driver %s: no object named xvmi_driver in it", path);
    if (found->abi != XVMI_DRIVER_ABI)
        return xvmi_error_set(err, XVMI_ERR_UNSUPPORTED,
                              "driver %s was built for driver interface %u, this library has %u: "
                              "install matching versions",
                              path, found->abi, XVMI_DRIVER_ABI);
    if (!found->scheme || strcmp(found->scheme, scheme) != 0 || !found->open)
        return xvmi_error_set(err, XVMI_ERR_UNSUPPORTED, "driver %s does not serve '%s:'", path,
                              scheme);
    *driver = found;
    return XVMI_OK;
}

enum xvmi_status xm_driver_open(const char *scheme, const char *rest,
                                struct xvmi_mem_backend *backend, struct xvmi_error *err)
{
    if (!is_scheme(scheme))
        return xvmi_error_set(err, XVMI_ERR_INVALID,
                              "'%s' cannot be a scheme: use lower-case letters, digits and '-'",
                              scheme);
    char file[64], path[PATH_MAX];
    snprintf(file, sizeof(file), "xvmi-driver-%s.so", scheme);

    /* NULL for setuid programs: their caller must not choose what they load. */
    const char *dirs = secure_getenv("XVMI_DRIVER_PATH");
    if (dirs && !*dirs)
        dirs = NULL;
    if (!(dirs && find_in(dirs, file, path, sizeof(path))) &&
        !find_in(XVMI_DRIVER_DIR, file, path, sizeof(path)))
        return missing(scheme, file, dirs, err);

    const struct xvmi_driver *driver = NULL;
    enum xvmi_status status = load(path, scheme, &driver, err);
    if (status)
        return status;
    *backend = (struct xvmi_mem_backend){.size = sizeof(*backend)};
    return driver->open(rest, backend, err);
}
