// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Types from BTF: the library against libbpf's own look-ups by name. bench-btf [FILE], raw BTF. */
#include <string.h>

#include <bpf/btf.h>

#include "bench/rounds.h"
#include "bench/wants.h"
#include "type/builder.h"

#define ROUNDS 15

static uint8_t blob[64 << 20];
static size_t blob_size;

static double ours(void *ctx)
{
    (void)ctx;
    struct xt_builder *builder = NULL;
    struct xvmi_error err = XVMI_ERROR_INIT;
    double begin = bench_now();
    if (xt_builder_new(bench_wants, BENCH_WANTS, &builder, &err) ||
        xt_builder_add_btf(builder, blob, blob_size, &err)) {
        fprintf(stderr, "%s\n", err.text);
        return -1;
    }
    double took = bench_now() - begin;
    xt_builder_free(builder);
    return took * 1e3;
}

/* Each type looked up once, then a scan of its direct members for each one wanted: less than what
 * ours does, which goes through anonymous ones. */
static double libbpf(void *ctx)
{
    size_t *structs = ctx;
    const char *seen[BENCH_WANTS];
    size_t n_seen = 0, found = 0;
    double begin = bench_now();
    struct btf *btf = btf__new(blob, (uint32_t)blob_size);
    if (!btf)
        return -1;
    for (size_t i = 0; i < BENCH_WANTS; i++) {
        const char *type = bench_wants[i].type;
        size_t k = 0;
        while (k < n_seen && strcmp(seen[k], type) != 0)
            k++;
        if (!type[0] || k < n_seen)
            continue;
        seen[n_seen++] = type;
        int id = btf__find_by_name_kind(btf, type, BTF_KIND_STRUCT);
        const struct btf_type *t = id > 0 ? btf__type_by_id(btf, (uint32_t)id) : NULL;
        for (size_t want = i; t && want < BENCH_WANTS; want++) {
            if (strcmp(bench_wants[want].type, type) != 0)
                continue;
            size_t len = strcspn(bench_wants[want].name, ".|");
            for (uint32_t m = 0; m < btf_vlen(t); m++) {
                const char *name = btf__name_by_offset(btf, btf_members(t)[m].name_off);
                found += strncmp(name, bench_wants[want].name, len) == 0 && !name[len];
            }
        }
    }
    double took = bench_now() - begin;
    btf__free(btf);
    *structs = n_seen;
    return found ? took * 1e3 : -1;
}

static double libbpf_parse(void *ctx)
{
    (void)ctx;
    double begin = bench_now();
    struct btf *btf = btf__new(blob, (uint32_t)blob_size);
    double took = bench_now() - begin;
    btf__free(btf);
    return btf ? took * 1e3 : -1;
}

int main(int argc, char **argv)
{
    const char *path = argc > 1 ? argv[1] : "/sys/kernel/btf/vmlinux";
    FILE *file = fopen(path, "rb");
    blob_size = file ? fread(blob, 1, sizeof(blob), file) : 0;
    if (!blob_size) {
        fprintf(stderr, "bench-btf: %s cannot be read: name a file of raw BTF\n", path);
        return 77;
    }
    fclose(file);
    size_t structs = 0;
    struct bench_contender c[] = {
        {"libxvmi", ours, NULL},
        {"libbpf, look-ups by name", libbpf, &structs},
        {"libbpf, btf__new alone", libbpf_parse, NULL},
    };
    if (!bench_rounds(c, 3, ROUNDS))
        return 1;
    printf("BTF of %zu bytes, %zu structs, %zu wants, %d rounds; ms\n", blob_size, structs,
           BENCH_WANTS, ROUNDS);
    for (size_t i = 0; i < 3; i++)
        printf("  %-28s %8.2f  (%.2f to %.2f)\n", c[i].name, c[i].median, c[i].low, c[i].high);
    bench_bar("btf-vs-libbpf", c[0].median / c[1].median, 0.7);
    return 0;
}
