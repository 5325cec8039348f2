/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XVMI_PROFILE_H
#define XVMI_PROFILE_H

/*
 * What libxvmi knows about one kernel build: where members lie in its structs, the values of
 * enumerators, the addresses of globals. A profile comes from the kernel's DWARF or BTF, or from
 * a file that an earlier one was saved to; where it came from makes no difference to its use.
 *
 * A profile holds the few hundred facts that libxvmi asks for, not all of the kernel's types.
 *
 * Threads: a profile never changes after it was made. Any number of threads may use one at once;
 * the reference count is atomic.
 *
 * Ownership: a function that hands out a profile gives the caller one reference, to be dropped
 * with xvmi_profile_unref(). Strings belong to the profile and live as long as it.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <xvmi/error.h>
#include <xvmi/export.h>

#ifdef __cplusplus
extern "C" {
#endif

struct xvmi_profile;

/* Where the types of a profile were first read from. Being saved and loaded does not change it. */
enum xvmi_profile_source {
    XVMI_SOURCE_NONE = 0, /* unknown, or a profile without types */
    XVMI_SOURCE_DWARF = 1,
    XVMI_SOURCE_BTF = 2,
};

enum xvmi_profile_kind {
    XVMI_PROFILE_SIZE = 0,       /* sizeof(struct type) */
    XVMI_PROFILE_MEMBER = 1,     /* where member `name` lies in struct `type` */
    XVMI_PROFILE_ENUMERATOR = 2, /* the value of enumerator `name` */
    XVMI_PROFILE_SYMBOL = 3,     /* the address of global `name` */
};

/*
 * Where a member lies in its struct.
 *
 * A bit-field is read by loading `size` bytes (1, 2, 4 or 8) at `offset` as a little-endian
 * number, shifting right by `bit_offset` and keeping `bit_size` bits.
 */
struct xvmi_member {
    uint32_t offset;    /* bytes from the start of the struct */
    uint32_t size;      /* bytes of the whole member; 0 for a flexible array */
    uint32_t count;     /* elements of an array (all dimensions multiplied), else 1;
                         * 0 for a flexible array. One element has size / count bytes. */
    uint8_t bit_offset; /* only for bit-fields, below 64 */
    uint8_t bit_size;   /* bits of a bit-field, else 0 */
};

/* One line of `xvmi profile --show`. */
struct xvmi_profile_entry {
    enum xvmi_profile_kind kind;
    bool present;          /* false: it was looked for, and this kernel does not have it */
    const char *type;      /* struct or union tag; "" for enumerators and symbols */
    const char *name;      /* "" for XVMI_PROFILE_SIZE */
    const char *spellings; /* all names it goes by in kernel versions, `name` first, "|" between */
    struct xvmi_member member; /* XVMI_PROFILE_MEMBER */
    uint64_t value; /* size in bytes, address, or enumerator (negative ones sign-extended) */
};

/* Longest build-id (bytes) and release (characters) that are kept. */
#define XVMI_BUILD_ID_MAX 64
#define XVMI_RELEASE_MAX  64

/* Take another reference; returns `profile`. */
XVMI_PUBLIC struct xvmi_profile *xvmi_profile_ref(struct xvmi_profile *profile);

/* Drop a reference, the last one frees. NULL is fine. */
XVMI_PUBLIC void xvmi_profile_unref(struct xvmi_profile *profile);

/*
 * Look one fact up. `name` is the first of the spellings that a member or symbol goes by, as
 * `xvmi profile --show` prints it; a member of a nested struct is a dotted path ("skc_net.net"),
 * members of anonymous structs and unions go by their own name.
 *
 * XVMI_ERR_NOT_FOUND when this kernel does not have it or the profile was never asked for it; the
 * output is then untouched. No other error, and no text: absence is an answer.
 */
XVMI_PUBLIC XVMI_CHECKED enum xvmi_status xvmi_profile_member(const struct xvmi_profile *profile,
                                                              const char *type, const char *name,
                                                              struct xvmi_member *member);
XVMI_PUBLIC XVMI_CHECKED enum xvmi_status xvmi_profile_struct_size(
    const struct xvmi_profile *profile, const char *type, uint32_t *size);
