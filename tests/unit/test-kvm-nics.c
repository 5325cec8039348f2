// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/if.h>
#include <linux/if_tun.h>

#include <criterion/criterion.h>

#include "kvm/nics.h"

static struct xk_nics_said said;

static void said_is(size_t i, const char *netdev, const char *ifname, int fd, unsigned queues,
                    const char *mac)
{
    uint8_t want[6] = {0};
    cr_assert_lt(i, said.n);
    cr_assert_str_eq(said.v[i].netdev, netdev);
    cr_assert_str_eq(said.v[i].ifname, ifname);
    cr_assert_eq(said.v[i].fd, fd, "%d", said.v[i].fd);
    cr_assert_eq(said.v[i].queues, queues, "%u", said.v[i].queues);
    cr_assert(!mac || xk_mac_parse(mac, want));
    cr_assert_arr_eq(said.v[i].mac, want, 6);
}

Test(kvm_nics, monitor)
{
    /* As QEMU 7.2 prints them: plain, with two queues, of a manager, without backend, by user. */
    xk_nics_of_monitor(
        "virtio-net-pci.0: index=0,type=nic,model=virtio-net-pci,macaddr=52:54:00:00:00:02\r\n"
        " \\ net: index=0,type=tap,ifname=tap0,script=no,downscript=no\r\n"
        "net1: index=0,type=nic,model=virtio-net-pci,macaddr=52:54:00:00:00:03\r\n"
        " \\ mq: index=0,type=tap,ifname=tap1,script=no,downscript=no\r\n"
        "net1: index=1,type=nic,model=virtio-net-pci,macaddr=52:54:00:00:00:03\r\n"
        " \\ mq: index=1,type=tap,ifname=tap1,script=no,downscript=no\r\n"
        "net2: index=0,type=nic,model=e1000,macaddr=52:54:00:00:00:04\r\n"
        " \\ hostnet2: index=0,type=tap,fd=23\r\n"
        "net3: index=0,type=nic,model=e1000,macaddr=nonsense\r\n"
        "lonely: index=0,type=tap,ifname=tap9\r\n"
        "net4: index=0,type=nic,model=e1000,macaddr=52:54:00:00:00:05\r\n"
        " \\ u: index=0,type=user,net=10.0.2.0,restrict=off\r\n",
        &said);
    cr_assert_eq(said.n, 5);
    said_is(0, "net", "tap0", -1, 1, "52:54:00:00:00:02");
    said_is(1, "mq", "tap1", -1, 2, "52:54:00:00:00:03");
    said_is(2, "hostnet2", "", 23, 1, "52:54:00:00:00:04");
    said_is(3, "", "", -1, 1, NULL);
    said_is(4, "u", "", -1, 1, "52:54:00:00:00:05");
}

Test(kvm_nics, monitor_with_hub)
{
    xk_nics_of_monitor(
        "hub 0\r\n"
        " \\ hub0port1: #net123: index=0,type=tap,ifname=tap0,script=no,downscript=no\r\n"
        " \\ hub0port0: e1000.0: index=0,type=nic,model=e1000,macaddr=52:54:00:12:34:56\r\n"
        "net1: index=0,type=nic,model=e1000,macaddr=52:54:00:00:00:04\r\n",
        &said);
    cr_assert_eq(said.n, 2);
    said_is(0, "#net123", "tap0", -1, 1, "52:54:00:12:34:56");
    said_is(1, "", "", -1, 1, "52:54:00:00:00:04");
}

Test(kvm_nics, monitor_without_sense)
{
    static const char *const texts[] = {
        "",
        "\r\n\r\n",
        ": index=",
        " \\ : index=0,type=tap",
        " \\ hub 0",
        "hub ",
        "x: index=0,type=",
        "x: index=0",
        " \\ ",
        ": : : index=,type=nic",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        xk_nics_of_monitor(texts[i], &said);
        cr_assert_leq(said.n, 1);
    }
    char *many = calloc(200, 64);
    for (int i = 0; i < 200; i++)
        sprintf(many + strlen(many), "n%d: index=0,type=nic,macaddr=\r\n", i);
    xk_nics_of_monitor(many, &said);
    cr_assert_eq(said.n, XK_NICS_MAX);
    free(many);
}

static struct xk_cmdline words(char *text)
{
    size_t len = strlen(text) + 1;
    for (size_t i = 0; i < len; i++)
        if (text[i] == ' ')
            text[i] = 0;
    return (struct xk_cmdline){text, len};
}

Test(kvm_nics, cmdline)
{
    char text[] =
        "qemu -device virtio-net-pci,netdev=a,mac=52:54:00:00:00:01 -netdev tap,id=a,ifname=tap0 "
        "-netdev {\"type\":\"tap\",\"fds\":\"28:29\",\"vhost\":true,\"id\":\"hostnet0\"} "
        "-device "
        "{\"driver\":\"virtio-net-pci\",\"netdev\":\"hostnet0\",\"mac\":\"52:54:00:00:00:02\"} "
        "-netdev user,id=u -device e1000,netdev=u,mac=52:54:00:00:00:03 "
        "-netdev tap,id=b,fd=30 -device e1000,netdev=b -device virtio-blk,drive=x "
        "-nic tap,ifname=tap5,mac=52:54:00:00:00:04 -nic none -nic user "
        "-device {\"netdev\":7} -device {broken -device e1000,netdev=nowhere";
    xk_nics_of_cmdline(words(text), &said);
    cr_assert_eq(said.n, 4);
    said_is(0, "a", "tap0", -1, 0, "52:54:00:00:00:01");
    said_is(1, "hostnet0", "", 28, 0, "52:54:00:00:00:02");
    said_is(2, "b", "", 30, 0, NULL);
    said_is(3, "nic", "tap5", -1, 0, "52:54:00:00:00:04");
}

