/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XT_DWARF_OBJECT_H
#define XT_DWARF_OBJECT_H

/* Hands sections in memory to libdwarf, which then neither reads nor copies a file. */

#include <libdwarf.h>

#include "type/dwarf-scan.h"

/* libdwarf 0.1 (2021) renamed its object access interface and dropped error arguments; the name of
 * a macro that came with it tells the two apart. */
#ifdef DW_LIBDWARF_VERSION_MAJOR
#define XT_LIBDWARF_0 1
#endif

#define XT_DWARF_SECTIONS 7

struct xt_dwarf_object {
    struct xt_bytes sections[XT_DWARF_SECTIONS];
    Dwarf_Debug dbg;
#ifdef XT_LIBDWARF_0
    Dwarf_Obj_Access_Interface_a access;
#else
    Dwarf_Obj_Access_Interface access;
#endif
};

/* The object must stay where it is until fini. */
XVMI_CHECKED enum xvmi_status xt_dwarf_object_init(struct xt_dwarf_object *object,
                                                   const struct xt_dwarf *dwarf,
                                                   struct xvmi_error *err);
void xt_dwarf_object_fini(struct xt_dwarf_object *object);

#endif
