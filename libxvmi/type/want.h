/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XT_WANT_H
#define XT_WANT_H

/*
 * What a caller wants to know of a kernel's types and symbols. The tables are the callers'
 * (walk/linux.def for Linux); type/ only looks things up.
 */

#include <stdbool.h>
#include <stddef.h>

enum xt_want_kind {
    XT_SIZE,   /* sizeof(struct type) */
    XT_MEMBER, /* where a member lies in struct type */
    XT_ENUM,   /* value of the enumerator `name`, whatever enum it is in; `type` is "" */
    XT_SYMBOL, /* address of the global `name`; `type` is "" */
};

struct xt_want {
    enum xt_want_kind kind;
    bool optional;    /* its absence is an answer, not an error */
    const char *type; /* tag of a struct or union */
    /* XT_MEMBER: dotted path ("skc_net.net"), members of anonymous structs and unions by their
     * own name; spellings of different kernel versions are separated by '|', the first one that
     * exists counts ("start_boottime|real_start_time"). */
    const char *name;
};

#endif
