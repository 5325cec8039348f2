// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * bench-tc IMAGE [BAR...]   The packet path, in network namespaces of its own, with the memory of
 * a guest that stands still behind it. Senders are looked up in IMAGE for real; which of its
 * connections a packet belongs to is made up.
 */
#include <pthread.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <net/if.h>
#include <sys/epoll.h>

#include "bench.h"
#include "support/netbox.h"
#include "tc-guest.h"
#include "tc-wire.h"
#include "tc/attach.h"
#include "tc/tc.h"

#define HELD_FRAMES 2000u

static struct netbox box;

static void check(bool good, const char *what)
{
    if (good)
        return;
    fprintf(stderr, "bench-tc: %s\n", what);
    exit(1);
}

static int program(struct bpf_object *object, const char *name)
{
    struct bpf_program *p = bpf_object__find_program_by_name(object, name);
    check(p, name);
    return bpf_program__fd(p);
}

static struct bpf_object *bare_programs(void)
{
    struct bpf_object *object = bpf_object__open_file(BENCH_BPF_OBJECT, NULL);
    check(object && !bpf_object__load(object), BENCH_BPF_OBJECT);
    return object;
}

static void row(const char *name, const struct bench_series *s, const char *unit)
{
    printf("%-36s %12.1f %12.1f %12.1f  %s\n", name, bench_median(s), bench_quantile(s, 0.25),
           bench_quantile(s, 0.75), unit);
}

static void head(const char *title)
{
    printf("\n%-36s %12s %12s %12s\n", title, "median", "quartile", "quartile");
}

/* ---- the program alone ---- */

/* The filter's own program, newest first. */
static int our_program(void)
{
    uint32_t id = 0, found = 0, len;
    while (!bpf_prog_get_next_id(id, &id)) {
        struct bpf_prog_info info = {0};
        int fd = bpf_prog_get_fd_by_id(id);
        len = sizeof(info);
        if (fd >= 0 && !bpf_obj_get_info_by_fd(fd, &info, &len) && !strcmp(info.name, "xvmi_out"))
            found = id;
        if (fd >= 0)
            close(fd);
    }
    return bpf_prog_get_fd_by_id(found);
}

static double run_once(int prog, const struct frame *f)
{
    LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = f->data, .data_size_in = (uint32_t)f->len,
                .repeat = 200000);
    check(!bpf_prog_test_run_opts(prog, &opts), "BPF_PROG_TEST_RUN");
    check((int)opts.retval == -1, "the frame does not pass");
    return opts.duration;
}

static void bench_cost(void)
{
    struct frame f = udp4(4000, 53, 18);
    struct bpf_object *bare = bare_programs();
    struct bench_series s[3] = {{.n = 0}}, net = {.n = 0}, lookup = {.n = 0};
    struct xvmi_flow flow = {.family = 2, .proto = 17, .lport = 4000, .rport = 53};
    struct xtc_entry entry = {.verdict = XVMI_VERDICT_PASS};
    static const char *const names[] = {"empty program", "look-up in an LRU map", "filter"};
    memcpy(flow.local, f.data + 26, 4);
    memcpy(flow.remote, f.data + 30, 4);
    int map = bpf_object__find_map_fd_by_name(bare, "bare_flows");
    check(!bpf_map_update_elem(map, &flow, &entry, 0), "bare_flows");
    tc_guest_filter(NETBOX_DEV, true);
    for (int i = 0; i < 2; i++) { /* the second makes it known */
        struct frame out;
        netbox_put(box.guest, &f);
        tc_guest_work();
        check(netbox_get(box.wire, &out), "a first frame is lost");
    }
    int progs[] = {program(bare, "bare_empty"), program(bare, "bare_lookup"), our_program()};
    for (unsigned round = 0; round <= bench_rounds(); round++) {
        double v[3] = {1e9, 1e9, 1e9};
        for (int i = 0; i < 15; i++) { /* what else the machine does only adds */
            tc_guest_work();           /* UDP flows are known while the agent has an eye on them */
            double ns = run_once(progs[i % 3], &f);
            v[i % 3] = ns < v[i % 3] ? ns : v[i % 3];
        }
        if (!round)
            continue;
        for (int i = 0; i < 3; i++)
            bench_add(&s[i], v[i]);
        bench_add(&lookup, v[1] - v[0]);
        bench_add(&net, (v[2] - v[0]) / (v[1] - v[0]));
    }
    head("a known flow, ns a frame");
    for (int i = 0; i < 3; i++)
        row(names[i], &s[i], "ns");
    bench_at_most("tc-cost-vs-lookup", bench_median(&net), 1.3);
    close(progs[2]);
    bpf_object__close(bare);
    tc_guest_unfilter();
}

