/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XT_BUILDER_H
#define XT_BUILDER_H

/*
 * Collects what was wanted from whatever sources there are (BTF, DWARF, symbol tables,
 * kallsyms) and turns it into an immutable profile.
 */

#include <stdint.h>

#include <xvmi/profile.h>

#include "type/want.h"

struct xt_builder;

/* `wants` is borrowed until xt_builder_free(). */
XVMI_CHECKED enum xvmi_status xt_builder_new(const struct xt_want *wants, size_t n,
                                             struct xt_builder **builder, struct xvmi_error *err);
void xt_builder_free(struct xt_builder *builder);

/* Types from a BTF blob (bounded, hostile) or from a vmlinux by DWARF, by its .BTF section, or
 * whichever it has (XVMI_SOURCE_NONE: DWARF first); a vmlinux also gives symbols and build-id. */
XVMI_CHECKED enum xvmi_status xt_builder_add_btf(struct xt_builder *builder, const void *data,
                                                 size_t size, struct xvmi_error *err);
/* Types of a module: its BTF goes on where the kernel's ends. */
XVMI_CHECKED enum xvmi_status xt_builder_add_module_btf(struct xt_builder *builder,
                                                        const void *base, size_t base_size,
                                                        const void *module, size_t module_size,
                                                        struct xvmi_error *err);
XVMI_CHECKED enum xvmi_status xt_builder_add_vmlinux(struct xt_builder *builder, const char *path,
                                                     enum xvmi_profile_source source,
                                                     struct xvmi_error *err);

/* Offer one symbol; ignored unless wanted, the first of a name counts. A static variable of a
 * function ("name.17") goes by its bare name unless something has just that name. Fast: called for
 * each of 150,000 names. `addr` is as linked (KASLR offset taken off, per-CPU symbols as offsets).
 */
void xt_builder_add_symbol(struct xt_builder *builder, const char *name, size_t len, uint64_t addr);

/* Who the kernel is. Either may be left out (NULL, 0). */
void xt_builder_set_identity(struct xt_builder *builder, const void *build_id, size_t build_id_len,
                             const char *release);

/* XVMI_ERR_NOT_FOUND when something not optional is missing; the text names the first few. */
XVMI_CHECKED enum xvmi_status xt_builder_finish(struct xt_builder *builder,
                                                struct xvmi_profile **profile,
                                                struct xvmi_error *err);

#endif
