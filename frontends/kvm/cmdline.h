/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XK_CMDLINE_H
#define XK_CMDLINE_H

/*
 * What a QEMU command line tells: where the QMP sockets are, and for plain machines where RAM
 * lies in the guest. Does no I/O; any text is safe.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <xvmi/error.h>

/* Arguments one behind the other, each with its NUL, as /proc/PID/cmdline has them. The last
 * byte is NUL. */
struct xk_cmdline {
    const char *text;
    size_t len;
};

#define XK_PATH_MAX 4096

/* The value of the next option called `name`, with one dash or two; `rest` goes on behind it.
 * NULL when there is no other. */
const char *xk_cmdline_option(struct xk_cmdline *rest, const char *name);

/* The value of `key` in "a=b,key=value,..."; a comma in a value is doubled. With key NULL: what
 * stands first. False when there is none or it does not fit. */
bool xk_cmdline_property(const char *list, const char *key, char *value, size_t size);

/* The path of QMP socket number `index` that QEMU listens at, as it stands on the command line:
 * relative paths count from QEMU's working directory. XVMI_ERR_NOT_FOUND past the last. */
XVMI_CHECKED enum xvmi_status xk_cmdline_qmp(struct xk_cmdline cmdline, unsigned index,
                                             char path[XK_PATH_MAX]);

/* RAM of a machine: [0, low) and [4 GiB, 4 GiB + size - low), one behind the other on the host. */
struct xk_machine {
    uint64_t size, low;
};

/* XVMI_ERR_UNSUPPORTED, with the reason, when the command line alone does not tell: NUMA nodes,
 * memory hotplug, other machines than pc, q35 and microvm, configuration from files. */
XVMI_CHECKED enum xvmi_status xk_cmdline_machine(struct xk_cmdline cmdline,
                                                 struct xk_machine *machine,
                                                 struct xvmi_error *err);

#endif
