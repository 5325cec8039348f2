// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "filter/learn.h"
#include "filter/reader.h"

#define SLOTS (2 * XF_LEARN_MAX)
/* Linux gives connections that do not ask for a port one from here on (ip_local_port_range). */
#define EPHEMERAL 32768u

/* One kind of traffic. */
struct seen {
    char *exe; /* NULL: an empty slot; "": of the kernel itself */
    uint8_t proto;
    bool server; /* the port is the guest's own */
    bool has_port;
    uint16_t port;
};

struct xf_learn {
    struct seen slots[SLOTS];
    uint32_t n;
    uint64_t unknown, unwritable, over; /* packets without an owner, with an exe that no policy
                                           can name, beyond the bound */
};

struct xf_learn *xf_learn_new(void)
{
    return calloc(1, sizeof(struct xf_learn));
}

void xf_learn_free(struct xf_learn *learn)
{
    for (uint32_t i = 0; learn && i < SLOTS; i++)
        free(learn->slots[i].exe);
    free(learn);
}

static int compare(const struct seen *a, const struct seen *b)
{
    int order = strcmp(a->exe, b->exe);
    if (order)
        return order;
    uint32_t x = (uint32_t)a->proto << 18 | (uint32_t)a->server << 17 |
                 (uint32_t)a->has_port << 16 | a->port;
    uint32_t y = (uint32_t)b->proto << 18 | (uint32_t)b->server << 17 |
                 (uint32_t)b->has_port << 16 | b->port;
    return x < y ? -1 : x > y;
}

/* `seen->exe` is copied. */
static void add(struct xf_learn *learn, const struct seen *seen)
{
    uint64_t hash = xf_text_hash(seen->exe, strlen(seen->exe)) +
                    (uint64_t)(seen->port * 4u + seen->server * 2u + seen->has_port) * 0x9e3779b1u +
                    seen->proto * 0x85ebca6bu;
    struct seen *slot;
    for (uint64_t i = hash;; i++) {
        slot = &learn->slots[i % SLOTS];
        if (!slot->exe)
            break;
        if (!compare(slot, seen))
            return;
    }
    char *exe = learn->n < XF_LEARN_MAX ? strdup(seen->exe) : NULL;
    if (!exe) {
        learn->over++;
        return;
    }
    *slot = *seen;
    slot->exe = exe;
    learn->n++;
}

/* The side that waits has the port that says what it is for. */
static void set_port(const struct xf_packet *packet, const struct xvmi_owner *owner,
                     struct seen *seen)
{
    const struct xvmi_flow *flow = &packet->flow;
    seen->has_port = packet->has_ports;
    if (!packet->has_ports)
        return;
    seen->server = owner->via_socket == XVMI_VIA_LISTEN ||
                   (flow->lport < EPHEMERAL && flow->rport >= EPHEMERAL);
    seen->port = seen->server ? flow->lport : flow->rport;
}

void xf_learn_packet(struct xf_learn *learn, const struct xf_packet *packet, struct xf_facts *facts)
{
    const struct xvmi_owner *owner;
    const char *exe = "";
    size_t len = 0;
    if (packet->flow.direction != XVMI_FLOW_OUT)
        return;
    if (facts->owner(facts, true, &owner) != XF_KNOWN || owner->kind == XVMI_OWNER_NONE ||
        (owner->kind != XVMI_OWNER_KERNEL && !owner->n_owners)) {
        learn->unknown++;
        return;
    }
    struct seen seen = {.proto = packet->flow.proto};
    set_port(packet, owner, &seen);
    for (uint32_t i = 0; i < owner->n_owners; i++) {
        if (facts->text(facts, i, 0, XF_ABOUT_EXE, &exe, &len) != XF_KNOWN) {
            learn->unknown++;
        } else if (*exe != '/' || !xf_printable(exe, len) || len > XF_GLOB_MAX / 3) {
            learn->unwritable++;
        } else {
            seen.exe = (char *)exe;
            add(learn, &seen);
        }
    }
    seen.exe = "";
    if (!owner->n_owners)
        add(learn, &seen);
}

/* ---- writing ---- */

