/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XE_REGS_H
#define XE_REGS_H

/* What a vCPU says of itself. A PV guest's CR3 holds a machine frame: given as it is. */

#include <xvmi/mem.h>

#include "host.h"

XVMI_CHECKED enum xvmi_status xe_regs_pv(const struct xe_host *host, uint32_t domid, unsigned vcpu,
                                         struct xvmi_vcpu_regs *regs, struct xvmi_error *err);
XVMI_CHECKED enum xvmi_status xe_regs_hvm(const struct xe_host *host, uint32_t domid, unsigned vcpu,
                                          struct xvmi_vcpu_regs *regs, struct xvmi_error *err);

#endif
