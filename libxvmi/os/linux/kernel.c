// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "os/linux/kernel.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/vec.h"
#include "os/linux/image.h"
#include "os/linux/vmcoreinfo.h"

#define CR3_ADDR   UINT64_C(0x000ffffffffff000)
#define CR3_PTI    UINT64_C(0x1000) /* PTI: the user's table is the odd one of a pair */
#define CR4_LA57   (UINT64_C(1) << 12)
#define MAX_VCPUS  4096
#define MAX_ROOTS  256 /* page tables tried of all vCPUs together */
#define MAX_LOOKS  3   /* at all vCPUs */
#define LOW_MEMORY UINT64_C(0x100000)
#define PAGE       UINT64_C(4096)

/* What was tried and why it failed: the error when nothing is found. */
struct story {
    char text[700];
    size_t len;
};

static void __attribute__((format(printf, 2, 3))) tell(struct story *story, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(story->text + story->len, sizeof(story->text) - story->len, fmt, args);
    va_end(args);
    if (n > 0)
        story->len += (size_t)n;
    if (story->len >= sizeof(story->text))
        story->len = sizeof(story->text) - 1;
}

static void take_build_id(struct xl_kernel *kernel, const void *id, size_t len)
{
    memcpy(kernel->build_id, id, len);
    kernel->build_id_len = len;
}

/* --- the kernel's own page table --- */

#define HALF 256 /* entries of a top level table, the kernel's, that are alike in all of them */

struct top_half {
    uint64_t v[HALF];
    unsigned per_process; /* the one that is not: of the LDT (LDT_PGD_ENTRY) */
    uint64_t found;       /* where the image has a table like it */
};

static bool read_top_half(struct xm_mem *mem, const struct xx_paging *paging, struct top_half *top)
{
    top->per_process = paging->levels == 5 ? HALF - 112 : HALF - 240;
    top->found = 0;
    return !xm_read(mem, paging->root + HALF * sizeof(uint64_t), top->v, sizeof(top->v), NULL) &&
           top->v[HALF - 1] & 1;
}

/* A process has what the kernel's table has, or, before 5.9, did not need all of it yet. */
static bool is_alike(const struct top_half *top, const uint8_t *page)
{
    const uint64_t same = ~UINT64_C(0x60); /* accessed, dirty */
    for (unsigned i = 0; i < HALF; i++) {
        uint64_t entry;
        memcpy(&entry, page + (HALF + i) * sizeof(entry), sizeof(entry));
        if (top->v[i] & 1 && i != top->per_process && (entry & same) != (top->v[i] & same))
            return false;
    }
    return true;
}

static bool find_alike(void *arg, uint64_t gva, const uint8_t *data, size_t len)
{
    struct top_half *top = arg;
    for (size_t off = 0; off + PAGE <= len && !top->found; off += PAGE)
        if (is_alike(top, data + off))
            top->found = gva + off;
    return !top->found;
}

/* init_top_pgt, before any symbol is known. A process takes its table along when it ends. */
static void adopt_own_table(struct xl_image *image, struct top_half *top, struct xl_kernel *kernel)
{
    if (!xl_image_each(image, XL_PART_DATA, find_alike, top, NULL) && top->found)
        kernel->paging.root = top->found - XL_IMAGE_MAP + image->phys_base;
}

/* The kernel that these page tables map, if they map one. */
static enum xvmi_status examine(struct xm_mem *mem, struct xx_paging paging,
                                struct xl_kernel *kernel, struct xl_identity *identity,
                                struct xvmi_error *err)
{
    struct top_half top;
    if (!read_top_half(mem, &paging, &top))
        return xvmi_error_set(err, XVMI_ERR_NOT_FOUND,
                              "page tables at 0x%lx (%u levels) map no kernel image", paging.root,
                              paging.levels);
    struct xl_image image xb_cleanup(xl_image_close);
    enum xvmi_status status = xl_image_open(&image, mem, &paging, err);
    if (!status)
        status = xl_image_identify(&image, identity, err);
    if (status)
        return status;
    if (!identity->release[0])
        return xvmi_error_set(err, XVMI_ERR_NOT_FOUND,
                              "page tables at 0x%lx (%u levels): no banner in what they map from "
                              "0x%lx on",
                              paging.root, paging.levels, image.text);
    *kernel = (struct xl_kernel){
        .paging = paging,
        .text = image.text,
        .kaslr_offset = image.text - XL_LINKED_TEXT,
        .phys_base = image.phys_base,
    };
    memcpy(kernel->release, identity->release, sizeof(kernel->release));
    if (identity->n == 1)
        take_build_id(kernel, identity->builds[0].id, identity->builds[0].len);
    adopt_own_table(&image, &top, kernel);
    return XVMI_OK;
}

