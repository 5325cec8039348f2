// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * The guest that is filtered, through its life. What was decided holds for one boot of it: when
 * it is reset, nothing of that is used again, and until its new kernel is found the policy says
 * (`unreadable`) what becomes of its packets.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>

#include "filter.h"

#define MS 1000000u
/* Processes are looked at so often, with so many reads before frames have their turn, and so many
 * turns before others go on the next time. */
#define TEND_MS    1000
#define TEND_READS 500
#define TEND_TURNS 64
/* Between looks for a kernel. */
#define STALE_MS 250
/* Between looks because of hints: a guest can give as many as it likes. */
#define HINT_MS 1000
/* The guest's clock: how often it is looked at, how far it may be behind, and by how much slower it
 * may go. */
#define CLOCK_MS    20
#define LAG_MS      150
#define LAG_PART    64
#define BASELINE_MS 1000

static uint64_t now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

void filter_watch(const struct filter_session *s, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    if (fd >= 0 && epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &event))
        fail(s->command, XVMI_ERR_IO, must_printf("epoll: %s", strerror(errno)));
}

/* ---- which boot it is ---- */

/* False when it has no first process yet, or that cannot be read. */
static bool read_boot(struct xvmi_vm *vm, struct filter_boot *boot)
{
    struct xvmi_vm_info info = {.size = sizeof(info)};
    struct xvmi_task *tasks = NULL;
    size_t n = 0;
    xvmi_vm_info(vm, &info);
    *boot = (struct filter_boot){.kaslr_offset = info.kaslr_offset, .phys_base = info.phys_base};
    if (xvmi_task_clock(vm, &boot->clock))
        boot->clock = 0;
    if (xvmi_task_list(vm, &tasks, &n))
        return false;
    for (size_t i = 0; i < n; i++)
        if (tasks[i].pid == 1) {
            boot->init = tasks[i].addr;
            boot->init_start = tasks[i].start_ns;
        }
    free(tasks);
    return boot->init;
}

static bool is_same(const struct filter_boot *a, const struct filter_boot *b)
{
    return a->kaslr_offset == b->kaslr_offset && a->phys_base == b->phys_base &&
           a->init == b->init && a->init_start == b->init_start;
}

/*
 * After a reset the old kernel lies in memory until something is written there, and looks alive.
 * It is another boot when it differs; or when its clock goes on.
 */
static bool is_alive(const struct filter_boot *before, const struct filter_boot *now)
{
    return !is_same(before, now) || before->clock != now->clock;
}

/* ---- devices ---- */

void filter_read_nics(struct filter_session *s)
{
    struct xvmi_nic *nics;
    size_t n;
    if (xvmi_vm_nics(s->vm, &nics, &n))
        return;
    free(s->nics);
    s->nics = nics;
    s->n_nics = n;
}

/* Another guest's frames would be judged by what this one's memory says. It may be right all the
 * same: a veth that leads to the guest, a device that was moved and renamed. */
static void doubt_device(struct filter_session *s)
{
    char names[128] = "none that is known";
    size_t used = 0;
    for (size_t i = 0; i < s->n_nics && used < sizeof(names); i++)
        if (*s->nics[i].dev)
            used += (size_t)snprintf(names + used, sizeof(names) - used, "%s%s", used ? ", " : "",
                                     s->nics[i].dev);
    filter_note(s, "other-device", "is %s the guest's device? Its hypervisor tells of: %s", s->dev,
                names);
}

void filter_know_guest(struct filter_session *s)
{
    s->stale = !xvmi_vm_profile(s->vm); /* it has not booted; why we think so is the last error */
    if (s->stale)
        filter_note(s, "waiting", "for a kernel to look into: %s", xvmi_vm_error(s->vm));
    if (xvmi_vm_event_fd(s->vm, &s->life)) {
        filter_note(s, "deaf", "what happens to the guest is not told: %s", xvmi_vm_error(s->vm));
        s->life = -1;
    }
    filter_read_nics(s);
    for (size_t i = 0; i < s->n_nics && i < UINT8_MAX; i++)
        if (!strncmp(s->nics[i].dev, s->dev, sizeof(s->nics[i].dev))) {
            s->nic = (uint8_t)i;
            s->nic_known = true;
        }
    if (s->n_nics && !s->nic_known)
        doubt_device(s);
    if (!s->stale)
        (void)read_boot(s->vm, &s->boot);
}

/* ---- resets ---- */

/* The filter is that of the guest as it is now: what was decided before is void, in the kernel
 * too. NULL: the guest has no kernel that is known. */
static void use_finder(struct filter_session *s, struct xvmi_finder *finder)
{
    struct xvmi_error err = XVMI_ERROR_INIT;
    xvmi_filter_set_finder(s->filter, finder);
    xvmi_finder_free(s->finder);
    s->finder = finder;
    if (filter_renew(s, &err))
        filter_note(s, "renew-failed", "%s", err.text);
}

void filter_be_stale(struct filter_session *s)
{
    if (s->stale)
        return;
    s->stale = true;
    s->tried = 0;
    use_finder(s, NULL);
}

