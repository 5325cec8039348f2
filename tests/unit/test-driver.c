// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "mem/mem.h"

/* Drivers are built beside this program; see meson.build. */
static void use_test_drivers(void)
{
    setenv("XVMI_DRIVER_PATH", "/nowhere::" TEST_DRIVER_DIR, 1);
}

static void refused(const char *uri, enum xvmi_status status, const char *text)
{
    struct xvmi_error err = XVMI_ERROR_INIT;
    struct xm_mem *mem;
    cr_assert_eq(xm_open(uri, &mem, &err), status, "%s", err.text);
    cr_assert_null(mem);
    cr_assert_str_eq(err.text, text);
}

Test(driver, is_loaded_by_scheme, .init = use_test_drivers)
{
    struct xvmi_error err = XVMI_ERROR_INIT;
    for (int i = 0; i < 2; i++) {
        struct xm_mem *mem;
        cr_assert_eq(xm_open("testing:xyz", &mem, &err), XVMI_OK, "%s", err.text);
        char text[4] = "";
        cr_assert_eq(xm_read(mem, 0x1ffd, text, 3, &err), XVMI_OK, "%s", err.text);
        cr_assert_str_eq(text, "xxx");
        cr_assert_str_eq(xm_name(mem), "testing:xyz");
        xm_close(mem);
    }
}

Test(driver, says_no, .init = use_test_drivers)
{
    refused("testing:nothing", XVMI_ERR_PERMISSION, "the driver says no");
}

Test(driver, of_another_interface, .init = use_test_drivers)
{
    refused("test-abi:x", XVMI_ERR_UNSUPPORTED,
            "driver " TEST_DRIVER_DIR "/xvmi-driver-test-abi.so was built for driver interface "
            "77, this library has 1: install matching versions");
}

Test(driver, of_another_scheme, .init = use_test_drivers)
{
    refused("test-other:x", XVMI_ERR_UNSUPPORTED,
            "driver " TEST_DRIVER_DIR "/xvmi-driver-test-other.so does not serve 'test-other:'");
}

Test(driver, is_missing)
{
    unsetenv("XVMI_DRIVER_PATH");
    refused("qemu-x:1", XVMI_ERR_NOT_FOUND,
            "no driver for 'qemu-x:': xvmi-driver-qemu-x.so is not in " XVMI_DRIVER_DIR
            ": install the driver package");
    setenv("XVMI_DRIVER_PATH", "/a:/b", 1);
    refused("absent:1", XVMI_ERR_NOT_FOUND,
            "no driver for 'absent:': xvmi-driver-absent.so is not in /a:/b or " XVMI_DRIVER_DIR
            ": install the driver package");
}

Test(driver, is_no_driver)
{
    char dir[] = "/tmp/xvmi-driver-XXXXXX", path[64];
    cr_assert_not_null(mkdtemp(dir));
    setenv("XVMI_DRIVER_PATH", dir, 1);
    snprintf(path, sizeof(path), "%s/xvmi-driver-junk.so", dir);
    FILE *f = fopen(path, "w");
    fputs("junk", f);
    fclose(f);
    struct xvmi_error err = XVMI_ERROR_INIT;
    struct xm_mem *mem;
    cr_expect_eq(xm_open("junk:1", &mem, &err), XVMI_ERR_UNSUPPORTED);
    char want[200];
    snprintf(want, sizeof(want), "driver %s does not load: %s: ", path, path);
    cr_expect_eq(strncmp(err.text, want, strlen(want)), 0, "%s", err.text);
    unlink(path);
    rmdir(dir);
}

Test(driver, scheme_cannot_leave_the_folder)
{
    refused("../../tmp/x:1", XVMI_ERR_INVALID,
            "'../../tmp/x' cannot be a scheme: use lower-case letters, digits and '-'");
    refused("Qemu:1", XVMI_ERR_INVALID,
            "'Qemu' cannot be a scheme: use lower-case letters, digits and '-'");
    refused("a-scheme-that-is-much-longer-than-any:1", XVMI_ERR_INVALID,
            "'a-scheme-that-is-much-longer-than-any' cannot be a scheme: use lower-case letters, "
            "digits and '-'");
}

Test(driver, uri_without_scheme_or_rest)
{
    const char *rest = "does not name a guest: write file:PATH, qemu:QMP-SOCKET, "
                       "qemu:pid=N or xen:NAME";
    static const char *const uris[] = {"", ":", "file", "file:", ":x", "/tmp/dump"};
    for (size_t i = 0; i < sizeof(uris) / sizeof(uris[0]); i++) {
        char want[200];
        snprintf(want, sizeof(want), "'%s' %s", uris[i], rest);
        refused(uris[i], XVMI_ERR_INVALID, want);
    }
}
