/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef FAKE_QEMU_H
#define FAKE_QEMU_H

/*
 * A process that has a guest's RAM in its memory and answers QMP about it as QEMU does: enough
 * of one for the driver to open.
 *
 * RAM: [0, 2 MiB) in a memfd, with bytes written in pages 3, 5 and 6; [4 GiB, 4 GiB + 1 MiB)
 * anonymous, with bytes written in page 10. A written page holds its number in each byte, that
 * of the anonymous one is 10 too.
 */

#include <stdbool.h>
#include <sys/types.h>

enum fake_variant {
    FAKE_PLAIN,
    FAKE_UNPLUGGED,  /* the second block is gone from the layout */
    FAKE_RESET,      /* vCPU 0 is in real mode */
    FAKE_SHUT_DOWN,  /* query-status says so */
    FAKE_MIGRATING,  /* here, not yet arrived */
    FAKE_WRONG_HVA,  /* an address where nothing is mapped */
    FAKE_BEHIND_HVA, /* an address from where RAM is longer than the mapping */
};

struct fake_shared;

struct fake_qemu {
    pid_t pid;
    char dir[32], path[48]; /* of the QMP socket */
    int command;            /* pipes to and from the child */
    int done;
    struct fake_shared *shared;
};

/* With `passed_on` the socket is made by the caller, as a manager does it. */
void fake_qemu_start(struct fake_qemu *q, bool passed_on);
void fake_qemu_stop(struct fake_qemu *q);
void fake_qemu_kill(struct fake_qemu *q);

void fake_qemu_set(struct fake_qemu *q, enum fake_variant variant);

/* Take access to page 20 of the anonymous block away; cut the memfd to half; count the BIOS's
 * clock at guest-physical 0x46c up. */
void fake_qemu_protect(struct fake_qemu *q);
void fake_qemu_truncate(struct fake_qemu *q);
void fake_qemu_reboot(struct fake_qemu *q);

/* Send `text` to the client that is connected; hang up on it. */
void fake_qemu_say(struct fake_qemu *q, const char *text);
void fake_qemu_hang_up(struct fake_qemu *q);

#endif
