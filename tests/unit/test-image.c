// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "mem/mem.h"
#include "support/image-writer.h"

#define PAGE 4096u

/* Pages full of one byte, as content. */
static const uint8_t *page_of(uint8_t byte)
{
    static uint8_t pages[256][PAGE];
    memset(pages[byte], byte, PAGE);
    return pages[byte];
}

static char uri[64];

static enum xvmi_status open_image(struct image *image, struct xm_mem **mem, struct xvmi_error *err)
{
    char *path = image_save(image);
    image_free(image);
    snprintf(uri, sizeof(uri), "file:%s", path);
    enum xvmi_status status = xm_open(uri, mem, err);
    unlink(path);
    free(path);
    return status;
}

static struct xm_mem *opened(struct image *image)
{
    struct xvmi_error err = XVMI_ERROR_INIT;
    struct xm_mem *mem;
    cr_assert_eq(open_image(image, &mem, &err), XVMI_OK, "%s", err.text);
    return mem;
}

/* Opening must fail with `status` and, behind the path, with `text`. */
static void refused(struct image *image, enum xvmi_status status, const char *text)
{
    struct xvmi_error err = XVMI_ERROR_INIT;
    struct xm_mem *mem;
    cr_assert_eq(open_image(image, &mem, &err), status, "%s", err.text);
    cr_assert_null(mem);
    const char *path = uri + strlen("file:");
    cr_assert_eq(strncmp(err.text, path, strlen(path)), 0, "%s", err.text);
    cr_assert_str_eq(err.text + strlen(path) + 2, text);
}

static void has_range(const struct xm_mem *mem, size_t i, uint64_t gpa, uint64_t size)
{
    size_t n;
    const struct xvmi_mem_range *ranges = xm_ranges(mem, &n);
    cr_assert_lt(i, n);
    cr_assert_eq(ranges[i].gpa, gpa);
    cr_assert_eq(ranges[i].size, size);
}

static void has_ranges(const struct xm_mem *mem, size_t n)
{
    size_t have;
    xm_ranges(mem, &have);
    cr_assert_eq(have, n);
}

static void has_byte(struct xm_mem *mem, uint64_t gpa, uint8_t byte)
{
    uint8_t have;
    struct xvmi_error err = XVMI_ERROR_INIT;
    cr_assert_eq(xm_read(mem, gpa, &have, 1, &err), XVMI_OK, "%s", err.text);
    cr_assert_eq(have, byte);
}

static void has_no_ram(struct xm_mem *mem, uint64_t gpa, const char *text)
{
    uint8_t byte;
    struct xvmi_error err = XVMI_ERROR_INIT;
    cr_assert_eq(xm_read(mem, gpa, &byte, 1, &err), XVMI_ERR_NOT_PRESENT);
    cr_assert_str_eq(err.text, text);
}

/* --- ELF --- */

/* Two segments, out of order in the file, of which the second was dumped in part only. */
static struct image two_segments(void)
{
    struct image image = {0};
    image_elf(
        &image,
        (struct image_segment[]){
            {.type = PT_LOAD, .paddr = 0x100000000, .data = page_of(2), .size = PAGE},
            {.type = PT_LOAD, .paddr = 0x1000, .data = page_of(1), .size = PAGE, .memsz = 2 * PAGE},
        },
        2);
    return image;
}

static Elf64_Ehdr *ehdr_of(struct image *image)
{
    return (Elf64_Ehdr *)image->v;
}

static Elf64_Phdr *phdr_of(struct image *image, size_t i)
{
    return (Elf64_Phdr *)(image->v + sizeof(Elf64_Ehdr)) + i;
}

