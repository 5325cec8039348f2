/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XF_JSON_PLACES_H
#define XF_JSON_PLACES_H

/* Where in a JSON text the parts of the document begin: jansson does not tell. */

#include <jansson.h>

#include "filter/ast.h"

struct xf_places {
    struct xf_place {
        const json_t *node;
        struct xf_at at;
    } * v; /* sorted by node */
    size_t n, cap;
};

/* `root` is what jansson made of `text`, without duplicate keys. Out of memory, or in a text that
 * is not understood, places stay unknown. true, false and null have none. */
void xf_places_fill(struct xf_places *places, const char *text, size_t len, const json_t *root);
void xf_places_fini(struct xf_places *places);
/* Line 0 when it is not known. */
struct xf_at xf_places_find(const struct xf_places *places, const json_t *node);

#endif
