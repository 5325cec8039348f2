// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "type/dwarf.h"

static enum xvmi_status add_btf_section(struct xt_builder *builder, struct xt_elf *elf,
                                        struct xvmi_error *err)
{
    struct xt_bytes btf;
    enum xvmi_status status = xt_elf_section(elf, ".BTF", &btf, err);
    return status ? status : xt_builder_add_btf(builder, btf.p, btf.n, err);
}

static enum xvmi_status add_types(struct xt_builder *builder, struct xt_elf *elf,
                                  enum xvmi_profile_source source, struct xvmi_error *err)
{
    enum xvmi_status status = XVMI_ERR_NOT_FOUND;
    if (source != XVMI_SOURCE_BTF)
        status = xt_builder_add_dwarf(builder, elf, XT_UNITS_AUTO, err);
    /* DWARF that we cannot follow is no reason to give up when there is BTF. */
    if ((status == XVMI_ERR_NOT_FOUND && source != XVMI_SOURCE_DWARF) ||
        (status == XVMI_ERR_UNSUPPORTED && source == XVMI_SOURCE_NONE)) {
        enum xvmi_status btf = add_btf_section(builder, elf, err);
        if (btf != XVMI_ERR_NOT_FOUND || status == XVMI_ERR_NOT_FOUND)
            status = btf;
    }
    if (status != XVMI_ERR_NOT_FOUND)
        return status;
    return xvmi_error_set(err, status, "it has no %s",
                          source == XVMI_SOURCE_BTF     ? "BTF"
                          : source == XVMI_SOURCE_DWARF ? "DWARF: is this the stripped file?"
                                                        : "DWARF and no BTF: a vmlinux with debug "
                                                          "information is wanted");
}

enum xvmi_status xt_builder_add_vmlinux(struct xt_builder *builder, const char *path,
                                        enum xvmi_profile_source source, struct xvmi_error *err)
{
    struct xt_elf elf;
    enum xvmi_status status = xt_elf_open(path, &elf, err);
    if (!status) {
        status = add_types(builder, &elf, source, err);
        if (!status)
            status = xt_elf_symbols(&elf, builder, err);
        if (!status)
            xt_elf_identity(&elf, builder);
        xt_elf_close(&elf);
    }
    return status ? xvmi_error_frame(err, status, "vmlinux %s", path) : XVMI_OK;
}
