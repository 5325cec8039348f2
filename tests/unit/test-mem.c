// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "mem/mem.h"
#include "support/mock-backend.h"

#define PAGE 4096u

/* Byte N is a function of N that differs from page to page. */
static uint8_t ram[8192 * PAGE];

static uint8_t byte_at(uint64_t gpa)
{
    return (uint8_t)(gpa / PAGE * 7 + gpa % PAGE + 1);
}

static struct mock unmapped(void)
{
    for (size_t i = 0; i < sizeof(ram); i++)
        ram[i] = byte_at(i);
    return (struct mock){
        .ram = ram, .size = sizeof(ram), .n = 1, .ranges = {{.gpa = 0, .size = sizeof(ram)}}};
}

static struct xm_mem *opened(struct mock *mock, const struct xvmi_mem_ops *ops)
{
    struct xvmi_error err = XVMI_ERROR_INIT;
    struct xvmi_mem_backend backend = mock_backend(mock, ops);
    struct xm_mem *mem;
    cr_assert_eq(xm_new(&backend, "mock", &mem, &err), XVMI_OK, "%s", err.text);
    return mem;
}

static void refused(struct mock *mock, const struct xvmi_mem_ops *ops, enum xvmi_status status,
                    const char *text)
{
    struct xvmi_error err = XVMI_ERROR_INIT;
    struct xvmi_mem_backend backend = mock_backend(mock, ops);
    struct xm_mem *mem;
    mock->closed = 0;
    cr_assert_eq(xm_new(&backend, "mock", &mem, &err), status);
    cr_assert_str_eq(err.text, text);
    cr_assert_null(mem);
    cr_assert_eq(mock->closed, 1);
}

static void reads_right(struct xm_mem *mem, uint64_t gpa, size_t len)
{
    uint8_t *data = malloc(len + 1);
    struct xvmi_error err = XVMI_ERROR_INIT;
    cr_assert_eq(xm_read(mem, gpa, data, len, &err), XVMI_OK, "%s", err.text);
    for (size_t i = 0; i < len; i++)
        cr_assert_eq(data[i], byte_at(gpa + i));
    free(data);
}

/* --- what a backend may claim --- */

Test(mem, ranges_are_checked)
{
    struct mock mock = {.n = 0};
    refused(&mock, &mock_ops, XVMI_ERR_FORMAT, "mock: 0 memory ranges");
    mock = (struct mock){.n = 1, .ranges = {{.gpa = 0x1000, .size = 0}}};
    refused(&mock, &mock_ops, XVMI_ERR_FORMAT, "mock: memory range 0 at 0x1000 is empty");
    mock = (struct mock){.n = 2, .ranges = {{0x1000, 0x1001, NULL}, {0x2000, 1, NULL}}};
    refused(&mock, &mock_ops, XVMI_ERR_FORMAT,
            "mock: memory range 1 at 0x2000 overlaps or precedes the one at 0x1000");
    mock = (struct mock){.n = 2, .ranges = {{0x2000, 1, NULL}, {0x1000, 1, NULL}}};
    refused(&mock, &mock_ops, XVMI_ERR_FORMAT,
            "mock: memory range 1 at 0x1000 overlaps or precedes the one at 0x2000");
    mock = (struct mock){.n = 1, .ranges = {{1, UINT64_MAX, NULL}}};
    refused(&mock, &mock_ops, XVMI_ERR_FORMAT,
            "mock: memory range 0 at 0x1, 0xffffffffffffffff bytes, wraps around");
    mock = (struct mock){.n = 1, .ranges = {{UINT64_MAX, 1, NULL}}};
    refused(&mock, &mock_ops, XVMI_ERR_FORMAT,
            "mock: memory range 0 at 0xffffffffffffffff, 0x1 bytes, wraps around");
}

