// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <elf.h>
#include <string.h>

#include "mem/image.h"

/*
 * ELF core: what QEMU's dump-guest-memory, virsh dump --memory-only and a copy of
 * /proc/vmcore hold. PT_LOAD segments are guest-physical by p_paddr (p_vaddr says
 * nothing unless the dump was made with paging); a p_memsz beyond p_filesz is memory
 * that was left out.
 */

static enum xvmi_status check_header(const Elf64_Ehdr *ehdr, struct xvmi_error *err)
{
    if (ehdr->e_ident[EI_CLASS] != ELFCLASS64 || ehdr->e_ident[EI_DATA] != ELFDATA2LSB ||
        ehdr->e_machine != EM_X86_64)
        return xvmi_error_set(err, XVMI_ERR_UNSUPPORTED,
                              "ELF class %u, byte order %u, machine %u: only x86-64 is supported",
                              ehdr->e_ident[EI_CLASS], ehdr->e_ident[EI_DATA], ehdr->e_machine);
    if (ehdr->e_type != ET_CORE)
        return xvmi_error_set(err, XVMI_ERR_FORMAT, "an ELF file of type %u, not a core dump (4)",
                              ehdr->e_type);
    if (ehdr->e_phentsize != sizeof(Elf64_Phdr))
        return xvmi_error_set(err, XVMI_ERR_FORMAT, "program headers of %u bytes, not %zu",
                              ehdr->e_phentsize, sizeof(Elf64_Phdr));
    return XVMI_OK;
}

/* More segments than 16 bits can count are counted in section 0. */
static enum xvmi_status count_segments(const struct xm_image *image, const Elf64_Ehdr *ehdr,
                                       size_t *n, struct xvmi_error *err)
{
    *n = ehdr->e_phnum;
    if (ehdr->e_phnum == PN_XNUM) {
        Elf64_Shdr shdr;
        if (ehdr->e_shoff > image->size || sizeof(shdr) > image->size - ehdr->e_shoff ||
            ehdr->e_shoff == 0)
            return xvmi_error_set(err, XVMI_ERR_FORMAT,
                                  "section 0, which counts the segments, lies at 0x%lx, outside "
                                  "the file (0x%zx bytes)",
                                  ehdr->e_shoff, image->size);
        memcpy(&shdr, image->map + ehdr->e_shoff, sizeof(shdr));
        *n = shdr.sh_info;
    }
    if (ehdr->e_phoff > image->size || *n > (image->size - ehdr->e_phoff) / sizeof(Elf64_Phdr))
        return xvmi_error_set(err, XVMI_ERR_FORMAT,
                              "%zu program headers at 0x%lx do not fit into the file (0x%zx bytes)",
                              *n, ehdr->e_phoff, image->size);
    return XVMI_OK;
}

static enum xvmi_status read_segment(struct xm_image *image, size_t i, const Elf64_Phdr *phdr,
                                     struct xvmi_error *err)
{
    if (phdr->p_filesz == 0)
        return XVMI_OK;
    if (phdr->p_type == PT_LOAD)
        return xm_image_add(image, "segment", i, phdr->p_paddr, phdr->p_offset, phdr->p_filesz,
                            err);
    if (phdr->p_type == PT_NOTE) {
        if (phdr->p_offset > image->size || phdr->p_filesz > image->size - phdr->p_offset)
            return xvmi_error_set(err, XVMI_ERR_FORMAT,
                                  "segment %zu (notes) at 0x%lx, 0x%lx bytes, is outside the file "
                                  "(0x%zx bytes)",
                                  i, phdr->p_offset, phdr->p_filesz, image->size);
        enum xvmi_status status =
            xm_notes_read(image, image->map + phdr->p_offset, phdr->p_filesz, err);
        if (status)
            return xvmi_error_frame(err, status, "segment %zu", i);
    }
    return XVMI_OK;
}

enum xvmi_status xm_elfcore_read(struct xm_image *image, struct xvmi_error *err)
{
    Elf64_Ehdr ehdr;
    if (image->size < sizeof(ehdr))
        return xvmi_error_set(err, XVMI_ERR_FORMAT, "%zu bytes are too few for an ELF header",
                              image->size);
    memcpy(&ehdr, image->map, sizeof(ehdr));
    enum xvmi_status status = check_header(&ehdr, err);
    if (status)
        return status;
    size_t n;
    status = count_segments(image, &ehdr, &n, err);
    if (status)
        return status;
    for (size_t i = 0; i < n; i++) {
        Elf64_Phdr phdr;
        memcpy(&phdr, image->map + ehdr.e_phoff + i * sizeof(phdr), sizeof(phdr));
        status = read_segment(image, i, &phdr, err);
        if (status)
            return status;
    }
    return xm_image_sort(image, err);
}
