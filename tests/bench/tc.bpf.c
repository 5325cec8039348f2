// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What bench-tc compares with: nothing, a look-up and no more, a frame told through a ring. */
#include <linux/types.h>

typedef __u8 uint8_t;
typedef __u16 uint16_t;
typedef __u32 uint32_t;
typedef __u64 uint64_t;

#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_helpers.h>

#include "shared.h"

struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 65536);
    __type(key, struct xvmi_flow);
    __type(value, struct xtc_entry);
} bare_flows SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, 256 * 1024);
} bare_ring SEC(".maps");

SEC("tc")
int bare_empty(struct __sk_buff *skb)
{
    (void)skb;
    return TC_ACT_UNSPEC;
}

static __attribute__((always_inline)) inline int key_of(struct __sk_buff *skb,
                                                        struct xvmi_flow *flow)
{
    uint8_t *data = (uint8_t *)(long)skb->data, *end = (uint8_t *)(long)skb->data_end;
    if (data + 42 > end)
        return 0;
    flow->family = 2;
    flow->proto = data[23];
    *(uint32_t *)flow->local = *(uint32_t *)(data + 26);
    *(uint32_t *)flow->remote = *(uint32_t *)(data + 30);
    flow->lport = __builtin_bswap16(*(uint16_t *)(data + 34));
    flow->rport = __builtin_bswap16(*(uint16_t *)(data + 36));
    return 1;
}

SEC("tc")
int bare_lookup(struct __sk_buff *skb)
{
    struct xvmi_flow flow = {0};
    struct xtc_entry *entry;
    if (!key_of(skb, &flow))
        return TC_ACT_SHOT;
    entry = bpf_map_lookup_elem(&bare_flows, &flow);
    return entry && entry->verdict == XVMI_VERDICT_PASS ? TC_ACT_UNSPEC : TC_ACT_SHOT;
}

SEC("tc")
int bare_tell(struct __sk_buff *skb)
{
    struct xvmi_flow flow = {0};
    if (key_of(skb, &flow))
        bpf_ringbuf_output(&bare_ring, &flow, sizeof(flow), 0);
    return TC_ACT_SHOT;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
