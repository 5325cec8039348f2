// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* filter-seeds DIR: policies and frames for fuzz-policy, fuzz-frame, fuzz-engine and fuzz-tc. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "support/tc-frames.h"

static void write_file(const char *dir, const char *target, unsigned n, const void *data,
                       size_t len)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/%s", dir, target);
    mkdir(path, 0777);
    snprintf(path, sizeof(path), "%s/%s/seed-%u", dir, target, n);
    FILE *f = fopen(path, "w");
    if (!f || fwrite(data, 1, len, f) != len || fclose(f)) {
        perror(path);
        exit(1);
    }
}

static const char *const policies[] = {
    "vm \"web-*\" {\n default deny log\n allow exe \"/usr/sbin/nginx\" tcp dport { 80, 443 }\n"
    " allow uid www-data to 10.0.0.0/8\n deny exe \"/usr/bin/nmap\" reject\n"
    " audit parent exe \"/usr/sbin/sshd\"\n set admins { 192.0.2.1, 2001:db8::/32 }\n"
    " allow to @admins\n}\n",
    "learned\nset s { 1-5, root }\nvm \"a\", \"b\" { default in reject; default allow; owners any\n"
    "deny uid != { @s, 7 } gid >= 9 age < 10s comm \"a[b-c]?**\" \\\n log; arp deny }\n",
    "{\"sets\": {\"s\": [\"::1-::9\"]}, \"vms\": [{\"vm\": [\"w\"], \"default\": {\"verdict\": "
    "\"deny\", \"log\": true}, \"nd\": \"deny\", \"rules\": [{\"verdict\": \"allow\", \"to\": "
    "{\"not\": \"@s\"}, \"dport\": [80, \"9-10\"], \"proto\": \"tcp\", \"at\": [1, 2]}]}]}",
};

int main(int argc, char **argv)
{
    if (argc != 2)
        return 2;
    for (unsigned i = 0; i < sizeof(policies) / sizeof(*policies); i++)
        write_file(argv[1], "policy", i, policies[i], strlen(policies[i]));
    struct frame frames[3] = {tcp4(5000, 80, 2), udp4(1000, 53, 20)};
    frame_ether(&frames[2]);
    frame_ip6(&frames[2], 44, "2001:db8::2", "2001:db8::1");
    frame_put(&frames[2], "\x3a\0\0\x01\0\0\0\x01\x80\0\0\0\x12\x34\0\0", 16);
    frame_end(&frames[2]);
    for (unsigned i = 0; i < 3; i++) {
        uint8_t input[256] = {0, (uint8_t)frames[i].len};
        write_file(argv[1], "frame", i, frames[i].data, frames[i].len);
        memcpy(input + 2, frames[i].data, frames[i].len);
        write_file(argv[1], "engine", i, input, sizeof(input));
    }
    struct frame more[TC_FRAMES];
    unsigned n = tc_frames(more);
    for (unsigned i = 0; i < n; i++) {
        uint8_t input[2049] = {0};
        memcpy(input + 1, more[i].data, more[i].len);
        write_file(argv[1], "tc", i, input, 1 + more[i].len);
    }
    return 0;
}
