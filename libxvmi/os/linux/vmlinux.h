/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XL_VMLINUX_H
#define XL_VMLINUX_H

/* Kernels with debug information on the host. */

#include <stdbool.h>

struct xl_kernel;

#define XL_VMLINUX_PATH_MAX 256

/* A vmlinux with the kernel's build-id where distributions install them. False: none. */
bool xl_vmlinux_find(const struct xl_kernel *kernel, char path[XL_VMLINUX_PATH_MAX]);

/* Does the file begin as ELF files do? */
bool xl_is_elf(const char *path);

#endif
