// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * bench-nfqueue IMAGE   The packet path beside what else holds packets for a program: NFQUEUE,
 * whose agent asks the same filter about the same guest, and connection tracking that knows what
 * was let pass; and beside a firewall that knows only ports. All on the same bridge between two
 * taps.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include <libnetfilter_queue/libnetfilter_queue.h>
#include <linux/netfilter.h>

#include "bench.h"
#include "support/netbox.h"
#include "tc-guest.h"
#include "tc-wire.h"
#include "tc/tc.h"

#define FRAMES  1000u
#define BURST   64u
#define BURSTS  200u
#define QUEUE   0
#define DECIDED 1 /* the mark of what was let pass */

enum { UNFILTERED, FILTERED, NFQUEUE, NFTABLES, WAYS };
static const char *const names[] = {"unfiltered", "filtered", "NFQUEUE, then connection tracking",
                                    "nftables, by port alone"};

static struct tc_wire_line line;
static pthread_t agent;
static struct nfq_handle *nfq;
static volatile bool stop;

static void check(bool good, const char *what)
{
    if (good)
        return;
    fprintf(stderr, "bench-nfqueue: %s\n", what);
    exit(1);
}

static void command(const char *words)
{
    check(!system(words), words);
}

/* ---- the agent of NFQUEUE ---- */

static int decide(struct nfq_q_handle *queue, struct nfgenmsg *msg, struct nfq_data *data,
                  void *context)
{
    /* What is queued begins with the IP header; addresses of the link are known here. */
    static uint8_t frame[14 + 65536] = {2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0};
    struct nfqnl_msg_packet_hdr *head = nfq_get_msg_packet_hdr(data);
    uint8_t *packet;
    int len = nfq_get_payload(data, &packet);
    (void)msg;
    (void)context;
    if (!head || len < 0 || (size_t)len > sizeof(frame) - 14)
        return -1;
    memcpy(frame + 14, packet, (size_t)len);
    bool pass = tc_guest_decide(frame, 14 + (size_t)len);
    return nfq_set_verdict2(queue, ntohl(head->packet_id), pass ? NF_ACCEPT : NF_DROP,
                            pass ? DECIDED : 0, 0, NULL);
}

static void *serve(void *context)
{
    static char message[0x20000];
    (void)context;
    xtc_hurry();
    while (!stop) {
        ssize_t n = recv(nfq_fd(nfq), message, sizeof(message), 0);
        if (n > 0)
            nfq_handle_packet(nfq, message, (int)n);
    }
    return NULL;
}

static void start_agent(void)
{
    const struct timeval patience = {.tv_usec = 100000};
    nfq = nfq_open();
    check(nfq, "nfq_open");
    struct nfq_q_handle *queue = nfq_create_queue(nfq, QUEUE, decide, NULL);
    check(queue && !nfq_set_mode(queue, NFQNL_COPY_PACKET, 0xffff) &&
              !nfq_set_queue_flags(queue, NFQA_CFG_F_GSO, NFQA_CFG_F_GSO) &&
              !setsockopt(nfq_fd(nfq), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)),
          "NFQUEUE");
    stop = false;
    pthread_create(&agent, NULL, serve, NULL);
}

static void stop_agent(void)
{
    stop = true;
    pthread_join(agent, NULL);
    nfq_close(nfq);
}

/* ---- the ways ---- */

#define BRIDGE "/proc/sys/net/bridge/bridge-nf-call-iptables"

static void nfqueue(bool on)
{
    if (!on) {
        command("iptables-legacy -F; iptables-legacy -t mangle -F; echo 0 >" BRIDGE);
        stop_agent();
        tc_guest_undecide();
        return;
    }
    start_agent();
    command("echo 1 >" BRIDGE "; iptables-legacy -A FORWARD -m connmark --mark 1 -j ACCEPT &&"
            " iptables-legacy -A FORWARD -m physdev --physdev-in vnet0 -j NFQUEUE --queue-num 0 &&"
            " iptables-legacy -t mangle -A POSTROUTING -m mark --mark 1 -j CONNMARK --save-mark");
}

