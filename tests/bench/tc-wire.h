/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef TC_WIRE_H
#define TC_WIRE_H

#include <stdbool.h>

/* What bench-tc sends over: a bridge between taps, and real TCP, a network namespace being the
 * guest, behind veth0 of ours. */

void tc_wire_hosts(void);
/* Connect, ask, be answered, close, for a while: connections a second, and a second of CPU time of
 * all threads of the process: client, server and agent. */
struct tc_wire_rate {
    double wall, cpu;
};
struct tc_wire_rate tc_wire_connections(void);

/* A firewall as one would write it without knowing of processes: ports, and connection tracking. */
void tc_wire_rules(bool on);

/* Two taps: what a VMM writes to the one can be read from the other. */
struct tc_wire_line {
    const char *dev; /* of the guest */
    int guest, wire;
};
/* Ports of a bridge that knows where frames go. */
struct tc_wire_line tc_wire_bridge(void);

/* A program on the ingress of a device of ours, which is brought up. */
void tc_wire_attach(const char *dev, int prog);

#endif
