// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Single sockets, as a container's programs have them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "helper.h"

static void bind_to(int fd, int family, const char *host, const char *port)
{
    union address address = flow_address(family, host, (uint16_t)atoi(port));
    int on = 1;
    must(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)));
    must(bind(fd, &address.any, flow_size(family)));
}

/* PROTOCOL LOCAL LPORT [REMOTE RPORT]; without a remote end, TCP listens and takes what comes. */
void hold_one(char **words)
{
    const bool tcp = !strcmp(words[0], "tcp");
    const int family = strchr(words[1], ':') ? AF_INET6 : AF_INET;
    const int proto = tcp ? IPPROTO_TCP : IPPROTO_UDP;
    int fd = must(socket(family, (tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC, 0));
    truth_aloud();
    bind_to(fd, family, words[1], words[2]);
    if (words[3]) {
        union address address = flow_address(family, words[3], (uint16_t)atoi(words[4]));
        must(connect(fd, &address.any, flow_size(family)));
        if (!tcp)
            must(write(fd, "x", 1));
    } else if (tcp) {
        must(listen(fd, 8));
    }
    flow_mine("held", family, proto, fd);
    truth_line("{\"kind\": \"stage\"}\n");
    while (tcp && !words[3]) {
        int accepted = must(accept4(fd, NULL, NULL, SOCK_CLOEXEC));
        flow_mine("accepted", family, proto, accepted);
        truth_line("{\"kind\": \"stage\"}\n");
    }
    stand_still();
}
