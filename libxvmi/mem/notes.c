// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <elf.h>
#include <string.h>

#include "base/vec.h"
#include "mem/image.h"

/*
 * Notes of an ELF core that tell of the machine rather than of its memory:
 *   CORE, NT_PRSTATUS   general registers, one for each vCPU
 *   QEMU, 0             all of a vCPU's state, in the same order (QEMU target/i386/arch_dump.c)
 *   VMCOREINFO, 0       the kernel's own text about itself
 */

/* struct elf_prstatus of x86-64: pr_reg is a user_regs_struct at byte 112. */
#define PRSTATUS_RIP (112 + 16 * 8)
#define PRSTATUS_RSP (112 + 19 * 8)
#define PRSTATUS_MIN (112 + 27 * 8)

/* QEMUCPUState: version and size (32 bits each), 16 general registers, rip, rflags, ten
 * segments of 24 bytes with the base last, cr[5], and in newer ones kernel_gs_base. */
#define QEMU_VERSION        1
#define QEMU_RSP            (8 + 6 * 8)
#define QEMU_RIP            (8 + 16 * 8)
#define QEMU_SEG_BASE(n)    (8 + 18 * 8 + (n)*24 + 16)
#define QEMU_GS             4
#define QEMU_IDT            9
#define QEMU_CR(n)          (8 + 18 * 8 + 10 * 24 + (n)*8)
#define QEMU_KERNEL_GS_BASE QEMU_CR(5)

struct note {
    uint32_t type;
    size_t name_len; /* without its NUL */
    const char *name;
    const uint8_t *desc;
    size_t desc_len;
};

static uint64_t load_u64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof(v));
    return v;
}

static struct xvmi_vcpu_regs *regs_of(struct xm_image *image, size_t vcpu)
{
    if (vcpu < image->vcpus)
        return &image->regs[vcpu];
    if (!xb_vec_reserve((void **)&image->regs, &image->regs_cap, vcpu + 1, sizeof(*image->regs)))
        return NULL;
    image->regs[vcpu] = (struct xvmi_vcpu_regs){0};
    image->vcpus = vcpu + 1;
    return &image->regs[vcpu];
}

static enum xvmi_status read_prstatus(struct xvmi_vcpu_regs *regs, const struct note *note,
                                      struct xvmi_error *err)
{
    if (note->desc_len < PRSTATUS_MIN)
        return xvmi_error_set(err, XVMI_ERR_FORMAT, "a PRSTATUS note of %zu bytes is too short",
                              note->desc_len);
    if (regs->valid & XVMI_REG_CR3)
        return XVMI_OK; /* QEMU's own note said more */
    regs->rip = load_u64(note->desc + PRSTATUS_RIP);
    regs->rsp = load_u64(note->desc + PRSTATUS_RSP);
    regs->valid |= XVMI_REG_RIP | XVMI_REG_RSP;
    return XVMI_OK;
}

static enum xvmi_status read_qemu(struct xvmi_vcpu_regs *regs, const struct note *note,
                                  struct xvmi_error *err)
{
    uint32_t version = 0;
    if (note->desc_len >= QEMU_KERNEL_GS_BASE)
        memcpy(&version, note->desc, sizeof(version));
    if (version != QEMU_VERSION)
        return xvmi_error_set(err, XVMI_ERR_FORMAT, "a QEMU note of %zu bytes, version %u, not %u",
                              note->desc_len, version, QEMU_VERSION);
    regs->rip = load_u64(note->desc + QEMU_RIP);
    regs->rsp = load_u64(note->desc + QEMU_RSP);
    regs->cr0 = load_u64(note->desc + QEMU_CR(0));
    regs->cr3 = load_u64(note->desc + QEMU_CR(3));
    regs->cr4 = load_u64(note->desc + QEMU_CR(4));
    regs->gs_base = load_u64(note->desc + QEMU_SEG_BASE(QEMU_GS));
    regs->idt_base = load_u64(note->desc + QEMU_SEG_BASE(QEMU_IDT));
    regs->valid |= XVMI_REG_RIP | XVMI_REG_RSP | XVMI_REG_CR0 | XVMI_REG_CR3 | XVMI_REG_CR4 |
                   XVMI_REG_GS_BASE | XVMI_REG_IDT_BASE;
    if (note->desc_len >= QEMU_KERNEL_GS_BASE + 8) {
        regs->kernel_gs_base = load_u64(note->desc + QEMU_KERNEL_GS_BASE);
        regs->valid |= XVMI_REG_KERNEL_GS_BASE;
    }
    return XVMI_OK;
}