Test(elfcore, segments_are_memory)
{
    struct image image = two_segments();
    struct xm_mem *mem = opened(&image);
    has_ranges(mem, 2);
    has_range(mem, 0, 0x1000, PAGE);
    has_range(mem, 1, 0x100000000, PAGE);
    cr_assert_eq(xm_total(mem), 2 * PAGE);
    cr_assert_not(xm_live(mem));
    cr_assert_eq(xm_vcpus(mem), 0);
    cr_assert_str_eq(xm_name(mem), uri);
    has_byte(mem, 0x1000, 1);
    has_byte(mem, 0x1fff, 1);
    has_byte(mem, 0x100000fff, 2);
    has_no_ram(mem, 0x2000, "no RAM at guest-physical 0x2000"); /* left out of the dump */
    has_no_ram(mem, 0xfff, "no RAM at guest-physical 0xfff");
    has_no_ram(mem, UINT64_MAX, "no RAM at guest-physical 0xffffffffffffffff");
    cr_assert_eq(xm_stats(mem).backend_calls, 0); /* mapped */
    xm_close(mem);
}

Test(elfcore, a_read_crosses_neighbours_and_stops_at_the_end)
{
    struct image image = {0};
    image_elf(&image,
              (struct image_segment[]){
                  {.type = PT_LOAD, .paddr = 0x2000, .data = page_of(2), .size = PAGE},
                  {.type = PT_LOAD, .paddr = 0x1000, .data = page_of(1), .size = PAGE},
              },
              2);
    struct xm_mem *mem = opened(&image);
    uint8_t data[16];
    cr_assert_eq(xm_read(mem, 0x1ff8, data, 16, NULL), XVMI_OK);
    for (int i = 0; i < 16; i++)
        cr_assert_eq(data[i], i < 8 ? 1 : 2);
    struct xvmi_error err = XVMI_ERROR_INIT;
    cr_assert_eq(xm_read(mem, 0x2ff8, data, 16, &err), XVMI_ERR_NOT_PRESENT);
    cr_assert_str_eq(err.text, "no RAM at guest-physical 0x3000");

    uint64_t avail = 0;
    cr_assert_not_null(xm_ptr(mem, 0x1ff8, 8, &avail));
    cr_assert_eq(avail, 8);
    cr_assert_null(xm_ptr(mem, 0x1ff8, 9, NULL)); /* not contiguous in the file */
    cr_assert_null(xm_ptr(mem, 0x3000, 1, NULL));
    xm_close(mem);
}

Test(elfcore, more_segments_than_16_bits_count)
{
    struct image image = two_segments();
    Elf64_Shdr shdr = {.sh_info = 2};
    ehdr_of(&image)->e_phnum = PN_XNUM;
    ehdr_of(&image)->e_shnum = 1;
    ehdr_of(&image)->e_shoff = image.n;
    image_bytes(&image, &shdr, sizeof(shdr));
    struct xm_mem *mem = opened(&image);
    has_ranges(mem, 2);
    xm_close(mem);
}

Test(elfcore, section_0_that_counts_is_missing)
{
    struct image image = two_segments();
    ehdr_of(&image)->e_phnum = PN_XNUM;
    refused(&image, XVMI_ERR_FORMAT,
            "section 0, which counts the segments, lies at 0x0, outside the file (0x3000 bytes)");
    image = two_segments();
    ehdr_of(&image)->e_phnum = PN_XNUM;
    ehdr_of(&image)->e_shoff = image.n - 63;
    refused(&image, XVMI_ERR_FORMAT,
            "section 0, which counts the segments, lies at 0x2fc1, outside the file (0x3000 "
            "bytes)");
}

Test(elfcore, absurd_number_of_segments)
{
    struct image image = two_segments();
    Elf64_Shdr shdr = {.sh_info = UINT32_MAX};
    ehdr_of(&image)->e_phnum = PN_XNUM;
    ehdr_of(&image)->e_shoff = image.n;
    image_bytes(&image, &shdr, sizeof(shdr));
    refused(&image, XVMI_ERR_FORMAT,
            "4294967295 program headers at 0x40 do not fit into the file (0x3040 bytes)");
    image = two_segments();
    ehdr_of(&image)->e_phoff = UINT64_MAX;
    refused(&image, XVMI_ERR_FORMAT,
            "2 program headers at 0xffffffffffffffff do not fit into the file (0x3000 bytes)");
}

Test(elfcore, truncated)
{
    struct image image = two_segments();
    image.n -= 1;
    refused(&image, XVMI_ERR_FORMAT,
            "segment 1 needs bytes 0x2000 to 0x2000+0x1000, the file has 0x2fff: it is truncated "
            "or damaged");
    image = two_segments();
    image.n = 63;
    refused(&image, XVMI_ERR_FORMAT, "63 bytes are too few for an ELF header");
}

