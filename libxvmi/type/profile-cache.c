// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "type/profile.h"

#define ROOT_FOLDER "/var/cache/xvmi/profiles"
#define PATH_SIZE   4096
#define NAME_SIZE   (2 * XVMI_BUILD_ID_MAX + 18) /* in hexadecimal, "-", a hash of the guest's name \
                                                  */

static enum xvmi_status default_folder(char *path, struct xvmi_error *err)
{
    int len = -1;
    if (geteuid() == 0) {
        len = snprintf(path, PATH_SIZE, ROOT_FOLDER);
    } else {
        /* The XDG base directory specification has relative values ignored. */
        const char *xdg = secure_getenv("XDG_CACHE_HOME"), *home = secure_getenv("HOME");
        if (xdg && xdg[0] == '/')
            len = snprintf(path, PATH_SIZE, "%s/xvmi/profiles", xdg);
        else if (home && home[0] == '/')
            len = snprintf(path, PATH_SIZE, "%s/.cache/xvmi/profiles", home);
    }
    if (len < 0 || len >= PATH_SIZE)
        return xvmi_error_set(err, XVMI_ERR_NOT_FOUND,
                              "no cache folder: set XDG_CACHE_HOME or HOME to an absolute path");
    return XVMI_OK;
}

/* FNV-1a: names are the operator's, nobody chooses them to collide. */
static uint64_t hash_of(const char *guest)
{
    uint64_t h = 0xcbf29ce484222325;
    for (; *guest; guest++)
        h = (h ^ (unsigned char)*guest) * 0x100000001b3;
    return h;
}

static enum xvmi_status file_name(const char *guest, const uint8_t *build_id, size_t len,
                                  char *name, struct xvmi_error *err)
{
    if (!len || len > XVMI_BUILD_ID_MAX)
        return xvmi_error_set(err, XVMI_ERR_INVALID,
                              "a cached profile goes by a build-id of 1 to "
                              "%d bytes, not %zu",
                              XVMI_BUILD_ID_MAX, len);
    for (size_t i = 0; i < len; i++)
        snprintf(name + 2 * i, 3, "%02x", build_id[i]);
    if (guest)
        snprintf(name + 2 * len, 18, "-%016llx", (unsigned long long)hash_of(guest));
    return XVMI_OK;
}

/* Who may write to the folder can replace any file in it. */
static enum xvmi_status open_folder(const char *folder, int *dir, struct xvmi_error *err)
{
    xb_auto_close int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0) {
        int code = errno;
        return xvmi_error_set(err,
                              code == ENOENT   ? XVMI_ERR_NOT_FOUND
                              : code == EACCES ? XVMI_ERR_PERMISSION
                                               : XVMI_ERR_IO,
                              "cache folder %s: %s", folder, strerrordesc_np(code));
    }
    if ((st.st_uid != 0 && st.st_uid != geteuid()) || (st.st_mode & 022))
        return xvmi_error_set(err, XVMI_ERR_PERMISSION,
                              "cache folder %s is writable to other users: not believed", folder);
    *dir = xb_steal_fd(&fd);
    return XVMI_OK;
}

static enum xvmi_status make_folder(const char *folder, struct xvmi_error *err)
{
    char path[PATH_SIZE];
    int len = snprintf(path, sizeof(path), "%s", folder);
    if (len < 0 || len >= PATH_SIZE)
        return xvmi_error_set(err, XVMI_ERR_INVALID, "cache folder: name too long");
    mode_t mode = geteuid() == 0 ? 0755 : 0700;
    for (char *slash = path + 1;; slash++) {
        slash = strchrnul(slash, '/');
        char was = *slash;
        *slash = 0;
        if (mkdir(path, mode) < 0 && errno != EEXIST) {
            int code = errno;
            return xvmi_error_set(err, code == EACCES ? XVMI_ERR_PERMISSION : XVMI_ERR_IO,
                                  "creating %s: %s", path, strerrordesc_np(code));
        }
        if (!was)
            return XVMI_OK;
        *slash = was;
    }
}

enum xvmi_status xt_cache_load(const char *folder, const char *guest, const void *build_id,
                               size_t len, struct xvmi_profile **out, struct xvmi_error *err)
{
    char name[NAME_SIZE];
    enum xvmi_status status = file_name(guest, build_id, len, name, err);
    if (status)
        return status;
    xb_auto_close int dir = -1;
    status = open_folder(folder, &dir, err);
    if (status)
        return status;
    struct xvmi_profile *profile = NULL;
    status = xt_profile_read_at(dir, name, true, &profile, err);
    if (status)
        return xvmi_error_frame(err, status, "cache folder %s", folder);
    if (profile->build_id_len != len || memcmp(profile->build_id, build_id, len) != 0) {
        xvmi_profile_unref(profile);
        return xvmi_error_set(err, XVMI_ERR_MISMATCH, "%s/%s holds another kernel's profile",
                              folder, name);
    }
    *out = profile;
    return XVMI_OK;
}

enum xvmi_status xt_cache_store(const char *folder, const char *guest,
                                const struct xvmi_profile *profile, struct xvmi_error *err)
{
    char name[NAME_SIZE];
    enum xvmi_status status = file_name(guest, profile->build_id, profile->build_id_len, name, err);
    if (status)
        return status;
    status = make_folder(folder, err);
    if (status)
        return status;
    xb_auto_close int dir = -1;
    status = open_folder(folder, &dir, err);
    if (status)
        return status;
    status = xt_profile_write_at(dir, name, profile, err);
    return status ? xvmi_error_frame(err, status, "cache folder %s", folder) : XVMI_OK;
}

enum xvmi_status xvmi_profile_cache_load(const char *guest, const void *build_id, size_t len,
                                         struct xvmi_profile **profile, struct xvmi_error *err)
{
    char folder[PATH_SIZE];
    enum xvmi_status status = default_folder(folder, err);
    return status ? status : xt_cache_load(folder, guest, build_id, len, profile, err);
}

enum xvmi_status xvmi_profile_cache_store(const char *guest, const struct xvmi_profile *profile,
                                          struct xvmi_error *err)
{
    char folder[PATH_SIZE];
    enum xvmi_status status = default_folder(folder, err);
    return status ? status : xt_cache_store(folder, guest, profile, err);
}
