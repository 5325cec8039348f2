// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The parser of the packet path, inside the host's kernel: what it says of one frame. */
#include <linux/types.h>

typedef __u8 uint8_t;
typedef __u16 uint16_t;
typedef __u32 uint32_t;
typedef __u64 uint64_t;

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "parse.h"

const volatile int in;
struct xvmi_flow found;

SEC("tc")
int parse(struct __sk_buff *skb)
{
    struct xvmi_flow flow = {.vm = 7, .direction = in ? XVMI_FLOW_IN : XVMI_FLOW_OUT, .nic = 1};
    struct xtc_frame frame = {
        .data = (const uint8_t *)(long)skb->data,
        .end = (const uint8_t *)(long)skb->data_end,
        .len = skb->len,
        .tags = skb->vlan_present,
        .in = in,
    };
    int opens;
    if (!xtc_parse(&frame, &flow, &opens))
        return 0;
    found = flow;
    return opens ? 2 : 1;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
