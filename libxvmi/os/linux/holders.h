/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XL_HOLDERS_H
#define XL_HOLDERS_H

/*
 * From an open file to the processes that hold it. The kernel keeps no such link, so candidates
 * are guessed and proven; see holders.c for the guesses.
 */

#include <xvmi/owner.h>

#include "os/linux/budget.h"

struct xl_holder {
    uint64_t task, start_ns; /* the process: its group leader */
    uint64_t thread;         /* whose descriptor table it is: the leader, or a thread that has
                                one of its own */
    int32_t pid, fd;
};

struct xl_holder_list {
    struct xl_holder v[XVMI_OWNERS_MAX]; /* oldest first */
    uint32_t n;
    bool more;
    enum xvmi_via_process via;
};

struct xl_holders;
XVMI_CHECKED enum xvmi_status xl_holders_new(struct xl_guest *g, size_t memory,
                                             struct xl_holders **holders);
void xl_holders_free(struct xl_holders *holders);

/* A file that is held. */
struct xl_held {
    uint64_t file;
    uint64_t ino;    /* tells one life of the file from the next at the same address */
    uint64_t cgroup; /* in which it was opened; 0: not known */
};

/* All processes that have the file among their descriptors, each proven now. list->n is 0 when
 * none has. */
XVMI_CHECKED enum xvmi_status xl_holders_find(struct xl_holders *h, const struct xl_held *what,
                                              const struct xl_budget *budget,
                                              struct xl_holder_list *list);
void xl_holders_near(const struct xl_holders *h, uint64_t file); /* it is going to be asked for */

/* Look at the descriptors of more processes, as the budget allows; *done: at all that there are. */
XVMI_CHECKED enum xvmi_status xl_holders_tend(struct xl_holders *h, const struct xl_budget *budget,
                                              bool *done);

/* Is this process still the one, and does its descriptor still lead to `file`? A few reads. */
bool xl_holder_holds(struct xl_guest *g, const struct xl_holder *holder, uint64_t file);

#endif
