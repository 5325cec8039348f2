// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause

/* ELF cores: whatever is accepted must be consistent and readable to the last byte. */

#include "fuzz/image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return fuzz_image(xm_elfcore_read, data, size);
}
