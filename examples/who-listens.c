// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Who in a guest waits for TCP connections, and on which ports?
 *
 *     cc -o who-listens who-listens.c $(pkg-config --cflags --libs libxvmi)
 *     sudo ./who-listens qemu:/run/vm.qmp
 */
#include <arpa/inet.h>
#include <err.h>
#include <stdio.h>
#include <stdlib.h>

#include <xvmi/socket.h>
#include <xvmi/vm.h>

static void print_listener(const struct xvmi_socket *socket, const struct xvmi_owner_scan *scan)
{
    const struct xvmi_socket_owner *owners;
    size_t n = xvmi_owner_scan_find(scan, socket, &owners);
    char address[INET6_ADDRSTRLEN];

    inet_ntop(socket->family == 2 ? AF_INET : AF_INET6, socket->local, address, sizeof(address));
    printf("%-24s %5u  namespace %u:", address, socket->lport, socket->netns);
    if (!n)
        printf(" nobody");
    for (size_t i = 0; i < n; i++) {
        printf(" %d (", (int)owners[i].pid);
        /* A guest chooses the names of its programs: do not let them steer the terminal. */
        for (const char *c = owners[i].comm; *c; c++)
            putchar((unsigned char)*c < 0x20 || *c == 0x7f ? '?' : *c);
        putchar(')');
    }
    putchar('\n');
}

int main(int argc, char **argv)
{
    struct xvmi_error err = XVMI_ERROR_INIT;
    struct xvmi_owner_scan *scan;
    struct xvmi_socket *sockets;
    struct xvmi_vm *vm;
    size_t n;

    if (argc != 2)
        errx(2, "usage: who-listens URI");
    if (xvmi_vm_open(argv[1], NULL, &vm, &err))
        errx(3, "%s", err.text);
    if (xvmi_socket_list(vm, XVMI_SOCKET_BIT(XVMI_SOCKET_TCP), &sockets, &n) ||
        xvmi_owner_scan_new(vm, &scan))
        errx(3, "%s", xvmi_vm_error(vm));
    for (size_t i = 0; i < n; i++)
        if (sockets[i].state == XVMI_STATE_LISTEN)
            print_listener(&sockets[i], scan);
    xvmi_owner_scan_free(scan);
    free(sockets);
    xvmi_vm_close(vm);
    return 0;
}
