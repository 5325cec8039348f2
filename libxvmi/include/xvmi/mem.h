/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XVMI_MEM_H
#define XVMI_MEM_H

/*
 * Guest-physical memory: the contract between libxvmi and whatever holds a guest's
 * RAM. libxvmi brings image files (`file:`); hypervisors come as drivers, shared
 * objects that are loaded by URI scheme on first use. Third parties write theirs
 * against this header alone.
 *
 * A driver named xvmi-driver-SCHEME.so lies in the driver folder (`pkg-config
 * --variable=driverdir libxvmi`, or a folder of $XVMI_DRIVER_PATH) and exports one
 * object: `const struct xvmi_driver xvmi_driver`.
 *
 * Threads: libxvmi never calls one backend from two threads at once.
 * Addresses are guest-physical (GPA) unless a name says otherwise; sizes are bytes.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <xvmi/error.h>
#include <xvmi/export.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Bumped when an old driver can no longer work; additions at the end of a struct do
 * not bump it (structs carry their size). */
#define XVMI_DRIVER_ABI 1

/*
 * A piece of guest RAM. Ranges are sorted by gpa, not empty, do not overlap and do
 * not wrap around. `host` points at `size` readable bytes when the backend has the
 * memory mapped (live memory may change under the reader), else it is NULL and
 * reads go through the backend.
 */
struct xvmi_mem_range {
    uint64_t gpa;
    uint64_t size;
    const uint8_t *host;
};

/* One element of a batch. `status` is the backend's word on this element alone. */
struct xvmi_mem_read {
    uint64_t gpa;
    void *dst;
    size_t len;
    enum xvmi_status status;
};

/* What a vCPU says of itself, as far as it is known: a bit of `valid` for each. */
struct xvmi_vcpu_regs {
    uint32_t valid;
    uint32_t pad;
    uint64_t rip, rsp, cr0, cr3, cr4, efer;
    uint64_t gs_base, kernel_gs_base; /* on the kernel's side of swapgs: check which */
    uint64_t idt_base, lstar;
};
#define XVMI_REG_RIP            (1u << 0)
#define XVMI_REG_RSP            (1u << 1)
#define XVMI_REG_CR0            (1u << 2)
#define XVMI_REG_CR3            (1u << 3)
#define XVMI_REG_CR4            (1u << 4)
#define XVMI_REG_EFER           (1u << 5)
#define XVMI_REG_GS_BASE        (1u << 6)
#define XVMI_REG_KERNEL_GS_BASE (1u << 7)
#define XVMI_REG_IDT_BASE       (1u << 8)
#define XVMI_REG_LSTAR          (1u << 9)

/* A network device of the guest, seen from the host: what it sends comes out of `dev`. */
struct xvmi_nic {
    char dev[16];   /* the host's name of it ("tap0", "vif3.0"), in the network namespace that the
                       device was made in; "" when it is not known */
    uint8_t mac[6]; /* the guest's own address; all zero when not known */
    uint8_t queues; /* of the host's device; 0: not known */
    uint8_t pad;
};

/* What happened to the guest. */
enum xvmi_vm_event {
    XVMI_VM_NOTHING,
    XVMI_VM_STOPPED, /* vCPUs stand still; memory can be read */
    XVMI_VM_RESUMED,
    XVMI_VM_RESET,   /* starts anew, maybe with another kernel */
    XVMI_VM_MEMORY,  /* RAM came or went (hotplug, balloon, restore): refresh() */
    XVMI_VM_DEVICES, /* network devices came or went: nics() */
    XVMI_VM_ENDED,   /* off, crashed, or migrated away */
    XVMI_VM_EVENTS,  /* number of the above */
};

/*
 * What a backend can do. `size` is sizeof this struct as the backend was compiled;
 * functions marked "optional" may be NULL. `ctx` is what open() stored.
 */
struct xvmi_mem_ops {
    size_t size;

    /* Release everything, `ctx` included. */
    void (*close)(void *ctx);

    /* The ranges as of open() or of the last refresh(). The array belongs to the
     * backend and stays as it is until the next refresh() or close(). */
    enum xvmi_status (*ranges)(void *ctx, const struct xvmi_mem_range **ranges, size_t *n,
                               struct xvmi_error *err);

    /* Read all of [gpa, gpa + len) or fail: XVMI_ERR_NOT_PRESENT where there is no
     * RAM, XVMI_ERR_GONE when the guest ended. Required unless every range has `host`. */
    enum xvmi_status (*read)(void *ctx, uint64_t gpa, void *dst, size_t len,
                             struct xvmi_error *err);

