// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "os/linux/vmcoreinfo.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

#define PAGE UINT64_C(4096)
#define LEAD "OSRELEASE=" /* the first line, since 2.6.24 */

struct text {
    const char *s;
    size_t len;
};

/* The value of the line that begins with `key`, to its end. */
static bool find_value(struct text text, const char *key, struct text *value)
{
    size_t key_len = strlen(key);
    while (text.len > 0) {
        const char *end = memchr(text.s, '\n', text.len);
        size_t line = end ? (size_t)(end - text.s) : text.len;
        if (line > key_len && memcmp(text.s, key, key_len) == 0) {
            *value = (struct text){text.s + key_len, line - key_len};
            return true;
        }
        if (!end)
            return false;
        text.s += line + 1;
        text.len -= line + 1;
    }
    return false;
}

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return 16;
}

/* Digits alone, all of the value. */
static bool parse_unsigned(struct text value, unsigned base, uint64_t *out)
{
    uint64_t n = 0;
    for (size_t i = 0; i < value.len; i++) {
        unsigned d = (unsigned)digit(value.s[i]);
        if (d >= base || __builtin_mul_overflow(n, base, &n) || __builtin_add_overflow(n, d, &n))
            return false;
    }
    *out = n;
    return value.len > 0;
}

/* Addresses are hexadecimal without 0x. */
static bool find_address(struct text text, const char *key, uint64_t *out)
{
    struct text value;
    return find_value(text, key, &value) && parse_unsigned(value, 16, out);
}

/* Signed: a kernel loaded below its linked address has a negative phys_base. */
static bool find_number(struct text text, const char *key, uint64_t *out)
{
    struct text value;
    if (!find_value(text, key, &value))
        return false;
    bool negative = value.s[0] == '-';
    if (negative) {
        value.s++;
        value.len--;
    }
    if (!parse_unsigned(value, 10, out))
        return false;
    if (negative)
        *out = -*out;
    return true;
}

static bool parse_release(struct text text, char release[XVMI_RELEASE_MAX + 1])
{
    struct text value;
    if (!find_value(text, LEAD, &value) || value.len > XVMI_RELEASE_MAX)
        return false;
    for (size_t i = 0; i < value.len; i++)
        if (value.s[i] <= ' ' || value.s[i] >= 0x7f)
            return false;
    memcpy(release, value.s, value.len);
    release[value.len] = 0;
    return true;
}

static void parse_build_id(struct text text, struct xl_vmcoreinfo *info)
{
    /* The length, type and name of a note for a 20-byte build-id. */
    static const uint8_t header[] = {20, 0, 0, 0, 3, 0, 0, 0, 'G', 'N', 'U', 0};
    struct text value;
    if (!find_value(text, "BUILD-ID=", &value) || value.len % 2 ||
        value.len / 2 > sizeof(info->build_id))
        return;
    for (size_t i = 0; i < value.len / 2; i++) {
        int high = digit(value.s[2 * i]), low = digit(value.s[2 * i + 1]);
        if (high > 15 || low > 15)
            return;
        info->build_id[i] = (uint8_t)(high << 4 | low);
    }
    if (value.len / 2 >= sizeof(header) && memcmp(info->build_id, header, sizeof(header)) == 0)
        return;
    info->build_id_len = value.len / 2;
}

static void parse_kallsyms(struct text text, struct xl_kallsyms_tables *tables)
{
    find_address(text, "SYMBOL(kallsyms_names)=", &tables->names);
    find_address(text, "SYMBOL(kallsyms_num_syms)=", &tables->num_syms);
    find_address(text, "SYMBOL(kallsyms_token_table)=", &tables->token_table);
    find_address(text, "SYMBOL(kallsyms_token_index)=", &tables->token_index);
    find_address(text, "SYMBOL(kallsyms_offsets)=", &tables->offsets);
    find_address(text, "SYMBOL(kallsyms_relative_base)=", &tables->relative_base);
}

