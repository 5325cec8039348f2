// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Decisions that leave and enter: walking the table, and the form in which they travel. */
#include <string.h>

#include "cache/table.h"

/*
 * Little-endian, as all hosts are on which guests are watched; another order shows in the
 * magic. Header, then `count` records, nothing behind them. The checksum is over the
 * header without it and all records. It finds damage, not forgery: who can write the export can
 * decide. Import believes no record without validation either.
 */
#define MAGIC   UINT64_C(0x48434143494d5658) /* "XVMICACH" */
#define VERSION 1u

struct header {
    uint64_t magic;
    uint32_t version;
    uint32_t record_size;
    uint64_t count;
    uint64_t policy;
    uint64_t checksum;
};

struct record {
    struct xvmi_flow flow; /* vm is 0: the importer has its own number */
    uint32_t pad;
    struct xvmi_decision decision; /* epoch and validated are 0: both are the host's own */
};
_Static_assert(sizeof(struct header) == 40 && sizeof(struct record) == 112, "written to disk");

/* SipHash-1-3 with a key that is no secret. */
static uint64_t rotl(uint64_t x, unsigned n)
{
    return x << n | x >> (64 - n);
}

struct sip {
    uint64_t v0, v1, v2, v3;
};

static void sip_round(struct sip *s)
{
    s->v0 += s->v1;
    s->v2 += s->v3;
    s->v1 = rotl(s->v1, 13) ^ s->v0;
    s->v3 = rotl(s->v3, 16) ^ s->v2;
    s->v0 = rotl(s->v0, 32) + s->v3;
    s->v2 += s->v1;
    s->v1 = rotl(s->v1, 17) ^ s->v2;
    s->v3 = rotl(s->v3, 21) ^ s->v0;
    s->v2 = rotl(s->v2, 32);
}

static void mix(struct sip *sum, const void *data, size_t len)
{
    const uint8_t *p = data;
    for (size_t i = 0; i < len; i += sizeof(uint64_t)) {
        uint64_t word;
        memcpy(&word, p + i, sizeof(word));
        sum->v3 ^= word;
        sip_round(sum);
        sum->v0 ^= word;
    }
}

static struct sip mix_header(const struct header *header)
{
    struct sip sum = {0x736f6d6570736575, 0x646f72616e646f6d, 0x6c7967656e657261,
                      0x7465646279746573};
    mix(&sum, header, offsetof(struct header, checksum));
    return sum;
}

static uint64_t mixed(struct sip sum)
{
    sum.v2 ^= 0xff;
    for (unsigned i = 0; i < 3; i++)
        sip_round(&sum);
    return sum.v0 ^ sum.v1 ^ sum.v2 ^ sum.v3;
}

bool xvmi_cache_next(const struct xvmi_cache *cache, uint64_t *cursor, struct xvmi_flow *flow,
                     struct xvmi_decision *decision)
{
    uint64_t slots = (uint64_t)cache->ngroups * XC_WAYS;
    for (uint64_t slot = *cursor; slot < slots; slot++) {
        struct xc_copy copy;
        if (!atomic_load_explicit(&cache->groups[slot / XC_WAYS].tags[slot % XC_WAYS],
                                  memory_order_acquire) ||
            !xc_slot_read(cache, slot, &copy) ||
            !xc_current(cache, (uint32_t)copy.w[6], (uint32_t)(copy.w[0] >> 32)))
            continue;
        xc_copy_out(cache, &copy, flow, decision);
        *cursor = slot + 1;
        return true;
    }
    *cursor = slots;
    return false;
}

