/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XF_IDMAP_H
#define XF_IDMAP_H

/* Names of users or groups, from a file in the form of passwd(5) or group(5). */

#include <stdbool.h>
#include <stdint.h>

#include <xvmi/error.h>

struct xf_idmap;

/* `policy` is the path of the policy, beside which a relative `path` is looked for. What is
 * no entry is skipped, as the guest does. */
enum xvmi_status xf_idmap_load(const char *policy, const char *path, struct xf_idmap **map,
                               struct xvmi_error *err);
void xf_idmap_free(struct xf_idmap *map);
bool xf_idmap_find(const struct xf_idmap *map, const char *name, uint32_t *id);

/* The numbers that are the same on each Debian system. */
bool xf_debian_user(const char *name, uint32_t *id);
bool xf_debian_group(const char *name, uint32_t *id);

/* The whole of a regular file of at most `max` bytes, a NUL behind; for free(). */
enum xvmi_status xf_read_file(const char *path, size_t max, char **text, size_t *len,
                              struct xvmi_error *err);

#endif
