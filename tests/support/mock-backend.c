// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "support/mock-backend.h"

#include <string.h>

static void mock_close(void *ctx)
{
    struct mock *mock = ctx;
    mock->closed++;
}

static enum xvmi_status mock_ranges(void *ctx, const struct xvmi_mem_range **ranges, size_t *n,
                                    struct xvmi_error *err)
{
    (void)err;
    struct mock *mock = ctx;
    *ranges = mock->ranges;
    *n = mock->n;
    return XVMI_OK;
}

static enum xvmi_status read_one(struct mock *mock, uint64_t gpa, void *dst, size_t len,
                                 struct xvmi_error *err)
{
    if (gpa < mock->bad_to && mock->bad_from < gpa + len)
        return xvmi_error_set(err, mock->bad_status, "mock: 0x%lx is bad", gpa);
    if (gpa > mock->size || len > mock->size - gpa)
        return xvmi_error_set(err, XVMI_ERR_NOT_PRESENT, "mock: 0x%lx is beyond RAM", gpa);
    memcpy(dst, mock->ram + gpa, len);
    return XVMI_OK;
}

static enum xvmi_status mock_read(void *ctx, uint64_t gpa, void *dst, size_t len,
                                  struct xvmi_error *err)
{
    struct mock *mock = ctx;
    mock->reads++;
    return read_one(mock, gpa, dst, len, err);
}

static enum xvmi_status mock_batch(void *ctx, struct xvmi_mem_read *reads, size_t n,
                                   struct xvmi_error *err)
{
    struct mock *mock = ctx;
    mock->batches++;
    mock->elements += (unsigned)n;
    if (mock->batch_status)
        return xvmi_error_set(err, mock->batch_status, "mock: no batch");
    for (size_t i = 0; i < n; i++)
        reads[i].status = read_one(mock, reads[i].gpa, reads[i].dst, reads[i].len, NULL);
    return XVMI_OK;
}

static enum xvmi_status mock_refresh(void *ctx, bool *changed, struct xvmi_error *err)
{
    struct mock *mock = ctx;
    *changed = mock->changed;
    if (mock->refresh_status)
        return xvmi_error_set(err, mock->refresh_status, "mock: cannot refresh");
    return XVMI_OK;
}

const struct xvmi_mem_ops mock_plain_ops = {
    .size = sizeof(mock_plain_ops),
    .close = mock_close,
    .ranges = mock_ranges,
    .read = mock_read,
};

const struct xvmi_mem_ops mock_ops = {
    .size = sizeof(mock_ops),
    .close = mock_close,
    .ranges = mock_ranges,
    .read = mock_read,
    .read_batch = mock_batch,
    .refresh = mock_refresh,
};

struct xvmi_mem_backend mock_backend(struct mock *mock, const struct xvmi_mem_ops *ops)
{
    return (struct xvmi_mem_backend){
        .size = sizeof(struct xvmi_mem_backend),
        .ops = ops,
        .ctx = mock,
        .vcpus = 3,
        .live = mock->live,
    };
}
