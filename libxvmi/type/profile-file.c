// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * The profile file. All numbers are little endian.
 *
 *      0  magic "XVMIPROF"          88  number of entries, u32
 *      8  version, u32              92  bytes of strings, u32
 *     12  CRC-32 from 16 on, u32    96  release, offset into strings, u32
 *     16  source, u32              100  0, u32
 *     20  build-id length, u32     104  entries, 40 bytes each
 *     24  build-id, 64 bytes         …  strings, each ended by NUL, to the end of the file
 *
 * An entry:
 *      0  kind, u8    2  bit_offset, u8    4  type, u32        16  offset, u32   28  0, u32
 *      1  present     3  bit_size          8  name, u32        20  size          32  value, u64
 *                                         12  spellings, u32   24  count
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "type/profile.h"

#define MAGIC       "XVMIPROF"
#define VERSION     1
#define HEADER_SIZE 104
#define ENTRY_SIZE  40
#define STRINGS_MAX (4U << 20)
#define FILE_MAX    (HEADER_SIZE + (size_t)XT_ENTRIES_MAX * ENTRY_SIZE + STRINGS_MAX)

static void put32(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}

static void put64(uint8_t *p, uint64_t v)
{
    put32(p, (uint32_t)v);
    put32(p + 4, (uint32_t)(v >> 32));
}

static uint32_t get32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint64_t get64(const uint8_t *p)
{
    return get32(p) | (uint64_t)get32(p + 4) << 32;
}

/* The CRC-32 of IEEE 802.3 (reflected polynomial 0xedb88320), four bits at a time. */
static uint32_t crc32(const uint8_t *data, size_t size)
{
    static const uint32_t table[16] = {
        0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4,
        0x4db26158, 0x5005713c, 0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
        0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
    };
    uint32_t crc = ~0U;
    for (size_t i = 0; i < size; i++) {
        crc ^= data[i];
        crc = crc >> 4 ^ table[crc & 15];
        crc = crc >> 4 ^ table[crc & 15];
    }
    return ~crc;
}

struct writer {
    uint8_t *data;
    size_t strings; /* where they begin */
    size_t used;    /* bytes of strings so far */
};

static uint32_t put_string(struct writer *w, const char *s)
{
    size_t at = w->used, len = strlen(s) + 1;
    memcpy(w->data + w->strings + at, s, len);
    w->used += len;
    return (uint32_t)at;
}

static void put_entry(struct writer *w, uint8_t *p, const struct xvmi_profile_entry *entry)
{
    p[0] = (uint8_t)entry->kind;
    p[1] = entry->present;
    p[2] = entry->member.bit_offset;
    p[3] = entry->member.bit_size;
    put32(p + 4, put_string(w, entry->type));
    put32(p + 8, put_string(w, entry->name));
    put32(p + 12, put_string(w, entry->spellings));
    put32(p + 16, entry->member.offset);
    put32(p + 20, entry->member.size);
    put32(p + 24, entry->member.count);
    put64(p + 32, entry->value);
}

enum xvmi_status xt_profile_encode(const struct xvmi_profile *profile, void **data, size_t *size,
                                   struct xvmi_error *err)
{
    size_t strings = strlen(profile->release) + 1;
    for (size_t i = 0; i < profile->n; i++) {
        const struct xvmi_profile_entry *e = &profile->entries[i];
        strings += strlen(e->type) + strlen(e->name) + strlen(e->spellings) + 3;
    }
    if (profile->n > XT_ENTRIES_MAX || strings > STRINGS_MAX)
        return xvmi_error_set(err, XVMI_ERR_LIMIT, "profile of %zu entries is too large",
                              profile->n);
    struct writer w = {.strings = HEADER_SIZE + profile->n * ENTRY_SIZE};
    size_t total = w.strings + strings;
    w.data = calloc(1, total);
    if (!w.data)
        return xvmi_error_set(err, XVMI_ERR_NO_MEMORY, "no memory for a profile file");
    memcpy(w.data, MAGIC, 8);
    put32(w.data + 8, VERSION);
    put32(w.data + 16, (uint32_t)profile->source);
    put32(w.data + 20, (uint32_t)profile->build_id_len);
    memcpy(w.data + 24, profile->build_id, profile->build_id_len);
    put32(w.data + 88, (uint32_t)profile->n);
    put32(w.data + 92, (uint32_t)strings);
    put32(w.data + 96, put_string(&w, profile->release));
    for (size_t i = 0; i < profile->n; i++)
        put_entry(&w, w.data + HEADER_SIZE + i * ENTRY_SIZE, &profile->entries[i]);
    put32(w.data + 12, crc32(w.data + 16, total - 16));
    *data = w.data;
    *size = total;
    return XVMI_OK;
}

