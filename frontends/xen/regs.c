// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "regs.h"

#include <errno.h>

#include <xen/hvm/save.h>

enum xvmi_status xe_regs_pv(const struct xe_host *host, uint32_t domid, unsigned vcpu,
                            struct xvmi_vcpu_regs *regs, struct xvmi_error *err)
{
    vcpu_guest_context_any_t context;
    if (xc_vcpu_getcontext(host->xc, domid, vcpu, &context))
        return xe_host_failed(host, errno, "asking Xen for a vCPU's registers", err);
    const vcpu_guest_context_x86_64_t *c = &context.x64;
    *regs = (struct xvmi_vcpu_regs){
        .valid = XVMI_REG_RIP | XVMI_REG_RSP | XVMI_REG_CR0 | XVMI_REG_CR3 | XVMI_REG_CR4 |
                 XVMI_REG_GS_BASE | XVMI_REG_KERNEL_GS_BASE,
        .rip = c->user_regs.rip,
        .rsp = c->user_regs.rsp,
        .cr0 = c->ctrlreg[0],
        .cr3 = c->ctrlreg[3], /* the kernel's, also while the vCPU runs a program */
        .cr4 = c->ctrlreg[4],
        .gs_base = c->gs_base_user,
        .kernel_gs_base = c->gs_base_kernel,
    };
    return XVMI_OK;
}

enum xvmi_status xe_regs_hvm(const struct xe_host *host, uint32_t domid, unsigned vcpu,
                             struct xvmi_vcpu_regs *regs, struct xvmi_error *err)
{
    HVM_SAVE_TYPE(CPU) c;
    if (xc_domain_hvm_getcontext_partial(host->xc, domid, HVM_SAVE_CODE(CPU), (uint16_t)vcpu, &c,
                                         sizeof(c)))
        return xe_host_failed(host, errno, "asking Xen for a vCPU's registers", err);
    *regs = (struct xvmi_vcpu_regs){
        .valid = XVMI_REG_RIP | XVMI_REG_RSP | XVMI_REG_CR0 | XVMI_REG_CR3 | XVMI_REG_CR4 |
                 XVMI_REG_EFER | XVMI_REG_GS_BASE | XVMI_REG_KERNEL_GS_BASE | XVMI_REG_IDT_BASE |
                 XVMI_REG_LSTAR,
        .rip = c.rip,
        .rsp = c.rsp,
        .cr0 = c.cr0,
        .cr3 = c.cr3,
        .cr4 = c.cr4,
        .efer = c.msr_efer,
        .gs_base = c.gs_base,
        .kernel_gs_base = c.shadow_gs,
        .idt_base = c.idtr_base,
        .lstar = c.msr_lstar,
    };
    return XVMI_OK;
}
