/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XVMI_CLI_FILTER_H
#define XVMI_CLI_FILTER_H

/* What the files of `xvmi filter` share. */

#include <stdbool.h>
#include <stdint.h>

#include <xvmi/filter.h>
#include <xvmi/owner.h>

#include "../tc/tc.h"
#include "cli.h"
#include "json.h"

struct filter_args {
    struct guest_args guest;
    const char *dev, *policy, *name, *learn, *events;
    enum xtc_miss miss;
    uint32_t queue; /* 0: not said */
    enum xtc_on_exit on_exit;
    bool dry_run;
};

/* What tells one boot of a guest from another: its kernel's place, and its first process. */
struct filter_boot {
    uint64_t kaslr_offset, phys_base, init, init_start;
    uint64_t clock; /* of the guest: it goes on while its kernel runs; 0: not known */
};

struct filter_session {
    const char *command; /* for messages */
    const struct filter_args *args;
    const char *name; /* the guest's, for the policy */
    struct xvmi_policy *policy;
    struct xvmi_cache *cache;
    struct xvmi_vm *vm;
    struct xvmi_finder *finder;
    struct xvmi_filter *filter;
    char dev[16];   /* the device that is filtered; a guest that restarts may get another */
    struct xtc *tc; /* NULL while it is awaited */
    int links;      /* meanwhile: xtc_links_open() */
    struct xtc_stats before; /* of devices that went */
    struct xvmi_nic *nics;   /* of the guest, n_nics of them */
    size_t n_nics;
    uint8_t nic;              /* the one that is filtered */
    bool nic_known;           /* it is: the guest has none by the device's name otherwise */
    struct filter_boot boot;  /* of the kernel that was looked into last */
    uint64_t tried;           /* when a kernel was looked for last */
    uint64_t tended;          /* when processes were looked at last, so that they are known */
    uint32_t tend_turns;      /* since */
    uint64_t clock, clock_at; /* the guest's clock when it was looked at, and by ours */
    int signals;              /* signalfd */
    int life;                 /* xvmi_vm_event_fd(); -1: the guest does not tell */
    int epoll;
    int events;   /* -1: none */
    char *unsent; /* of the last line, from unsent_at: the rest of it goes first */
    size_t unsent_at, unsent_len;
    uint64_t events_lost;
    bool suspect; /* a look-up failed as they do when the guest was reset */
    bool hinted;  /* maybe another kernel runs */
    bool stale;   /* it was, and its new kernel was not found yet */
    bool done;
};

/* filter-guest.c: a guest may be reset, run another kernel, get devices, end. */
void filter_watch(const struct filter_session *s, int fd);
/* At the beginning: its devices, its boot. */
void filter_know_guest(struct filter_session *s);
void filter_hear_guest(struct filter_session *s);
/* Look whether it is still the guest that we know. */
void filter_look_again(struct filter_session *s);
/* While it boots: look for its kernel, not too often. */
void filter_find_kernel(struct filter_session *s);
/* Before frames are decided about: does the kernel that we know run? */
void filter_check_kernel(struct filter_session *s);
/* Nothing waits: get to know more processes. False: it is not time, or all are known. */
bool filter_tend(struct filter_session *s);
/* How long the loop may wait, in ms. */
int filter_patience(const struct filter_session *s);
/* Its devices, as they are now. */
void filter_read_nics(struct filter_session *s);
/* It is reset: what was decided is void until its kernel is found. */
void filter_be_stale(struct filter_session *s);
/* It is no more. */
void filter_guest_ended(struct filter_session *s);

/* filter-device.c: its network device, which may go and come back with it. */
XVMI_CHECKED enum xvmi_status filter_open_device(struct filter_session *s, struct xvmi_error *err);
void filter_lose_device(struct filter_session *s);
/* While it is away: look for it. */
void filter_find_device(struct filter_session *s);
/* xtc_renew() */
XVMI_CHECKED enum xvmi_status filter_renew(struct filter_session *s, struct xvmi_error *err);
/* xtc_stats(), of all devices since the beginning. */
void filter_stats(struct filter_session *s, struct xtc_stats *stats);

/* xtc_options.policy: the policy, and which of its blocks. */
uint64_t filter_decider(const struct filter_session *s);
/* xtc_options.event */
void filter_event(void *session, const struct xvmi_filter_event *event);
/* Something that is not about a frame: a line on stderr, and an event {time, vm, event, text}. */
void filter_note(struct filter_session *s, const char *what, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void filter_open_events(struct filter_session *s);
void filter_close_events(struct filter_session *s);
/* On stderr; one JSON object with --json. */
void filter_print_counters(struct filter_session *s);
/* What was learned so far, if it is to be; the file is replaced as a whole. False: it could not
 * be written, which was said. */
bool filter_write_learned(struct filter_session *s);

#endif
