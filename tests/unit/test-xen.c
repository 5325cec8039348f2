// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* The parts of the Xen driver that need no Xen: names, entries, and the book of mappings. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <criterion/criterion.h>

#include "xen/frames.h"
#include "xen/maps.h"
#include "xen/store.h"

Test(parse, numbers_of_domains)
{
    uint32_t id = 1;
    cr_assert(xe_parse_domid("0", &id) && id == 0);
    cr_assert(xe_parse_domid("32751", &id) && id == 32751);
    static const char *const bad[] = {"", "web", "7a", "-1", "+1", " 1", "32752", "99999999999999"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        cr_expect(!xe_parse_domid(bad[i], &id), "%s", bad[i]);
}

Test(parse, mac_addresses)
{
    uint8_t mac[6];
    cr_assert(xe_parse_mac("00:16:3e:0a:FF:02", mac));
    cr_assert(!memcmp(mac, "\x00\x16\x3e\x0a\xff\x02", 6));
    cr_expect(!xe_parse_mac("00:16:3e:0a:ff", mac));
    cr_expect(!xe_parse_mac("00:16:3e:0a:ff:02:03", mac));
    cr_expect(!xe_parse_mac("", mac));
}

Test(frames, entries_of_the_guests_list)
{
    cr_expect_eq(xe_frames_entry(0x1234), 0x1234);
    cr_expect_eq(xe_frames_entry(UINT64_MAX), XE_NO_FRAME, "none");
    cr_expect_eq(xe_frames_entry(UINT64_C(1) << 63 | 5), XE_NO_FRAME, "another domain's");
    cr_expect_eq(xe_frames_entry(UINT64_C(1) << 62 | 5), XE_NO_FRAME, "a device's");
}

Test(errors, say_what_to_do)
{
    static const struct {
        int error;
        enum xvmi_status status;
        const char *words;
    } all[] = {
        {EPERM, XVMI_ERR_PERMISSION, "run as root in dom0"},
        {EACCES, XVMI_ERR_PERMISSION, "version that the installed libxenctrl was made for"},
        {ENOSYS, XVMI_ERR_UNSUPPORTED, "version that the installed libxenctrl was made for"},
        {ESRCH, XVMI_ERR_GONE, "no such domain any more"},
        {ENOMEM, XVMI_ERR_NO_MEMORY, "memory"},
        {EIO, XVMI_ERR_IO, "asking: Input/output error (what Xen's library said)"},
    };
    const struct xe_host host = {.log.last = "what Xen's library said"};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        struct xvmi_error err = XVMI_ERROR_INIT;
        cr_expect_eq(xe_host_failed(&host, all[i].error, "asking", &err), all[i].status);
        cr_expect(strstr(err.text, all[i].words), "%s", err.text);
    }
}

/* A machine in which frame F holds the number F in its first bytes. */
enum { PAGES = 1 << 20 };

static struct {
    uint64_t *frame; /* of each page */
    bool *gone;      /* frames that cannot be mapped */
    size_t calls, mapped;
    bool broken;
} machine;

static uint64_t frame_of(void *ctx, uint64_t page)
{
    (void)ctx;
    return page < PAGES ? machine.frame[page] : XE_NO_FRAME;
}