static bool is_named(const struct note *note, const char *name)
{
    return note->name_len == strlen(name) && memcmp(note->name, name, note->name_len) == 0;
}

/* Notes of either kind come in vCPU order. */
static enum xvmi_status read_note(struct xm_image *image, const struct note *note,
                                  struct xvmi_error *err)
{
    bool prstatus = is_named(note, "CORE") && note->type == NT_PRSTATUS;
    if (prstatus || is_named(note, "QEMU")) {
        size_t *next = prstatus ? &image->prstatus_notes : &image->qemu_notes;
        struct xvmi_vcpu_regs *regs = regs_of(image, (*next)++);
        if (!regs)
            return xvmi_error_set(err, XVMI_ERR_NO_MEMORY, "out of memory for registers");
        return prstatus ? read_prstatus(regs, note, err) : read_qemu(regs, note, err);
    }
    if (is_named(note, "VMCOREINFO") && !image->vmcoreinfo && note->desc_len > 0) {
        image->vmcoreinfo = note->desc;
        image->vmcoreinfo_len = note->desc_len;
    }
    return XVMI_OK;
}

/* Sets *note to the one at *off and moves on, never beyond `size`. */
static enum xvmi_status next_note(const uint8_t *data, size_t size, size_t *off, struct note *note,
                                  struct xvmi_error *err)
{
    Elf64_Nhdr nhdr;
    size_t at = *off;
    if (size - at < sizeof(nhdr))
        return xvmi_error_set(err, XVMI_ERR_FORMAT, "the note header at 0x%zx is cut off", at);
    memcpy(&nhdr, data + at, sizeof(nhdr));
    at += sizeof(nhdr);
    /* Both lengths have 32 bits: rounding and adding them cannot overflow a size_t. */
    size_t name_room = ((size_t)nhdr.n_namesz + 3) & ~(size_t)3;
    if (name_room > size - at || nhdr.n_descsz > size - at - name_room)
        return xvmi_error_set(err, XVMI_ERR_FORMAT,
                              "the note at 0x%zx (name %u bytes, content %u bytes) is cut off",
                              *off, nhdr.n_namesz, nhdr.n_descsz);
    note->type = nhdr.n_type;
    note->name = (const char *)data + at;
    note->name_len = strnlen(note->name, nhdr.n_namesz);
    note->desc = data + at + name_room;
    note->desc_len = nhdr.n_descsz;
    at += name_room + (((size_t)nhdr.n_descsz + 3) & ~(size_t)3);
    *off = at < size ? at : size; /* the last one's padding may be missing */
    return XVMI_OK;
}

/* What a segment that is rounded up to 8 bytes ends in. */
static bool is_padding(const uint8_t *data, size_t size)
{
    static const uint8_t zero[8];
    return size < sizeof(zero) && !memcmp(data, zero, size);
}

enum xvmi_status xm_notes_read(struct xm_image *image, const uint8_t *data, size_t size,
                               struct xvmi_error *err)
{
    /* Segments may claim the same bytes again and again. */
    image->note_bytes += size;
    if (image->note_bytes > image->size)
        return xvmi_error_set(err, XVMI_ERR_LIMIT,
                              "the image lists more notes than the file holds");
    size_t off = 0;
    while (!is_padding(data + off, size - off)) {
        struct note note = {0};
        enum xvmi_status status = next_note(data, size, &off, &note, err);
        if (!status)
            status = read_note(image, &note, err);
        if (status)
            return status;
    }
    return XVMI_OK;
}
