/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XF_FRAME_H
#define XF_FRAME_H

/*
 * What a frame is: its flow, and what rules can ask of it. Freestanding and with constant
 * bounds, no allocation, no state: nothing here keeps it from being compiled for BPF.
 *
 *   Ethernet, up to two VLAN tags (802.1Q, 802.1ad); ARP; IPv4 with options; IPv6 with up to
 *   eight extension headers; TCP, UDP, UDP-Lite, SCTP, DCCP, ICMP, ICMPv6; others by number.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "filter/packet.h"

enum xf_frame_kind {
    XF_FRAME_MALFORMED,
    XF_FRAME_ARP,      /* RARP included */
    XF_FRAME_ND,       /* neighbour discovery and multicast listener reports that stay on the
                          link: what a kernel sends by itself. Router advertisements and
                          redirects are not among them: no guest sends those by itself */
    XF_FRAME_OTHER,    /* neither IP nor ARP */
    XF_FRAME_PACKET,   /* `packet` is valid */
    XF_FRAME_FRAGMENT, /* a later fragment: addresses and protocol of `packet` are valid */
};

#define XF_VLANS_MAX      2
#define XF_EXTENSIONS_MAX 8

struct xf_frame {
    enum xf_frame_kind kind;
    struct xf_packet packet;
    bool opens;         /* TCP SYN without ACK, SCTP INIT */
    bool fragmented;    /* a first fragment, or a later one */
    uint32_t fragment;  /* identification of the datagram */
    uint16_t l3, l4;    /* offsets of the IP header and of what it carries */
    uint32_t end;       /* where the IP packet ends; padding follows */
    const char *reason; /* why it is malformed: a constant */
};

/* `nic` and `vm` go into the flow. True unless the frame is malformed. */
bool xf_frame_parse(const uint8_t *data, size_t len, enum xvmi_flow_direction direction,
                    uint32_t vm, uint8_t nic, struct xf_frame *frame);

#endif
