// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "os/linux/image.h"
#include "os/linux/kallsyms.h"
#include "support/kallsyms-writer.h"
#include "support/mock-backend.h"

/* Tables somewhere in a page-aligned stretch of read-only data. */
#define TEXT    UINT64_C(0xffffffffa3000000)
#define RODATA  (TEXT + 0x1000)
#define ROOM    (256 * 1024)
#define TABLES  0x3450 /* where in it */
#define FILLERS 1200

static struct kallsyms_writer w;
static struct xl_kallsyms_tables tables;
static struct mock mock;
static struct xm_mem *mem;
static struct xl_extent extent;
static struct xl_image image;
static struct xl_kallsyms *k;
static struct xvmi_error err;
static size_t used;

static void open_memory(bool mapped)
{
    mock.size = ROOM;
    mock.n = 1;
    mock.ranges[0] = (struct xvmi_mem_range){0, ROOM, mapped ? mock.ram : NULL};
    struct xvmi_mem_backend backend = mock_backend(&mock, &mock_ops);
    cr_assert_eq(xm_new(&backend, "mock", &mem, &err), XVMI_OK, "%s", err.text);
    extent = (struct xl_extent){RODATA, 0, ROOM, XL_PART_RODATA};
    image = (struct xl_image){mem, TEXT, 0, ROOM, &extent, 1, 1};
}

static void set_up(void)
{
    memset(&mock, 0, sizeof(mock));
    mock.ram = calloc(1, ROOM);
    k = NULL;
}

static void tear_down(void)
{
    xl_kallsyms_close(k);
    xm_close(mem);
    free(mock.ram);
}

TestSuite(kallsyms, .init = set_up, .fini = tear_down);

/* Per-CPU symbols, _text, fillers, and a few with names to look at. */
static void write_tables(const struct kallsyms_form *form)
{
    char longest[201];
    memset(longest, 'z', 200);
    longest[200] = 0;
    kallsyms_writer_init(&w, form);
    if (form->addresses == KALLSYMS_PERCPU) {
        kallsyms_writer_add(&w, 'A', "fixed_percpu_data", 0);
        kallsyms_writer_add(&w, 'A', "cpu_tss_rw", 0x5000);
    }
    kallsyms_writer_add(&w, 'T', "startup_64", TEXT);
    kallsyms_writer_add(&w, 'T', "_text", TEXT);
    kallsyms_writer_fill(&w, FILLERS, TEXT + 0x40);
    kallsyms_writer_add(&w, 'D', form->wide ? longest : "short", TEXT + 0x100000);
    kallsyms_writer_add(&w, 'D', "init_task", TEXT + 0x200000);
    used = kallsyms_writer_finish(&w, mock.ram + TABLES, ROOM - TABLES, RODATA + TABLES, TEXT,
                                  &tables);
}

struct check {
    uint32_t i, limit;
};

static bool check_symbol(void *arg, const char *name, size_t len, char type, uint64_t addr)
{
    struct check *check = arg;
    const char *expected = w.symbols[check->i].name;
    cr_assert_eq(len, strlen(expected) - 1, "symbol %u", check->i);
    cr_assert_eq(memcmp(name, expected + 1, len), 0, "symbol %u", check->i);
    cr_assert_eq(type, expected[0]);
    cr_assert_eq(addr, w.symbols[check->i].addr, "%s: 0x%lx", expected, addr);
    return ++check->i < check->limit;
}

static void expect_all(const struct xl_kallsyms_tables *known)
{
    struct check check = {0, UINT32_MAX};
    cr_assert_eq(xl_kallsyms_open(&image, known, &k, &err), XVMI_OK, "%s: %s", w.form->since,
                 err.text);
    cr_assert_eq(xl_kallsyms_count(k), w.n);
    xl_kallsyms_each(k, check_symbol, &check);
    cr_assert_eq(check.i, w.n);
    xl_kallsyms_close(k);
    k = NULL;
}

static uint8_t *at(uint64_t gva)
{
    return mock.ram + (gva - RODATA);
}

static void expect_error(enum xvmi_status status, const char *text)
{
    cr_assert_eq(xl_kallsyms_open(&image, NULL, &k, &err), status, "%s", err.text);
    cr_assert_null(k);
    cr_assert_str_eq(err.text, text);
}

/* kallsyms_forms[] by its version */
static const struct kallsyms_form *form(const char *since)
{
    for (size_t i = 0; i < kallsyms_forms_n; i++)
        if (strcmp(kallsyms_forms[i].since, since) == 0)
            return &kallsyms_forms[i];
    abort();
}

Test(kallsyms, every_form_is_found_by_its_shape)
{
    open_memory(true);
    for (size_t i = 0; i < kallsyms_forms_n; i++) {
        memset(mock.ram, 0, ROOM);
        write_tables(&kallsyms_forms[i]);
        expect_all(NULL);
    }
}

Test(kallsyms, every_form_is_found_in_memory_that_is_not_mapped)
{
    for (size_t i = 0; i < kallsyms_forms_n; i++) {
        write_tables(&kallsyms_forms[i]);
        open_memory(false);
        expect_all(NULL);
        xm_close(mem);
        mem = NULL;
    }
}

Test(kallsyms, every_form_is_read_where_it_is_said_to_be)
{
    open_memory(true);
    for (size_t i = 0; i < kallsyms_forms_n; i++) {
        memset(mock.ram, 0, ROOM);
        write_tables(&kallsyms_forms[i]);
        expect_all(&tables);
    }
}

