// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include <xvmi/mem.h>

#include "kvm/qmp.h"
#include "support/fake-qemu.h"

extern const struct xvmi_driver xvmi_driver;

#define HIGH UINT64_C(0x100000000)

static struct fake_qemu qemu;
static struct xvmi_mem_backend guest;
static struct xvmi_error err;

static void start(void)
{
    fake_qemu_start(&qemu, false);
    enum xvmi_status s = xvmi_driver.open(qemu.path, &guest, &err);
    cr_assert_eq(s, XVMI_OK, "%s", err.text);
}

static void stop(void)
{
    guest.ops->close(guest.ctx);
    fake_qemu_stop(&qemu);
}

TestSuite(kvm_driver, .init = start, .fini = stop);

static void read_is(uint64_t gpa, size_t len, int byte)
{
    uint8_t buf[8192], want[8192];
    memset(want, byte, len);
    memset(buf, 0xee, len);
    cr_assert_eq(guest.ops->read(guest.ctx, gpa, buf, len, &err), XVMI_OK, "%s", err.text);
    cr_assert_arr_eq(buf, want, len);
}

Test(kvm_driver, ranges)
{
    const struct xvmi_mem_range *r;
    size_t n;
    cr_assert_eq(guest.vcpus, 1);
    cr_assert(guest.live);
    cr_assert_eq(guest.ops->ranges(guest.ctx, &r, &n, &err), XVMI_OK);
    cr_assert_eq(n, 2);
    cr_assert_eq(r[0].gpa, 0);
    cr_assert_eq(r[0].size, 2 << 20);
    cr_assert_eq(r[0].host[3 * 4096], 3);
    cr_assert_eq(r[0].host[6 * 4096 + 4095], 6);
    cr_assert_eq(r[1].gpa, HIGH);
    cr_assert_eq(r[1].size, 1 << 20);
    cr_assert_null(r[1].host);
}

Test(kvm_driver, read)
{
    uint8_t buf[8192];
    read_is(3 * 4096, 4096, 3);
    read_is(0, 100, 0);
    read_is(HIGH + 10 * 4096, 4096, 10);
    read_is(HIGH + 10 * 4096 + 5, 7, 10);
    read_is(0x200000, 0, 0);
    cr_assert_eq(guest.ops->read(guest.ctx, 0x1ff000, buf, 8192, &err), XVMI_ERR_NOT_PRESENT);
    cr_assert_str_eq(err.text, "no RAM at guest-physical 0x200000");
    cr_assert_eq(guest.ops->read(guest.ctx, HIGH - 1, buf, 2, NULL), XVMI_ERR_NOT_PRESENT);
    cr_assert_eq(guest.ops->read(guest.ctx, UINT64_MAX, buf, 2, NULL), XVMI_ERR_NOT_PRESENT);
}

/* Reading a hole must leave it one; of the two blocks each has its own way to know. */
Test(kvm_driver, next_data)
{
    static const uint64_t want[][2] = {
        {0x3000, 0x4000}, {0x5000, 0x7000}, {HIGH + 0xa000, HIGH + 0xb000}};
    uint64_t start = 0, end = 0;
    read_is(0x9000, 4096, 0);
    for (size_t i = 0; i < 3; i++) {
        cr_assert_eq(guest.ops->next_data(guest.ctx, end, &start, &end, &err), XVMI_OK);
        cr_assert_eq(start, want[i][0], "%zu: %lx", i, start);
        cr_assert_eq(end, want[i][1], "%zu: %lx", i, end);
    }
    cr_assert_eq(guest.ops->next_data(guest.ctx, end, &start, &end, &err), XVMI_ERR_NOT_FOUND);
    cr_assert_eq(guest.ops->next_data(guest.ctx, 0x5800, &start, &end, &err), XVMI_OK);
    cr_assert_eq(start, 0x5800);
    cr_assert_eq(end, 0x7000);
    cr_assert_eq(guest.ops->next_data(guest.ctx, HIGH + 0xa123, &start, &end, &err), XVMI_OK);
    cr_assert_eq(start, HIGH + 0xa123);
    cr_assert_eq(end, HIGH + 0xb000);
}

