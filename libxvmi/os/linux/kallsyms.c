// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "os/linux/kallsyms.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "os/linux/image.h"

/*
 * In memory, each table aligned to 8 bytes (4 since 7.0):
 *
 *   [offsets relative_base]  num_syms names markers [seqs] token_table token_index
 *   [offsets relative_base]                                           (since 6.4)
 *
 * The one thing with a face is the token table: 256 strings, of which those for characters that
 * symbols use are that character alone: "0" to "9" stand in a row at 48 to 57. From there the
 * token index is found and must match, backwards the names, whose number, markers and types must
 * match, and from there the addresses.
 */

#define TOKENS      256
#define FIRST_DIGIT 48
#define INDEX_SIZE  (TOKENS * sizeof(uint16_t))
#define TOKENS_MAX  65536 /* what the 16-bit index can address */
#define MARKER_STEP 256   /* names a marker */

#define MIN_SYMBOLS 1000u /* the smallest kernels have more, and few words look like that */
#define MAX_SYMBOLS 2000000u
#define MANY_NAMES  (UINT64_C(5) << 20) /* bytes of names, markers and sequence numbers */
#define MAX_NAMES   (UINT64_C(20) << 20)
#define NAME_MAX    512                /* KSYM_NAME_LEN since 6.1, 128 before */
#define NAME_ROOM   (1 + NAME_MAX + 8) /* the type, the name, and room for a store of 8 bytes */

/* What a search may cost, however a hostile guest paints its memory. */
#define MAX_STEPS  (UINT64_C(32) << 20) /* names looked at */
#define MAX_TABLES 64                   /* look-alikes of a token table */

enum form {
    FORM_PERCPU, /* not negative: absolute; negative: base - 1 - offset */
    FORM_BASE,   /* base + offset */
    FORM_PLACE,  /* address of the offset + offset */
};

struct xl_kallsyms {
    uint32_t n;
    bool wide; /* lengths of two bytes from 128 on */
    enum form form;
    uint64_t base;   /* of the addresses: relative_base, or where the offsets lie */
    int32_t *offset; /* [n] */
    uint8_t *names;
    size_t names_len;
    uint32_t *marker; /* offset of every 256th name in `names` */
    uint16_t token[TOKENS + 1];
    bool starts_name[TOKENS];  /* the token begins with a symbol type */
    char text[TOKENS_MAX + 8]; /* 8 bytes can be loaded anywhere */
    uint64_t steps;            /* taken of MAX_STEPS */
};

/* A copy of guest memory: what was checked is what is used. */
struct copy {
    uint64_t gva;
    uint8_t *data;
    size_t len;
};

static uint64_t align_up(uint64_t value, uint64_t to)
{
    return (value + to - 1) & ~(to - 1);
}

static uint32_t load_u32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof(v));
    return v;
}

void xl_kallsyms_close(struct xl_kallsyms *k)
{
    if (!k)
        return;
    free(k->offset);
    free(k->names);
    free(k->marker);
    free(k);
}

size_t xl_kallsyms_count(const struct xl_kallsyms *k)
{
    return k->n;
}

/* Token table and token index */

static bool is_type(char c)
{
    return c && strchr("aAbBdDrRtTvVwWnNuU?", c);
}

/* The strings of the table one after the other must be where the index says. */
static bool check_tokens(struct xl_kallsyms *k, size_t room)
{
    size_t at = 0;
    for (size_t i = 0; i < TOKENS; i++) {
        size_t len = strnlen(k->text + at, room - at);
        if (k->token[i] != at || len == room - at)
            return false;
        for (size_t j = 0; j < len; j++)
            if (k->text[at + j] <= ' ' || k->text[at + j] >= 0x7f)
                return false;
        k->starts_name[i] = is_type(k->text[at]);
        at += len + 1;
    }
    if (at > UINT16_MAX || room - at >= 8)
        return false;
    k->token[TOKENS] = (uint16_t)at;
    return true;
}

