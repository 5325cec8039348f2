// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Reads single types through libdwarf. */
#include <stdlib.h>

#include <dwarf.h>

#include "base/cleanup.h"
#include "base/vec.h"
#include "type/dwarf-object.h"
#include "type/dwarf.h"

/* Typedefs, qualifiers and array dimensions in a row. */
#define CHAIN_MAX 32
/* Members of one struct; the kernel's largest has some 300. */
#define CHILDREN_MAX 16384

struct xt_dwarf_source {
    struct xt_source base;
    struct xt_dwarf_object object;
};

static void free_die(Dwarf_Die *die)
{
    if (*die)
        dwarf_dealloc_die(*die);
}

static void free_attr(Dwarf_Attribute *attr)
{
    if (*attr)
        dwarf_dealloc_attribute(*attr);
}

#define auto_die  xb_cleanup(free_die) Dwarf_Die
#define auto_attr xb_cleanup(free_attr) Dwarf_Attribute

static enum xvmi_status failed(struct xt_dwarf_source *s, Dwarf_Error error, uint64_t die,
                               struct xvmi_error *err)
{
    xvmi_error_set(err, XVMI_ERR_FORMAT, "DWARF: entry at %#llx: %s", (unsigned long long)die,
                   error ? dwarf_errmsg(error) : "missing");
    if (error)
        dwarf_dealloc_error(s->object.dbg, error);
    return XVMI_ERR_FORMAT;
}

static uint64_t offset_of(Dwarf_Die die)
{
    Dwarf_Off offset = 0;
    Dwarf_Error error = NULL;
    return dwarf_dieoffset(die, &offset, &error) == DW_DLV_OK ? offset : 0;
}

/* The attribute, or NULL when the DIE has none. */
static enum xvmi_status get_attr(struct xt_dwarf_source *s, Dwarf_Die die, Dwarf_Half which,
                                 Dwarf_Attribute *attr, struct xvmi_error *err)
{
    Dwarf_Error error = NULL;
    *attr = NULL;
    int r = dwarf_attr(die, which, attr, &error);
    if (r == DW_DLV_ERROR)
        return failed(s, error, offset_of(die), err);
    if (r == DW_DLV_NO_ENTRY)
        *attr = NULL;
    return XVMI_OK;
}

static bool is_constant(Dwarf_Half form)
{
    return form == DW_FORM_data1 || form == DW_FORM_data2 || form == DW_FORM_data4 ||
           form == DW_FORM_data8 || form == DW_FORM_udata || form == DW_FORM_sdata ||
           form == DW_FORM_implicit_const;
}

/* A constant attribute. One that is computed at run time has no value here: has is false. */
static enum xvmi_status get_number(struct xt_dwarf_source *s, Dwarf_Die die, Dwarf_Half which,
                                   bool *has, uint64_t *value, struct xvmi_error *err)
{
    auto_attr attr = NULL;
    Dwarf_Half form = 0;
    Dwarf_Error error = NULL;
    *has = false;
    enum xvmi_status status = get_attr(s, die, which, &attr, err);
    if (status || !attr)
        return status;
    if (dwarf_whatform(attr, &form, &error) != DW_DLV_OK)
        return failed(s, error, offset_of(die), err);
    if (!is_constant(form))
        return XVMI_OK;
    Dwarf_Signed number = 0;
    Dwarf_Unsigned plain = 0;
    bool is_signed = form == DW_FORM_sdata || form == DW_FORM_implicit_const;
    int r =
        is_signed ? dwarf_formsdata(attr, &number, &error) : dwarf_formudata(attr, &plain, &error);
    if (r != DW_DLV_OK)
        return failed(s, error, offset_of(die), err);
    *value = is_signed ? (uint64_t)number : plain;
    *has = true;
    return XVMI_OK;
}

/* Where DW_AT_type points; `has` false: void. */
static enum xvmi_status get_type(struct xt_dwarf_source *s, Dwarf_Die die, bool *has,
                                 uint64_t *type, struct xvmi_error *err)
{
    auto_attr attr = NULL;
    Dwarf_Half form = 0;
    Dwarf_Off offset = 0;
    Dwarf_Error error = NULL;
    enum xvmi_status status = get_attr(s, die, DW_AT_type, &attr, err);
    *has = attr;
    if (status || !attr)
        return status;
    if (dwarf_whatform(attr, &form, &error) != DW_DLV_OK)
        return failed(s, error, offset_of(die), err);
    if (form == DW_FORM_ref_addr || form == DW_FORM_ref_sig8 || form == DW_FORM_ref_sup4 ||
        form == DW_FORM_ref_sup8 || form == DW_FORM_GNU_ref_alt)
        return xvmi_error_set(err, XVMI_ERR_UNSUPPORTED,
                              "DWARF: entry at %#llx: its type lies in another unit or file (is "
                              "this kernel built with link-time optimisation?)",
                              (unsigned long long)offset_of(die));
    if (dwarf_global_formref(attr, &offset, &error) != DW_DLV_OK)
        return failed(s, error, offset_of(die), err);
    *type = offset;
    return XVMI_OK;
}