/* ---- established flows ---- */

#define BURST 64u /* frames that a VMM writes in one go; the wire's queue has room for them */

/* Frames as a VMM writes them: small ones, and what a guest's TCP leaves to its device to cut. */
struct load {
    const char *name, *bar;
    const struct tc_wire_line *line;
    unsigned bursts;
    size_t len; /* with its header */
    uint8_t data[NETBOX_HEADER + 65536];
};

static void fill_load(struct load *load)
{
    struct frame f = load->len > 2000 ? tcp4(5000, 80, 0x10) : udp4(4000, 53, load->len - 54);
    struct virtio_net_hdr_v1 *header = (struct virtio_net_hdr_v1 *)load->data;
    size_t total = load->len - NETBOX_HEADER - 14;
    memcpy(load->data + NETBOX_HEADER, f.data, f.len);
    load->data[NETBOX_HEADER + 16] = (uint8_t)(total >> 8);
    load->data[NETBOX_HEADER + 17] = (uint8_t)total;
    if (load->len <= 2000)
        return;
    *header = (struct virtio_net_hdr_v1){.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
                                         .gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
                                         .hdr_len = 54,
                                         .gso_size = 1448,
                                         .csum_start = 34,
                                         .csum_offset = 16};
}

/* Everything arrives: what is dropped on the way would cost less. */
static void drain(const struct load *load)
{
    static uint8_t data[NETBOX_HEADER + 65536];
    for (unsigned i = 0; i < BURST; i++)
        check(read(load->line->wire, data, sizeof(data)) == (ssize_t)load->len, "a frame is lost");
}

/* Frames in a second of CPU time of the VMM's thread, from its write() to the wire's queue. */
static double rate(const struct load *load, bool filtered)
{
    uint64_t ns = 0;
    for (unsigned burst = 0; burst < load->bursts; burst++) {
        uint64_t begin = bench_cpu_ns();
        for (unsigned i = 0; i < BURST; i++)
            netbox_put_raw(load->line->guest, load->data, load->len);
        ns += bench_cpu_ns() - begin;
        drain(load);
        if (filtered) /* UDP flows are known while the agent has an eye on them */
            tc_guest_work();
    }
    return load->bursts * BURST * 1e9 / (double)ns;
}

/* An empty program at the same hook is the least that any filter costs. */
enum { UNFILTERED, EMPTY, WITH_FILTER, HOW };
static const char *const how_names[] = {"unfiltered", "an empty program", "filtered"};

static void hook_filter(const struct load *load)
{
    static uint8_t data[NETBOX_HEADER + 65536];
    tc_guest_filter(load->line->dev, true);
    for (int i = 0; i < 2; i++) {
        netbox_put_raw(load->line->guest, load->data, load->len);
        tc_guest_work();
        check(read(load->line->wire, data, sizeof(data)) > 0, "a first frame is lost");
    }
}

static double rate_by(const struct load *load, int how, int empty)
{
    struct xvmi_error err = XVMI_ERROR_INIT;
    struct xtc_hook hook = XTC_NO_HOOK;
    if (how == WITH_FILTER)
        hook_filter(load);
    if (how == EMPTY)
        check(!xtc_attach((int)if_nametoindex(load->line->dev), false, empty, false, &hook, &err),
              err.text);
    double v = rate(load, how == WITH_FILTER);
    if (how == WITH_FILTER)
        tc_guest_unfilter();
    xtc_detach(&hook);
    return v;
}

