// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* VMCOREINFO as a guest may write it: the input itself, or damage to a good one. */
#include <stdlib.h>

#include "fuzz/patch.h"
#include "os/linux/vmcoreinfo.h"

static const char good[] = "OSRELEASE=6.1.0-50-cloud-amd64\n"
                           "BUILD-ID=bb603a9147d3efe4744bf83c83eee397c591cc20\n"
                           "SYMBOL(swapper_pg_dir)=ffffffffb4610000\n"
                           "NUMBER(phys_base)=-482344960\n"
                           "NUMBER(pgtable_l5_enabled)=1\n"
                           "KERNELOFFSET=31e00000\n"
                           "SYMBOL(kallsyms_names)=ffffffffb3f74d18\n"
                           "SYMBOL(kallsyms_relative_base)=ffffffffb3f74d08\n";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct xl_vmcoreinfo info;
    if (n < 1)
        return 0;
    size_t size = data[0] & 1 ? sizeof(good) : n - 1;
    /* A copy of exactly this size: reading behind it is seen. */
    uint8_t *text = malloc(size ? size : 1);
    memcpy(text, data[0] & 1 ? (const uint8_t *)good : data + 1, size);
    if (data[0] & 1)
        size = fuzz_patch(text, size, data + 1, n - 1);
    if (xl_vmcoreinfo_parse(text, size, &info, NULL) == XVMI_OK &&
        (strlen(info.release) > XVMI_RELEASE_MAX || info.build_id_len > XVMI_BUILD_ID_MAX ||
         (info.levels != 4 && info.levels != 5)))
        abort();
    free(text);
    return 0;
}
