// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <linux/btf.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "support/btf-writer.h"
#include "type/builder.h"

static struct btf_writer w;
static uint32_t u8, u32, u64;

static void begin(void)
{
    btf_writer_init(&w);
    u8 = btf_writer_int(&w, "unsigned char", 1, 8);
    u32 = btf_writer_int(&w, "unsigned int", 4, 32);
    u64 = btf_writer_int(&w, "long", 8, 64);
}

static enum xvmi_status try_build(const struct xt_want *wants, size_t n,
                                  struct xvmi_profile **profile, struct xvmi_error *err)
{
    struct xt_builder *builder = NULL;
    cr_assert_eq(xt_builder_new(wants, n, &builder, err), XVMI_OK, "%s", err->text);
    size_t size;
    void *blob = btf_writer_finish(&w, &size);
    enum xvmi_status status = xt_builder_add_btf(builder, blob, size, err);
    free(blob);
    if (!status)
        status = xt_builder_finish(builder, profile, err);
    xt_builder_free(builder);
    return status;
}

static struct xvmi_profile *build(const struct xt_want *wants, size_t n)
{
    struct xvmi_profile *profile = NULL;
    struct xvmi_error err = XVMI_ERROR_INIT;
    cr_assert_eq(try_build(wants, n, &profile, &err), XVMI_OK, "%s", err.text);
    return profile;
}

static void expect_member(const struct xvmi_profile *p, const char *type, const char *name,
                          struct xvmi_member want)
{
    struct xvmi_member m;
    cr_assert_eq(xvmi_profile_member(p, type, name, &m), XVMI_OK, "%s.%s", type, name);
    cr_assert_eq(m.offset, want.offset, "%s.%s at %u", type, name, m.offset);
    cr_assert_eq(m.size, want.size, "%s.%s size %u", type, name, m.size);
    cr_assert_eq(m.count, want.count, "%s.%s count %u", type, name, m.count);
    cr_assert_eq(m.bit_offset, want.bit_offset, "%s.%s bit %u", type, name, m.bit_offset);
    cr_assert_eq(m.bit_size, want.bit_size, "%s.%s bits %u", type, name, m.bit_size);
}

#define N(a) (sizeof(a) / sizeof((a)[0]))

Test(btf, plain_members_and_size)
{
    begin();
    uint32_t task = btf_writer_struct(&w, "task", 32);
    btf_writer_member(&w, "pid", u32, 0);
    btf_writer_member(&w, "parent", task + 1, 64);
    btf_writer_member(&w, "comm", task + 2, 128);
    btf_writer_ref(&w, BTF_KIND_PTR, "", task);
    btf_writer_array(&w, u8, 16);
    static const struct xt_want wants[] = {
        {XT_SIZE, false, "task", ""},
        {XT_MEMBER, false, "task", "pid"},
        {XT_MEMBER, false, "task", "parent"},
        {XT_MEMBER, false, "task", "comm"},
    };
    struct xvmi_profile *p = build(wants, N(wants));
    uint32_t size = 0;
    cr_assert_eq(xvmi_profile_struct_size(p, "task", &size), XVMI_OK);
    cr_assert_eq(size, 32);
    expect_member(p, "task", "pid", (struct xvmi_member){0, 4, 1, 0, 0});
    expect_member(p, "task", "parent", (struct xvmi_member){8, 8, 1, 0, 0});
    expect_member(p, "task", "comm", (struct xvmi_member){16, 16, 16, 0, 0});
    cr_assert_eq(xvmi_profile_source(p), XVMI_SOURCE_BTF);
    xvmi_profile_unref(p);
}

