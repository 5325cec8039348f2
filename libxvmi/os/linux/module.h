/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XL_MODULE_H
#define XL_MODULE_H

/* Symbols of a loaded module. */

#include <stddef.h>
#include <stdint.h>

#include "os/linux/guest.h"

struct xl_module_symbol {
    const char *name;
    uint64_t addr; /* 0: the module has none of that name */
    uint64_t size; /* of the object, in bytes */
};

/* Fill in `symbols` from module `name`. XVMI_ERR_NOT_FOUND, without text, when it is not loaded. */
XVMI_CHECKED enum xvmi_status xl_module_symbols(struct xl_guest *g, const char *name,
                                                struct xl_module_symbol *symbols, size_t n);

#endif