Test(mem, ranges_up_to_the_last_address)
{
    struct mock mock = {.n = 1, .ranges = {{1, UINT64_MAX - 1, NULL}}};
    struct xm_mem *mem = opened(&mock, &mock_ops);
    uint8_t byte;
    struct xvmi_error err = XVMI_ERROR_INIT;
    cr_assert_eq(xm_read(mem, UINT64_MAX, &byte, 1, &err), XVMI_ERR_NOT_PRESENT);
    cr_assert_str_eq(err.text, "no RAM at guest-physical 0xffffffffffffffff");
    cr_assert_eq(xm_read(mem, UINT64_MAX - 1, &byte, 1, &err), XVMI_ERR_NOT_PRESENT);
    cr_assert_str_eq(err.text, "mock: 0xfffffffffffffffe is beyond RAM");
    xm_close(mem);
    cr_assert_eq(mock.closed, 1);
}

Test(mem, a_backend_that_cannot_read_must_map)
{
    struct xvmi_mem_ops ops = mock_plain_ops;
    ops.read = NULL;
    struct mock mock = unmapped();
    refused(&mock, &ops, XVMI_ERR_FORMAT,
            "mock: memory range 0 at 0x0 is not mapped and cannot be read");
    mock.ranges[0].host = ram;
    struct xm_mem *mem = opened(&mock, &ops);
    reads_right(mem, 0x1ff0, 0x20);
    xm_close(mem);
    ops.ranges = NULL;
    refused(&mock, &ops, XVMI_ERR_INVALID, "mock: the backend has no ranges()");
}

/* Compiled against a header that ended earlier: what lies behind is not touched. */
Test(mem, an_older_backend)
{
    struct xvmi_mem_ops ops = mock_ops;
    ops.size = offsetof(struct xvmi_mem_ops, read_batch);
    memset((char *)&ops + ops.size, 0xff, sizeof(ops) - ops.size);
    struct mock mock = unmapped();
    struct xm_mem *mem = opened(&mock, &ops);
    struct xvmi_error err = XVMI_ERROR_INIT;
    struct xvmi_vcpu_regs regs;
    size_t len;
    uint64_t start, end;
    bool changed;
    cr_assert_eq(xm_regs(mem, 0, &regs, &err), XVMI_ERR_UNSUPPORTED);
    cr_assert_str_eq(err.text, "mock: no registers come with this memory");
    cr_assert_eq(xm_vmcoreinfo(mem, NULL, 0, &len, &err), XVMI_ERR_NOT_FOUND);
    cr_assert_str_eq(err.text, "mock: no VMCOREINFO comes with this memory");
    cr_assert_eq(xm_next_data(mem, 5, &start, &end, &err), XVMI_OK);
    cr_assert_eq(start, 5);
    cr_assert_eq(end, sizeof(ram));
    cr_assert_eq(xm_refresh(mem, &changed, &err), XVMI_OK);
    cr_assert_not(changed);
    cr_assert_eq(xm_vcpus(mem), 3);
    xm_close(mem);

    ops.size = offsetof(struct xvmi_mem_ops, read);
    struct xvmi_mem_backend backend = mock_backend(&mock, &ops);
    cr_assert_eq(xm_new(&backend, "mock", &mem, &err), XVMI_ERR_INVALID);
    cr_assert_str_eq(err.text, "mock: the backend has no usable ops");
}

/* --- the page cache --- */

Test(cache, a_page_is_read_once)
{
    struct mock mock = unmapped();
    struct xm_mem *mem = opened(&mock, &mock_ops);
    for (int i = 0; i < 3; i++) {
        reads_right(mem, 0x1000, 8);
        reads_right(mem, 0x1ff8, 8);
    }
    cr_assert_eq(mock.reads, 1);
    reads_right(mem, 0x1ffc, 8); /* the next page too */
    cr_assert_eq(mock.reads, 2);
    struct xm_stats stats = xm_stats(mem);
    cr_assert_eq(stats.backend_calls, 2);
    cr_assert_eq(stats.backend_bytes, 2 * PAGE);
    cr_assert_eq(stats.cache_hits, 6);
    cr_assert_null(xm_ptr(mem, 0x1000, 8, NULL));
    xm_close(mem);
}

