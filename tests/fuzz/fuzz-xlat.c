// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause

/*
 * Page tables of random bytes, with loops and places outside RAM: every walk ends, and
 * every read through an address space with shortcuts gives what one without gives.
 *
 * Input: one byte of options, then addresses of 8 bytes, then up to 16 pages of RAM.
 */

#include <stdlib.h>
#include <string.h>

#include "os/space.h"

#define ADDRESSES 16
#define RAM_PAGES 16

struct guest {
    uint8_t ram[RAM_PAGES * 4096];
    struct xvmi_mem_range range;
};

static enum xvmi_status guest_ranges(void *ctx, const struct xvmi_mem_range **ranges, size_t *n,
                                     struct xvmi_error *err)
{
    (void)err;
    struct guest *guest = ctx;
    *ranges = &guest->range;
    *n = 1;
    return XVMI_OK;
}

static enum xvmi_status guest_read(void *ctx, uint64_t gpa, void *dst, size_t len,
                                   struct xvmi_error *err)
{
    (void)err;
    struct guest *guest = ctx;
    if (gpa > sizeof(guest->ram) || len > sizeof(guest->ram) - gpa)
        abort();
    memcpy(dst, guest->ram + gpa, len);
    return XVMI_OK;
}

static const struct xvmi_mem_ops guest_ops = {
    .size = sizeof(guest_ops), .ranges = guest_ranges, .read = guest_read};

static void must(bool ok)
{
    if (!ok)
        abort();
}

static void compare(struct xo_space *fast, struct xo_space *plain, uint64_t gva)
{
    struct xvmi_error err = XVMI_ERROR_INIT;
    for (int round = 0; round < 2; round++) {
        uint64_t a = 0, b = 0;
        enum xvmi_status status = xo_read_u64(plain, gva, &b);
        must(xo_read_u64(fast, gva, &a) == status && a == b);
        if (status)
            must(xo_fault(fast, &err) == status && err.text[0]);
    }
    char text[64];
    bool cut;
    if (!xo_read_str(fast, gva, text, sizeof(text), &cut))
        must(memchr(text, 0, sizeof(text)) != NULL);
    uint8_t bytes[9000];
    uint8_t last;
    if (!xo_read(fast, gva, bytes, sizeof(bytes)))
        must(!xo_read(plain, gva + sizeof(bytes) - 1, &last, 1) &&
             last == bytes[sizeof(bytes) - 1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct guest guest;
    uint64_t gva[ADDRESSES] = {0};
    if (size < 1 + sizeof(gva))
        return 0;
    uint8_t options = data[0];
    memcpy(gva, data + 1, sizeof(gva));
    data += 1 + sizeof(gva);
    size -= 1 + sizeof(gva);
    memset(guest.ram, 0, sizeof(guest.ram));
    memcpy(guest.ram, data, size < sizeof(guest.ram) ? size : sizeof(guest.ram));
    guest.range = (struct xvmi_mem_range){.gpa = 0,
                                          .size = sizeof(guest.ram) - (options & 8 ? 4000 : 0),
                                          .host = options & 1 ? guest.ram : NULL};

    struct xvmi_mem_backend backend = {.size = sizeof(backend), .ops = &guest_ops, .ctx = &guest};
    struct xvmi_error err = XVMI_ERROR_INIT;
    struct xm_mem *mem;
    must(!xm_new(&backend, "fuzz", &mem, &err));
    struct xx_paging paging = {.root = 0,
                               .levels = options & 2 ? 5 : 4,
                               .phys_bits = options >> 4 ? 36u + (options >> 4) : 0};
    struct xo_space fast, plain;
    must(!xo_init(&fast, mem, paging, true, &err) && !xo_init(&plain, mem, paging, false, &err));
    if (options & 4 && xo_use_direct_map(&fast, gva[0] & ~UINT64_C(4095), &err))
        must(err.text[0]);
    /* A believed direct map covers pages that the tables leave out, so only without one do
     * both have to agree. */
    for (int i = 0; i < ADDRESSES; i++)
        compare(&fast, fast.direct_size ? &fast : &plain, gva[i]);
    xo_fini(&fast);
    xo_fini(&plain);
    xm_close(mem);
    return 0;
}
