/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XF_SUBJECT_H
#define XF_SUBJECT_H

/* The sender of one packet, looked up in the guest piece by piece as the matcher asks. */

#include <xvmi/owner.h>

#include "filter/match.h"

/* How the guest is asked; tests put their own guest here. */
struct xf_guest_ops {
    enum xvmi_status (*refresh)(struct xvmi_vm *vm);
    enum xvmi_status (*find)(struct xvmi_finder *finder, const struct xvmi_flow *flow,
                             const struct xvmi_owner_query *query, struct xvmi_owner *answer);
    enum xvmi_status (*find_batch)(struct xvmi_finder *finder, const struct xvmi_flow *flows,
                                   size_t n, const struct xvmi_owner_query *query,
                                   struct xvmi_owner *answers, enum xvmi_status *status);
    enum xvmi_status (*revalidate)(struct xvmi_finder *finder,
                                   const struct xvmi_owner_token *token);
    enum xvmi_status (*parent)(struct xvmi_vm *vm, const struct xvmi_task *task,
                               struct xvmi_task *parent);
    enum xvmi_status (*exe)(struct xvmi_vm *vm, const struct xvmi_task *task, char *buf,
                            size_t size);
    enum xvmi_status (*cmdline)(struct xvmi_vm *vm, const struct xvmi_task *task, char *buf,
                                size_t size, size_t *len);
    enum xvmi_status (*cgroup)(struct xvmi_vm *vm, const struct xvmi_task *task, char *buf,
                               size_t size);
    enum xvmi_status (*socket_cgroup)(struct xvmi_vm *vm, const struct xvmi_socket *socket,
                                      char *buf, size_t size);
    enum xvmi_status (*clock)(struct xvmi_vm *vm, uint64_t *ns);
};
extern const struct xf_guest_ops xf_guest_ops;

struct xf_subject {
    struct xf_facts facts; /* first: the matcher hands it back */
    const struct xf_guest_ops *ops;
    struct xvmi_vm *vm;
    struct xvmi_finder *finder;
    struct xvmi_owner_query query;
    struct xvmi_flow flow;
    bool answers; /* as in struct xf_packet */
    uint64_t now;
    bool processes; /* look for them at once: the policy may ask */
    bool blind;     /* there is no kernel to look into */
    bool found, with_processes;
    enum xvmi_status status; /* of the look-up */
    struct xvmi_owner owner;
    struct xb_arena arena; /* what was fetched, until the next packet */
    struct xf_text_kept *kept;
    struct xf_task_kept *tasks;
};

/* Nobody's, whatever a look-up would say: a frame that lies about where it comes from. */
void xf_subject_disown(struct xf_subject *subject);
/* Whether its source is an address of none of the guest's; looks if nobody did. */
bool xf_subject_foreign(struct xf_subject *subject);
/* Whether the packet alone says that it is the kernel's: the next one of its flow may not be. */
bool xf_subject_answers(const struct xf_subject *subject);
/* For another packet; everything fetched is forgotten. */
void xf_subject_reset(struct xf_subject *subject, const struct xf_packet *packet, uint64_t now);
void xf_subject_fini(struct xf_subject *subject);

#endif