enum xvmi_status xvmi_cache_export(const struct xvmi_cache *cache, uint32_t vm, uint64_t policy,
                                   void *buf, size_t size, size_t *len, struct xvmi_error *err)
{
    struct header header = {
        .magic = MAGIC, .version = VERSION, .record_size = sizeof(struct record), .policy = policy};
    uint8_t *out = buf;
    size_t used = sizeof(header);
    struct record record;
    uint64_t cursor = 0;
    memset(&record, 0, sizeof(record));
    while (xvmi_cache_next(cache, &cursor, &record.flow, &record.decision)) {
        if (record.flow.vm != vm)
            continue;
        record.flow.vm = 0;
        record.decision.epoch = 0;
        record.decision.validated = 0;
        record.decision.flags &= (uint16_t)~XVMI_DECISION_IMPORTED;
        if (used <= size && sizeof(record) <= size - used)
            memcpy(out + used, &record, sizeof(record));
        used += sizeof(record);
        header.count++;
    }
    *len = used;
    if (used > size)
        return xvmi_error_set(err, XVMI_ERR_LIMIT, "cache export: %zu bytes are needed, not %zu",
                              used, size);
    struct sip sum = mix_header(&header);
    mix(&sum, out + sizeof(header), used - sizeof(header));
    header.checksum = mixed(sum);
    memcpy(out, &header, sizeof(header));
    return XVMI_OK;
}

static enum xvmi_status check_header(const struct header *header, const uint8_t *buf, size_t len,
                                     struct xvmi_error *err)
{
    if (header->magic != MAGIC)
        return xvmi_error_set(err, XVMI_ERR_FORMAT, "not an exported cache");
    if (header->version != VERSION || header->record_size != sizeof(struct record))
        return xvmi_error_set(err, XVMI_ERR_FORMAT, "version %u, record size %u: not known here",
                              header->version, header->record_size);
    size_t body = len - sizeof(*header);
    if (body % sizeof(struct record) || body / sizeof(struct record) != header->count)
        return xvmi_error_set(err, XVMI_ERR_FORMAT, "%llu records promised, %zu bytes given",
                              (unsigned long long)header->count, body);
    struct sip sum = mix_header(header);
    mix(&sum, buf + sizeof(*header), body);
    if (mixed(sum) != header->checksum)
        return xvmi_error_set(err, XVMI_ERR_FORMAT, "checksum is wrong");
    return XVMI_OK;
}

/* Fit a record to this cache; false when no export writes such a thing. */
static bool take_record(const struct xvmi_cache *cache, const uint8_t *from, struct record *record)
{
    memcpy(record, from, sizeof(*record));
    struct xvmi_decision *decision = &record->decision;
    if (record->flow.vm || record->pad || decision->epoch || decision->validated ||
        decision->flags & ~XVMI_DECISION_COUNT)
        return false;
    if (!cache->counters)
        decision->flags = 0;
    return xvmi_flow_valid(&record->flow) && xc_decision_valid(cache, decision);
}

enum xvmi_status xvmi_cache_import(struct xvmi_cache *cache, uint32_t vm, uint64_t policy,
                                   const void *buf, size_t len, uint64_t *taken,
                                   struct xvmi_error *err)
{
    struct header header;
    if (taken)
        *taken = 0;
    if (len < sizeof(header))
        return xvmi_error_set(err, XVMI_ERR_FORMAT, "cache import: %zu bytes are no header", len);
    memcpy(&header, buf, sizeof(header));
    enum xvmi_status status = check_header(&header, buf, len, err);
    if (status)
        return xvmi_error_frame(err, status, "cache import");
    if (header.policy != policy)
        return xvmi_error_set(err, XVMI_ERR_MISMATCH,
                              "cache import: decided by policy %016llx, here is %016llx",
                              (unsigned long long)header.policy, (unsigned long long)policy);

    uint32_t clock = (uint32_t)xc_stamp(cache, 0);
    const uint8_t *records = (const uint8_t *)buf + sizeof(header);
    struct record record;
    for (uint64_t i = 0; i < header.count; i++)
        if (!take_record(cache, records + i * sizeof(record), &record))
            return xvmi_error_set(err, XVMI_ERR_FORMAT, "cache import: record %llu is malformed",
                                  (unsigned long long)i);
    for (uint64_t i = 0; i < header.count; i++) {
        if (!take_record(cache, records + i * sizeof(record), &record))
            return xvmi_error_set(err, XVMI_ERR_CHANGED, "cache import: changed while reading");
        record.flow.vm = vm;
        uint64_t stamp = xvmi_cache_stamp(cache, &record.flow);
        stamp = (stamp & ~(uint64_t)UINT32_MAX) | clock;
        if (!xc_insert(cache, &record.flow, &record.decision, stamp, true, true) && taken)
            ++*taken;
    }
    return XVMI_OK;
}
