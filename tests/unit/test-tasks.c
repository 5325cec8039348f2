// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "os/linux/task.h"
#include "support/linux-guest.h"

static struct lw lw;
static struct lw_guest g;
static struct xvmi_task *tasks;
static size_t n;

static void set_up(void)
{
    lw_init(&lw, 1 << 20);
}

static void tear_down(void)
{
    free(tasks);
    tasks = NULL;
    lw_guest_close(&g);
    lw_fini(&lw);
}

TestSuite(tasks, .init = set_up, .fini = tear_down);

static void expect_pids(const int *pids, size_t count)
{
    cr_assert_eq(xl_task_list(&g.guest, &tasks, &n), XVMI_OK, "%s", g.err.text);
    cr_assert_eq(n, count, "%zu tasks", n);
    for (size_t i = 0; i < count; i++)
        cr_assert_eq(tasks[i].pid, pids[i], "task %zu is %d", i, tasks[i].pid);
}

static void expect_error(enum xvmi_status status, const char *text)
{
    cr_assert_eq(xl_task_list(&g.guest, &tasks, &n), status);
    cr_assert_str_eq(g.err.text, text);
}

static uint64_t node(uint64_t task)
{
    return task + lw.lay.task_tasks.off;
}

Test(tasks, lists_every_fact)
{
    uint64_t init = lw_task(&lw, 1, "init", 0, 8), task = lw_task(&lw, 42, "worker", 1000, 8);
    lw_put(&lw, task, task_real_parent, init);
    lw_put(&lw, task, task_mm, LW_BASE + 0x100);
    lw_put(&lw, task, task_exit_state, 16);
    uint64_t kernel = lw_task(&lw, 43, "kworker/0:0-eve", 0, 8);
    lw_put(&lw, kernel, task_flags, XW_PF_KTHREAD | 0x40);
    lw_put(&lw, kernel, task_mm, LW_BASE + 0x100); /* borrowed */
    lw_guest_open(&g, &lw, true);
    expect_pids((int[]){1, 42, 43}, 3);
    const struct xvmi_task *t = &tasks[1];
    cr_assert_eq(t->addr, task);
    cr_assert_eq(t->mm, LW_BASE + 0x100);
    cr_assert_eq(t->start_ns, 42000);
    cr_assert_eq(t->ppid, 1);
    cr_assert_eq(t->nspid, 42);
    cr_assert_eq(t->uid, 1000);
    cr_assert_eq(t->euid, 1000);
    cr_assert_eq(t->gid, 0);
    cr_assert_eq(t->threads, 1);
    cr_assert_eq(t->netns, 4026531840u);
    cr_assert_eq(t->flags, XVMI_TASK_EXITING);
    cr_assert_str_eq(t->comm, "worker");
    cr_assert_eq(tasks[2].flags, XVMI_TASK_KERNEL);
    cr_assert_eq(tasks[2].mm, 0);
    cr_assert_str_eq(tasks[2].comm, "kworker/0:0-eve");
}

Test(tasks, none_but_init)
{
    lw_guest_open(&g, &lw, true);
    expect_pids(NULL, 0);
}

Test(tasks, a_ring_without_init_is_an_error)
{
    uint64_t a = lw_task(&lw, 1, "a", 0, 8), b = lw_task(&lw, 2, "b", 0, 8);
    lw_set(&lw, node(b), node(a)); /* a <-> b, seen from both sides */
    lw_set(&lw, node(a) + 8, node(b));
    lw_guest_open(&g, &lw, true);
    cr_assert_eq(xl_task_list(&g.guest, &tasks, &n), XVMI_ERR_CHANGED);
    cr_assert_eq(strncmp(g.err.text, "listing tasks: after task 0x", 28), 0, "%s", g.err.text);
}

