// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Any bytes as a frame, and the answer to it where there is one, which must itself parse. */
#include <stdlib.h>

#include <xvmi/filter.h>

#include "filter/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t out[XVMI_REJECT_FRAME_MAX];
    struct xf_frame frame, answer;
    for (int in = 0; in < 2; in++) {
        bool good = xf_frame_parse(data, size, in, 0, 0, &frame);
        if (good != (frame.kind != XF_FRAME_MALFORMED))
            abort();
        if (frame.kind != XF_FRAME_PACKET)
            continue;
        if (!xvmi_flow_valid(&frame.packet.flow) || frame.end > size || frame.l4 > frame.end)
            abort();
    }
    size_t n = xvmi_filter_reject(data, size, out, sizeof(out));
    if (n &&
        (!xf_frame_parse(out, n, XVMI_FLOW_IN, 0, 0, &answer) || answer.kind != XF_FRAME_PACKET ||
         answer.end != n || xvmi_filter_reject(out, n, out, sizeof(out))))
        abort();
    return 0;
}
