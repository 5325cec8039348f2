// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <dwarf.h>

#include "type/dwarf-form.h"

int xt_form_size(const struct xt_unit *unit, uint64_t form)
{
    switch (form) {
    case DW_FORM_flag_present:
    case DW_FORM_implicit_const:
        return 0;
    case DW_FORM_data1:
    case DW_FORM_ref1:
    case DW_FORM_flag:
    case DW_FORM_strx1:
    case DW_FORM_addrx1:
        return 1;
    case DW_FORM_data2:
    case DW_FORM_ref2:
    case DW_FORM_strx2:
    case DW_FORM_addrx2:
        return 2;
    case DW_FORM_strx3:
    case DW_FORM_addrx3:
        return 3;
    case DW_FORM_data4:
    case DW_FORM_ref4:
    case DW_FORM_strx4:
    case DW_FORM_addrx4:
    case DW_FORM_ref_sup4:
        return 4;
    case DW_FORM_data8:
    case DW_FORM_ref8:
    case DW_FORM_ref_sig8:
    case DW_FORM_ref_sup8:
        return 8;
    case DW_FORM_data16:
        return 16;
    case DW_FORM_addr:
        return unit->address_size;
    case DW_FORM_ref_addr:
        return unit->version == 2 ? unit->address_size : unit->offset_size;
    case DW_FORM_strp:
    case DW_FORM_line_strp:
    case DW_FORM_strp_sup:
    case DW_FORM_sec_offset:
    case DW_FORM_GNU_ref_alt:
    case DW_FORM_GNU_strp_alt:
        return unit->offset_size;
    case DW_FORM_string:
    case DW_FORM_block1:
    case DW_FORM_block2:
    case DW_FORM_block4:
    case DW_FORM_block:
    case DW_FORM_exprloc:
    case DW_FORM_sdata:
    case DW_FORM_udata:
    case DW_FORM_ref_udata:
    case DW_FORM_strx:
    case DW_FORM_addrx:
    case DW_FORM_loclistx:
    case DW_FORM_rnglistx:
    case DW_FORM_GNU_addr_index:
    case DW_FORM_GNU_str_index:
    case DW_FORM_indirect:
        return XT_FORM_VARIES;
    }
    return XT_FORM_UNKNOWN;
}

enum xt_variable xt_form_variable(uint64_t form)
{
    switch (form) {
    case DW_FORM_string:
        return XT_VARIABLE_STRING;
    case DW_FORM_block1:
        return XT_VARIABLE_BLOCK1;
    case DW_FORM_block2:
        return XT_VARIABLE_BLOCK2;
    case DW_FORM_block4:
        return XT_VARIABLE_BLOCK4;
    case DW_FORM_block:
    case DW_FORM_exprloc:
        return XT_VARIABLE_BLOCK;
    case DW_FORM_indirect:
        return XT_VARIABLE_INDIRECT;
    default:
        return XT_VARIABLE_LEB;
    }
}

void xt_skip_variable(struct xt_cursor *c, const struct xt_unit *unit, enum xt_variable kind)
{
    switch (kind) {
    case XT_VARIABLE_LEB:
        xt_get_leb(c);
        break;
    case XT_VARIABLE_STRING:
        xt_get_string(c);
        break;
    case XT_VARIABLE_BLOCK1:
        xt_skip(c, xt_get_fixed(c, 1));
        break;
    case XT_VARIABLE_BLOCK2:
        xt_skip(c, xt_get_fixed(c, 2));
        break;
    case XT_VARIABLE_BLOCK4:
        xt_skip(c, xt_get_fixed(c, 4));
        break;
    case XT_VARIABLE_BLOCK:
        xt_skip(c, xt_get_leb(c));
        break;
    case XT_VARIABLE_INDIRECT: {
        uint64_t form = xt_get_leb(c);
        if (form == DW_FORM_indirect)
            xt_cursor_break(c);
        else
            xt_form_skip(c, unit, form);
    }
    }
}

void xt_form_skip(struct xt_cursor *c, const struct xt_unit *unit, uint64_t form)
{
    int size = xt_form_size(unit, form);
    if (size >= 0)
        xt_skip(c, (uint64_t)size);
    else if (size == XT_FORM_VARIES)
        xt_skip_variable(c, unit, xt_form_variable(form));
    else
        xt_cursor_break(c);
}

static const char *string_at(const struct xt_bytes *bytes, uint64_t at)
{
    struct xt_cursor c = xt_cursor_at(bytes, at, bytes->n);
    return c.bad ? "" : xt_get_string(&c);
}

const char *xt_form_name(struct xt_cursor *c, const struct xt_dwarf *dwarf,
                         const struct xt_unit *unit, uint64_t form)
{
    uint64_t index;
    switch (form) {
    case DW_FORM_string:
        return xt_get_string(c);
    case DW_FORM_strp:
        return string_at(&dwarf->str, xt_get_fixed(c, unit->offset_size));
    case DW_FORM_line_strp:
        return string_at(&dwarf->line_str, xt_get_fixed(c, unit->offset_size));
    case DW_FORM_strx1:
    case DW_FORM_strx2:
    case DW_FORM_strx3:
    case DW_FORM_strx4:
        index = xt_get_fixed(c, (unsigned int)xt_form_size(unit, form));
        break;
    case DW_FORM_strx:
        index = xt_get_leb(c);
        break;
    default:
        xt_form_skip(c, unit, form);
        return "";
    }
    const struct xt_bytes *offsets = &dwarf->str_offsets;
    if (unit->str_base > offsets->n || index >= (offsets->n - unit->str_base) / unit->offset_size)
        return "";
    struct xt_cursor entry =
        xt_cursor_at(offsets, unit->str_base + index * unit->offset_size, offsets->n);
    return string_at(&dwarf->str, xt_get_fixed(&entry, unit->offset_size));
}