/* Is this VMCOREINFO of that kernel? Then it knows more. */
static bool absorb(struct xl_kernel *kernel, const struct xl_vmcoreinfo *info)
{
    uint64_t linked = kernel->text - info->kernel_offset;
    if (strcmp(kernel->release, info->release) != 0 || kernel->phys_base != info->phys_base ||
        linked < XL_IMAGE_MAP || linked > kernel->text)
        return false;
    kernel->kaslr_offset = info->kernel_offset;
    kernel->kallsyms = info->kallsyms;
    /* The notes in memory are the better witness; without them we take the kernel's word. */
    if (!kernel->build_id_len)
        take_build_id(kernel, info->build_id, info->build_id_len);
    return true;
}

/* VMCOREINFO that came with the memory: of this kernel, or of one that this one replaced. */
static void absorb_note(struct xm_mem *mem, struct xl_kernel *kernel)
{
    char text[XL_VMCOREINFO_SIZE];
    size_t len;
    struct xl_vmcoreinfo info;
    if (!xm_vmcoreinfo(mem, text, sizeof(text), &len, NULL) &&
        !xl_vmcoreinfo_parse(text, len < sizeof(text) ? len : sizeof(text), &info, NULL))
        absorb(kernel, &info);
}

/* Registers */

struct roots {
    struct xx_paging v[MAX_ROOTS];
    size_t n;
};

static void add_root(struct roots *roots, uint64_t root, unsigned levels)
{
    for (size_t i = 0; i < roots->n; i++)
        if (roots->v[i].root == root && roots->v[i].levels == levels)
            return;
    if (roots->n < MAX_ROOTS)
        roots->v[roots->n++] = (struct xx_paging){.root = root, .levels = levels};
}

/* What a vCPU's CR3 can mean: its table, or, in user mode under PTI, the kernel's beside it. */
static void add_roots_of(struct roots *roots, const struct xvmi_vcpu_regs *regs)
{
    bool known = regs->valid & XVMI_REG_CR4;
    for (unsigned levels = 4; levels <= 5; levels++) {
        if (known && levels != (regs->cr4 & CR4_LA57 ? 5u : 4u))
            continue;
        add_root(roots, regs->cr3 & CR3_ADDR, levels);
        add_root(roots, regs->cr3 & CR3_ADDR & ~CR3_PTI, levels);
    }
}

/* One look at the vCPUs. XVMI_ERR_NOT_FOUND: `why`, or no registers are known. */
static enum xvmi_status look_at_vcpus(struct xm_mem *mem, struct xl_kernel *kernel,
                                      struct roots *roots, struct xvmi_error *why)
{
    size_t tried = 0;
    roots->n = 0;
    for (unsigned vcpu = 0; vcpu < MAX_VCPUS; vcpu++) {
        struct xvmi_vcpu_regs regs;
        struct xvmi_error err = XVMI_ERROR_INIT;
        enum xvmi_status status = xm_regs(mem, vcpu, &regs, &err);
        if (status == XVMI_ERR_NOT_FOUND || status == XVMI_ERR_UNSUPPORTED)
            break;
        if (status == XVMI_ERR_GONE) {
            *why = err;
            return status;
        }
        if (status || !(regs.valid & XVMI_REG_CR3) || !(regs.cr3 & CR3_ADDR))
            continue;
        add_roots_of(roots, &regs);
        for (; tried < roots->n; tried++) {
            struct xl_identity identity;
            if (!examine(mem, roots->v[tried], kernel, &identity, why))
                return XVMI_OK;
        }
    }
    return XVMI_ERR_NOT_FOUND;
}

