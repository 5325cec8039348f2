/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XF_GLOB_H
#define XF_GLOB_H

/*
 * Patterns:  *  any characters, in a path none of them '/';  **  any characters;  ?  one (in
 * a path not '/');  [a-z] and [!a-z]  one of these, or one but these. Everything else is itself;
 * [*] is a star.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum xf_glob_mode {
    XF_GLOB_TEXT, /* '/' is a character as any other */
    XF_GLOB_PATH,
    XF_GLOB_TREE, /* a path, or the beginning of one that ends before a '/' */
};

/* Longest pattern. */
#define XF_GLOB_MAX 1024

struct xf_glob; /* free() it */

/* Is any character of this special? */
bool xf_glob_special(const char *pattern);
/* NULL with a reason in *why, or NULL there when memory is out. */
struct xf_glob *xf_glob_new(const char *pattern, enum xf_glob_mode mode, const char **why);
/* Steps are bounded by the product of the lengths, of one path component for '*' after '**'. */
bool xf_glob_match(const struct xf_glob *glob, const char *text, size_t len);

#endif