Test(cache, an_epoch_forgets_what_a_live_guest_said)
{
    struct mock mock = unmapped();
    mock.live = true;
    struct xm_mem *mem = opened(&mock, &mock_ops);
    uint8_t byte;
    cr_assert_eq(xm_read(mem, 0x5000, &byte, 1, NULL), XVMI_OK);
    uint8_t before = byte;
    ram[0x5000] ^= 0xff;
    cr_assert_eq(xm_read(mem, 0x5000, &byte, 1, NULL), XVMI_OK);
    cr_assert_eq(byte, before);
    xm_invalidate(mem);
    cr_assert_eq(xm_read(mem, 0x5000, &byte, 1, NULL), XVMI_OK);
    cr_assert_eq(byte, (uint8_t)(before ^ 0xff));
    cr_assert_eq(mock.reads, 2);
    xm_close(mem);
}

Test(cache, an_image_stays_as_it_is)
{
    struct mock mock = unmapped();
    struct xm_mem *mem = opened(&mock, &mock_ops);
    reads_right(mem, 0x5000, 1);
    xm_invalidate(mem);
    reads_right(mem, 0x5000, 1);
    cr_assert_eq(mock.reads, 1);
    xm_close(mem);
}

/* More pages than it holds: old ones go, what is read stays right. */
Test(cache, is_bounded)
{
    struct mock mock = unmapped();
    struct xm_mem *mem = opened(&mock, &mock_ops);
    for (uint64_t gpa = 0; gpa < sizeof(ram); gpa += PAGE)
        reads_right(mem, gpa + 100, 8);
    cr_assert_eq(mock.reads, 8192);
    for (uint64_t gpa = sizeof(ram) / 2; gpa < sizeof(ram); gpa += PAGE)
        reads_right(mem, gpa + 200, 8); /* the newer 4096 are still there */
    cr_assert_eq(mock.reads, 8192);
    reads_right(mem, 0, 8);
    cr_assert_eq(mock.reads, 8193);
    xm_close(mem);
}

Test(cache, a_page_that_fails_is_not_kept)
{
    struct mock mock = unmapped();
    struct xm_mem *mem = opened(&mock, &mock_ops);
    mock.bad_from = 0x3000;
    mock.bad_to = 0x4000;
    mock.bad_status = XVMI_ERR_GONE;
    uint8_t data[8];
    struct xvmi_error err = XVMI_ERROR_INIT;
    cr_assert_eq(xm_read(mem, 0x2ffc, data, 8, &err), XVMI_ERR_GONE);
    cr_assert_str_eq(err.text, "mock: 0x3000 is bad");
    mock.bad_to = 0;
    reads_right(mem, 0x2ffc, 8);
    xm_close(mem);
}

/* A range need not be whole pages: its first and last bytes are read as they are. */
Test(cache, ranges_of_odd_sizes)
{
    struct mock mock = unmapped();
    mock.ranges[0] = (struct xvmi_mem_range){.gpa = 0x1800, .size = 0x1000};
    mock.ranges[1] = (struct xvmi_mem_range){.gpa = 0x2800, .size = 0x1801};
    mock.n = 2;
    struct xm_mem *mem = opened(&mock, &mock_ops);
    reads_right(mem, 0x1800, 0x2801);
    reads_right(mem, 0x3ffc, 5);
    struct xvmi_error err = XVMI_ERROR_INIT;
    uint8_t data[8];
    cr_assert_eq(xm_read(mem, 0x3ffc, data, 6, &err), XVMI_ERR_NOT_PRESENT);
    cr_assert_str_eq(err.text, "no RAM at guest-physical 0x4001");
    xm_close(mem);
}

Test(cache, a_large_read_goes_past_it)
{
    struct mock mock = unmapped();
    struct xm_mem *mem = opened(&mock, &mock_ops);
    reads_right(mem, 0x800, 256 * PAGE);
    cr_assert_eq(mock.reads, 1);
    cr_assert_eq(xm_stats(mem).backend_bytes, 256 * PAGE);
    reads_right(mem, 0x800, 8);
    cr_assert_eq(mock.reads, 2);
    xm_close(mem);
}

