// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* xvmi filter where it was left out. */
#include <stdio.h>

#include "cli.h"

int cmd_filter(int argc, char **argv)
{
    (void)argc;
    fprintf(stderr, "%s: left out of this build, which takes -Dtc=enabled, clang and bpftool\n",
            argv[0]);
    return EXIT_NO_ANSWER;
}
