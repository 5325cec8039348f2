// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xvmi/owner.h>

#include "filter/value.h"

struct word {
    const char *word;
    uint8_t number;
};

static const struct word protos[] = {
    {"tcp", 6},  {"udp", 17}, {"icmp", 1}, {"icmp6", 58}, {"sctp", 132},    {"igmp", 2},
    {"esp", 50}, {"ah", 51},  {"gre", 47}, {"dccp", 33},  {"udplite", 136},
};
static const struct word kinds[] = {
    {"none", XVMI_OWNER_NONE},
    {"process", XVMI_OWNER_PROCESS},
    {"kernel", XVMI_OWNER_KERNEL},
    {"orphan", XVMI_OWNER_ORPHAN},
};
/* As nft calls them. */
static const struct word icmp4_types[] = {
    {"echo-reply", 0},           {"destination-unreachable", 3},
    {"source-quench", 4},        {"redirect", 5},
    {"echo-request", 8},         {"router-advertisement", 9},
    {"router-solicitation", 10}, {"time-exceeded", 11},
    {"parameter-problem", 12},   {"timestamp-request", 13},
    {"timestamp-reply", 14},     {"info-request", 15},
    {"info-reply", 16},          {"address-mask-request", 17},
    {"address-mask-reply", 18},
};
static const struct word icmp6_types[] = {
    {"destination-unreachable", 1}, {"packet-too-big", 2},        {"time-exceeded", 3},
    {"parameter-problem", 4},       {"echo-request", 128},        {"echo-reply", 129},
    {"mld-listener-query", 130},    {"mld-listener-report", 131}, {"mld-listener-done", 132},
    {"nd-router-solicit", 133},     {"nd-router-advert", 134},    {"nd-neighbor-solicit", 135},
    {"nd-neighbor-advert", 136},    {"nd-redirect", 137},         {"mld2-listener-report", 143},
};

static bool find_word(const struct word *words, size_t n, const char *text, struct xf_range *range)
{
    for (size_t i = 0; i < n; i++)
        if (!strcmp(words[i].word, text)) {
            *range = (struct xf_range){words[i].number, words[i].number};
            return true;
        }
    return false;
}
#define FIND_WORD(words, text, range)                                                              \
    find_word(words, sizeof(words) / sizeof(*(words)), text, range)

const char *xf_proto_word(uint8_t proto)
{
    for (size_t i = 0; i < sizeof(protos) / sizeof(*protos); i++)
        if (protos[i].number == proto)
            return protos[i].word;
    return NULL;
}

/* Digits at *text, which then points behind them. */
static bool read_number(const char **text, uint64_t max, uint64_t *number)
{
    const char *p = *text;
    uint64_t n = 0;
    if (*p < '0' || *p > '9')
        return false;
    for (; *p >= '0' && *p <= '9'; p++) {
        unsigned digit = (unsigned)(*p - '0');
        if (n > (max - digit) / 10)
            return false;
        n = n * 10 + digit;
    }
    *number = n;
    *text = p;
    return true;
}

/* N or N-M; in a duration each with its unit. */
static bool read_duration(const char **text, uint64_t *ns)
{
    static const struct {
        const char *unit;
        uint64_t ns;
    } units[] = {{"ms", 1000000u},
                 {"s", 1000000000u},
                 {"m", 60 * 1000000000ull},
                 {"h", 3600 * 1000000000ull},
                 {"d", 86400 * 1000000000ull}};
    uint64_t n;
    if (!read_number(text, UINT32_MAX, &n))
        return false;
    for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++) {
        size_t len = strlen(units[i].unit);
        if (strncmp(*text, units[i].unit, len))
            continue;
        if (n > UINT64_MAX / 2 / units[i].ns)
            return false;
        *ns = n * units[i].ns;
        *text += len;
        return true;
    }
    return false;
}

