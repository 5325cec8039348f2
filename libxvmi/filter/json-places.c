// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "filter/json-places.h"

#include <stdlib.h>
#include <string.h>

#include "base/vec.h"

/* The text is walked beside the document. It was parsed before, so it is JSON; objects keep the
 * order of their keys (jansson 2.8). */
struct walk {
    struct xf_places *places;
    const char *p, *end, *line; /* `line` is where the line at `p` begins */
    uint32_t lines;
    bool failed;
};

static void skip_space(struct walk *w)
{
    for (; w->p < w->end && strchr(" \t\r\n", *w->p) && *w->p; w->p++)
        if (*w->p == '\n') {
            w->lines++;
            w->line = w->p + 1;
        }
}

/* What stands between values. */
static void skip(struct walk *w, char c)
{
    skip_space(w);
    if (w->p < w->end && *w->p == c)
        w->p++;
    else
        w->failed = true;
}

static void skip_string(struct walk *w)
{
    skip(w, '"');
    while (w->p < w->end && *w->p != '"')
        w->p += *w->p == '\\' && w->end - w->p > 1 ? 2 : 1;
    skip(w, '"');
}

static void walk(struct walk *w, const json_t *node);

static void walk_object(struct walk *w, const json_t *node)
{
    const char *between = "{", *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)node, key, value)
    {
        skip(w, *between);
        skip_space(w);
        skip_string(w);
        skip(w, ':');
        walk(w, value);
        if (w->failed)
            return;
        between = ",";
    }
    if (*between == '{')
        skip(w, '{');
    skip(w, '}');
}

static void walk_array(struct walk *w, const json_t *node)
{
    size_t n = json_array_size(node);
    skip(w, '[');
    for (size_t i = 0; i < n && !w->failed; i++) {
        if (i)
            skip(w, ',');
        walk(w, json_array_get(node, i));
    }
    skip(w, ']');
}

static bool is_shared(const json_t *node)
{
    return json_is_boolean(node) || json_is_null(node);
}

static void walk(struct walk *w, const json_t *node)
{
    skip_space(w);
    struct xf_at at = {w->lines, (uint32_t)(w->p - w->line) + 1};
    if (!is_shared(node) && !xb_vec_push(w->places, ((struct xf_place){node, at})))
        w->failed = true;
    if (json_is_object(node))
        walk_object(w, node);
    else if (json_is_array(node))
        walk_array(w, node);
    else if (json_is_string(node))
        skip_string(w);
    else
        while (w->p < w->end && !strchr(",]} \t\r\n", *w->p))
            w->p++;
}

static int compare(const void *a, const void *b)
{
    const struct xf_place *x = a, *y = b;
    return x->node < y->node ? -1 : x->node > y->node;
}

void xf_places_fill(struct xf_places *places, const char *text, size_t len, const json_t *root)
{
    struct walk w = {.places = places, .p = text, .end = text + len, .line = text, .lines = 1};
    walk(&w, root);
    if (w.failed)
        places->n = 0;
    if (places->n)
        qsort(places->v, places->n, sizeof(*places->v), compare);
}

void xf_places_fini(struct xf_places *places)
{
    free(places->v);
    *places = (struct xf_places){0};
}

struct xf_at xf_places_find(const struct xf_places *places, const json_t *node)
{
    const struct xf_place key = {.node = node};
    const struct xf_place *found =
        places->n ? bsearch(&key, places->v, places->n, sizeof(key), compare) : NULL;
    return found ? found->at : (struct xf_at){0};
}
