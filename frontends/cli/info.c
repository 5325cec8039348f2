// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* xvmi info: what was found out about the guest's kernel. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "json.h"
#include "text.h"

static error_t parse(int key, char *arg, struct argp_state *state)
{
    (void)arg;
    if (key != ARGP_KEY_INIT)
        return ARGP_ERR_UNKNOWN;
    state->child_inputs[0] = state->input;
    return 0;
}

static const char *profile_text(const struct xvmi_vm_info *info)
{
    return info->profile_cached ? "cache" : xvmi_profile_source_text(info->profile_source);
}

static const char *paging_text(const struct xvmi_vm_info *info)
{
    return info->paging_levels == 5 ? "5-level" : "4-level";
}

static void print_json(const struct xvmi_vm_info *info)
{
    json_t *o = json_object();
    json_put_text(o, "release", info->release);
    json_put_text(o, "build_id", info->build_id);
    json_put_int(o, "kaslr_offset", info->kaslr_offset);
    json_put_int(o, "phys_base", info->phys_base);
    json_put_text(o, "paging", paging_text(info));
    json_put_text(o, "profile", profile_text(info));
    json_put_int(o, "memory_bytes", info->memory_bytes);
    json_put_int_or_null(o, "vcpus", info->vcpus);
    json_put(o, "attach_ms", json_real((double)info->attach_ns / 1e6));
    json_print(o);
}

static void print_text(const struct xvmi_vm_info *info)
{
    char *release = text_safe(info->release, strlen(info->release));
    printf("release       %s\n", release);
    printf("build id      %s\n", *info->build_id ? info->build_id : "-");
    printf("kaslr offset  %#llx\n", (unsigned long long)info->kaslr_offset);
    /* An address below where the kernel was linked makes it negative. */
    int64_t phys_base = (int64_t)info->phys_base;
    printf("phys base     %s%#llx\n", phys_base < 0 ? "-" : "",
           phys_base < 0 ? -(unsigned long long)phys_base : (unsigned long long)phys_base);
    printf("paging        %s\n", paging_text(info));
    printf("profile       %s\n", profile_text(info));
    printf("memory        %.1f MiB\n", (double)info->memory_bytes / (1 << 20));
    if (info->vcpus)
        printf("vcpus         %u\n", info->vcpus);
    else
        puts("vcpus         ?");
    printf("attached in   %.1f ms\n", (double)info->attach_ns / 1e6);
    free(release);
}

int cmd_info(int argc, char **argv)
{
    static const struct argp_child children[] = {{&guest_argp, 0, NULL, 0}, {0}};
    static const struct argp argp = {
        .parser = parse,
        .children = children,
        .doc = "Show what kernel runs in a guest, where it lies and how it was understood."
               "\v"
               "Example:\n"
               "  xvmi info qemu:/run/vm.qmp",
    };
    struct guest_args args = {0};
    argp_parse(&argp, argc, argv, 0, NULL, &args);

    struct xvmi_vm *vm = guest_open(argv[0], &args);
    struct xvmi_vm_info info = {.size = sizeof(info)};
    xvmi_vm_info(vm, &info);
    if (args.json)
        print_json(&info);
    else
        print_text(&info);
    xvmi_vm_close(vm);
    return finish_output(argv[0]);
}