/* A process can end, and take its page tables along, while they are looked at. */
static enum xvmi_status by_registers(struct xm_mem *mem, struct xl_kernel *kernel,
                                     struct story *story)
{
    struct xvmi_error why = XVMI_ERROR_INIT;
    struct roots roots = {.n = 1};
    enum xvmi_status status = XVMI_ERR_NOT_FOUND;
    for (unsigned i = 0; i < MAX_LOOKS && roots.n && status == XVMI_ERR_NOT_FOUND; i++)
        status = look_at_vcpus(mem, kernel, &roots, &why);
    if (!status) {
        kernel->found_by = XL_BY_REGISTERS;
        absorb_note(mem, kernel);
    } else if (status == XVMI_ERR_GONE) {
        tell(story, "%s", why.text);
    } else if (roots.n) {
        tell(story, "vCPU registers: %s", why.text);
    } else {
        tell(story, "no vCPU registers are known");
    }
    return status;
}

/* VMCOREINFO */

static enum xvmi_status verify(struct xm_mem *mem, const struct xl_vmcoreinfo *info,
                               struct xl_kernel *kernel, struct xvmi_error *err)
{
    struct xl_identity identity;
    struct xx_paging paging = {
        .root = info->swapper_pg_dir - XL_IMAGE_MAP + info->phys_base,
        .levels = info->levels,
    };
    enum xvmi_status status = examine(mem, paging, kernel, &identity, err);
    if (!status && !absorb(kernel, info))
        status = xvmi_error_set(
            err, XVMI_ERR_NOT_FOUND,
            "its page tables show %s, phys_base 0x%lx, but it speaks of phys_base 0x%lx",
            kernel->release, kernel->phys_base, info->phys_base);
    if (status)
        return xvmi_error_frame(err, status, "VMCOREINFO of %s", info->release);
    for (size_t i = 0; i < identity.n && identity.n > 1; i++)
        if (identity.builds[i].len == info->build_id_len &&
            memcmp(identity.builds[i].id, info->build_id, info->build_id_len) == 0)
            take_build_id(kernel, info->build_id, info->build_id_len);
    return XVMI_OK;
}

static enum xvmi_status by_note(struct xm_mem *mem, struct xl_kernel *kernel, struct story *story)
{
    struct xvmi_error err = XVMI_ERROR_INIT;
    char text[XL_VMCOREINFO_SIZE];
    size_t len;
    struct xl_vmcoreinfo info;
    enum xvmi_status status = xm_vmcoreinfo(mem, text, sizeof(text), &len, &err);
    if (!status)
        status = xl_vmcoreinfo_parse(text, len < sizeof(text) ? len : sizeof(text), &info, &err);
    if (!status)
        status = verify(mem, &info, kernel, &err);
    if (status)
        tell(story, "%s%s", story->len ? "; " : "", err.text);
    else
        kernel->found_by = XL_BY_NOTE;
    return status;
}

static uint64_t top_entry(struct xm_mem *mem, const struct xl_kernel *kernel)
{
    uint64_t entry;
    return xm_read(mem, kernel->paging.root + 511 * sizeof(entry), &entry, sizeof(entry), NULL)
               ? 0
               : entry & CR3_ADDR;
}

/*
 * Each boot writes a real-mode trampoline below 1 MiB, in the same place every time, whose page
 * table shares its last entry with the kernel's (arch/x86/realmode/init.c): the kernel whose
 * entry is found there booted last.
 */
static bool has_trampoline(struct xm_mem *mem, const struct xl_kernel *kernel)
{
    uint64_t entry = top_entry(mem, kernel), seen;
    for (uint64_t page = 0; entry && page < LOW_MEMORY; page += PAGE)
        if (!xm_read(mem, page + 511 * sizeof(seen), &seen, sizeof(seen), NULL) &&
            (seen & CR3_ADDR) == entry)
            return true;
    return false;
}