Test(kallsyms, wrong_addresses_of_tables_do_not_hurt)
{
    open_memory(true);
    write_tables(form("6.1"));
    struct xl_kallsyms_tables wrong = tables;
    wrong.names += 8;
    expect_all(&wrong);
    wrong = tables;
    wrong.token_index = UINT64_MAX - 3;
    expect_all(&wrong);
    wrong = tables;
    wrong.num_syms = 0xffffffff00000000;
    expect_all(&wrong);
    wrong = tables;
    wrong.offsets = wrong.relative_base = TEXT - 100;
    expect_all(&wrong);
    expect_all(&(struct xl_kallsyms_tables){0});
}

Test(kallsyms, keyboard_tables_look_alike)
{
    open_memory(true);
    /* 16-bit key codes have the digits in a row, too. */
    for (uint16_t i = 0; i < 256; i++)
        memcpy(mock.ram + 2 * i, &i, sizeof(i));
    write_tables(form("6.4"));
    expect_all(NULL);
}

Test(kallsyms, a_damaged_copy_is_passed_over)
{
    open_memory(true);
    write_tables(form("6.1"));
    uint8_t *copy = mock.ram + 0x20000;
    memmove(copy, mock.ram + TABLES, used);
    memset(mock.ram, 0, 0x20000);
    kallsyms_writer_finish(&w, mock.ram + 0x30450, ROOM - 0x30450, RODATA + 0x30450, TEXT, &tables);
    copy[tables.names - (RODATA + 0x30450) + 300] ^= 0xff;
    expect_all(NULL);
}

Test(kallsyms, stops_when_told)
{
    struct check check = {0, 7};
    open_memory(true);
    write_tables(form("6.1"));
    cr_assert_eq(xl_kallsyms_open(&image, NULL, &k, &err), XVMI_OK, "%s", err.text);
    xl_kallsyms_each(k, check_symbol, &check);
    cr_assert_eq(check.i, 7);
}

Test(kallsyms, nothing_there)
{
    open_memory(true);
    expect_error(XVMI_ERR_NOT_FOUND, "kallsyms: the image holds no token table (a kernel without "
                                     "CONFIG_KALLSYMS?)");
}

Test(kallsyms, tokens_without_names)
{
    open_memory(true);
    write_tables(form("6.4"));
    memset(mock.ram, 0, tables.token_table - RODATA);
    expect_error(XVMI_ERR_NOT_FOUND, "kallsyms: no names belong to the tokens at "
                                     "0xffffffffa30061f0");
}

Test(kallsyms, index_that_does_not_match)
{
    open_memory(true);
    write_tables(form("6.4"));
    *at(tables.token_index + 2 * 200) ^= 1;
    expect_error(XVMI_ERR_NOT_FOUND, "kallsyms: the image holds no token table (a kernel without "
                                     "CONFIG_KALLSYMS?)");
}

Test(kallsyms, markers_that_do_not_match)
{
    open_memory(true);
    write_tables(form("6.1"));
    *at(tables.token_table - 4) ^= 1; /* the last one, before padding */
    *at(tables.token_table - 8) ^= 1;
    cr_assert_eq(xl_kallsyms_open(&image, NULL, &k, &err), XVMI_ERR_NOT_FOUND);
}

Test(kallsyms, addresses_out_of_order)
{
    open_memory(true);
    write_tables(form("6.4"));
    uint32_t high = 0x80000000;
    memcpy(at(tables.offsets + 4 * 100), &high, sizeof(high));
    cr_assert_eq(xl_kallsyms_open(&image, NULL, &k, &err), XVMI_ERR_UNSUPPORTED);
    cr_assert_not_null(strstr(err.text, "their addresses are in no known form"), "%s", err.text);
}

Test(kallsyms, text_is_elsewhere)
{
    open_memory(true);
    write_tables(form("6.4"));
    image.text += 0x200000;
    cr_assert_eq(xl_kallsyms_open(&image, NULL, &k, &err), XVMI_ERR_UNSUPPORTED);
}

Test(kallsyms, cut_off_anywhere)
{
    for (size_t i = 0; i < kallsyms_forms_n; i++) {
        memset(mock.ram, 0, ROOM);
        write_tables(&kallsyms_forms[i]);
        for (uint64_t len = TABLES; len < TABLES + used; len += 1 + len / 256) {
            open_memory(true);
            extent.len = len;
            cr_assert_neq(xl_kallsyms_open(&image, &tables, &k, &err), XVMI_OK, "%s to %lu",
                          w.form->since, len);
            xm_close(mem);
            mem = NULL;
        }
    }
}

Test(kallsyms, memory_full_of_lookalikes_costs_little)
{
    open_memory(true);
    write_tables(form("6.4"));
    /* Where names are looked for, every word is a plausible number and a plausible name. */
    for (size_t at = 0; at < tables.token_table - RODATA; at += 4)
        memcpy(mock.ram + at, "\0\4\1\0", 4);
    cr_assert_eq(xl_kallsyms_open(&image, NULL, &k, &err), XVMI_ERR_NOT_FOUND, "%s", err.text);
    for (size_t at = 0; at + 20 < ROOM; at += 20)
        memcpy(mock.ram + at, "0\0001\0002\0003\0004\0005\0006\0007\0008\0009", 20);
    expect_error(XVMI_ERR_LIMIT, "kallsyms: too much looks like a token table");
}
