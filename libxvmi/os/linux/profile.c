// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "os/linux/image.h"
#include "os/linux/kernel.h"
#include "os/linux/vmlinux.h"
#include "type/builder.h"
#include "type/profile.h"

#define MAX_BTF UINT64_C(0x4000000) /* 64 MiB; the largest kernels have a tenth of it */

static uint64_t linked(const struct xl_kernel *kernel, uint64_t addr)
{
    return addr >= XL_IMAGE_MAP ? addr - kernel->kaslr_offset : addr; /* else per-CPU */
}

/* From the guest alone */

/* Bounds of sections: run-time addresses. */
struct bounds {
    uint64_t btf_start, btf_end, notes_start, notes_end;
};

struct symbols {
    const struct xl_kernel *kernel;
    struct xt_builder *builder; /* NULL: only the bounds are wanted */
    struct bounds bounds;
};

static bool is(const char *name, size_t len, const char *wanted)
{
    return len == strlen(wanted) && memcmp(name, wanted, len) == 0;
}

static bool take_symbol(void *arg, const char *name, size_t len, char type, uint64_t addr)
{
    struct symbols *symbols = arg;
    struct bounds *bounds = &symbols->bounds;
    (void)type;
    if (symbols->builder)
        xt_builder_add_symbol(symbols->builder, name, len, linked(symbols->kernel, addr));
    if (len < 10 || name[0] != '_' || name[1] != '_')
        return true;
    if (is(name, len, "__start_BTF"))
        bounds->btf_start = addr;
    else if (is(name, len, "__stop_BTF"))
        bounds->btf_end = addr;
    else if (is(name, len, "__start_notes"))
        bounds->notes_start = addr;
    else if (is(name, len, "__stop_notes"))
        bounds->notes_end = addr;
    return true;
}

static enum xvmi_status read_symbols(const struct xl_kernel *kernel, const struct xl_image *image,
                                     struct xt_builder *builder, struct bounds *bounds,
                                     struct xvmi_error *err)
{
    struct xl_kallsyms *kallsyms;
    struct symbols symbols = {.kernel = kernel, .builder = builder};
    enum xvmi_status status = xl_kallsyms_open(image, &kernel->kallsyms, &kallsyms, err);
    if (status)
        return status;
    xl_kallsyms_each(kallsyms, take_symbol, &symbols);
    xl_kallsyms_close(kallsyms);
    *bounds = symbols.bounds;
    return XVMI_OK;
}

/* A copy: what is checked must be what is used. */
static enum xvmi_status add_btf(const struct xl_image *image, const struct bounds *bounds,
                                struct xt_builder *builder, struct xvmi_error *err)
{
    uint64_t size = bounds->btf_end - bounds->btf_start;
    if (!bounds->btf_start || bounds->btf_end <= bounds->btf_start)
        return xvmi_error_set(err, XVMI_ERR_NOT_FOUND,
                              "the kernel carries no BTF (CONFIG_DEBUG_INFO_BTF is off): name a "
                              "vmlinux with debug information");
    if (size > MAX_BTF)
        return xvmi_error_set(err, XVMI_ERR_LIMIT, "BTF of 0x%lx bytes", size);
    xb_auto_free void *data = malloc(size);
    if (!data)
        return xvmi_error_set(err, XVMI_ERR_NO_MEMORY, "out of memory for BTF");
    enum xvmi_status status = xl_image_read(image, bounds->btf_start, data, size);
    if (status)
        return xvmi_error_set(err, status, "BTF at 0x%lx, 0x%lx bytes, cannot be read",
                              bounds->btf_start, size);
    return xt_builder_add_btf(builder, data, size, err);
}

static void take_build_id(struct xl_kernel *kernel, const struct xl_image *image,
                          const struct bounds *bounds)
{
    uint8_t id[XVMI_BUILD_ID_MAX];
    size_t len = xl_image_build_id(image, bounds->notes_start, bounds->notes_end, id);
    if (len) {
        memcpy(kernel->build_id, id, len);
        kernel->build_id_len = len;
    }
}

static enum xvmi_status build_from_guest(struct xl_kernel *kernel, const struct xl_image *image,
                                         struct xt_builder *builder, struct xvmi_profile **profile,
                                         struct xvmi_error *err)
{
    struct bounds bounds;
    enum xvmi_status status = read_symbols(kernel, image, builder, &bounds, err);
    if (!status)
        status = add_btf(image, &bounds, builder, err);
    if (status)
        return status;
    take_build_id(kernel, image, &bounds);
    xt_builder_set_identity(builder, kernel->build_id, kernel->build_id_len, kernel->release);
    return xt_builder_finish(builder, profile, err);
}