Test(elfcore, absurd_sizes)
{
    struct image image = two_segments();
    phdr_of(&image, 0)->p_filesz = UINT64_MAX;
    refused(&image, XVMI_ERR_FORMAT,
            "segment 0 needs bytes 0x1000 to 0x1000+0xffffffffffffffff, the file has 0x3000: it is "
            "truncated or damaged");
    image = two_segments();
    phdr_of(&image, 0)->p_offset = UINT64_MAX;
    refused(&image, XVMI_ERR_FORMAT,
            "segment 0 needs bytes 0xffffffffffffffff to 0xffffffffffffffff+0x1000, the file has "
            "0x3000: it is truncated or damaged");
    image = two_segments();
    phdr_of(&image, 0)->p_paddr = UINT64_MAX - 0xffe;
    refused(&image, XVMI_ERR_FORMAT,
            "segment 0 at guest-physical 0xfffffffffffff001, 0x1000 bytes, wraps around");
    image = two_segments();
    phdr_of(&image, 0)->p_paddr = UINT64_MAX;
    refused(&image, XVMI_ERR_FORMAT,
            "segment 0 at guest-physical 0xffffffffffffffff, 0x1000 bytes, wraps around");
}

Test(elfcore, overlap_that_contradicts)
{
    struct image image = two_segments();
    phdr_of(&image, 0)->p_paddr = 0x1800;
    refused(&image, XVMI_ERR_FORMAT,
            "memory at 0x1000 (0x1000 bytes) and at 0x1800 (0x1000 bytes) overlaps with different "
            "content");
    image = two_segments();
    phdr_of(&image, 0)->p_paddr = 0x1000;
    refused(&image, XVMI_ERR_FORMAT,
            "memory at 0x1000 (0x1000 bytes) and at 0x1000 (0x1000 bytes) overlaps with different "
            "content");
}

/* As /proc/vmcore lists the kernel's text: once in RAM, once by itself. */
Test(elfcore, overlap_that_agrees)
{
    struct image image = {0};
    image_elf(&image,
              (struct image_segment[]){
                  {.type = PT_LOAD, .paddr = 0x1800, .data = page_of(7), .size = 0x100},
                  {.type = PT_LOAD, .paddr = 0x1000, .data = page_of(7), .size = PAGE},
              },
              2);
    struct xm_mem *mem = opened(&image);
    has_ranges(mem, 1);
    has_range(mem, 0, 0x1000, PAGE);
    xm_close(mem);
}

/* Comparing copies must not cost more than reading the file. */
Test(elfcore, overlap_without_end)
{
    struct image image = {0};
    struct image_segment segments[64];
    for (size_t i = 0; i < 64; i++)
        segments[i] = (struct image_segment){
            .type = PT_LOAD, .paddr = 0x1000, .data = page_of(7), .size = PAGE};
    image_elf(&image, segments, 64);
    for (size_t i = 2; i < 64; i++) /* all the same bytes of the file, except the first */
        phdr_of(&image, i)->p_offset = phdr_of(&image, 1)->p_offset;
    image.n = phdr_of(&image, 1)->p_offset + PAGE;
    refused(&image, XVMI_ERR_LIMIT, "the image lists more copies of memory than the file can hold");
}

Test(elfcore, other_kinds_of_elf)
{
    struct image image = two_segments();
    ehdr_of(&image)->e_type = ET_EXEC;
    refused(&image, XVMI_ERR_FORMAT, "an ELF file of type 2, not a core dump (4)");
    image = two_segments();
    ehdr_of(&image)->e_machine = EM_AARCH64;
    refused(&image, XVMI_ERR_UNSUPPORTED,
            "ELF class 2, byte order 1, machine 183: only x86-64 is supported");
    image = two_segments();
    ehdr_of(&image)->e_ident[EI_CLASS] = ELFCLASS32;
    refused(&image, XVMI_ERR_UNSUPPORTED,
            "ELF class 1, byte order 1, machine 62: only x86-64 is supported");
    image = two_segments();
    ehdr_of(&image)->e_phentsize = 32;
    refused(&image, XVMI_ERR_FORMAT, "program headers of 32 bytes, not 56");
}

