// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The packet path in the kernel:
 *
 *   xvmi_out, xvmi_in     ingress and egress of the guest's device: what it sends and receives
 *   xvmi_back_*           ingress of the slow device of one direction: what the agent sends on
 *   xvmi_guard            egress of a slow device: nothing but what we redirect gets to the agent
 *
 * A frame on its way round carries a mark that no guest can set. Liveness of the agent needs no
 * clock: the slow devices belong to its descriptors, and the kernel takes a device that goes away
 * out of the map that we look it up in (dev_map_notification(), kernel/bpf/devmap.c).
 */
#include <linux/types.h>

typedef __u8 uint8_t;
typedef __u16 uint16_t;
typedef __u32 uint32_t;
typedef __u64 uint64_t;

#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_helpers.h>

#include "parse.h"
#include "shared.h"

#define NEXT TC_ACT_UNSPEC /* TCX_NEXT: other programs have their say */
#define DROP TC_ACT_SHOT

const volatile struct xtc_config config;
struct xtc_shared shared;

struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 65536);
    __type(key, struct xvmi_flow);
    __type(value, struct xtc_entry);
} xvmi_flows SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_DEVMAP);
    __uint(max_entries, 2);
    __uint(key_size, sizeof(uint32_t));
    __uint(value_size, sizeof(uint32_t));
} xvmi_slow SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 2);
    __type(key, uint32_t);
    __type(value, struct xtc_counts);
} xvmi_counts SEC(".maps");

/*
 * Flows that this CPU has just let pass, so that most frames need no hash of a whole flow and no
 * walk of a bucket. What a slot says is true for the jiffy in which it was written and until the
 * agent changes its mind about any flow.
 */
#define SLOTS 64
struct slot {
    struct xvmi_flow flow;
    uint32_t tick;
    uint32_t change; /* xtc_shared.change, as it was before the flow was looked up */
};
struct slots {
    struct slot v[SLOTS];
};

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 2);
    __type(key, uint32_t);
    __type(value, struct slots);
} xvmi_recent SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, 256 * 1024);
} xvmi_told SEC(".maps");

XTC_INLINE struct xtc_frame frame_of(struct __sk_buff *skb, uint32_t dir)
{
    return (struct xtc_frame){
        .data = (const uint8_t *)(long)skb->data,
        .end = (const uint8_t *)(long)skb->data_end,
        .len = skb->len,
        .tags = skb->vlan_present,
        .in = dir == XVMI_FLOW_IN,
    };
}

/* NULL: there is no agent. A key of its own keeps `dir` a constant for the verifier. */
XTC_INLINE uint32_t *slow_device(uint32_t dir)
{
    uint32_t key = dir;
    return bpf_map_lookup_elem(&xvmi_slow, &key);
}

XTC_INLINE struct xtc_counts *counts_of(uint32_t dir)
{
    uint32_t key = dir;
    return bpf_map_lookup_elem(&xvmi_counts, &key);
}

/* NULL never happens, but the verifier does not know. Who makes flows meet in a slot wins that they
 * are looked up. */
XTC_INLINE struct slot *slot_of(const struct xvmi_flow *flow, uint32_t dir)
{
    uint32_t key = dir, hash = config.secret ^ *(const uint32_t *)flow->remote ^
                               *(const uint32_t *)(flow->remote + 12);
    struct slots *slots = bpf_map_lookup_elem(&xvmi_recent, &key);
    hash = (hash ^ (uint32_t)flow->lport << 16 ^ flow->rport) * 0x9e3779b1u;
    return slots ? &slots->v[hash >> 26 & (SLOTS - 1)] : 0;
}

