// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * The parser of the packet path says what libxvmi's says, compiled for user space and inside the
 * kernel.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <criterion/criterion.h>

#include "filter/frame.h"
#include "support/tc-frames.h"
#include "tc/parse.h"

static int program = -1, results = -1;

/* The program for one direction. */
static struct bpf_object *load(int in)
{
    struct bpf_object *object = bpf_object__open_file(PARSE_BPF_OBJECT, NULL);
    struct bpf_map *map;
    size_t size;
    cr_assert_not_null(object);
    bpf_object__for_each_map(map, object) if (strstr(bpf_map__name(map), ".rodata"))
        memcpy((void *)bpf_map__initial_value(map, &size), &in, sizeof(in));
    cr_assert_eq(bpf_object__load(object), 0, "the verifier refuses the parser");
    bpf_object__for_each_map(map, object) if (strstr(bpf_map__name(map), ".bss")) results =
        bpf_map__fd(map);
    program = bpf_program__fd(bpf_object__find_program_by_name(object, "parse"));
    return object;
}

/* The kernel does not run programs on a frame whose IP header is cut short. */
#define REFUSED (-1)

/* 0: not plain, 1: plain, 2: and it opens the flow. */
static int in_kernel(const struct frame *f, struct xvmi_flow *flow)
{
    uint32_t key = 0;
    LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = f->data, .data_size_in = (uint32_t)f->len);
    int status = bpf_prog_test_run_opts(program, &opts);
    if (status == -EINVAL && f->len < 14 + 40)
        return REFUSED;
    cr_assert_eq(status, 0, "%d for %zu bytes", status, f->len);
    cr_assert_eq(bpf_map_lookup_elem(results, &key, flow), 0);
    return (int)opts.retval;
}

static int in_user_space(const struct frame *f, int in, struct xvmi_flow *flow)
{
    /* Exactly as long as it says: a sanitizer sees a read behind the end. */
    uint8_t *copy = malloc(f->len ? f->len : 1);
    int opens, plain;
    memcpy(copy, f->data, f->len);
    struct xtc_frame frame = {copy, copy + f->len, (uint32_t)f->len, 0, in};
    *flow = (struct xvmi_flow){.vm = 7, .direction = (uint8_t)in, .nic = 1};
    plain = xtc_parse(&frame, flow, &opens);
    free(copy);
    return !plain ? 0 : opens ? 2 : 1;
}

/* Whether the frame is plain. */
static int check(const struct frame *f, int in)
{
    struct xvmi_flow flow, other;
    struct xf_frame frame;
    int kernel, plain = in_user_space(f, in, &flow);
    if (program >= 0 && f->len >= 14 && (kernel = in_kernel(f, &other)) != REFUSED) {
        cr_assert_eq(kernel, plain);
        if (plain)
            cr_assert_arr_eq(&other, &flow, sizeof(flow));
    }
    if (!plain)
        return 0;
    xf_frame_parse(f->data, f->len, (enum xvmi_flow_direction)in, 7, 1, &frame);
    cr_assert_eq(frame.kind, XF_FRAME_PACKET);
    cr_assert_not(frame.fragmented);
    cr_assert_eq(frame.opens, plain == 2);
    cr_assert_arr_eq(&frame.packet.flow, &flow, sizeof(flow));
    return 1;
}

Test(tc_parse, what_is_plain)
{
    /* In the order of tc_frames(). */
    static const char plain[TC_FRAMES + 1] = "11111101111111100111100100";
    struct frame frames[TC_FRAMES];
    unsigned n = tc_frames(frames);
    cr_assert_eq(n, TC_FRAMES);
    for (unsigned i = 0; i < n; i++)
        for (int in = 0; in < 2; in++)
            cr_expect_eq(check(&frames[i], in), plain[i] - '0', "frame %u", i);
}

/* Cut anywhere, and with anything changed. */
static void damage(int in, unsigned changes)
{
    struct frame frames[TC_FRAMES];
    unsigned n = tc_frames(frames), state = 1;
    for (unsigned i = 0; i < n; i++) {
        struct frame f = frames[i];
        for (f.len = 0; f.len < frames[i].len; f.len++)
            check(&f, in);
        for (unsigned k = 0; k < changes; k++) {
            f = frames[i];
            for (unsigned m = 0; m < 1 + k % 3; m++) {
                state = state * 1103515245 + 12345;
                f.data[12 + (state >> 8) % (f.len - 12)] = (uint8_t)(state >> 24);
            }
            check(&f, in);
        }
    }
}

Test(tc_parse, damaged_in_kernel)
{
    if (geteuid())
        cr_skip_test("loading BPF programs needs root");
    for (int in = 0; in < 2; in++) {
        struct bpf_object *object = load(in);
        damage(in, 300);
        bpf_object__close(object);
    }
}

Test(tc_parse, damaged_in_user_space)
{
    damage(0, 20000);
    damage(1, 20000);
}