Test(elfcore, no_memory_in_it)
{
    struct image image = {0};
    image_elf(&image, NULL, 0);
    refused(&image, XVMI_ERR_FORMAT, "the image holds no memory");
}

/* --- notes --- */

static struct image with_notes(const struct image *notes)
{
    struct image image = {0};
    image_elf(&image,
              (struct image_segment[]){
                  {.type = PT_NOTE, .data = notes->v, .size = notes->n},
                  {.type = PT_LOAD, .paddr = 0, .data = page_of(1), .size = PAGE},
              },
              2);
    return image;
}

static struct xm_mem *opened_with(struct image *notes)
{
    struct image image = with_notes(notes);
    image_free(notes);
    return opened(&image);
}

static void refused_with(struct image *notes, enum xvmi_status status, const char *text)
{
    struct image image = with_notes(notes);
    image_free(notes);
    refused(&image, status, text);
}

#define ALL_REGS                                                                                   \
    (XVMI_REG_RIP | XVMI_REG_RSP | XVMI_REG_CR0 | XVMI_REG_CR3 | XVMI_REG_CR4 | XVMI_REG_GS_BASE | \
     XVMI_REG_IDT_BASE)

Test(notes, registers_as_qemu_writes_them)
{
    struct image notes = {0};
    image_note_prstatus(&notes, 0);
    image_note_prstatus(&notes, 1);
    image_note_qemu(&notes, 0, 440);
    image_note_qemu(&notes, 1, 432);
    struct xm_mem *mem = opened_with(&notes);
    cr_assert_eq(xm_vcpus(mem), 2);
    for (unsigned i = 0; i < 2; i++) {
        struct xvmi_vcpu_regs regs;
        struct xvmi_error err = XVMI_ERROR_INIT;
        cr_assert_eq(xm_regs(mem, i, &regs, &err), XVMI_OK);
        cr_assert_eq(regs.valid, ALL_REGS | (i == 0 ? XVMI_REG_KERNEL_GS_BASE : 0));
        /* words of QEMUCPUState: size; rax…rsp is word 7; rip 17; segments from 19, three
         * words each with the base last: gs is number 4, idt number 9; cr[] from 49 */
        cr_assert_eq(regs.rsp, IMAGE_REG(i, 7));
        cr_assert_eq(regs.rip, IMAGE_REG(i, 17));
        cr_assert_eq(regs.gs_base, IMAGE_REG(i, 19 + 4 * 3 + 2));
        cr_assert_eq(regs.idt_base, IMAGE_REG(i, 19 + 9 * 3 + 2));
        cr_assert_eq(regs.cr0, IMAGE_REG(i, 49));
        cr_assert_eq(regs.cr3, IMAGE_REG(i, 52));
        cr_assert_eq(regs.cr4, IMAGE_REG(i, 53));
        cr_assert_eq(regs.kernel_gs_base, i == 0 ? IMAGE_REG(i, 54) : 0);
    }
    struct xvmi_vcpu_regs regs;
    struct xvmi_error err = XVMI_ERROR_INIT;
    cr_assert_eq(xm_regs(mem, 2, &regs, &err), XVMI_ERR_NOT_FOUND);
    cr_assert_str_eq(err.text, "no vCPU 2: the image tells of 2");
    xm_close(mem);
}

Test(notes, general_registers_alone)
{
    struct image notes = {0};
    image_note_prstatus(&notes, 0);
    struct xm_mem *mem = opened_with(&notes);
    struct xvmi_vcpu_regs regs;
    struct xvmi_error err = XVMI_ERROR_INIT;
    cr_assert_eq(xm_regs(mem, 0, &regs, &err), XVMI_OK);
    cr_assert_eq(regs.valid, XVMI_REG_RIP | XVMI_REG_RSP);
    /* pr_reg begins at word 14; rip is its 16th, rsp its 19th */
    cr_assert_eq(regs.rip, IMAGE_REG(0, 14 + 16));
    cr_assert_eq(regs.rsp, IMAGE_REG(0, 14 + 19));
    xm_close(mem);
}

