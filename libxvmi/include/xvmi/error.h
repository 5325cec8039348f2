/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XVMI_ERROR_H
#define XVMI_ERROR_H

/*
 * How libxvmi says that something did not work.
 *
 * Every call that can fail returns an enum xvmi_status: 0 is success, anything
 * negative is a reason a program can act on. The reason a person can act on is
 * text. It is built from the inside out: the place that failed writes the first
 * sentence, every caller that knows more puts a frame in front:
 *
 *     listing tasks: task 0xffff8f0c: cred: page not present (level 2, entry 17)
 *
 * Calls that have no handle yet take a struct xvmi_error of the caller; calls on
 * a handle keep theirs in it (xvmi_vm_error()). There is no global state: no
 * errno, no log callback, no last error of the process.
 */

#include <stdarg.h>

#include <xvmi/export.h>

#ifdef __cplusplus
extern "C" {
#endif

enum xvmi_status {
    XVMI_OK = 0,
    XVMI_ERR_NO_MEMORY = -1,   /* the host is out of memory */
    XVMI_ERR_INVALID = -2,     /* the caller passed something it must not */
    XVMI_ERR_NOT_FOUND = -3,   /* what was named does not exist */
    XVMI_ERR_NOT_PRESENT = -4, /* the guest address is not mapped, or nothing backs it */
    XVMI_ERR_FORMAT = -5,      /* a file or a guest structure contradicts itself */
    XVMI_ERR_LIMIT = -6,       /* a bound or a budget was reached */
    XVMI_ERR_CHANGED = -7,     /* the guest changed while we looked, retries included */
    XVMI_ERR_UNSUPPORTED = -8, /* well formed, but not something libxvmi can handle */
    XVMI_ERR_PERMISSION = -9,  /* the host refused access */
    XVMI_ERR_IO = -10,         /* reading or writing on the host failed */
    XVMI_ERR_MISMATCH = -11,   /* a profile does not fit this guest */
    XVMI_ERR_GONE = -12,       /* the guest or its hypervisor process ended */
    XVMI_ERR_TIMEOUT = -13,    /* no answer in time */
};

/* Longest text kept, terminating NUL included. A longer story loses its tail:
 * the outermost frames are kept, the innermost words are cut. */
#define XVMI_ERROR_TEXT_MAX 1000

/*
 * A caller-owned error. A plain value: initialise with XVMI_ERROR_INIT, copy and
 * drop it as you like. Where a function takes a `struct xvmi_error *`, NULL means
 * that the text is not wanted. The content is meaningful only after a call failed.
 */
struct xvmi_error {
    enum xvmi_status status;
    char text[XVMI_ERROR_TEXT_MAX];
};

#define XVMI_ERROR_INIT                                                                            \
    {                                                                                              \
        XVMI_OK, ""                                                                                \
    }

/* A short constant English name of a status ("not present"); never NULL. */
XVMI_PUBLIC const char *xvmi_status_text(enum xvmi_status status);

/* Start the story: store `status` and a formatted sentence without full stop or
 * newline. Returns `status`, so that a failing function can end with it. Control
 * characters in the text (names come from guests) are stored as '?'. */
XVMI_PUBLIC enum xvmi_status xvmi_error_set(struct xvmi_error *err, enum xvmi_status status,
                                            const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Put a frame ("FRAME: ") in front of the text of a call that failed with `status`.
 * Returns `status`, so that a caller can end with it. */
XVMI_PUBLIC enum xvmi_status xvmi_error_frame(struct xvmi_error *err, enum xvmi_status status,
                                              const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#ifdef __cplusplus
}
#endif
#endif
