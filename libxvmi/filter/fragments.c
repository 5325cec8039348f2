// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <stdlib.h>
#include <string.h>

#include "filter/fragments.h"

#define SETS     256u
#define WAYS     4u
#define LIFETIME 30000000000u /* IP_FRAG_TIME, include/net/ip.h; IPv6 has 60 s, no more is wise */

/* What makes fragments those of one datagram: RFC 791, RFC 8200. */
struct key {
    uint8_t local[16], remote[16];
    uint32_t fragment;
    uint8_t family, proto, direction, nic;
};

struct entry {
    struct key key;
    uint64_t at; /* 0: empty */
    uint32_t rule, epoch;
    uint8_t verdict;
};

struct xf_fragments {
    uint64_t secret;
    struct entry entries[SETS][WAYS];
};

struct xf_fragments *xf_fragments_new(uint64_t secret)
{
    struct xf_fragments *fragments = calloc(1, sizeof(*fragments));
    if (fragments)
        fragments->secret = secret;
    return fragments;
}

/* In IPv6 each fragment names its own next header; only the first's is that of the datagram. */
static struct key key_of(const struct xf_frame *frame)
{
    const struct xvmi_flow *flow = &frame->packet.flow;
    struct key key = {
        .fragment = frame->fragment,
        .family = flow->family,
        .proto = flow->family == 2 ? flow->proto : 0,
        .direction = flow->direction,
        .nic = flow->nic,
    };
    memcpy(key.local, flow->local, sizeof(key.local));
    memcpy(key.remote, flow->remote, sizeof(key.remote));
    return key;
}

static unsigned set_of(const struct xf_fragments *fragments, const struct key *key)
{
    const uint8_t *bytes = (const uint8_t *)key;
    uint64_t hash = fragments->secret;
    for (size_t i = 0; i < sizeof(*key); i++) {
        hash = (hash ^ bytes[i]) * 0x9e3779b97f4a7c15u;
        hash ^= hash >> 29;
    }
    return (unsigned)(hash >> 32) % SETS;
}

void xf_fragments_put(struct xf_fragments *fragments, const struct xf_frame *frame, uint8_t verdict,
                      uint32_t rule, uint32_t epoch, uint64_t now)
{
    struct key key = key_of(frame);
    struct entry *set = fragments->entries[set_of(fragments, &key)], *to = set;
    for (unsigned i = 0; i < WAYS; i++) {
        if (set[i].at && !memcmp(&set[i].key, &key, sizeof(key))) {
            to = &set[i];
            break;
        }
        if (set[i].at < to->at)
            to = &set[i];
    }
    *to = (struct entry){key, now ? now : 1, rule, epoch, verdict};
}

bool xf_fragments_get(const struct xf_fragments *fragments, const struct xf_frame *frame,
                      uint32_t epoch, uint64_t now, uint8_t *verdict, uint32_t *rule)
{
    struct key key = key_of(frame);
    const struct entry *set = fragments->entries[set_of(fragments, &key)];
    for (unsigned i = 0; i < WAYS; i++) {
        const struct entry *e = &set[i];
        if (!e->at || e->epoch != epoch || memcmp(&e->key, &key, sizeof(key)) ||
            now - e->at > LIFETIME)
            continue;
        *verdict = e->verdict;
        *rule = e->rule;
        return true;
    }
    return false;
}