Test(notes, vmcoreinfo)
{
    struct image notes = {0};
    image_note(&notes, "GNU", 3, "id", 2); /* of no interest */
    image_note(&notes, "VMCOREINFO", 0, "OSRELEASE=6.1\n", 14);
    struct xm_mem *mem = opened_with(&notes);
    char text[32] = "";
    size_t len;
    struct xvmi_error err = XVMI_ERROR_INIT;
    cr_assert_eq(xm_vmcoreinfo(mem, text, sizeof(text), &len, &err), XVMI_OK);
    cr_assert_eq(len, 14);
    cr_assert_str_eq(text, "OSRELEASE=6.1\n");
    memset(text, 0, sizeof(text));
    cr_assert_eq(xm_vmcoreinfo(mem, text, 9, &len, &err), XVMI_OK);
    cr_assert_eq(len, 14);
    cr_assert_str_eq(text, "OSRELEASE");
    cr_assert_eq(xm_vmcoreinfo(mem, NULL, 0, &len, &err), XVMI_OK);
    cr_assert_eq(len, 14);
    xm_close(mem);
}

Test(notes, none)
{
    struct image image = two_segments();
    struct xm_mem *mem = opened(&image);
    char text[8];
    size_t len = 1;
    struct xvmi_error err = XVMI_ERROR_INIT;
    cr_assert_eq(xm_vmcoreinfo(mem, text, sizeof(text), &len, &err), XVMI_ERR_NOT_FOUND);
    cr_assert_str_eq(err.text, "the image has no VMCOREINFO note");
    cr_assert_eq(len, 0);
    struct xvmi_vcpu_regs regs;
    cr_assert_eq(xm_regs(mem, 0, &regs, &err), XVMI_ERR_NOT_FOUND);
    cr_assert_str_eq(err.text, "no vCPU 0: the image tells of 0");
    xm_close(mem);
}

Test(notes, padding_at_the_end)
{
    struct image notes = {0};
    image_note(&notes, "VMCOREINFO", 0, "12345678", 8);
    image_fill(&notes, 0, 7);
    xm_close(opened_with(&notes));
}

Test(notes, cut_off)
{
    struct image notes = {0};
    image_note(&notes, "VMCOREINFO", 0, "12345678", 8);
    notes.n -= 1;
    refused_with(&notes, XVMI_ERR_FORMAT,
                 "segment 0: the note at 0x0 (name 11 bytes, content 8 bytes) is cut off");
    image_note(&notes, "VMCOREINFO", 0, "12345678", 8);
    image_fill(&notes, 0, 11);
    refused_with(&notes, XVMI_ERR_FORMAT, "segment 0: the note header at 0x20 is cut off");
    image_note(&notes, "VMCOREINFO", 0, "12345678", 8);
    memset(notes.v, 0xff, 8); /* both lengths */
    refused_with(&notes, XVMI_ERR_FORMAT,
                 "segment 0: the note at 0x0 (name 4294967295 bytes, content 4294967295 bytes) is "
                 "cut off");
}

Test(notes, last_one_without_padding)
{
    struct image notes = {0};
    image_note(&notes, "VMCOREINFO", 0, "A=1\nB", 5);
    notes.n -= 3;
    struct xm_mem *mem = opened_with(&notes);
    size_t len;
    cr_assert_eq(xm_vmcoreinfo(mem, NULL, 0, &len, NULL), XVMI_OK);
    cr_assert_eq(len, 5);
    xm_close(mem);
}

Test(notes, registers_too_short_or_of_another_version)
{
    struct image notes = {0};
    image_note(&notes, "CORE", NT_PRSTATUS, page_of(0), 327);
    refused_with(&notes, XVMI_ERR_FORMAT, "segment 0: a PRSTATUS note of 327 bytes is too short");
    image_note_qemu(&notes, 0, 424);
    refused_with(&notes, XVMI_ERR_FORMAT, "segment 0: a QEMU note of 424 bytes, version 0, not 1");
    image_note(&notes, "QEMU", 0, page_of(2), 440);
    refused_with(&notes, XVMI_ERR_FORMAT,
                 "segment 0: a QEMU note of 440 bytes, version 33686018, not 1");
}

