// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* The handle: joins memory, profile and what os/linux knows, and keeps the last error. */
#include <xvmi/vm.h>

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <xvmi/owner.h>
#include <xvmi/socket.h>
#include <xvmi/task.h>

#include "os/linux/guest.h"
#include "os/linux/kernel.h"
#include "os/linux/owner.h"
#include "os/linux/socket.h"
#include "os/linux/task.h"

struct xvmi_vm {
    struct xm_mem *mem;
    struct xo_space space;
    struct xl_kernel kernel;
    struct xvmi_profile *profile;
    bool profile_cached;
    struct xl_guest guest;
    uint64_t attach_ns;
    bool changed; /* refresh() found that what was attached to is gone */
    struct xvmi_error err;
};

static uint64_t now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* --- opening and closing --- */

/* Options as this library was built, whatever the caller was. */
static struct xvmi_vm_options all_options(const struct xvmi_vm_options *options)
{
    struct xvmi_vm_options all = {0};
    if (options)
        memcpy(&all, options, options->size < sizeof(all) ? options->size : sizeof(all));
    return all;
}

static enum xvmi_status attach(struct xvmi_vm *vm, const struct xvmi_vm_options *options,
                               struct xvmi_error *err)
{
    size_t n;
    const struct xt_want *wants = xl_wants(&n);
    const struct xvmi_vm_options all = all_options(options);
    const struct xl_profile_options how = {.path = all.profile, .no_cache = all.no_cache};
    struct xvmi_error ignored;
    enum xvmi_status status = xl_kernel_find(vm->mem, &vm->kernel, err);
    if (!status)
        status = xo_init(&vm->space, vm->mem, vm->kernel.paging, true, err);
    if (!status)
        status = xl_profile_get(&vm->kernel, &vm->space, &how, wants, n, &vm->profile,
                                &vm->profile_cached, err);
    if (!status)
        status = xl_layout_fill(vm->profile, vm->kernel.kaslr_offset, &vm->guest.lay,
                                &vm->guest.sym, err);
    if (status)
        return status;
    /* A shortcut, no more: without it the tables are walked. */
    if (vm->kernel.page_offset)
        (void)!xo_use_direct_map(&vm->space, vm->kernel.page_offset, &ignored);
    vm->guest.space = &vm->space;
    vm->guest.err = &vm->err;
    return XVMI_OK;
}

static void detach(struct xvmi_vm *vm)
{
    xvmi_profile_unref(vm->profile);
    xo_fini(&vm->space);
}

/* Whether there may be a kernel later, where attaching to one ended so. */
static bool may_boot(enum xvmi_status status)
{
    switch (status) {
    case XVMI_ERR_UNSUPPORTED:
    case XVMI_ERR_NOT_PRESENT:
    case XVMI_ERR_CHANGED:
    case XVMI_ERR_MISMATCH:
    case XVMI_ERR_FORMAT:
    case XVMI_ERR_LIMIT:
        return true;
    default:
        return false;
    }
}

/* As it is when no kernel was found: without a profile. */
static enum xvmi_status be_unbooted(struct xvmi_vm *vm, const struct xvmi_error *why)
{
    detach(vm);
    *vm = (struct xvmi_vm){.mem = vm->mem, .changed = true, .err = *why};
    return XVMI_OK;
}

/* Takes `mem` over. */
static enum xvmi_status open_mem(struct xm_mem *mem, uint64_t began,
                                 const struct xvmi_vm_options *options, struct xvmi_vm **out,
                                 struct xvmi_error *err)
{
    struct xvmi_vm *vm = calloc(1, sizeof(*vm));
    if (!vm) {
        xm_close(mem);
        return xvmi_error_set(err, XVMI_ERR_NO_MEMORY, "out of memory");
    }
    vm->mem = mem;
    enum xvmi_status status = attach(vm, options, err);
    if (status) {
        xvmi_error_frame(err, status, "%s", xm_name(mem));
        if (all_options(options).unbooted && may_boot(status))
            status = be_unbooted(vm, err);
    }
    if (status) {
        xvmi_vm_close(vm);
        return status;
    }
    vm->attach_ns = now_ns() - began;
    *out = vm;
    return XVMI_OK;
}

enum xvmi_status xvmi_vm_open(const char *uri, const struct xvmi_vm_options *options,
                              struct xvmi_vm **vm, struct xvmi_error *err)
{
    struct xvmi_error local;
    struct xm_mem *mem;
    uint64_t began = now_ns();
    err = err ? err : &local;
    *vm = NULL;
    enum xvmi_status status = xm_open(uri, &mem, err);
    return status ? status : open_mem(mem, began, options, vm, err);
}

enum xvmi_status xvmi_vm_open_backend(const struct xvmi_mem_backend *backend, const char *name,
                                      const struct xvmi_vm_options *options, struct xvmi_vm **vm,
                                      struct xvmi_error *err)
{
    struct xvmi_error local;
    struct xm_mem *mem;
    uint64_t began = now_ns();
    err = err ? err : &local;
    *vm = NULL;
    enum xvmi_status status = xm_new(backend, name, &mem, err);
    return status ? status : open_mem(mem, began, options, vm, err);
}

