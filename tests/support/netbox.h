/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef NETBOX_H
#define NETBOX_H

/*
 * A network namespace of the calling process with two taps, joined: what a VMM writes to `guest`
 * comes out of `wire`, and back. A filter of priority 100 on the ingress of each passes frames
 * on. Needs root; goes with the process.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/virtio_net.h>

#include "support/frame-writer.h"

struct netbox {
    int guest, wire; /* taps, with struct virtio_net_hdr_v1 in front of each frame */
};

#define NETBOX_DEV    "tap0"
#define NETBOX_HEADER sizeof(struct virtio_net_hdr_v1)

void netbox_open(struct netbox *box);
/* Another queue of the guest's tap, which was made with several. */
int netbox_tap(const char *name, bool queues);

void netbox_put(int fd, const struct frame *f);
void netbox_put_raw(int fd, const void *header_and_frame, size_t len);
/* The next frame, without its header; false when none comes for 5 s. */
bool netbox_get(int fd, struct frame *f);
/* With its header; its length, 0 when none comes. */
size_t netbox_get_raw(int fd, void *header_and_frame, size_t size);
/* Is one waiting? Will one be, before so many ms are over? */
bool netbox_has(int fd);
bool netbox_wait(int fd, int ms);

#endif