static enum xvmi_status get_die(struct xt_dwarf_source *s, uint64_t at, Dwarf_Die *die,
                                Dwarf_Half *tag, struct xvmi_error *err)
{
    Dwarf_Error error = NULL;
    *die = NULL;
    if (dwarf_offdie_b(s->object.dbg, at, 1, die, &error) != DW_DLV_OK ||
        dwarf_tag(*die, tag, &error) != DW_DLV_OK)
        return failed(s, error, at, err);
    return XVMI_OK;
}

/* The first child (prev NULL) or the next sibling; *next is NULL after the last. */
static enum xvmi_status next_die(struct xt_dwarf_source *s, Dwarf_Die parent, Dwarf_Die prev,
                                 Dwarf_Die *next, Dwarf_Half *tag, struct xvmi_error *err)
{
    Dwarf_Error error = NULL;
    *next = NULL;
    int r = prev ? dwarf_siblingof_b(s->object.dbg, prev, 1, next, &error)
                 : dwarf_child(parent, next, &error);
    if (r == DW_DLV_OK)
        r = dwarf_tag(*next, tag, &error);
    if (r == DW_DLV_ERROR)
        return failed(s, error, offset_of(parent), err);
    return XVMI_OK;
}

/* Elements of one dimension; `int a[]` has neither count nor bound, `int a[0]` the bound -1. */
static enum xvmi_status dimension(struct xt_dwarf_source *s, Dwarf_Die range, uint64_t *count,
                                  struct xvmi_error *err)
{
    bool has = false;
    enum xvmi_status status = get_number(s, range, DW_AT_count, &has, count, err);
    if (status || has)
        return status;
    status = get_number(s, range, DW_AT_upper_bound, &has, count, err);
    *count = has ? *count + 1 : 0;
    return status;
}

/* All dimensions of an array, multiplied into `count`. */
static enum xvmi_status dimensions(struct xt_dwarf_source *s, Dwarf_Die array, uint64_t *count,
                                   struct xvmi_error *err)
{
    auto_die child = NULL;
    for (int i = 0; i < CHAIN_MAX; i++) {
        Dwarf_Die next = NULL;
        Dwarf_Half tag = 0;
        enum xvmi_status status = next_die(s, array, child, &next, &tag, err);
        free_die(&child);
        child = next;
        if (status || !child)
            return status;
        uint64_t n = 0;
        if (tag == DW_TAG_subrange_type)
            status = dimension(s, child, &n, err);
        if (status)
            return status;
        if (tag == DW_TAG_subrange_type && __builtin_mul_overflow(*count, n, count))
            break;
    }
    return xvmi_error_set(err, XVMI_ERR_FORMAT, "DWARF: array at %#llx makes no sense",
                          (unsigned long long)offset_of(array));
}

static bool is_wrapper(Dwarf_Half tag)
{
    return tag == DW_TAG_typedef || tag == DW_TAG_const_type || tag == DW_TAG_volatile_type ||
           tag == DW_TAG_restrict_type || tag == DW_TAG_atomic_type;
}

static enum xvmi_status sized_shape(struct xt_dwarf_source *s, Dwarf_Die die, Dwarf_Half tag,
                                    struct xt_shape *shape, struct xvmi_error *err)
{
    bool has = false;
    uint64_t size = 0;
    enum xvmi_status status = get_number(s, die, DW_AT_byte_size, &has, &size, err);
    if (status)
        return status;
    if (!has)
        size = tag == DW_TAG_pointer_type ? 8 : 0;
    shape->is_struct = tag == DW_TAG_structure_type || tag == DW_TAG_union_type;
    if (__builtin_mul_overflow(size, shape->count, &shape->size))
        return xvmi_error_set(err, XVMI_ERR_FORMAT, "DWARF: type at %#llx is too large",
                              (unsigned long long)shape->type);
    return XVMI_OK;
}

