/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XVMI_VM_H
#define XVMI_VM_H

/*
 * A guest: its memory, the kernel that was found in it, and the profile that makes sense
 * of the two. Everything else (tasks, sockets, owners) is asked of this handle.
 *
 *     struct xvmi_error err = XVMI_ERROR_INIT;
 *     struct xvmi_vm *vm;
 *     if (xvmi_vm_open("qemu:/run/vm.qmp", NULL, &vm, &err))
 *         errx(3, "%s", err.text);
 *     ...
 *     xvmi_vm_close(vm);
 *
 * Threads: a handle is used by one thread at a time; different handles are independent.
 * The guest is never stopped and never written to.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <xvmi/error.h>
#include <xvmi/mem.h>
#include <xvmi/profile.h>

#ifdef __cplusplus
extern "C" {
#endif

struct xvmi_vm;

/* Options of xvmi_vm_open(); zero everything, then set `size`. NULL means the defaults. */
struct xvmi_vm_options {
    size_t size;         /* sizeof(struct xvmi_vm_options) */
    const char *profile; /* a profile file or a vmlinux to use; NULL: find one (see below) */
    bool no_cache;       /* neither read nor write the profile cache */
    bool unbooted;       /* open it also when no kernel is found that can be looked into */
};

/*
 * Open a guest by URI: file:PATH, qemu:PATH, qemu:pid=N, xen:NAME, or a scheme some driver serves.
 *
 * Without options->profile, the first of these that verifies on the guest is taken: the
 * cached profile of its build-id, a vmlinux with that build-id in the usual debug folders,
 * the BTF and kallsyms in the guest's own memory (and the result is cached).
 *
 * On failure *vm is NULL and `err` (may be NULL) says why:
 *   XVMI_ERR_PERMISSION, _NOT_FOUND, _IO, _TIMEOUT, _GONE  the guest cannot be reached
 *   XVMI_ERR_UNSUPPORTED  no kernel libxvmi understands was found
 *   XVMI_ERR_MISMATCH     the profile is of another kernel
 *
 * With options->unbooted, a guest that can be reached but has no such kernel, for it has not booted
 * yet, is opened as well. xvmi_vm_error() says what was missing. The handle is as after
 * XVMI_ERR_CHANGED, devices and events can be asked for, and xvmi_vm_reattach() is to be tried
 * until it succeeds; until then, whatever asks about the kernel fails with XVMI_ERR_CHANGED.
 */
XVMI_PUBLIC XVMI_CHECKED enum xvmi_status xvmi_vm_open(const char *uri,
                                                       const struct xvmi_vm_options *options,
                                                       struct xvmi_vm **vm, struct xvmi_error *err);
/* As xvmi_vm_open(), on memory the caller opened: for backends without a driver. Takes
 * `backend` over, also on failure. `name` stands in messages. */
XVMI_PUBLIC XVMI_CHECKED enum xvmi_status xvmi_vm_open_backend(
    const struct xvmi_mem_backend *backend, const char *name, const struct xvmi_vm_options *options,
    struct xvmi_vm **vm, struct xvmi_error *err);
XVMI_PUBLIC void xvmi_vm_close(struct xvmi_vm *vm); /* NULL is fine */

/* The story of the last call on this handle that failed; borrowed, overwritten by the next. */
XVMI_PUBLIC const char *xvmi_vm_error(const struct xvmi_vm *vm);

/* What is known since attaching. */
struct xvmi_vm_info {
    size_t size;            /* set by the caller to sizeof(struct xvmi_vm_info) */
    char release[65];       /* utsname.release, "6.1.0-50-cloud-amd64" */
    char build_id[65];      /* lower-case hex; "" when the kernel has none */
    uint64_t kaslr_offset;  /* run-time minus link-time address of the kernel's text */
    uint64_t phys_base;     /* the kernel's variable of that name: physical load offset */
    unsigned paging_levels; /* 4 or 5 */
    enum xvmi_profile_source profile_source;
    bool profile_cached;   /* the profile came from the cache */
    uint64_t memory_bytes; /* RAM of the guest */
    unsigned vcpus;        /* 0 when not known */
    uint64_t attach_ns;    /* how long xvmi_vm_open() took */
};
XVMI_PUBLIC void xvmi_vm_info(const struct xvmi_vm *vm, struct xvmi_vm_info *info);

/* The profile in use; borrowed, take a reference to keep it. NULL: no kernel was found yet. */
XVMI_PUBLIC struct xvmi_profile *xvmi_vm_profile(const struct xvmi_vm *vm);

/* A profile from a vmlinux (DWARF, else its .BTF section; and its symbols) without a guest, as
 * xvmi_vm_open() would make it. The caller gets a reference. XVMI_ERR_FORMAT for a file that is
 * no ELF or contradicts itself, XVMI_ERR_NOT_FOUND for one without what must be known. */