/* A failing element is alone in its failure, wherever it stands. */
Test(kvm_driver, read_batch)
{
    enum { N = 1500 };
    static uint8_t dst[N][64];
    static struct xvmi_mem_read reads[N];
    fake_qemu_protect(&qemu);
    for (size_t i = 0; i < N; i++) {
        uint64_t gpa = HIGH + 10 * 4096 + i;
        if (i % 7 == 3)
            gpa = HIGH + 20 * 4096 + i; /* no access */
        else if (i % 7 == 4)
            gpa = HIGH + (1 << 20) - 32; /* runs over the end */
        else if (i % 7 == 5)
            gpa = 5 * 4096; /* mapped */
        else if (i % 7 == 6)
            gpa = HIGH + 20 * 4096 - 32; /* runs into no access */
        memset(dst[i], 0xee, 64);
        reads[i] = (struct xvmi_mem_read){.gpa = gpa, .dst = dst[i], .len = 64, .status = 77};
    }
    cr_assert_eq(guest.ops->read_batch(guest.ctx, reads, N, &err), XVMI_OK, "%s", err.text);
    for (size_t i = 0; i < N; i++) {
        bool bad = i % 7 == 3 || i % 7 == 4 || i % 7 == 6;
        cr_assert_eq(reads[i].status, bad ? XVMI_ERR_NOT_PRESENT : XVMI_OK, "element %zu", i);
        if (!bad)
            cr_assert(dst[i][0] == (i % 7 == 5 ? 5 : 10) && dst[i][63] == dst[i][0], "%zu", i);
    }
    cr_assert_eq(guest.ops->read_batch(guest.ctx, reads, 0, &err), XVMI_OK);
}

Test(kvm_driver, registers)
{
    struct xvmi_vcpu_regs r;
    cr_assert_eq(guest.ops->regs(guest.ctx, 0, &r, &err), XVMI_OK, "%s", err.text);
    cr_assert_eq(r.valid, XVMI_REG_RIP | XVMI_REG_CR0 | XVMI_REG_CR3);
    cr_assert_eq(r.cr3, 0x1234000);
    cr_assert_eq(guest.ops->regs(guest.ctx, 1, &r, &err), XVMI_ERR_NOT_FOUND);
}

static bool refresh(void)
{
    bool changed = false;
    cr_assert_eq(guest.ops->refresh(guest.ctx, &changed, &err), XVMI_OK, "%s", err.text);
    return changed;
}

Test(kvm_driver, refresh)
{
    const struct xvmi_mem_range *r;
    size_t n;
    cr_assert(!refresh());
    fake_qemu_set(&qemu, FAKE_UNPLUGGED);
    cr_assert(refresh());
    cr_assert_eq(guest.ops->ranges(guest.ctx, &r, &n, &err), XVMI_OK);
    cr_assert_eq(n, 1);
    cr_assert_eq(r[0].host[3 * 4096], 3);
    cr_assert(!refresh());
    fake_qemu_set(&qemu, FAKE_RESET);
    cr_assert(refresh());
    fake_qemu_set(&qemu, FAKE_PLAIN);
    cr_assert(refresh());
    cr_assert(!refresh());
    fake_qemu_reboot(&qemu);
    cr_assert(refresh());
    cr_assert(!refresh());
}

Test(kvm_driver, refresh_without_guest)
{
    bool changed;
    fake_qemu_set(&qemu, FAKE_SHUT_DOWN);
    cr_assert_eq(guest.ops->refresh(guest.ctx, &changed, &err), XVMI_ERR_GONE);
    cr_assert_str_eq(err.text, "the guest was shut down (QEMU still runs)");
    fake_qemu_set(&qemu, FAKE_WRONG_HVA);
    cr_assert_eq(guest.ops->refresh(guest.ctx, &changed, &err), XVMI_ERR_CHANGED);
    read_is(HIGH + 10 * 4096, 4096, 10); /* what was known before stands */
}