Test(btf, anonymous_nesting_and_dotted_paths)
{
    begin();
    uint32_t common = btf_writer_struct(&w, "common", 16);
    btf_writer_member(&w, "", common + 1, 0);
    btf_writer_member(&w, "net", common + 3, 64);
    uint32_t either = btf_writer_union(&w, "", 8);
    btf_writer_member(&w, "pair", u64, 0);
    btf_writer_member(&w, "", either + 1, 0);
    btf_writer_struct(&w, "", 8);
    btf_writer_member(&w, "daddr", u32, 0);
    btf_writer_member(&w, "saddr", u32, 32);
    btf_writer_struct(&w, "possible_net", 8);
    btf_writer_member(&w, "ptr", u64, 0);
    btf_writer_struct(&w, "sock", 24);
    btf_writer_member(&w, "flags", u64, 0);
    uint32_t named = w.n + 1;
    btf_writer_member(&w, "__common", named, 64);
    btf_writer_ref(&w, BTF_KIND_TYPEDEF, "common_t", named + 1);
    btf_writer_ref(&w, BTF_KIND_CONST, "", common);
    static const struct xt_want wants[] = {
        {XT_MEMBER, false, "common", "saddr"},
        {XT_MEMBER, false, "sock", "__common.saddr"},
        {XT_MEMBER, false, "sock", "__common.net.ptr"},
        {XT_MEMBER, true, "sock", "saddr"},
        {XT_MEMBER, true, "sock", "flags.x"},
    };
    struct xvmi_profile *p = build(wants, N(wants));
    expect_member(p, "common", "saddr", (struct xvmi_member){4, 4, 1, 0, 0});
    expect_member(p, "sock", "__common.saddr", (struct xvmi_member){12, 4, 1, 0, 0});
    expect_member(p, "sock", "__common.net.ptr", (struct xvmi_member){16, 8, 1, 0, 0});
    struct xvmi_member m;
    cr_assert_eq(xvmi_profile_member(p, "sock", "saddr", &m), XVMI_ERR_NOT_FOUND);
    cr_assert_eq(xvmi_profile_member(p, "sock", "flags.x", &m), XVMI_ERR_NOT_FOUND);
    xvmi_profile_unref(p);
}

Test(btf, bit_fields)
{
    begin();
    btf_writer_struct(&w, "flags", 16);
    btf_writer_member(&w, "plain", u32, 0);
    btf_writer_bits(&w, "a", u32, 32, 1);
    btf_writer_bits(&w, "b", u32, 33, 7);
    btf_writer_bits(&w, "c", u32, 44, 12);
    btf_writer_bits(&w, "d", u32, 60, 4);
    btf_writer_bits(&w, "wide", u64, 65, 60);
    static const struct xt_want wants[] = {
        {XT_MEMBER, false, "flags", "plain"}, {XT_MEMBER, false, "flags", "a"},
        {XT_MEMBER, false, "flags", "b"},     {XT_MEMBER, false, "flags", "c"},
        {XT_MEMBER, false, "flags", "d"},     {XT_MEMBER, false, "flags", "wide"},
    };
    struct xvmi_profile *p = build(wants, N(wants));
    expect_member(p, "flags", "plain", (struct xvmi_member){0, 4, 1, 0, 0});
    expect_member(p, "flags", "a", (struct xvmi_member){4, 1, 1, 0, 1});
    expect_member(p, "flags", "b", (struct xvmi_member){4, 1, 1, 1, 7});
    expect_member(p, "flags", "c", (struct xvmi_member){4, 4, 1, 12, 12});
    expect_member(p, "flags", "d", (struct xvmi_member){7, 1, 1, 4, 4});
    expect_member(p, "flags", "wide", (struct xvmi_member){8, 8, 1, 1, 60});
    xvmi_profile_unref(p);
}

Test(btf, bit_fields_of_old_compilers)
{
    begin();
    uint32_t three = btf_writer_int(&w, "unsigned int", 4, 3 | 5 << 16);
    btf_writer_struct(&w, "old", 4);
    btf_writer_member(&w, "bits", three, 8);
    static const struct xt_want wants[] = {{XT_MEMBER, false, "old", "bits"}};
    struct xvmi_profile *p = build(wants, N(wants));
    expect_member(p, "old", "bits", (struct xvmi_member){1, 1, 1, 5, 3});
    xvmi_profile_unref(p);
}

Test(btf, arrays)
{
    begin();
    uint32_t row = btf_writer_array(&w, u64, 3);
    uint32_t matrix = btf_writer_array(&w, row, 2);
    uint32_t flexible = btf_writer_array(&w, u64, 0);
    btf_writer_struct(&w, "arrays", 48);
    btf_writer_member(&w, "matrix", matrix, 0);
    btf_writer_member(&w, "tail", flexible, 48 * 8);
    static const struct xt_want wants[] = {
        {XT_MEMBER, false, "arrays", "matrix"},
        {XT_MEMBER, false, "arrays", "tail"},
    };
    struct xvmi_profile *p = build(wants, N(wants));
    expect_member(p, "arrays", "matrix", (struct xvmi_member){0, 48, 6, 0, 0});
    expect_member(p, "arrays", "tail", (struct xvmi_member){48, 0, 0, 0, 0});
    xvmi_profile_unref(p);
}

