// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "os/linux/holdermemo.h"

#include <stdlib.h>

#define MEMORY_MIN (64u << 10)

/* An entry of a set by its key, or else the one that was used longest ago. */
#define FIND(set, is_it, at)                                                                       \
    do {                                                                                           \
        (at) = (set);                                                                              \
        for (int way = 0; way < XL_MEMO_WAYS; way++) {                                             \
            if ((set)[way].is_it) {                                                                \
                (at) = &(set)[way];                                                                \
                break;                                                                             \
            }                                                                                      \
            if ((set)[way].used < (at)->used)                                                      \
                (at) = &(set)[way];                                                                \
        }                                                                                          \
    } while (0)

static size_t set_of(uint64_t key, uint32_t sets)
{
    return ((key * 0x9e3779b97f4a7c15u >> 32) & (sets - 1)) * XL_MEMO_WAYS;
}

static uint32_t power_of_two(size_t n)
{
    uint32_t p = 1;
    while ((size_t)p * 2 <= n && p < 1u << 24)
        p *= 2;
    return p;
}

static void *sets_of(size_t memory, size_t entry, uint32_t *sets)
{
    *sets = power_of_two(memory / (XL_MEMO_WAYS * entry));
    return calloc(*sets, XL_MEMO_WAYS * entry);
}

bool xl_memo_init(struct xl_memo *m, size_t memory)
{
    *m = (struct xl_memo){0};
    if (memory < MEMORY_MIN)
        memory = MEMORY_MIN;
    m->last = sets_of(memory / 8 * 5, sizeof(*m->last), &m->last_sets);
    m->creds = sets_of(memory / 8, sizeof(*m->creds), &m->cred_sets);
    m->groups = sets_of(memory / 4, sizeof(*m->groups), &m->group_sets);
    if (m->last && m->creds && m->groups)
        return true;
    xl_memo_fini(m);
    return false;
}

void xl_memo_fini(struct xl_memo *m)
{
    free(m->last);
    free(m->creds);
    free(m->groups);
    *m = (struct xl_memo){0};
}

struct xl_memo_last *xl_memo_last(const struct xl_memo *m, uint64_t file)
{
    return m->last + set_of(file, m->last_sets);
}

struct xl_memo_cred *xl_memo_cred(const struct xl_memo *m, uint64_t cred)
{
    return m->creds + set_of(cred, m->cred_sets);
}

struct xl_memo_group *xl_memo_group(struct xl_memo *m, uint64_t file, uint64_t ino)
{
    struct xl_memo_group *set = m->groups + set_of(file, m->group_sets);
    for (int i = 0; i < XL_MEMO_WAYS; i++)
        if (set[i].file == file && set[i].ino == ino && set[i].n) {
            set[i].used = ++m->clock;
            return &set[i];
        }
    return NULL;
}

void xl_memo_near(const struct xl_memo *m, uint64_t file)
{
    const struct xl_memo_last *set = xl_memo_last(m, file);
    for (int i = 0; i < XL_MEMO_WAYS; i++)
        __builtin_prefetch(&set[i]);
    __builtin_prefetch(m->groups + set_of(file, m->group_sets));
}

void xl_memo_add_last(struct xl_memo *m, uint64_t file, uint64_t ino,
                      const struct xl_holder *holder, uint32_t descriptors)
{
    struct xl_memo_last *set = xl_memo_last(m, file), *at;
    FIND(set, file == file && set[way].holder.task == holder->task, at);
    *at = (struct xl_memo_last){.file = file,
                                .ino = ino,
                                .holder = *holder,
                                .descriptors = descriptors,
                                .used = ++m->clock};
}

void xl_memo_add_cred(struct xl_memo *m, uint64_t cred, const struct xw_task *t)
{
    struct xl_memo_cred *set = xl_memo_cred(m, cred), *at;
    FIND(set, cred == cred, at);
    *at = (struct xl_memo_cred){.cred = cred,
                                .task = t->addr,
                                .start_ns = t->start_ns,
                                .pid = (int32_t)t->tgid,
                                .used = ++m->clock};
}

struct xl_memo_group *xl_memo_new_group(struct xl_memo *m, uint64_t file, uint64_t ino)
{
    struct xl_memo_group *set = m->groups + set_of(file, m->group_sets), *at;
    FIND(set, file == file, at);
    *at = (struct xl_memo_group){.file = file, .ino = ino, .used = ++m->clock};
    return at;
}