/* Header, sizes and checksum: after this, entries and strings can be indexed by their counts. */
static enum xvmi_status check_frame(const uint8_t *p, size_t size, struct xvmi_error *err)
{
    if (size < 12 || memcmp(p, MAGIC, 8) != 0)
        return xvmi_error_set(err, XVMI_ERR_FORMAT, "not a profile file");
    if (get32(p + 8) != VERSION)
        return xvmi_error_set(err, XVMI_ERR_UNSUPPORTED,
                              "profile file has format version %u, this libxvmi reads %u: make "
                              "the profile again",
                              get32(p + 8), VERSION);
    if (size < HEADER_SIZE)
        return xvmi_error_set(err, XVMI_ERR_FORMAT, "profile file is truncated");
    uint32_t n = get32(p + 88), strings = get32(p + 92);
    if (n > XT_ENTRIES_MAX || strings > STRINGS_MAX)
        return xvmi_error_set(err, XVMI_ERR_FORMAT,
                              "profile file claims %u entries and %u bytes "
                              "of strings, more than there can be",
                              n, strings);
    size_t want = HEADER_SIZE + (size_t)n * ENTRY_SIZE + strings;
    if (size != want)
        return xvmi_error_set(err, XVMI_ERR_FORMAT, "profile file is %s: %zu bytes instead of %zu",
                              size < want ? "truncated" : "too long", size, want);
    if (get32(p + 12) != crc32(p + 16, size - 16))
        return xvmi_error_set(err, XVMI_ERR_FORMAT, "profile file is damaged: checksum differs");
    /* The last string ends, so all do. */
    if (!strings || p[size - 1] != 0)
        return xvmi_error_set(err, XVMI_ERR_FORMAT, "profile file: strings do not end");
    return XVMI_OK;
}

static bool sane_member(const struct xvmi_member *m)
{
    if (m->offset > UINT32_MAX - m->size)
        return false;
    if (!m->bit_size)
        return !m->bit_offset && (m->count ? m->size % m->count == 0 : m->size == 0);
    return (m->size == 1 || m->size == 2 || m->size == 4 || m->size == 8) && m->count == 1 &&
           m->bit_offset < 64 && m->bit_size <= 64 &&
           (uint32_t)m->bit_offset + m->bit_size <= m->size * 8;
}

static bool get_entry(const uint8_t *p, const char *strings, uint32_t strings_size,
                      struct xvmi_profile_entry *entry)
{
    uint32_t type = get32(p + 4), name = get32(p + 8), spellings = get32(p + 12);
    if (p[0] > XVMI_PROFILE_SYMBOL || p[1] > 1 || type >= strings_size || name >= strings_size ||
        spellings >= strings_size)
        return false;
    *entry = (struct xvmi_profile_entry){
        .kind = (enum xvmi_profile_kind)p[0],
        .present = p[1],
        .type = strings + type,
        .name = strings + name,
        .spellings = strings + spellings,
        .member = {.offset = get32(p + 16),
                   .size = get32(p + 20),
                   .count = get32(p + 24),
                   .bit_offset = p[2],
                   .bit_size = p[3]},
        .value = get64(p + 32),
    };
    if (entry->kind == XVMI_PROFILE_MEMBER && entry->present && !sane_member(&entry->member))
        return false;
    return entry->kind != XVMI_PROFILE_SIZE || entry->value <= UINT32_MAX;
}

static enum xvmi_status decode_entries(struct xvmi_profile *profile, const uint8_t *p, uint32_t n,
                                       uint32_t strings_size, struct xvmi_error *err)
{
    for (uint32_t i = 0; i < n; i++) {
        struct xvmi_profile_entry *entry = &profile->entries[i];
        if (!get_entry(p + HEADER_SIZE + (size_t)i * ENTRY_SIZE, profile->strings, strings_size,
                       entry))
            return xvmi_error_set(err, XVMI_ERR_FORMAT, "profile file: entry %u makes no sense", i);
        if (i && xt_entry_compare(entry - 1, entry) >= 0)
            return xvmi_error_set(err, XVMI_ERR_FORMAT, "profile file: entry %u is out of order",
                                  i);
        profile->n = i + 1;
    }
    return XVMI_OK;
}

static enum xvmi_status decode_into(struct xvmi_profile *profile, const uint8_t *p,
                                    struct xvmi_error *err)
{
    uint32_t source = get32(p + 16), id_len = get32(p + 20);
    uint32_t n = get32(p + 88), strings = get32(p + 92), release = get32(p + 96);
    if (source > XVMI_SOURCE_BTF || id_len > XVMI_BUILD_ID_MAX || release >= strings)
        return xvmi_error_set(err, XVMI_ERR_FORMAT, "profile file: the header makes no sense");
    profile->source = (enum xvmi_profile_source)source;
    profile->build_id_len = id_len;
    memcpy(profile->build_id, p + 24, id_len);
    profile->strings = malloc(strings);
    profile->entries = calloc(n ? n : 1, sizeof(*profile->entries));
    if (!profile->strings || !profile->entries)
        return xvmi_error_set(err, XVMI_ERR_NO_MEMORY, "no memory for a profile");
    memcpy(profile->strings, p + HEADER_SIZE + (size_t)n * ENTRY_SIZE, strings);
    xt_profile_set_release(profile, profile->strings + release);
    return decode_entries(profile, p, n, strings, err);
}