Test(btf, enumerators)
{
    begin();
    btf_writer_enum(&w, "state");
    btf_writer_enumerator(&w, "STATE_NEW", 3);
    btf_writer_enumerator(&w, "STATE_BAD", -2);
    btf_writer_enum64(&w, "big");
    btf_writer_enumerator(&w, "BIG", 1LL << 40);
    static const struct xt_want wants[] = {
        {XT_ENUM, false, "", "STATE_NEW"},
        {XT_ENUM, false, "", "STATE_WORSE|STATE_BAD"},
        {XT_ENUM, false, "", "BIG"},
        {XT_ENUM, true, "", "NONE"},
    };
    struct xvmi_profile *p = build(wants, N(wants));
    int64_t v = 0;
    cr_assert_eq(xvmi_profile_enumerator(p, "STATE_NEW", &v), XVMI_OK);
    cr_assert_eq(v, 3);
    cr_assert_eq(xvmi_profile_enumerator(p, "STATE_WORSE", &v), XVMI_OK);
    cr_assert_eq(v, -2);
    cr_assert_eq(xvmi_profile_enumerator(p, "BIG", &v), XVMI_OK);
    cr_assert_eq(v, 1LL << 40);
    cr_assert_eq(xvmi_profile_enumerator(p, "NONE", &v), XVMI_ERR_NOT_FOUND);
    xvmi_profile_unref(p);
}

Test(btf, spellings_first_that_exists)
{
    begin();
    btf_writer_struct(&w, "t", 16);
    btf_writer_member(&w, "new", u64, 64);
    btf_writer_member(&w, "old", u64, 0);
    static const struct xt_want wants[] = {
        {XT_MEMBER, false, "t", "newest|new|old"},
        {XT_MEMBER, false, "t", "old|new"},
    };
    struct xvmi_profile *p = build(wants, N(wants));
    expect_member(p, "t", "newest", (struct xvmi_member){8, 8, 1, 0, 0});
    expect_member(p, "t", "old", (struct xvmi_member){0, 8, 1, 0, 0});
    xvmi_profile_unref(p);
}

Test(btf, of_two_structs_of_a_name_the_one_that_fits)
{
    begin();
    btf_writer_ref(&w, BTF_KIND_FWD, "node", 0);
    btf_writer_struct(&w, "node", 8);
    btf_writer_member(&w, "other", u64, 0);
    btf_writer_struct(&w, "node", 24);
    btf_writer_member(&w, "key", u64, 128);
    btf_writer_struct(&w, "node", 16);
    btf_writer_member(&w, "key", u64, 64);
    static const struct xt_want wants[] = {
        {XT_SIZE, false, "node", ""},
        {XT_MEMBER, false, "node", "key"},
    };
    struct xvmi_profile *p = build(wants, N(wants));
    uint32_t size = 0;
    cr_assert_eq(xvmi_profile_struct_size(p, "node", &size), XVMI_OK);
    cr_assert_eq(size, 24);
    expect_member(p, "node", "key", (struct xvmi_member){16, 8, 1, 0, 0});
    xvmi_profile_unref(p);
}

Test(btf, what_is_missing_is_named)
{
    begin();
    btf_writer_struct(&w, "t", 8);
    btf_writer_member(&w, "a", u64, 0);
    static const struct xt_want wants[] = {
        {XT_MEMBER, false, "t", "a"},
        {XT_MEMBER, false, "t", "b|c"},
        {XT_ENUM, false, "", "E"},
        {XT_SYMBOL, false, "", "init_task"},
    };
    struct xvmi_profile *p = NULL;
    struct xvmi_error err = XVMI_ERROR_INIT;
    cr_assert_eq(try_build(wants, N(wants), &p, &err), XVMI_ERR_NOT_FOUND);
    cr_assert_str_eq(err.text, "the kernel's profile lacks struct t.b|c, enumerator E, symbol "
                               "init_task");
}

Test(btf, circles_end)
{
    begin();
    uint32_t a = btf_writer_ref(&w, BTF_KIND_TYPEDEF, "a", w.n + 2);
    btf_writer_ref(&w, BTF_KIND_TYPEDEF, "b", a);
    btf_writer_struct(&w, "t", 8);
    btf_writer_member(&w, "x", a, 0);
    static const struct xt_want wants[] = {{XT_MEMBER, false, "t", "x"}};
    struct xvmi_profile *p = NULL;
    struct xvmi_error err = XVMI_ERROR_INIT;
    cr_assert_eq(try_build(wants, N(wants), &p, &err), XVMI_ERR_FORMAT);
    cr_assert(strstr(err.text, "circular"), "%s", err.text);
}

Test(btf, a_struct_in_itself_ends)
{
    begin();
    uint32_t t = btf_writer_struct(&w, "t", 8);
    btf_writer_member(&w, "", t, 0);
    static const struct xt_want wants[] = {{XT_MEMBER, false, "t", "x"}};
    struct xvmi_profile *p = NULL;
    struct xvmi_error err = XVMI_ERROR_INIT;
    cr_assert_eq(try_build(wants, N(wants), &p, &err), XVMI_ERR_LIMIT);
}

