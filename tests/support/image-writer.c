// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "support/image-writer.h"

#include <elf.h>
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
