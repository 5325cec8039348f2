// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "support/kernel-writer.h"

#include <elf.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/btf-writer.h"

/* Offsets in the image. */
#define CODE_END  0x0fe000 /* then two pages that were given back */
#define FREE_PAGE 0x0fe000
#define RODATA    0x100000
#define BANNER    0x100100
#define NOTES     0x100400
#define VDSO      0x101000
#define KALLSYMS  0x103010
#define BTF       0x180000
#define DATA      0x200000
#define TABLES    0x200000 /* page tables: the root and its user half, then one a level */
#define INIT_TASK 0x210000
#define INIT_NET  0x220000
#define NET_LIST  0x230000
#define PAGE_BASE 0x230100
#define END       0x400000

/* struct task_struct and struct net of toy kernels. */
#define TASK_TASKS 0x40
#define TASK_COMM  0x80
#define NET_NSLIST 0x20

#define LINKED  UINT64_C(0xffffffff81000000)
#define MAP     UINT64_C(0xffffffff80000000)
#define PRESENT 1u
#define WRITE   2u
#define LARGE   0x80u
#define NX      (UINT64_C(1) << 63)
#define TABLE   (PRESENT | WRITE | 0x60u)
#define FILLERS 1200

const struct xt_want kernel_wants[] = {
    {XT_MEMBER, false, "task_struct", "comm"},
    {XT_MEMBER, false, "task_struct", "tasks"},
    {XT_MEMBER, false, "net", "list"},
    {XT_SYMBOL, false, "", "_text"},
    {XT_SYMBOL, false, "", "linux_banner"},
    {XT_SYMBOL, false, "", "init_task"},
    {XT_SYMBOL, false, "", "init_top_pgt"},
    {XT_SYMBOL, false, "", "init_net"},
    {XT_SYMBOL, false, "", "net_namespace_list"},
    {XT_SYMBOL, true, "", "page_offset_base"},
};
const size_t kernel_wants_n = sizeof(kernel_wants) / sizeof(kernel_wants[0]);

/* Memory */

void kernel_ram_init(struct kernel_ram *ram)
{
    memset(ram, 0, sizeof(*ram));
    ram->ram = calloc(1, KERNEL_RAM_SIZE);
    if (!ram->ram)
        abort();
}

void kernel_ram_fini(struct kernel_ram *ram)
{
    free(ram->ram);
}

static enum xvmi_status ranges(void *ctx, const struct xvmi_mem_range **v, size_t *n,
                               struct xvmi_error *err)
{
    struct kernel_ram *ram = ctx;
    (void)err;
    *v = &ram->range;
    *n = 1;
    return XVMI_OK;
}

static enum xvmi_status read_ram(void *ctx, uint64_t gpa, void *dst, size_t len,
                                 struct xvmi_error *err)
{
    struct kernel_ram *ram = ctx;
    if (gpa > KERNEL_RAM_SIZE || len > KERNEL_RAM_SIZE - gpa)
        return xvmi_error_set(err, XVMI_ERR_NOT_PRESENT, "no RAM at 0x%lx", gpa);
    memcpy(dst, ram->ram + gpa, len);
    return XVMI_OK;
}

static enum xvmi_status regs(void *ctx, unsigned vcpu, struct xvmi_vcpu_regs *out,
                             struct xvmi_error *err)
{
    struct kernel_ram *ram = ctx;
    if (vcpu >= ram->vcpus)
        return xvmi_error_set(err, XVMI_ERR_NOT_FOUND, "no vCPU %u", vcpu);
    *out = ram->regs[vcpu];
    return XVMI_OK;
}

static enum xvmi_status vmcoreinfo(void *ctx, void *dst, size_t size, size_t *len,
                                   struct xvmi_error *err)
{
    struct kernel_ram *ram = ctx;
    if (!ram->note)
        return xvmi_error_set(err, XVMI_ERR_NOT_FOUND, "no note");
    *len = strlen(ram->note);
    memcpy(dst, ram->note, *len < size ? *len : size);
    return XVMI_OK;
}

struct xm_mem *kernel_ram_open(struct kernel_ram *ram, bool mapped)
{
    static const struct xvmi_mem_ops ops = {.size = sizeof(ops),
                                            .ranges = ranges,
                                            .read = read_ram,
                                            .regs = regs,
                                            .vmcoreinfo = vmcoreinfo};
    struct xvmi_mem_backend backend = {sizeof(backend), &ops, ram, ram->vcpus, false};
    struct xvmi_error err = XVMI_ERROR_INIT;
    struct xm_mem *mem;
    ram->range = (struct xvmi_mem_range){0, KERNEL_RAM_SIZE, mapped ? ram->ram : NULL};
    if (xm_new(&backend, "toy", &mem, &err)) {
        fprintf(stderr, "%s\n", err.text);
        abort();
    }
    return mem;
}

/* Kernels */

