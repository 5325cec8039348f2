/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XL_HOLDERMEMO_H
#define XL_HOLDERMEMO_H

/*
 * What is remembered of who holds which file. Guesses, all of it: holders.c proves each on live
 * memory before it counts. Bounded; what was used longest ago goes.
 */

#include "os/linux/holders.h"
#include "walk/task.h"

#define XL_MEMO_WAYS 4

/* A process that has, or had, a file among its descriptors. */
struct xl_memo_last {
    uint64_t file;
    uint64_t ino; /* of the life of the file that it was asked for; 0: only seen in passing */
    struct xl_holder holder;
    uint32_t descriptors; /* how many of the holder's lead to it */
    uint32_t used;
};

/* Whose credentials these are. */
struct xl_memo_cred {
    uint64_t cred, task, start_ns;
    int32_t pid;
    uint32_t used;
};

/* A file that several hold, or that counts more references than its holders explain. */
struct xl_memo_group {
    uint64_t file, ino;
    uint32_t total;       /* descriptors of all of them */
    uint32_t unexplained; /* references besides, when a search found these and no more */
    uint32_t n;
    bool more;
    uint32_t used;
    struct xl_holder v[XVMI_OWNERS_MAX];
    uint32_t descriptors[XVMI_OWNERS_MAX];
};

struct xl_memo {
    struct xl_memo_last *last; /* sets of XL_MEMO_WAYS each */
    struct xl_memo_cred *creds;
    struct xl_memo_group *groups;
    uint32_t last_sets, cred_sets, group_sets; /* powers of two */
    uint32_t clock;
};

XVMI_CHECKED bool xl_memo_init(struct xl_memo *m, size_t memory); /* false: out of memory */
void xl_memo_fini(struct xl_memo *m);

/* The sets that can have something about a key: XL_MEMO_WAYS entries. */
struct xl_memo_last *xl_memo_last(const struct xl_memo *m, uint64_t file);
struct xl_memo_cred *xl_memo_cred(const struct xl_memo *m, uint64_t cred);
/* NULL: this file, in this life, is not known as one with a group. */
struct xl_memo_group *xl_memo_group(struct xl_memo *m, uint64_t file, uint64_t ino);
void xl_memo_near(const struct xl_memo *m, uint64_t file); /* prefetch */

void xl_memo_add_last(struct xl_memo *m, uint64_t file, uint64_t ino,
                      const struct xl_holder *holder, uint32_t descriptors);
void xl_memo_add_cred(struct xl_memo *m, uint64_t cred, const struct xw_task *t);
/* Room for what is now known of the file's group, in place of what was. */
struct xl_memo_group *xl_memo_new_group(struct xl_memo *m, uint64_t file, uint64_t ino);

#endif