static void attach(struct filter_session *s, const struct filter_boot *boot)
{
    struct xvmi_finder *finder;
    struct xvmi_vm_info info = {.size = sizeof(info)};
    if (xvmi_finder_new(s->vm, NULL, &finder)) {
        filter_note(s, "attach-failed", "%s", xvmi_vm_error(s->vm));
        return;
    }
    filter_read_nics(s); /* QEMU tells of the next change only to those who asked */
    s->boot = *boot;
    s->stale = s->hinted = false;
    s->clock_at = 0;
    use_finder(s, finder);
    xvmi_vm_info(s->vm, &info);
    filter_note(s, "attached", "the guest runs Linux %s", info.release);
}

void filter_guest_ended(struct filter_session *s)
{
    s->done = true;
    filter_note(s, "ended", "the guest ended");
}

static struct xvmi_vm_options options_of(const struct filter_session *s)
{
    return (struct xvmi_vm_options){.size = sizeof(struct xvmi_vm_options),
                                    .profile = s->args->guest.profile,
                                    .no_cache = s->args->guest.no_cache};
}

void filter_find_kernel(struct filter_session *s)
{
    struct xvmi_vm_options how = options_of(s);
    struct filter_boot boot;
    uint64_t now = now_ns();
    if (s->done || (s->tried && now - s->tried < STALE_MS * (uint64_t)MS))
        return;
    enum xvmi_status status = xvmi_vm_reattach(s->vm, &how);
    s->tried = now_ns();
    if (status == XVMI_ERR_GONE)
        filter_guest_ended(s);
    else if (!status && read_boot(s->vm, &boot) && is_alive(&s->boot, &boot) &&
             !xvmi_vm_refresh(s->vm))
        attach(s, &boot);
}

void filter_look_again(struct filter_session *s)
{
    s->suspect = false;
    enum xvmi_status status = xvmi_vm_refresh(s->vm);
    if (status == XVMI_ERR_GONE)
        filter_guest_ended(s);
    else if (status == XVMI_ERR_CHANGED)
        filter_be_stale(s);
}

/*
 * A kernel that runs keeps its clock, so one that stands still while ours goes on does not run:
 * another one was started in its place, by kexec, of which nobody tells. Or the guest idles. The
 * clock of an image always stands still.
 */
static void watch_clock(struct filter_session *s)
{
    uint64_t clock, now = now_ns(), passed = now - s->clock_at;
    if (passed < CLOCK_MS * (uint64_t)MS || !strncmp(s->args->guest.uri, "file:", 5) ||
        xvmi_vm_refresh(s->vm) || xvmi_task_clock(s->vm, &clock))
        return;
    uint64_t went = clock > s->clock ? clock - s->clock : 0;
    bool late = went + LAG_MS * (uint64_t)MS + passed / LAG_PART < passed;
    if (s->clock_at && !late && passed < BASELINE_MS * (uint64_t)MS)
        return;
    s->hinted |= s->clock_at && late;
    s->clock = clock;
    s->clock_at = now;
}

void filter_check_kernel(struct filter_session *s)
{
    struct xvmi_vm_options how = options_of(s);
    struct filter_boot boot;
    if (s->done || s->stale)
        return;
    watch_clock(s);
    uint64_t now = now_ns();
    if (!s->hinted || (s->tried && now - s->tried < HINT_MS * (uint64_t)MS))
        return;
    s->hinted = false;
    s->tried = now;
    filter_read_nics(s);
    if (xvmi_vm_reattach(s->vm, &how) || !read_boot(s->vm, &boot) || !is_same(&s->boot, &boot))
        filter_be_stale(s);
}

void filter_hear_guest(struct filter_session *s)
{
    enum xvmi_vm_event event;
    while (!s->done && !xvmi_vm_event(s->vm, &event) && event != XVMI_VM_NOTHING) {
        if (event == XVMI_VM_ENDED && xvmi_vm_refresh(s->vm) != XVMI_ERR_GONE) {
            filter_note(s, "off", "the guest is off, or cannot be heard any more");
            filter_be_stale(s);
            continue;
        }
        if (event == XVMI_VM_ENDED) {
            filter_guest_ended(s);
            return;
        }
        filter_note(s, xvmi_vm_event_text(event), "guest: %s", xvmi_vm_event_text(event));
        if (event == XVMI_VM_RESET)
            filter_be_stale(s);
        else if (event == XVMI_VM_MEMORY)
            filter_look_again(s);
        else if (event == XVMI_VM_DEVICES) /* that a kernel set up, another one maybe */
            s->hinted = true;
    }
}

bool filter_tend(struct filter_session *s)
{
    bool done;
    if (!s->finder || now_ns() - s->tended < TEND_MS * (uint64_t)MS ||
        xvmi_finder_tend(s->finder, TEND_READS, &done))
        return false;
    if (!done && ++s->tend_turns < TEND_TURNS)
        return true;
    s->tended = now_ns();
    s->tend_turns = 0;
    return false;
}

int filter_patience(const struct filter_session *s)
{
    return s->stale ? STALE_MS : TEND_MS;
}
