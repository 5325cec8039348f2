// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * life URI: what happens to a guest, a line each, and answers to lines on stdin:
 *
 *     nics       DEV MAC QUEUES of each network device, then "."
 *     refresh    "ok", or the status in words
 *     pid1       when process 1 started, in ns, or the status in words
 *     open       opens the guest anew; "ok" or the status in words
 *     clock      the guest's clock in ns, or the status in words
 *     look       kernel release and bytes of memory as of the last opening
 *
 * Ends with stdin.
 */
#include <err.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xvmi/task.h>
#include <xvmi/vm.h>

static struct xvmi_vm *vm;

static const char *open_guest(const char *uri)
{
    struct xvmi_error err = XVMI_ERROR_INIT;
    struct xvmi_vm *other;
    xvmi_vm_close(vm);
    vm = NULL;
    enum xvmi_status status = xvmi_vm_open(uri, NULL, &other, &err);
    if (status) {
        fprintf(stderr, "%s\n", err.text);
        return xvmi_status_text(status);
    }
    vm = other;
    return "ok";
}

static void tell_nics(void)
{
    struct xvmi_nic *nics = NULL;
    size_t n = 0;
    enum xvmi_status status = xvmi_vm_nics(vm, &nics, &n);
    if (status)
        printf("%s\n", xvmi_status_text(status));
    for (size_t i = 0; i < n; i++)
        printf("%s %02x:%02x:%02x:%02x:%02x:%02x %u\n", nics[i].dev, nics[i].mac[0], nics[i].mac[1],
               nics[i].mac[2], nics[i].mac[3], nics[i].mac[4], nics[i].mac[5], nics[i].queues);
    printf(".\n");
    free(nics);
}

static void tell_pid1(void)
{
    struct xvmi_task *tasks;
    size_t n;
    enum xvmi_status status = xvmi_task_list(vm, &tasks, &n);
    if (status) {
        printf("%s\n", xvmi_status_text(status));
        return;
    }
    size_t i = 0;
    while (i < n && tasks[i].pid != 1)
        i++;
    if (i < n)
        printf("%llu\n", (unsigned long long)tasks[i].start_ns);
    else
        printf("none\n");
    free(tasks);
}

static void obey(const char *uri, const char *line)
{
    struct xvmi_vm_info info = {.size = sizeof(info)};
    if (!strcmp(line, "open\n")) {
        printf("%s\n", open_guest(uri));
    } else if (!vm) {
        printf("closed\n");
    } else if (!strcmp(line, "nics\n")) {
        tell_nics();
    } else if (!strcmp(line, "pid1\n")) {
        tell_pid1();
    } else if (!strcmp(line, "clock\n")) {
        uint64_t ns = 0;
        enum xvmi_status status = xvmi_vm_refresh(vm);
        status = status ? status : xvmi_task_clock(vm, &ns);
        if (status)
            printf("%s\n", xvmi_status_text(status));
        else
            printf("%llu\n", (unsigned long long)ns);
    } else if (!strcmp(line, "refresh\n")) {
        enum xvmi_status status = xvmi_vm_refresh(vm);
        printf("%s\n", status ? xvmi_status_text(status) : "ok");
    } else if (!strcmp(line, "look\n")) {
        xvmi_vm_info(vm, &info);
        printf("%s %llu\n", info.release, (unsigned long long)info.memory_bytes);
    }
}

static void tell_events(void)
{
    enum xvmi_vm_event event;
    do {
        if (xvmi_vm_event(vm, &event))
            errx(3, "%s", xvmi_vm_error(vm));
        if (event != XVMI_VM_NOTHING)
            printf("event %s\n", xvmi_vm_event_text(event));
    } while (event != XVMI_VM_NOTHING);
}

int main(int argc, char **argv)
{
    char line[64];
    if (argc != 2)
        errx(2, "usage: life URI");
    setvbuf(stdout, NULL, _IOLBF, 0);
    setvbuf(stdin, NULL, _IONBF, 0); /* poll must see what is not read yet */
    printf("%s\n", open_guest(argv[1]));
    for (;;) {
        struct pollfd p[2] = {{.fd = 0, .events = POLLIN}, {.fd = -1, .events = POLLIN}};
        if (vm && xvmi_vm_event_fd(vm, &p[1].fd))
            errx(3, "%s", xvmi_vm_error(vm));
        if (poll(p, 2, -1) < 0)
            err(1, "poll");
        if (p[1].revents)
            tell_events();
        if (p[0].revents) {
            if (!fgets(line, sizeof(line), stdin))
                return 0;
            obey(argv[1], line);
        }
    }
}
