// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Well-formed inputs for fuzz-kvm, one for each of its parsers: `kvm-seeds DIR` fills DIR/kvm. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define MTREE(nl)                                                                                  \
    "FlatView #0" nl " AS \"I/O\", root: io" nl                                                    \
    "  0000000000000000-0000000000000007 (prio 0, i/o): dma" nl nl "FlatView #1" nl                \
    " AS \"memory\", root: system" nl " Root memory region: system" nl                             \
    "  0000000000000000-000000000009ffff (prio 0, ram): n0" nl                                     \
    "  00000000000c0000-00000000000dffff (prio 1, rom): pc.rom" nl                                 \
    "  0000000000100000-000000007fffffff (prio 0, ram): n0 @0000000000100000 KVM" nl               \
    "  0000000100000000-00000001bfffffff (prio 0, ram): n1" nl

#define QUOTED_MTREE                                                                               \
    "FlatView #1\\r\\n AS \\\"memory\\\", root: system\\r\\n"                                      \
    "  0000000000000000-000000007fffffff (prio 0, ram): n0\\r\\n"                                  \
    "  0000000100000000-00000001bfffffff (prio 0, ram): n1 @0000000000001000\\r\\n"

static const char registers[] = "\r\nCPU#0\r\nRIP=ffffffffb77c3d7b RFL=00000246 [---Z-P-] CPL=0\r\n"
                                "GS =0000 ffff8a6e1ec00000 ffffffff 00cff300\r\n"
                                "IDT=     fffffe0000000000 00000fff\r\n"
                                "CR0=80050033 CR2=0 CR3=00000000023ba000 CR4=000006f0\r\n"
                                "EFER=0000000000000d01\r\n";

static const char cmdline[] =
    "qemu\0-qmp\0unix:/a,server=on\0-m\0size=6G\0-machine\0type=q35\0-chardev\0"
    "socket,id=c,path=/p,,q,server=on\0-mon\0chardev=c,mode=control\0-numa\0-M\0pc\0"
    "-netdev\0tap,id=a,ifname=tap0\0-device\0e1000,netdev=a,mac=52:54:00:12:34:56\0-nic\0tap\0"
    "-netdev\0{\"type\":\"tap\",\"fds\":\"3:4\",\"id\":\"b\"}\0-device\0{\"netdev\":\"b\"}";

static const char qmp[] =
    "{\"QMP\": {\"version\": {}, \"capabilities\": [\"oob\"]}}\r\n"
    "{\"return\": {}, \"id\": 1}\r\n"
    "{\"event\": \"RESET\", \"data\": {\"guest\": true}}\r\n"
    "{\"return\": {\"status\": \"running\"}, \"id\": 2}\r\n"
    "{\"return\": [{\"cpu-index\": 0}, {\"cpu-index\": 1}], \"id\": 3}\r\n"
    "{\"return\": [{\"id\": \"n0\"}, {\"id\": \"n1\"}], \"id\": 4}\r\n"
    "{\"return\": \"" QUOTED_MTREE "\", \"id\": 5}\r\n"
    "{\"return\": \"Host virtual address for 0x0 (n0) is 0x7fa503fff000\\r\\n\", \"id\": 6}\r\n"
    "{\"return\": \"Host virtual address for 0x100000000 (n1) is 0x7fa443c00000\\r\\n\", "
    "\"id\": 7}\r\n";

static const char network[] =
    "net1: index=0,type=nic,model=virtio-net-pci,macaddr=52:54:00:00:00:03\r\n"
    " \\ mq: index=0,type=tap,ifname=tap1,script=no\r\n"
    "net1: index=1,type=nic,model=virtio-net-pci,macaddr=52:54:00:00:00:03\r\n"
    " \\ mq: index=1,type=tap,fd=5\r\nhub 0\r\n"
    " \\ hub0port1: #net1: index=0,type=tap,ifname=tap0\r\n"
    " \\ hub0port0: e1000.0: index=0,type=nic,macaddr=52:54:00:12:34:56\r\niff:\ttap0\n";

static const char events[] =
    "{\"event\": \"STOP\"}\r\n{\"event\": \"RESET\", \"data\": {\"guest\": true}}\r\n"
    "{\"event\": \"GUEST_PANICKED\", \"data\": {\"action\": \"run\"}}{\"event\": \"RESUME\"}"
    "{\"event\": \"MIGRATION\", \"data\": {\"status\": \"completed\"}}"
    "{\"event\": \"DEVICE_DELETED\", \"data\": {\"path\": \"/machine\"}}";

static int write_seed(const char *dir, unsigned which, const char *text, size_t len)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/kvm/seed-%u", dir, which);
    FILE *f = fopen(path, "w");
    if (!f)
        return 1;
    fputc((int)which, f);
    fwrite(text, 1, len, f);
    return fclose(f) != 0;
}

int main(int argc, char **argv)
{
    char path[4096];
    static const char mtree[] = MTREE("\r\n");
    static const char gpa2hva[] = "Host virtual address for 0x1000 (n0) is 0x7fa503fff000\r\n";
    static const char maps[] = "7fa503fff000-7fa583fff000 rw-s 00001000 00:01 1029 /memfd:m\n";
    if (argc != 2)
        return 2;
    snprintf(path, sizeof(path), "%s/kvm", argv[1]);
    mkdir(path, 0777);
    return write_seed(argv[1], 0, mtree, sizeof(mtree) - 1) ||
           write_seed(argv[1], 1, gpa2hva, sizeof(gpa2hva) - 1) ||
           write_seed(argv[1], 2, registers, sizeof(registers) - 1) ||
           write_seed(argv[1], 3, network, sizeof(network) - 1) ||
           write_seed(argv[1], 4, maps, sizeof(maps) - 1) ||
           write_seed(argv[1], 5, cmdline, sizeof(cmdline) - 1) ||
           write_seed(argv[1], 6, qmp, sizeof(qmp) - 1) ||
           write_seed(argv[1], 7, events, sizeof(events) - 1);
}