/* In the pieces in which the flow was written: wider ones would wait for the stores. */
XTC_INLINE int is_flow(const struct xvmi_flow *a, const struct xvmi_flow *b)
{
    const uint32_t *x = (const uint32_t *)a, *y = (const uint32_t *)b;
    uint32_t differ = (a->lport ^ b->lport) | (a->rport ^ b->rport) | (a->family ^ b->family) |
                      (a->proto ^ b->proto) | (a->direction ^ b->direction) | (a->nic ^ b->nic);
#pragma unroll
    for (int i = 0; i < 9; i++)
        differ |= x[i] ^ y[i];
    return !differ;
}

/* What is not the way of most frames is kept out of it by functions of its own. */
static __noinline void tell(struct __sk_buff *skb, uint32_t dir, int revalidate,
                            struct xtc_counts *counts)
{
    uint32_t len = skb->len, last = len - 1;
    struct xtc_told *told = bpf_ringbuf_reserve(&xvmi_told, sizeof(*told), 0);
    counts->told++;
    if (!told) {
        counts->untold++;
        return;
    }
    told->len = len;
    told->tci = (uint16_t)skb->vlan_tci;
    told->proto = skb->vlan_present ? (uint16_t)skb->vlan_proto : 0;
    told->direction = (uint8_t)dir;
    told->revalidate = (uint8_t)revalidate;
    told->pad[0] = told->pad[1] = 0;
    /* In this form, verifiers of Linux 6.1 and before know that it is 1 to XTC_TOLD_BYTES. */
    if (last >= XTC_TOLD_BYTES)
        last = XTC_TOLD_BYTES - 1;
    barrier_var(last);
    if (last >= XTC_TOLD_BYTES || bpf_skb_load_bytes(skb, 0, told->data, last + 1)) {
        bpf_ringbuf_discard(told, 0);
        counts->untold++;
        return;
    }
    told->have = last + 1;
    bpf_ringbuf_submit(told, 0);
}

/* What there is no agent for. */
XTC_INLINE int orphaned(struct xtc_counts *counts)
{
    counts->orphaned++;
    return config.orphaned == XTC_FATE_PASS ? NEXT : DROP;
}

XTC_INLINE int overflow(struct xtc_counts *counts)
{
    counts->overflow++;
    return config.overflow == XTC_FATE_PASS ? NEXT : DROP;
}

/* Is any frame of this direction in flight? */
XTC_INLINE int is_busy(const struct xtc_path *path)
{
    return *(volatile uint32_t *)&path->held != *(volatile uint32_t *)&path->released;
}

XTC_INLINE uint32_t in_lane(const struct xtc_lane *lane)
{
    return *(volatile uint32_t *)&lane->entered - *(volatile uint32_t *)&lane->acked;
}

static __noinline int hold(struct __sk_buff *skb, struct xtc_path *path, struct xtc_lane *lane,
                           uint32_t slow, struct xtc_counts *counts)
{
    uint32_t before = in_lane(lane);
    if (!before) {
        lane->drain = 0;
        lane->left = lane->entered;
    }
    if (before >= config.lane)
        lane->drain = 1;
    if (lane->drain ||
        *(volatile uint32_t *)&path->held - *(volatile uint32_t *)&path->released >= config.queue)
        return overflow(counts);
    __sync_fetch_and_add(&lane->entered, 1);
    __sync_fetch_and_add(&path->held, 1);
    counts->held++;
    skb->mark = config.mark;
    return bpf_redirect(slow, 0);
}

static __noinline int miss(struct __sk_buff *skb, uint32_t dir, struct xtc_lane *lane,
                           struct xtc_counts *counts)
{
    uint32_t *slow = slow_device(dir);
    if (!slow)
        return orphaned(counts);
    if (config.miss == XTC_FATE_HOLD)
        return hold(skb, &shared.path[dir & 1], lane, *slow, counts);
    counts->missed++;
    tell(skb, dir, 0, counts);
    return config.miss == XTC_FATE_PASS ? NEXT : DROP;
}

