/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XT_PROFILE_H
#define XT_PROFILE_H

/* The inside of a profile, for the files of type/ that make one; and for vm.c whether a profile
 * that was loaded can answer what this version of the library asks. */

#include <stdatomic.h>

#include <xvmi/profile.h>

#include "type/want.h"

/* A vmlinux, a guest or a file never makes us keep more than this. */
#define XT_ENTRIES_MAX 65536

struct xvmi_profile {
    atomic_uint refs;
    enum xvmi_profile_source source;
    uint8_t build_id[XVMI_BUILD_ID_MAX];
    size_t build_id_len;
    char release[XVMI_RELEASE_MAX + 1];
    struct xvmi_profile_entry *entries; /* strictly ascending by xt_entry_compare() */
    size_t n;
    char *strings; /* what the entries' strings point into */
};

/* One reference, no entries. NULL when out of memory. */
struct xvmi_profile *xt_profile_new(void);

int xt_entry_compare(const void *a, const void *b);

/* Longer ones are cut, characters that could steer a terminal become '?'. */
void xt_profile_set_release(struct xvmi_profile *profile, const char *release);

/* XVMI_ERR_MISMATCH when the profile was made without one of the wants in mind (by another
 * version of the library), or lacks one that is not optional; the text names it. */
XVMI_CHECKED enum xvmi_status xt_profile_covers(const struct xvmi_profile *profile,
                                                const struct xt_want *wants, size_t n,
                                                struct xvmi_error *err);

/* The file format, in memory. `*data` is the caller's to free. */
XVMI_CHECKED enum xvmi_status xt_profile_encode(const struct xvmi_profile *profile, void **data,
                                                size_t *size, struct xvmi_error *err);
XVMI_CHECKED enum xvmi_status xt_profile_decode(const void *data, size_t size,
                                                struct xvmi_profile **profile,
                                                struct xvmi_error *err);

/* Files in a folder that is open: `dir` is a descriptor or AT_FDCWD; a `trusted` file must belong
 * to us or root and be writable to nobody else. */
XVMI_CHECKED enum xvmi_status xt_profile_read_at(int dir, const char *name, bool trusted,
                                                 struct xvmi_profile **profile,
                                                 struct xvmi_error *err);
XVMI_CHECKED enum xvmi_status xt_profile_write_at(int dir, const char *name,
                                                  const struct xvmi_profile *profile,
                                                  struct xvmi_error *err);

/* The cache in a folder of choice. */
XVMI_CHECKED enum xvmi_status xt_cache_load(const char *folder, const char *guest,
                                            const void *build_id, size_t len,
                                            struct xvmi_profile **profile, struct xvmi_error *err);
XVMI_CHECKED enum xvmi_status xt_cache_store(const char *folder, const char *guest,
                                             const struct xvmi_profile *profile,
                                             struct xvmi_error *err);

#endif
