// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Types and symbols from a vmlinux with DWARF, in a new process each time, the file in the page
 * cache: bench-dwarf [VMLINUX], default $XVMI_BENCH_VMLINUX.
 *
 * Our figure is the whole life of the process. drgn's leaves out the start of Python: from before
 * the file is loaded to the first type found.
 */
#include <spawn.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/rounds.h"
#include "bench/wants.h"
#include "type/dwarf.h"

#define ROUNDS 9

extern char **environ;

static const char *self, *vmlinux;

static int child_ours(const char *path, enum xt_units units)
{
    struct xt_builder *builder = NULL;
    struct xvmi_profile *profile = NULL;
    struct xvmi_error err = XVMI_ERROR_INIT;
    struct xt_elf elf;
    if (xt_builder_new(bench_wants, BENCH_WANTS, &builder, &err) || xt_elf_open(path, &elf, &err) ||
        xt_builder_add_dwarf(builder, &elf, units, &err) || xt_elf_symbols(&elf, builder, &err) ||
        xt_builder_finish(builder, &profile, &err)) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    return 0;
}

static const char drgn_script[] = "import sys, time, drgn\n"
                                  "p = drgn.Program()\n"
                                  "t = time.monotonic()\n"
                                  "p.load_debug_info([sys.argv[1]])\n"
                                  "p.type('struct task_struct')\n"
                                  "print(time.monotonic() - t)\n";

/* Output of a program (NULL: not wanted), its wall time and peak memory; false when it failed. */
static bool run(char *const argv[], char *out, size_t size, double *seconds, double *rss_mb)
{
    int pipe_fds[2];
    pid_t pid;
    posix_spawn_file_actions_t actions;
    if (pipe(pipe_fds) != 0)
        return false;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, pipe_fds[1], STDOUT_FILENO);
    posix_spawn_file_actions_addclose(&actions, pipe_fds[0]);
    posix_spawn_file_actions_addclose(&actions, pipe_fds[1]);
    double begin = bench_now();
    int r = posix_spawn(&pid, argv[0], &actions, NULL, argv, environ);
    close(pipe_fds[1]);
    ssize_t n = r == 0 ? read(pipe_fds[0], out, size - 1) : -1;
    struct rusage usage = {0};
    int status = 1;
    if (r == 0)
        wait4(pid, &status, 0, &usage);
    *seconds = bench_now() - begin;
    *rss_mb = (double)usage.ru_maxrss / 1024;
    out[n > 0 ? n : 0] = 0;
    close(pipe_fds[0]);
    posix_spawn_file_actions_destroy(&actions);
    return status == 0;
}

struct how {
    enum { OURS, OURS_ALL, LIBDW, DRGN, DRGN_ONE } who;
    double rss_mb; /* the most of all rounds */
};

static double measure(void *ctx)
{
    struct how *how = ctx;
    char out[64];
    double seconds, rss;
    char *const commands[][5] = {
        [OURS] = {(char *)self, "--child", "auto", (char *)vmlinux, NULL},
        [OURS_ALL] = {(char *)self, "--child", "all", (char *)vmlinux, NULL},
        [LIBDW] = {PEER_LIBDW, (char *)vmlinux, NULL},
        [DRGN] = {"/usr/bin/python3", "-c", (char *)drgn_script, (char *)vmlinux, NULL},
        [DRGN_ONE] = {"/usr/bin/python3", "-c", (char *)drgn_script, (char *)vmlinux, NULL},
    };
    if (how->who == DRGN_ONE)
        setenv("OMP_NUM_THREADS", "1", 1);
    else
        unsetenv("OMP_NUM_THREADS");
    if (!run(commands[how->who], out, sizeof(out), &seconds, &rss))
        return -1;
    how->rss_mb = rss > how->rss_mb ? rss : how->rss_mb;
    return (how->who >= DRGN ? atof(out) : seconds) * 1e3;
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "--child") == 0)
        return child_ours(argv[3], strcmp(argv[2], "all") == 0 ? XT_UNITS_ALL : XT_UNITS_AUTO);
    self = "/proc/self/exe";
    vmlinux = argc > 1 ? argv[1] : getenv("XVMI_BENCH_VMLINUX");
    if (!vmlinux || access(vmlinux, R_OK) != 0) {
        fprintf(stderr, "bench-dwarf: name a vmlinux with DWARF, here or in XVMI_BENCH_VMLINUX\n");
        return 77;
    }
    struct how hows[] = {{OURS}, {OURS_ALL}, {LIBDW}, {DRGN}, {DRGN_ONE}};
    struct bench_contender c[] = {
        {"libxvmi", measure, &hows[0]},
        {"libxvmi, all units", measure, &hows[1]},
        {"libdw, names of structs", measure, &hows[2]},
        {"drgn", measure, &hows[3]},
        {"drgn, one thread", measure, &hows[4]},
    };
    if (!bench_rounds(c, 5, ROUNDS))
        return 1;
    printf("%s, %zu wants, %d rounds; ms, peak MB\n", vmlinux, BENCH_WANTS, ROUNDS);
    for (size_t i = 0; i < 5; i++)
        printf("  %-28s %8.1f  (%.1f to %.1f) %6.0f\n", c[i].name, c[i].median, c[i].low, c[i].high,
               hows[i].rss_mb);
    bench_bar("dwarf-vs-drgn", c[0].median / c[3].median, 0.25);
    bench_bar("dwarf-rss-mb", hows[0].rss_mb > hows[1].rss_mb ? hows[0].rss_mb : hows[1].rss_mb,
              80);
    bench_bar("dwarf-full-scan-vs-drgn", c[1].median / c[4].median, 0.8);
    return 0;
}