/* The agent is behind: others may send by now. Where frames cannot wait, they go on. */
XTC_INLINE int is_unproven(const struct xtc_entry *entry, uint64_t now)
{
    uint64_t proven = *(volatile uint64_t *)&shared.proven;
    if (!entry->watched || config.miss != XTC_FATE_HOLD)
        return 0;
    if (proven < entry->decided || entry->decided < shared.since)
        proven = entry->decided;
    return now > proven + XTC_PROVEN_NS;
}

/* May this decision be used for this packet? */
static __noinline int holds(struct __sk_buff *skb, uint32_t dir, struct xtc_entry *entry, int opens,
                            struct xtc_counts *counts)
{
    uint64_t now = bpf_ktime_get_coarse_ns();
    int due = now >= entry->due;
    if (opens && (config.miss == XTC_FATE_HOLD || now > entry->decided + XTC_OPEN_NS))
        return 0;
    entry->tick = (uint32_t)bpf_jiffies64();
    if (entry->packets == 1)
        due = 1;
    else if (entry->packets)
        __sync_fetch_and_add(&entry->packets, -1);
    if (!slow_device(dir))
        return 1; /* without an agent, what was decided goes on */
    if (is_unproven(entry, now))
        return 0;
    if (!due)
        return 1;
    if (!entry->asked) {
        entry->asked = 1;
        if (now < entry->due) /* by the count of packets */
            entry->due = now;
        tell(skb, dir, 1, counts);
        return 1;
    }
    return now - entry->due < XTC_GRACE_NS;
}

/*
 * Where both ends of a connection are on this machine, the frame that just came back is answered,
 * and the answer to that sent, before the agent's write() returns. All that was in the lane came
 * back, the last of it on this CPU: what is sent here now comes after it.
 */
XTC_INLINE int is_answer(const struct xtc_lane *lane, uint32_t number,
                         const struct xtc_counts *counts)
{
    uint32_t left = *(volatile uint32_t *)&lane->left;
    return left == *(volatile uint32_t *)&lane->entered &&
           counts->back == ((uint64_t)number << 32 | left);
}

/* A plain frame of a flow that did not just pass; `opens` a flow, or is of another `other` mac. */
static __noinline int look_closer(struct __sk_buff *skb, uint32_t dir, const struct xvmi_flow *flow,
                                  int opens, int other)
{
    uint32_t change = *(volatile uint32_t *)&shared.change;
    struct xtc_entry *entry = other ? 0 : bpf_map_lookup_elem(&xvmi_flows, flow);
    struct slot *recent;
    struct xtc_counts *counts = counts_of(dir);
    struct xtc_path *path = &shared.path[dir & 1];
    uint32_t number = xtc_lane_of(flow, config.secret), *slow;
    struct xtc_lane *lane = &path->lanes[number];
    if (!counts)
        return DROP;
    if (!entry || entry->epoch != shared.epoch || !holds(skb, dir, entry, opens, counts))
        return miss(skb, dir, lane, counts);
    if (entry->verdict != XVMI_VERDICT_PASS) {
        if (config.orphaned == XTC_FATE_PASS && !slow_device(dir))
            return orphaned(counts);
        counts->dropped++;
        return DROP;
    }
    slow = in_lane(lane) && !is_answer(lane, number, counts) ? slow_device(dir) : 0;
    if (slow)
        return hold(skb, path, lane, *slow, counts);
    counts->passed++;
    recent = slot_of(flow, dir);
    if (recent && !opens && !entry->packets)
        *recent = (struct slot){*flow, entry->tick, change};
    return NEXT;
}

static __noinline int not_plain(struct __sk_buff *skb, uint32_t dir)
{
    struct xtc_counts *counts = counts_of(dir);
    return counts ? miss(skb, dir, &shared.path[dir & 1].lanes[0], counts) : DROP;
}

/* A frame with another source address than the device's, if that matters: its flow may be known,
 * but says nothing about it. The frame was parsed, so the header is there. */