static bool parse_range(const char *text, uint64_t max, bool duration, struct xf_range *range)
{
    if (!(duration ? read_duration(&text, &range->lo) : read_number(&text, max, &range->lo)))
        return false;
    range->hi = range->lo;
    if (!*text)
        return true;
    if (*text++ != '-' ||
        !(duration ? read_duration(&text, &range->hi) : read_number(&text, max, &range->hi)))
        return false;
    return !*text && range->hi >= range->lo;
}

/* ---- addresses ---- */

static bool parse_addr(const char *text, size_t len, unsigned *family, struct xf_addr *addr)
{
    char copy[INET6_ADDRSTRLEN];
    uint8_t bytes[16] = {0};
    if (len >= sizeof(copy))
        return false;
    memcpy(copy, text, len);
    copy[len] = 0;
    if (inet_pton(AF_INET, copy, bytes) == 1)
        *family = 2;
    else if (inet_pton(AF_INET6, copy, bytes) == 1)
        *family = 10;
    else
        return false;
    *addr = xf_addr_load(*family, bytes);
    return true;
}

/* From the first address of a prefix to its last; false when it is not the first. */
static bool fill_prefix(unsigned family, unsigned bits, struct xf_addr_range *range)
{
    unsigned host = (family == 2 ? 32 : 128) - bits;
    uint64_t lo = host >= 64 ? UINT64_MAX : (1ull << host) - 1;
    uint64_t hi = host <= 64 ? 0 : host == 128 ? UINT64_MAX : (1ull << (host - 64)) - 1;
    if ((range->lo.lo & lo) || (range->lo.hi & hi))
        return false;
    range->hi = (struct xf_addr){range->lo.hi | hi, range->lo.lo | lo};
    return true;
}

static bool parse_addrs(const char *text, unsigned *family, struct xf_addr_range *range,
                        const char **why)
{
    size_t len = strcspn(text, "/-");
    unsigned other;
    uint64_t bits;
    *why = "an address, a prefix or a range of addresses";
    if (!parse_addr(text, len, family, &range->lo))
        return false;
    range->hi = range->lo;
    const char *rest = text + len;
    if (!*rest)
        return true;
    if (*rest++ == '/') {
        if (!read_number(&rest, *family == 2 ? 32 : 128, &bits) || *rest)
            return false;
        *why = "a prefix: this has bits set behind its length";
        return fill_prefix(*family, (unsigned)bits, range);
    }
    if (!parse_addr(rest, strlen(rest), &other, &range->hi) || other != *family)
        return false;
    *why = "a range of addresses: this one runs backwards";
    return range->hi.hi > range->lo.hi ||
           (range->hi.hi == range->lo.hi && range->hi.lo >= range->lo.lo);
}

bool xf_value_is_addr(const char *text)
{
    struct xf_addr_range range;
    unsigned family;
    const char *why;
    return parse_addrs(text, &family, &range, &why);
}

/* ---- by class ---- */

static bool parse_icmp(const char *text, const struct xf_scope *scope, struct xf_range *range,
                       const char **why)
{
    *why = "a type of ICMP by number or as nft calls it, or a range of numbers";
    if (scope->icmp == 1 && FIND_WORD(icmp4_types, text, range))
        return true;
    if (scope->icmp == 58 && FIND_WORD(icmp6_types, text, range))
        return true;
    return parse_range(text, 255, false, range);
}

bool xf_value_number(enum xf_class class, const char *text, const struct xf_scope *scope,
                     struct xf_range *range, const char **why)
{
    switch (class) {
    case XF_CLASS_PROTO:
        *why = "a protocol: tcp, udp, icmp, icmp6, sctp, ... or its number";
        return FIND_WORD(protos, text, range) || parse_range(text, 255, false, range);
    case XF_CLASS_PORT:
        *why = "a port or a range of ports, 0 to 65535";
        return parse_range(text, 65535, false, range);
    case XF_CLASS_ICMP:
        return parse_icmp(text, scope, range, why);
    case XF_CLASS_KIND:
        *why = "process, kernel, orphan or none";
        return FIND_WORD(kinds, text, range);
    case XF_CLASS_USER:
    case XF_CLASS_GROUP:
    case XF_CLASS_NUMBER:
        *why = "a number or a range of numbers";
        return parse_range(text, UINT32_MAX, false, range);
    case XF_CLASS_AGE:
        *why = "a time with its unit, as 500ms, 10s, 5m, 2h or 1d";
        return parse_range(text, 0, true, range);
    default:
        *why = "something without an order";
        return false;
    }
}

