// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* The handle on a guest that has not booted: what can be asked for, and what cannot. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include <xvmi/owner.h>
#include <xvmi/socket.h>
#include <xvmi/task.h>
#include <xvmi/vm.h>

static char uri[64];

/* RAM that nobody has written to. */
static void set_up(void)
{
    strcpy(uri, "file:/tmp/xvmi-test-vm-XXXXXX");
    int fd = mkstemp(uri + strlen("file:"));
    cr_assert(fd >= 0 && !ftruncate(fd, 16 << 20));
    close(fd);
}

static void tear_down(void)
{
    unlink(uri + strlen("file:"));
}

static enum xvmi_status open_it(bool unbooted, struct xvmi_vm **vm, struct xvmi_error *err)
{
    const struct xvmi_vm_options how = {
        .size = sizeof(how), .no_cache = true, .unbooted = unbooted};
    return xvmi_vm_open(uri, &how, vm, err);
}

Test(vm, without_a_kernel_it_is_not_opened, .init = set_up, .fini = tear_down)
{
    struct xvmi_error err = XVMI_ERROR_INIT;
    struct xvmi_vm *vm;
    cr_assert_eq(open_it(false, &vm, &err), XVMI_ERR_UNSUPPORTED, "%s", err.text);
    cr_assert_null(vm);
}

Test(vm, one_that_has_not_booted_is_opened_when_asked_for, .init = set_up, .fini = tear_down)
{
    struct xvmi_error err = XVMI_ERROR_INIT;
    struct xvmi_vm_info info = {.size = sizeof(info)};
    struct xvmi_vm_stats stats = {.size = sizeof(stats)};
    struct xvmi_vm *vm;
    uint64_t value = 1;
    char byte = 1;
    cr_assert_eq(open_it(true, &vm, &err), XVMI_OK, "%s", err.text);
    cr_expect(strstr(xvmi_vm_error(vm), "no Linux kernel found"), "%s", xvmi_vm_error(vm));
    xvmi_vm_info(vm, &info);
    cr_expect_eq(info.memory_bytes, 16u << 20);
    cr_expect_str_empty(info.release);
    cr_expect_null(xvmi_vm_profile(vm));
    xvmi_vm_stats(vm, &stats);
    cr_expect_eq(stats.reads, 0);
    cr_expect_eq(xvmi_vm_read_physical(vm, 4096, &byte, 1), XVMI_OK);
    cr_expect_eq(byte, 0);

    const enum xvmi_status none = XVMI_ERR_CHANGED;
    cr_expect_eq(xvmi_vm_read_u64(vm, 0xffffffff81000000, &value), none);
    cr_expect_eq(xvmi_vm_translate(vm, 0xffffffff81000000, &value), none);
    cr_expect_eq(xvmi_vm_symbol(vm, "init_task", &value), none);
    cr_expect_eq(xvmi_task_clock(vm, &value), none);
    cr_expect(strstr(xvmi_vm_error(vm), "no kernel was found yet"), "%s", xvmi_vm_error(vm));
    struct xvmi_task *tasks;
    struct xvmi_socket *sockets;
    struct xvmi_finder *finder;
    struct xvmi_owner_scan *scan;
    size_t n;
    cr_expect_eq(xvmi_task_list(vm, &tasks, &n), none);
    cr_expect_eq(xvmi_socket_list(vm, 0, &sockets, &n), none);
    cr_expect_eq(xvmi_owner_scan_new(vm, &scan), none);
    cr_expect_null(scan);
    cr_expect_eq(xvmi_finder_new(vm, NULL, &finder), none);
    cr_expect_null(finder);
    cr_expect_eq(xvmi_vm_refresh(vm), none);
    cr_expect(strstr(xvmi_vm_error(vm), "no kernel was found yet"), "%s", xvmi_vm_error(vm));
    cr_expect_eq(xvmi_vm_reattach(vm, NULL), XVMI_ERR_UNSUPPORTED);
    cr_expect_eq(xvmi_task_list(vm, &tasks, &n), none);
    xvmi_vm_close(vm);
}

/* Waiting is for guests that can be reached. */
Test(vm, a_guest_that_cannot_be_reached_is_an_error, .init = set_up, .fini = tear_down)
{
    struct xvmi_error err = XVMI_ERROR_INIT;
    struct xvmi_vm *vm;
    strcpy(uri, "file:/nonexistent");
    cr_assert_eq(open_it(true, &vm, &err), XVMI_ERR_NOT_FOUND, "%s", err.text);
    cr_assert_null(vm);
}
