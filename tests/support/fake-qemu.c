// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "support/fake-qemu.h"

#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "support/fake-qmp.h"

enum { PAGE = 4096, LOW = 2 << 20, HIGH = 1 << 20 };

struct fake_shared {
    enum fake_variant variant;
    char text[1024];
};

struct ram {
    int memfd;
    uint8_t *low, *high;
};

static void make_ram(struct ram *ram)
{
    static const int written[] = {3, 5, 6};
    ram->memfd = memfd_create("fake", MFD_CLOEXEC);
    if (ram->memfd < 0 || ftruncate(ram->memfd, LOW))
        _exit(1);
    ram->low = mmap(NULL, LOW, PROT_READ | PROT_WRITE, MAP_SHARED, ram->memfd, 0);
    /* Between pages without access, for no neighbour to join. */
    uint8_t *room =
        mmap(NULL, HIGH + 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    ram->high = room + PAGE;
    if (mprotect(ram->high, HIGH, PROT_READ | PROT_WRITE))
        _exit(1);
    madvise(ram->high, HIGH, MADV_NOHUGEPAGE);
    for (int i = 0; i < 3; i++)
        memset(ram->low + written[i] * PAGE, written[i], PAGE);
    memset(ram->high + 10 * PAGE, 10, PAGE);
}

static const char *mtree(enum fake_variant variant)
{
    if (variant == FAKE_UNPLUGGED)
        return "{\"return\": \"FlatView #0\\r\\n AS \\\"memory\\\", root: system\\r\\n"
               "  0000000000000000-00000000001fffff (prio 0, ram): n0\\r\\n\", \"id\": $ID}";
    return "{\"return\": \"FlatView #0\\r\\n AS \\\"memory\\\", root: system\\r\\n"
           "  0000000000000000-00000000000fffff (prio 0, ram): n0\\r\\n"
           "  0000000000100000-00000000001fffff (prio 0, rom): n0 @0000000000100000\\r\\n"
           "  00000000fffc0000-00000000ffffffff (prio 0, rom): pc.bios\\r\\n"
           "  0000000100000000-00000001000fffff (prio 0, ram): n1\\r\\n\", \"id\": $ID}";
}

static const char *status(enum fake_variant variant)
{
    if (variant == FAKE_SHUT_DOWN)
        return "{\"return\": {\"status\": \"shutdown\"}, \"id\": $ID}";
    if (variant == FAKE_MIGRATING)
        return "{\"return\": {\"status\": \"inmigrate\"}, \"id\": $ID}";
    return "{\"return\": {\"status\": \"paused\"}, \"id\": $ID}";
}

static const char *registers(enum fake_variant variant)
{
    if (variant == FAKE_RESET)
        return "{\"return\": \"CR0=60000010 CR3=0\", \"id\": $ID}";
    return "{\"return\": \"RIP=ffffffff81000000\\r\\nCR0=80050033 CR3=1234000\", \"id\": $ID}";
}

static bool answer(int fd, const char *line, const struct ram *ram, enum fake_variant variant)
{
    char low[160], high[160];
    uintptr_t shift = variant == FAKE_BEHIND_HVA ? PAGE : 0;
    uintptr_t at = variant == FAKE_WRONG_HVA ? PAGE : (uintptr_t)ram->high + shift;
    snprintf(low, sizeof(low),
             "{\"return\": \"Host virtual address for 0x0 (n0) is %p\\r\\n\", \"id\": $ID}",
             (void *)ram->low);
    snprintf(high, sizeof(high),
             "{\"return\": \"Host virtual address for 0x100000000 (n1) is 0x%zx\\r\\n\", "
             "\"id\": $ID}",
             (size_t)at);
    const struct fake_answer answers[] = {
        {"query-status", status(variant)},
        {"query-cpus-fast", "{\"return\": [{\"cpu-index\": 4}], \"id\": $ID}"},
        {"query-memdev", "{\"return\": [{\"id\": \"n0\"}, {\"id\": \"n1\"}], \"id\": $ID}"},
        {"info mtree -f", mtree(variant)},
        {"gpa2hva 0x0\"", low},
        {"gpa2hva 0x100000000\"", high},
        {"\"info registers\",\"cpu-index\":4", registers(variant)},
        {"info network", "{\"return\": \"virtio-net-pci.0: index=0,type=nic,model=virtio-net-pci,"
                         "macaddr=52:54:00:00:00:99\\r\\n \\\\ net: "
                         "index=0,type=tap,ifname=tap7\\r\\n\", \"id\": $ID}"},
        {"peripheral-anon\"", "{\"return\": [{\"name\": \"type\", \"type\": \"string\"}, "
                              "{\"name\": \"device[0]\", \"type\": \"child<x>\"}, "
                              "{\"name\": \"device[1]\", \"type\": \"child<y>\"}], \"id\": $ID}"},
        {"peripheral\"", "{\"return\": [], \"id\": $ID}"},
        {"device[1]\",\"property\":\"netdev", "{\"return\": \"net\", \"id\": $ID}"},
        {"device[1]\",\"property\":\"mac", "{\"return\": \"52:54:00:00:00:02\", \"id\": $ID}"},
        {"query-rx-filter", "{\"return\": [], \"id\": $ID}"},
        {NULL, NULL}};
    return fake_qmp_answer(fd, line, answers);
}

static void obey(struct ram *ram, int client, const char *text, int command, int done)
{
    char c;
    if (read(command, &c, 1) != 1)
        _exit(0);
    if (c == 'p' && mprotect(ram->high + 20 * PAGE, PAGE, PROT_NONE))
        _exit(1);
    if (c == 't' && ftruncate(ram->memfd, LOW / 2))
        _exit(1);
    if (c == 'r')
        ram->low[0x46c]++;
    if (c == 'e')
        fake_qmp_say(client, text);
    if (c == 'h')
        shutdown(client, SHUT_RDWR);
    if (write(done, &c, 1) != 1)
        _exit(1);
}

static int listen_at(const char *path)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
    if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) || listen(fd, 1))
        return -1;
    return fd;
}

