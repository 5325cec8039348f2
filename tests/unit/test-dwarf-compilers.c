// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* What gcc and clang write, in every version of DWARF that they can write. */
#include <stddef.h>
#include <stdlib.h>

#include <criterion/criterion.h>
#include <criterion/parameterized.h>

#include "support/compiled.h"
#include "type/builder.h"

struct file {
    char path[512];
};

ParameterizedTestParameters(dwarf_compilers, members)
{
    static struct file files[] = {COMPILED_FILES};
    return cr_make_param_array(struct file, files, sizeof(files) / sizeof(files[0]));
}

static void expect(const struct xvmi_profile *p, const char *name, size_t offset, size_t size,
                   unsigned int count, unsigned int bit_offset, unsigned int bit_size)
{
    struct xvmi_member m;
    cr_assert_eq(xvmi_profile_member(p, "compiled_task", name, &m), XVMI_OK, "%s", name);
    cr_assert(m.offset == offset && m.size == size && m.count == count &&
                  m.bit_offset == bit_offset && m.bit_size == bit_size,
              "%s: %u, %u bytes, %u, bits %u/%u", name, m.offset, m.size, m.count, m.bit_offset,
              m.bit_size);
}

#define TASK struct compiled_task
#define WANT(name)                                                                                 \
    {                                                                                              \
        XT_MEMBER, false, "compiled_task", name                                                    \
    }
#define PLAIN(member)                                                                              \
    expect(p, #member, offsetof(TASK, member), sizeof(((TASK *)0)->member), 1, 0, 0)

ParameterizedTest(struct file *file, dwarf_compilers, members)
{
    static const struct xt_want wants[] = {
        {XT_SIZE, false, "compiled_task", ""},
        {XT_ENUM, false, "", "COMPILED_SEVEN"},
        {XT_ENUM, false, "", "COMPILED_MINUS"},
        {XT_SYMBOL, false, "", "init_task"},
        WANT("pid"),
        WANT("state"),
        WANT("tasks.prev"),
        WANT("comm"),
        WANT("high"),
        WANT("three"),
        WANT("thirteen"),
        WANT("sixteen"),
        WANT("matrix"),
        WANT("wide"),
        WANT("one"),
        WANT("named.inner.prev"),
        WANT("tail"),
    };
    struct xt_builder *builder = NULL;
    struct xvmi_profile *p = NULL;
    struct xvmi_error err = XVMI_ERROR_INIT;
    cr_assert_eq(xt_builder_new(wants, sizeof(wants) / sizeof(wants[0]), &builder, &err), XVMI_OK);
    cr_assert_eq(xt_builder_add_vmlinux(builder, file->path, XVMI_SOURCE_DWARF, &err), XVMI_OK,
                 "%s", err.text);
    cr_assert_eq(xt_builder_finish(builder, &p, &err), XVMI_OK, "%s: %s", file->path, err.text);
    xt_builder_free(builder);

    uint32_t size = 0;
    int64_t value = 0;
    cr_assert_eq(xvmi_profile_struct_size(p, "compiled_task", &size), XVMI_OK);
    cr_assert_eq(size, sizeof(TASK));
    cr_assert_eq(xvmi_profile_enumerator(p, "COMPILED_SEVEN", &value), XVMI_OK);
    cr_assert_eq(value, COMPILED_SEVEN);
    cr_assert_eq(xvmi_profile_enumerator(p, "COMPILED_MINUS", &value), XVMI_OK);
    cr_assert_eq(value, COMPILED_MINUS);
    PLAIN(pid);
    PLAIN(state);
    PLAIN(tasks.prev);
    PLAIN(high);
    PLAIN(named.inner.prev);
    expect(p, "comm", offsetof(TASK, comm), 16, 16, 0, 0);
    expect(p, "matrix", offsetof(TASK, matrix), 48, 6, 0, 0);
    expect(p, "tail", offsetof(TASK, tail), 0, 0, 0, 0);
    size_t bits = offsetof(TASK, both) + 8;
    expect(p, "three", bits, 1, 1, 0, 3);
    expect(p, "thirteen", bits, 2, 1, 3, 13);
    expect(p, "sixteen", bits + 2, 2, 1, 0, 16);
    bits = offsetof(TASK, matrix) + 48;
    expect(p, "wide", bits, 8, 1, 0, 40);
    expect(p, "one", bits + 5, 1, 1, 0, 1);
    xvmi_profile_unref(p);
}
