// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <xvmi/version.h>

const char *xvmi_version(void)
{
    return XVMI_VERSION;
}
