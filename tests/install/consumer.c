// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* The least that a program outside can be: built with what pkg-config says, and nothing else. */
#include <stdio.h>
#include <string.h>

#include <xvmi/error.h>
#include <xvmi/version.h>

int main(int argc, char **argv)
{
    struct xvmi_error err = XVMI_ERROR_INIT;
    xvmi_error_set(&err, XVMI_ERR_NOT_FOUND, "no %s", "such thing");
    xvmi_error_frame(&err, err.status, "looking");
    printf("libxvmi %s: %s\n", xvmi_version(), err.text);
    return argc != 2 || strcmp(argv[1], xvmi_version()) != 0 ||
           strcmp(err.text, "looking: no such thing") != 0;
}
