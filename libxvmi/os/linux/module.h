/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XL_MODULE_H
#define XL_MODULE_H

/* Symbols and types of a loaded module. */

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

/* What `wants` asks of the module's types. Takes some 100 ms. XVMI_ERR_UNSUPPORTED when the guest's
 * kernel keeps none, or they lack something that is not optional. */
XVMI_CHECKED enum xvmi_status xl_module_types(struct xl_guest *g, const char *name,
                                              const struct xt_want *wants, size_t n,
                                              struct xvmi_profile **profile);

#endif
