// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Which programs run in a guest, and as whom?
 *
 *     cc -o ps ps.c $(pkg-config --cflags --libs libxvmi)
 *     sudo ./ps qemu:/run/vm.qmp
 */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>

#include <xvmi/task.h>
#include <xvmi/vm.h>

/* A guest chooses the names of its programs: do not let them steer the terminal. */
static void print_name(const char *name)
{
    for (; *name; name++)
        putchar((unsigned char)*name < 0x20 || *name == 0x7f ? '?' : *name);
}

static void print_task(struct xvmi_vm *vm, const struct xvmi_task *task)
{
    char exe[XVMI_PATH_MAX];

    printf("%7d %7u  ", (int)task->pid, task->uid);
    switch (xvmi_task_exe(vm, task, exe, sizeof(exe))) {
    case XVMI_OK:
        print_name(exe);
        break;
    case XVMI_ERR_NOT_FOUND: /* a kernel thread, or a process that has ended */
        putchar('[');
        print_name(task->comm);
        putchar(']');
        break;
    default: /* not the same as none */
        printf("? (%s)", xvmi_vm_error(vm));
    }
    putchar('\n');
}

int main(int argc, char **argv)
{
    struct xvmi_error err = XVMI_ERROR_INIT;
    struct xvmi_vm *vm;
    struct xvmi_task *tasks;
    size_t n;

    if (argc != 2)
        errx(2, "usage: ps URI");
    if (xvmi_vm_open(argv[1], NULL, &vm, &err))
        errx(3, "%s", err.text);
    if (xvmi_task_list(vm, &tasks, &n))
        errx(3, "%s", xvmi_vm_error(vm));
    for (size_t i = 0; i < n; i++)
        print_task(vm, &tasks[i]);
    free(tasks);
    xvmi_vm_close(vm);
    return 0;
}
