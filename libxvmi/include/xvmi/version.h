/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XVMI_VERSION_H
#define XVMI_VERSION_H

#include <xvmi/export.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The version of the library that is running, "MAJOR.MINOR.PATCH". */
XVMI_PUBLIC const char *xvmi_version(void);

#ifdef __cplusplus
}
#endif
#endif
