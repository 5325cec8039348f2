/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XF_VALUE_H
#define XF_VALUE_H

/* From the text of one value to what it means. */

#include "filter/idmap.h"
#include "filter/set.h"

enum xf_class {
    XF_CLASS_PROTO,
    XF_CLASS_PORT,
    XF_CLASS_ADDR,
    XF_CLASS_ICMP,
    XF_CLASS_KIND,
    XF_CLASS_USER,
    XF_CLASS_GROUP,
    XF_CLASS_NUMBER,
    XF_CLASS_AGE,
    XF_CLASS_TEXT,
    XF_CLASS_PATH,
    XF_CLASS_TREE,
};

/* What names mean where the value stands. */
struct xf_scope {
    const struct xf_idmap *users, *groups; /* NULL: none given */
    unsigned icmp;                         /* protocol whose types are meant: 1, 58 or 0 */
};

enum xf_parsed {
    XF_PARSED,
    XF_PARSED_GUESS, /* a user or group by the number it has on Debian */
    XF_NOT_PARSED,   /* *why says what it should be */
    XF_NO_MEMORY,
};

/* "tcp"...; NULL for those without a name here. */
const char *xf_proto_word(uint8_t proto);
/* Is it an address, prefix or range of addresses? */
bool xf_value_is_addr(const char *text);
/* A single number of a class that has an order; false: *why says what it should be. */
bool xf_value_number(enum xf_class class, const char *text, const struct xf_scope *scope,
                     struct xf_range *range, const char **why);
/* Adds it to the set; `text` must live as long as that does. */
enum xf_parsed xf_value_add(enum xf_class class, const char *text, const struct xf_scope *scope,
                            struct xf_set *set, const char **why);

#endif
