// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Short names for what an answer says, and a token as one number. */
#include <xvmi/owner.h>

uint64_t xvmi_owner_token_number(const struct xvmi_owner_token *token)
{
    const uint64_t parts[] = {token->sock, token->ino,      token->file,
                              token->task, token->start_ns, token->exe};
    uint64_t h = 0x9e3779b97f4a7c15u;
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        h ^= parts[i];
        h *= 0xff51afd7ed558ccdu; /* the finaliser of MurmurHash3: every bit reaches every other */
        h ^= h >> 32;
    }
    return h ? h : 1;
}

const char *xvmi_owner_kind_text(enum xvmi_owner_kind kind)
{
    static const char *const names[] = {"none", "process", "kernel", "orphan"};
    return (unsigned)kind < 4 ? names[kind] : "?";
}

const char *xvmi_via_socket_text(enum xvmi_via_socket via)
{
    static const char *const names[] = {"none", "ehash", "listen", "udp-hash2", "udp-hash",
                                        "raw",  "ping",  "packet", "sctp"};
    return (unsigned)via < XVMI_VIA_SOCKETS ? names[via] : "?";
}

const char *xvmi_via_process_text(enum xvmi_via_process via)
{
    static const char *const names[] = {"none",   "last",  "opener", "current",
                                        "cgroup", "index", "tasks"};
    return (unsigned)via < XVMI_VIA_PROCESSES ? names[via] : "?";
}

const char *xvmi_orphan_text(enum xvmi_orphan orphan)
{
    static const char *const names[] = {"no", "closed", "in flight", "io_uring", "hidden"};
    return (unsigned)orphan < XVMI_ORPHANS ? names[orphan] : "?";
}