static uint8_t *image(struct kernel_ram *ram, const struct kernel_writer *k, uint64_t off)
{
    return ram->ram + k->phys + off;
}

void *kernel_at(struct kernel_ram *ram, const struct kernel_writer *k, uint64_t gva)
{
    return image(ram, k, gva - k->text);
}

static void set(struct kernel_ram *ram, uint64_t gpa, uint64_t value)
{
    memcpy(ram->ram + gpa, &value, sizeof(value));
}

static void map_page(struct kernel_ram *ram, const struct kernel_writer *k, uint64_t table,
                     uint64_t off)
{
    uint64_t flags = PRESENT | WRITE; /* all of it before the kernel has booted */
    if (k->booted && off < CODE_END)
        flags = PRESENT;
    else if (k->booted)
        flags = off < RODATA ? NX | PRESENT | WRITE : NX | PRESENT;
    set(ram, table + off / 4096 * 8, (k->phys + off) | flags);
}

/* The root, the user's root beside it, then a table a level down to that of 4 KiB pages. */
static void write_page_tables(struct kernel_ram *ram, struct kernel_writer *k)
{
    uint64_t at = k->phys + TABLES;
    k->root = at;
    k->user_root = at + 0x1000;
    uint64_t next = at + 0x2000;
    set(ram, k->root + 511 * 8, next | TABLE);
    set(ram, k->user_root + 273 * 8, 0x3000 | TABLE);
    if (k->levels == 5) {
        set(ram, next + 511 * 8, (next + 0x1000) | TABLE);
        next += 0x1000;
    }
    set(ram, next + 510 * 8, (next + 0x1000) | TABLE);
    next += 0x1000;
    uint64_t slot = (k->text - MAP) >> 21;
    set(ram, next + slot * 8, (next + 0x1000) | TABLE);
    set(ram, next + (slot + 1) * 8, (k->phys + DATA) | NX | LARGE | TABLE);
    for (uint64_t off = 0; off < DATA; off += 4096)
        map_page(ram, k, next + 0x1000, off);
}

static size_t write_note(uint8_t *to, const char *name, uint32_t type, const void *desc,
                         uint32_t len)
{
    Elf64_Nhdr nhdr = {(uint32_t)strlen(name) + 1, len, type};
    size_t room = (nhdr.n_namesz + 3) & ~3u;
    memcpy(to, &nhdr, sizeof(nhdr));
    memcpy(to + sizeof(nhdr), name, nhdr.n_namesz);
    memcpy(to + sizeof(nhdr) + room, desc, len);
    return sizeof(nhdr) + room + ((len + 3) & ~3u);
}

static void write_rodata(struct kernel_ram *ram, struct kernel_writer *k)
{
    static const uint8_t vdso_id[20] = {0xbd, 0x50};
    sprintf((char *)image(ram, k, BANNER), "Linux version %s (toy@toy) #1 SMP", k->release);
    uint8_t *notes = image(ram, k, NOTES);
    notes += write_note(notes, "Xen", 6, "generic", 7);
    notes += write_note(notes, "GNU", NT_GNU_BUILD_ID, k->build_id, sizeof(k->build_id));
    memcpy(image(ram, k, VDSO), ELFMAG, SELFMAG);
    write_note(image(ram, k, VDSO) + 0x540, "GNU", NT_GNU_BUILD_ID, vdso_id, sizeof(vdso_id));
}

static size_t write_btf(struct kernel_ram *ram, struct kernel_writer *k)
{
    static struct btf_writer w;
    btf_writer_init(&w);
    uint32_t character = btf_writer_int(&w, "char", 1, 8);
    uint32_t comm = btf_writer_array(&w, character, 16);
    uint32_t list = btf_writer_struct(&w, "list_head", 16);
    btf_writer_member(&w, "next", character, 0);
    btf_writer_struct(&w, "task_struct", 0x100);
    btf_writer_member(&w, "tasks", list, TASK_TASKS * 8);
    btf_writer_member(&w, "comm", comm, TASK_COMM * 8);
    btf_writer_struct(&w, "net", 0x80);
    btf_writer_member(&w, "list", list, NET_NSLIST * 8);
    size_t size;
    void *blob = btf_writer_finish(&w, &size);
    memcpy(image(ram, k, BTF), blob, size);
    free(blob);
    return size;
}

static void write_list(struct kernel_ram *ram, const struct kernel_writer *k, uint64_t a,
                       uint64_t b)
{
    uint64_t links[2][2] = {{b, b}, {a, a}};
    memcpy(kernel_at(ram, k, a), links[0], 16);
    memcpy(kernel_at(ram, k, b), links[1], 16);
}

