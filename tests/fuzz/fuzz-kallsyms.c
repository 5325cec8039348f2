// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Damage to kallsyms tables of every form, found by shape or where VMCOREINFO says. */
#include <stdlib.h>

#include "fuzz/patch.h"
#include "os/linux/image.h"
#include "support/kallsyms-writer.h"
#include "support/mock-backend.h"

#define TEXT UINT64_C(0xffffffffa3000000)
#define ROOM (16 * 4096)

static bool take(void *arg, const char *name, size_t len, char type, uint64_t addr)
{
    size_t *sum = arg;
    for (size_t i = 0; i < len; i++)
        *sum += (uint8_t)name[i];
    *sum += (uint8_t)type + addr;
    return true;
}

static size_t write_tables(const struct kallsyms_form *form, uint8_t *ram,
                           struct xl_kallsyms_tables *tables)
{
    static struct kallsyms_writer w;
    char longest[201];
    memset(longest, 'z', 200);
    longest[200] = 0;
    kallsyms_writer_init(&w, form);
    kallsyms_writer_add(&w, 'T', "_text", TEXT);
    kallsyms_writer_fill(&w, 1010, TEXT + 0x40);
    kallsyms_writer_add(&w, 'D', form->wide ? longest : "short", TEXT + 0x100000);
    return kallsyms_writer_finish(&w, ram, ROOM, TEXT, TEXT, tables);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n < 2)
        return 0;
    struct xl_kallsyms_tables tables;
    struct mock mock = {.ram = calloc(1, ROOM), .size = ROOM, .n = 1};
    size_t used = write_tables(&kallsyms_forms[data[0] % kallsyms_forms_n], mock.ram, &tables);
    fuzz_patch(mock.ram, used, data + 2, n - 2);
    mock.ranges[0] = (struct xvmi_mem_range){0, ROOM, data[1] & 1 ? mock.ram : NULL};

    struct xvmi_mem_backend backend = mock_backend(&mock, &mock_ops);
    struct xl_extent extent = {TEXT, 0, ROOM, (enum xl_part)(data[1] >> 1 & 1)};
    struct xm_mem *mem;
    struct xl_kallsyms *kallsyms;
    struct xvmi_error err;
    if (xm_new(&backend, "mock", &mem, &err))
        abort();
    struct xl_image image = {mem, TEXT, 0, ROOM, &extent, 1, 1};
    if (!xl_kallsyms_open(&image, data[1] & 4 ? &tables : NULL, &kallsyms, &err)) {
        size_t sum = 0;
        xl_kallsyms_each(kallsyms, take, &sum);
        xl_kallsyms_close(kallsyms);
    }
    xm_close(mem);
    free(mock.ram);
    return 0;
}