Test(tasks, a_circle_behind_a_good_start_is_an_error)
{
    uint64_t a = lw_task(&lw, 1, "a", 0, 8), b = lw_task(&lw, 2, "b", 0, 8);
    (void)a;
    lw_set(&lw, node(b), node(b));
    lw_set(&lw, node(b) + 8, node(b));
    lw_guest_open(&g, &lw, true);
    cr_assert_neq(xl_task_list(&g.guest, &tasks, &n), XVMI_OK);
}

Test(tasks, a_link_to_nowhere_names_the_field)
{
    uint64_t a = lw_task(&lw, 1, "a", 0, 8);
    lw_put(&lw, a, task_real_cred, 0xffff999900000000u);
    lw_guest_open(&g, &lw, true);
    cr_assert_eq(xl_task_list(&g.guest, &tasks, &n), XVMI_ERR_NOT_PRESENT);
    cr_assert(strstr(g.err.text, "cred.uid of 0xffff999900000000: "), "%s", g.err.text);
    cr_assert_eq(strncmp(g.err.text, "listing tasks: after task 0x", 28), 0, "%s", g.err.text);
}

Test(tasks, next_is_no_pointer)
{
    uint64_t a = lw_task(&lw, 1, "a", 0, 8);
    lw_set(&lw, node(a), 0x1234);
    lw_guest_open(&g, &lw, true);
    char text[128];
    snprintf(text, sizeof(text),
             "listing tasks: after task 0x%llx (1 found): task_struct.tasks of 0x%llx: "
             "impossible value",
             (unsigned long long)a, (unsigned long long)a);
    expect_error(XVMI_ERR_FORMAT, text);
}

/* --- changes under the reader --- */

static uint64_t victim, heir;

/* The second task goes away and its memory is reused while the list is read. */
static void free_victim(struct lw_guest *guest, unsigned reads)
{
    if (reads != 3)
        return;
    lw_unlink_task(guest->lw, victim);
    memset(lw_at(guest->lw, victim), 0x5a, guest->lw->lay.size_task);
}

Test(tasks, a_task_that_is_freed_meanwhile_is_left_out)
{
    lw_task(&lw, 1, "a", 0, 512); /* a page and more each */
    victim = lw_task(&lw, 2, "b", 0, 512);
    lw_task(&lw, 3, "c", 0, 512);
    lw_guest_open(&g, &lw, false);
    g.hook = free_victim;
    expect_pids((int[]){1, 3}, 2);
}

/* A new task arrives when the first page is read. */
static void fork_late(struct lw_guest *guest, unsigned reads)
{
    if (reads == 2)
        heir = lw_task(guest->lw, 9, "late", 0, 8);
}

Test(tasks, what_lives_through_the_walk_is_there_once)
{
    lw_task(&lw, 1, "a", 0, 512);
    lw_task(&lw, 2, "b", 0, 512);
    lw_task(&lw, 3, "c", 0, 512);
    lw_guest_open(&g, &lw, false);
    g.hook = fork_late;
    cr_assert_eq(xl_task_list(&g.guest, &tasks, &n), XVMI_OK, "%s", g.err.text);
    cr_assert_geq(n, 3);
    for (size_t i = 0; i < 3; i++)
        cr_assert_eq(tasks[i].pid, (int)i + 1);
    if (n == 4)
        cr_assert_eq(tasks[3].addr, heir);
}

static void write_clock(uint32_t seq)
{
    uint64_t at = lw_alloc(&lw, 256);
    lw.sym.sym_tk_core = at;
    lw.lay.tk_base = (struct xw_field){16, 8, 0, 0};
    lw.lay.tk_nsec = (struct xw_field){24, 8, 0, 0};
    lw.lay.tk_shift = (struct xw_field){32, 4, 0, 0};
    lw.lay.tk_offs_boot = (struct xw_field){40, 8, 0, 0};
    lw_set(&lw, at, seq);
    lw_put(&lw, at + 8, tk_base, 5000000000u);
    lw_put(&lw, at + 8, tk_nsec, 700u << 8);
    lw_put(&lw, at + 8, tk_shift, 8);
    lw_put(&lw, at + 8, tk_offs_boot, 3000000000u);
}