static enum xvmi_status dwarf_shape(struct xt_source *base, uint64_t type, struct xt_shape *shape,
                                    struct xvmi_error *err)
{
    struct xt_dwarf_source *s = (struct xt_dwarf_source *)base;
    *shape = (struct xt_shape){.type = type, .count = 1};
    bool is_array = false;
    for (int i = 0; i < CHAIN_MAX; i++) {
        auto_die die = NULL;
        Dwarf_Half tag = 0;
        enum xvmi_status status = get_die(s, shape->type, &die, &tag, err);
        if (status)
            return status;
        if (tag == DW_TAG_array_type) {
            is_array = true;
            status = dimensions(s, die, &shape->count, err);
        } else if (!is_wrapper(tag)) {
            status = sized_shape(s, die, tag, shape, err);
            shape->is_struct &= !is_array;
            return status;
        }
        bool has = false;
        if (!status)
            status = get_type(s, die, &has, &shape->type, err);
        if (status || !has)
            return status;
    }
    return xvmi_error_set(err, XVMI_ERR_FORMAT, "DWARF: type at %#llx is circular",
                          (unsigned long long)type);
}

/* Offsets that DWARF 2 wrote as the expression "plus_uconst N". */
static enum xvmi_status location_expression(struct xt_dwarf_source *s, Dwarf_Die die,
                                            uint64_t *offset, struct xvmi_error *err)
{
    auto_attr attr = NULL;
    enum xvmi_status status = get_attr(s, die, DW_AT_data_member_location, &attr, err);
    if (status || !attr)
        return status;
    Dwarf_Error error = NULL;
    Dwarf_Unsigned len = 0;
    Dwarf_Ptr p = NULL;
    Dwarf_Half form = 0;
    if (dwarf_whatform(attr, &form, &error) != DW_DLV_OK)
        return failed(s, error, offset_of(die), err);
    const uint8_t *op = NULL;
    Dwarf_Block *block = NULL;
    if (form == DW_FORM_exprloc) {
        if (dwarf_formexprloc(attr, &len, &p, &error) != DW_DLV_OK)
            return failed(s, error, offset_of(die), err);
        op = p;
    } else {
        if (dwarf_formblock(attr, &block, &error) != DW_DLV_OK)
            return failed(s, error, offset_of(die), err);
        len = block->bl_len;
        op = block->bl_data;
    }
    uint64_t value = 0;
    unsigned int shift = 0;
    Dwarf_Unsigned i = 1;
    for (; len >= 2 && op[0] == DW_OP_plus_uconst && i < len && shift < 63; shift += 7) {
        value |= (uint64_t)(op[i] & 0x7f) << shift;
        if (!(op[i++] & 0x80))
            break;
    }
    bool ok = len >= 2 && i == len && !(op[i - 1] & 0x80);
    if (block)
        dwarf_dealloc(s->object.dbg, block, DW_DLA_BLOCK);
    if (!ok)
        return xvmi_error_set(err, XVMI_ERR_UNSUPPORTED,
                              "DWARF: member at %#llx: its location is not a constant",
                              (unsigned long long)offset_of(die));
    *offset = value;
    return XVMI_OK;
}

/*
 * Bit-fields: DWARF 4 and later count from the start of the struct (DW_AT_data_bit_offset). Before,
 * DW_AT_bit_offset counted from the most significant bit of a storage unit of DW_AT_byte_size.
 */
static enum xvmi_status bit_position(struct xt_dwarf_source *s, Dwarf_Die die,
                                     struct xt_field *field, struct xvmi_error *err)
{
    bool has = false, has_size = false;
    uint64_t bits = 0, at = 0, storage = 0;
    enum xvmi_status status = get_number(s, die, DW_AT_bit_size, &has, &bits, err);
    if (status || !has)
        return status;
    if (bits == 0 || bits > 64)
        return xvmi_error_set(err, XVMI_ERR_FORMAT, "DWARF: bit-field at %#llx of %llu bits",
                              (unsigned long long)offset_of(die), (unsigned long long)bits);
    field->bit_size = (uint32_t)bits;
    status = get_number(s, die, DW_AT_data_bit_offset, &has, &at, err);
    if (status || has) {
        field->bit_offset = has ? at : field->bit_offset;
        return status;
    }
    status = get_number(s, die, DW_AT_bit_offset, &has, &at, err);
    if (status || !has)
        return status;
    status = get_number(s, die, DW_AT_byte_size, &has_size, &storage, err);
    if (!status && !has_size) {
        struct xt_shape shape;
        status = dwarf_shape(&s->base, field->type, &shape, err);
        storage = status ? 0 : shape.size;
    }
    if (status)
        return status;
    if (storage > 16 || at > storage * 8 || bits > storage * 8 - at)
        return xvmi_error_set(err, XVMI_ERR_FORMAT, "DWARF: bit-field at %#llx makes no sense",
                              (unsigned long long)offset_of(die));
    field->bit_offset += storage * 8 - at - bits;
    return XVMI_OK;
}

