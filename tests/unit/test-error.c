// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <string.h>

#include <criterion/criterion.h>

#include <xvmi/error.h>

Test(error, frames_go_in_front)
{
    struct xvmi_error err = XVMI_ERROR_INIT;
    cr_assert_eq(xvmi_error_set(&err, XVMI_ERR_NOT_PRESENT, "page %#x not present", 0x1000),
                 XVMI_ERR_NOT_PRESENT);
    cr_assert_eq(xvmi_error_frame(&err, XVMI_ERR_NOT_PRESENT, "task %d", 7), XVMI_ERR_NOT_PRESENT);
    xvmi_error_frame(&err, XVMI_ERR_NOT_PRESENT, "listing tasks");
    cr_assert_str_eq(err.text, "listing tasks: task 7: page 0x1000 not present");
    cr_assert_eq(err.status, XVMI_ERR_NOT_PRESENT);
}

Test(error, no_text_wanted)
{
    cr_assert_eq(xvmi_error_set(NULL, XVMI_ERR_IO, "x"), XVMI_ERR_IO);
    cr_assert_eq(xvmi_error_frame(NULL, XVMI_ERR_IO, "x"), XVMI_ERR_IO);
}

Test(error, long_story_keeps_outer_frames)
{
    struct xvmi_error err = XVMI_ERROR_INIT;
    char inner[2 * XVMI_ERROR_TEXT_MAX];
    memset(inner, 'i', sizeof(inner) - 1);
    inner[sizeof(inner) - 1] = 0;
    xvmi_error_set(&err, XVMI_ERR_FORMAT, "%s", inner);
    xvmi_error_frame(&err, XVMI_ERR_FORMAT, "outer");
    cr_assert_eq(strlen(err.text), XVMI_ERROR_TEXT_MAX - 1);
    cr_assert_eq(strncmp(err.text, "outer: iii", 10), 0);
}

Test(error, guest_names_cannot_steer_a_terminal)
{
    struct xvmi_error err = XVMI_ERROR_INIT;
    xvmi_error_set(&err, XVMI_ERR_FORMAT, "comm '%s'", "a\033[31m\n");
    cr_assert_str_eq(err.text, "comm 'a?[31m?'");
}

Test(error, every_status_has_a_name)
{
    for (int s = XVMI_OK; s >= XVMI_ERR_TIMEOUT; s--)
        cr_assert_str_neq(xvmi_status_text((enum xvmi_status)s), "unknown status");
    cr_assert_str_eq(xvmi_status_text((enum xvmi_status)1), "unknown status");
}
