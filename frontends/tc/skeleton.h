/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XTC_SKELETON_H
#define XTC_SKELETON_H

/* The BPF object as C, which bpftool writes its own way. */

#include "shared.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#include "tc.skel.h"
#pragma GCC diagnostic pop

#endif