static void run(const struct fake_qemu *q, int listener, int command, int done)
{
    struct ram ram;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    make_ram(&ram);
    if (listener < 0)
        listener = listen_at(q->path);
    if (listener < 0 || write(done, "r", 1) != 1)
        _exit(1);
    int client = -1;
    for (;;) {
        struct pollfd p[2] = {{.fd = client < 0 ? listener : client, .events = POLLIN},
                              {.fd = command, .events = POLLIN}};
        char line[4096];
        if (poll(p, 2, -1) < 0)
            _exit(1);
        if (p[1].revents)
            obey(&ram, client, q->shared->text, command, done);
        if (p[0].revents && client < 0) {
            client = accept(listener, NULL, NULL);
            fake_qmp_say(client, FAKE_GREETING);
        } else if (p[0].revents) {
            ssize_t n = read(client, line, sizeof(line) - 1); /* one command: it waits for us */
            line[n > 0 ? n : 0] = 0;
            if (n <= 0 || !answer(client, line, &ram, q->shared->variant)) {
                close(client);
                client = -1;
            }
        }
    }
}

void fake_qemu_start(struct fake_qemu *q, bool passed_on)
{
    int command[2], done[2];
    char c;
    *q = (struct fake_qemu){.dir = "/tmp/xvmi-test-XXXXXX"};
    cr_assert(mkdtemp(q->dir));
    snprintf(q->path, sizeof(q->path), "%s/qmp", q->dir);
    q->shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert(q->shared != MAP_FAILED && pipe(command) == 0 && pipe(done) == 0);
    int listener = passed_on ? listen_at(q->path) : -1;
    q->pid = fork();
    if (q->pid == 0) {
        close(command[1]);
        close(done[0]);
        run(q, listener, command[0], done[1]);
    }
    close(command[0]);
    close(done[1]);
    if (listener >= 0)
        close(listener);
    q->command = command[1];
    q->done = done[0];
    cr_assert(q->pid > 0 && read(q->done, &c, 1) == 1, "the fake QEMU did not start");
}

void fake_qemu_kill(struct fake_qemu *q)
{
    if (q->pid > 0) {
        kill(q->pid, SIGKILL);
        waitpid(q->pid, NULL, 0);
    }
    q->pid = 0;
}

void fake_qemu_stop(struct fake_qemu *q)
{
    fake_qemu_kill(q);
    close(q->command);
    close(q->done);
    munmap(q->shared, PAGE);
    unlink(q->path);
    rmdir(q->dir);
}

void fake_qemu_set(struct fake_qemu *q, enum fake_variant variant)
{
    q->shared->variant = variant;
}

static void command(struct fake_qemu *q, char c)
{
    cr_assert(write(q->command, &c, 1) == 1 && read(q->done, &c, 1) == 1);
}

void fake_qemu_protect(struct fake_qemu *q)
{
    command(q, 'p');
}

void fake_qemu_truncate(struct fake_qemu *q)
{
    command(q, 't');
}

void fake_qemu_reboot(struct fake_qemu *q)
{
    command(q, 'r');
}

void fake_qemu_say(struct fake_qemu *q, const char *text)
{
    snprintf(q->shared->text, sizeof(q->shared->text), "%s", text);
    command(q, 'e');
}

void fake_qemu_hang_up(struct fake_qemu *q)
{
    command(q, 'h');
}