Test(notes, outside_the_file_or_claimed_again_and_again)
{
    struct image notes = {0};
    image_note(&notes, "VMCOREINFO", 0, "12345678", 8);
    struct image image = with_notes(&notes);
    phdr_of(&image, 0)->p_filesz = UINT64_MAX;
    refused(&image, XVMI_ERR_FORMAT,
            "segment 0 (notes) at 0x1000, 0xffffffffffffffff bytes, is outside the file (0x3000 "
            "bytes)");
    image_free(&notes);

    struct image_segment segments[8];
    image_note(&notes, "X", 0, page_of(1), PAGE - 16);
    for (size_t i = 0; i < 8; i++)
        segments[i] = (struct image_segment){.type = PT_NOTE, .data = notes.v, .size = notes.n};
    image_elf(&image, segments, 8);
    image.n = phdr_of(&image, 0)->p_offset + PAGE;
    for (size_t i = 1; i < 8; i++)
        phdr_of(&image, i)->p_offset = phdr_of(&image, 0)->p_offset;
    refused(&image, XVMI_ERR_LIMIT, "segment 2: the image lists more notes than the file holds");
    image_free(&notes);
}

/* --- LiME --- */

static struct image two_lime_ranges(void)
{
    struct image image = {0};
    image_lime(&image, 0x1000, page_of(1), PAGE);
    image_lime(&image, 0x100000, page_of(2), PAGE);
    return image;
}

#define SECOND (32 + PAGE) /* where the second header begins */

static uint64_t *lime_word(struct image *image, size_t header, size_t word)
{
    return (uint64_t *)(image->v + header) + word;
}

Test(lime, ranges)
{
    struct image image = two_lime_ranges();
    struct xm_mem *mem = opened(&image);
    has_ranges(mem, 2);
    has_range(mem, 0, 0x1000, PAGE);
    has_range(mem, 1, 0x100000, PAGE);
    has_byte(mem, 0x1fff, 1);
    has_byte(mem, 0x100000, 2);
    has_no_ram(mem, 0x2000, "no RAM at guest-physical 0x2000");
    xm_close(mem);
}

Test(lime, damaged)
{
    struct image image = two_lime_ranges();
    image.n = SECOND + 31;
    refused(&image, XVMI_ERR_FORMAT, "LiME header 1 is cut off at the end of the file");
    image = two_lime_ranges();
    image.n -= 1;
    refused(&image, XVMI_ERR_FORMAT,
            "LiME range 1 needs bytes 0x1040 to 0x1040+0x1000, the file has 0x203f: it is "
            "truncated or damaged");
    image = two_lime_ranges();
    image.v[SECOND] = 0;
    refused(&image, XVMI_ERR_FORMAT, "no LiME header 1 at byte 0x1020");
    image = two_lime_ranges();
    image.v[SECOND + 4] = 3;
    refused(&image, XVMI_ERR_UNSUPPORTED, "LiME range 1 has version 3, not 1");
    image = two_lime_ranges();
    image.v[4] = 2;
    refused(&image, XVMI_ERR_UNSUPPORTED,
            "LiME range 0 is compressed (AVML): run avml-convert first");
}

Test(lime, absurd_ranges)
{
    struct image image = two_lime_ranges();
    *lime_word(&image, SECOND, 2) = 0xfffff;
    refused(&image, XVMI_ERR_FORMAT, "LiME range 1 goes from 0x100000 to 0xfffff");
    image = two_lime_ranges();
    *lime_word(&image, 0, 1) = 0;
    *lime_word(&image, 0, 2) = UINT64_MAX;
    refused(&image, XVMI_ERR_FORMAT, "LiME range 0 goes from 0x0 to 0xffffffffffffffff");
    image = two_lime_ranges();
    *lime_word(&image, 0, 2) = UINT64_MAX - 1;
    refused(&image, XVMI_ERR_FORMAT,
            "LiME range 0 needs bytes 0x20 to 0x20+0xffffffffffffefff, the file has 0x2040: it is "
            "truncated or damaged");
}

