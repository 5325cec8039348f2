// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "ask.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && !strcmp(text + n - m, end);
}

/*
 * RAM is what a memory backend holds; since QEMU 5.0 that is so for plain `-m` too. Before, its
 * region was called pc.ram. Firmware (pc.bios, pc.rom) and video memory (vga.vram) are neither.
 */
static bool is_ram(const void *ctx, const char *name)
{
    const json_t *memdevs = ctx, *dev;
    size_t i;
    json_array_foreach(memdevs, i, dev)
    {
        const char *id = json_string_value(json_object_get(dev, "id"));
        if (id && !strcmp(id, name))
            return true;
    }
    return ends_with(name, ".ram");
}

static enum xvmi_status ask_rows(struct xk_qmp *qmp, struct xk_rows *rows, struct xvmi_error *err)
{
    json_t *memdevs = NULL;
    char *text = NULL;
    enum xvmi_status s = xk_qmp_command(qmp, "query-memdev", NULL, &memdevs, err);
    if (!s)
        s = xk_qmp_human(qmp, "info mtree -f", -1, &text, err);
    if (!s)
        s = xk_hmp_mtree(text, is_ram, memdevs, rows, err);
    free(text);
    json_decref(memdevs);
    return s;
}

static enum xvmi_status ask_hva(struct xk_qmp *qmp, const struct xk_row *row, uint64_t *hva,
                                struct xvmi_error *err)
{
    char line[64], *text = NULL;
    snprintf(line, sizeof(line), "gpa2hva 0x%" PRIx64, row->gpa);
    enum xvmi_status s = xk_qmp_human(qmp, line, -1, &text, err);
    if (!s)
        s = xk_hmp_gpa2hva(text, row->gpa, row->name, hva, err);
    free(text);
    return s;
}

/* Rows of one region are at one distance from the host addresses of their offsets: ask once. */
static enum xvmi_status place(struct xk_qmp *qmp, const struct xk_rows *rows, size_t i,
                              struct xk_piece *pieces, struct xvmi_error *err)
{
    const struct xk_row *row = &rows->v[i];
    struct xk_piece *piece = &pieces[i];
    *piece = (struct xk_piece){.gpa = row->gpa, .size = row->size};
    for (size_t k = 0; k < i; k++) {
        if (!strcmp(rows->v[k].name, row->name)) {
            piece->hva = pieces[k].hva - rows->v[k].offset + row->offset;
            return XVMI_OK;
        }
    }
    return ask_hva(qmp, row, &piece->hva, err);
}

enum xvmi_status xk_ask_layout(struct xk_qmp *qmp, struct xk_pieces *pieces, struct xvmi_error *err)
{
    struct xk_rows rows = {0};
    enum xvmi_status s = ask_rows(qmp, &rows, err);
    *pieces = (struct xk_pieces){0};
    if (!s) {
        pieces->v = calloc(rows.n, sizeof(*pieces->v));
        if (!pieces->v)
            s = xvmi_error_set(err, XVMI_ERR_NO_MEMORY, "out of memory");
    }
    for (size_t i = 0; !s && i < rows.n; i++) {
        s = place(qmp, &rows, i, pieces->v, err);
        pieces->n = i + 1;
    }
    xk_rows_fini(&rows);
    if (s)
        xk_pieces_fini(pieces);
    return s;
}

void xk_pieces_fini(struct xk_pieces *pieces)
{
    free(pieces->v);
    *pieces = (struct xk_pieces){0};
}

enum xvmi_status xk_ask_vcpus(struct xk_qmp *qmp, int **index, unsigned *n, struct xvmi_error *err)
{
    json_t *cpus = NULL;
    enum xvmi_status s = xk_qmp_command(qmp, "query-cpus-fast", NULL, &cpus, err);
    if (s)
        return s;
    size_t count = json_array_size(cpus);
    *index = NULL;
    if (!count || count > XK_VCPUS_MAX)
        s = xvmi_error_set(err, XVMI_ERR_FORMAT, "query-cpus-fast: %zu vCPUs", count);
    else if (!(*index = calloc(count, sizeof(**index))))
        s = xvmi_error_set(err, XVMI_ERR_NO_MEMORY, "out of memory");
    for (size_t i = 0; !s && i < count; i++) {
        const json_t *value = json_object_get(json_array_get(cpus, i), "cpu-index");
        json_int_t v = json_is_integer(value) ? json_integer_value(value) : -1;
        if (v < 0 || v > INT_MAX)
            s = xvmi_error_set(err, XVMI_ERR_FORMAT, "query-cpus-fast: a vCPU without index");
        else
            (*index)[i] = (int)v;
    }
    json_decref(cpus);
    if (s) {
        free(*index);
        *index = NULL;
    } else {
        *n = (unsigned)count;
    }
    return s;
}

enum xvmi_status xk_ask_registers(struct xk_qmp *qmp, int cpu_index, struct xvmi_vcpu_regs *regs,
                                  struct xvmi_error *err)
{
    char *text = NULL;
    enum xvmi_status s = xk_qmp_human(qmp, "info registers", cpu_index, &text, err);
    if (!s)
        s = xk_hmp_registers(text, regs, err);
    free(text);
    return s;
}

/* qapi/run-state.json: the states in which RAM is not that of a guest that runs here, or can go
 * on running here. */
enum xvmi_status xk_ask_status(struct xk_qmp *qmp, struct xvmi_error *err)
{
    json_t *ret = NULL;
    enum xvmi_status s = xk_qmp_command(qmp, "query-status", NULL, &ret, err);
    if (s)
        return s;
    const char *status = json_string_value(json_object_get(ret, "status"));
    if (!status)
        s = xvmi_error_set(err, XVMI_ERR_FORMAT, "query-status: no status");
    else if (!strcmp(status, "shutdown"))
        s = xvmi_error_set(err, XVMI_ERR_GONE, "the guest was shut down (QEMU still runs)");
    else if (!strcmp(status, "postmigrate"))
        s = xvmi_error_set(err, XVMI_ERR_GONE, "the guest migrated to another host");
    else if (!strcmp(status, "inmigrate"))
        s = xvmi_error_set(err, XVMI_ERR_CHANGED,
                           "the guest is still arriving from another host: open it when it runs");
    json_decref(ret);
    return s;
}
