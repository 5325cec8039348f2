/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XVMI_CLI_ALLOC_H
#define XVMI_CLI_ALLOC_H

/* malloc and friends that end the program when the host is out of memory. */

#include <stddef.h>

void *must_alloc(size_t n, size_t size);
void *must_grow(void *p, size_t n, size_t size);
char *must_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
