// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Profile files, damaged ones with a checksum that is right again. */
#include <stdlib.h>

#include "fuzz/patch.h"
#include "type/builder.h"
#include "type/profile.h"

static const struct xt_want wants[] = {
    {XT_SIZE, true, "task", ""},      {XT_MEMBER, true, "task", "pid|tgid"},
    {XT_ENUM, true, "", "ONE"},       {XT_SYMBOL, false, "", "init_task"},
    {XT_SYMBOL, false, "", "a|b|cc"},
};

static void *good(size_t *size)
{
    struct xt_builder *builder = NULL;
    struct xvmi_profile *profile = NULL;
    void *file = NULL;
    if (xt_builder_new(wants, sizeof(wants) / sizeof(wants[0]), &builder, NULL))
        abort();
    xt_builder_add_symbol(builder, "init_task", 9, 0xffffffff81000000);
    xt_builder_add_symbol(builder, "b", 1, 2);
    xt_builder_set_identity(builder, "0123456789abcdef", 16, "6.1.0");
    if (xt_builder_finish(builder, &profile, NULL) || xt_profile_encode(profile, &file, size, NULL))
        abort();
    xt_builder_free(builder);
    xvmi_profile_unref(profile);
    return file;
}

static void fix_checksum(uint8_t *file, size_t size)
{
    uint32_t crc = ~0U;
    for (size_t i = 16; i < size; i++) {
        crc ^= file[i];
        for (int k = 0; k < 8; k++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
    }
    crc = ~crc;
    if (size >= 16)
        memcpy(file + 12, &crc, sizeof(crc));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct xvmi_profile *profile = NULL;
    struct xvmi_error err = XVMI_ERROR_INIT;
    if (n < 1)
        return 0;
    size_t size = n - 1;
    uint8_t *file = NULL;
    if (data[0] & 1) {
        file = good(&size);
        size = fuzz_patch(file, size, data + 1, n - 1);
    } else {
        file = malloc(size + 1);
        memcpy(file, data + 1, size);
    }
    uint8_t *exact = malloc(size ? size : 1);
    memcpy(exact, file, size);
    fix_checksum(exact, size);
    if (xt_profile_decode(exact, size, &profile, &err) == XVMI_OK) {
        /* What was believed can be written, and is then the same. */
        void *again = NULL;
        size_t again_size = 0;
        struct xvmi_profile *copy = NULL;
        struct xvmi_profile_entry entry;
        for (size_t i = 0; xvmi_profile_entry(profile, i, &entry) == XVMI_OK; i++)
            if (entry.kind == XVMI_PROFILE_MEMBER && entry.present &&
                xvmi_profile_member(profile, entry.type, entry.name, &entry.member))
                abort();
        if (xt_profile_encode(profile, &again, &again_size, &err) == XVMI_OK &&
            xt_profile_decode(again, again_size, &copy, &err))
            abort();
        if (xt_profile_covers(profile, wants, 5, &err) == XVMI_ERR_FORMAT)
            abort();
        free(again);
        xvmi_profile_unref(copy);
        xvmi_profile_unref(profile);
    }
    free(exact);
    free(file);
    return 0;
}