static void set_way(int way, bool on)
{
    if (way == FILTERED && on)
        tc_guest_filter(line.dev, false);
    else if (way == FILTERED)
        tc_guest_unfilter();
    else if (way == NFQUEUE)
        nfqueue(on);
    else if (way == NFTABLES)
        command(on ? "nft 'table bridge bench { chain f { type filter hook forward priority 0;"
                     " policy drop; iifname vnet0 ip protocol udp udp dport 53-1000 accept;"
                     " iifname vnet0 tcp dport { 80, 443 } accept; }; }'"
                   : "nft delete table bridge bench");
}

/* ---- measuring ---- */

/* With the checksum that bridges with netfilter look at. */
static struct frame datagram(unsigned sport, unsigned dport, size_t payload)
{
    struct frame f = udp4(sport, dport, payload);
    uint32_t sum = 0;
    f.data[24] = f.data[25] = 0;
    for (int i = 14; i < 34; i += 2)
        sum += (uint32_t)(f.data[i] << 8 | f.data[i + 1]);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = ~((sum & 0xffff) + (sum >> 16));
    f.data[24] = (uint8_t)(sum >> 8);
    f.data[25] = (uint8_t)sum;
    return f;
}

static void expect_frame(void)
{
    struct frame got;
    check(netbox_get(line.wire, &got), "a frame is lost");
}

/* p50 of the time that the first frame of a flow takes. */
static double first_frame(void)
{
    static double v[FRAMES];
    static unsigned port;
    uint8_t data[2048];
    for (unsigned i = 0; i < FRAMES; i++, port++) {
        struct frame f = datagram(1024 + port % 60000, 53 + port / 60000, 18);
        bench_pause_us(100); /* the agent falls asleep */
        double begin = bench_wall_us();
        netbox_put(line.guest, &f);
        while (read(line.wire, data, sizeof(data)) < 0)
            ;
        v[i] = bench_wall_us() - begin;
    }
    qsort(v, FRAMES, sizeof(*v), bench_compare);
    return v[FRAMES / 2];
}

/* Frames of a known flow in a second of CPU time of the VMM's thread, in thousands. */
static double known_frames(void)
{
    struct frame f = datagram(900, 53, 900);
    uint64_t ns = 0;
    for (int i = 0; i < 3; i++) { /* it gets known */
        netbox_put(line.guest, &f);
        expect_frame();
    }
    for (unsigned burst = 0; burst < BURSTS; burst++) {
        uint64_t begin = bench_cpu_ns();
        for (unsigned i = 0; i < BURST; i++)
            netbox_put(line.guest, &f);
        ns += bench_cpu_ns() - begin;
        for (unsigned i = 0; i < BURST; i++)
            expect_frame();
    }
    return BURSTS * BURST * 1e6 / (double)ns;
}

static void print(const char *title, const struct bench_series *s, const char *unit)
{
    printf("\n%-36s %12s %12s %12s\n", title, "median", "quartile", "quartile");
    for (int way = 0; way < WAYS; way++)
        printf("%-36s %12.1f %12.1f %12.1f  %s\n", names[way], bench_median(&s[way]),
               bench_quantile(&s[way], 0.25), bench_quantile(&s[way], 0.75), unit);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    struct bench_series first[WAYS] = {{.n = 0}}, known[WAYS] = {{.n = 0}};
    struct netbox box;
    if (argc < 2 || geteuid()) {
        fprintf(stderr, "usage: bench-nfqueue IMAGE, as root\n");
        return 2;
    }
    tc_guest_open(argv[1]);
    netbox_open(&box); /* for its network namespace */
    line = tc_wire_bridge();
    for (unsigned round = 0; round <= bench_rounds(); round++)
        for (unsigned turn = 0; turn < WAYS; turn++) {
            int way = (int)((round + turn) % WAYS);
            set_way(way, true);
            double us = first_frame(), rate = known_frames();
            set_way(way, false);
            if (!round)
                continue;
            bench_add(&first[way], us);
            bench_add(&known[way], rate);
        }
    print("first frame of a flow, p50", first, "us");
    print("frames of a known flow, CPU time", known, "k/s");
    tc_guest_close();
    return 0;
}