Test(tasks, the_guest_s_clock)
{
    uint64_t ns = 0;
    write_clock(2);
    lw_guest_open(&g, &lw, true);
    cr_assert_eq(xl_clock(&g.guest, &ns), XVMI_OK, "%s", g.err.text);
    cr_assert_eq(ns, 8000000700u);
}

Test(tasks, a_clock_that_is_being_set_is_not_believed)
{
    uint64_t ns = 0;
    write_clock(3);
    lw_guest_open(&g, &lw, true);
    cr_assert_eq(xl_clock(&g.guest, &ns), XVMI_ERR_CHANGED);
    g.guest.sym.sym_tk_core = 0;
    cr_assert_eq(xl_clock(&g.guest, &ns), XVMI_ERR_UNSUPPORTED);
}

/* --- the path of the executable --- */

static uint64_t dentry(const char *name, uint64_t parent)
{
    uint64_t d = lw_alloc(&lw, 128), text = lw_alloc(&lw, 64);
    memcpy(lw_at(&lw, text), name, strlen(name));
    lw_put(&lw, d, dentry_name, text);
    lw_put(&lw, d, dentry_len, strlen(name));
    lw_put(&lw, d, dentry_parent, parent ? parent : d);
    return d;
}

/* A file system mounted at `at` of `parent`; 0: nowhere. */
static uint64_t mounted(uint64_t root, uint64_t parent, uint64_t at)
{
    uint64_t mount = lw_alloc(&lw, 256);
    lw_put(&lw, mount + lw.lay.mount_mnt.off, vfsmount_root, root);
    lw_put(&lw, mount, mount_parent, parent ? parent : mount);
    lw_put(&lw, mount, mount_mountpoint, at ? at : root);
    return mount;
}

static void expect_exe(uint64_t mount, uint64_t of, const char *path)
{
    char buf[XVMI_PATH_MAX];
    uint64_t mm = lw_alloc(&lw, 256), file = lw_alloc(&lw, 256);
    uint64_t task = lw_task(&lw, 42, "worker", 1000, 8);
    struct xvmi_task t = {.addr = task, .pid = 42, .start_ns = 42000};
    lw_put(&lw, task, task_mm, mm);
    lw_put(&lw, mm, mm_exe_file, file);
    lw_put(&lw, file, file_mnt, mount + lw.lay.mount_mnt.off);
    lw_put(&lw, file, file_dentry, of);
    lw_guest_open(&g, &lw, true);
    cr_assert_eq(xl_task_exe(&g.guest, &t, buf, sizeof(buf)), XVMI_OK, "%s", g.err.text);
    cr_assert_str_eq(buf, path);
}

Test(tasks, exe_on_a_mount)
{
    uint64_t top = dentry("/", 0), bin = dentry("bin", top), own = dentry("/", 0);
    uint64_t program = dentry("program", own), mount = mounted(own, mounted(top, 0, 0), bin);
    lw_put(&lw, program, dentry_hash, LW_BASE);
    expect_exe(mount, program, "/bin/program");
}

Test(tasks, exe_deleted)
{
    uint64_t top = dentry("/", 0), program = dentry("program", top);
    expect_exe(mounted(top, 0, 0), program, "/program (deleted)");
}

/* memfd_create(): a root that no mount begins at, with a name. */
Test(tasks, exe_in_no_directory)
{
    expect_exe(mounted(dentry("/", 0), 0, 0), dentry("memfd:a/b", 0), "/memfd:a/b (deleted)");
}

/* open_by_handle_at(): a dentry that is not connected to the tree. */
Test(tasks, exe_disconnected)
{
    expect_exe(mounted(dentry("/", 0), 0, 0), dentry("/", 0), "/");
}