static enum xf_parsed add_range(struct xf_set *set, struct xf_range range)
{
    return xf_set_add_number(set, range.lo, range.hi) ? XF_PARSED : XF_NO_MEMORY;
}

/* A name counts as what the guest's files say; without them as what all Debian systems say. */
static enum xf_parsed add_id(bool group, const char *text, const struct xf_scope *scope,
                             struct xf_set *set, const char **why)
{
    const struct xf_idmap *map = group ? scope->groups : scope->users;
    uint32_t id;
    *why = group ? "a group of the file that 'groups' names"
                 : "a user of the file that 'users' "
                   "names";
    if (map && !xf_idmap_find(map, text, &id))
        return XF_NOT_PARSED;
    *why = group ? "a group: for names that not every Debian has, give the guest's /etc/group "
                   "with 'groups \"FILE\"'"
                 : "a user: for names that not every Debian has, give the guest's /etc/passwd "
                   "with 'users \"FILE\"'";
    if (!map && !(group ? xf_debian_group(text, &id) : xf_debian_user(text, &id)))
        return XF_NOT_PARSED;
    if (!xf_set_add_number(set, id, id))
        return XF_NO_MEMORY;
    return map || !id ? XF_PARSED : XF_PARSED_GUESS;
}

static enum xf_parsed add_text(enum xf_class class, const char *text, struct xf_set *set,
                               const char **why)
{
    enum xf_glob_mode mode = class == XF_CLASS_TEXT   ? XF_GLOB_TEXT
                             : class == XF_CLASS_PATH ? XF_GLOB_PATH
                                                      : XF_GLOB_TREE;
    *why = "a text that is not empty";
    if (!*text)
        return XF_NOT_PARSED;
    *why = "a path from the root, with a / in front, or a pattern that begins with **";
    if (class == XF_CLASS_PATH && *text != '/' && strncmp(text, "**", 2))
        return XF_NOT_PARSED;
    if (class == XF_CLASS_TREE && *text == '/')
        text++;
    if (class != XF_CLASS_TREE && !xf_glob_special(text))
        return xf_set_add_text(set, text) ? XF_PARSED : XF_NO_MEMORY;
    struct xf_glob *glob = xf_glob_new(text, mode, why);
    if (!glob)
        return *why ? XF_NOT_PARSED : XF_NO_MEMORY;
    return xf_set_add_glob(set, glob) ? XF_PARSED : XF_NO_MEMORY;
}

enum xf_parsed xf_value_add(enum xf_class class, const char *text, const struct xf_scope *scope,
                            struct xf_set *set, const char **why)
{
    struct xf_range range;
    if (class >= XF_CLASS_TEXT)
        return add_text(class, text, set, why);
    if (class == XF_CLASS_ADDR) {
        struct xf_addr_range addrs;
        unsigned family = 0;
        if (!parse_addrs(text, &family, &addrs, why))
            return XF_NOT_PARSED;
        return xf_set_add_addr(set, family, addrs) ? XF_PARSED : XF_NO_MEMORY;
    }
    if (xf_value_number(class, text, scope, &range, why))
        return add_range(set, range);
    if (class == XF_CLASS_USER || class == XF_CLASS_GROUP)
        return *text >= '0' && *text <= '9'
                   ? XF_NOT_PARSED
                   : add_id(class == XF_CLASS_GROUP, text, scope, set, why);
    return XF_NOT_PARSED;
}