enum xvmi_status xvmi_vm_reattach(struct xvmi_vm *vm, const struct xvmi_vm_options *options)
{
    struct xvmi_vm fresh = {.mem = vm->mem};
    uint64_t began = now_ns();
    bool changed;
    enum xvmi_status status = xm_refresh(vm->mem, &changed, &vm->err);
    xm_invalidate(vm->mem);
    if (!status)
        status = attach(&fresh, options, &vm->err);
    if (status) {
        detach(&fresh);
        vm->changed = true;
        return xvmi_error_frame(&vm->err, status, "%s", xm_name(vm->mem));
    }
    detach(vm);
    vm->space = fresh.space;
    vm->kernel = fresh.kernel;
    vm->profile = fresh.profile;
    vm->profile_cached = fresh.profile_cached;
    vm->guest = fresh.guest;
    vm->guest.space = &vm->space;
    vm->guest.err = &vm->err;
    vm->attach_ns = now_ns() - began;
    vm->changed = false;
    return XVMI_OK;
}

void xvmi_vm_close(struct xvmi_vm *vm)
{
    if (!vm)
        return;
    detach(vm);
    xm_close(vm->mem);
    free(vm);
}

/* --- about the handle --- */

const char *xvmi_vm_error(const struct xvmi_vm *vm)
{
    return vm->err.text;
}

static void build_id_text(const struct xl_kernel *kernel, char *text, size_t size)
{
    *text = 0;
    for (size_t i = 0; i < kernel->build_id_len && 2 * i + 3 <= size; i++) {
        static const char hex[] = "0123456789abcdef";
        text[2 * i] = hex[kernel->build_id[i] >> 4];
        text[2 * i + 1] = hex[kernel->build_id[i] & 15];
        text[2 * i + 2] = 0;
    }
}

void xvmi_vm_info(const struct xvmi_vm *vm, struct xvmi_vm_info *out)
{
    struct xvmi_vm_info info = {
        .size = out->size < sizeof(info) ? out->size : sizeof(info),
        .kaslr_offset = vm->kernel.kaslr_offset,
        .phys_base = vm->kernel.phys_base,
        .paging_levels = vm->kernel.paging.levels,
        .profile_source = vm->profile ? xvmi_profile_source(vm->profile) : 0,
        .profile_cached = vm->profile_cached,
        .memory_bytes = xm_total(vm->mem),
        .vcpus = xm_vcpus(vm->mem),
        .attach_ns = vm->attach_ns,
    };
    memcpy(info.release, vm->kernel.release, sizeof(info.release));
    build_id_text(&vm->kernel, info.build_id, sizeof(info.build_id));
    memcpy(out, &info, info.size);
}

struct xvmi_profile *xvmi_vm_profile(const struct xvmi_vm *vm)
{
    return vm->profile;
}

void xvmi_vm_stats(const struct xvmi_vm *vm, struct xvmi_vm_stats *out)
{
    struct xm_stats mem = xm_stats(vm->mem);
    struct xvmi_vm_stats stats = {
        .size = out->size < sizeof(stats) ? out->size : sizeof(stats),
        .reads = vm->space.reads,
        .backend_calls = mem.backend_calls,
        .backend_bytes = mem.backend_bytes,
    };
    memcpy(out, &stats, stats.size);
}

/* Whoever wants something of the kernel asks this first: in an unbooted guest there is none. */
static enum xvmi_status has_kernel(struct xvmi_vm *vm)
{
    if (vm->profile)
        return XVMI_OK;
    return xvmi_error_set(&vm->err, XVMI_ERR_CHANGED, "%s: no kernel was found yet, attach to it",
                          xm_name(vm->mem));
}

enum xvmi_status xvmi_vm_refresh(struct xvmi_vm *vm)
{
    bool changed = false;
    enum xvmi_status status = xm_refresh(vm->mem, &changed, &vm->err);
    if (vm->profile)
        xo_invalidate(&vm->space); /* also after a failure: pointers are dead */
    if (status)
        return xvmi_error_frame(&vm->err, status, "%s", xm_name(vm->mem));
    vm->changed |= changed;
    if (!vm->changed || !vm->profile)
        return has_kernel(vm);
    return xvmi_error_set(&vm->err, XVMI_ERR_CHANGED,
                          "%s: the guest was reset or its memory rearranged, attach to it again",
                          xm_name(vm->mem));
}

/* --- what the hypervisor knows --- */

enum xvmi_status xvmi_vm_nics(struct xvmi_vm *vm, struct xvmi_nic **nics, size_t *n)
{
    const struct xvmi_nic *theirs;
    *nics = NULL;
    enum xvmi_status status = xm_nics(vm->mem, &theirs, n, &vm->err);
    if (status || !*n)
        return status;
    *nics = malloc(*n * sizeof(**nics));
    if (!*nics)
        return xvmi_error_set(&vm->err, XVMI_ERR_NO_MEMORY, "out of memory");
    memcpy(*nics, theirs, *n * sizeof(**nics));
    return XVMI_OK;
}

