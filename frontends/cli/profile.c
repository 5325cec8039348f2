// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* xvmi profile: makes profile files and shows them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "json.h"
#include "progress.h"
#include "table.h"
#include "text.h"

struct profile_args {
    const char *vmlinux, *from, *show, *output;
    bool json, no_cache;
};

enum { OPT_FROM = 0x300, OPT_SHOW, OPT_JSON, OPT_NO_CACHE };

static const struct argp_option options[] = {
    {"output", 'o', "FILE", 0, "Write the profile to FILE, which is replaced in one step", 1},
    {"from", OPT_FROM, "URI", 0, "Make it from a guest instead of a vmlinux", 1},
    {"no-cache", OPT_NO_CACHE, NULL, 0, "With --from: neither read nor write the cache of profiles",
     1},
    {"show", OPT_SHOW, "FILE", 0, "Print what a profile file holds", 2},
    {"json", OPT_JSON, NULL, 0, "With --show: print one JSON document instead of text", 2},
    {0},
};

static void check(const struct profile_args *args, const char *command)
{
    int sources = !!args->vmlinux + !!args->from + !!args->show;
    if (sources != 1)
        fail_usage(command, "give one of VMLINUX, --from URI and --show FILE (see %s --help)",
                   command);
    if (args->show && args->output)
        fail_usage(command, "--show prints, it does not take -o");
    if (!args->show && !args->output)
        fail_usage(command, "say with -o FILE where the profile goes");
    if (args->json && !args->show)
        fail_usage(command, "--json goes with --show");
    if (args->no_cache && !args->from)
        fail_usage(command, "--no-cache goes with --from");
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct profile_args *args = state->input;
    switch (key) {
    case 'o':
        args->output = arg;
        return 0;
    case OPT_FROM:
        args->from = arg;
        return 0;
    case OPT_SHOW:
        args->show = arg;
        return 0;
    case OPT_JSON:
        args->json = true;
        return 0;
    case OPT_NO_CACHE:
        args->no_cache = true;
        return 0;
    case ARGP_KEY_ARG:
        if (args->vmlinux)
            fail_usage(state->name, "one vmlinux at a time: '%s' is one too many", arg);
        args->vmlinux = arg;
        return 0;
    case ARGP_KEY_END:
        check(args, state->name);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* Takes a reference of its own. */
static struct xvmi_profile *profile_of_guest(const char *command, const struct profile_args *args)
{
    struct guest_args guest = {.uri = args->from, .no_cache = args->no_cache};
    struct xvmi_vm *vm = guest_open(command, &guest);
    struct xvmi_profile *profile = xvmi_profile_ref(xvmi_vm_profile(vm));
    xvmi_vm_close(vm);
    return profile;
}

static struct xvmi_profile *profile_of_vmlinux(const char *command, const char *path)
{
    struct xvmi_error err = XVMI_ERROR_INIT;
    struct xvmi_profile *profile;
    progress_start("reading debug information");
    enum xvmi_status status = xvmi_profile_from_vmlinux(path, &profile, &err);
    progress_stop();
    if (status)
        fail_guest(command, path, status, err.text);
    return profile;
}

static void build_id_text(const struct xvmi_profile *profile, char text[2 * XVMI_BUILD_ID_MAX + 1])
{
    size_t len;
    const uint8_t *id = xvmi_profile_build_id(profile, &len);
    *text = 0;
    for (size_t i = 0; i < len && i < XVMI_BUILD_ID_MAX; i++)
        snprintf(text + 2 * i, 3, "%02x", id[i]);
}

static const char *kind_text(enum xvmi_profile_kind kind)
{
    switch (kind) {
    case XVMI_PROFILE_SIZE:
        return "size";
    case XVMI_PROFILE_MEMBER:
        return "member";
    case XVMI_PROFILE_ENUMERATOR:
        return "enumerator";
    case XVMI_PROFILE_SYMBOL:
        return "symbol";
    }
    return "unknown";
}

static void show_text_entry(struct table *table, const struct xvmi_profile_entry *entry)
{
    const struct xvmi_member *m = &entry->member;
    char *name =
        must_printf("%s%s%s", entry->type, *entry->type && *entry->name ? "." : "", entry->name);
    table_cell(table, "%s", kind_text(entry->kind));
    table_guest_cell(table, name, strlen(name));
    free(name);
    if (!entry->present)
        table_cell(table, "-");
    else if (entry->kind == XVMI_PROFILE_SYMBOL)
        table_cell(table, "%#llx", (unsigned long long)entry->value);
    else if (entry->kind == XVMI_PROFILE_ENUMERATOR)
        table_cell(table, "%lld", (long long)entry->value);
    else if (entry->kind == XVMI_PROFILE_SIZE)
        table_cell(table, "%llu bytes", (unsigned long long)entry->value);
    else if (m->bit_size)
        table_cell(table, "%u, bits %u to %u", m->offset, m->bit_offset,
                   m->bit_offset + m->bit_size - 1u);
    else if (m->count != 1)
        table_cell(table, "%u, %u bytes, %u elements", m->offset, m->size, m->count);
    else
        table_cell(table, "%u, %u bytes", m->offset, m->size);
}

static json_t *json_entry(const struct xvmi_profile_entry *entry)
{
    const struct xvmi_member *m = &entry->member;
    bool member = entry->present && entry->kind == XVMI_PROFILE_MEMBER;
    json_t *o = json_object();
    json_put_text(o, "kind", kind_text(entry->kind));
    json_put_text(o, "type", entry->type);
    json_put_text(o, "name", entry->name);
    json_put(o, "present", json_boolean(entry->present));
    json_put(o, "value",
             entry->present && !member ? json_integer((json_int_t)entry->value) : json_null());
    json_put(o, "offset", member ? json_integer(m->offset) : json_null());
    json_put(o, "size", member ? json_integer(m->size) : json_null());
    json_put(o, "count", member ? json_integer(m->count) : json_null());
    json_put(o, "bit_offset", member && m->bit_size ? json_integer(m->bit_offset) : json_null());
    json_put(o, "bit_size", member && m->bit_size ? json_integer(m->bit_size) : json_null());
    return o;
}

static void show_json(const struct xvmi_profile *profile, const char *build_id)
{
    struct xvmi_profile_entry entry;
    json_t *o = json_object(), *entries = json_array();
    for (size_t i = 0; !xvmi_profile_entry(profile, i, &entry); i++)
        if (json_array_append_new(entries, json_entry(&entry)))
            fail("xvmi", XVMI_ERR_NO_MEMORY, "out of memory");
    json_put_text(o, "release", xvmi_profile_release(profile));
    json_put_text(o, "build_id", build_id);
    json_put_text(o, "source", xvmi_profile_source_text(xvmi_profile_source(profile)));
    json_put(o, "entries", entries);
    json_print(o);
}

static void show_text(const struct xvmi_profile *profile, const char *build_id)
{
    static const struct table_column columns[] = {
        {"KIND", false}, {"NAME", false}, {"VALUE", false}};
    struct table table = TABLE_INIT(columns);
    struct xvmi_profile_entry entry;
    const char *release = xvmi_profile_release(profile);
    char *safe = text_safe(release, strlen(release));

    for (size_t i = 0; !xvmi_profile_entry(profile, i, &entry); i++)
        show_text_entry(&table, &entry);
    printf("release   %s\n", *safe ? safe : "-");
    printf("build id  %s\n", *build_id ? build_id : "-");
    printf("source    %s\n\n", xvmi_profile_source_text(xvmi_profile_source(profile)));
    table_print(&table);
    free(safe);
}

static int show(const char *command, const struct profile_args *args)
{
    struct xvmi_error err = XVMI_ERROR_INIT;
    struct xvmi_profile *profile;
    char build_id[2 * XVMI_BUILD_ID_MAX + 1];
    enum xvmi_status status = xvmi_profile_load(args->show, &profile, &err);
    if (status)
        fail_guest(command, args->show, status, err.text);
    build_id_text(profile, build_id);
    if (args->json)
        show_json(profile, build_id);
    else
        show_text(profile, build_id);
    xvmi_profile_unref(profile);
    return finish_output(command);
}

int cmd_profile(int argc, char **argv)
{
    static const struct argp argp = {
        .options = options,
        .parser = parse,
        .args_doc = "VMLINUX -o FILE\n--from URI -o FILE\n--show FILE",
        .doc = "Make or show a profile: what xvmi needs to know of one build of the kernel."
               "\v"
               "A profile is found and kept by itself; this command is for guests whose kernel "
               "comes without type information, and for looking at what was found.\n"
               "\n"
               "Examples:\n"
               "  xvmi profile vmlinux -o my-kernel.profile\n"
               "  xvmi ps --profile my-kernel.profile qemu:/run/vm.qmp",
    };
    struct profile_args args = {0};
    argp_parse(&argp, argc, argv, 0, NULL, &args);
    if (args.show)
        return show(argv[0], &args);

    struct xvmi_error err = XVMI_ERROR_INIT;
    struct xvmi_profile *profile =
        args.from ? profile_of_guest(argv[0], &args) : profile_of_vmlinux(argv[0], args.vmlinux);
    enum xvmi_status status = xvmi_profile_save(profile, args.output, &err);
    if (status)
        fail_guest(argv[0], args.output, status, err.text);
    xvmi_profile_unref(profile);
    return EXIT_DONE;
}