Test(lime, overlap)
{
    struct image image = two_lime_ranges();
    *lime_word(&image, SECOND, 1) = 0x1800;
    *lime_word(&image, SECOND, 2) = 0x27ff;
    refused(&image, XVMI_ERR_FORMAT,
            "memory at 0x1000 (0x1000 bytes) and at 0x1800 (0x1000 bytes) overlaps with different "
            "content");
}

/* --- raw, and what is no image at all --- */

Test(raw, begins_at_0)
{
    struct image image = {0};
    image_bytes(&image, page_of(1), PAGE);
    image_bytes(&image, page_of(2), 100);
    struct xm_mem *mem = opened(&image);
    has_ranges(mem, 1);
    has_range(mem, 0, 0, PAGE + 100);
    has_byte(mem, 0, 1);
    has_byte(mem, PAGE + 99, 2);
    has_no_ram(mem, PAGE + 100, "no RAM at guest-physical 0x1064");
    xm_close(mem);
}

Test(raw, holes_are_not_data)
{
    char path[] = "/tmp/xvmi-sparse-XXXXXX";
    int fd = mkstemp(path);
    cr_assert_geq(fd, 0);
    /* data in the MiB at 2 and at 5, of 8 */
    cr_assert_eq(ftruncate(fd, 8 << 20), 0);
    for (off_t mib = 2; mib <= 5; mib += 3)
        for (off_t off = 0; off < 1 << 20; off += PAGE)
            cr_assert_eq(pwrite(fd, page_of(1), PAGE, (mib << 20) + off), PAGE);
    if (lseek(fd, 0, SEEK_DATA) == 0) {
        close(fd);
        unlink(path);
        cr_skip_test("this file system has no holes");
    }
    char name[64];
    snprintf(name, sizeof(name), "file:%s", path);
    struct xm_mem *mem;
    struct xvmi_error err = XVMI_ERROR_INIT;
    cr_assert_eq(xm_open(name, &mem, &err), XVMI_OK, "%s", err.text);
    uint64_t start, end;
    cr_assert_eq(xm_next_data(mem, 0, &start, &end, &err), XVMI_OK);
    cr_assert_eq(start, 2 << 20);
    cr_assert_eq(end, 3 << 20);
    cr_assert_eq(xm_next_data(mem, end - 1, &start, &end, &err), XVMI_OK);
    cr_assert_eq(start, (3 << 20) - 1);
    cr_assert_eq(end, 3 << 20);
    cr_assert_eq(xm_next_data(mem, end, &start, &end, &err), XVMI_OK);
    cr_assert_eq(start, 5 << 20);
    cr_assert_eq(end, 6 << 20);
    cr_assert_eq(xm_next_data(mem, end, &start, &end, &err), XVMI_ERR_NOT_FOUND);
    cr_assert_str_eq(err.text, "no data at or after 0x600000");
    cr_assert_eq(xm_next_data(mem, 8 << 20, &start, &end, &err), XVMI_ERR_NOT_FOUND);
    cr_assert_str_eq(err.text, "no memory at or after 0x800000");
    xm_close(mem);
    close(fd);
    unlink(path);
}

Test(raw, too_small)
{
    struct image image = {0};
    image_fill(&image, 'x', 4095);
    refused(&image, XVMI_ERR_FORMAT,
            "4095 bytes are neither a known image format nor a page of raw memory");
    image_free(&image);
    refused(&image, XVMI_ERR_FORMAT, "the file is empty");
}

static void cannot_open(const char *name, enum xvmi_status status, const char *text)
{
    struct xvmi_error err = XVMI_ERROR_INIT;
    struct xm_mem *mem;
    cr_assert_eq(xm_open(name, &mem, &err), status);
    cr_assert_str_eq(err.text, text);
}

Test(image, paths_that_do_not_work)
{
    cannot_open("file:/nowhere/to/be/found", XVMI_ERR_NOT_FOUND,
                "/nowhere/to/be/found: cannot open it: No such file or directory");
    cannot_open("file:/tmp", XVMI_ERR_INVALID, "/tmp: not a regular file");
    cannot_open("file:/dev/null", XVMI_ERR_INVALID, "/dev/null: not a regular file");
}