static enum xvmi_status make_from_guest(struct xl_kernel *kernel, struct xm_mem *mem,
                                        const struct xt_want *wants, size_t nwants,
                                        struct xvmi_profile **profile, struct xvmi_error *err)
{
    struct xl_image image;
    struct xt_builder *builder = NULL;
    enum xvmi_status status = xl_image_open(&image, mem, &kernel->paging, err);
    if (status)
        return status;
    status = xt_builder_new(wants, nwants, &builder, err);
    if (!status)
        status = build_from_guest(kernel, &image, builder, profile, err);
    xt_builder_free(builder);
    xl_image_close(&image);
    return status;
}

/* The build-id by kallsyms, where looking for notes did not settle it. */
static void find_build_id(struct xl_kernel *kernel, struct xm_mem *mem)
{
    struct xl_image image;
    struct bounds bounds;
    if (kernel->build_id_len || xl_image_open(&image, mem, &kernel->paging, NULL))
        return;
    if (!read_symbols(kernel, &image, NULL, &bounds, NULL))
        take_build_id(kernel, &image, &bounds);
    xl_image_close(&image);
}

/* Does it fit? */

static bool same_top_entry(struct xm_mem *mem, uint64_t a, uint64_t b)
{
    uint64_t x, y, addr = UINT64_C(0x000ffffffffff000);
    return !xm_read(mem, a + 511 * sizeof(x), &x, sizeof(x), NULL) &&
           !xm_read(mem, b + 511 * sizeof(y), &y, sizeof(y), NULL) && (x & addr) == (y & addr);
}

/* From the page tables of the process that happened to run to the kernel's own. */
static enum xvmi_status adopt_page_tables(struct xl_kernel *kernel, struct xo_space *space,
                                          const struct xvmi_profile *profile,
                                          struct xvmi_error *err)
{
    uint64_t table = xl_symbol(kernel, profile, "init_top_pgt");
    if (!table)
        table = xl_symbol(kernel, profile, "swapper_pg_dir");
    uint64_t root = table - XL_IMAGE_MAP + kernel->phys_base;
    if (!table || root == kernel->paging.root)
        return XVMI_OK;
    if (!same_top_entry(space->mem, root, kernel->paging.root))
        return xvmi_error_set(err, XVMI_ERR_MISMATCH,
                              "init_top_pgt at 0x%lx: expected the page tables in use (0x%lx), saw "
                              "others",
                              table, kernel->paging.root);
    kernel->paging.root = root;
    space->paging = kernel->paging;
    xo_invalidate(space);
    return XVMI_OK;
}

/* A variable when CONFIG_DYNAMIC_MEMORY_LAYOUT is set, which KASLR of the direct map needs; else a
 * constant (arch/x86/include/asm/page_64_types.h, since 4.20). */
static void find_direct_map(struct xl_kernel *kernel, struct xo_space *space,
                            const struct xvmi_profile *profile)
{
    uint64_t var = xl_symbol(kernel, profile, "page_offset_base"), base;
    if (!var)
        kernel->page_offset = kernel->paging.levels == 5 ? UINT64_C(0xff11000000000000)
                                                         : UINT64_C(0xffff888000000000);
    else if (!xo_read_u64(space, var, &base) && base >> 56 == 0xff && base % 4096 == 0)
        kernel->page_offset = base;
}

static enum xvmi_status check_build_id(const struct xl_kernel *kernel,
                                       const struct xvmi_profile *profile, struct xvmi_error *err)
{
    size_t len;
    const uint8_t *id = xvmi_profile_build_id(profile, &len);
    if (!len || !kernel->build_id_len ||
        (len == kernel->build_id_len && memcmp(id, kernel->build_id, len) == 0))
        return XVMI_OK;
    return xvmi_error_set(err, XVMI_ERR_MISMATCH,
                          "build-id: the guest's kernel is %02x%02x%02x%02x..., the profile is of "
                          "%02x%02x%02x%02x...",
                          kernel->build_id[0], kernel->build_id[1], kernel->build_id[2],
                          kernel->build_id[3], id[0], id[1], id[2], id[3]);
}

/* Proves the profile and takes over what it tells. `kernel` is as it was when it does not fit. */
static enum xvmi_status fit(struct xl_kernel *kernel, struct xo_space *space,
                            const struct xvmi_profile *profile, const struct xt_want *wants,
                            size_t nwants, struct xvmi_error *err)
{
    struct xl_kernel fitted = *kernel;
    uint64_t text;
    enum xvmi_status status = xt_profile_covers(profile, wants, nwants, err);
    if (!status)
        status = check_build_id(kernel, profile, err);
    if (status)
        return status;
    if (!xvmi_profile_symbol(profile, "_text", &text))
        fitted.kaslr_offset = kernel->text - text;
    status = xl_prove(&fitted, space, profile, err);
    if (!status)
        status = adopt_page_tables(&fitted, space, profile, err);
    if (status)
        return status;
    find_direct_map(&fitted, space, profile);
    *kernel = fitted;
    return XVMI_OK;
}

