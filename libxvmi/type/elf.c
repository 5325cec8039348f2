// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "type/elf.h"

/* A section header may claim any size for its decompressed content. The largest real one,
 * .debug_info of a kernel with everything built in, has some 400 MB. */
#define DECOMPRESSED_MAX (2ULL << 30)

static enum xvmi_status map_file(const char *path, struct xt_elf *elf, struct xvmi_error *err)
{
    xb_auto_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0) {
        int code = errno;
        return xvmi_error_set(err,
                              code == ENOENT || code == ENOTDIR ? XVMI_ERR_NOT_FOUND
                              : code == EACCES                  ? XVMI_ERR_PERMISSION
                                                                : XVMI_ERR_IO,
                              "%s", strerrordesc_np(code));
    }
    if (!S_ISREG(st.st_mode) || st.st_size <= 0)
        return xvmi_error_set(err, XVMI_ERR_FORMAT, "not a regular file, or empty");
    /* libelf changes a section's header in place when it decompresses it. */
    void *map = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    if (map == MAP_FAILED)
        return xvmi_error_set(err, XVMI_ERR_IO, "cannot map: %s", strerrordesc_np(errno));
    elf->map = map;
    elf->size = (size_t)st.st_size;
    return XVMI_OK;
}

static enum xvmi_status begin(void *data, size_t size, struct xt_elf *elf, struct xvmi_error *err)
{
    static const char *const wanted = "an x86-64 vmlinux is wanted";
    if (elf_version(EV_CURRENT) == EV_NONE)
        return xvmi_error_set(err, XVMI_ERR_UNSUPPORTED, "libelf is too old");
    elf->elf = elf_memory(data, size);
    GElf_Ehdr h;
    if (!elf->elf || elf_kind(elf->elf) != ELF_K_ELF || !gelf_getehdr(elf->elf, &h))
        return xvmi_error_set(err, XVMI_ERR_FORMAT, "not an ELF file: %s", wanted);
    if (h.e_ident[EI_CLASS] != ELFCLASS64 || h.e_ident[EI_DATA] != ELFDATA2LSB ||
        h.e_machine != EM_X86_64)
        return xvmi_error_set(err, XVMI_ERR_UNSUPPORTED, "ELF for another machine: %s", wanted);
    if (h.e_type != ET_EXEC && h.e_type != ET_DYN)
        return xvmi_error_set(err, XVMI_ERR_UNSUPPORTED, "not a linked kernel: %s", wanted);
    if (elf_getshdrstrndx(elf->elf, &elf->names) != 0)
        return xvmi_error_set(err, XVMI_ERR_FORMAT, "no section names: stripped or truncated");
    return XVMI_OK;
}

enum xvmi_status xt_elf_open(const char *path, struct xt_elf *elf, struct xvmi_error *err)
{
    *elf = (struct xt_elf){0};
    enum xvmi_status status = map_file(path, elf, err);
    if (!status)
        status = begin(elf->map, elf->size, elf, err);
    if (status)
        xt_elf_close(elf);
    return status;
}

enum xvmi_status xt_elf_open_memory(void *data, size_t size, struct xt_elf *elf,
                                    struct xvmi_error *err)
{
    *elf = (struct xt_elf){0};
    enum xvmi_status status = begin(data, size, elf, err);
    if (status)
        xt_elf_close(elf);
    return status;
}

void xt_elf_close(struct xt_elf *elf)
{
    elf_end(elf->elf);
    if (elf->map)
        munmap(elf->map, elf->size);
    *elf = (struct xt_elf){0};
}

void xt_elf_forget(const struct xt_elf *elf, const uint8_t *p, size_t n)
{
    /* Only the file's own pages: a decompressed section would lose its content. */
    uintptr_t base = (uintptr_t)elf->map, at = (uintptr_t)p;
    if (!elf->map || at < base || at - base > elf->size || n > elf->size - (at - base))
        return;
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE) - 1;
    uintptr_t begin_page = at & ~page, end_page = (at + n) & ~page;
    if (begin_page < end_page)
        madvise((void *)begin_page, end_page - begin_page, MADV_DONTNEED);
}

static Elf_Scn *find_section(struct xt_elf *elf, const char *name, uint32_t type, GElf_Shdr *h)
{
    for (Elf_Scn *s = elf_nextscn(elf->elf, NULL); s; s = elf_nextscn(elf->elf, s)) {
        if (!gelf_getshdr(s, h) || (type != SHT_NULL && h->sh_type != type))
            continue;
        const char *text = name ? elf_strptr(elf->elf, elf->names, h->sh_name) : NULL;
        if (!name || (text && strcmp(text, name) == 0))
            return s;
    }
    return NULL;
}

static enum xvmi_status decompress(Elf_Scn *s, const char *name, struct xvmi_error *err)
{
    GElf_Chdr c;
    if (!gelf_getchdr(s, &c))
        return xvmi_error_set(err, XVMI_ERR_FORMAT, "section %s: bad compression header", name);
    if (c.ch_size > DECOMPRESSED_MAX)
        return xvmi_error_set(err, XVMI_ERR_LIMIT, "section %s claims %llu bytes decompressed",
                              name, (unsigned long long)c.ch_size);
    if (elf_compress(s, 0, 0) < 0)
        return xvmi_error_set(err, XVMI_ERR_FORMAT, "section %s cannot be decompressed: %s", name,
                              elf_errmsg(-1));
    return XVMI_OK;
}

