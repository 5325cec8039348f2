// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <dwarf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <criterion/criterion.h>
#include <criterion/parameterized.h>

#include "support/btf-writer.h"
#include "support/dwarf-writer.h"
#include "type/builder.h"

#define N(a)    (sizeof(a) / sizeof((a)[0]))
#define HINTED  "net/ipv4/raw.c"
#define ANOTHER "drivers/other.c"

static struct dwarf_writer w;

enum { U8 = 1, U32, U64, PTR, OWN };

static void base_type(unsigned int label, const char *name, unsigned int size)
{
    dwarf_writer_die(&w, label, DW_TAG_base_type, false);
    dwarf_writer_number(&w, DW_AT_byte_size, DW_FORM_data1, size);
    dwarf_writer_text(&w, DW_AT_name, DW_FORM_strp, name);
}

static void unit(const char *name)
{
    dwarf_writer_unit(&w, name);
    base_type(U8, "unsigned char", 1);
    base_type(U32, "unsigned int", 4);
    base_type(U64, "long", 8);
    dwarf_writer_die(&w, PTR, DW_TAG_pointer_type, false);
    dwarf_writer_number(&w, DW_AT_byte_size, DW_FORM_data1, 8);
}

static void begin_struct(unsigned int label, unsigned int tag, const char *name, unsigned int size)
{
    dwarf_writer_die(&w, label, tag, true);
    if (name)
        dwarf_writer_text(&w, DW_AT_name, DW_FORM_strp, name);
    dwarf_writer_number(&w, DW_AT_byte_size, DW_FORM_udata, size);
    dwarf_writer_sibling(&w);
}

static void member(const char *name, unsigned int type, unsigned int offset)
{
    dwarf_writer_die(&w, 0, DW_TAG_member, false);
    if (name)
        dwarf_writer_text(&w, DW_AT_name, strlen(name) < 4 ? DW_FORM_string : DW_FORM_strp, name);
    dwarf_writer_ref(&w, DW_AT_type, DW_FORM_ref4, type);
    dwarf_writer_number(&w, DW_AT_data_member_location, DW_FORM_data2, offset);
}

/* A complete struct of one member, in a unit of its own. */
static void one_member_unit(const char *unit_name, const char *type, unsigned int size,
                            const char *name)
{
    unit(unit_name);
    begin_struct(0, DW_TAG_structure_type, type, size);
    member(name, U64, size - 8);
    dwarf_writer_end(&w);
    dwarf_writer_unit_end(&w);
}

/* The file as a path, the way users name it. */
static enum xvmi_status build_from(const void *file, size_t size, const struct xt_want *wants,
                                   size_t n, enum xvmi_profile_source source,
                                   struct xvmi_profile **profile, struct xvmi_error *err)
{
    char path[64];
    int fd = memfd_create("vmlinux", MFD_CLOEXEC);
    cr_assert(fd >= 0);
    cr_assert_eq(write(fd, file, size), (ssize_t)size);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    struct xt_builder *builder = NULL;
    cr_assert_eq(xt_builder_new(wants, n, &builder, err), XVMI_OK, "%s", err->text);
    enum xvmi_status status = xt_builder_add_vmlinux(builder, path, source, err);
    if (!status)
        status = xt_builder_finish(builder, profile, err);
    xt_builder_free(builder);
    close(fd);
    return status;
}

static enum xvmi_status try_build(const struct xt_want *wants, size_t n,
                                  enum xvmi_profile_source source, struct xvmi_profile **profile,
                                  struct xvmi_error *err)
{
    size_t size;
    void *file = dwarf_writer_finish(&w, &size);
    enum xvmi_status status = build_from(file, size, wants, n, source, profile, err);
    free(file);
    return status;
}

static struct xvmi_profile *build(const struct xt_want *wants, size_t n)
{
    struct xvmi_profile *profile = NULL;
    struct xvmi_error err = XVMI_ERROR_INIT;
    cr_assert_eq(try_build(wants, n, XVMI_SOURCE_NONE, &profile, &err), XVMI_OK, "%s", err.text);
    return profile;
}