static enum xvmi_status read_member(struct xt_dwarf_source *s, Dwarf_Die die,
                                    struct xt_field *field, struct xvmi_error *err)
{
    char *name = NULL;
    Dwarf_Error error = NULL;
    bool has = false;
    uint64_t offset = 0;
    /* The string lies in the section itself. */
    int r = dwarf_diename(die, &name, &error);
    if (r == DW_DLV_ERROR)
        return failed(s, error, offset_of(die), err);
    *field = (struct xt_field){.name = r == DW_DLV_OK ? name : ""};
    enum xvmi_status status = get_type(s, die, &has, &field->type, err);
    if (!status && !has)
        return xvmi_error_set(err, XVMI_ERR_FORMAT, "DWARF: member at %#llx has no type",
                              (unsigned long long)offset_of(die));
    if (!status)
        status = get_number(s, die, DW_AT_data_member_location, &has, &offset, err);
    if (!status && !has)
        status = location_expression(s, die, &offset, err);
    if (!status && offset > UINT32_MAX)
        return xvmi_error_set(err, XVMI_ERR_FORMAT, "DWARF: member at %#llx lies too far out",
                              (unsigned long long)offset_of(die));
    field->bit_offset = offset * 8;
    return status ? status : bit_position(s, die, field, err);
}

static enum xvmi_status dwarf_members(struct xt_source *base, uint64_t type,
                                      struct xt_fields *fields, struct xvmi_error *err)
{
    struct xt_dwarf_source *s = (struct xt_dwarf_source *)base;
    auto_die parent = NULL;
    auto_die child = NULL;
    Dwarf_Half tag = 0;
    enum xvmi_status status = get_die(s, type, &parent, &tag, err);
    for (int i = 0; !status && i < CHILDREN_MAX; i++) {
        Dwarf_Die next = NULL;
        status = next_die(s, parent, child, &next, &tag, err);
        free_die(&child);
        child = next;
        if (status || !child)
            return status;
        struct xt_field field;
        if (tag != DW_TAG_member)
            continue;
        status = read_member(s, child, &field, err);
        if (!status && !xb_vec_push(fields, field))
            return xvmi_error_set(err, XVMI_ERR_NO_MEMORY, "no memory for the members of a struct");
    }
    return status ? status
                  : xvmi_error_set(err, XVMI_ERR_LIMIT,
                                   "DWARF: struct at %#llx has more than %d "
                                   "members",
                                   (unsigned long long)type, CHILDREN_MAX);
}

enum xvmi_status xt_dwarf_enumerator(struct xt_dwarf_source *s, uint64_t die_at, int64_t *value,
                                     struct xvmi_error *err)
{
    auto_die die = NULL;
    Dwarf_Half tag = 0;
    bool has = false;
    uint64_t number = 0;
    enum xvmi_status status = get_die(s, die_at, &die, &tag, err);
    if (!status)
        status = get_number(s, die, DW_AT_const_value, &has, &number, err);
    if (!status && !has)
        return xvmi_error_set(err, XVMI_ERR_FORMAT, "DWARF: enumerator at %#llx has no value",
                              (unsigned long long)die_at);
    *value = (int64_t)number;
    return status;
}

enum xvmi_status xt_dwarf_source_new(const struct xt_dwarf *dwarf, const struct xt_unit *unit,
                                     uint32_t budget, struct xt_dwarf_source **out,
                                     struct xvmi_error *err)
{
    struct xt_dwarf_source *s = calloc(1, sizeof(*s));
    if (!s)
        return xvmi_error_set(err, XVMI_ERR_NO_MEMORY, "no memory for DWARF");
    s->base = (struct xt_source){.shape = dwarf_shape, .members = dwarf_members, .budget = budget};
    struct xt_dwarf alone = *dwarf;
    alone.info = (struct xt_bytes){dwarf->info.p + unit->at, unit->end - unit->at};
    enum xvmi_status status = xt_dwarf_object_init(&s->object, &alone, err);
    if (status) {
        free(s);
        return status;
    }
    *out = s;
    return XVMI_OK;
}

void xt_dwarf_source_free(struct xt_dwarf_source *source)
{
    if (!source)
        return;
    xt_dwarf_object_fini(&source->object);
    free(source);
}

struct xt_source *xt_dwarf_source_base(struct xt_dwarf_source *source)
{
    return &source->base;
}