enum xvmi_status xvmi_vm_event_fd(struct xvmi_vm *vm, int *fd)
{
    return xm_event_fd(vm->mem, fd, &vm->err);
}

enum xvmi_status xvmi_vm_event(struct xvmi_vm *vm, enum xvmi_vm_event *event)
{
    return xm_event(vm->mem, event, &vm->err);
}

const char *xvmi_vm_event_text(enum xvmi_vm_event event)
{
    static const char *const names[] = {"nothing", "stopped", "resumed", "reset",
                                        "memory",  "devices", "ended"};
    return (unsigned)event < XVMI_VM_EVENTS ? names[event] : "?";
}

/* --- raw reads --- */

static enum xvmi_status space_fault(struct xvmi_vm *vm)
{
    return xo_fault(&vm->space, &vm->err);
}

enum xvmi_status xvmi_vm_read(struct xvmi_vm *vm, uint64_t gva, void *dst, size_t len)
{
    enum xvmi_status status = has_kernel(vm);
    return !status && xo_read(&vm->space, gva, dst, len) ? space_fault(vm) : status;
}

enum xvmi_status xvmi_vm_read_u64(struct xvmi_vm *vm, uint64_t gva, uint64_t *value)
{
    enum xvmi_status status = has_kernel(vm);
    return !status && xo_read_u64(&vm->space, gva, value) ? space_fault(vm) : status;
}

enum xvmi_status xvmi_vm_read_physical(struct xvmi_vm *vm, uint64_t gpa, void *dst, size_t len)
{
    return xm_read(vm->mem, gpa, dst, len, &vm->err);
}

enum xvmi_status xvmi_vm_translate(struct xvmi_vm *vm, uint64_t gva, uint64_t *gpa)
{
    uint64_t left;
    enum xvmi_status status = has_kernel(vm);
    return !status && xo_translate(&vm->space, gva, gpa, &left) ? space_fault(vm) : status;
}

enum xvmi_status xvmi_vm_symbol(struct xvmi_vm *vm, const char *name, uint64_t *gva)
{
    enum xvmi_status status = has_kernel(vm);
    *gva = status ? 0 : xl_symbol(&vm->kernel, vm->profile, name);
    return status || *gva
               ? status
               : xvmi_error_set(&vm->err, XVMI_ERR_NOT_FOUND, "the profile has no symbol %s", name);
}

/* --- tasks and sockets --- */

enum xvmi_status xvmi_task_list(struct xvmi_vm *vm, struct xvmi_task **tasks, size_t *n)
{
    return has_kernel(vm) ?: xl_task_list(&vm->guest, tasks, n);
}

enum xvmi_status xvmi_task_exe(struct xvmi_vm *vm, const struct xvmi_task *task, char *buf,
                               size_t size)
{
    return has_kernel(vm) ?: xl_task_exe(&vm->guest, task, buf, size);
}

enum xvmi_status xvmi_task_cmdline(struct xvmi_vm *vm, const struct xvmi_task *task, char *buf,
                                   size_t size, size_t *len)
{
    return has_kernel(vm) ?: xl_task_cmdline(&vm->guest, task, buf, size, len);
}

enum xvmi_status xvmi_task_cgroup(struct xvmi_vm *vm, const struct xvmi_task *task, char *buf,
                                  size_t size)
{
    return has_kernel(vm) ?: xl_task_cgroup(&vm->guest, task, buf, size);
}

enum xvmi_status xvmi_socket_list(struct xvmi_vm *vm, unsigned kinds, struct xvmi_socket **sockets,
                                  size_t *n)
{
    return has_kernel(vm) ?: xl_socket_list(&vm->guest, kinds, sockets, n);
}

enum xvmi_status xvmi_socket_cgroup(struct xvmi_vm *vm, const struct xvmi_socket *socket, char *buf,
                                    size_t size)
{
    return has_kernel(vm) ?: xl_socket_cgroup(&vm->guest, socket, buf, size);
}

enum xvmi_status xvmi_owner_scan_new(struct xvmi_vm *vm, struct xvmi_owner_scan **scan)
{
    *scan = NULL;
    return has_kernel(vm) ?: xl_owner_scan_new(&vm->guest, scan);
}

enum xvmi_status xvmi_task_clock(struct xvmi_vm *vm, uint64_t *ns)
{
    return has_kernel(vm) ?: xl_clock(&vm->guest, ns);
}

enum xvmi_status xvmi_task_parent(struct xvmi_vm *vm, const struct xvmi_task *task,
                                  struct xvmi_task *parent)
{
    return has_kernel(vm) ?: xl_task_parent(&vm->guest, task, parent);
}

enum xvmi_status xvmi_finder_new(struct xvmi_vm *vm, const struct xvmi_finder_options *options,
                                 struct xvmi_finder **finder)
{
    *finder = NULL;
    return has_kernel(vm) ?: xl_finder_new(&vm->guest, options, finder);
}