Test(kvm_driver, dead_qemu)
{
    uint8_t buf[8];
    uint64_t start, end;
    bool changed;
    struct xvmi_vcpu_regs regs;
    struct xvmi_mem_read one = {.gpa = HIGH, .dst = buf, .len = 8};
    fake_qemu_kill(&qemu);
    cr_assert_eq(guest.ops->read(guest.ctx, 0x3000, buf, 8, &err), XVMI_ERR_GONE);
    cr_assert_eq(guest.ops->read(guest.ctx, HIGH, buf, 8, &err), XVMI_ERR_GONE);
    cr_assert_eq(guest.ops->read_batch(guest.ctx, &one, 1, &err), XVMI_ERR_GONE);
    cr_assert_eq(guest.ops->next_data(guest.ctx, 0, &start, &end, &err), XVMI_ERR_GONE);
    cr_assert_eq(guest.ops->next_data(guest.ctx, HIGH, &start, &end, &err), XVMI_ERR_GONE);
    cr_assert_eq(guest.ops->refresh(guest.ctx, &changed, &err), XVMI_ERR_GONE);
    cr_assert_eq(guest.ops->regs(guest.ctx, 0, &regs, &err), XVMI_ERR_GONE);
}

/* The address is the one that the device was made with, not the one the guest chose. */
Test(kvm_driver, nics)
{
    static const uint8_t mac[6] = {0x52, 0x54, 0, 0, 0, 2};
    const struct xvmi_nic *nics;
    size_t n;
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(guest.ops->nics(guest.ctx, &nics, &n, &err), XVMI_OK, "%s", err.text);
        cr_assert_eq(n, 1);
        cr_assert_str_eq(nics[0].dev, "tap7");
        cr_assert_arr_eq(nics[0].mac, mac, 6);
        cr_assert_eq(nics[0].queues, 1);
    }
}

static int event_fd(void)
{
    int fd;
    cr_assert_eq(guest.ops->event_fd(guest.ctx, &fd, &err), XVMI_OK, "%s", err.text);
    return fd;
}

static bool is_readable(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return poll(&p, 1, 0) == 1;
}

static void event_is(enum xvmi_vm_event want)
{
    enum xvmi_vm_event event;
    cr_assert_eq(guest.ops->event(guest.ctx, &event, &err), XVMI_OK, "%s", err.text);
    cr_assert_eq(event, want, "%d instead of %d", event, want);
}

/* The descriptor says what event() will: also of what came while a question was answered. */
Test(kvm_driver, events)
{
    struct xvmi_vcpu_regs regs;
    int fd = event_fd();
    cr_assert(!is_readable(fd));
    event_is(XVMI_VM_NOTHING);
    fake_qemu_say(&qemu, "{\"event\": \"STOP\"}{\"event\": \"RTC_CHANGE\"}\r\n");
    cr_assert(is_readable(fd));
    event_is(XVMI_VM_STOPPED);
    event_is(XVMI_VM_NOTHING);
    cr_assert(!is_readable(fd));
    fake_qemu_say(&qemu, "{\"event\": \"RESUME\"}{\"event\": \"DEVICE_DELETED\", \"data\": {}}");
    cr_assert_eq(guest.ops->regs(guest.ctx, 0, &regs, &err), XVMI_OK, "%s", err.text);
    cr_assert(is_readable(fd));
    event_is(XVMI_VM_RESUMED);
    event_is(XVMI_VM_MEMORY);
    event_is(XVMI_VM_DEVICES);
    cr_assert(!is_readable(fd));
    cr_assert_eq(event_fd(), fd);
}

