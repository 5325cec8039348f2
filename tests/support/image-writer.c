// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "support/image-writer.h"

#include <elf.h>
#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void need(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        abort();
    }
}

void image_free(struct image *image)
{
    free(image->v);
    *image = (struct image){0};
}

static uint8_t *grow(struct image *image, size_t n)
{
    if (image->cap - image->n < n) {
        image->cap = (image->n + n) * 2;
        image->v = realloc(image->v, image->cap);
        need(image->v != NULL, "image");
    }
    image->n += n;
    return image->v + image->n - n;
}

void image_bytes(struct image *image, const void *data, size_t n)
{
    if (n > 0)
        memcpy(grow(image, n), data, n);
}

void image_fill(struct image *image, uint8_t byte, size_t n)
{
    if (n > 0)
        memset(grow(image, n), byte, n);
}

static void align(struct image *image, size_t to)
{
    image_fill(image, 0, (to - image->n % to) % to);
}

void image_elf(struct image *image, const struct image_segment *segments, size_t n)
{
    Elf64_Ehdr ehdr = {
        .e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
        .e_type = ET_CORE,
        .e_machine = EM_X86_64,
        .e_version = EV_CURRENT,
        .e_phoff = sizeof(ehdr),
        .e_ehsize = sizeof(ehdr),
        .e_phentsize = sizeof(Elf64_Phdr),
        .e_phnum = (Elf64_Half)n,
        .e_shentsize = sizeof(Elf64_Shdr),
    };
    image_bytes(image, &ehdr, sizeof(ehdr));
    size_t table = image->n;
    image_fill(image, 0, n * sizeof(Elf64_Phdr));
    for (size_t i = 0; i < n; i++) {
        align(image, 4096);
        Elf64_Phdr phdr = {
            .p_type = segments[i].type,
            .p_offset = image->n,
            .p_paddr = segments[i].paddr,
            .p_filesz = segments[i].size,
            .p_memsz = segments[i].memsz > segments[i].size ? segments[i].memsz : segments[i].size,
        };
        memcpy(image->v + table + i * sizeof(phdr), &phdr, sizeof(phdr));
        image_bytes(image, segments[i].data, segments[i].size);
    }
}

void image_note(struct image *image, const char *name, uint32_t type, const void *desc, size_t n)
{
    Elf64_Nhdr nhdr = {
        .n_namesz = (Elf64_Word)strlen(name) + 1, .n_descsz = (Elf64_Word)n, .n_type = type};
    image_bytes(image, &nhdr, sizeof(nhdr));
    image_bytes(image, name, nhdr.n_namesz);
    align(image, 4);
    image_bytes(image, desc, n);
    align(image, 4);
}

static void note_of_words(struct image *image, const char *name, uint32_t type, unsigned vcpu,
                          size_t size, uint64_t first)
{
    uint64_t word[64];
    for (size_t i = 0; i < sizeof(word) / sizeof(word[0]); i++)
        word[i] = IMAGE_REG(vcpu, i);
    word[0] = first;
    image_note(image, name, type, word, size);
}

void image_note_prstatus(struct image *image, unsigned vcpu)
{
    note_of_words(image, "CORE", NT_PRSTATUS, vcpu, 336, 0);
}

void image_note_qemu(struct image *image, unsigned vcpu, size_t qemu_size)
{
    note_of_words(image, "QEMU", 0, vcpu, qemu_size, 1 | (uint64_t)qemu_size << 32);
}

void image_lime(struct image *image, uint64_t gpa, const void *data, size_t n)
{
    uint64_t header[4] = {0x4c694d45 | UINT64_C(1) << 32, gpa, gpa + n - 1, 0};
    image_bytes(image, header, sizeof(header));
    image_bytes(image, data, n);
}

static void put_u32(struct image *image, size_t off, uint32_t v)
{
    memcpy(image->v + off, &v, sizeof(v));
}

static void put_u64(struct image *image, size_t off, uint64_t v)
{
    memcpy(image->v + off, &v, sizeof(v));
}

static void put_bit(struct image *image, size_t bitmap, uint64_t page)
{
    image->v[bitmap + page / 8] |= (uint8_t)(1 << page % 8);
}

void image_kdump(struct image *image, uint64_t ram_pages, const struct image_page *pages, size_t n,
                 const struct image *notes)
{
    struct descriptor {
        uint64_t offset;
        uint32_t size, flags;
        uint64_t page_flags;
    };
    /* block 0: header, 1: sub-header, 2 and 3: the bitmaps, 4: descriptors */
    image_fill(image, 0, KDUMP_DESCRIPTOR);
    memcpy(image->v, "KDUMP   ", 8);
    put_u32(image, KDUMP_VERSION, 6);
    memcpy(image->v + 12 + 4 * 65, "x86_64", 6); /* utsname.machine */
    put_u32(image, KDUMP_BLOCK_SIZE, 4096);
    put_u32(image, KDUMP_SUB_BLOCKS, 1);
    put_u32(image, KDUMP_BITMAP_BLOCKS, 2);
    put_u32(image, 440, (uint32_t)ram_pages);
    put_u32(image, 460, 1); /* CPUs */
    put_u64(image, KDUMP_MAX_MAPNR, ram_pages);
    for (uint64_t i = 0; i < ram_pages; i++)
        put_bit(image, 2 * 4096, i);

    image_fill(image, 0, n * sizeof(struct descriptor));
    for (size_t i = 0; i < n; i++) {
        struct descriptor d = {.offset = image->n, .size = pages[i].size, .flags = pages[i].flags};
        put_bit(image, 3 * 4096, pages[i].number);
        memcpy(image->v + KDUMP_DESCRIPTOR + i * sizeof(d), &d, sizeof(d));
        image_bytes(image, pages[i].data, pages[i].size);
    }
    if (notes) {
        put_u64(image, KDUMP_NOTE_OFFSET, image->n);
        put_u64(image, KDUMP_NOTE_SIZE, notes->n);
        image_bytes(image, notes->v, notes->n);
    }
}

static void piece_header(struct image *image, uint64_t offset, uint64_t size)
{
    uint64_t words[2] = {htobe64(offset), htobe64(size)};
    image_bytes(image, words, sizeof(words));
}

void image_flatten(struct image *image, const struct image *from, size_t piece)
{
    image_bytes(image, "makedumpfile\0\0\0\0\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\1", 32);
    image_fill(image, 0, 4096 - 32);
    for (size_t end = from->n; end > 0;) {
        size_t size = end % piece ? end % piece : piece;
        end -= size;
        piece_header(image, end, size);
        image_bytes(image, from->v + end, size);
    }
    piece_header(image, UINT64_MAX, UINT64_MAX);
}

char *image_save(const struct image *image)
{
    char *path = strdup("/tmp/xvmi-image-XXXXXX");
    need(path != NULL, "image");
    int fd = mkstemp(path);
    need(fd >= 0, "temporary file");
    need(write(fd, image->v, image->n) == (ssize_t)image->n, path);
    close(fd);
    return path;
}
