// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* BTF as a guest may present it: the input itself, or damage to a good one. */
#include <linux/btf.h>
#include <stdlib.h>

#include "fuzz/patch.h"
#include "support/btf-writer.h"
#include "type/builder.h"

static const struct xt_want wants[] = {
    {XT_SIZE, true, "task", ""},
    {XT_MEMBER, true, "task", "pid"},
    {XT_MEMBER, true, "task", "sub.inner|other"},
    {XT_MEMBER, true, "task", "anon"},
    {XT_MEMBER, true, "task", "bits"},
    {XT_MEMBER, true, "task", "matrix"},
    {XT_MEMBER, true, "sub", "inner"},
    {XT_ENUM, true, "", "ONE|TWO"},
};

static void *good(size_t *size)
{
    static struct btf_writer w;
    btf_writer_init(&w);
    uint32_t u32 = btf_writer_int(&w, "int", 4, 32);
    uint32_t sub = btf_writer_struct(&w, "sub", 8);
    btf_writer_member(&w, "x", u32, 0);
    btf_writer_member(&w, "inner", u32, 32);
    uint32_t alias = btf_writer_ref(&w, BTF_KIND_TYPEDEF, "sub_t", sub);
    uint32_t constant = btf_writer_ref(&w, BTF_KIND_CONST, "", alias);
    uint32_t row = btf_writer_array(&w, u32, 3);
    uint32_t matrix = btf_writer_array(&w, row, 2);
    uint32_t either = btf_writer_union(&w, "", 8);
    btf_writer_member(&w, "anon", u32, 0);
    btf_writer_member(&w, "", constant, 0);
    btf_writer_struct(&w, "task", 64);
    btf_writer_member(&w, "pid", u32, 0);
    btf_writer_member(&w, "sub", constant, 64);
    btf_writer_member(&w, "", either, 128);
    btf_writer_bits(&w, "bits", u32, 195, 5);
    btf_writer_member(&w, "matrix", matrix, 256);
    btf_writer_enum(&w, "e");
    btf_writer_enumerator(&w, "ONE", 1);
    btf_writer_enum64(&w, "e64");
    btf_writer_enumerator(&w, "TWO", 1LL << 33);
    return btf_writer_finish(&w, size);
}

/* A module's goes on where the kernel's ends. */
static enum xvmi_status add(struct xt_builder *builder, const uint8_t *blob, size_t size,
                            bool module, struct xvmi_error *err)
{
    if (!module)
        return xt_builder_add_btf(builder, blob, size, err);
    size_t base_size;
    void *base = good(&base_size);
    enum xvmi_status status = xt_builder_add_module_btf(builder, base, base_size, blob, size, err);
    free(base);
    return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct xt_builder *builder = NULL;
    struct xvmi_profile *profile = NULL;
    struct xvmi_error err = XVMI_ERROR_INIT;
    if (n < 1 || xt_builder_new(wants, sizeof(wants) / sizeof(wants[0]), &builder, &err))
        return 0;
    size_t size = n - 1;
    uint8_t *blob;
    if (data[0] & 1) {
        blob = good(&size);
        size = fuzz_patch(blob, size, data + 1, n - 1);
    } else {
        blob = malloc(size + 1);
        memcpy(blob, data + 1, size);
    }
    /* A copy of exactly this size: reading behind it is seen. */
    uint8_t *exact = malloc(size ? size : 1);
    memcpy(exact, blob, size);
    if (add(builder, exact, size, data[0] & 2, &err) == XVMI_OK &&
        xt_builder_finish(builder, &profile, &err) == XVMI_OK)
        xvmi_profile_unref(profile);
    free(exact);
    free(blob);
    xt_builder_free(builder);
    return 0;
}
