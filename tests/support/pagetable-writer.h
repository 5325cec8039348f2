/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef PAGETABLE_WRITER_H
#define PAGETABLE_WRITER_H

/*
 * Writes page tables, given as text that a reader can check by hand, into guest RAM at
 * `ram` (GPA 0 on, `size` bytes):
 *
 *     @0x1000                  the table at GPA 0x1000; root of this one
 *       273: 0x2000 PW         entry 273 is 0x2003
 *       510-511: 0x6000 PW     entries 510 and 511: 0x6003 and 0x7003, a page further each
 *       3: 0x40000000 PWS      S: a large page; it steps by 0x1000 too, give them one by one
 *
 * An entry is an address and flags: P present, W write, U user, C no cache, A accessed, D dirty,
 * S large, G global, N no-execute, '-' none. What follows the flags is comment, as is
 * a line that begins with '#'. Text that cannot be understood ends the test program.
 */

#include <stddef.h>
#include <stdint.h>

void pagetable_write(void *ram, size_t size, const char *text);

#endif
