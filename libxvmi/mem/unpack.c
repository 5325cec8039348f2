// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <string.h>

#include "mem/kdump.h"

#ifdef XM_HAVE_ZLIB
#include <zlib.h>
#endif
#ifdef XM_HAVE_LZO
#include <lzo/lzo1x.h>
#endif
#ifdef XM_HAVE_SNAPPY
#include <snappy-c.h>
#endif
#ifdef XM_HAVE_ZSTD
#include <zstd.h>
#endif

/* Each unpacks into exactly one page, within its bounds whatever the input, or says no. */

#ifdef XM_HAVE_ZLIB
static bool unpack_zlib(const uint8_t *src, size_t size, uint8_t *page)
{
    uLongf len = XM_KDUMP_PAGE;
    return uncompress(page, &len, src, size) == Z_OK && len == XM_KDUMP_PAGE;
}
#else
#define unpack_zlib NULL
#endif

#ifdef XM_HAVE_LZO
static bool unpack_lzo(const uint8_t *src, size_t size, uint8_t *page)
{
    lzo_uint len = XM_KDUMP_PAGE;
    return lzo1x_decompress_safe(src, size, page, &len, NULL) == LZO_E_OK && len == XM_KDUMP_PAGE;
}
#else
#define unpack_lzo NULL
#endif

#ifdef XM_HAVE_SNAPPY
static bool unpack_snappy(const uint8_t *src, size_t size, uint8_t *page)
{
    size_t len = XM_KDUMP_PAGE;
    return snappy_uncompress((const char *)src, size, (char *)page, &len) == SNAPPY_OK &&
           len == XM_KDUMP_PAGE;
}
#else
#define unpack_snappy NULL
#endif

#ifdef XM_HAVE_ZSTD
static bool unpack_zstd(const uint8_t *src, size_t size, uint8_t *page)
{
    return ZSTD_decompress(page, XM_KDUMP_PAGE, src, size) == XM_KDUMP_PAGE;
}
#else
#define unpack_zstd NULL
#endif

static bool unpack_nothing(const uint8_t *src, size_t size, uint8_t *page)
{
    if (size != XM_KDUMP_PAGE)
        return false;
    memcpy(page, src, size);
    return true;
}

enum xvmi_status xm_kdump_unpack(unsigned compression, const uint8_t *src, size_t size,
                                 uint8_t *page, struct xvmi_error *err)
{
    static const struct {
        unsigned flag;
        const char *name;
        bool (*unpack)(const uint8_t *src, size_t size, uint8_t *page);
    } known[] = {
        {0, "none", unpack_nothing},  {1, "zlib", unpack_zlib},    {2, "lzo", unpack_lzo},
        {4, "snappy", unpack_snappy}, {0x20, "zstd", unpack_zstd},
    };
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (known[i].flag != compression)
            continue;
        if (!known[i].unpack)
            return xvmi_error_set(err, XVMI_ERR_UNSUPPORTED,
                                  "compressed with %s, which libxvmi was built without",
                                  known[i].name);
        if (!known[i].unpack(src, size, page))
            return xvmi_error_set(err, XVMI_ERR_FORMAT,
                                  "0x%zx bytes (compression: %s) are not a page", size,
                                  known[i].name);
        return XVMI_OK;
    }
    return xvmi_error_set(err, XVMI_ERR_UNSUPPORTED, "compression 0x%x is not known", compression);
}