static void expect_failure(const struct xt_want *wants, size_t n, enum xvmi_profile_source source,
                           enum xvmi_status want, const char *text)
{
    struct xvmi_profile *profile = NULL;
    struct xvmi_error err = XVMI_ERROR_INIT;
    enum xvmi_status status = try_build(wants, n, source, &profile, &err);
    cr_assert_eq(status, want, "%d: %s", status, err.text);
    cr_assert(strstr(err.text, text), "%s", err.text);
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

static void expect_size(const struct xvmi_profile *p, const char *type, uint32_t want)
{
    uint32_t size = 0;
    cr_assert_eq(xvmi_profile_struct_size(p, type, &size), XVMI_OK);
    cr_assert_eq(size, want, "%s: %u", type, size);
}

struct format {
    unsigned int version;
    bool wide, compress;
};

ParameterizedTestParameters(dwarf, members_in_every_format)
{
    static struct format formats[] = {
        {3, false, false}, {4, false, false}, {5, false, false},
        {4, true, false},  {5, true, false},  {5, false, true},
    };
    return cr_make_param_array(struct format, formats, N(formats));
}

ParameterizedTest(struct format *format, dwarf, members_in_every_format)
{
    enum { TASK = 10, NAMES, EITHER, PAIR, LIST, LIST_T, CONST_LIST };
    dwarf_writer_init(&w, format->version);
    w.wide = format->wide;
    w.compress = format->compress;
    unit(HINTED);
    begin_struct(TASK, DW_TAG_structure_type, "task_struct", 64);
    member("pid", U32, 0);
    member("tasks", CONST_LIST, 8);
    member("comm", NAMES, 24);
    member(NULL, EITHER, 40);
    member("parent", PTR, 48);
    dwarf_writer_end(&w);
    dwarf_writer_die(&w, NAMES, DW_TAG_array_type, true);
    dwarf_writer_ref(&w, DW_AT_type, DW_FORM_ref4, U8);
    dwarf_writer_sibling(&w);
    dwarf_writer_die(&w, 0, DW_TAG_subrange_type, false);
    dwarf_writer_number(&w, DW_AT_upper_bound, DW_FORM_data1, 15);
    dwarf_writer_end(&w);
    begin_struct(EITHER, DW_TAG_union_type, NULL, 8);
    member("both", U64, 0);
    member(NULL, PAIR, 0);
    dwarf_writer_end(&w);
    begin_struct(PAIR, DW_TAG_structure_type, NULL, 8);
    member("low", U32, 0);
    member("high", U32, 4);
    dwarf_writer_end(&w);
    begin_struct(LIST, DW_TAG_structure_type, "list_head", 16);
    member("next", PTR, 0);
    member("prev", PTR, 8);
    dwarf_writer_end(&w);
    dwarf_writer_die(&w, LIST_T, DW_TAG_typedef, false);
    dwarf_writer_ref(&w, DW_AT_type, DW_FORM_ref4, LIST);
    dwarf_writer_die(&w, CONST_LIST, DW_TAG_const_type, false);
    dwarf_writer_ref(&w, DW_AT_type, DW_FORM_ref4, LIST_T);
    dwarf_writer_unit_end(&w);
    static const struct xt_want wants[] = {
        {XT_SIZE, false, "task_struct", ""},
        {XT_MEMBER, false, "task_struct", "pid"},
        {XT_MEMBER, false, "task_struct", "tasks"},
        {XT_MEMBER, false, "task_struct", "tasks.prev"},
        {XT_MEMBER, false, "task_struct", "comm"},
        {XT_MEMBER, false, "task_struct", "high"},
        {XT_MEMBER, false, "task_struct", "real_parent|parent"},
        {XT_MEMBER, true, "task_struct", "prev"},
        {XT_MEMBER, true, "no_such_struct", "x"},
        {XT_SIZE, false, "list_head", ""},
    };
    struct xvmi_profile *p = build(wants, N(wants));
    expect_size(p, "task_struct", 64);
    expect_size(p, "list_head", 16);
    expect_member(p, "task_struct", "pid", (struct xvmi_member){0, 4, 1, 0, 0});
    expect_member(p, "task_struct", "tasks", (struct xvmi_member){8, 16, 1, 0, 0});
    expect_member(p, "task_struct", "tasks.prev", (struct xvmi_member){16, 8, 1, 0, 0});
    expect_member(p, "task_struct", "comm", (struct xvmi_member){24, 16, 16, 0, 0});
    expect_member(p, "task_struct", "high", (struct xvmi_member){44, 4, 1, 0, 0});
    expect_member(p, "task_struct", "real_parent", (struct xvmi_member){48, 8, 1, 0, 0});
    struct xvmi_member m;
    cr_assert_eq(xvmi_profile_member(p, "task_struct", "prev", &m), XVMI_ERR_NOT_FOUND);
    cr_assert_eq(xvmi_profile_source(p), XVMI_SOURCE_DWARF);
    xvmi_profile_unref(p);
}

static void bits(const char *name, unsigned int type)
{
    dwarf_writer_die(&w, 0, DW_TAG_member, false);
    dwarf_writer_text(&w, DW_AT_name, DW_FORM_string, name);
    dwarf_writer_ref(&w, DW_AT_type, DW_FORM_ref4, type);
}

Test(dwarf, bit_fields_counted_from_the_start)
{
    dwarf_writer_init(&w, 5);
    unit(HINTED);
    begin_struct(0, DW_TAG_structure_type, "sock", 16);
    bits("type", U32);
    dwarf_writer_number(&w, DW_AT_bit_size, DW_FORM_implicit_const, 16);
    dwarf_writer_number(&w, DW_AT_data_bit_offset, DW_FORM_data1, 48);
    bits("odd", U32);
    dwarf_writer_number(&w, DW_AT_bit_size, DW_FORM_data1, 5);
    dwarf_writer_number(&w, DW_AT_data_bit_offset, DW_FORM_data1, 69);
    dwarf_writer_end(&w);
    dwarf_writer_unit_end(&w);
    static const struct xt_want wants[] = {{XT_MEMBER, false, "sock", "type"},
                                           {XT_MEMBER, false, "sock", "odd"}};
    struct xvmi_profile *p = build(wants, N(wants));
    expect_member(p, "sock", "type", (struct xvmi_member){6, 2, 1, 0, 16});
    expect_member(p, "sock", "odd", (struct xvmi_member){8, 2, 1, 5, 5});
    xvmi_profile_unref(p);
}

Test(dwarf, bit_fields_counted_from_the_top)
{
    dwarf_writer_init(&w, 3);
    unit(HINTED);
    begin_struct(0, DW_TAG_structure_type, "sock", 16);
    /* The lowest 3 bits of the word at 4: 29 bits lie above them. */
    bits("low", U32);
    dwarf_writer_number(&w, DW_AT_byte_size, DW_FORM_data1, 4);
    dwarf_writer_number(&w, DW_AT_bit_size, DW_FORM_data1, 3);
    dwarf_writer_number(&w, DW_AT_bit_offset, DW_FORM_data1, 29);
    dwarf_writer_number(&w, DW_AT_data_member_location, DW_FORM_data1, 4);
    /* Without its own size, that of its type; 8 bits from bit 16 of the word at 8. */
    bits("mid", U32);
    dwarf_writer_number(&w, DW_AT_bit_size, DW_FORM_data1, 8);
    dwarf_writer_number(&w, DW_AT_bit_offset, DW_FORM_data1, 8);
    dwarf_writer_block(&w, DW_AT_data_member_location, DW_FORM_block1,
                       (const uint8_t[]){DW_OP_plus_uconst, 8}, 2);
    dwarf_writer_end(&w);
    dwarf_writer_unit_end(&w);
    static const struct xt_want wants[] = {{XT_MEMBER, false, "sock", "low"},
                                           {XT_MEMBER, false, "sock", "mid"}};
    struct xvmi_profile *p = build(wants, N(wants));
    expect_member(p, "sock", "low", (struct xvmi_member){4, 1, 1, 0, 3});
    expect_member(p, "sock", "mid", (struct xvmi_member){10, 1, 1, 0, 8});
    xvmi_profile_unref(p);
}

Test(dwarf, locations_as_expressions)
{
    dwarf_writer_init(&w, 4);
    unit(HINTED);
    begin_struct(0, DW_TAG_structure_type, "far", 4096);
    bits("uconst", U64);
    dwarf_writer_block(&w, DW_AT_data_member_location, DW_FORM_exprloc,
                       (const uint8_t[]){DW_OP_plus_uconst, 0x80, 0x10}, 3);
    bits("first", U64);
    dwarf_writer_end(&w);
    dwarf_writer_unit_end(&w);
    static const struct xt_want wants[] = {{XT_MEMBER, false, "far", "uconst"},
                                           {XT_MEMBER, false, "far", "first"}};
    struct xvmi_profile *p = build(wants, N(wants));
    expect_member(p, "far", "uconst", (struct xvmi_member){2048, 8, 1, 0, 0});
    expect_member(p, "far", "first", (struct xvmi_member){0, 8, 1, 0, 0});
    xvmi_profile_unref(p);
}

Test(dwarf, a_location_that_is_computed_is_unsupported)
{
    dwarf_writer_init(&w, 4);
    unit(HINTED);
    begin_struct(0, DW_TAG_structure_type, "virtual", 16);
    bits("base", U64);
    dwarf_writer_block(&w, DW_AT_data_member_location, DW_FORM_exprloc,
                       (const uint8_t[]){DW_OP_dup, DW_OP_deref}, 2);
    dwarf_writer_end(&w);
    dwarf_writer_unit_end(&w);
    static const struct xt_want wants[] = {{XT_MEMBER, false, "virtual", "base"}};
    expect_failure(wants, 1, XVMI_SOURCE_DWARF, XVMI_ERR_UNSUPPORTED, "not a constant");
}

static void array_of(unsigned int label, unsigned int type, int dimensions,
                     const unsigned int attributes[], const uint64_t values[])
{
    dwarf_writer_die(&w, label, DW_TAG_array_type, true);
    dwarf_writer_ref(&w, DW_AT_type, DW_FORM_ref4, type);
    for (int i = 0; i < dimensions; i++) {
        dwarf_writer_die(&w, 0, DW_TAG_subrange_type, false);
        if (attributes[i])
            dwarf_writer_number(&w, attributes[i], DW_FORM_sdata, values[i]);
    }
    dwarf_writer_end(&w);
}

Test(dwarf, arrays)
{
    enum { MATRIX = 10, FLEXIBLE, EMPTY, COUNTED };
    dwarf_writer_init(&w, 5);
    unit(HINTED);
    array_of(MATRIX, U64, 2, (const unsigned int[]){DW_AT_upper_bound, DW_AT_upper_bound},
             (const uint64_t[]){1, 2});
    array_of(FLEXIBLE, U64, 1, (const unsigned int[]){0}, NULL);
    array_of(EMPTY, U64, 1, (const unsigned int[]){DW_AT_upper_bound}, (const uint64_t[]){-1ULL});
    array_of(COUNTED, U32, 1, (const unsigned int[]){DW_AT_count}, (const uint64_t[]){3});
    begin_struct(0, DW_TAG_structure_type, "arrays", 64);
    member("matrix", MATRIX, 0);
    member("counted", COUNTED, 48);
    member("flexible", FLEXIBLE, 64);
    member("empty", EMPTY, 64);
    dwarf_writer_end(&w);
    dwarf_writer_unit_end(&w);
    static const struct xt_want wants[] = {
        {XT_MEMBER, false, "arrays", "matrix"},
        {XT_MEMBER, false, "arrays", "counted"},
        {XT_MEMBER, false, "arrays", "flexible"},
        {XT_MEMBER, false, "arrays", "empty"},
    };
    struct xvmi_profile *p = build(wants, N(wants));
    expect_member(p, "arrays", "matrix", (struct xvmi_member){0, 48, 6, 0, 0});
    expect_member(p, "arrays", "counted", (struct xvmi_member){48, 12, 3, 0, 0});
    expect_member(p, "arrays", "flexible", (struct xvmi_member){64, 0, 0, 0, 0});
    expect_member(p, "arrays", "empty", (struct xvmi_member){64, 0, 0, 0, 0});
    xvmi_profile_unref(p);
}

static void enumeration(unsigned int form, bool sibling)
{
    dwarf_writer_die(&w, 0, DW_TAG_enumeration_type, true);
    dwarf_writer_number(&w, DW_AT_byte_size, DW_FORM_data1, 4);
    if (sibling)
        dwarf_writer_sibling(&w);
    dwarf_writer_die(&w, 0, DW_TAG_enumerator, false);
    dwarf_writer_text(&w, DW_AT_name, DW_FORM_strp,
                      form == DW_FORM_sdata ? "ENUM_MINUS" : "ENUM_BIG");
    dwarf_writer_number(&w, DW_AT_const_value, form, form == DW_FORM_sdata ? -3ULL : 200);
    dwarf_writer_end(&w);
}

Test(dwarf, enumerators)
{
    dwarf_writer_init(&w, 5);
    unit(HINTED);
    enumeration(DW_FORM_sdata, true);
    dwarf_writer_unit_end(&w);
    unit(ANOTHER);
    enumeration(DW_FORM_data1, false);
    dwarf_writer_unit_end(&w);
    static const struct xt_want wants[] = {{XT_ENUM, false, "", "ENUM_MINUS"},
                                           {XT_ENUM, true, "", "ENUM_BIG"},
                                           {XT_ENUM, true, "", "ENUM_NONE"}};
    struct xvmi_profile *p = build(wants, N(wants));
    int64_t v = 0;
    cr_assert_eq(xvmi_profile_enumerator(p, "ENUM_MINUS", &v), XVMI_OK);
    cr_assert_eq(v, -3);
    cr_assert_eq(xvmi_profile_enumerator(p, "ENUM_BIG", &v), XVMI_OK);
    cr_assert_eq(v, 200);
    cr_assert_eq(xvmi_profile_enumerator(p, "ENUM_NONE", &v), XVMI_ERR_NOT_FOUND);
    xvmi_profile_unref(p);
}

Test(dwarf, declarations_are_no_definitions)
{
    dwarf_writer_init(&w, 5);
    unit(HINTED);
    dwarf_writer_die(&w, 0, DW_TAG_structure_type, false);
    dwarf_writer_text(&w, DW_AT_name, DW_FORM_strp, "sock");
    dwarf_writer_number(&w, DW_AT_declaration, DW_FORM_flag_present, 1);
    dwarf_writer_die(&w, 0, DW_TAG_structure_type, false);
    dwarf_writer_number(&w, DW_AT_declaration, DW_FORM_flag, 1);
    dwarf_writer_text(&w, DW_AT_name, DW_FORM_strp, "sock");
    begin_struct(0, DW_TAG_structure_type, "sock", 24);
    member("x", U64, 16);
    dwarf_writer_end(&w);
    dwarf_writer_unit_end(&w);
    static const struct xt_want wants[] = {{XT_SIZE, false, "sock", ""}};
    struct xvmi_profile *p = build(wants, N(wants));
    expect_size(p, "sock", 24);
    xvmi_profile_unref(p);
}

Test(dwarf, names_by_index)
{
    dwarf_writer_init(&w, 5);
    dwarf_writer_unit(&w, HINTED);
    dwarf_writer_number(&w, DW_AT_str_offsets_base, DW_FORM_sec_offset, 8);
    base_type(U64, "long", 8);
    dwarf_writer_die(&w, 0, DW_TAG_structure_type, true);
    dwarf_writer_text(&w, DW_AT_name, DW_FORM_strx1, "sock");
    dwarf_writer_number(&w, DW_AT_byte_size, DW_FORM_data1, 16);
    dwarf_writer_die(&w, 0, DW_TAG_member, false);
    dwarf_writer_text(&w, DW_AT_name, DW_FORM_strx1, "cookie");
    dwarf_writer_ref(&w, DW_AT_type, DW_FORM_ref4, U64);
    dwarf_writer_number(&w, DW_AT_data_member_location, DW_FORM_data1, 8);
    dwarf_writer_end(&w);
    dwarf_writer_unit_end(&w);
    static const struct xt_want wants[] = {{XT_MEMBER, false, "sock", "cookie"}};
    struct xvmi_profile *p = build(wants, N(wants));
    expect_member(p, "sock", "cookie", (struct xvmi_member){8, 8, 1, 0, 0});
    xvmi_profile_unref(p);
}

Test(dwarf, hinted_units_come_first)
{
    dwarf_writer_init(&w, 5);
    one_member_unit("xnet/ipv4/raw.c", "sock", 16, "x");
    one_member_unit("/build/linux-6.1/net/ipv4/raw.c", "sock", 32, "x");
    static const struct xt_want wants[] = {{XT_SIZE, false, "sock", ""}};
    struct xvmi_profile *p = build(wants, N(wants));
    expect_size(p, "sock", 32);
    xvmi_profile_unref(p);
}

Test(dwarf, all_units_when_hints_miss)
{
    dwarf_writer_init(&w, 5);
    one_member_unit(HINTED, "sock", 16, "x");
    one_member_unit(ANOTHER, "inode", 24, "i_ino");
    one_member_unit("a.c", "file", 16, "other");
    one_member_unit("b.c", "file", 40, "f_op");
    static const struct xt_want wants[] = {
        {XT_SIZE, false, "sock", ""},
        {XT_MEMBER, true, "inode", "i_ino"},
        {XT_MEMBER, false, "file", "f_op"},
    };
    struct xvmi_profile *p = build(wants, N(wants));
    expect_size(p, "sock", 16);
    expect_member(p, "inode", "i_ino", (struct xvmi_member){16, 8, 1, 0, 0});
    expect_member(p, "file", "f_op", (struct xvmi_member){32, 8, 1, 0, 0});
    xvmi_profile_unref(p);
}

static void type_elsewhere(unsigned int form)
{
    dwarf_writer_init(&w, 5);
    unit(HINTED);
    begin_struct(0, DW_TAG_structure_type, "sock", 16);
    dwarf_writer_die(&w, 0, DW_TAG_member, false);
    dwarf_writer_text(&w, DW_AT_name, DW_FORM_string, "x");
    dwarf_writer_ref(&w, DW_AT_type, form, U64);
    dwarf_writer_number(&w, DW_AT_data_member_location, DW_FORM_data1, 8);
    dwarf_writer_end(&w);
    dwarf_writer_unit_end(&w);
}

static const struct xt_want sock_x[] = {{XT_MEMBER, false, "sock", "x"}};

Test(dwarf, types_elsewhere_are_unsupported)
{
    type_elsewhere(DW_FORM_ref_sig8);
    expect_failure(sock_x, 1, XVMI_SOURCE_NONE, XVMI_ERR_UNSUPPORTED, "another unit or file");
    type_elsewhere(DW_FORM_ref_addr);
    expect_failure(sock_x, 1, XVMI_SOURCE_NONE, XVMI_ERR_UNSUPPORTED, "another unit or file");
}

static void add_btf(struct elf_writer *elf)
{
    static struct btf_writer b;
    btf_writer_init(&b);
    uint32_t u64 = btf_writer_int(&b, "long", 8, 64);
    btf_writer_struct(&b, "sock", 8);
    btf_writer_member(&b, "x", u64, 0);
    size_t size;
    void *blob = btf_writer_finish(&b, &size);
    elf_writer_section(elf, ".BTF", SHT_PROGBITS, SHF_ALLOC, 0, blob, size);
    free(blob);
}

Test(dwarf, btf_steps_in)
{
    type_elsewhere(DW_FORM_ref_sig8);
    add_btf(&w.elf);
    struct xvmi_profile *p = build(sock_x, 1);
    cr_assert_eq(xvmi_profile_source(p), XVMI_SOURCE_BTF);
    expect_member(p, "sock", "x", (struct xvmi_member){0, 8, 1, 0, 0});
    xvmi_profile_unref(p);
    type_elsewhere(DW_FORM_ref_sig8);
    add_btf(&w.elf);
    expect_failure(sock_x, 1, XVMI_SOURCE_DWARF, XVMI_ERR_UNSUPPORTED, "another unit or file");
}

Test(dwarf, btf_by_choice)
{
    dwarf_writer_init(&w, 5);
    one_member_unit(HINTED, "sock", 16, "x");
    add_btf(&w.elf);
    struct xvmi_profile *p = NULL;
    struct xvmi_error err = XVMI_ERROR_INIT;
    cr_assert_eq(try_build(sock_x, 1, XVMI_SOURCE_BTF, &p, &err), XVMI_OK, "%s", err.text);
    expect_member(p, "sock", "x", (struct xvmi_member){0, 8, 1, 0, 0});
    xvmi_profile_unref(p);
}

Test(dwarf, symbols_and_identity)
{
    static const char banner[] = "........Linux version 6.1.0-test (builder@host) #1";
    static const struct xt_want wants[] = {
        {XT_SYMBOL, false, "", "init_task"},
        {XT_SYMBOL, true, "", "undefined"},
        {XT_SYMBOL, false, "", "only_local"},
    };
    dwarf_writer_init(&w, 5);
    one_member_unit(HINTED, "sock", 16, "x");
    elf_writer_section(&w.elf, ".rodata", SHT_PROGBITS, SHF_ALLOC, 0xffffffff82000000, banner,
                       sizeof(banner));
    Elf64_Half rodata = (Elf64_Half)(w.elf.n - 1);
    elf_writer_symbol(&w.elf, "init_task", STB_LOCAL, rodata, 0x1);
    elf_writer_symbol(&w.elf, "only_local", STB_LOCAL, rodata, 0x2);
    elf_writer_symbol(&w.elf, "init_task", STB_GLOBAL, rodata, 0xffffffff82000010);
    elf_writer_symbol(&w.elf, "undefined", STB_GLOBAL, SHN_UNDEF, 0);
    elf_writer_symbol(&w.elf, "linux_banner", STB_GLOBAL, rodata, 0xffffffff82000008);
    elf_writer_build_id(&w.elf, "0123456789abcdefghij", 20);
    struct xvmi_profile *p = build(wants, N(wants));
    uint64_t address = 0;
    cr_assert_eq(xvmi_profile_symbol(p, "init_task", &address), XVMI_OK);
    cr_assert_eq(address, 0xffffffff82000010);
    cr_assert_eq(xvmi_profile_symbol(p, "only_local", &address), XVMI_OK);
    cr_assert_eq(address, 2);
    cr_assert_eq(xvmi_profile_symbol(p, "undefined", &address), XVMI_ERR_NOT_FOUND);
    cr_assert_str_eq(xvmi_profile_release(p), "6.1.0-test");
    size_t len = 0;
    cr_assert_eq(memcmp(xvmi_profile_build_id(p, &len), "0123456789abcdefghij", 20), 0);
    cr_assert_eq(len, 20);
    xvmi_profile_unref(p);
}

Test(dwarf, files_that_are_no_vmlinux)
{
    struct xt_builder *builder = NULL;
    struct xvmi_error err = XVMI_ERROR_INIT;
    cr_assert_eq(xt_builder_new(sock_x, 1, &builder, &err), XVMI_OK);
    cr_assert_eq(xt_builder_add_vmlinux(builder, "/nonexistent", XVMI_SOURCE_NONE, &err),
                 XVMI_ERR_NOT_FOUND);
    cr_assert_eq(xt_builder_add_vmlinux(builder, "/dev/null", XVMI_SOURCE_NONE, &err),
                 XVMI_ERR_FORMAT);
    cr_assert_eq(xt_builder_add_vmlinux(builder, "/etc/passwd", XVMI_SOURCE_NONE, &err),
                 XVMI_ERR_FORMAT);
    cr_assert_str_eq(err.text, "vmlinux /etc/passwd: not an ELF file: an x86-64 vmlinux is wanted");
    xt_builder_free(builder);
    dwarf_writer_init(&w, 5);
    w.elf.machine = EM_AARCH64;
    expect_failure(sock_x, 1, XVMI_SOURCE_NONE, XVMI_ERR_UNSUPPORTED, "another machine");
    dwarf_writer_init(&w, 5);
    w.elf.type = ET_REL;
    expect_failure(sock_x, 1, XVMI_SOURCE_NONE, XVMI_ERR_UNSUPPORTED, "not a linked kernel");
    static struct elf_writer bare;
    elf_writer_init(&bare);
    size_t size;
    void *file = elf_writer_finish(&bare, &size);
    struct xvmi_profile *p = NULL;
    cr_assert_eq(build_from(file, size, sock_x, 1, XVMI_SOURCE_NONE, &p, &err), XVMI_ERR_NOT_FOUND);
    cr_assert(strstr(err.text, "no DWARF and no BTF"), "%s", err.text);
    free(file);
}

Test(dwarf, compressed_sections_that_lie)
{
    for (int i = 0; i < 2; i++) {
        dwarf_writer_init(&w, 5);
        elf_writer_compressed(&w.elf, ".debug_info", "xxxx", 4, i ? 5 : 1ULL << 40);
        expect_failure(sock_x, 1, XVMI_SOURCE_DWARF, i ? XVMI_ERR_FORMAT : XVMI_ERR_LIMIT,
                       ".debug_info");
    }
}

Test(dwarf, circles_and_siblings_backwards)
{
    dwarf_writer_init(&w, 5);
    unit(HINTED);
    dwarf_writer_die(&w, 10, DW_TAG_typedef, false);
    dwarf_writer_ref(&w, DW_AT_type, DW_FORM_ref4, 10);
    begin_struct(0, DW_TAG_structure_type, "sock", 16);
    member("x", 10, 0);
    dwarf_writer_end(&w);
    dwarf_writer_unit_end(&w);
    expect_failure(sock_x, 1, XVMI_SOURCE_DWARF, XVMI_ERR_FORMAT, "circular");

    dwarf_writer_init(&w, 5);
    unit(HINTED);
    dwarf_writer_die(&w, 10, DW_TAG_subprogram, true);
    dwarf_writer_ref(&w, DW_AT_sibling, DW_FORM_ref4, 10);
    dwarf_writer_end(&w);
    dwarf_writer_unit_end(&w);
    expect_failure(sock_x, 1, XVMI_SOURCE_DWARF, XVMI_ERR_FORMAT, "sibling lies outside");
}

/* Whatever is cut off or overwritten: an error or the right answer. */
Test(dwarf, damage_never_gives_a_wrong_answer, .timeout = 60)
{
    dwarf_writer_init(&w, 5);
    one_member_unit(HINTED, "sock", 16, "x");
    size_t size;
    uint8_t *file = dwarf_writer_finish(&w, &size);
    struct xvmi_error err = XVMI_ERROR_INIT;
    for (size_t len = 1; len < size; len += 7) {
        struct xvmi_profile *p = NULL;
        cr_assert_neq(build_from(file, len, sock_x, 1, XVMI_SOURCE_NONE, &p, &err), XVMI_OK);
    }
    free(file);
}