XVMI_PUBLIC XVMI_CHECKED enum xvmi_status xvmi_profile_enumerator(
    const struct xvmi_profile *profile, const char *name, int64_t *value);

/* The address as linked: a running kernel adds its KASLR offset; for a per-CPU symbol it is the
 * offset into the per-CPU area. */
XVMI_PUBLIC XVMI_CHECKED enum xvmi_status xvmi_profile_symbol(const struct xvmi_profile *profile,
                                                              const char *name, uint64_t *address);

/* Where its types came from. */
XVMI_PUBLIC enum xvmi_profile_source xvmi_profile_source(const struct xvmi_profile *profile);

/* "dwarf", "btf" or "none"; never NULL. */
XVMI_PUBLIC const char *xvmi_profile_source_text(enum xvmi_profile_source source);

/* The kernel's GNU build-id: `*len` bytes (at most XVMI_BUILD_ID_MAX), 0 when it is not known. */
XVMI_PUBLIC const uint8_t *xvmi_profile_build_id(const struct xvmi_profile *profile, size_t *len);

/* The kernel's release as `uname -r` says it, "" when it is not known. */
XVMI_PUBLIC const char *xvmi_profile_release(const struct xvmi_profile *profile);

/* All entries, sorted by kind, type and name: `index` counts from 0 to xvmi_profile_count() - 1.
 * XVMI_ERR_NOT_FOUND beyond. */
XVMI_PUBLIC size_t xvmi_profile_count(const struct xvmi_profile *profile);
XVMI_PUBLIC XVMI_CHECKED enum xvmi_status xvmi_profile_entry(const struct xvmi_profile *profile,
                                                             size_t index,
                                                             struct xvmi_profile_entry *entry);

/*
 * Profile files: versioned, checksummed, the same bytes on every host.
 *
 * Saving replaces `path` in one step: a reader sees the old file or the new one, also when we
 * are killed in the middle. Loading believes nothing: XVMI_ERR_FORMAT for a file that is
 * truncated, damaged or no profile, XVMI_ERR_UNSUPPORTED for one of another format version,
 * XVMI_ERR_NOT_FOUND, XVMI_ERR_PERMISSION and XVMI_ERR_IO as the host says.
 */
XVMI_PUBLIC XVMI_CHECKED enum xvmi_status xvmi_profile_load(const char *path,
                                                            struct xvmi_profile **profile,
                                                            struct xvmi_error *err);
XVMI_PUBLIC XVMI_CHECKED enum xvmi_status xvmi_profile_save(const struct xvmi_profile *profile,
                                                            const char *path,
                                                            struct xvmi_error *err);

/*
 * The cache: one profile file a build-id and origin, under /var/cache/xvmi/profiles for root and
 * $XDG_CACHE_HOME/xvmi/profiles (or ~/.cache/xvmi/profiles) for others. Several processes may
 * store at once; the last one wins, and no reader sees a mixture.
 *
 * `guest` is NULL for what an operator's vmlinux said: that serves all guests with that build-id.
 * What a guest said of itself (its BTF and symbols) is kept under the guest's name (its URI) and
 * serves that guest alone, or a hostile one could choose how others with its build-id are read.
 *
 * Loading fails with XVMI_ERR_NOT_FOUND when nothing is stored, with XVMI_ERR_PERMISSION when
 * folder or file could have been written by another user than root and ourselves, and as
 * xvmi_profile_load() when the file is bad or of another build-id. Callers take every failure as
 * a miss.
 */
XVMI_PUBLIC XVMI_CHECKED enum xvmi_status xvmi_profile_cache_load(const char *guest,
                                                                  const void *build_id, size_t len,
                                                                  struct xvmi_profile **profile,
                                                                  struct xvmi_error *err);

/* XVMI_ERR_INVALID for a profile without build-id. */
XVMI_PUBLIC XVMI_CHECKED enum xvmi_status xvmi_profile_cache_store(
    const char *guest, const struct xvmi_profile *profile, struct xvmi_error *err);

#ifdef __cplusplus
}
#endif
#endif
