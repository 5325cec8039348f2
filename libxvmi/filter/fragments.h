/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XF_FRAGMENTS_H
#define XF_FRAGMENTS_H

/*
 * Later fragments have no ports: they follow the verdict of the first. Bounded: 1024 datagrams,
 * the oldest of four gives way; an entry holds for the 30 s in which Linux reassembles.
 */

#include "filter/frame.h"

struct xf_fragments; /* free() it */

struct xf_fragments *xf_fragments_new(uint64_t secret);
/* The verdict on a first fragment. `epoch` is the policy's: older entries say nothing. */
void xf_fragments_put(struct xf_fragments *fragments, const struct xf_frame *frame, uint8_t verdict,
                      uint32_t rule, uint32_t epoch, uint64_t now);
/* False when the first was not seen. */
bool xf_fragments_get(const struct xf_fragments *fragments, const struct xf_frame *frame,
                      uint32_t epoch, uint64_t now, uint8_t *verdict, uint32_t *rule);

#endif