XTC_INLINE int is_other_mac(const struct xtc_frame *frame)
{
    const uint8_t *from = frame->data + 6;
    if (!shared.own_mac || frame->data + 14 > frame->end)
        return 0;
    return *(const uint32_t *)from != *(const uint32_t *)shared.mac ||
           *(const uint16_t *)(from + 4) != *(const uint16_t *)(shared.mac + 4);
}

/* What the agent decided comes by once more. */
static __noinline int come_back(struct __sk_buff *skb, uint32_t dir)
{
    struct xvmi_flow flow = {.vm = config.vm, .direction = (uint8_t)dir, .nic = config.nic};
    struct xtc_frame frame = frame_of(skb, dir);
    struct xtc_counts *counts = counts_of(dir);
    int opens, next = NEXT;
    skb->mark = 0;
    __sync_fetch_and_add(&shared.path[dir & 1].left, 1);
    if (counts && xtc_parse(&frame, &flow, &opens)) {
        uint32_t lane = xtc_lane_of(&flow, config.secret);
        __sync_fetch_and_add(&shared.path[dir & 1].lanes[lane].left, 1);
        counts->back = (uint64_t)lane << 32 | shared.path[dir & 1].lanes[lane].left;
    }
    /* Were it known to be a constant, r0 would hold anything, and the verifier mind. */
    barrier_var(next);
    return next;
}

/* A frame whose headers do not all lie in its linear part: that is made longer, which costs as much
 * as all the rest. */
static __noinline int parse_longer(struct __sk_buff *skb, uint32_t dir, struct xvmi_flow *flow,
                                   int *opens)
{
    uint32_t want = skb->len < XTC_HEADERS ? skb->len : XTC_HEADERS;
    if ((uint32_t)(skb->data_end - skb->data) >= want || bpf_skb_pull_data(skb, want))
        return 0;
    struct xtc_frame frame = frame_of(skb, dir);
    *flow = (struct xvmi_flow){.vm = config.vm, .direction = (uint8_t)dir, .nic = config.nic};
    return xtc_parse(&frame, flow, opens);
}

XTC_INLINE int judge(struct __sk_buff *skb, uint32_t dir)
{
    struct xvmi_flow flow = {.vm = config.vm, .direction = (uint8_t)dir, .nic = config.nic};
    struct xtc_counts *counts;
    struct slot *recent;
    int opens, other;
    if (skb->mark == config.mark)
        return come_back(skb, dir);
    struct xtc_frame frame = frame_of(skb, dir);
    if (!xtc_parse(&frame, &flow, &opens)) {
        if (!parse_longer(skb, dir, &flow, &opens))
            return not_plain(skb, dir);
        frame = frame_of(skb, dir);
    }
    other = dir == XVMI_FLOW_OUT && is_other_mac(&frame);
    recent = slot_of(&flow, dir);
    if (!recent || opens || other || recent->tick != (uint32_t)bpf_jiffies64() ||
        recent->change != *(volatile uint32_t *)&shared.change || !is_flow(&recent->flow, &flow) ||
        is_busy(&shared.path[dir]))
        return look_closer(skb, dir, &flow, opens, other);
    counts = counts_of(dir);
    if (counts)
        counts->passed++;
    return NEXT;
}

SEC("tc")
int xvmi_out(struct __sk_buff *skb)
{
    return judge(skb, XVMI_FLOW_OUT);
}

SEC("tc")
int xvmi_in(struct __sk_buff *skb)
{
    return judge(skb, XVMI_FLOW_IN);
}

SEC("tc")
int xvmi_back_out(struct __sk_buff *skb)
{
    skb->mark = config.mark;
    return bpf_redirect(config.ifindex, BPF_F_INGRESS);
}

SEC("tc")
int xvmi_back_in(struct __sk_buff *skb)
{
    skb->mark = config.mark;
    return bpf_redirect(config.ifindex, 0);
}

SEC("tc")
int xvmi_guard(struct __sk_buff *skb)
{
    if (skb->mark != config.mark)
        return DROP;
    skb->mark = 0;
    return NEXT;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
