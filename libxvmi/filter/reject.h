/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XF_REJECT_H
#define XF_REJECT_H

/* The answer to a frame that is refused: a TCP RST, else ICMP "administratively prohibited"
 * (RFC 1812, RFC 4443), as if the addressee had sent it. */

#include "filter/frame.h"

#define XF_REJECT_MAX (22 + 1280) /* Ethernet with two VLAN tags, and the least MTU of IPv6 */

/*
 * Writes the frame that goes back where the offending one came from. Returns its length, 0 when
 * none may be sent: to an RST, an ICMP error, a fragment, a broadcast or multicast, or from an
 * address that is nobody's (RFC 1122 3.2.2, RFC 4443 2.4).
 */
size_t xf_reject_build(const uint8_t *data, size_t len, const struct xf_frame *frame,
                       uint8_t out[XF_REJECT_MAX]);

#endif