static bool read_tokens(struct xl_kallsyms *k, const struct xl_image *image, uint64_t table,
                        uint64_t index)
{
    if (index <= table || index - table > TOKENS_MAX || index - table < TOKENS)
        return false;
    size_t room = index - table;
    return !xl_image_read(image, table, k->text, room) &&
           !xl_image_read(image, index, k->token, INDEX_SIZE) && check_tokens(k, room);
}

/* With the digits at `digits`, the index follows the 256th string, and says where the table
 * begins. */
static bool tokens_around(struct xl_kallsyms *k, const struct xl_image *image, uint64_t digits,
                          struct xl_kallsyms_tables *tables)
{
    uint64_t before, after;
    xl_image_room(image, digits, &before, &after);
    size_t room = after < TOKENS_MAX ? (size_t)after : TOKENS_MAX, at = 0;
    /* Into k->text as scratch; a page will do for all but the oddest tables. */
    if (room > 8192)
        room = 8192;
    if (xl_image_read(image, digits, k->text, room))
        return false;
    for (int i = FIRST_DIGIT; i < TOKENS; i++) {
        size_t len = strnlen(k->text + at, room - at);
        if (len == room - at)
            return false;
        at += len + 1;
    }
    for (uint64_t to = 8; to >= 4; to /= 2) {
        uint64_t index = align_up(digits + at, to);
        uint16_t first;
        if (!xl_image_read(image, index + FIRST_DIGIT * sizeof(first), &first, sizeof(first)) &&
            read_tokens(k, image, digits - first, index)) {
            tables->token_table = digits - first;
            tables->token_index = index;
            return true;
        }
    }
    return false;
}

/* Names and markers */

/* Steps over the name at *at; false when there is none. */
static bool next_name(const uint8_t *data, size_t end, bool wide, size_t *at, size_t *first,
                      size_t *len)
{
    if (*at >= end)
        return false;
    size_t n = data[(*at)++];
    if (wide && n & 0x80) {
        if (*at >= end)
            return false;
        n = (n & 0x7f) | (size_t)data[(*at)++] << 7;
    }
    if (n == 0 || n > end - *at)
        return false;
    *first = *at;
    *len = n;
    *at += n;
    return true;
}

/* Walks `n` names from `start` and fills in k->marker. False when they do not look like names. */
static bool walk_names(struct xl_kallsyms *k, const struct copy *copy, size_t start, uint32_t n,
                       bool wide, size_t *end)
{
    size_t at = start, first, len;
    for (uint32_t i = 0; i < n; i++) {
        if (i % MARKER_STEP == 0)
            k->marker[i / MARKER_STEP] = (uint32_t)(at - start);
        if (++k->steps > MAX_STEPS || !next_name(copy->data, copy->len, wide, &at, &first, &len) ||
            !k->starts_name[copy->data[first]])
            return false;
    }
    *end = at;
    return true;
}

static bool markers_at(const struct xl_kallsyms *k, const struct copy *copy, uint64_t gva,
                       uint32_t count, size_t width)
{
    uint64_t at = gva - copy->gva;
    if (at > copy->len || (uint64_t)count * width > copy->len - at)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *p = copy->data + at + i * width;
        if (load_u32(p) != k->marker[i] || (width == 8 && load_u32(p + 4) != 0))
            return false;
    }
    return true;
}

/*
 * Markers lie before the token table, or before sequence numbers (three bytes a name) that lie
 * there, each with a little padding; the first marker is 0. Few words that could be a number of
 * names pass this.
 */
static bool markers_expected(const struct copy *copy, uint32_t n)
{
    uint32_t count = (n + MARKER_STEP - 1) / MARKER_STEP;
    size_t seqs = 3 * (size_t)n, ends[] = {copy->len, (copy->len - seqs) & ~(size_t)3};
    if (seqs > copy->len)
        return false;
    for (size_t i = 0; i < 2; i++) {
        for (size_t pad = 0; pad <= 8; pad += 4) {
            for (size_t width = 4; width <= 8; width += 4) {
                size_t size = count * width + pad;
                if (size > ends[i] || load_u32(copy->data + ends[i] - size) != 0)
                    continue;
                uint32_t second = load_u32(copy->data + ends[i] - size + width);
                if (second >= 2 * MARKER_STEP && second < 256 * MARKER_STEP)
                    return true;
            }
        }
    }
    return false;
}

