/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XVMI_EXPORT_H
#define XVMI_EXPORT_H

/* Marks what the shared library exports; everything else is hidden. */
#if defined(__GNUC__) || defined(__clang__)
#define XVMI_PUBLIC __attribute__((visibility("default")))
/* The result says whether the call worked: the compiler warns when it is dropped. */
#define XVMI_CHECKED __attribute__((warn_unused_result))
#else
#define XVMI_PUBLIC
#define XVMI_CHECKED
#endif

#endif
