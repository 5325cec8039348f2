/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XT_DWARF_H
#define XT_DWARF_H

/* Types from DWARF: units and names by dwarf-scan, what a type looks like by libdwarf. */

#include "type/dwarf-scan.h"
#include "type/resolve.h"

/* How the units to look at were picked. */
enum xt_units {
    XT_UNITS_AUTO, /* the hinted ones, then all if something could still be found */
    XT_UNITS_ALL,  /* for measurements and tests */
};

/* XVMI_ERR_NOT_FOUND (without text) when the file has no DWARF. */
XVMI_CHECKED enum xvmi_status xt_builder_add_dwarf(struct xt_builder *builder, struct xt_elf *elf,
                                                   enum xt_units units, struct xvmi_error *err);

/*
 * One unit through libdwarf. Type handles are offsets from the start of the unit. libdwarf is given
 * the unit alone: with all of .debug_info it first builds a table of all units, at ten times the
 * cost of what we want of it.
 */
struct xt_dwarf_source;
XVMI_CHECKED enum xvmi_status xt_dwarf_source_new(const struct xt_dwarf *dwarf,
                                                  const struct xt_unit *unit, uint32_t budget,
                                                  struct xt_dwarf_source **source,
                                                  struct xvmi_error *err);
void xt_dwarf_source_free(struct xt_dwarf_source *source);
struct xt_source *xt_dwarf_source_base(struct xt_dwarf_source *source);
XVMI_CHECKED enum xvmi_status xt_dwarf_enumerator(struct xt_dwarf_source *source, uint64_t die,
                                                  int64_t *value, struct xvmi_error *err);

#endif