enum xvmi_status xt_profile_decode(const void *data, size_t size, struct xvmi_profile **out,
                                   struct xvmi_error *err)
{
    enum xvmi_status status = check_frame(data, size, err);
    if (status)
        return status;
    struct xvmi_profile *profile = xt_profile_new();
    if (!profile)
        return xvmi_error_set(err, XVMI_ERR_NO_MEMORY, "no memory for a profile");
    status = decode_into(profile, data, err);
    if (status) {
        xvmi_profile_unref(profile);
        return status;
    }
    *out = profile;
    return XVMI_OK;
}

static enum xvmi_status host_error(struct xvmi_error *err, const char *doing, const char *name)
{
    int code = errno;
    enum xvmi_status status = code == ENOENT || code == ENOTDIR ? XVMI_ERR_NOT_FOUND
                              : code == EACCES || code == EPERM || code == EROFS
                                  ? XVMI_ERR_PERMISSION
                                  : XVMI_ERR_IO;
    return xvmi_error_set(err, status, "%s %s: %s", doing, name, strerrordesc_np(code));
}

static enum xvmi_status check_file(int fd, const char *name, bool trusted, size_t *size,
                                   struct xvmi_error *err)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return host_error(err, "looking at", name);
    if (!S_ISREG(st.st_mode))
        return xvmi_error_set(err, XVMI_ERR_FORMAT, "%s is not a regular file", name);
    if (trusted && ((st.st_uid != 0 && st.st_uid != geteuid()) || (st.st_mode & 022)))
        return xvmi_error_set(err, XVMI_ERR_PERMISSION,
                              "%s could have been written by other users: not believed", name);
    if (st.st_size > (off_t)FILE_MAX)
        return xvmi_error_set(err, XVMI_ERR_FORMAT, "%s is too large for a profile", name);
    *size = (size_t)st.st_size;
    return XVMI_OK;
}

enum xvmi_status xt_profile_read_at(int dir, const char *name, bool trusted,
                                    struct xvmi_profile **profile, struct xvmi_error *err)
{
    /* O_NONBLOCK: a fifo of that name must not hang us. */
    xb_auto_close int fd = openat(
        dir, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | (trusted ? O_NOFOLLOW : 0));
    if (fd < 0)
        return host_error(err, "opening", name);
    size_t size = 0;
    enum xvmi_status status = check_file(fd, name, trusted, &size, err);
    if (status)
        return status;
    xb_auto_free uint8_t *data = malloc(size + 1);
    if (!data)
        return xvmi_error_set(err, XVMI_ERR_NO_MEMORY, "no memory to read %s", name);
    size_t got = 0;
    for (ssize_t n = 1; got < size && n > 0; got += (size_t)n) {
        n = read(fd, data + got, size - got);
        if (n < 0)
            return host_error(err, "reading", name);
    }
    status = xt_profile_decode(data, got, profile, err);
    return status ? xvmi_error_frame(err, status, "%s", name) : XVMI_OK;
}

static enum xvmi_status write_all(int fd, const uint8_t *data, size_t size, const char *name,
                                  struct xvmi_error *err)
{
    for (size_t done = 0; done < size;) {
        ssize_t n = write(fd, data + done, size - done);
        if (n < 0 && errno != EINTR)
            return host_error(err, "writing", name);
        done += n > 0 ? (size_t)n : 0;
    }
    /* Readable for all: what it says of the kernel is public. */
    if (fchmod(fd, 0644) < 0 || fsync(fd) < 0)
        return host_error(err, "writing", name);
    return XVMI_OK;
}

/* A new file next to `name`, in the same file system so that it can be renamed. */
static int open_temporary(int dir, const char *name, char *temp, size_t size)
{
    for (unsigned int i = 0; i < 100; i++) {
        int len = snprintf(temp, size, "%s.%d-%u", name, getpid(), i);
        if (len < 0 || (size_t)len >= size) {
            errno = ENAMETOOLONG;
            return -1;
        }
        int fd = openat(dir, temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd >= 0 || errno != EEXIST)
            return fd;
    }
    return -1;
}

enum xvmi_status xt_profile_write_at(int dir, const char *name, const struct xvmi_profile *profile,
                                     struct xvmi_error *err)
{
    xb_auto_free void *data = NULL;
    size_t size = 0;
    enum xvmi_status status = xt_profile_encode(profile, &data, &size, err);
    if (status)
        return status;
    char temp[4096];
    xb_auto_close int fd = open_temporary(dir, name, temp, sizeof(temp));
    if (fd < 0)
        return host_error(err, "creating", name);
    status = write_all(fd, data, size, name, err);
    if (!status && renameat(dir, temp, dir, name) < 0)
        status = host_error(err, "writing", name);
    if (status)
        unlinkat(dir, temp, 0);
    return status;
}

enum xvmi_status xvmi_profile_load(const char *path, struct xvmi_profile **profile,
                                   struct xvmi_error *err)
{
    return xt_profile_read_at(AT_FDCWD, path, false, profile, err);
}

enum xvmi_status xvmi_profile_save(const struct xvmi_profile *profile, const char *path,
                                   struct xvmi_error *err)
{
    return xt_profile_write_at(AT_FDCWD, path, profile, err);
}