/* --- batches --- */

struct batch {
    struct xvmi_mem_read read[1024];
    uint64_t value[1024];
};

static struct batch *batch_of(size_t n, uint64_t gpa, uint64_t step)
{
    static struct batch batch;
    memset(&batch, 0, sizeof(batch));
    for (size_t i = 0; i < n; i++)
        batch.read[i] = (struct xvmi_mem_read){
            .gpa = gpa + i * step, .dst = &batch.value[i], .len = 8, .status = XVMI_ERR_TIMEOUT};
    return &batch;
}

static void batch_is_right(const struct batch *batch, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        cr_assert_eq(batch->read[i].status, XVMI_OK);
        for (size_t j = 0; j < 8; j++)
            cr_assert_eq(((const uint8_t *)&batch->value[i])[j], byte_at(batch->read[i].gpa + j));
    }
}

Test(batch, one_call_for_many_pages)
{
    struct mock mock = unmapped();
    struct xm_mem *mem = opened(&mock, &mock_ops);
    struct batch *batch = batch_of(100, 0x10ffc, PAGE); /* each on two pages, shared */
    cr_assert_eq(xm_read_batch(mem, batch->read, 100, NULL), XVMI_OK);
    batch_is_right(batch, 100);
    cr_assert_eq(mock.batches, 1);
    cr_assert_eq(mock.elements, 101);
    cr_assert_eq(mock.reads, 0);
    cr_assert_eq(xm_read_batch(mem, batch->read, 100, NULL), XVMI_OK);
    cr_assert_eq(mock.batches, 1); /* all there */
    xm_close(mem);
}

Test(batch, more_pages_than_one_call_takes)
{
    struct mock mock = unmapped();
    struct xm_mem *mem = opened(&mock, &mock_ops);
    struct batch *batch = batch_of(1000, 0x100, PAGE);
    cr_assert_eq(xm_read_batch(mem, batch->read, 1000, NULL), XVMI_OK);
    batch_is_right(batch, 1000);
    cr_assert_eq(mock.batches, 4);
    cr_assert_eq(mock.elements, 1000);
    cr_assert_eq(mock.reads, 0);
    xm_close(mem);
}

/* Pages that all belong to one set of the cache: only some fit, the others are read singly. */
Test(batch, pages_that_compete)
{
    struct mock mock = unmapped();
    struct xm_mem *mem = opened(&mock, &mock_ops);
    struct batch *batch = batch_of(8, 0x100, 1024 * PAGE);
    cr_assert_eq(xm_read_batch(mem, batch->read, 8, NULL), XVMI_OK);
    batch_is_right(batch, 8);
    xm_close(mem);
}

Test(batch, each_read_has_its_own_status)
{
    struct mock mock = unmapped();
    struct xm_mem *mem = opened(&mock, &mock_ops);
    mock.bad_from = 0x3000;
    mock.bad_to = 0x4000;
    mock.bad_status = XVMI_ERR_IO;
    struct batch *batch = batch_of(4, 0x1000, PAGE);
    batch->read[3].gpa = sizeof(ram);
    cr_assert_eq(xm_read_batch(mem, batch->read, 4, NULL), XVMI_OK);
    batch_is_right(batch, 2);
    cr_assert_eq(batch->read[2].status, XVMI_ERR_IO);
    cr_assert_eq(batch->read[3].status, XVMI_ERR_NOT_PRESENT);
    batch->read[0].gpa = UINT64_MAX;
    batch->read[1].len = 0;
    cr_assert_eq(xm_read_batch(mem, batch->read, 2, NULL), XVMI_OK);
    cr_assert_eq(batch->read[0].status, XVMI_ERR_NOT_PRESENT);
    cr_assert_eq(batch->read[1].status, XVMI_OK);
    xm_close(mem);
}