Test(kvm_driver, events_of_all_kinds)
{
    static const struct {
        const char *text;
        enum xvmi_vm_event event;
    } said[] = {
        {"{\"event\": \"SUSPEND\"}", XVMI_VM_STOPPED},
        {"{\"event\": \"WAKEUP\"}", XVMI_VM_RESUMED},
        {"{\"event\": \"POWERDOWN\"}", XVMI_VM_NOTHING},
        {"{\"event\": \"ACPI_DEVICE_OST\", \"data\": {\"info\": {}}}", XVMI_VM_MEMORY},
        {"{\"event\": \"MEMORY_DEVICE_SIZE_CHANGE\"}", XVMI_VM_MEMORY},
        {"{\"event\": \"BALLOON_CHANGE\"}", XVMI_VM_MEMORY},
        {"{\"event\": \"NIC_RX_FILTER_CHANGED\"}", XVMI_VM_DEVICES},
        {"{\"event\": \"GUEST_PANICKED\", \"data\": {\"action\": \"run\"}}", XVMI_VM_RESET},
        {"{\"event\": \"MIGRATION\", \"data\": {\"status\": \"active\"}}", XVMI_VM_NOTHING},
        {"{\"event\": \"MIGRATION\", \"data\": {\"status\": \"completed\"}}", XVMI_VM_ENDED},
        {"{\"event\": \"SHUTDOWN\", \"data\": {\"guest\": true}}", XVMI_VM_NOTHING}, /* was told */
        {"{\"event\": \"RESET\", \"data\": 5}", XVMI_VM_RESET},
        {"{\"event\": \"GUEST_PANICKED\", \"data\": {\"action\": \"pause\"}}", XVMI_VM_ENDED},
    };
    event_fd();
    for (size_t i = 0; i < sizeof(said) / sizeof(*said); i++) {
        fake_qemu_say(&qemu, said[i].text);
        event_is(said[i].event);
        event_is(XVMI_VM_NOTHING);
    }
}

/* A queue that nobody empties stays short and ends in the state that holds. */
Test(kvm_driver, events_that_nobody_fetches)
{
    enum xvmi_vm_event event = XVMI_VM_NOTHING, last = event;
    unsigned n = 0, resets = 0;
    bool changed;
    event_fd();
    for (int i = 0; i < 50; i++) {
        fake_qemu_say(&qemu, "{\"event\": \"STOP\"}{\"event\": \"RESET\"}{\"event\": \"RESUME\"}");
        cr_assert_eq(guest.ops->refresh(guest.ctx, &changed, &err), XVMI_OK, "%s", err.text);
    }
    fake_qemu_say(&qemu, "{\"event\": \"DEVICE_DELETED\"}{\"event\": \"STOP\"}");
    while (guest.ops->event(guest.ctx, &event, &err) == XVMI_OK && event) {
        n++;
        resets += event == XVMI_VM_RESET;
        last = event == XVMI_VM_STOPPED || event == XVMI_VM_RESUMED ? event : last;
    }
    cr_assert_leq(n, 16);
    cr_assert_eq(resets, 1);
    cr_assert_eq(last, XVMI_VM_STOPPED);
}

/* With events, refresh() asks QEMU nothing until one of them gives it reason. */
Test(kvm_driver, refresh_by_events)
{
    event_fd();
    cr_assert(!refresh());
    fake_qemu_set(&qemu, FAKE_UNPLUGGED);
    cr_assert(!refresh());
    fake_qemu_say(&qemu, "{\"event\": \"DEVICE_DELETED\", \"data\": {}}");
    cr_assert(refresh());
    cr_assert(!refresh());
    fake_qemu_set(&qemu, FAKE_PLAIN);
    fake_qemu_say(&qemu, "{\"event\": \"RESET\"}");
    cr_assert(refresh());
    cr_assert(!refresh());
    fake_qemu_set(&qemu, FAKE_RESET);
    fake_qemu_say(&qemu, "{\"event\": \"RESET\"}");
    cr_assert(refresh());
    fake_qemu_set(&qemu, FAKE_PLAIN);
    cr_assert(refresh()); /* firmware is through */
    cr_assert(!refresh());
}