/* Are there `n` names at `start` of the copy? Keeps them if so. */
static bool try_names(struct xl_kallsyms *k, const struct copy *copy, size_t start, uint32_t n)
{
    if (n < MIN_SYMBOLS || n > MAX_SYMBOLS || start >= copy->len || n > (copy->len - start) / 2)
        return false;
    uint32_t count = (n + MARKER_STEP - 1) / MARKER_STEP;
    for (int wide = 0; wide < 2; wide++) {
        size_t end;
        if (!walk_names(k, copy, start, n, wide, &end))
            continue;
        uint64_t gva = copy->gva + end;
        if (!markers_at(k, copy, align_up(gva, 8), count, 4) &&
            !markers_at(k, copy, align_up(gva, 4), count, 4) &&
            !markers_at(k, copy, align_up(gva, 8), count, 8))
            continue;
        k->n = n;
        k->wide = wide;
        k->names_len = end - start;
        k->names = malloc(k->names_len);
        if (k->names)
            memcpy(k->names, copy->data + start, k->names_len);
        return k->names;
    }
    return false;
}

/* The number of names stands before them, at a distance that depends on the alignment. */
static bool search_names(struct xl_kallsyms *k, const struct copy *copy,
                         struct xl_kallsyms_tables *tables)
{
    for (size_t start = copy->len & ~(size_t)3; start >= 8 && k->steps <= MAX_STEPS; start -= 4) {
        uint32_t close = load_u32(copy->data + start - 4);
        uint32_t n = close ? close : load_u32(copy->data + start - 8);
        if (n < MIN_SYMBOLS || n > MAX_SYMBOLS || !markers_expected(copy, n) ||
            !try_names(k, copy, start, n))
            continue;
        tables->names = copy->gva + start;
        tables->num_syms = tables->names - (close ? 4 : 8);
        return true;
    }
    return false;
}

/* Looks for names in the `len` bytes before the token table. */
static enum xvmi_status names_within(struct xl_kallsyms *k, const struct xl_image *image,
                                     uint64_t len, struct xl_kallsyms_tables *tables,
                                     struct xvmi_error *err)
{
    bool known = tables->names && tables->num_syms;
    xb_auto_free uint8_t *data = malloc(len + 1);
    struct copy copy = {tables->token_table - len, data, len};
    if (!data)
        return xvmi_error_set(err, XVMI_ERR_NO_MEMORY, "out of memory for symbols");
    enum xvmi_status status = xl_image_read(image, copy.gva, copy.data, copy.len);
    uint32_t n = 0;
    if (!status && known)
        status = xl_image_read(image, tables->num_syms, &n, sizeof(n));
    if (status)
        return xvmi_error_set(err, status, "kallsyms: the names cannot be read");
    if (known ? try_names(k, &copy, 0, n) : search_names(k, &copy, tables))
        return XVMI_OK;
    if (k->steps > MAX_STEPS)
        return xvmi_error_set(err, XVMI_ERR_LIMIT, "kallsyms: too much looks like names");
    return xvmi_error_set(err, XVMI_ERR_NOT_FOUND,
                          "kallsyms: no names belong to the tokens at 0x%lx", tables->token_table);
}

static enum xvmi_status read_names(struct xl_kallsyms *k, const struct xl_image *image,
                                   struct xl_kallsyms_tables *tables, struct xvmi_error *err)
{
    uint64_t room, after;
    xl_image_room(image, tables->token_table, &room, &after);
    room = (room < MAX_NAMES ? room : MAX_NAMES) & ~UINT64_C(3);
    if (!k->marker)
        k->marker = calloc(MAX_SYMBOLS / MARKER_STEP + 1, sizeof(*k->marker));
    if (!k->marker)
        return xvmi_error_set(err, XVMI_ERR_NO_MEMORY, "out of memory for symbols");
    if (tables->names && tables->num_syms) {
        uint64_t len = tables->token_table - tables->names;
        if (tables->names >= tables->token_table || len > room)
            return xvmi_error_set(err, XVMI_ERR_NOT_FOUND, "kallsyms: no names at 0x%lx",
                                  tables->names);
        return names_within(k, image, len, tables, err);
    }
    enum xvmi_status status =
        names_within(k, image, room < MANY_NAMES ? room : MANY_NAMES, tables, err);
    if (status == XVMI_ERR_NOT_FOUND && room > MANY_NAMES)
        status = names_within(k, image, room, tables, err);
    return status;
}

