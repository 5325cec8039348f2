/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef MOCK_BACKEND_H
#define MOCK_BACKEND_H

/*
 * A backend over memory of the test: any ranges, mapped or not, reads that are counted and
 * can be made to fail. Guest-physical address N of an unmapped range is byte N of `ram`.
 */

#include <xvmi/mem.h>

struct mock {
    uint8_t *ram;
    size_t size;
    struct xvmi_mem_range ranges[8];
    size_t n;
    bool live;

    uint64_t bad_from, bad_to; /* reads that touch this fail with bad_status */
    enum xvmi_status bad_status;
    enum xvmi_status batch_status; /* of a batch as a whole */
    bool changed;                  /* what refresh() says */
    enum xvmi_status refresh_status;

    unsigned reads, batches, elements, closed;
};

/* What mock_ops has, without the optional functions. */
extern const struct xvmi_mem_ops mock_plain_ops;
extern const struct xvmi_mem_ops mock_ops;

struct xvmi_mem_backend mock_backend(struct mock *mock, const struct xvmi_mem_ops *ops);

#endif
