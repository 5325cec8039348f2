/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef TC_GUEST_H
#define TC_GUEST_H

/* The guest behind bench-tc, and its filter. What fails ends the program. */

#include <stdbool.h>
#include <stddef.h>

#include "tc/shared.h"

void tc_guest_open(const char *image);
void tc_guest_close(void);
/* Filter a device; the agent is a thread, or the caller by tc_guest_work(). */
void tc_guest_filter(const char *dev, bool by_hand);
void tc_guest_work(void); /* nothing, where there is none or it is a thread */
void tc_guest_unfilter(void);
/* May the frame pass? For agents of others, which ask the same filter; and when they are done. */
bool tc_guest_decide(const void *frame, size_t len);
void tc_guest_undecide(void);

#endif