struct kernels {
    struct xl_kernel *v;
    size_t n, cap;
};

/* Several verified: the one that booted last, if that can be told. */
static enum xvmi_status choose(struct xm_mem *mem, const struct kernels *kernels,
                               struct xl_kernel *kernel, struct xvmi_error *err)
{
    size_t last = 0, n = 0;
    for (size_t i = 0; i < kernels->n; i++) {
        if (kernels->n > 1 && !has_trampoline(mem, &kernels->v[i]))
            continue;
        last = i;
        n++;
    }
    if (n != 1)
        return xvmi_error_set(err, XVMI_ERR_UNSUPPORTED,
                              "memory holds %zu kernels (%s at 0x%lx, %s at 0x%lx%s) and nothing "
                              "tells which one runs: use an image with vCPU registers",
                              kernels->n, kernels->v[0].release, kernels->v[0].phys_base,
                              kernels->v[1].release, kernels->v[1].phys_base,
                              kernels->n > 2 ? ", ..." : "");
    *kernel = kernels->v[last];
    kernel->found_by = XL_BY_SCAN;
    return XVMI_OK;
}

static bool is_known(const struct kernels *kernels, const struct xl_kernel *kernel)
{
    for (size_t i = 0; i < kernels->n; i++)
        if (kernels->v[i].paging.root == kernel->paging.root)
            return true;
    return false;
}

static enum xvmi_status by_scan(struct xm_mem *mem, struct xl_kernel *kernel, struct story *story,
                                struct xvmi_error *err)
{
    struct xvmi_error why = XVMI_ERROR_INIT;
    xb_auto_free struct xl_vmcoreinfo *info = NULL;
    struct kernels kernels = {0};
    size_t n;
    bool more;
    enum xvmi_status status = xl_vmcoreinfo_scan(mem, &info, &n, &more, err);
    if (status)
        return status;
    xvmi_error_set(&why, XVMI_ERR_NOT_FOUND, "no VMCOREINFO in memory");
    for (size_t i = 0; i < n; i++) {
        struct xl_kernel candidate;
        if (verify(mem, &info[i], &candidate, &why) || is_known(&kernels, &candidate))
            continue;
        if (!xb_vec_push(&kernels, candidate)) {
            free(kernels.v);
            return xvmi_error_set(err, XVMI_ERR_NO_MEMORY, "out of memory");
        }
    }
    if (kernels.n) {
        status = choose(mem, &kernels, kernel, err);
    } else {
        tell(story, "%s%s%s", story->len ? "; " : "", why.text,
             more ? ", nor do 63 others; there are still more" : "");
        status = XVMI_ERR_NOT_FOUND;
    }
    free(kernels.v);
    return status;
}

enum xvmi_status xl_kernel_find_by(struct xm_mem *mem, unsigned ways, struct xl_kernel *kernel,
                                   struct xvmi_error *err)
{
    struct story story = {"", 0};
    enum xvmi_status status = XVMI_ERR_NOT_FOUND;
    *kernel = (struct xl_kernel){0};
    if (ways & XL_BY_REGISTERS)
        status = by_registers(mem, kernel, &story);
    if (status && status != XVMI_ERR_GONE && ways & XL_BY_NOTE)
        status = by_note(mem, kernel, &story);
    if (status && status != XVMI_ERR_GONE && ways & XL_BY_SCAN) {
        status = by_scan(mem, kernel, &story, err);
        if (status && status != XVMI_ERR_NOT_FOUND)
            return xvmi_error_frame(err, status, "finding the kernel");
    }
    if (status == XVMI_ERR_GONE)
        return xvmi_error_set(err, status, "finding the kernel: %s", story.text);
    if (status)
        return xvmi_error_set(err, XVMI_ERR_UNSUPPORTED,
                              "no Linux kernel found in %s (has it booted yet?): %s", xm_name(mem),
                              story.text);
    return XVMI_OK;
}

enum xvmi_status xl_kernel_find(struct xm_mem *mem, struct xl_kernel *kernel,
                                struct xvmi_error *err)
{
    return xl_kernel_find_by(mem, XL_BY_ALL, kernel, err);
}