    /* Optional: many reads with as few system calls as can be. Sets each status;
     * fails as a whole only when no element could be tried. */
    enum xvmi_status (*read_batch)(void *ctx, struct xvmi_mem_read *reads, size_t n,
                                   struct xvmi_error *err);

    /* Optional: the first stretch of memory at or after `gpa` that the guest ever
     * touched, [*start, *end); XVMI_ERR_NOT_FOUND when none follows. Lets a scan skip
     * holes, which a plain read would allocate. Without it all RAM counts as touched. */
    enum xvmi_status (*next_data)(void *ctx, uint64_t gpa, uint64_t *start, uint64_t *end,
                                  struct xvmi_error *err);

    /* Optional: registers of vCPU number `vcpu`. XVMI_ERR_NOT_FOUND past the last one. */
    enum xvmi_status (*regs)(void *ctx, unsigned vcpu, struct xvmi_vcpu_regs *regs,
                             struct xvmi_error *err);

    /* Optional: look again at the guest. Sets *changed when the memory layout is not
     * what ranges() last said, or the guest was reset; then ranges() says anew. */
    enum xvmi_status (*refresh)(void *ctx, bool *changed, struct xvmi_error *err);

    /* Optional: the text of the VMCOREINFO note that the guest announced (an ELF core's or a
     * kdump's note, QEMU's -device vmcoreinfo), without note header. Copies up to `size` bytes
     * to `dst`, no NUL added, and sets *len to its whole length; `dst` may be NULL when `size`
     * is 0. XVMI_ERR_NOT_FOUND when there is none. Guest data: do not trust it. */
    enum xvmi_status (*vmcoreinfo)(void *ctx, void *dst, size_t size, size_t *len,
                                   struct xvmi_error *err);

    /* Optional: the guest's network devices, the first device first. The array belongs to the
     * backend and stays until the next call. */
    enum xvmi_status (*nics)(void *ctx, const struct xvmi_nic **nics, size_t *n,
                             struct xvmi_error *err);

    /* Optional, both or none. A file descriptor that polls readable when event() may have something
     * to tell, and the next thing that happened; never waits. Callers call it until it says
     * XVMI_VM_NOTHING: of several things that came together the descriptor need not tell again.
     * What happened before the first call of event_fd() may be forgotten. */
    enum xvmi_status (*event_fd)(void *ctx, int *fd, struct xvmi_error *err);
    enum xvmi_status (*event)(void *ctx, enum xvmi_vm_event *event, struct xvmi_error *err);

    /* Optional, for ranges without `host`: memory that is mapped page by page as it is wanted.
     * Sets *host to where the 4096 bytes at `gpa`, a multiple of that, can be read until release()
     * says that this is over, refresh() or close(). XVMI_ERR_NOT_PRESENT as in read();
     * XVMI_ERR_LIMIT when no more can be mapped just now, then read() serves. */
    enum xvmi_status (*page)(void *ctx, uint64_t gpa, const uint8_t **host, struct xvmi_error *err);

    /* Optional, where the guest's page tables do not hold guest-physical addresses (Xen's PV guests
     * know the machine's): the GPA of `addr`, a multiple of 4096, as an entry has it.
     * XVMI_ERR_NOT_PRESENT when that is no memory of the guest's own. */
    enum xvmi_status (*from_tables)(void *ctx, uint64_t addr, uint64_t *gpa,
                                    struct xvmi_error *err);

    /* With page(): a new look at the guest begins, now is the time to unmap. Returns true when
     * what page() gave so far is not to be read any more. Called often: rather return false. */
    bool (*release)(void *ctx);
};

/* What a driver's open() fills in. */
struct xvmi_mem_backend {
    size_t size;
    const struct xvmi_mem_ops *ops; /* lives as long as the driver is loaded */
    void *ctx;
    unsigned vcpus; /* 0 when not known */
    bool live;      /* the guest runs while we read; false for an image */
};

/* The object that a driver exports under the name `xvmi_driver`. */
struct xvmi_driver {
    uint32_t abi; /* XVMI_DRIVER_ABI */
    uint32_t pad;
    const char *scheme; /* "qemu" */
    /* Open what follows "SCHEME:" in the URI. On failure nothing is left behind. */
    enum xvmi_status (*open)(const char *rest, struct xvmi_mem_backend *backend,
                             struct xvmi_error *err);
};

#ifdef __cplusplus
}
#endif
#endif
