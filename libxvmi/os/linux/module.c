// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "os/linux/module.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "type/builder.h"

#define MAX_MODULES 4096
#define MAX_SYMBOLS (1u << 17) /* of one module: xfs has some 10,000 */
#define NAME_MAX_   64         /* MODULE_NAME_LEN is 56 on 64-bit */
#define CHUNK       64
#define MAX_BTF     ((size_t)64 << 20) /* the kernel's own takes 4 to 8 MiB */

/* The object of this name on a list. `next`: where the link to it is in each; `via`: where the
 * object that has the name hangs by the one on the list, size 0: it is that one. */
static enum xvmi_status find_named(struct xl_guest *g, uint64_t head, struct xw_field next,
                                   struct xw_field via, struct xw_field name, const char *wanted,
                                   uint64_t *object)
{
    uint64_t node;
    char text[NAME_MAX_];
    if (xo_read_u64(g->space, head, &node))
        return xo_fault(g->space, g->err);
    for (int i = 0; i < MAX_MODULES && node != head && xw_is_pointer(node); i++) {
        *object = node - next.off;
        if (xw_has(via) && xo_read_u64(g->space, *object + via.off, object))
            return xo_fault(g->space, g->err);
        if (xo_read_str(g->space, *object + name.off, text, sizeof(text), NULL))
            return xo_fault(g->space, g->err);
        if (!strcmp(text, wanted))
            return XVMI_OK;
        if (xo_read_u64(g->space, node, &node))
            return xo_fault(g->space, g->err);
    }
    return XVMI_ERR_NOT_FOUND;
}

static enum xvmi_status find_module(struct xl_guest *g, const char *name, uint64_t *module)
{
    const struct xw_layout *lay = &g->lay;
    if (!g->sym.sym_modules || !xw_has(lay->module_list) || !xw_has(lay->module_kallsyms))
        return XVMI_ERR_NOT_FOUND;
    return find_named(g, g->sym.sym_modules, lay->module_list, (struct xw_field){0},
                      lay->module_name, name, module);
}

static enum xvmi_status match_symbol(struct xl_guest *g, const Elf64_Sym *sym, uint64_t strtab,
                                     struct xl_module_symbol *symbols, size_t n)
{
    char name[NAME_MAX_];
    if (ELF64_ST_TYPE(sym->st_info) == STT_FUNC || !sym->st_value)
        return XVMI_OK;
    if (xo_read_str(g->space, strtab + sym->st_name, name, sizeof(name), NULL))
        return xo_fault(g->space, g->err);
    for (size_t i = 0; i < n; i++)
        if (!symbols[i].addr && !strcmp(symbols[i].name, name)) {
            symbols[i].addr = sym->st_value;
            symbols[i].size = sym->st_size;
        }
    return XVMI_OK;
}

enum xvmi_status xl_module_symbols(struct xl_guest *g, const char *name,
                                   struct xl_module_symbol *symbols, size_t n)
{
    struct xw_fault fault;
    uint64_t module = 0, kallsyms, symtab, strtab, count;
    Elf64_Sym chunk[CHUNK];
    enum xvmi_status status = find_module(g, name, &module);
    if (status)
        return status;
    if (xw_get(g->space, &g->lay, module, module_kallsyms, &kallsyms, &fault) ||
        xw_get(g->space, &g->lay, kallsyms, mod_kallsyms_symtab, &symtab, &fault) ||
        xw_get(g->space, &g->lay, kallsyms, mod_kallsyms_strtab, &strtab, &fault) ||
        xw_get(g->space, &g->lay, kallsyms, mod_kallsyms_num, &count, &fault))
        return xl_fault(g, &fault);
    if (count > MAX_SYMBOLS)
        return xvmi_error_set(g->err, XVMI_ERR_FORMAT, "module %s with %u symbols", name,
                              (unsigned)count);
    for (uint64_t first = 0; first < count && !status; first += CHUNK) {
        size_t some = count - first < CHUNK ? (size_t)(count - first) : CHUNK;
        if (xo_read(g->space, symtab + first * sizeof(*chunk), chunk, some * sizeof(*chunk)))
            return xo_fault(g->space, g->err);
        for (size_t i = 0; i < some && !status; i++)
            status = match_symbol(g, &chunk[i], strtab, symbols, n);
    }
    return status;
}

/* --- types --- */

/* A struct btf (kernel/bpf/btf.c) holds what was loaded, header and all. */
static enum xvmi_status read_btf(struct xl_guest *g, uint64_t btf, uint8_t **data, size_t *size)
{
    struct xw_fault fault;
    uint64_t at, len;
    if (xw_get(g->space, &g->lay, btf, btf_data, &at, &fault) ||
        xw_get(g->space, &g->lay, btf, btf_data_size, &len, &fault))
        return xl_fault(g, &fault);
    if (!len || len > MAX_BTF)
        return xvmi_error_set(g->err, XVMI_ERR_FORMAT, "BTF of %lu bytes", (unsigned long)len);
    *data = malloc(len);
    if (!*data)
        return xvmi_error_set(g->err, XVMI_ERR_NO_MEMORY, "no memory for BTF");
    *size = len;
    return xo_read(g->space, at, *data, len) ? xo_fault(g->space, g->err) : XVMI_OK;
}

static enum xvmi_status find_btf(struct xl_guest *g, const char *name, uint64_t *btf)
{
    const struct xw_layout *lay = &g->lay;
    enum xvmi_status status = XVMI_ERR_NOT_FOUND;
    if (g->sym.sym_btf_modules && xw_has(lay->btf_module_list) && xw_has(lay->btf_base))
        status = find_named(g, g->sym.sym_btf_modules, lay->btf_module_list, lay->btf_module_btf,
                            lay->btf_name, name, btf);
    return status == XVMI_ERR_NOT_FOUND
               ? xvmi_error_set(g->err, XVMI_ERR_UNSUPPORTED, "this kernel keeps none")
               : status;
}

enum xvmi_status xl_module_types(struct xl_guest *g, const char *name, const struct xt_want *wants,
                                 size_t n, struct xvmi_profile **profile)
{
    xb_auto_free uint8_t *data = NULL, *base = NULL;
    size_t size = 0, base_size = 0;
    struct xt_builder *builder = NULL;
    struct xw_fault fault;
    uint64_t btf = 0, of_kernel = 0;
    enum xvmi_status status = find_btf(g, name, &btf);
    if (!status && xw_get(g->space, &g->lay, btf, btf_base, &of_kernel, &fault))
        status = xl_fault(g, &fault);
    if (!status)
        status = read_btf(g, btf, &data, &size);
    if (!status)
        status = read_btf(g, of_kernel, &base, &base_size);
    if (!status)
        status = xt_builder_new(wants, n, &builder, g->err);
    if (!status)
        status = xt_builder_add_module_btf(builder, base, base_size, data, size, g->err);
    if (!status)
        status = xt_builder_finish(builder, profile, g->err);
    if (status == XVMI_ERR_NOT_FOUND) /* the module is there, but not as we know it */
        status = XVMI_ERR_UNSUPPORTED;
    xt_builder_free(builder);
    return status ? xvmi_error_frame(g->err, status, "types of module %s", name) : XVMI_OK;
}
