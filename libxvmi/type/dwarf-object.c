// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <dwarf.h>
#include <elf.h>

#include "type/dwarf-object.h"

/* Section 0 is nobody, as in ELF. */
static const char *const names[XT_DWARF_SECTIONS] = {
    "",
    ".debug_info",
    ".debug_abbrev",
    ".debug_str",
    ".debug_line_str",
    ".debug_str_offsets",
    ".debug_addr",
};

static Dwarf_Unsigned file_size(void *ctx)
{
    const struct xt_dwarf_object *object = ctx;
    Dwarf_Unsigned size = 0;
    for (int i = 0; i < XT_DWARF_SECTIONS; i++)
        size += object->sections[i].n;
    return size;
}

static Dwarf_Small eight(void *ctx)
{
    (void)ctx;
    return 8;
}

static Dwarf_Unsigned section_count(void *ctx)
{
    (void)ctx;
    return XT_DWARF_SECTIONS;
}

static int load(const struct xt_dwarf_object *object, Dwarf_Unsigned index, Dwarf_Small **data)
{
    if (index >= XT_DWARF_SECTIONS || !object->sections[index].n)
        return DW_DLV_NO_ENTRY;
    /* libdwarf does not write to what was loaded: there is nothing to relocate. */
    *data = (Dwarf_Small *)(uintptr_t)object->sections[index].p;
    return DW_DLV_OK;
}

#ifdef XT_LIBDWARF_0

static int section_info(void *ctx, Dwarf_Unsigned index, Dwarf_Obj_Access_Section_a *section,
                        int *error)
{
    const struct xt_dwarf_object *object = ctx;
    (void)error;
    if (index >= XT_DWARF_SECTIONS)
        return DW_DLV_NO_ENTRY;
    *section = (Dwarf_Obj_Access_Section_a){
        .as_name = names[index], .as_type = SHT_PROGBITS, .as_size = object->sections[index].n};
    return DW_DLV_OK;
}

static Dwarf_Small byte_order(void *ctx)
{
    (void)ctx;
    return DW_END_little;
}

static int load_section(void *ctx, Dwarf_Unsigned index, Dwarf_Small **data, int *error)
{
    (void)error;
    return load(ctx, index, data);
}

static const Dwarf_Obj_Access_Methods_a methods = {
    .om_get_section_info = section_info,
    .om_get_byte_order = byte_order,
    .om_get_length_size = eight,
    .om_get_pointer_size = eight,
    .om_get_filesize = file_size,
    .om_get_section_count = section_count,
    .om_load_section = load_section,
};

static void use_methods(struct xt_dwarf_object *object)
{
    object->access = (Dwarf_Obj_Access_Interface_a){.ai_object = object, .ai_methods = &methods};
}

void xt_dwarf_object_fini(struct xt_dwarf_object *object)
{
    if (object->dbg)
        dwarf_object_finish(object->dbg);
}

#else

static int section_info(void *ctx, Dwarf_Half index, Dwarf_Obj_Access_Section *section, int *error)
{
    const struct xt_dwarf_object *object = ctx;
    (void)error;
    if (index >= XT_DWARF_SECTIONS)
        return DW_DLV_NO_ENTRY;
    *section = (Dwarf_Obj_Access_Section){
        .name = names[index], .type = SHT_PROGBITS, .size = object->sections[index].n};
    return DW_DLV_OK;
}

static Dwarf_Endianness byte_order(void *ctx)
{
    (void)ctx;
    return DW_OBJECT_LSB;
}

static int load_section(void *ctx, Dwarf_Half index, Dwarf_Small **data, int *error)
{
    (void)error;
    return load(ctx, index, data);
}

static const Dwarf_Obj_Access_Methods methods = {
    .get_section_info = section_info,
    .get_byte_order = byte_order,
    .get_length_size = eight,
    .get_pointer_size = eight,
    .get_section_count = section_count,
    .load_section = load_section,
};

static void use_methods(struct xt_dwarf_object *object)
{
    (void)file_size;
    object->access = (Dwarf_Obj_Access_Interface){.object = object, .methods = &methods};
}

void xt_dwarf_object_fini(struct xt_dwarf_object *object)
{
    Dwarf_Error error = NULL;
    if (object->dbg)
        dwarf_object_finish(object->dbg, &error);
}

#endif

enum xvmi_status xt_dwarf_object_init(struct xt_dwarf_object *object, const struct xt_dwarf *dwarf,
                                      struct xvmi_error *err)
{
    *object = (struct xt_dwarf_object){.sections = {{0},
                                                    dwarf->info,
                                                    dwarf->abbrev,
                                                    dwarf->str,
                                                    dwarf->line_str,
                                                    dwarf->str_offsets,
                                                    dwarf->addr}};
    use_methods(object);
    Dwarf_Error error = NULL;
    int r =
        dwarf_object_init_b(&object->access, NULL, NULL, DW_GROUPNUMBER_ANY, &object->dbg, &error);
    if (r == DW_DLV_OK)
        return XVMI_OK;
    object->dbg = NULL;
    return xvmi_error_set(err, XVMI_ERR_FORMAT, "DWARF: libdwarf cannot read it: %s",
                          r == DW_DLV_ERROR ? dwarf_errmsg(error) : "no debug information");
}
