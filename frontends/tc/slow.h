/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XTC_SLOW_H
#define XTC_SLOW_H

/* The slow device: a tap of the agent's own, over which frames come to it and go back. */

#include <stdbool.h>

#include <xvmi/error.h>

#include "shared.h"

/* What comes before a frame: struct virtio_net_hdr_v1. */
#define XTC_VNET_HEADER 12u

/*
 * Make it: "xvmiN" for what the device with ifindex N sends, "xvmiNi" for what it receives. The
 * name is a lock: XVMI_ERR_LIMIT when another agent has it. It goes with its descriptor. Frames
 * keep their offloads. Nobody else sends over it: it has no addresses, and see xvmi_guard in
 * tc.bpf.c.
 */
XVMI_CHECKED enum xvmi_status xtc_slow_open(int dev, bool incoming, unsigned queue, int *fd,
                                            int *ifindex, struct xvmi_error *err);

#endif