enum xvmi_status xl_vmcoreinfo_parse(const void *data, size_t len, struct xl_vmcoreinfo *info,
                                     struct xvmi_error *err)
{
    memset(info, 0, sizeof(*info)); /* padding too: they are compared as bytes */
    info->levels = 4;
    struct text text = {data, strnlen(data, len < XL_VMCOREINFO_SIZE ? len : XL_VMCOREINFO_SIZE)};
    if (!parse_release(text, info->release))
        return xvmi_error_set(err, XVMI_ERR_FORMAT, "no VMCOREINFO: it has no release");
    if (!find_address(text, "SYMBOL(swapper_pg_dir)=", &info->swapper_pg_dir))
        return xvmi_error_set(err, XVMI_ERR_FORMAT, "VMCOREINFO of %s lacks swapper_pg_dir",
                              info->release);
    if (!find_number(text, "NUMBER(phys_base)=", &info->phys_base))
        return xvmi_error_set(err, XVMI_ERR_FORMAT, "VMCOREINFO of %s lacks phys_base",
                              info->release);
    uint64_t five;
    if (find_number(text, "NUMBER(pgtable_l5_enabled)=", &five) && five)
        info->levels = 5;
    find_address(text, "KERNELOFFSET=", &info->kernel_offset);
    parse_build_id(text, info);
    parse_kallsyms(text, &info->kallsyms);
    return XVMI_OK;
}

struct scan {
    struct xm_mem *mem;
    struct xl_vmcoreinfo *found; /* [XL_VMCOREINFO_MAX] */
    size_t n;
    bool more;
    uint8_t *buffer; /* [PIECE], once it is needed */
};
#define PIECE ((size_t)2 << 20)

static bool known(const struct scan *scan, const struct xl_vmcoreinfo *info)
{
    for (size_t i = 0; i < scan->n; i++)
        if (memcmp(&scan->found[i], info, sizeof(*info)) == 0)
            return true;
    return false;
}

/* `page` may change under us: the copy is what counts. */
static void take_page(struct scan *scan, const uint8_t *page)
{
    char copy[PAGE];
    struct xl_vmcoreinfo info;
    memcpy(copy, page, sizeof(copy));
    if (memcmp(copy, LEAD, sizeof(LEAD) - 1) != 0 ||
        xl_vmcoreinfo_parse(copy, sizeof(copy), &info, NULL) || known(scan, &info))
        return;
    if (scan->n == XL_VMCOREINFO_MAX)
        scan->more = true;
    else
        scan->found[scan->n++] = info;
}

static void look_at_pages(struct scan *scan, const uint8_t *data, uint64_t size)
{
    uint64_t lead;
    memcpy(&lead, LEAD, sizeof(lead));
    for (uint64_t off = 0; off + PAGE <= size; off += PAGE) {
        /* One miss of the cache a page: have several under way. */
        if (size - off > 16 * PAGE)
            __builtin_prefetch(data + off + 16 * PAGE);
        uint64_t word;
        memcpy(&word, data + off, sizeof(word));
        if (word == lead)
            take_page(scan, data + off);
    }
}

static enum xvmi_status scan_stretch(struct scan *scan, uint64_t start, uint64_t end,
                                     struct xvmi_error *err)
{
    start = (start + PAGE - 1) & ~(PAGE - 1);
    while (start < end && end - start >= PAGE) {
        uint64_t size = end - start;
        const uint8_t *data = xm_ptr(scan->mem, start, size, NULL);
        if (!data) {
            if (!scan->buffer && !(scan->buffer = malloc(PIECE)))
                return xvmi_error_set(err, XVMI_ERR_NO_MEMORY, "out of memory");
            size = size < PIECE ? size : PIECE;
            enum xvmi_status status = xm_read(scan->mem, start, scan->buffer, size, err);
            if (status && status != XVMI_ERR_GONE) { /* one page is to blame, perhaps this one */
                size = PAGE;
                status = xm_read(scan->mem, start, scan->buffer, size, err);
            }
            if (status == XVMI_ERR_GONE)
                return status;
            data = status ? NULL : scan->buffer;
        }
        if (data)
            look_at_pages(scan, data, size);
        start += size;
    }
    return XVMI_OK;
}

enum xvmi_status xl_vmcoreinfo_scan(struct xm_mem *mem, struct xl_vmcoreinfo **v, size_t *n,
                                    bool *more, struct xvmi_error *err)
{
    struct scan scan = {.mem = mem, .found = calloc(XL_VMCOREINFO_MAX, sizeof(*scan.found))};
    enum xvmi_status status = XVMI_OK;
    uint64_t gpa = 0, start = 0, end = 0;
    *v = NULL;
    if (!scan.found)
        return xvmi_error_set(err, XVMI_ERR_NO_MEMORY, "out of memory");
    while (!status) {
        status = xm_next_data(mem, gpa, &start, &end, err);
        if (!status)
            status = scan_stretch(&scan, start, end, err);
        gpa = end;
    }
    free(scan.buffer);
    if (status != XVMI_ERR_NOT_FOUND) {
        free(scan.found);
        return xvmi_error_frame(err, status, "scanning memory for VMCOREINFO");
    }
    *v = scan.found;
    *n = scan.n;
    *more = scan.more;
    return XVMI_OK;
}