static void bench_load(struct load *load, int empty)
{
    struct bench_series rates[HOW] = {{.n = 0}}, ratio[HOW] = {{.n = 0}};
    char name[64];
    fill_load(load);
    for (unsigned round = 0; round < bench_rounds(); round++) {
        double best[HOW] = {0};
        for (int turn = 0; turn < 8 * HOW; turn++) { /* what else the machine does only adds */
            double v = rate_by(load, turn % HOW, empty);
            best[turn % HOW] = v > best[turn % HOW] ? v : best[turn % HOW];
        }
        for (int how = 0; how < HOW; how++) {
            bench_add(&rates[how], best[how] / 1e3);
            bench_add(&ratio[how], best[how] / best[UNFILTERED] * 100);
        }
    }
    for (int how = 0; how < HOW; how++) {
        snprintf(name, sizeof(name), "%s, %s", load->name, how_names[how]);
        row(name, &rates[how], "k/s");
    }
    row("  empty program / unfiltered", &ratio[EMPTY], "%");
    row("  filtered / unfiltered", &ratio[WITH_FILTER], "%");
    if (load->bar)
        bench_at_least(load->bar, bench_median(&ratio[WITH_FILTER]) / 100, 0.98);
}

static void bench_rate(void)
{
    const struct tc_wire_line redirect = {.dev = NETBOX_DEV, .guest = box.guest, .wire = box.wire};
    const struct tc_wire_line bridge = tc_wire_bridge();
    enum { SMALL = NETBOX_HEADER + 64, UDP = NETBOX_HEADER + 1000, TCP = NETBOX_HEADER + 65000 };
    struct bpf_object *bare = bare_programs();
    static struct load load;
    const struct load loads[] = {
        {.name = "64 bytes", .line = &bridge, .bursts = 200, .len = SMALL},
        {.name = "1000 bytes",
         .bar = "tc-established-udp",
         .line = &bridge,
         .bursts = 200,
         .len = UDP},
        {.name = "64 KiB to be cut",
         .bar = "tc-established-tcp",
         .line = &bridge,
         .bursts = 40,
         .len = TCP},
        {.name = "1000 bytes, redirected", .line = &redirect, .bursts = 200, .len = UDP},
        {.name = "64 KiB, redirected", .line = &redirect, .bursts = 40, .len = TCP},
    };
    head("frames a second of CPU time, one tap");
    for (unsigned i = 0; i < sizeof(loads) / sizeof(*loads); i++) {
        load = loads[i];
        bench_load(&load, program(bare, "bare_empty"));
    }
    close(bridge.guest);
    close(bridge.wire);
    bpf_object__close(bare);
}

/* ---- a held frame ---- */

static volatile uint32_t seen; /* by the agent of the bare round trip */
static volatile bool stop_agent;

static int bare_told(void *context, void *data, size_t size)
{
    (void)context;
    (void)data;
    (void)size;
    __atomic_store_n(&seen, seen + 1, __ATOMIC_RELEASE);
    return 0;
}

static void *bare_agent(void *ring)
{
    xtc_hurry();
    while (!stop_agent)
        (void)ring_buffer__poll(ring, 100);
    return NULL;
}

/* p50 and p99 of single round trips, each after a pause in which the agent falls asleep. */
struct latency {
    double p50, p99;
};

static struct latency quantiles(double *v)
{
    qsort(v, HELD_FRAMES, sizeof(*v), bench_compare);
    return (struct latency){v[HELD_FRAMES / 2], v[HELD_FRAMES * 99 / 100]};
}

static struct latency bare_latency(int tap)
{
    static double v[HELD_FRAMES];
    struct frame f = udp4(4000, 53, 18);
    for (unsigned i = 0; i < HELD_FRAMES; i++) {
        uint32_t before = __atomic_load_n(&seen, __ATOMIC_ACQUIRE);
        bench_pause_us(100);
        double begin = bench_wall_us();
        netbox_put(tap, &f);
        while (__atomic_load_n(&seen, __ATOMIC_ACQUIRE) == before)
            ;
        v[i] = bench_wall_us() - begin;
    }
    return quantiles(v);
}

static struct latency held_latency(void)
{
    static double v[HELD_FRAMES];
    static unsigned port;
    uint8_t data[2048];
    for (unsigned i = 0; i < HELD_FRAMES; i++) {
        struct frame f = udp4(1024 + port % 60000, 53 + port / 60000, 18);
        port++;
        bench_pause_us(100);
        double begin = bench_wall_us();
        netbox_put(box.guest, &f);
        while (read(box.wire, data, sizeof(data)) < 0)
            ;
        v[i] = bench_wall_us() - begin;
    }
    return quantiles(v);
}

