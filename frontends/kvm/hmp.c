// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "hmp.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* A row's end must stay below this: x86's largest physical address. */
#define GPA_LIMIT (UINT64_C(1) << 52)

/* A stretch of text, not terminated. */
struct text {
    const char *p, *end;
};

static bool next_line(struct text *rest, struct text *line)
{
    if (rest->p == rest->end)
        return false;
    const char *nl = memchr(rest->p, '\n', (size_t)(rest->end - rest->p));
    *line = (struct text){rest->p, nl ? nl : rest->end};
    rest->p = nl ? nl + 1 : rest->end;
    if (line->end > line->p && line->end[-1] == '\r')
        line->end--;
    return true;
}

static bool skip(struct text *t, const char *word)
{
    size_t len = strlen(word);
    if ((size_t)(t->end - t->p) < len || memcmp(t->p, word, len) != 0)
        return false;
    t->p += len;
    return true;
}

static void skip_spaces(struct text *t)
{
    while (t->p < t->end && *t->p == ' ')
        t->p++;
}

/* 1 to 16 hexadecimal digits. */
static bool skip_hex(struct text *t, uint64_t *value)
{
    const char *start = t->p;
    uint64_t v = 0;
    for (; t->p < t->end; t->p++) {
        char c = *t->p;
        unsigned digit;
        if (c >= '0' && c <= '9')
            digit = (unsigned)(c - '0');
        else if (c >= 'a' && c <= 'f')
            digit = (unsigned)(c - 'a') + 10;
        else if (c >= 'A' && c <= 'F')
            digit = (unsigned)(c - 'A') + 10;
        else
            break;
        if (t->p - start >= 16)
            return false;
        v = v << 4 | digit;
    }
    *value = v;
    return t->p > start;
}

/* "(prio N, KIND): " */
static bool skip_kind(struct text *t, struct text *kind)
{
    if (!skip(t, "(prio "))
        return false;
    const char *comma = memchr(t->p, ',', (size_t)(t->end - t->p));
    if (!comma)
        return false;
    t->p = comma + 1;
    skip_spaces(t);
    const char *close = memchr(t->p, ')', (size_t)(t->end - t->p));
    if (!close)
        return false;
    *kind = (struct text){t->p, close};
    t->p = close;
    return skip(t, "): ");
}

static bool is_word(struct text t, const char *word)
{
    return skip(&t, word) && t.p == t.end;
}

/* "NAME[ @OFFSET][ KVM]". Names of devices' regions may have spaces, those of RAM have none. */
static void skip_name(struct text *t, struct text *name, uint64_t *offset)
{
    const char *space = memchr(t->p, ' ', (size_t)(t->end - t->p));
    *name = (struct text){t->p, space ? space : t->end};
    t->p = name->end;
    if (!skip(t, " @") || !skip_hex(t, offset))
        *offset = 0;
}

/* "  START-END (prio N, KIND): NAME[ @OFFSET][ KVM]"; false when it is nothing of that kind. */
static bool parse_row(struct text line, struct xk_row *row, struct text *kind, struct text *name)
{
    uint64_t start, last;
    skip_spaces(&line);
    if (!skip_hex(&line, &start) || !skip(&line, "-") || !skip_hex(&line, &last))
        return false;
    skip_spaces(&line);
    if (!skip_kind(&line, kind))
        return false;
    skip_name(&line, name, &row->offset);
    row->gpa = start;
    row->size = last - start + 1; /* checked by the caller */
    return true;
}

static enum xvmi_status check_row(const struct xk_rows *rows, const struct xk_row *row,
                                  struct xvmi_error *err)
{
    uint64_t floor = rows->n ? rows->v[rows->n - 1].gpa + rows->v[rows->n - 1].size : 0;
    if (row->gpa >= GPA_LIMIT || row->size == 0 || row->size > GPA_LIMIT - row->gpa)
        return xvmi_error_set(err, XVMI_ERR_FORMAT,
                              "memory layout: a range of %#" PRIx64 " bytes at %#" PRIx64,
                              row->size, row->gpa);
    if (row->gpa < floor)
        return xvmi_error_set(err, XVMI_ERR_FORMAT,
                              "memory layout: the range at %#" PRIx64 " overlaps the one before",
                              row->gpa);
    if (row->offset > UINT64_MAX - row->size)
        return xvmi_error_set(err, XVMI_ERR_FORMAT, "memory layout: offset %#" PRIx64, row->offset);
    if (rows->n >= XK_ROWS_MAX)
        return xvmi_error_set(err, XVMI_ERR_LIMIT, "memory layout: more than %d ranges",
                              XK_ROWS_MAX);
    return XVMI_OK;
}

static enum xvmi_status push_row(struct xk_rows *rows, const struct xk_row *row,
                                 struct xvmi_error *err)
{
    if (rows->n == rows->cap) {
        size_t cap = rows->cap ? rows->cap * 2 : 16;
        struct xk_row *v = realloc(rows->v, cap * sizeof(*v));
        if (!v)
            return xvmi_error_set(err, XVMI_ERR_NO_MEMORY, "out of memory");
        rows->v = v;
        rows->cap = cap;
    }
    rows->v[rows->n++] = *row;
    return XVMI_OK;
}