static void write_data(struct kernel_ram *ram, struct kernel_writer *k)
{
    k->init_task = k->text + INIT_TASK;
    k->init_net = k->text + INIT_NET;
    k->net_namespace_list = k->text + NET_LIST;
    k->page_offset_base = k->text + PAGE_BASE;
    strcpy((char *)kernel_at(ram, k, k->init_task + TASK_COMM), "swapper/0");
    write_list(ram, k, k->init_task + TASK_TASKS, k->init_task + 0x1000 + TASK_TASKS);
    write_list(ram, k, k->net_namespace_list, k->init_net + NET_NSLIST);
    uint64_t base = 0xffff9abc40000000;
    memcpy(kernel_at(ram, k, k->page_offset_base), &base, sizeof(base));
}

static void write_kallsyms(struct kernel_ram *ram, struct kernel_writer *k, size_t btf_size)
{
    static struct kallsyms_writer w;
    kallsyms_writer_init(&w, k->form);
    if (k->form->addresses == KALLSYMS_PERCPU)
        kallsyms_writer_add(&w, 'A', "fixed_percpu_data", 0);
    kallsyms_writer_add(&w, 'T', "_text", k->text);
    kallsyms_writer_add(&w, 'T', "_stext", k->text);
    kallsyms_writer_fill(&w, FILLERS, k->text + 0x40);
    kallsyms_writer_add(&w, 'D', "linux_banner", k->banner);
    kallsyms_writer_add(&w, 'R', "__start_notes", k->notes);
    kallsyms_writer_add(&w, 'R', "__stop_notes", k->notes + 64);
    kallsyms_writer_add(&w, 'R', "__start_BTF", k->text + BTF);
    kallsyms_writer_add(&w, 'R', "__stop_BTF", k->text + BTF + btf_size);
    kallsyms_writer_add(&w, 'D', "init_top_pgt", k->text + TABLES);
    kallsyms_writer_add(&w, 'D', "init_task", k->init_task);
    kallsyms_writer_add(&w, 'D', "init_net", k->init_net);
    kallsyms_writer_add(&w, 'D', "net_namespace_list", k->net_namespace_list);
    kallsyms_writer_add(&w, 'D', "page_offset_base", k->page_offset_base);
    kallsyms_writer_finish(&w, image(ram, k, KALLSYMS), BTF - KALLSYMS, k->text + KALLSYMS, k->text,
                           &k->tables);
}

static void write_vmcoreinfo(struct kernel_ram *ram, struct kernel_writer *k)
{
    int n = snprintf(k->info, sizeof(k->info), "OSRELEASE=%s\nBUILD-ID=", k->release);
    for (size_t i = 0; i < sizeof(k->build_id); i++)
        n += sprintf(k->info + n, "%02x", k->build_id[i]);
    n += sprintf(k->info + n,
                 "\nPAGESIZE=4096\nSYMBOL(init_uts_ns)=%" PRIx64 "\nOFFSET(uts_namespace.name)=0\n"
                 "SYMBOL(_stext)=%" PRIx64 "\nSYMBOL(swapper_pg_dir)=%" PRIx64
                 "\nNUMBER(phys_base)=%" PRId64 "\nNUMBER(pgtable_l5_enabled)=%d\n"
                 "KERNELOFFSET=%" PRIx64 "\n",
                 k->text + DATA + 0x8000, k->text, k->text + TABLES, (int64_t)k->phys_base,
                 k->levels == 5, k->slide);
    if (k->vmcoreinfo_has_kallsyms)
        sprintf(k->info + n,
                "SYMBOL(kallsyms_names)=%" PRIx64 "\nSYMBOL(kallsyms_num_syms)=%" PRIx64
                "\nSYMBOL(kallsyms_token_table)=%" PRIx64 "\nSYMBOL(kallsyms_token_index)=%" PRIx64
                "\nSYMBOL(kallsyms_offsets)=%" PRIx64 "\nSYMBOL(kallsyms_relative_base)=%" PRIx64
                "\n",
                k->tables.names, k->tables.num_syms, k->tables.token_table, k->tables.token_index,
                k->tables.offsets, k->tables.relative_base);
    if (k->vmcoreinfo)
        memcpy(ram->ram + k->vmcoreinfo, k->info, sizeof(k->info));
}

void kernel_write(struct kernel_ram *ram, struct kernel_writer *k)
{
    if (k->phys % DATA || k->phys > KERNEL_RAM_SIZE - END)
        abort();
    memset(image(ram, k, 0), 0, END);
    k->text = LINKED + k->slide;
    k->phys_base = k->phys - (k->text - MAP);
    k->banner = k->text + BANNER;
    k->notes = k->text + NOTES;
    k->free_page = k->text + FREE_PAGE;
    write_page_tables(ram, k);
    write_rodata(ram, k);
    write_data(ram, k);
    write_kallsyms(ram, k, write_btf(ram, k));
    write_vmcoreinfo(ram, k);
    if (k->trampoline) {
        memset(ram->ram + k->trampoline, 0, 4096);
        memcpy(ram->ram + k->trampoline + 511 * 8, ram->ram + k->root + 511 * 8, 8);
    }
}