Test(batch, fails_as_a_whole)
{
    struct mock mock = unmapped();
    struct xm_mem *mem = opened(&mock, &mock_ops);
    mock.batch_status = XVMI_ERR_GONE;
    struct batch *batch = batch_of(4, 0x1000, PAGE);
    struct xvmi_error err = XVMI_ERROR_INIT;
    cr_assert_eq(xm_read_batch(mem, batch->read, 4, &err), XVMI_ERR_GONE);
    cr_assert_str_eq(err.text, "mock: no batch");
    mock.batch_status = XVMI_OK;
    cr_assert_eq(xm_read_batch(mem, batch->read, 4, &err), XVMI_OK);
    batch_is_right(batch, 4);
    xm_close(mem);
}

Test(batch, works_without_the_backends_help)
{
    struct mock mock = unmapped();
    struct xm_mem *mem = opened(&mock, &mock_plain_ops);
    struct batch *batch = batch_of(4, 0x1000, PAGE);
    cr_assert_eq(xm_read_batch(mem, batch->read, 4, NULL), XVMI_OK);
    batch_is_right(batch, 4);
    cr_assert_eq(mock.reads, 4);
    xm_close(mem);
}

/* One read that wants a page more than a batch holds. */
Test(batch, a_read_over_very_many_pages)
{
    struct mock mock = unmapped();
    struct xm_mem *mem = opened(&mock, &mock_ops);
    static uint8_t data[256 * PAGE];
    struct xvmi_mem_read reads[2] = {
        {.gpa = 0x1fff, .dst = data, .len = 256 * PAGE - 1},
        {.gpa = 0x400000, .dst = data, .len = 8},
    };
    cr_assert_eq(xm_read_batch(mem, reads, 1, NULL), XVMI_OK);
    cr_assert_eq(reads[0].status, XVMI_OK);
    for (size_t i = 0; i < 256 * PAGE - 1; i++)
        cr_assert_eq(data[i], byte_at(0x1fff + i));
    cr_assert_eq(xm_read_batch(mem, reads, 2, NULL), XVMI_OK);
    cr_assert_eq(reads[1].status, XVMI_OK);
    cr_assert_eq(data[0], byte_at(0x400000));
    xm_close(mem);
}

/* --- a layout that changes --- */

Test(refresh, takes_the_new_ranges)
{
    struct mock mock = unmapped();
    mock.live = true;
    struct xm_mem *mem = opened(&mock, &mock_ops);
    reads_right(mem, 0x5000, 8);
    bool changed;
    struct xvmi_error err = XVMI_ERROR_INIT;
    mock.ranges[0].size = 0x8000;
    cr_assert_eq(xm_refresh(mem, &changed, &err), XVMI_OK);
    cr_assert_not(changed);
    cr_assert_eq(xm_total(mem), sizeof(ram));
    mock.changed = true;
    cr_assert_eq(xm_refresh(mem, &changed, &err), XVMI_OK);
    cr_assert(changed);
    cr_assert_eq(xm_total(mem), 0x8000);
    uint8_t byte;
    cr_assert_eq(xm_read(mem, 0x8000, &byte, 1, NULL), XVMI_ERR_NOT_PRESENT);
    reads_right(mem, 0x5000, 8);
    cr_assert_eq(mock.reads, 2); /* the cache began anew */
    xm_close(mem);
}

Test(refresh, fails)
{
    struct mock mock = unmapped();
    struct xm_mem *mem = opened(&mock, &mock_ops);
    bool changed;
    struct xvmi_error err = XVMI_ERROR_INIT;
    mock.refresh_status = XVMI_ERR_GONE;
    cr_assert_eq(xm_refresh(mem, &changed, &err), XVMI_ERR_GONE);
    cr_assert_str_eq(err.text, "mock: mock: cannot refresh");
    reads_right(mem, 0x5000, 8);

    /* New ranges that are nonsense: the old ones are void, so nothing is left. */
    mock.refresh_status = XVMI_OK;
    mock.changed = true;
    mock.ranges[0].size = 0;
    cr_assert_eq(xm_refresh(mem, &changed, &err), XVMI_ERR_FORMAT);
    cr_assert_str_eq(err.text, "mock: memory range 0 at 0x0 is empty");
    uint8_t byte;
    cr_assert_eq(xm_read(mem, 0, &byte, 1, &err), XVMI_ERR_NOT_PRESENT);
    cr_assert_eq(xm_read(mem, UINT64_MAX, &byte, 1, &err), XVMI_ERR_NOT_PRESENT);
    cr_assert_eq(xm_total(mem), 0);
    uint64_t start, end;
    cr_assert_eq(xm_next_data(mem, 0, &start, &end, &err), XVMI_ERR_NOT_FOUND);
    xm_close(mem);
}

