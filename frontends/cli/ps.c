// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* xvmi ps: the guest's processes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "field.h"
#include "json.h"
#include "progress.h"
#include "table.h"
#include "text.h"

struct process {
    const struct xvmi_task *task;
    struct field exe, cmdline, cgroup;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    (void)arg;
    if (key != ARGP_KEY_INIT)
        return ARGP_ERR_UNKNOWN;
    state->child_inputs[0] = state->input;
    return 0;
}

/* Everything is gathered before anything is printed: no half answer. */
static enum xvmi_status look_at(struct xvmi_vm *vm, struct process *process)
{
    enum xvmi_status status = field_task_exe(vm, process->task, &process->exe);
    if (!status)
        status = field_task_cmdline(vm, process->task, &process->cmdline);
    if (!status)
        status = field_task_cgroup(vm, process->task, &process->cgroup);
    return status;
}

static void print_json(const struct process *processes, size_t n)
{
    json_begin_array();
    for (size_t i = 0; i < n; i++) {
        const struct xvmi_task *task = processes[i].task;
        json_t *o = json_object();
        json_put_int(o, "pid", (uint64_t)task->pid);
        json_put_int(o, "ppid", (uint64_t)task->ppid);
        json_put_int(o, "uid", task->uid);
        json_put_int(o, "euid", task->euid);
        json_put(o, "comm", text_json(task->comm, strnlen(task->comm, XVMI_COMM_MAX)));
        field_put(o, "exe", &processes[i].exe);
        field_put(o, "cmdline", &processes[i].cmdline);
        field_put(o, "cgroup", &processes[i].cgroup);
        json_put_int_or_null(o, "netns", task->netns);
        json_put_int(o, "start_ns", task->start_ns);
        json_put_int(o, "threads", task->threads);
        json_put_int_or_null(o, "nspid", (uint64_t)task->nspid);
        json_print_element(o);
    }
    json_end_array();
}

/* The command as ps shows it: without arguments to show, the name in brackets. */
static void command_cell(struct table *table, const struct process *process)
{
    const struct xvmi_task *task = process->task;
    if (process->cmdline.text) {
        field_cell(table, &process->cmdline);
        return;
    }
    char *name = must_printf("[%.*s]%s", XVMI_COMM_MAX, task->comm,
                             task->flags & XVMI_TASK_EXITING ? " <defunct>" : "");
    table_guest_cell(table, name, strlen(name));
    free(name);
}

static void print_text(const struct process *processes, size_t n)
{
    static const struct table_column columns[] = {
        {"PID", true}, {"PPID", true},  {"UID", true},  {"EUID", true},
        {"THR", true}, {"START", true}, {"EXE", false}, {"COMMAND", false},
    };
    struct table table = TABLE_INIT(columns);

    for (size_t i = 0; i < n; i++) {
        const struct xvmi_task *task = processes[i].task;
        table_cell(&table, "%d", task->pid);
        table_cell(&table, "%d", task->ppid);
        table_cell(&table, "%u", task->uid);
        table_cell(&table, "%u", task->euid);
        table_cell(&table, "%u", task->threads);
        table_cell(&table, "%.2f", (double)task->start_ns / 1e9);
        field_cell(&table, &processes[i].exe);
        command_cell(&table, &processes[i]);
    }
    table_print(&table);
}

int cmd_ps(int argc, char **argv)
{
    static const struct argp_child children[] = {{&guest_argp, 0, NULL, 0}, {0}};
    static const struct argp argp = {
        .parser = parse,
        .children = children,
        .doc = "List the processes of a guest, kernel threads included."
               "\v"
               "START is in seconds since the guest booted. An EXE of `-' means none, `?' that it "
               "could not be read; --json says why, and has more.\n"
               "\n"
               "Examples:\n"
               "  xvmi ps qemu:/run/vm.qmp\n"
               "  xvmi ps --json file:vm.core",
    };
    struct guest_args args = {0};
    argp_parse(&argp, argc, argv, 0, NULL, &args);

    struct xvmi_vm *vm = guest_open(argv[0], &args);
    struct xvmi_task *tasks = NULL;
    size_t n = 0;
    progress_start("reading the guest's processes");
    enum xvmi_status status = xvmi_task_list(vm, &tasks, &n);
    struct process *processes = must_alloc(status ? 0 : n, sizeof(*processes));
    for (size_t i = 0; !status && i < n; i++) {
        processes[i].task = &tasks[i];
        status = look_at(vm, &processes[i]);
    }
    progress_stop();
    if (status)
        fail_guest(argv[0], args.uri, status, xvmi_vm_error(vm));

    if (args.json)
        print_json(processes, n);
    else
        print_text(processes, n);
    for (size_t i = 0; i < n; i++) {
        field_free(&processes[i].exe);
        field_free(&processes[i].cmdline);
        field_free(&processes[i].cgroup);
    }
    free(processes);
    free(tasks);
    xvmi_vm_close(vm);
    return finish_output(argv[0]);
}
