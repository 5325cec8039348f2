// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* The profile of a kernel that does not run anywhere yet. */
#include <xvmi/vm.h>

#include "os/linux/guest.h"
#include "type/builder.h"

enum xvmi_status xvmi_profile_from_vmlinux(const char *path, struct xvmi_profile **profile,
                                           struct xvmi_error *err)
{
    size_t n;
    const struct xt_want *wants = xl_wants(&n);
    struct xt_builder *builder;

    *profile = NULL;
    enum xvmi_status status = xt_builder_new(wants, n, &builder, err);
    if (status)
        return status;
    status = xt_builder_add_vmlinux(builder, path, XVMI_SOURCE_NONE, err);
    if (!status)
        status = xt_builder_finish(builder, profile, err);
    xt_builder_free(builder);
    return status;
}
