/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef IMAGE_WRITER_H
#define IMAGE_WRITER_H

/*
 * Builds memory images byte by byte: ELF cores, LiME. Out of memory and a full disk end
 * the test program. Tests of damaged images patch `v` before they save.
 */

#include <stddef.h>
#include <stdint.h>

struct image {
    uint8_t *v;
    size_t n, cap;
};

void image_free(struct image *image);
void image_bytes(struct image *image, const void *data, size_t n);
void image_fill(struct image *image, uint8_t byte, size_t n);

/* An x86-64 core: header, program headers, then the segments' bytes, each on a page boundary of
 * the file. type is a PT_*; memsz below size means size. */
struct image_segment {
    uint32_t type;
    uint64_t paddr;
    const void *data;
    size_t size;
    uint64_t memsz;
};
void image_elf(struct image *image, const struct image_segment *segments, size_t n);

/* One ELF note, as part of a PT_NOTE segment's bytes. */
void image_note(struct image *image, const char *name, uint32_t type, const void *desc, size_t n);

/* QEMU's two notes about a vCPU; `qemu_size` is 432 (older) or 440 (with kernel_gs_base). Every
 * register has a value of its own: see IMAGE_REG. */
void image_note_prstatus(struct image *image, unsigned vcpu);
void image_note_qemu(struct image *image, unsigned vcpu, size_t qemu_size);

/* What the notes say: 64-bit word `word` of the note's content. */
#define IMAGE_REG(vcpu, word) (UINT64_C(0xabcd000000000000) | (uint64_t)(vcpu) << 32 | (word))

/* One LiME range, header and bytes. */
void image_lime(struct image *image, uint64_t gpa, const void *data, size_t n);

/*
 * A compressed kdump, version 6, as QEMU and makedumpfile write it, of up to 16384 pages: all of
 * [0, ram_pages) is RAM, the content of the pages given is there (sorted by number).
 * flags: 0 stored as it is, 1 zlib. `notes` may be NULL.
 */
struct image_page {
    uint64_t number;
    const void *data;
    uint32_t size;
    uint32_t flags;
};
void image_kdump(struct image *image, uint64_t ram_pages, const struct image_page *pages, size_t n,
                 const struct image *notes);

/* Places in it, for damage: the header's words and the first page descriptor. */
#define KDUMP_VERSION       8
#define KDUMP_BLOCK_SIZE    428
#define KDUMP_SUB_BLOCKS    432
#define KDUMP_BITMAP_BLOCKS 436
#define KDUMP_NOTE_OFFSET   (4096 + 48)
#define KDUMP_NOTE_SIZE     (4096 + 56)
#define KDUMP_MAX_MAPNR     (4096 + 96)
#define KDUMP_DESCRIPTOR    (4 * 4096)

/* The same bytes in makedumpfile's flattened format, in pieces of `piece` bytes, last one first. */
void image_flatten(struct image *image, const struct image *from, size_t piece);

/* Write to a new temporary file; the path is the caller's to unlink and free. */
char *image_save(const struct image *image);

#endif