enum xvmi_status xt_elf_section(struct xt_elf *elf, const char *name, struct xt_bytes *bytes,
                                struct xvmi_error *err)
{
    GElf_Shdr h;
    Elf_Scn *s = find_section(elf, name, SHT_NULL, &h);
    if (!s || h.sh_type == SHT_NOBITS || !h.sh_size)
        return XVMI_ERR_NOT_FOUND;
    enum xvmi_status status = h.sh_flags & SHF_COMPRESSED ? decompress(s, name, err) : XVMI_OK;
    if (status)
        return status;
    const Elf_Data *data = elf_rawdata(s, NULL);
    if (!data || !data->d_buf)
        return xvmi_error_set(err, XVMI_ERR_FORMAT,
                              "section %s lies outside of the file: is it "
                              "truncated?",
                              name);
    *bytes = (struct xt_bytes){data->d_buf, data->d_size};
    return XVMI_OK;
}

static void offer(struct xt_elf *elf, struct xt_builder *builder, const struct xt_bytes *strings,
                  const Elf64_Sym *sym)
{
    unsigned int type = ELF64_ST_TYPE(sym->st_info);
    if (sym->st_shndx == SHN_UNDEF || type == STT_SECTION || type == STT_FILE ||
        sym->st_name >= strings->n)
        return;
    const char *name = (const char *)strings->p + sym->st_name;
    xt_builder_add_symbol(builder, name, strlen(name), sym->st_value);
    if (!elf->banner && strcmp(name, "linux_banner") == 0)
        elf->banner = sym->st_value;
}

enum xvmi_status xt_elf_symbols(struct xt_elf *elf, struct xt_builder *builder,
                                struct xvmi_error *err)
{
    GElf_Shdr h;
    Elf_Scn *s = find_section(elf, NULL, SHT_SYMTAB, &h);
    if (!s)
        return XVMI_OK;
    const Elf_Data *table = elf_rawdata(s, NULL);
    Elf_Scn *strings_section = elf_getscn(elf->elf, h.sh_link);
    const Elf_Data *text = strings_section ? elf_rawdata(strings_section, NULL) : NULL;
    if (!table || !table->d_buf || !text || !text->d_buf || !text->d_size ||
        ((const char *)text->d_buf)[text->d_size - 1] != 0)
        return xvmi_error_set(err, XVMI_ERR_FORMAT, "the symbol table is damaged or truncated");
    struct xt_bytes strings = {text->d_buf, text->d_size};
    size_t n = table->d_size / sizeof(Elf64_Sym), first_global = h.sh_info < n ? h.sh_info : 0;
    /* The first of a name counts, and the table has file-local symbols first. */
    for (size_t i = 0; i < n; i++) {
        size_t k = i + first_global < n ? i + first_global : i + first_global - n;
        Elf64_Sym sym;
        memcpy(&sym, (const char *)table->d_buf + k * sizeof(sym), sizeof(sym));
        offer(elf, builder, &strings, &sym);
    }
    return XVMI_OK;
}

static bool build_id_in(const Elf_Data *data, struct xt_builder *builder)
{
    GElf_Nhdr note;
    size_t name, desc;
    const char *p = data->d_buf;
    for (size_t at = 0; (at = gelf_getnote((Elf_Data *)data, at, &note, &name, &desc)) > 0;) {
        if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 &&
            memcmp(p + name, "GNU", 4) == 0) {
            xt_builder_set_identity(builder, p + desc, note.n_descsz, NULL);
            return true;
        }
    }
    return false;
}

/* `linux_banner` begins with "Linux version RELEASE (" (init/version.c). */
static void release_from_banner(struct xt_elf *elf, struct xt_builder *builder)
{
    static const char lead[] = "Linux version ";
    GElf_Shdr h;
    for (Elf_Scn *s = elf_nextscn(elf->elf, NULL); s; s = elf_nextscn(elf->elf, s)) {
        if (!gelf_getshdr(s, &h) || !(h.sh_flags & SHF_ALLOC) || h.sh_type != SHT_PROGBITS ||
            elf->banner < h.sh_addr || elf->banner - h.sh_addr >= h.sh_size)
            continue;
        const Elf_Data *data = elf_rawdata(s, NULL);
        size_t at = elf->banner - h.sh_addr;
        if (!data || !data->d_buf || at > data->d_size || data->d_size - at < sizeof(lead) - 1 ||
            memcmp((const char *)data->d_buf + at, lead, sizeof(lead) - 1) != 0)
            return;
        at += sizeof(lead) - 1;
        char release[XVMI_RELEASE_MAX + 1];
        size_t len = 0;
        const char *p = (const char *)data->d_buf + at;
        while (len < XVMI_RELEASE_MAX && len < data->d_size - at && p[len] > ' ') {
            release[len] = p[len];
            len++;
        }
        release[len] = 0;
        xt_builder_set_identity(builder, NULL, 0, release);
        return;
    }
}

void xt_elf_identity(struct xt_elf *elf, struct xt_builder *builder)
{
    GElf_Shdr h;
    for (Elf_Scn *s = elf_nextscn(elf->elf, NULL); s; s = elf_nextscn(elf->elf, s)) {
        if (!gelf_getshdr(s, &h) || h.sh_type != SHT_NOTE)
            continue;
        const Elf_Data *data = elf_getdata(s, NULL);
        if (data && data->d_buf && build_id_in(data, builder))
            break;
    }
    if (elf->banner)
        release_from_banner(elf, builder);
}
