/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef FUZZ_PATCH_H
#define FUZZ_PATCH_H

/*
 * Fuzzing from good files that the target makes itself: the input says what to damage. So a target
 * needs no corpus to get past magic numbers and lengths.
 */

#include <stdint.h>
#include <string.h>

/*
 * The first two bytes cut from the end (0: nothing); then records of four bytes, {offset, offset,
 * how, value}: set a byte, or a whole little-endian number of 2, 4 or 8 bytes to the value, its
 * negative or its multiple of 2^24. Returns the new size.
 */
static inline size_t fuzz_patch(uint8_t *file, size_t size, const uint8_t *data, size_t n)
{
    if (n < 2 || !size)
        return size;
    size_t cut = (size_t)(data[0] | data[1] << 8);
    for (data += 2, n -= 2; n >= 4; data += 4, n -= 4) {
        size_t at = (size_t)(data[0] | data[1] << 8) % size, width = 1U << (data[2] & 3);
        uint64_t v = data[3];
        if (data[2] & 4)
            v = -v;
        if (data[2] & 8)
            v <<= 24;
        memcpy(file + at, &v, width < size - at ? width : size - at);
    }
    return cut < size ? size - cut : 0;
}

#endif
