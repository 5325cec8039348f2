// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <elf.h>
#include <string.h>

#include "os/linux/image.h"

/* Who an image is, by two things that every kernel holds: linux_banner, a string that begins with
 * "Linux version RELEASE ", and a GNU build-id note in .notes. Both begin at multiples of four. */

#define BANNER      "Linux version "
#define BANNER_WORD 0x756e694cu /* "Linu" */
#define GNU_WORD    0x00554e47u /* "GNU" */

/* Looks at whatever begins like one of the two: a real image has a handful. */
#define MAX_HITS 4096

/* A build-id is a hash: of 8 (xxhash) to 64 bytes; 20 (SHA-1) by default. */
#define MIN_BUILD_ID 8

struct search {
    const struct xl_image *image;
    struct xl_identity *identity;
    uint64_t banner; /* where it is; 0: not yet seen */
    bool anywhere;   /* notes count wherever they are */
    unsigned hits;
};

static bool is_release_char(char c)
{
    return c > ' ' && c < 0x7f;
}

static void take_banner(struct search *search, uint64_t gva)
{
    char text[sizeof(BANNER) - 1 + XVMI_RELEASE_MAX + 1];
    char *release = text + sizeof(BANNER) - 1;
    if (xl_image_read(search->image, gva, text, sizeof(text)) ||
        memcmp(text, BANNER, sizeof(BANNER) - 1) != 0 || release[0] < '0' || release[0] > '9')
        return;
    size_t len = 0;
    while (len <= XVMI_RELEASE_MAX && is_release_char(release[len]))
        len++;
    if (len > XVMI_RELEASE_MAX || release[len] != ' ')
        return;
    memcpy(search->identity->release, release, len);
    search->identity->release[len] = 0;
    search->banner = gva;
}

/* Images of the vDSO are in the kernel's data, whole ELF files with a build-id of their own in
 * their first page. */
static bool in_embedded_elf(const struct xl_image *image, uint64_t gva)
{
    uint64_t page = gva & ~UINT64_C(0xfff);
    for (int i = 0; i < 2; i++, page -= 0x1000) {
        char magic[SELFMAG];
        if (!xl_image_read(image, page, magic, SELFMAG) && memcmp(magic, ELFMAG, SELFMAG) == 0)
            return true;
    }
    return false;
}

/* The note at gva, if it is a build-id: its bytes, else 0. */
static size_t read_build_id(const struct xl_image *image, uint64_t gva, uint8_t *id)
{
    struct {
        Elf64_Nhdr nhdr;
        uint32_t name;
    } note;
    if (xl_image_read(image, gva, &note, sizeof(note)) || note.nhdr.n_type != NT_GNU_BUILD_ID ||
        note.nhdr.n_namesz != 4 || note.name != GNU_WORD || note.nhdr.n_descsz < MIN_BUILD_ID ||
        note.nhdr.n_descsz > XVMI_BUILD_ID_MAX ||
        xl_image_read(image, gva + sizeof(note), id, note.nhdr.n_descsz))
        return 0;
    return note.nhdr.n_descsz;
}

/* .notes follows the banner in one stretch of read-only data. */
static void take_note(struct search *search, uint64_t gva)
{
    struct xl_identity *identity = search->identity;
    if (!search->anywhere && !xl_image_together(search->image, search->banner, gva))
        return;
    uint8_t id[XVMI_BUILD_ID_MAX];
    size_t len = read_build_id(search->image, gva, id);
    if (!len || in_embedded_elf(search->image, gva) ||
        identity->n == sizeof(identity->builds) / sizeof(identity->builds[0]))
        return;
    memcpy(identity->builds[identity->n].id, id, len);
    identity->builds[identity->n++].len = len;
}

static bool find(void *arg, uint64_t gva, const uint8_t *data, size_t len)
{
    enum { BLOCK = 64 };
    struct search *search = arg;
    uint32_t word[BLOCK];
    for (size_t at = 0; at + sizeof(word) <= len; at += sizeof(word)) {
        uint32_t any = 0;
        memcpy(word, data + at, sizeof(word));
        for (size_t i = 0; i < BLOCK; i++)
            any |= (uint32_t)(word[i] == BANNER_WORD) | (uint32_t)(word[i] == GNU_WORD);
        if (!any)
            continue;
        for (size_t i = 0; i < BLOCK; i++) {
            uint64_t where = gva + at + 4 * i;
            if (word[i] == GNU_WORD)
                take_note(search, where - sizeof(Elf64_Nhdr));
            else if (word[i] == BANNER_WORD && !search->identity->release[0])
                take_banner(search, where);
            else
                continue;
            if (++search->hits == MAX_HITS)
                return false;
        }
    }
    return true;
}

enum xvmi_status xl_image_identify(const struct xl_image *image, struct xl_identity *identity,
                                   struct xvmi_error *err)
{
    *identity = (struct xl_identity){0};
    struct search search = {.image = image, .identity = identity};
    enum xvmi_status status = xl_image_each(image, XL_PART_RODATA, find, &search, err);
    if (!status && !identity->release[0]) /* not booted yet, or booted with rodata=off */
        status = xl_image_each(image, XL_PART_DATA, find, &search, err);
    search.anywhere = true;
    if (!status && (!identity->release[0] || !identity->n)) /* before 5.5 notes followed the text */
        status = xl_image_each(image, XL_PART_CODE, find, &search, err);
    return status;
}

size_t xl_image_build_id(const struct xl_image *image, uint64_t start, uint64_t end,
                         uint8_t id[XVMI_BUILD_ID_MAX])
{
    enum { MAX_NOTES = 256 };
    for (int i = 0; i < MAX_NOTES && start < end; i++) {
        Elf64_Nhdr nhdr;
        size_t len = read_build_id(image, start, id);
        if (len)
            return len;
        if (xl_image_read(image, start, &nhdr, sizeof(nhdr)))
            return 0;
        start += sizeof(nhdr) + (((uint64_t)nhdr.n_namesz + 3) & ~UINT64_C(3)) +
                 (((uint64_t)nhdr.n_descsz + 3) & ~UINT64_C(3));
    }
    return 0;
}
