// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* A vmlinux: ELF, DWARF, symbols, notes. The input is the file itself, or damage to a good one. */
#include <dwarf.h>
#include <stdlib.h>

#include "fuzz/patch.h"
#include "support/dwarf-writer.h"
#include "type/dwarf.h"

static const struct xt_want wants[] = {
    {XT_SIZE, true, "task_struct", ""},
    {XT_MEMBER, true, "task_struct", "pid"},
    {XT_MEMBER, true, "task_struct", "tasks.prev|other"},
    {XT_MEMBER, true, "task_struct", "low"},
    {XT_MEMBER, true, "task_struct", "comm"},
    {XT_MEMBER, true, "task_struct", "bits"},
    {XT_MEMBER, true, "elsewhere", "x"},
    {XT_ENUM, true, "", "ENUM_ONE"},
    {XT_SYMBOL, true, "", "init_task"},
};

static struct dwarf_writer w;

static void member(const char *name, unsigned int type, unsigned int offset)
{
    dwarf_writer_die(&w, 0, DW_TAG_member, false);
    if (name)
        dwarf_writer_text(&w, DW_AT_name, DW_FORM_string, name);
    dwarf_writer_ref(&w, DW_AT_type, DW_FORM_ref4, type);
    dwarf_writer_number(&w, DW_AT_data_member_location, DW_FORM_data1, offset);
}

static void begin_struct(unsigned int label, const char *name, unsigned int size)
{
    dwarf_writer_die(&w, label, DW_TAG_structure_type, true);
    if (name)
        dwarf_writer_text(&w, DW_AT_name, DW_FORM_strp, name);
    dwarf_writer_number(&w, DW_AT_byte_size, DW_FORM_udata, size);
    dwarf_writer_sibling(&w);
}

static void types(void)
{
    enum { U32 = 1, COMM, LIST, ANON, LIST_T };
    dwarf_writer_die(&w, U32, DW_TAG_base_type, false);
    dwarf_writer_number(&w, DW_AT_byte_size, DW_FORM_data1, 4);
    dwarf_writer_die(&w, COMM, DW_TAG_array_type, true);
    dwarf_writer_ref(&w, DW_AT_type, DW_FORM_ref4, U32);
    dwarf_writer_die(&w, 0, DW_TAG_subrange_type, false);
    dwarf_writer_number(&w, DW_AT_upper_bound, DW_FORM_data1, 3);
    dwarf_writer_end(&w);
    begin_struct(LIST, "list_head", 16);
    member("next", U32, 0);
    member("prev", U32, 8);
    dwarf_writer_end(&w);
    dwarf_writer_die(&w, LIST_T, DW_TAG_typedef, false);
    dwarf_writer_ref(&w, DW_AT_type, DW_FORM_ref4, LIST);
    begin_struct(ANON, NULL, 8);
    member("low", U32, 0);
    dwarf_writer_end(&w);
    begin_struct(0, "task_struct", 64);
    member("pid", U32, 0);
    member("tasks", LIST_T, 8);
    member(NULL, ANON, 24);
    member("comm", COMM, 32);
    dwarf_writer_die(&w, 0, DW_TAG_member, false);
    dwarf_writer_text(&w, DW_AT_name, DW_FORM_strp, "bits");
    dwarf_writer_ref(&w, DW_AT_type, DW_FORM_ref4, U32);
    dwarf_writer_number(&w, DW_AT_bit_size, DW_FORM_data1, 3);
    if (w.version < 4) {
        dwarf_writer_number(&w, DW_AT_bit_offset, DW_FORM_data1, 5);
        dwarf_writer_block(&w, DW_AT_data_member_location, DW_FORM_block1,
                           (const uint8_t[]){DW_OP_plus_uconst, 48}, 2);
    } else {
        dwarf_writer_number(&w, DW_AT_data_bit_offset, DW_FORM_data2, 390);
    }
    dwarf_writer_end(&w);
    dwarf_writer_die(&w, 0, DW_TAG_enumeration_type, true);
    dwarf_writer_die(&w, 0, DW_TAG_enumerator, false);
    dwarf_writer_text(&w, DW_AT_name, DW_FORM_strp, "ENUM_ONE");
    dwarf_writer_number(&w, DW_AT_const_value, DW_FORM_sdata, 1);
    dwarf_writer_end(&w);
}

static void *good(unsigned int version, bool wide, bool compress, size_t *size)
{
    static const char banner[] = "Linux version 6.1.0 (me)";
    dwarf_writer_init(&w, version);
    w.wide = wide;
    w.compress = compress;
    dwarf_writer_unit(&w, "kernel/fork.c");
    types();
    dwarf_writer_unit_end(&w);
    dwarf_writer_unit(&w, "other.c");
    begin_struct(1, "elsewhere", 8);
    member("x", 1, 0);
    dwarf_writer_end(&w);
    dwarf_writer_unit_end(&w);
    elf_writer_section(&w.elf, ".rodata", SHT_PROGBITS, SHF_ALLOC, 0x1000, banner, sizeof(banner));
    elf_writer_symbol(&w.elf, "init_task", STB_GLOBAL, 1, 0x2000);
    elf_writer_symbol(&w.elf, "linux_banner", STB_GLOBAL, 1, 0x1000);
    elf_writer_build_id(&w.elf, "0123456789", 10);
    return dwarf_writer_finish(&w, size);
}

static void read_vmlinux(struct xt_builder *builder, uint8_t *file, size_t size)
{
    struct xt_elf elf;
    struct xvmi_error err = XVMI_ERROR_INIT;
    struct xvmi_profile *profile = NULL;
    if (xt_elf_open_memory(file, size, &elf, &err))
        return;
    if (xt_builder_add_dwarf(builder, &elf, XT_UNITS_AUTO, &err) == XVMI_OK &&
        xt_elf_symbols(&elf, builder, &err) == XVMI_OK) {
        xt_elf_identity(&elf, builder);
        if (xt_builder_finish(builder, &profile, &err) == XVMI_OK)
            xvmi_profile_unref(profile);
    }
    xt_elf_close(&elf);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct xt_builder *builder = NULL;
    if (n < 1 || xt_builder_new(wants, sizeof(wants) / sizeof(wants[0]), &builder, NULL))
        return 0;
    size_t size = n - 1;
    uint8_t *file;
    if (data[0] & 1) {
        file = good(3 + (data[0] >> 1) % 3, data[0] & 0x40, data[0] & 0x80, &size);
        size = fuzz_patch(file, size, data + 1, n - 1);
    } else {
        file = malloc(size + 1);
        memcpy(file, data + 1, size);
    }
    uint8_t *exact = malloc(size ? size : 1);
    memcpy(exact, file, size);
    read_vmlinux(builder, exact, size);
    free(exact);
    free(file);
    xt_builder_free(builder);
    return 0;
}