static enum xvmi_status take_row(struct text line, xk_is_ram_fn *is_ram, const void *ctx,
                                 struct xk_rows *rows, struct xvmi_error *err)
{
    struct xk_row row;
    struct text kind, name;
    if (!parse_row(line, &row, &kind, &name) || !(is_word(kind, "ram") || is_word(kind, "rom")))
        return XVMI_OK;
    size_t len = (size_t)(name.end - name.p);
    if (len >= sizeof(row.name))
        return XVMI_OK; /* no backend of RAM is called so: QEMU bounds their ids */
    memcpy(row.name, name.p, len);
    row.name[len] = 0;
    if (!is_ram(ctx, row.name))
        return XVMI_OK;
    enum xvmi_status s = check_row(rows, &row, err);
    return s ? s : push_row(rows, &row, err);
}

enum xvmi_status xk_hmp_mtree(const char *text, xk_is_ram_fn *is_ram, const void *ctx,
                              struct xk_rows *rows, struct xvmi_error *err)
{
    struct text rest = {text, text + strlen(text)}, line;
    bool ours = false; /* inside the view of the address space "memory" */
    while (next_line(&rest, &line)) {
        struct text t = line;
        if (skip(&t, "FlatView #")) {
            if (ours)
                break;
        } else if (skip(&t, " AS \"memory\",")) {
            ours = true;
        } else if (ours) {
            enum xvmi_status s = take_row(line, is_ram, ctx, rows, err);
            if (s)
                return s;
        }
    }
    if (!ours)
        return xvmi_error_set(err, XVMI_ERR_FORMAT,
                              "`info mtree -f` shows no address space \"memory\"");
    if (!rows->n)
        return xvmi_error_set(err, XVMI_ERR_NOT_FOUND, "the memory layout shows no RAM");
    return XVMI_OK;
}

void xk_rows_fini(struct xk_rows *rows)
{
    free(rows->v);
    *rows = (struct xk_rows){0};
}

/* "Host virtual address for 0xGPA (NAME) is 0xHVA" */
enum xvmi_status xk_hmp_gpa2hva(const char *text, uint64_t gpa, const char *name, uint64_t *hva,
                                struct xvmi_error *err)
{
    struct text t = {text, text + strcspn(text, "\r\n")};
    uint64_t said;
    if (skip(&t, "Host virtual address for 0x") && skip_hex(&t, &said) && said == gpa &&
        skip(&t, " (") && skip(&t, name) && skip(&t, ") is 0x") && skip_hex(&t, hva) &&
        t.p == t.end && *hva)
        return XVMI_OK;
    return xvmi_error_set(err, XVMI_ERR_CHANGED,
                          "the address of guest memory %#" PRIx64 " (%s): QEMU says '%.*s'", gpa,
                          name, (int)strcspn(text, "\r\n"), text);
}

/* The text right behind `key` where that starts a word; NULL when there is none. */
static const char *behind(const char *text, const char *key)
{
    for (const char *p = text; (p = strstr(p, key)) != NULL; p++) {
        if (p == text || p[-1] == ' ' || p[-1] == '\n' || p[-1] == '\r')
            return p + strlen(key);
    }
    return NULL;
}

static bool hex_behind(const char *text, const char *key, unsigned index, uint64_t *value)
{
    const char *p = behind(text, key);
    if (!p)
        return false;
    struct text t = {p, p + strcspn(p, "\r\n")};
    for (unsigned i = 0;; i++) {
        skip_spaces(&t);
        if (!skip_hex(&t, value))
            return false;
        if (i == index)
            return true;
    }
}

/* target/i386/cpu-dump.c: outside 64-bit code the names are EIP and ESP. Selectors print as
 * "GS =SEL BASE LIMIT FLAGS". */
enum xvmi_status xk_hmp_registers(const char *text, struct xvmi_vcpu_regs *regs,
                                  struct xvmi_error *err)
{
    uint64_t v;
    *regs = (struct xvmi_vcpu_regs){0};
    const struct {
        const char *key;
        unsigned index;
        uint32_t bit;
        uint64_t *field;
    } wanted[] = {
        {"RIP=", 0, XVMI_REG_RIP, &regs->rip},
        {"EIP=", 0, XVMI_REG_RIP, &regs->rip},
        {"RSP=", 0, XVMI_REG_RSP, &regs->rsp},
        {"ESP=", 0, XVMI_REG_RSP, &regs->rsp},
        {"CR0=", 0, XVMI_REG_CR0, &regs->cr0},
        {"CR3=", 0, XVMI_REG_CR3, &regs->cr3},
        {"CR4=", 0, XVMI_REG_CR4, &regs->cr4},
        {"EFER=", 0, XVMI_REG_EFER, &regs->efer},
        {"GS =", 1, XVMI_REG_GS_BASE, &regs->gs_base},
        {"IDT=", 0, XVMI_REG_IDT_BASE, &regs->idt_base},
    };
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        if (hex_behind(text, wanted[i].key, wanted[i].index, &v)) {
            *wanted[i].field = v;
            regs->valid |= wanted[i].bit;
        }
    }
    if (!(regs->valid & XVMI_REG_CR3))
        return xvmi_error_set(err, XVMI_ERR_FORMAT, "`info registers` shows no x86 registers");
    return XVMI_OK;
}