static struct xvmi_nic nics[XK_NICS_MAX];

static void nic_is(size_t i, const char *dev, unsigned queues, uint8_t last)
{
    cr_assert_str_eq(nics[i].dev, dev, "%zu: %s", i, nics[i].dev);
    cr_assert_eq(nics[i].queues, queues);
    cr_assert_eq(nics[i].mac[5], last);
}

/* The descriptor counts before the name: the device may be called otherwise by now. */
Test(kvm_nics, join)
{
    static const struct xk_tap taps[] = {{3, "tap0"}, {4, "tap1"}, {5, "tap1"}, {6, "new"}};
    said = (struct xk_nics_said){
        .v = {{.netdev = "a", .ifname = "tap1", .fd = -1, .queues = 2, .mac = {[5] = 1}},
              {.netdev = "b", .fd = 3, .queues = 1, .mac = {[5] = 2}},
              {.netdev = "c", .ifname = "old", .fd = -1, .queues = 1, .mac = {[5] = 3}},
              {.netdev = "", .fd = -1, .queues = 1, .mac = {[5] = 4}}},
        .n = 4};
    cr_assert_eq(xk_nics_join(&said, taps, 4, false, nics), 4);
    nic_is(0, "tap1", 2, 1);
    nic_is(1, "tap0", 1, 2);
    nic_is(2, "new", 1, 3); /* one is left of both */
    nic_is(3, "", 1, 4);
}

Test(kvm_nics, join_without_guessing)
{
    static const struct xk_tap taps[] = {{3, "tap0"}, {4, "tap1"}, {5, "tap1"}};
    said = (struct xk_nics_said){
        .v = {{.netdev = "a", .ifname = "old", .fd = -1, .queues = 1, .mac = {[5] = 1}}}, .n = 1};
    cr_assert_eq(xk_nics_join(&said, taps, 3, false, nics), 1);
    nic_is(0, "", 1, 1);
    cr_assert_eq(xk_nics_join(&said, taps, 3, true, nics), 3);
    nic_is(0, "", 1, 1);
    nic_is(1, "tap0", 1, 0);
    nic_is(2, "tap1", 2, 0);
    said.n = 0;
    cr_assert_eq(xk_nics_join(&said, taps, 3, false, nics), 0);
}

Test(kvm_nics, texts)
{
    char dev[16];
    uint8_t mac[6];
    cr_assert(xk_tap_parse("pos:\t0\nflags:\t0104002\nmnt_id:\t64\nino:\t105\niff:\ttap0\n", dev));
    cr_assert_str_eq(dev, "tap0");
    cr_assert(!xk_tap_parse("pos:\t0\niff:\t\n", dev));
    cr_assert(!xk_tap_parse("pos:\t0\niff:\t0123456789abcdef\n", dev));
    cr_assert(!xk_tap_parse("pos:\t0\nxiff:\ttap0\n", dev));
    cr_assert(!xk_tap_parse("", dev));
    cr_assert(xk_mac_parse("52:54:00:aB:cd:ff", mac));
    cr_assert_eq(mac[3], 0xab);
    cr_assert(!xk_mac_parse("52:54:00:ab:cd:f", mac));
    cr_assert(!xk_mac_parse("52:54:00:ab:cd:fff", mac));
    cr_assert(!xk_mac_parse("52:54:00:ab:cd::f", mac));
    cr_assert(!xk_mac_parse("", mac));
}

/* A real tap with two queues, where the machine lets us make one. */
Test(kvm_nics, taps_of_this_process)
{
    struct xk_process self;
    struct xk_tap *taps;
    size_t n;
    struct ifreq r = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_MULTI_QUEUE};
    int a = open("/dev/net/tun", O_RDWR), b = open("/dev/net/tun", O_RDWR);
    int idle = open("/dev/net/tun", O_RDWR);
    if (a < 0 || ioctl(a, TUNSETIFF, &r) || ioctl(b, TUNSETIFF, &r))
        cr_skip_test("no tap devices here");
    cr_assert_eq(xk_process_open(getpid(), &self, NULL), XVMI_OK);
    cr_assert_eq(xk_taps_read(&self, &taps, &n, NULL), XVMI_OK);
    cr_assert_eq(n, 2);
    for (size_t i = 0; i < n; i++) {
        cr_assert_str_eq(taps[i].dev, r.ifr_name);
        cr_assert(taps[i].fd == a || taps[i].fd == b);
    }
    free(taps);
    xk_process_close(&self);
    close(a);
    close(b);
    close(idle);
}
