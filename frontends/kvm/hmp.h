/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XK_HMP_H
#define XK_HMP_H

/*
 * Reading what QEMU's human monitor prints. QMP has no command for the flat memory layout, for
 * host addresses or for registers, so the text of the human one is taken: its form has been the
 * same from QEMU 2.12 to 10. Nothing in here does I/O; any text is safe.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <xvmi/error.h>
#include <xvmi/mem.h>

/* Names of RAM regions are ids of memory backends: letters, digits and "-._", and short. */
#define XK_NAME_MAX 256

/* Most RAM rows taken: QEMU has up to 256 memory slots, and PAM cuts the first into a dozen. */
#define XK_ROWS_MAX 2048

/* A row of RAM or ROM in the flat view: [gpa, gpa + size) is at `offset` in region `name`. */
struct xk_row {
    uint64_t gpa, size, offset;
    char name[XK_NAME_MAX];
};

struct xk_rows {
    struct xk_row *v;
    size_t n, cap;
};
void xk_rows_fini(struct xk_rows *rows);

/* Whether the memory region `name` is RAM of the guest, rather than firmware or a device's. */
typedef bool xk_is_ram_fn(const void *ctx, const char *name);

/*
 * The rows of `info mtree -f` that the CPUs see, of kind ram or rom, whose region `is_ram`
 * accepts; in order of gpa. A part of RAM that the chipset write-protected (shadowed firmware)
 * prints as rom. XVMI_ERR_FORMAT when rows overlap or numbers make no sense, XVMI_ERR_NOT_FOUND
 * when there are none. `rows` is to be released in any case.
 */
XVMI_CHECKED enum xvmi_status xk_hmp_mtree(const char *text, xk_is_ram_fn *is_ram, const void *ctx,
                                           struct xk_rows *rows, struct xvmi_error *err);

/* The host virtual address in the answer to `gpa2hva` for `gpa`, which must lie in region
 * `name`. XVMI_ERR_CHANGED when it lies elsewhere by now. */
XVMI_CHECKED enum xvmi_status xk_hmp_gpa2hva(const char *text, uint64_t gpa, const char *name,
                                             uint64_t *hva, struct xvmi_error *err);

/* The registers in the answer to `info registers` for one vCPU. */
XVMI_CHECKED enum xvmi_status xk_hmp_registers(const char *text, struct xvmi_vcpu_regs *regs,
                                               struct xvmi_error *err);

#endif