XVMI_PUBLIC XVMI_CHECKED enum xvmi_status xvmi_profile_from_vmlinux(const char *path,
                                                                    struct xvmi_profile **profile,
                                                                    struct xvmi_error *err);

/*
 * Look anew: what was cached of a live guest's memory and page tables is dropped. Call it
 * before each fresh question. Costs nothing on an image and one system call on a guest whose
 * events are listened to (xvmi_vm_event_fd()); else its hypervisor is asked, which may take some
 * ms. XVMI_ERR_CHANGED, from then on, when the guest was reset or its memory rearranged:
 * xvmi_vm_reattach(), or close the handle and open it again. XVMI_ERR_GONE when it ended.
 */
XVMI_PUBLIC XVMI_CHECKED enum xvmi_status xvmi_vm_refresh(struct xvmi_vm *vm);

/*
 * Look for the guest's kernel anew, as xvmi_vm_open() does, on the connection that stands: events
 * go on, and none is missed. What was learned through the handle (tasks, sockets, finders) is
 * void, whether it is another kernel or not. Right after a reset the old kernel may still be
 * found in memory that nobody has written to since. On failure the handle is as after
 * XVMI_ERR_CHANGED, and this can be tried again.
 */
XVMI_PUBLIC XVMI_CHECKED enum xvmi_status xvmi_vm_reattach(struct xvmi_vm *vm,
                                                           const struct xvmi_vm_options *options);

/* The guest's network devices as its hypervisor knows them; free(*nics). XVMI_ERR_UNSUPPORTED
 * when whoever holds the memory does not know. */
XVMI_PUBLIC XVMI_CHECKED enum xvmi_status xvmi_vm_nics(struct xvmi_vm *vm, struct xvmi_nic **nics,
                                                       size_t *n);

/*
 * The guest's life, for event loops: a file descriptor of the handle's that polls readable when
 * xvmi_vm_event() may have something to tell, and what it tells: one thing a call. It is to be
 * called until it says XVMI_VM_NOTHING, for the descriptor need not tell twice of what came
 * together. After RESET and MEMORY, xvmi_vm_refresh() says whether the handle is still good.
 * XVMI_ERR_UNSUPPORTED for an image, and where the hypervisor does not tell.
 */
XVMI_PUBLIC XVMI_CHECKED enum xvmi_status xvmi_vm_event_fd(struct xvmi_vm *vm, int *fd);
XVMI_PUBLIC XVMI_CHECKED enum xvmi_status xvmi_vm_event(struct xvmi_vm *vm,
                                                        enum xvmi_vm_event *event);
/* "stopped", "reset", ...; never NULL. */
XVMI_PUBLIC const char *xvmi_vm_event_text(enum xvmi_vm_event event);

/*
 * Raw reads. All of [addr, addr + len) or nothing; live memory can be torn between bytes
 * (aligned 8-byte reads are not). XVMI_ERR_NOT_PRESENT when an address is not mapped.
 */
XVMI_PUBLIC XVMI_CHECKED enum xvmi_status xvmi_vm_read(struct xvmi_vm *vm, uint64_t gva, void *dst,
                                                       size_t len);
XVMI_PUBLIC XVMI_CHECKED enum xvmi_status xvmi_vm_read_u64(struct xvmi_vm *vm, uint64_t gva,
                                                           uint64_t *value);
XVMI_PUBLIC XVMI_CHECKED enum xvmi_status xvmi_vm_read_physical(struct xvmi_vm *vm, uint64_t gpa,
                                                                void *dst, size_t len);
/* Guest-physical address behind a kernel address. */
XVMI_PUBLIC XVMI_CHECKED enum xvmi_status xvmi_vm_translate(struct xvmi_vm *vm, uint64_t gva,
                                                            uint64_t *gpa);
/* Run-time address of a kernel symbol that the profile holds (`xvmi profile --show` lists
 * them); XVMI_ERR_NOT_FOUND otherwise. */
XVMI_PUBLIC XVMI_CHECKED enum xvmi_status xvmi_vm_symbol(struct xvmi_vm *vm, const char *name,
                                                         uint64_t *gva);

/* Reads of guest memory since opening: the price of answers. */
struct xvmi_vm_stats {
    size_t size;            /* set by the caller */
    uint64_t reads;         /* reads asked of guest memory, by address */
    uint64_t backend_calls; /* of these, calls to the backend (system calls on QEMU) */
    uint64_t backend_bytes;
};
XVMI_PUBLIC void xvmi_vm_stats(const struct xvmi_vm *vm, struct xvmi_vm_stats *stats);

#ifdef __cplusplus
}
#endif
#endif
