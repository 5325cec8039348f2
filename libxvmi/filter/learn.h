/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XF_LEARN_H
#define XF_LEARN_H

/* The allow-list that the traffic seen would need: who sent what to or from which port. */

#include <xvmi/filter.h>

#include "filter/match.h"

/* Kinds of traffic that are told apart; what comes after is counted. */
#define XF_LEARN_MAX 16384u
/* With more ports than this, a rule allows them all. */
#define XF_LEARN_PORTS 64u

struct xf_learn;

struct xf_learn *xf_learn_new(void);
void xf_learn_free(struct xf_learn *learn);
/* Only what goes out: a policy needs no rules for the rest. */
void xf_learn_packet(struct xf_learn *learn, const struct xf_packet *packet,
                     struct xf_facts *facts);
/* As a policy for the guest `vm`; NULL when memory is out. To be freed. */
char *xf_learn_write(const struct xf_learn *learn, const struct xvmi_filter_stats *stats,
                     const char *vm);

#endif
