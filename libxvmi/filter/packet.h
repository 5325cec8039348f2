/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XF_PACKET_H
#define XF_PACKET_H

#include <stdbool.h>

#include <xvmi/flow.h>

/* What rules can ask of a packet. Source is the flow's local side when it goes out. */
struct xf_packet {
    struct xvmi_flow flow;
    bool has_ports, has_type;
    uint8_t type, code; /* of ICMP */
    bool answers;       /* what kernels send by themselves, without a socket: a TCP RST, an answer
                           by ICMP, IGMP */
};

#endif