/* Until the descriptor was asked for, the socket is free; afterwards it is ours alone. */
Test(kvm_driver, one_client)
{
    struct xk_qmp *qmp;
    char who[64];
    cr_assert_eq(xk_qmp_open(qemu.path, 5000, &qmp, &err), XVMI_OK, "%s", err.text);
    xk_qmp_close(qmp);
    event_fd();
    cr_assert_eq(xk_qmp_open(qemu.path, 50, &qmp, &err), XVMI_ERR_TIMEOUT);
    snprintf(who, sizeof(who), "(process %d) holds this socket", getpid());
    cr_assert(strstr(err.text, who), "%s", err.text);
}

Test(kvm_driver, connection_that_breaks)
{
    bool changed;
    int fd = event_fd();
    fake_qemu_hang_up(&qemu);
    cr_assert(is_readable(fd));
    event_is(XVMI_VM_ENDED);
    event_is(XVMI_VM_NOTHING);
    cr_assert(!is_readable(fd));
    /* The process lives: whoever wants to know more may look. */
    cr_assert_eq(guest.ops->refresh(guest.ctx, &changed, &err), XVMI_OK, "%s", err.text);
    fake_qemu_kill(&qemu);
    cr_assert_eq(guest.ops->refresh(guest.ctx, &changed, &err), XVMI_ERR_GONE);
}

Test(kvm_driver, qemu_that_dies)
{
    bool changed;
    int fd = event_fd();
    fake_qemu_kill(&qemu);
    cr_assert(is_readable(fd));
    cr_assert_eq(guest.ops->refresh(guest.ctx, &changed, &err), XVMI_ERR_GONE);
    cr_assert(is_readable(fd));
    event_is(XVMI_VM_ENDED);
    event_is(XVMI_VM_NOTHING);
    cr_assert(!is_readable(fd));
}

static void refuse(enum fake_variant variant, enum xvmi_status status, const char *text)
{
    struct xvmi_mem_backend other;
    fake_qemu_set(&qemu, variant);
    cr_assert_eq(xvmi_driver.open(qemu.path, &other, &err), status, "%s", err.text);
    cr_assert(strstr(err.text, text), "%s", err.text);
}

Test(kvm_driver, open_that_fails)
{
    struct xvmi_mem_backend other;
    refuse(FAKE_SHUT_DOWN, XVMI_ERR_GONE, "shut down");
    refuse(FAKE_MIGRATING, XVMI_ERR_CHANGED, "still arriving");
    refuse(FAKE_WRONG_HVA, XVMI_ERR_CHANGED, "where no readable memory is");
    refuse(FAKE_BEHIND_HVA, XVMI_ERR_CHANGED, "where no readable memory is");
    fake_qemu_truncate(&qemu);
    refuse(FAKE_PLAIN, XVMI_ERR_FORMAT, "behind the file's end");
    cr_assert_eq(xvmi_driver.open("", &other, &err), XVMI_ERR_INVALID);
    cr_assert_eq(xvmi_driver.open("pid=", &other, &err), XVMI_ERR_INVALID);
    cr_assert_eq(xvmi_driver.open("pid=-1", &other, &err), XVMI_ERR_INVALID);
    cr_assert_eq(xvmi_driver.open("pid=99999999999", &other, &err), XVMI_ERR_INVALID);
    cr_assert_eq(xvmi_driver.open("pid=4194305", &other, &err), XVMI_ERR_NOT_FOUND);
    cr_assert_eq(xvmi_driver.open("pid=self", &other, &err), XVMI_ERR_INVALID);
    char own[32];
    snprintf(own, sizeof(own), "pid=%d", getpid());
    cr_assert_eq(xvmi_driver.open(own, &other, &err), XVMI_ERR_INVALID, "%s", err.text);
    cr_assert(strstr(err.text, ", not QEMU"), "%s", err.text);
}

/* SO_PEERCRED names the one that made the socket: here the test itself. */
Test(kvm_driver_passed, socket_from_a_manager)
{
    fake_qemu_start(&qemu, true);
    cr_assert_eq(xvmi_driver.open(qemu.path, &guest, &err), XVMI_OK, "%s", err.text);
    read_is(HIGH + 10 * 4096, 4096, 10);
    stop();
}
