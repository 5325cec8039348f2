/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef TC_WIRE_H
#define TC_WIRE_H

#include <stdbool.h>

/* Real TCP for bench-tc: a network namespace as the guest, behind veth0 of ours. */

void tc_wire_hosts(void);
/* Connect, ask, be answered, close, for a while: connections a second, and a second of CPU time of
 * all threads of the process: client, server and agent. */
struct tc_wire_rate {
    double wall, cpu;
};
struct tc_wire_rate tc_wire_connections(void);

/* A firewall as one would write it without knowing of processes: ports, and connection tracking. */
void tc_wire_rules(bool on);

/* A program on the ingress of a device of ours, which is brought up. */
void tc_wire_attach(const char *dev, int prog);

#endif
