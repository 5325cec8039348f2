// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <stdint.h>

#include <criterion/criterion.h>

#include "walk/hash.h"

/* Expected values come from a separate implementation of lookup3's hashword(). */

Test(hash, jhash)
{
    cr_assert_eq(xw_jhash_1word(0x0200000a, 0x12345678), 0x8e38aad3);
    cr_assert_eq(xw_jhash_3words(1, 2, 3, 7), 0xfbd612ad);
    cr_assert_eq(xw_jhash_4words((uint32_t[]){0xb80d0120, 0, 0, 0x01000000}, 0xcafe), 0xb5b15a30);
}

Test(hash, hash_32)
{
    cr_assert_eq(xw_hash_32(0x1234 ^ 6, 8), 0x32);
}