/* Decompresses; 0 when the name is longer than any kernel's. The first character is the type. */
static size_t expand(const struct xl_kallsyms *k, const uint8_t *code, size_t len,
                     char out[NAME_ROOM])
{
    size_t used = 0;
    for (size_t i = 0; i < len; i++) {
        const char *token = k->text + k->token[code[i]];
        size_t n = (size_t)k->token[code[i] + 1] - k->token[code[i]] - 1;
        if (n > NAME_MAX + 1 - used)
            return 0;
        memcpy(out + used, token, 8); /* most tokens are short: one load, one store */
        if (n > 8)
            memcpy(out + used + 8, token + 8, n - 8);
        used += n;
    }
    return used;
}

/* Addresses */

static uint64_t address(const struct xl_kallsyms *k, uint32_t i)
{
    int64_t offset = k->offset[i];
    switch (k->form) {
    case FORM_PERCPU:
        return offset >= 0 ? (uint64_t)offset : k->base - 1 - (uint64_t)offset;
    case FORM_BASE:
        return k->base + (uint32_t)offset;
    case FORM_PLACE:
        break;
    }
    return k->base + (uint64_t)i * sizeof(int32_t) + (uint64_t)offset;
}

static bool is_text_symbol(const struct xl_kallsyms *k, uint32_t which)
{
    char name[NAME_ROOM];
    size_t at = k->marker[which / MARKER_STEP], first = 0, len = 0;
    for (uint32_t i = which - which % MARKER_STEP; i <= which; i++)
        if (!next_name(k->names, k->names_len, k->wide, &at, &first, &len))
            return false;
    len = expand(k, k->names + first, len, name);
    return (len == 6 && memcmp(name + 1, "_text", 5) == 0) ||
           (len == 7 && memcmp(name + 1, "_stext", 6) == 0);
}

/* Are the addresses in order, and is _text where the image begins? */
static bool addresses_fit(const struct xl_kallsyms *k, uint64_t text)
{
    uint64_t last = 0;
    bool fits = false;
    for (uint32_t i = 0; i < k->n; i++) {
        uint64_t addr = address(k, i);
        if (addr < last)
            return false;
        last = addr;
        if (addr == text && !fits)
            fits = is_text_symbol(k, i);
    }
    return fits;
}

/* Offsets at `offsets`, their base at `base` (0: neither there nor needed). */
static bool try_addresses(struct xl_kallsyms *k, const struct xl_image *image, uint64_t offsets,
                          uint64_t base)
{
    uint64_t value = 0;
    if (xl_image_read(image, offsets, k->offset, k->n * sizeof(*k->offset)))
        return false;
    if (base && xl_image_read(image, base, &value, sizeof(value)))
        return false;
    for (enum form form = base ? FORM_PERCPU : FORM_PLACE; form <= FORM_PLACE; form++) {
        if (form == FORM_PLACE && base)
            break;
        k->form = form;
        k->base = form == FORM_PLACE ? offsets : value;
        if (addresses_fit(k, image->text))
            return true;
    }
    return false;
}

static enum xvmi_status read_addresses(struct xl_kallsyms *k, const struct xl_image *image,
                                       const struct xl_kallsyms_tables *tables,
                                       struct xvmi_error *err)
{
    k->offset = malloc(k->n * sizeof(*k->offset));
    if (!k->offset)
        return xvmi_error_set(err, XVMI_ERR_NO_MEMORY, "out of memory for symbols");
    uint64_t size = k->n * sizeof(*k->offset);
    uint64_t base_before = tables->num_syms - 8;
    uint64_t behind = tables->token_index + INDEX_SIZE;
    if ((tables->offsets && try_addresses(k, image, tables->offsets, tables->relative_base)) ||
        try_addresses(k, image, behind, align_up(behind + size, 8)) ||
        try_addresses(k, image, behind, 0) ||
        try_addresses(k, image, base_before - align_up(size, 8), base_before))
        return XVMI_OK;
    return xvmi_error_set(err, XVMI_ERR_UNSUPPORTED,
                          "kallsyms: %u names at 0x%lx, but their addresses are in no known form "
                          "(kernels before 4.6 are not supported)",
                          k->n, tables->names);
}

