// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <langinfo.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#include "cli.h"
#include "text.h"

/* Bytes of the character at s[0..n), n > 0, and the character; 0 if that is not UTF-8 (too long,
 * a surrogate, beyond U+10FFFF, cut). */
static size_t decode(const unsigned char *s, size_t n, uint32_t *ch)
{
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t len = s[0] < 0x80 ? 1 : s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : s[0] >= 0xc0 ? 2 : 0;
    if (!len || len > n || s[0] >= 0xf8)
        return 0;
    if (len == 1) {
        *ch = s[0];
        return 1;
    }
    uint32_t c = s[0] & (0x7fu >> len);
    for (size_t i = 1; i < len; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (s[i] & 0x3f);
    }
    if (c < smallest[len] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
        return 0;
    *ch = c;
    return len;
}

static bool harmless(uint32_t ch, bool utf8)
{
    if (ch < 0x80)
        return ch >= 0x20 && ch != 0x7f;
    if (!utf8 || ch < 0xa0)
        return false;
    /* Line and paragraph separators, and what overrides the direction of writing. */
    if (ch == 0x061c || ch == 0x200e || ch == 0x200f || (ch >= 0x2028 && ch <= 0x202e) ||
        (ch >= 0x2066 && ch <= 0x2069))
        return false;
    return true;
}

char *text_safe(const char *s, size_t len)
{
    bool utf8 = !strcmp(nl_langinfo(CODESET), "UTF-8");
    char *out = must_alloc(len + 1, 4), *p = out;

    for (size_t i = 0; i < len;) {
        uint32_t ch;
        size_t n = decode((const unsigned char *)s + i, len - i, &ch);
        if (n && harmless(ch, utf8)) {
            memcpy(p, s + i, n);
            p += n;
            i += n;
            continue;
        }
        for (size_t end = i + (n ? n : 1); i < end; i++)
            p += sprintf(p, "\\x%02x", (unsigned char)s[i]);
    }
    *p = 0;
    return out;
}

json_t *text_json(const char *s, size_t len)
{
    char *out = must_alloc(len + 1, 3), *p = out;

    for (size_t i = 0; i < len;) {
        uint32_t ch;
        size_t n = decode((const unsigned char *)s + i, len - i, &ch);
        if (n) {
            memcpy(p, s + i, n);
            p += n;
            i += n;
        } else {
            memcpy(p, "\xef\xbf\xbd", 3);
            p += 3;
            i++;
        }
    }
    json_t *string = json_stringn_nocheck(out, (size_t)(p - out));
    free(out);
    return string;
}

size_t text_width(const char *s)
{
    size_t left = strlen(s), width = 0;
    mbstate_t state = {0};

    while (left) {
        wchar_t wide;
        size_t n = mbrtowc(&wide, s, left, &state);
        if (!n || n > left) /* cannot be after text_safe() */
            return width + left;
        int columns = wcwidth(wide);
        width += columns > 0 ? (size_t)columns : 0;
        s += n;
        left -= n;
    }
    return width;
}
