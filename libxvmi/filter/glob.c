// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <stdlib.h>
#include <string.h>

#include "filter/glob.h"

enum op { OP_CHAR, OP_ONE, OP_CLASS, OP_STAR, OP_DEEP, OP_END };

struct step {
    uint8_t op;
    uint8_t c;
    uint16_t class; /* index of its set of bytes */
};

struct xf_glob {
    enum xf_glob_mode mode;
    uint64_t (*classes)[4]; /* 256 bits each; behind the steps */
    struct step steps[];
};

bool xf_glob_special(const char *pattern)
{
    return strpbrk(pattern, "*?[");
}

/* Reads [...] at *pattern, which then points behind it. */
static bool read_class(const char **pattern, bool path, uint64_t bits[4])
{
    const unsigned char *p = (const unsigned char *)*pattern + 1;
    bool negate = *p == '!' || *p == '^';
    const unsigned char *first = p += negate;
    for (; *p && (*p != ']' || p == first); p++) {
        unsigned lo = *p, hi = lo;
        if (p[1] == '-' && p[2] && p[2] != ']') {
            hi = p[2];
            p += 2;
        }
        if (hi < lo)
            return false;
        for (unsigned c = lo; c <= hi; c++)
            bits[c / 64] |= 1ull << c % 64;
    }
    if (!*p)
        return false;
    for (unsigned i = 0; negate && i < 4; i++)
        bits[i] = ~bits[i];
    if (path)
        bits['/' / 64] &= ~(1ull << '/' % 64);
    *pattern = (const char *)p + 1;
    return true;
}

static struct step next_step(const char **pattern, enum xf_glob_mode mode)
{
    const char *p = *pattern;
    struct step step = {.op = OP_CHAR, .c = (uint8_t)*p};
    if (*p == '?')
        step.op = OP_ONE;
    if (*p == '*') {
        bool deep = mode == XF_GLOB_TEXT || p[1] == '*';
        while (p[1] == '*')
            p++;
        step.op = deep ? OP_DEEP : OP_STAR;
    }
    *pattern = p + 1;
    return step;
}

struct xf_glob *xf_glob_new(const char *pattern, enum xf_glob_mode mode, const char **why)
{
    size_t len = strlen(pattern), n = 0, classes = 0;
    *why = "the pattern is too long";
    if (len > XF_GLOB_MAX)
        return NULL;
    for (const char *p = pattern; *p; p++)
        classes += *p == '[';
    *why = NULL;
    struct xf_glob *glob = NULL;
    size_t steps = (len + 2) / 2 * 2 * sizeof(*glob->steps); /* keeps the sets aligned */
    glob = calloc(1, sizeof(*glob) + steps + classes * sizeof(*glob->classes));
    if (!glob)
        return NULL;
    glob->mode = mode;
    glob->classes = (void *)((char *)glob->steps + steps);
    classes = 0;
    while (*pattern) {
        if (*pattern != '[') {
            glob->steps[n++] = next_step(&pattern, mode);
            continue;
        }
        if (!read_class(&pattern, mode != XF_GLOB_TEXT, glob->classes[classes])) {
            *why = "a [ without ], or a range that runs backwards";
            free(glob);
            return NULL;
        }
        glob->steps[n++] = (struct step){.op = OP_CLASS, .class = (uint16_t)classes++};
    }
    glob->steps[n].op = OP_END;
    return glob;
}

static bool step_fits(const struct xf_glob *glob, struct step step, unsigned char c)
{
    if (step.op == OP_CHAR)
        return step.c == c;
    if (step.op == OP_ONE)
        return glob->mode == XF_GLOB_TEXT || c != '/';
    return step.op == OP_CLASS && glob->classes[step.class][c / 64] >> c % 64 & 1;
}

/* Where to go on when a step does not fit: the last star takes one character more. */
struct retry {
    const struct step *step; /* behind the star; NULL: none */
    size_t at;
};

/* False when nothing is left to try. What stands behind the last star was tried at each
 * position that star can reach, so when text's end stopped it no earlier star can help. */
static bool retry(struct retry *star, struct retry *deep, const char *text, size_t len,
                  const struct step **step, size_t *at)
{
    struct retry *r = star->step ? star : deep;
    if (r == star && star->at < len && text[star->at] == '/') {
        star->step = NULL;
        r = deep;
    }
    if (!r->step || r->at >= len)
        return false;
    *step = r->step;
    *at = ++r->at;
    return true;
}

bool xf_glob_match(const struct xf_glob *glob, const char *text, size_t len)
{
    const struct step *step = glob->steps;
    struct retry star = {0}, deep = {0};
    size_t at = 0;
    for (;;) {
        if (step->op == OP_STAR) {
            star = (struct retry){++step, at};
        } else if (step->op == OP_DEEP) {
            deep = (struct retry){++step, at};
            star.step = NULL;
        } else if (step->op == OP_END &&
                   (at == len || (glob->mode == XF_GLOB_TREE && text[at] == '/'))) {
            return true;
        } else if (at < len && step_fits(glob, *step, (unsigned char)text[at])) {
            step++;
            at++;
        } else if (!retry(&star, &deep, text, len, &step, &at)) {
            return false;
        }
    }
}