static void *map_frames(void *ctx, const uint64_t *frames, size_t n, int *fails)
{
    (void)ctx;
    if (machine.broken) {
        errno = EPERM;
        return NULL;
    }
    uint8_t *at = mmap(NULL, n * XE_PAGE, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    cr_assert(at != MAP_FAILED);
    for (size_t i = 0; i < n; i++) {
        bool there = frames[i] < 2 * PAGES && !machine.gone[frames[i]];
        fails[i] = there ? 0 : EINVAL;
        if (there)
            memcpy(at + i * XE_PAGE, &frames[i], sizeof(frames[i]));
        else
            mprotect(at + i * XE_PAGE, XE_PAGE, PROT_NONE);
    }
    machine.calls++;
    machine.mapped += n;
    return at;
}

static void unmap_frames(void *ctx, void *at, size_t n)
{
    (void)ctx;
    machine.mapped -= n;
    munmap(at, n * XE_PAGE);
}

static struct xe_maps *maps;

static void setup(void)
{
    struct xe_source source = {NULL, frame_of, map_frames, unmap_frames};
    machine.frame = malloc(PAGES * sizeof(*machine.frame));
    machine.gone = calloc(2 * PAGES, sizeof(*machine.gone));
    for (uint64_t i = 0; i < PAGES; i++)
        machine.frame[i] = PAGES - 1 - i; /* a PV guest's are in any order */
    cr_assert(!xe_maps_new(&source, &maps, NULL));
}

static void teardown(void)
{
    xe_maps_free(maps);
    cr_assert_eq(machine.mapped, 0, "%zu pages are still mapped", machine.mapped);
    free(machine.frame);
    free(machine.gone);
}

TestSuite(maps, .init = setup, .fini = teardown);

static uint64_t content(uint64_t page)
{
    const uint8_t *host;
    uint64_t value;
    if (xe_maps_page(maps, page, &host, NULL))
        return XE_NO_FRAME;
    memcpy(&value, host, sizeof(value));
    return value;
}

Test(maps, sixteen_pages_are_mapped_together)
{
    for (uint64_t page = 32; page < 48; page++)
        cr_expect_eq(content(page), PAGES - 1 - page);
    cr_expect_eq(machine.calls, 1);
    cr_expect_eq(content(48), PAGES - 1 - 48);
    cr_expect_eq(machine.calls, 2);
    cr_expect_eq(xe_maps_pages(maps), 32);
}

Test(maps, pages_that_are_not_there_fail_and_their_neighbours_do_not)
{
    const uint8_t *host;
    struct xvmi_error err = XVMI_ERROR_INIT;
    machine.frame[5] = XE_NO_FRAME;
    machine.gone[machine.frame[6]] = true;
    cr_expect_eq(xe_maps_page(maps, 5, &host, &err), XVMI_ERR_NOT_PRESENT);
    cr_expect(strstr(err.text, "guest-physical 0x5000"), "%s", err.text);
    cr_expect_eq(xe_maps_page(maps, 6, &host, NULL), XVMI_ERR_NOT_PRESENT);
    cr_expect_eq(content(4), PAGES - 1 - 4);
    cr_expect_eq(content(7), PAGES - 1 - 7);
    cr_expect_eq(xe_maps_page(maps, UINT64_MAX / XE_PAGE, &host, NULL), XVMI_ERR_NOT_PRESENT);
}

Test(maps, a_page_with_another_frame_is_mapped_anew)
{
    const uint8_t *old;
    cr_assert(!xe_maps_page(maps, 9, &old, NULL));
    machine.frame[9] = PAGES + 7;
    cr_expect_eq(content(9), PAGES + 7);
    cr_expect_eq(*(const uint64_t *)old, PAGES - 1 - 9, "pointers are good until the round ends");
    cr_expect_eq(machine.mapped, 32);
    cr_expect(xe_maps_round(maps, false));
    cr_expect_eq(machine.mapped, 16);
    cr_expect(!xe_maps_round(maps, false), "nothing to unmap");
}

Test(maps, a_round_unmaps_what_moved)
{
    content(9);
    content(100);
    machine.frame[9] = XE_NO_FRAME;
    cr_expect(xe_maps_round(maps, false));
    cr_expect_eq(machine.mapped, 16);
    cr_expect_eq(content(100), PAGES - 1 - 100);
    cr_expect_eq(content(9), XE_NO_FRAME);
}

Test(maps, a_page_that_comes_back_is_seen_in_the_next_round)
{
    machine.gone[machine.frame[3]] = true;
    cr_expect_eq(content(3), XE_NO_FRAME);
    size_t calls = machine.calls;
    cr_expect_eq(content(3), XE_NO_FRAME);
    cr_expect_eq(machine.calls, calls, "not tried again in this round");
    machine.gone[machine.frame[3]] = false;
    xe_maps_round(maps, false);
    cr_expect_eq(content(3), PAGES - 1 - 3);
}

Test(maps, are_bounded)
{
    const uint8_t *host;
    uint64_t page = 0;
    while (!xe_maps_page(maps, page, &host, NULL))
        page += XE_GROUP;
    cr_expect_eq(page, XE_MOST);
    cr_expect_eq(xe_maps_page(maps, page, &host, NULL), XVMI_ERR_LIMIT);
    cr_expect(xe_maps_full(maps));
    uint64_t values[4];
    cr_expect(!xe_maps_copy(maps, page * XE_PAGE, values, sizeof(values), NULL), "read() serves");
    cr_expect_eq(values[0], PAGES - 1 - page);
    cr_expect(xe_maps_round(maps, false));
    cr_expect_eq(machine.mapped, XE_KEPT);
    size_t calls = machine.calls;
    content(page - XE_GROUP);
    cr_expect_eq(machine.calls, calls, "the youngest stay");
    content(0);
    cr_expect_eq(machine.calls, calls + 1, "the oldest go");
}

Test(maps, many_are_mapped_by_one_call)
{
    struct xvmi_mem_read reads[40];
    for (size_t i = 0; i < 40; i++)
        reads[i] = (struct xvmi_mem_read){.gpa = (i % 20) * 2 * XE_GROUP * XE_PAGE};
    xe_maps_expect(maps, reads, 40);
    cr_expect_eq(machine.calls, 1);
    cr_expect_eq(xe_maps_pages(maps), 20 * XE_GROUP);
    for (uint64_t i = 0; i < 20; i++)
        cr_expect_eq(content(i * 2 * XE_GROUP), PAGES - 1 - i * 2 * XE_GROUP);
    cr_expect_eq(machine.calls, 1);
    xe_maps_expect(maps, reads, 40);
    cr_expect_eq(machine.calls, 1, "all are known");
}

Test(maps, copies_leave_nothing_behind)
{
    size_t size = (XE_BATCH + 3) * XE_PAGE;
    uint8_t *bytes = malloc(size);
    cr_assert(!xe_maps_copy(maps, 100, bytes, size, NULL));
    uint64_t value;
    memcpy(&value, bytes + XE_PAGE - 100, sizeof(value));
    cr_expect_eq(value, PAGES - 2);
    memcpy(&value, bytes + (XE_BATCH + 2) * XE_PAGE - 100, sizeof(value));
    cr_expect_eq(value, PAGES - 1 - (XE_BATCH + 2));
    cr_expect_eq(machine.mapped, 0);
    machine.frame[XE_BATCH] = XE_NO_FRAME;
    cr_expect_eq(xe_maps_copy(maps, 0, bytes, size, NULL), XVMI_ERR_NOT_PRESENT);
    cr_expect_eq(machine.mapped, 0);
    free(bytes);
}

Test(maps, a_call_that_fails)
{
    const uint8_t *host;
    struct xvmi_error err = XVMI_ERROR_INIT;
    machine.broken = true;
    cr_expect_eq(xe_maps_page(maps, 1, &host, &err), XVMI_ERR_PERMISSION);
    cr_expect(strstr(err.text, "not permitted"), "%s", err.text);
    cr_expect_eq(xe_maps_pages(maps), 0);
    machine.broken = false;
    cr_expect_eq(content(1), PAGES - 2);
}

Test(maps, probe)
{
    bool present[4];
    machine.frame[2] = XE_NO_FRAME;
    cr_assert(!xe_maps_probe(maps, 0, 2, 4, present, NULL));
    cr_expect(present[0] && !present[1] && present[2] && present[3]);
    cr_expect_eq(machine.mapped, 0);
}
