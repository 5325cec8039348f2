/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XM_MEM_H
#define XM_MEM_H

/*
 * One guest's physical memory, whatever holds it: an opened backend, its ranges,
 * and a page cache for backends that cannot map.
 *
 * Knows nothing of page tables, types or kernels.
 */

#include <xvmi/mem.h>

struct xm_mem;

/* Open `uri` ("file:PATH", or a scheme that a driver serves). */
XVMI_CHECKED enum xvmi_status xm_open(const char *uri, struct xm_mem **mem, struct xvmi_error *err);

/* Take over an opened backend, `name` is what errors call it. On failure the backend is closed. */
XVMI_CHECKED enum xvmi_status xm_new(const struct xvmi_mem_backend *backend, const char *name,
                                     struct xm_mem **mem, struct xvmi_error *err);
void xm_close(struct xm_mem *mem);

/* Facts about the memory. Borrowed until xm_refresh() or xm_close(). */
const struct xvmi_mem_range *xm_ranges(const struct xm_mem *mem, size_t *n);
const struct xvmi_mem_range *xm_range_of(struct xm_mem *mem, uint64_t gpa); /* NULL: no RAM */
uint64_t xm_total(const struct xm_mem *mem);                                /* bytes of RAM */
bool xm_live(const struct xm_mem *mem);
bool xm_copies(const struct xm_mem *mem); /* live, and what is read is kept, not read again */
unsigned xm_vcpus(const struct xm_mem *mem);
const char *xm_name(const struct xm_mem *mem);

/*
 * `len` readable bytes at gpa when they lie in mapped memory, else NULL. For live
 * guests they can change at any moment: read each value once.
 * `*avail`, when wanted, is how many bytes are readable from there. Good until xm_refresh(),
 * or until xm_invalidate() says otherwise.
 */
const uint8_t *xm_ptr(struct xm_mem *mem, uint64_t gpa, size_t len, uint64_t *avail);

/* Read all of [gpa, gpa + len) or fail. Pages of unmapped backends come from the page
 * cache when they are of this epoch. `err` may be NULL on paths where failure is common. */
XVMI_CHECKED enum xvmi_status xm_read(struct xm_mem *mem, uint64_t gpa, void *dst, size_t len,
                                      struct xvmi_error *err);

/* Read an entry of a page table. The address in it is guest-physical here, whatever the guest's
 * tables have. */
XVMI_CHECKED enum xvmi_status xm_read_entry(struct xm_mem *mem, uint64_t gpa, uint64_t *entry,
                                            struct xvmi_error *err);

/* Bring the pages of all reads in with as few calls as can be, then read them. Each element
 * has its own status; fails as a whole only when nothing could be tried. */
XVMI_CHECKED enum xvmi_status xm_read_batch(struct xm_mem *mem, struct xvmi_mem_read *reads,
                                            size_t n, struct xvmi_error *err);

/* The next stretch of memory that was ever touched; XVMI_ERR_NOT_FOUND at the end. */
XVMI_CHECKED enum xvmi_status xm_next_data(struct xm_mem *mem, uint64_t gpa, uint64_t *start,
                                           uint64_t *end, struct xvmi_error *err);

/* XVMI_ERR_NOT_FOUND past the last vCPU, XVMI_ERR_UNSUPPORTED when this memory came without. */
XVMI_CHECKED enum xvmi_status xm_regs(struct xm_mem *mem, unsigned vcpu,
                                      struct xvmi_vcpu_regs *regs, struct xvmi_error *err);

/* The text of the VMCOREINFO note that came with the memory, up to `size` bytes of it; *len is its
 * whole length. XVMI_ERR_NOT_FOUND when none came: look for it in memory then. */
XVMI_CHECKED enum xvmi_status xm_vmcoreinfo(struct xm_mem *mem, void *dst, size_t size, size_t *len,
                                            struct xvmi_error *err);

/* Network devices and life of the guest, as xvmi/mem.h has them; XVMI_ERR_UNSUPPORTED where the
 * backend does not tell. */
XVMI_CHECKED enum xvmi_status xm_nics(struct xm_mem *mem, const struct xvmi_nic **nics, size_t *n,
                                      struct xvmi_error *err);
XVMI_CHECKED enum xvmi_status xm_event_fd(struct xm_mem *mem, int *fd, struct xvmi_error *err);
XVMI_CHECKED enum xvmi_status xm_event(struct xm_mem *mem, enum xvmi_vm_event *event,
                                       struct xvmi_error *err);

/* Look again at the guest. Pointers from xm_ptr() are dead, and every address space over this
 * memory must be invalidated (xo_invalidate()) before its next use. *changed when the layout is
 * another: then what xm_ranges() said is void, too. */
XVMI_CHECKED enum xvmi_status xm_refresh(struct xm_mem *mem, bool *changed, struct xvmi_error *err);

/* Begin a new epoch: cached pages of a live guest are read anew. Mapped memory needs none. True
 * when pointers from xm_ptr() are dead: xo_renew() minds that. */
bool xm_invalidate(struct xm_mem *mem);

/* Reads that went to the backend since opening (system calls, for QEMU), and bytes. */
struct xm_stats {
    uint64_t backend_calls, backend_bytes, cache_hits;
};
struct xm_stats xm_stats(const struct xm_mem *mem);

#endif
