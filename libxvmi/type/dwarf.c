// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Which units of a vmlinux to look at.
 *
 * Every unit repeats the types of all headers that it includes, so a handful of well-chosen units
 * have every type that we want, and 2,000 others need not be read. Their names are hints: when
 * something is not found in them, all units are scanned.
 */
#include <string.h>

#include <dwarf.h>

#include "base/cleanup.h"
#include "type/dwarf.h"

/* Source files that between them include everything: as few as possible, each costs about a
 * millisecond. One for each folder that keeps structs to itself, and what the network needs. */
static const char *const hints[] = {
    "fs/io_uring.c", /* before 6.0 */
    "fs/namespace.c",
    "io_uring/io_uring.c",
    "kernel/cgroup/cgroup.c",
    "kernel/fork.c",
    "lib/maple_tree.c",
    "net/core/flow_dissector.c",
    "net/ipv4/ping.c",
    "net/ipv4/raw.c",
    "net/ipv4/tcp_ipv4.c",
    "net/ipv4/udp.c",
    "net/ipv6/addrconf.c",
    "net/mptcp/subflow.c",
    "net/packet/af_packet.c",
    "net/unix/af_unix.c",
};

/* After so many bytes of .debug_info what was read is let go. */
#define FORGET_STRIDE (8U << 20)

struct search {
    struct xt_builder *builder;
    struct xt_elf *elf;
    struct xt_dwarf dwarf;
    struct xt_scan scan;
    const struct xt_unit *unit;     /* the one being scanned */
    struct xt_dwarf_source *source; /* it, for libdwarf; NULL until something in it is wanted */
    uint32_t budget;
};

static bool is_hinted(const char *name)
{
    size_t len = strlen(name);
    for (size_t i = 0; i < sizeof(hints) / sizeof(hints[0]); i++) {
        size_t n = strlen(hints[i]);
        /* Builds outside of the source tree have absolute names. */
        if (len >= n && memcmp(name + len - n, hints[i], n) == 0 &&
            (len == n || name[len - n - 1] == '/'))
            return true;
    }
    return false;
}

static enum xvmi_status use_source(struct search *s, struct xvmi_error *err)
{
    if (s->source)
        return XVMI_OK;
    return xt_dwarf_source_new(&s->dwarf, s->unit, s->budget, &s->source, err);
}

static enum xvmi_status found_enumerator(struct search *s, const struct xt_die *die,
                                         struct xvmi_error *err)
{
    int64_t value = 0;
    if (!xt_names_find(&s->builder->enum_names, die->name, die->name_len))
        return XVMI_OK;
    enum xvmi_status status = use_source(s, err);
    if (!status)
        status = xt_dwarf_enumerator(s->source, die->at - s->unit->at, &value, err);
    if (!status)
        xt_builder_add_enumerator(s->builder, die->name, die->name_len, value);
    return status;
}

static enum xvmi_status found_die(void *ctx, const struct xt_die *die, struct xvmi_error *err)
{
    struct search *s = ctx;
    if (die->tag == DW_TAG_enumerator)
        return found_enumerator(s, die, err);
    struct xt_wanted_type *type = xt_builder_type(s->builder, die->name, die->name_len);
    if (!type || type->complete)
        return XVMI_OK;
    enum xvmi_status status = use_source(s, err);
    return status ? status
                  : xt_resolve(s->builder, type, xt_dwarf_source_base(s->source),
                               die->at - s->unit->at, err);
}

static enum xvmi_status scan_unit(struct search *s, const struct xt_unit *unit,
                                  struct xvmi_error *err)
{
    s->unit = unit;
    enum xvmi_status status =
        xt_unit_scan(&s->scan, unit, s->builder->enums_open, found_die, s, err);
    if (s->source)
        s->budget = xt_dwarf_source_base(s->source)->budget;
    xt_dwarf_source_free(s->source);
    s->source = NULL;
    return status ? xvmi_error_frame(err, status, "%s", unit->name) : XVMI_OK;
}