enum xvmi_status xl_profile_from_guest(struct xl_kernel *kernel, struct xo_space *space,
                                       const struct xt_want *wants, size_t nwants,
                                       struct xvmi_profile **profile, struct xvmi_error *err)
{
    struct xvmi_profile *made;
    enum xvmi_status status = make_from_guest(kernel, space->mem, wants, nwants, &made, err);
    if (status)
        return xvmi_error_frame(err, status, "the guest's own BTF and kallsyms");
    status = fit(kernel, space, made, wants, nwants, err);
    if (status) {
        xvmi_profile_unref(made);
        return xvmi_error_frame(err, status, "the guest's own BTF and kallsyms");
    }
    *profile = made;
    return XVMI_OK;
}

/* From files */

static enum xvmi_status from_vmlinux(struct xl_kernel *kernel, const char *path,
                                     const struct xt_want *wants, size_t nwants,
                                     struct xvmi_profile **profile, struct xvmi_error *err)
{
    struct xt_builder *builder;
    enum xvmi_status status = xt_builder_new(wants, nwants, &builder, err);
    if (status)
        return status;
    status = xt_builder_add_vmlinux(builder, path, XVMI_SOURCE_NONE, err);
    if (!status)
        xt_builder_set_identity(builder, NULL, 0, kernel->release);
    if (!status)
        status = xt_builder_finish(builder, profile, err);
    xt_builder_free(builder);
    return status;
}

/* *made: it is new to the cache. */
static enum xvmi_status from_file(struct xl_kernel *kernel, struct xo_space *space,
                                  const char *path, const struct xt_want *wants, size_t nwants,
                                  struct xvmi_profile **profile, bool *made, struct xvmi_error *err)
{
    struct xvmi_profile *loaded;
    *made = xl_is_elf(path);
    enum xvmi_status status = *made ? from_vmlinux(kernel, path, wants, nwants, &loaded, err)
                                    : xvmi_profile_load(path, &loaded, err);
    if (status)
        return status;
    status = fit(kernel, space, loaded, wants, nwants, err);
    if (status) {
        xvmi_profile_unref(loaded);
        return xvmi_error_frame(err, status, "%s", path);
    }
    *profile = loaded;
    return XVMI_OK;
}

/* `guest` NULL: what a vmlinux said of this build; else what this guest said of itself. */
static enum xvmi_status from_cache(struct xl_kernel *kernel, struct xo_space *space,
                                   const char *guest, const struct xt_want *wants, size_t nwants,
                                   struct xvmi_profile **profile)
{
    struct xvmi_profile *loaded;
    enum xvmi_status status =
        xvmi_profile_cache_load(guest, kernel->build_id, kernel->build_id_len, &loaded, NULL);
    if (status)
        return status;
    status = fit(kernel, space, loaded, wants, nwants, NULL);
    if (status)
        xvmi_profile_unref(loaded);
    else
        *profile = loaded;
    return status;
}

/* A vmlinux in the usual folders, else the guest itself. */
static enum xvmi_status make(struct xl_kernel *kernel, struct xo_space *space, bool no_vmlinux,
                             const struct xt_want *wants, size_t nwants,
                             struct xvmi_profile **profile, bool *by_guest, struct xvmi_error *err)
{
    char path[XL_VMLINUX_PATH_MAX];
    struct xvmi_error why = XVMI_ERROR_INIT;
    bool made, tried = !no_vmlinux && xl_vmlinux_find(kernel, path);
    if (tried && !from_file(kernel, space, path, wants, nwants, profile, &made, &why))
        return XVMI_OK;
    *by_guest = true;
    enum xvmi_status status = xl_profile_from_guest(kernel, space, wants, nwants, profile, err);
    if (status && tried)
        return xvmi_error_frame(err, status, "%s", why.text);
    return status;
}

enum xvmi_status xl_profile_get(struct xl_kernel *kernel, struct xo_space *space,
                                const struct xl_profile_options *options,
                                const struct xt_want *wants, size_t nwants,
                                struct xvmi_profile **profile, bool *from_the_cache,
                                struct xvmi_error *err)
{
    static const struct xl_profile_options defaults;
    const struct xl_profile_options *how = options ? options : &defaults;
    bool made = true, by_guest = false;
    enum xvmi_status status;
    *profile = NULL;
    *from_the_cache = false;
    find_build_id(kernel, space->mem);
    if (how->path) {
        status = from_file(kernel, space, how->path, wants, nwants, profile, &made, err);
    } else {
        if (!how->no_cache && kernel->build_id_len &&
            (!from_cache(kernel, space, NULL, wants, nwants, profile) ||
             !from_cache(kernel, space, xm_name(space->mem), wants, nwants, profile))) {
            *from_the_cache = true;
            return XVMI_OK;
        }
        status = make(kernel, space, how->no_vmlinux, wants, nwants, profile, &by_guest, err);
    }
    if (status)
        return status;
    if (made && !how->no_cache)
        (void)!xvmi_profile_cache_store(by_guest ? xm_name(space->mem) : NULL, *profile, NULL);
    return XVMI_OK;
}
