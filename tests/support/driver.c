// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause

/* A driver as a third party writes it: public headers alone. Built several times, for
 * scheme TEST_SCHEME and interface TEST_ABI. It holds one page, full of the first letter of
 * what follows the scheme, and refuses "nothing". */

#include <stdlib.h>
#include <string.h>

#include <xvmi/mem.h>

struct letter {
    uint8_t page[4096];
    struct xvmi_mem_range range;
};

static enum xvmi_status letter_ranges(void *ctx, const struct xvmi_mem_range **ranges, size_t *n,
                                      struct xvmi_error *err)
{
    (void)err;
    struct letter *letter = ctx;
    *ranges = &letter->range;
    *n = 1;
    return XVMI_OK;
}

static const struct xvmi_mem_ops letter_ops = {
    .size = sizeof(letter_ops), .close = free, .ranges = letter_ranges};

static enum xvmi_status letter_open(const char *rest, struct xvmi_mem_backend *backend,
                                    struct xvmi_error *err)
{
    if (strcmp(rest, "nothing") == 0) {
        strcpy(err->text, "the driver says no");
        return err->status = XVMI_ERR_PERMISSION;
    }
    struct letter *letter = calloc(1, sizeof(*letter));
    if (!letter)
        return err->status = XVMI_ERR_NO_MEMORY;
    memset(letter->page, rest[0], sizeof(letter->page));
    letter->range = (struct xvmi_mem_range){.gpa = 0x1000, .size = 4096, .host = letter->page};
    backend->ops = &letter_ops;
    backend->ctx = letter;
    return XVMI_OK;
}

XVMI_PUBLIC extern const struct xvmi_driver xvmi_driver;
const struct xvmi_driver xvmi_driver = {
    .abi = TEST_ABI, .scheme = TEST_SCHEME, .open = letter_open};