Test(btf, structs_that_explode_are_bounded)
{
    begin();
    /* Each level holds the next eight times: 8^12 members. */
    for (uint32_t level = 0; level < 12; level++) {
        uint32_t next = w.n + 2;
        btf_writer_struct(&w, level ? "" : "t", 8);
        for (int i = 0; i < 8; i++)
            btf_writer_member(&w, "", next, 0);
    }
    btf_writer_struct(&w, "", 8);
    btf_writer_member(&w, "x", u64, 0);
    static const struct xt_want wants[] = {{XT_MEMBER, false, "t", "x"}};
    struct xvmi_profile *p = NULL;
    struct xvmi_error err = XVMI_ERROR_INIT;
    cr_assert_eq(try_build(wants, N(wants), &p, &err), XVMI_ERR_LIMIT);
}

Test(btf, a_member_outside_of_its_struct_is_refused)
{
    begin();
    btf_writer_struct(&w, "t", 8);
    btf_writer_member(&w, "x", u64, 32);
    static const struct xt_want wants[] = {{XT_MEMBER, false, "t", "x"}};
    struct xvmi_profile *p = NULL;
    struct xvmi_error err = XVMI_ERROR_INIT;
    cr_assert_eq(try_build(wants, N(wants), &p, &err), XVMI_ERR_FORMAT);
}

Test(btf, cut_off_anywhere_is_an_error)
{
    begin();
    btf_writer_struct(&w, "t", 8);
    btf_writer_member(&w, "x", u64, 0);
    size_t size;
    uint8_t *blob = btf_writer_finish(&w, &size);
    static const struct xt_want wants[] = {{XT_MEMBER, false, "t", "x"}};
    for (size_t len = 0; len < size; len++) {
        struct xt_builder *builder = NULL;
        struct xvmi_error err = XVMI_ERROR_INIT;
        cr_assert_eq(xt_builder_new(wants, 1, &builder, &err), XVMI_OK);
        uint8_t *cut = malloc(len + 1);
        memcpy(cut, blob, len);
        cr_assert_eq(xt_builder_add_btf(builder, cut, len, &err), XVMI_ERR_FORMAT, "%zu: %s", len,
                     err.text);
        free(cut);
        xt_builder_free(builder);
    }
    free(blob);
}

/* The kernel's types and a module's, which has a member of one of them. */
static struct xvmi_profile *build_module(const struct xt_want *wants, size_t n, size_t cut,
                                         struct xvmi_error *err)
{
    static struct btf_writer kernel;
    struct xt_builder *builder = NULL;
    struct xvmi_profile *profile = NULL;
    size_t base_size, size;
    begin();
    uint32_t list = btf_writer_struct(&w, "list_head", 16);
    btf_writer_member(&w, "next", u64, 0);
    btf_writer_member(&w, "prev", u64, 64);
    kernel = w;
    btf_writer_struct(&w, "association", 64);
    btf_writer_member(&w, "next", u32, 0); /* a name that the kernel has */
    btf_writer_member(&w, "peers", list, 128);
    cr_assert_eq(xt_builder_new(wants, n, &builder, err), XVMI_OK, "%s", err->text);
    void *base = btf_writer_finish(&kernel, &base_size);
    void *module = btf_writer_finish_module(&w, &kernel, &size);
    if (!xt_builder_add_module_btf(builder, base, base_size, module, size - cut, err) &&
        xt_builder_finish(builder, &profile, err))
        cr_assert_null(profile);
    free(base);
    free(module);
    xt_builder_free(builder);
    return profile;
}

Test(btf, module)
{
    static const struct xt_want wants[] = {
        {XT_SIZE, false, "association", ""},
        {XT_MEMBER, false, "association", "next"},
        {XT_MEMBER, false, "association", "peers.prev"},
    };
    struct xvmi_error err = XVMI_ERROR_INIT;
    struct xvmi_profile *p = build_module(wants, N(wants), 0, &err);
    uint32_t size = 0;
    cr_assert_not_null(p, "%s", err.text);
    cr_assert_eq(xvmi_profile_struct_size(p, "association", &size), XVMI_OK);
    cr_assert_eq(size, 64);
    expect_member(p, "association", "next",
                  (struct xvmi_member){.offset = 0, .size = 4, .count = 1});
    expect_member(p, "association", "peers.prev",
                  (struct xvmi_member){.offset = 24, .size = 8, .count = 1});
    xvmi_profile_unref(p);
    cr_assert_null(build_module(wants, N(wants), 1, &err));
    cr_assert_not_null(strstr(err.text, "sections lie outside"), "%s", err.text);
}