/* --- next_data with a backend that lies --- */

static enum xvmi_status lying_next_data(void *ctx, uint64_t gpa, uint64_t *start, uint64_t *end,
                                        struct xvmi_error *err)
{
    (void)err;
    struct mock *mock = ctx;
    *start = gpa + mock->bad_from;
    *end = gpa + mock->bad_to;
    return XVMI_OK;
}

Test(next_data, is_cut_to_ram_and_never_goes_back)
{
    struct xvmi_mem_ops ops = mock_ops;
    ops.next_data = lying_next_data;
    struct mock mock = unmapped();
    mock.ranges[0] = (struct xvmi_mem_range){.gpa = 0x1000, .size = 0x1000};
    mock.ranges[1] = (struct xvmi_mem_range){.gpa = 0x8000, .size = 0x1000};
    mock.n = 2;
    struct xm_mem *mem = opened(&mock, &ops);
    struct xvmi_error err = XVMI_ERROR_INIT;
    uint64_t start, end;

    mock.bad_from = 0x800;
    mock.bad_to = 0x10000;
    cr_assert_eq(xm_next_data(mem, 0, &start, &end, &err), XVMI_OK);
    cr_assert_eq(start, 0x1800);
    cr_assert_eq(end, 0x2000);
    mock.bad_from = 0x1000; /* in the hole between the ranges, then beyond both */
    cr_assert_eq(xm_next_data(mem, 0, &start, &end, &err), XVMI_ERR_NOT_FOUND);
    cr_assert_str_eq(err.text, "no memory at or after 0x9000");
    mock.bad_from = 0;
    mock.bad_to = 0;
    cr_assert_eq(xm_next_data(mem, 0, &start, &end, &err), XVMI_ERR_FORMAT);
    cr_assert_str_eq(err.text, "mock: the backend's next data after 0x1000 is 0x1000 to 0x1000");
    mock.bad_from = (uint64_t)-1;
    cr_assert_eq(xm_next_data(mem, 0, &start, &end, &err), XVMI_ERR_FORMAT);
    cr_assert_str_eq(err.text, "mock: the backend's next data after 0x1000 is 0xfff to 0x1000");
    xm_close(mem);
}

Test(mem, close_takes_nothing)
{
    xm_close(NULL);
}

/* A backend that maps one page after the other, and whose page tables hold other addresses. */

static uint8_t paged_ram[4 * 4096];
static unsigned paged_calls, paged_reads;
static bool paged_limit, paged_void;

static enum xvmi_status paged_ranges(void *ctx, const struct xvmi_mem_range **ranges, size_t *n,
                                     struct xvmi_error *err)
{
    static const struct xvmi_mem_range range = {.gpa = 0x10000, .size = sizeof(paged_ram)};
    (void)ctx;
    (void)err;
    *ranges = &range;
    *n = 1;
    return XVMI_OK;
}

static enum xvmi_status paged_read(void *ctx, uint64_t gpa, void *dst, size_t len,
                                   struct xvmi_error *err)
{
    (void)ctx;
    (void)err;
    paged_reads++;
    memcpy(dst, paged_ram + (gpa - 0x10000), len);
    return XVMI_OK;
}

