// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Frames whose look-up takes long. What was not found within a slice of time is put aside, and the
 * frames behind it have their turn, but for those of its lane: order is kept there. It is tried
 * again when nothing else waits, with twice the time, until it may take as long as a look-up may.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "private.h"

static void tell(const struct xtc *tc, bool any)
{
    uint64_t one = 1;
    if (any)
        (void)!write(tc->more, &one, sizeof(one));
    else
        (void)!read(tc->more, &one, sizeof(one));
}

static bool is_any(const struct xtc *tc)
{
    return tc->ways[0].n_late || tc->ways[1].n_late;
}

bool xtc_is_behind(const struct xtc_way *way, uint16_t lane)
{
    for (uint32_t i = 0; i < way->n_late; i++)
        if (way->late[i].lane == lane)
            return true;
    return false;
}

bool xtc_put_aside(struct xtc *tc, struct xtc_way *way, uint16_t lane, size_t len, bool tried)
{
    if (!way->late)
        way->late = calloc(tc->options.queue, sizeof(*way->late));
    /* The program lets no more than `queue` in. */
    uint8_t *packet = way->late && way->n_late < tc->options.queue ? malloc(len) : NULL;
    if (!packet)
        return false;
    memcpy(packet, tc->buffer, len);
    if (!is_any(tc))
        tell(tc, true);
    way->late[way->n_late++] = (struct xtc_late){packet, len, lane, tried};
    return true;
}

/* The first frame of its lane that was tried least. */
static uint32_t choose(const struct xtc_way *way)
{
    uint64_t seen[XTC_LANES / 64] = {0};
    uint32_t best = way->n_late;
    for (uint32_t i = 0; i < way->n_late; i++) {
        const uint16_t lane = way->late[i].lane;
        const uint64_t bit = UINT64_C(1) << lane % 64;
        if (!(seen[lane / 64] & bit) &&
            (best == way->n_late || way->late[i].tries < way->late[best].tries))
            best = i;
        seen[lane / 64] |= bit;
    }
    return best;
}

static void drop(struct xtc *tc, struct xtc_way *way, uint32_t i)
{
    free(way->late[i].packet);
    memmove(&way->late[i], &way->late[i + 1], (way->n_late - i - 1) * sizeof(*way->late));
    way->n_late--;
    if (!is_any(tc))
        tell(tc, false);
}

void xtc_try_late(struct xtc *tc, enum xvmi_flow_direction direction)
{
    struct xtc_way *way = &tc->ways[direction];
    if (!way->n_late || way->n_acks == XTC_BATCH)
        return;
    const uint32_t i = choose(way);
    struct xtc_late *late = &way->late[i];
    memcpy(tc->buffer, late->packet, late->len);
    if (!xtc_decide(tc, direction, late->len, XTC_SLICE_NS << late->tries)) {
        late->tries++;
        return;
    }
    way->acks[way->n_acks++] = late->lane;
    drop(tc, way, i);
}

void xtc_late_free(struct xtc *tc, struct xtc_way *way)
{
    while (way->n_late)
        drop(tc, way, way->n_late - 1);
    free(way->late);
    way->late = NULL;
}
