// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "support/pagetable-writer.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void refuse(const char *line, const char *why)
{
    fprintf(stderr, "page table text: %s: %.*s\n", why, (int)strcspn(line, "\n"), line);
    abort();
}

static uint64_t flags_of(const char *line, const char *at)
{
    static const struct {
        char letter;
        unsigned bit;
    } known[] = {{'P', 0}, {'W', 1}, {'U', 2}, {'C', 4}, {'A', 5},
                 {'D', 6}, {'S', 7}, {'G', 8}, {'N', 63}};
    uint64_t flags = 0;
    for (at += strspn(at, " \t"); *at && !isspace((unsigned char)*at); at++) {
        size_t i = 0;
        while (i < sizeof(known) / sizeof(known[0]) && known[i].letter != *at)
            i++;
        if (i < sizeof(known) / sizeof(known[0]))
            flags |= UINT64_C(1) << known[i].bit;
        else if (*at != '-')
            refuse(line, "unknown flag");
    }
    return flags;
}

/* "FIRST[-LAST]: ADDRESS FLAGS" */
static void write_entries(uint8_t *ram, size_t size, uint64_t table, const char *line)
{
    char *at;
    unsigned long first = strtoul(line, &at, 0), last = first;
    if (*at == '-')
        last = strtoul(at + 1, &at, 0);
    if (*at != ':' || first > last || last > 511)
        refuse(line, "no entry");
    uint64_t address = strtoull(at + 1, &at, 0);
    uint64_t flags = flags_of(line, at);
    for (unsigned long i = first; i <= last; i++, address += 4096) {
        uint64_t entry = address | flags, gpa = table + i * sizeof(entry);
        if (gpa > size - sizeof(entry))
            refuse(line, "table is outside RAM");
        memcpy(ram + gpa, &entry, sizeof(entry));
    }
}

void pagetable_write(void *ram, size_t size, const char *text)
{
    uint64_t table = 0;
    for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n') {
        line += strspn(line, " \t");
        if (*line == '@')
            table = strtoull(line + 1, NULL, 0);
        else if (*line != '#' && *line != '\n' && *line)
            write_entries(ram, size, table, line);
    }
}