static int by_kind(const void *a, const void *b)
{
    return compare(*(const struct seen *const *)a, *(const struct seen *const *)b);
}

/* As a literal: what is special in patterns in brackets, what is special in strings escaped. */
static void put_literal(FILE *f, const char *text)
{
    fputc('"', f);
    for (; *text; text++)
        if (strchr("*?[", *text))
            fprintf(f, "[%c]", *text);
        else
            fprintf(f, "%s%c", strchr("\"\\", *text) ? "\\" : "", *text);
    fputc('"', f);
}

static void put_proto(FILE *f, uint8_t proto)
{
    const char *word = xf_proto_word(proto);
    if (word && (proto == 6 || proto == 17 || proto == 1 || proto == 58 || proto == 132))
        fprintf(f, " %s", word);
    else if (word)
        fprintf(f, " proto %s", word);
    else
        fprintf(f, " proto %u", proto);
}

/* The rule for n kinds that differ in their port alone. */
static void put_rule(FILE *f, struct seen *const *seen, size_t n)
{
    fputs("    allow", f);
    if (*seen[0]->exe) {
        fputs(" exe ", f);
        put_literal(f, seen[0]->exe);
    } else {
        fputs(" owner kernel", f);
    }
    put_proto(f, seen[0]->proto);
    if (seen[0]->has_port && n <= XF_LEARN_PORTS) {
        fprintf(f, " %s {", seen[0]->server ? "sport" : "dport");
        for (size_t i = 0; i < n; i++)
            fprintf(f, "%s %u", i ? "," : "", seen[i]->port);
        fputs(" }", f);
    }
    fputc('\n', f);
}

static bool same_but_port(const struct seen *a, const struct seen *b)
{
    return !strcmp(a->exe, b->exe) && a->proto == b->proto && a->server == b->server &&
           a->has_port == b->has_port;
}

static void put_rules(FILE *f, struct seen *const *seen, size_t n)
{
    for (size_t i = 0, end; i < n; i = end) {
        for (end = i + 1; end < n && same_but_port(seen[i], seen[end]); end++)
            ;
        put_rule(f, seen + i, end - i);
    }
}

static void put_note(FILE *f, uint64_t n, const char *what)
{
    if (n)
        fprintf(f, "    # %llu %s\n", (unsigned long long)n, what);
}

/* What the rules do not allow although it was seen, and by which option it would be. */
static void put_notes(FILE *f, const struct xf_learn *learn, const struct xvmi_filter_stats *stats)
{
    put_note(f, learn->unknown, "packets had no owner that could be named");
    put_note(f, learn->unwritable, "packets came from executables that no policy can name");
    put_note(f, learn->over, "packets came when there was no room to remember more");
    put_note(f, stats->spoofed,
             "frames had source addresses that are not the guest's: spoofed allow");
    put_note(f, stats->other, "frames were neither ARP nor IP: other allow");
    put_note(f, stats->malformed, "frames were malformed: malformed allow");
    put_note(f, stats->fragments_lost, "fragments came without their first: fragments allow");
}

char *xf_learn_write(const struct xf_learn *learn, const struct xvmi_filter_stats *stats,
                     const char *vm)
{
    struct seen const **seen = calloc(learn->n + 1, sizeof(*seen));
    char *text = NULL;
    size_t len, n = 0;
    FILE *f = seen ? open_memstream(&text, &len) : NULL;
    if (!f) {
        free(seen);
        return NULL;
    }
    for (uint32_t i = 0; i < SLOTS; i++)
        if (learn->slots[i].exe)
            seen[n++] = &learn->slots[i];
    qsort(seen, n, sizeof(*seen), by_kind);
    fputs("# Written from traffic that was seen: read it before it is used.\nlearned\nvm ", f);
    put_literal(f, vm);
    fputs(" {\n    default deny log\n", f);
    put_rules(f, (struct seen *const *)seen, n);
    put_notes(f, learn, stats);
    fputs("}\n", f);
    bool failed = ferror(f);
    free(seen);
    if (!fclose(f) && !failed)
        return text;
    free(text);
    return NULL;
}