/* The tables around known tokens. */
static enum xvmi_status read_tables(struct xl_kallsyms *k, const struct xl_image *image,
                                    struct xl_kallsyms_tables *tables, struct xvmi_error *err)
{
    enum xvmi_status status = read_names(k, image, tables, err);
    return status ? status : read_addresses(k, image, tables, err);
}

struct search {
    struct xl_kallsyms *k;
    const struct xl_image *image;
    unsigned hits;
    enum xvmi_status status;
    struct xvmi_error *err;
};

static bool find_tokens(void *arg, uint64_t gva, const uint8_t *data, size_t len)
{
    static const char digits[20] = "0\0001\0002\0003\0004\0005\0006\0007\0008\0009";
    struct search *search = arg;
    const uint8_t *end = data + len, *p = data;
    while ((p = memmem(p, (size_t)(end - p), digits, sizeof(digits)))) {
        struct xl_kallsyms_tables tables = {0};
        if (++search->hits > MAX_TABLES) {
            search->status = xvmi_error_set(search->err, XVMI_ERR_LIMIT,
                                            "kallsyms: too much looks like a token table");
            return false;
        }
        if (tokens_around(search->k, search->image, gva + (uint64_t)(p - data), &tables)) {
            search->status = read_tables(search->k, search->image, &tables, search->err);
            if (search->status != XVMI_ERR_NOT_FOUND)
                return false;
        }
        p++;
    }
    return true;
}

static enum xvmi_status search_image(struct xl_kallsyms *k, const struct xl_image *image,
                                     struct xvmi_error *err)
{
    struct search search = {.k = k, .image = image, .err = err};
    search.status = xvmi_error_set(err, XVMI_ERR_NOT_FOUND,
                                   "kallsyms: the image holds no token table (a kernel without "
                                   "CONFIG_KALLSYMS?)");
    static const enum xl_part order[] = {XL_PART_RODATA, XL_PART_DATA, XL_PART_CODE};
    for (size_t i = 0; i < 3 && search.status == XVMI_ERR_NOT_FOUND; i++) {
        enum xvmi_status status = xl_image_each(image, order[i], find_tokens, &search, err);
        if (status)
            return status;
    }
    return search.status;
}

enum xvmi_status xl_kallsyms_open(const struct xl_image *image,
                                  const struct xl_kallsyms_tables *tables,
                                  struct xl_kallsyms **kallsyms, struct xvmi_error *err)
{
    *kallsyms = NULL;
    struct xl_kallsyms *k = calloc(1, sizeof(*k));
    if (!k)
        return xvmi_error_set(err, XVMI_ERR_NO_MEMORY, "out of memory for symbols");
    enum xvmi_status status = XVMI_ERR_NOT_FOUND;
    if (tables && read_tokens(k, image, tables->token_table, tables->token_index)) {
        struct xl_kallsyms_tables copy = *tables;
        status = read_tables(k, image, &copy, NULL);
    }
    if (status) {
        free(k->names);
        free(k->offset);
        k->names = NULL;
        k->offset = NULL;
        status = search_image(k, image, err);
    }
    if (status) {
        xl_kallsyms_close(k);
        return status;
    }
    *kallsyms = k;
    return XVMI_OK;
}

void xl_kallsyms_each(const struct xl_kallsyms *k, xl_kallsyms_fn *fn, void *arg)
{
    char name[NAME_ROOM];
    size_t at = 0, first, len;
    for (uint32_t i = 0; i < k->n; i++) {
        if (!next_name(k->names, k->names_len, k->wide, &at, &first, &len))
            return;
        len = expand(k, k->names + first, len, name);
        if (len && !fn(arg, name + 1, len - 1, name[0], address(k, i)))
            return;
    }
}