static enum xvmi_status scan_units(struct search *s, bool all, struct xvmi_error *err)
{
    size_t forgotten = 0;
    for (size_t at = 0; at < s->dwarf.info.n;) {
        struct xt_unit unit;
        enum xvmi_status status = xt_unit_read(&s->dwarf, at, &unit, err);
        if (!status && !unit.skip && (all || is_hinted(unit.name)))
            status = scan_unit(s, &unit, err);
        if (status)
            return status;
        at = unit.end;
        if (at - forgotten >= FORGET_STRIDE) {
            xt_elf_forget(s->elf, s->dwarf.info.p + forgotten, at - forgotten);
            forgotten = at;
            if (all && xt_builder_has_types(s->builder) && !s->builder->enums_open)
                break;
        }
    }
    xt_elf_forget(s->elf, s->dwarf.info.p, s->dwarf.info.n);
    return XVMI_OK;
}

/* Names of four characters and more are kept in .debug_str once for all units. */
static bool may_be_named(const struct search *s, const char *name, size_t len)
{
    char text[256];
    if (len < 4 || len >= sizeof(text))
        return true;
    memcpy(text, name, len);
    text[len] = 0;
    return s->dwarf.str.n && memmem(s->dwarf.str.p, s->dwarf.str.n, text, len + 1);
}

/* Is there something that the hinted units did not have and another one could? Kernels differ in
 * what they have at all: that must not cost a scan of everything each time. */
static bool could_find_more(const struct search *s)
{
    const struct xt_builder *b = s->builder;
    for (size_t i = 0; i < b->types.n; i++)
        if (!b->types.v[i].complete &&
            may_be_named(s, b->types.v[i].name, strlen(b->types.v[i].name)))
            return true;
    for (uint32_t i = 0; b->enums_open && i <= b->enum_names.mask; i++) {
        const struct xt_name *name = &b->enum_names.slots[i];
        if (name->len && b->results[b->spellings.v[name->value].want].rank == XT_NONE &&
            may_be_named(s, name->text, name->len))
            return true;
    }
    return false;
}

static enum xvmi_status find_types(struct search *s, enum xt_units units, struct xvmi_error *err)
{
    enum xvmi_status status = XVMI_OK;
    if (units == XT_UNITS_AUTO)
        status = scan_units(s, false, err);
    if (!status && (units == XT_UNITS_ALL || could_find_more(s)))
        status = scan_units(s, true, err);
    if (!status)
        s->builder->source = XVMI_SOURCE_DWARF;
    return status;
}

static enum xvmi_status get_sections(struct xt_elf *elf, struct xt_dwarf *dwarf,
                                     struct xvmi_error *err)
{
    struct {
        const char *name;
        struct xt_bytes *bytes;
        bool optional;
    } sections[] = {
        {".debug_info", &dwarf->info, false},
        {".debug_abbrev", &dwarf->abbrev, false},
        {".debug_str", &dwarf->str, true},
        {".debug_line_str", &dwarf->line_str, true},
        {".debug_str_offsets", &dwarf->str_offsets, true},
        {".debug_addr", &dwarf->addr, true},
    };
    for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]); i++) {
        enum xvmi_status status = xt_elf_section(elf, sections[i].name, sections[i].bytes, err);
        if (status && (status != XVMI_ERR_NOT_FOUND || !sections[i].optional))
            return status;
    }
    return XVMI_OK;
}

enum xvmi_status xt_builder_add_dwarf(struct xt_builder *builder, struct xt_elf *elf,
                                      enum xt_units units, struct xvmi_error *err)
{
    struct search s = {.builder = builder, .elf = elf, .budget = XT_FIELD_BUDGET};
    enum xvmi_status status = get_sections(elf, &s.dwarf, err);
    if (status)
        return status;
    xt_scan_init(&s.scan, &s.dwarf);
    status = find_types(&s, units, err);
    xt_scan_fini(&s.scan);
    return status;
}