static enum xvmi_status paged_page(void *ctx, uint64_t gpa, const uint8_t **host,
                                   struct xvmi_error *err)
{
    (void)ctx;
    paged_calls++;
    if (paged_limit)
        return XVMI_ERR_LIMIT;
    if (gpa == 0x12000)
        return xvmi_error_set(err, XVMI_ERR_NOT_PRESENT, "ballooned out");
    *host = paged_ram + (gpa - 0x10000);
    return XVMI_OK;
}

static enum xvmi_status paged_from_tables(void *ctx, uint64_t addr, uint64_t *gpa,
                                          struct xvmi_error *err)
{
    (void)ctx;
    if (addr < 0x7000000)
        return xvmi_error_set(err, XVMI_ERR_NOT_PRESENT, "not ours");
    *gpa = addr - 0x7000000;
    return XVMI_OK;
}

static bool paged_release(void *ctx)
{
    (void)ctx;
    return paged_void;
}

static struct xm_mem *open_paged(void)
{
    static const struct xvmi_mem_ops ops = {
        .size = sizeof(ops),
        .ranges = paged_ranges,
        .read = paged_read,
        .page = paged_page,
        .from_tables = paged_from_tables,
        .release = paged_release,
    };
    struct xvmi_mem_backend backend = {.size = sizeof(backend), .ops = &ops, .live = true};
    struct xm_mem *mem;
    cr_assert(!xm_new(&backend, "paged", &mem, NULL));
    for (size_t i = 0; i < sizeof(paged_ram); i++)
        paged_ram[i] = (uint8_t)(i / 4096 + i);
    return mem;
}

Test(paged, reads_go_through_pages)
{
    struct xm_mem *mem = open_paged();
    uint8_t bytes[64];
    cr_assert(!xm_read(mem, 0x11000 - 32, bytes, sizeof(bytes), NULL));
    cr_expect(!memcmp(bytes, paged_ram + 0x1000 - 32, sizeof(bytes)));
    cr_expect_eq(paged_calls, 2);
    cr_expect_eq(paged_reads, 0);
    cr_expect(!xm_copies(mem), "nothing is kept: what is read is how it is now");
    paged_ram[0x1000] = 99;
    cr_assert(!xm_read(mem, 0x11000, bytes, 1, NULL));
    cr_expect_eq(bytes[0], 99);
    cr_expect_eq(xm_read(mem, 0x12000, bytes, 1, NULL), XVMI_ERR_NOT_PRESENT);
    paged_limit = true;
    cr_assert(!xm_read(mem, 0x10000, bytes, 8, NULL), "read() serves");
    cr_expect_eq(paged_reads, 1);
    xm_close(mem);
}

Test(paged, pointers_end_with_their_page)
{
    struct xm_mem *mem = open_paged();
    uint64_t avail;
    cr_expect_eq(xm_ptr(mem, 0x10010, 4096 - 16, &avail), paged_ram + 16);
    cr_expect_eq(avail, 4096 - 16);
    cr_expect_null(xm_ptr(mem, 0x10010, 4096 - 15, NULL), "the next page is elsewhere");
    cr_expect_null(xm_ptr(mem, 0x12000, 8, NULL), "not there");
    cr_expect(!xm_invalidate(mem));
    paged_void = true;
    cr_expect(xm_invalidate(mem), "pointers are dead");
    xm_close(mem);
}

Test(paged, entries_are_translated)
{
    struct xm_mem *mem = open_paged();
    static const struct {
        uint64_t in, out;
        enum xvmi_status status;
    } rows[] = {
        {0x8000000007013067, 0x8000000000013067, XVMI_OK},
        {0x7013066, 0x7013066, XVMI_OK}, /* not present: its bits are the kernel's */
        {0x13067, 0, XVMI_ERR_NOT_PRESENT},
    };
    for (size_t i = 0; i < 3; i++) {
        uint64_t entry;
        memcpy(paged_ram + 8, &rows[i].in, 8);
        cr_expect_eq(xm_read_entry(mem, 0x10008, &entry, NULL), rows[i].status, "%zu", i);
        if (!rows[i].status)
            cr_expect_eq(entry, rows[i].out, "%zu: %lx", i, entry);
    }
    xm_close(mem);
}
