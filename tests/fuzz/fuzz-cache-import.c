// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * xvmi_cache_import(): the input as it is, and again with a header that is right about it, so that
 * the records are looked at too. What was refused left nothing behind; what was taken can be
 * exported again and is due.
 */
#include <stdlib.h>

#include "support/cache-flows.h"

enum { HEADER = 40, RECORD = 112, POLICY = 1, VM = 3 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void put(uint8_t *to, uint64_t value, size_t len)
{
    memcpy(to, &value, len);
}

static uint64_t rotl(uint64_t x, unsigned n)
{
    return x << n | x >> (64 - n);
}

static void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = rotl(v[1], 13) ^ v[0];
    v[0] = rotl(v[0], 32);
    v[2] += v[3];
    v[3] = rotl(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = rotl(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = rotl(v[1], 17) ^ v[2];
    v[2] = rotl(v[2], 32);
}

/* SipHash-1-3 of the header without its checksum and of all records, with the key 0. */
static uint64_t checksum(const uint8_t *buf, size_t size)
{
    uint64_t v[4] = {0x736f6d6570736575, 0x646f72616e646f6d, 0x6c7967656e657261,
                     0x7465646279746573};
    for (size_t i = 0; i < size; i += 8) {
        uint64_t word;
        if (i == HEADER - 8)
            continue;
        memcpy(&word, buf + i, 8);
        v[3] ^= word;
        sip_round(v);
        v[0] ^= word;
    }
    v[2] ^= 0xff;
    for (unsigned i = 0; i < 3; i++)
        sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static void import(const uint8_t *buf, size_t size, bool counters)
{
    struct xvmi_cache *cache = test_cache(XVMI_CACHE_MEMORY_MIN, counters);
    struct xvmi_error err = XVMI_ERROR_INIT;
    uint64_t taken, cursor = 0, seen = 0;
    enum xvmi_status status = xvmi_cache_import(cache, VM, POLICY, buf, size, &taken, &err);
    struct xvmi_flow flow;
    struct xvmi_decision decision;
    while (xvmi_cache_next(cache, &cursor, &flow, &decision)) {
        struct xvmi_packet packet = {.flow = flow};
        struct xvmi_answer answer;
        xvmi_cache_lookup(cache, &packet, 1, 0, &answer, NULL);
        if (answer.outcome != XVMI_REVALIDATE || flow.vm != VM || !xvmi_flow_valid(&flow))
            abort();
        seen++;
    }
    if (status ? seen || !err.text[0] : seen > taken)
        abort();
    size_t len;
    uint8_t *out = malloc(HEADER + seen * RECORD);
    if (xvmi_cache_export(cache, VM, POLICY, out, HEADER + seen * RECORD, &len, NULL) ||
        xvmi_cache_import(cache, VM + 1, POLICY, out, len, NULL, NULL))
        abort();
    free(out);
    xvmi_cache_unref(cache);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    import(data, size, size % 2);
    size_t n = size / RECORD;
    uint8_t *whole = calloc(1, HEADER + n * RECORD);
    put(whole, UINT64_C(0x48434143494d5658), 8);
    put(whole + 8, 1, 4);
    put(whole + 12, RECORD, 4);
    put(whole + 16, n, 8);
    put(whole + 24, POLICY, 8);
    if (n)
        memcpy(whole + HEADER, data, n * RECORD);
    put(whole + 32, checksum(whole, HEADER + n * RECORD), 8);
    import(whole, HEADER + n * RECORD, size % 2);
    free(whole);
    return 0;
}
