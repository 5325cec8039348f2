// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* One source for two worlds: the walkers, compiled for the kernel's verifier, on the toy kernel. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <criterion/criterion.h>

#include "os/linux/walk.h"
#include "support/linux-writer.h"

struct walk_answer { /* as in walk.bpf.c */
    struct xw_sock sock;
    struct xw_task owner;
    struct xw_fault fault;
    uint64_t found, tasks;
};

static struct bpf_map *section(struct bpf_object *obj, const char *suffix)
{
    struct bpf_map *map;
    bpf_object__for_each_map(map, obj)
    {
        const char *name = bpf_map__name(map);
        if (strlen(name) >= strlen(suffix) && !strcmp(name + strlen(name) - strlen(suffix), suffix))
            return map;
    }
    cr_assert(false, "no %s", suffix);
    abort();
}

/* Where a variable lies in its section, by the object's own BTF. */
static void *variable(struct bpf_object *obj, const char *suffix, const char *name)
{
    size_t size;
    char *data = (char *)bpf_map__initial_value(section(obj, suffix), &size);
    const struct btf *btf = bpf_object__btf(obj);
    const struct btf_type *sec =
        btf__type_by_id(btf, (uint32_t)btf__find_by_name_kind(btf, suffix, BTF_KIND_DATASEC));
    const struct btf_var_secinfo *var = btf_var_secinfos(sec);
    for (int i = 0; i < btf_vlen(sec); i++)
        if (!strcmp(btf__name_by_offset(btf, btf__type_by_id(btf, var[i].type)->name_off), name))
            return data + var[i].offset;
    cr_assert(false, "no variable %s", name);
    abort();
}

static void set(struct bpf_object *obj, const char *name, const void *value, size_t size)
{
    memcpy(variable(obj, ".rodata", name), value, size);
}

static struct walk_answer run(struct lw *lw, uint64_t head, uint16_t lport, uint32_t fd)
{
    struct bpf_object *obj = bpf_object__open_file(WALK_BPF_OBJECT, NULL);
    cr_assert_not_null(obj);
    const uint64_t memory[] = {LW_BASE, lw->size, (uint64_t)(uintptr_t)lw->ram};
    set(obj, "memory", memory, sizeof(memory));
    set(obj, "layout", &lw->lay, sizeof(lw->lay));
    set(obj, "chain_head", &head, 8);
    set(obj, "init_task", &lw->sym.sym_init_task, 8);
    set(obj, "socket_ops", &lw->sym.sym_socket_file_ops, 8);
    set(obj, "want_lport", &lport, 2);
    set(obj, "want_fd", &fd, 4);
    cr_assert_eq(bpf_object__load(obj), 0, "the verifier refuses the walkers");

    uint8_t frame[64] = {0};
    LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = sizeof(frame));
    int prog = bpf_program__fd(bpf_object__find_program_by_name(obj, "walk"));
    cr_assert_eq(bpf_prog_test_run_opts(prog, &opts), 0);

    struct walk_answer answer;
    uint32_t key = 0;
    cr_assert_eq(bpf_map_lookup_elem(bpf_map__fd(section(obj, ".bss")), &key, &answer), 0);
    cr_assert_eq(bpf_map__value_size(section(obj, ".bss")), sizeof(answer));
    cr_assert_eq(opts.retval, answer.found);
    bpf_object__close(obj);
    return answer;
}

static struct lw lw;
static uint64_t sock, file, holder;

static void set_up(void)
{
    if (geteuid())
        cr_skip_test("loading BPF programs needs root");
    lw_init(&lw, 1 << 20);
    for (uint32_t i = 0; i < 5; i++)
        lw_chain(
            &lw, lw_ehash(&lw, 2),
            lw_socket(&lw, 2, 1, 0x0200000a, (uint16_t)(4000 + i), 0x0100000a, 80, 100 + i, NULL));
    sock = lw_socket(&lw, 2, 1, 0x0200000a, 5000, 0x0100000a, 443, 55, &file);
    lw_put(&lw, sock, sock_uid, 1000);
    lw_chain(&lw, lw_ehash(&lw, 2), sock);
    lw_chain(&lw, lw_ehash(&lw, 2), lw_socket(&lw, 2, 6, 1, 5001, 1, 1, 56, NULL));
    for (uint32_t pid = 1; pid < 20; pid++) {
        uint64_t task = lw_task(&lw, pid, "bystander", 0, 8);
        if (pid == 13)
            holder = task;
    }
    strcpy(lw_at(&lw, holder + lw.lay.task_comm.off), "holder");
    lw_set_fd(&lw, holder, 5, file);
}

static void tear_down(void)
{
    lw_fini(&lw);
}

TestSuite(walk_bpf, .init = set_up, .fini = tear_down);

Test(walk_bpf, finds_socket_and_owner)
{
    struct walk_answer a = run(&lw, lw_ehash(&lw, 2), 5000, 5);
    cr_assert_eq(a.found, 1, "field %u of %#llx: %d", a.fault.field,
                 (unsigned long long)a.fault.base, a.fault.status);
    cr_assert_eq(a.sock.addr, sock);
    cr_assert_eq(a.sock.rport, 443);
    cr_assert_eq(a.sock.uid, 1000);
    cr_assert_eq(a.sock.file, file);
    cr_assert_eq(a.owner.tgid, 13);
    cr_assert_eq(a.tasks, 13);
    cr_assert_str_eq((char *)a.owner.comm, "holder");
}

Test(walk_bpf, another_descriptor_is_not_it)
{
    struct walk_answer a = run(&lw, lw_ehash(&lw, 2), 5000, 4);
    cr_assert_eq(a.found, 0);
    cr_assert_eq(a.tasks, 19);
}

Test(walk_bpf, another_chain_has_no_such_socket)
{
    struct walk_answer a = run(&lw, lw_ehash(&lw, 3), 5000, 5);
    cr_assert_eq(a.found, 0);
    cr_assert_eq(a.sock.addr, 0);
}

Test(walk_bpf, a_circle_ends)
{
    lw_set(&lw, sock + lw.lay.skc_node.off, sock + lw.lay.skc_node.off);
    struct walk_answer a = run(&lw, lw_ehash(&lw, 2), 4000, 5);
    cr_assert_eq(a.found, 0);
}
