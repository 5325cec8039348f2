// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * The parser of the packet path in the kernel against the library's: what it answers for, the
 * library says as well, and it answers for what is plain. The first byte says which direction, and
 * how many VLAN tags the kernel took out of the frame.
 */
#include <stdlib.h>
#include <string.h>

#include "filter/frame.h"
#include "tc/parse.h"

static void compare(const uint8_t *data, size_t len, unsigned tags, int in)
{
    uint8_t whole[4096];
    struct xvmi_flow flow = {.vm = 7, .direction = (uint8_t)in, .nic = 1};
    struct xtc_frame frame = {data, data + len, (uint32_t)len, tags, in};
    struct xf_frame parsed;
    size_t head = len < 12 ? len : 12;
    int opens, plain = xtc_parse(&frame, &flow, &opens);
    memcpy(whole, data, head);
    for (unsigned i = 0; i < tags; i++)
        memcpy(whole + head + 4 * i, "\x81\0\0\7", 4);
    memcpy(whole + head + 4 * tags, data + head, len - head);
    xf_frame_parse(whole, len + 4 * tags, (enum xvmi_flow_direction)in, 7, 1, &parsed);
    if (plain) {
        if (parsed.kind != XF_FRAME_PACKET || parsed.fragmented || parsed.opens != (opens != 0) ||
            memcmp(&flow, &parsed.packet.flow, sizeof(flow)))
            abort();
        if (xtc_lane_of(&flow, 5) >= XTC_LANES)
            abort();
        return;
    }
    if (parsed.kind != XF_FRAME_PACKET || parsed.fragmented || parsed.packet.has_type)
        return;
    if (parsed.packet.flow.family == 2 || parsed.l4 == parsed.l3 + 40)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > 4000)
        return 0;
    compare(data + 1, size - 1, data[0] % 3, data[0] >> 7);
    return 0;
}