static void bench_held(void)
{
    struct bpf_object *bare = bare_programs();
    struct bench_series b[2] = {{.n = 0}}, h[2] = {{.n = 0}}, ratio = {.n = 0};
    int tap = netbox_tap("bare0", false);
    pthread_t thread;
    tc_wire_attach("bare0", program(bare, "bare_tell"));
    struct ring_buffer *ring =
        ring_buffer__new(bpf_object__find_map_fd_by_name(bare, "bare_ring"), bare_told, NULL, NULL);
    check(ring, "ring buffer");
    pthread_create(&thread, NULL, bare_agent, ring);
    tc_guest_filter(NETBOX_DEV, false);
    for (unsigned round = 0; round <= bench_rounds(); round++) {
        struct latency l[2] = {{0}};
        for (unsigned turn = 0; turn < 2; turn++)
            l[(round + turn) & 1] = (round + turn) & 1 ? held_latency() : bare_latency(tap);
        if (!round)
            continue;
        bench_add(&b[0], l[0].p50);
        bench_add(&b[1], l[0].p99);
        bench_add(&h[0], l[1].p50);
        bench_add(&h[1], l[1].p99);
        bench_add(&ratio, l[1].p50 / l[0].p50);
    }
    stop_agent = true;
    pthread_join(thread, NULL);
    tc_guest_unfilter();
    head("a frame of an unknown flow");
    row("ring buffer and epoll, p50", &b[0], "us");
    row("ring buffer and epoll, p99", &b[1], "us");
    row("held, decided, sent on, p50", &h[0], "us");
    row("held, decided, sent on, p99", &h[1], "us");
    bench_at_most("tc-held-vs-ring", bench_median(&ratio), 1.5);
    ring_buffer__free(ring);
    bpf_object__close(bare);
    close(tap);
}

/* ---- connections ---- */

enum { PLAIN, FILTERED, NFTABLES, WAYS };

static void set_way(unsigned way, bool on)
{
    if (way == FILTERED && on)
        tc_guest_filter("veth0", false);
    else if (way == FILTERED)
        tc_guest_unfilter();
    else if (way == NFTABLES)
        tc_wire_rules(on);
}

static void bench_connections(void)
{
    static const char *const names[] = {"unfiltered", "filtered", "nftables, by port alone"};
    struct bench_series wall[WAYS] = {{.n = 0}}, cpu[WAYS] = {{.n = 0}};
    struct bench_series wall_ratio = {.n = 0}, cpu_ratio = {.n = 0};
    tc_wire_hosts();
    for (unsigned round = 0; round <= bench_rounds(); round++) {
        struct tc_wire_rate v[WAYS] = {{0}};
        for (unsigned turn = 0; turn < WAYS; turn++) {
            unsigned way = (round + turn) % WAYS;
            set_way(way, true);
            v[way] = tc_wire_connections();
            set_way(way, false);
        }
        if (!round)
            continue;
        for (int i = 0; i < WAYS; i++) {
            bench_add(&wall[i], v[i].wall);
            bench_add(&cpu[i], v[i].cpu);
        }
        bench_add(&wall_ratio, v[FILTERED].wall / v[PLAIN].wall * 100);
        bench_add(&cpu_ratio, v[FILTERED].cpu / v[PLAIN].cpu * 100);
    }
    head("connections with a request a second");
    for (int i = 0; i < WAYS; i++)
        row(names[i], &wall[i], "/s");
    row("  filtered / unfiltered", &wall_ratio, "%");
    head("the same a second of CPU time");
    for (int i = 0; i < WAYS; i++)
        row(names[i], &cpu[i], "/s");
    row("  filtered / unfiltered", &cpu_ratio, "%");
    bench_at_least("tc-connections", bench_median(&wall_ratio) / 100, 0.90);
}

int main(int argc, char **argv)
{
    if (argc < 2 || geteuid()) {
        fprintf(stderr, "usage: bench-tc IMAGE [BAR...], as root\n");
        return 2;
    }
    tc_guest_open(argv[1]);
    netbox_open(&box);
    if (bench_wanted(argc - 1, argv + 1, "tc-cost-vs-lookup"))
        bench_cost();
    if (bench_wanted(argc - 1, argv + 1, "tc-established-udp") ||
        bench_wanted(argc - 1, argv + 1, "tc-established-tcp"))
        bench_rate();
    if (bench_wanted(argc - 1, argv + 1, "tc-held-vs-ring"))
        bench_held();
    if (bench_wanted(argc - 1, argv + 1, "tc-connections"))
        bench_connections();
    tc_guest_close();
    return 0;
}
