/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XL_HOLDSEARCH_H
#define XL_HOLDSEARCH_H

/* Between the parts of a search for holders: holders.c asks, holdcandidates.c guesses, holdproof.c
 * proves. */

#include "os/linux/holdermemo.h"

struct xl_holders {
    struct xl_guest *g;
    struct xl_memo memo;
    bool primed; /* the credentials of all processes were looked at once */
    struct {
        uint64_t task, start_ns; /* where xl_holders_tend() goes on after; 0: at the beginning */
    } tended;
};

/* The state of one question. */
struct xl_search {
    struct xl_holders *h;
    uint64_t file, ino, cgroup;
    const struct xl_budget *budget;
    struct xl_holder_list *list;
    uint32_t per_holder[XVMI_OWNERS_MAX]; /* descriptors of list->v */
    uint32_t descriptors;                 /* of all holders together, those of list->more, too */
    uint32_t count;                       /* the file's references */
    bool shared;                          /* somebody shares the descriptor table of a holder */
    bool threaded;                        /* a holder has threads: their system calls count */
};

/* --- holdproof.c --- */

bool xl_holder_is_process(struct xl_guest *g, const struct xl_holder *holder);
/* Does this process (holder->fd is set) have the file? Then it is in the list. `all`: what its
 * descriptors lead to besides is remembered. */
bool xl_search_process(struct xl_search *s, struct xl_holder *holder, bool all);
/* A holder that was proven, with so many descriptors. */
void xl_search_add(struct xl_search *s, const struct xl_holder *holder, uint32_t descriptors);
/* How many descriptors of a table lead to the file; holder->fd is the first of them. */
uint32_t xl_search_table(struct xl_search *s, uint64_t table, uint32_t max_fds,
                         struct xl_holder *holder, bool all);
uint32_t xl_search_references(struct xl_guest *g, uint64_t file);
/* References that neither so many descriptors nor those who wait explain: threads in the middle of
 * a system call, or somebody who was not found. */
uint32_t xl_search_unexplained(const struct xl_search *s, uint32_t descriptors);
/* Nobody but those found can hold the file. */
bool xl_search_complete(const struct xl_search *s);

/* --- holdcandidates.c: true when the search is complete --- */

bool xl_try_opener(struct xl_search *s);
bool xl_try_new_tasks(struct xl_search *s);
bool xl_try_current(struct xl_search *s);
bool xl_try_cgroup(struct xl_search *s);
XVMI_CHECKED enum xvmi_status xl_search_tasks(struct xl_search *s); /* all of them */

#endif
