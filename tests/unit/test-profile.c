// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "support/btf-writer.h"
#include "type/builder.h"
#include "type/profile.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))

static const struct xt_want wants[] = {
    {XT_SYMBOL, false, "", "init_task"},
    {XT_MEMBER, false, "task", "boot|real_boot"},
    {XT_MEMBER, true, "task", "gone|long_gone"},
    {XT_MEMBER, false, "task", "bits"},
    {XT_SIZE, false, "task", ""},
    {XT_SYMBOL, true, "", "secret|old_secret"},
    {XT_ENUM, false, "", "MINUS"},
    {XT_SIZE, false, "task", ""},
};

static const uint8_t build_id[20] = {0xab, 1, 2, 3, [19] = 0xcd};

static struct xvmi_profile *make(uint64_t init_task)
{
    static struct btf_writer w;
    btf_writer_init(&w);
    uint32_t u64 = btf_writer_int(&w, "long", 8, 64);
    btf_writer_struct(&w, "task", 24);
    btf_writer_member(&w, "real_boot", u64, 64);
    btf_writer_bits(&w, "bits", u64, 131, 5);
    btf_writer_enum(&w, "e");
    btf_writer_enumerator(&w, "MINUS", -1);
    size_t size;
    void *blob = btf_writer_finish(&w, &size);
    struct xt_builder *builder = NULL;
    struct xvmi_profile *profile = NULL;
    struct xvmi_error err = XVMI_ERROR_INIT;
    cr_assert_eq(xt_builder_new(wants, N(wants), &builder, &err), XVMI_OK, "%s", err.text);
    cr_assert_eq(xt_builder_add_btf(builder, blob, size, &err), XVMI_OK, "%s", err.text);
    xt_builder_add_symbol(builder, "init_task", 9, init_task);
    xt_builder_add_symbol(builder, "init_task", 9, 1);
    xt_builder_add_symbol(builder, "init_tasks", 10, 2);
    xt_builder_add_symbol(builder, "old_secret", 10, 0x10);
    xt_builder_add_symbol(builder, "secret", 6, 0x20);
    xt_builder_set_identity(builder, build_id, sizeof(build_id), "6.1.0-\033test");
    cr_assert_eq(xt_builder_finish(builder, &profile, &err), XVMI_OK, "%s", err.text);
    xt_builder_free(builder);
    free(blob);
    return profile;
}

static void check(const struct xvmi_profile *p, uint64_t init_task)
{
    uint64_t address = 0;
    uint32_t size = 0;
    int64_t value = 0;
    struct xvmi_member m = {0};
    size_t len = 0;
    cr_assert_eq(xvmi_profile_symbol(p, "init_task", &address), XVMI_OK);
    cr_assert_eq(address, init_task);
    cr_assert_eq(xvmi_profile_symbol(p, "secret", &address), XVMI_OK);
    cr_assert_eq(address, 0x20);
    cr_assert_eq(xvmi_profile_symbol(p, "old_secret", &address), XVMI_ERR_NOT_FOUND);
    cr_assert_eq(xvmi_profile_struct_size(p, "task", &size), XVMI_OK);
    cr_assert_eq(size, 24);
    cr_assert_eq(xvmi_profile_enumerator(p, "MINUS", &value), XVMI_OK);
    cr_assert_eq(value, -1);
    cr_assert_eq(xvmi_profile_member(p, "task", "boot", &m), XVMI_OK);
    cr_assert_eq(m.offset, 8);
    cr_assert_eq(m.size, 8);
    cr_assert_eq(xvmi_profile_member(p, "task", "bits", &m), XVMI_OK);
    cr_assert(m.offset == 16 && m.size == 1 && m.bit_offset == 3 && m.bit_size == 5);
    cr_assert_eq(xvmi_profile_member(p, "task", "gone", &m), XVMI_ERR_NOT_FOUND);
    cr_assert_eq(xvmi_profile_member(p, "task", "real_boot", &m), XVMI_ERR_NOT_FOUND);
    cr_assert_str_eq(xvmi_profile_release(p), "6.1.0-?test");
    cr_assert_eq(memcmp(xvmi_profile_build_id(p, &len), build_id, sizeof(build_id)), 0);
    cr_assert_eq(len, sizeof(build_id));
    cr_assert_eq(xvmi_profile_source(p), XVMI_SOURCE_BTF);
    cr_assert_eq(xvmi_profile_count(p), 7);
}

static char *temp_folder(void)
{
    static char path[64];
    snprintf(path, sizeof(path), "/tmp/xvmi-test-XXXXXX");
    cr_assert(mkdtemp(path));
    return path;
}

static void remove_folder(const char *path)
{
    char command[128];
    snprintf(command, sizeof(command), "rm -r '%s'", path);
    cr_assert_eq(system(command), 0);
}

Test(profile, answers)
{
    struct xvmi_profile *p = make(0xffffffff81000000);
    check(p, 0xffffffff81000000);
    cr_assert_eq(xvmi_profile_ref(p), p);
    xvmi_profile_unref(p);
    check(p, 0xffffffff81000000);
    xvmi_profile_unref(p);
    xvmi_profile_unref(NULL);
}

Test(profile, entries_are_sorted_and_say_what_is_absent)
{
    struct xvmi_profile *p = make(7);
    static const char *const names[] = {"", "bits", "boot", "gone", "MINUS", "init_task", "secret"};
    struct xvmi_profile_entry e;
    for (size_t i = 0; i < N(names); i++) {
        cr_assert_eq(xvmi_profile_entry(p, i, &e), XVMI_OK);
        cr_assert_str_eq(e.name, names[i]);
        cr_assert_eq(e.present, i != 3);
    }
    cr_assert_eq(xvmi_profile_entry(p, N(names), &e), XVMI_ERR_NOT_FOUND);
    cr_assert_eq(xvmi_profile_entry(p, 3, &e), XVMI_OK);
    cr_assert_str_eq(e.spellings, "gone|long_gone");
    xvmi_profile_unref(p);
}

Test(profile, covers_what_it_was_made_for)
{
    struct xvmi_profile *p = make(7);
    struct xvmi_error err = XVMI_ERROR_INIT;
    cr_assert_eq(xt_profile_covers(p, wants, N(wants), &err), XVMI_OK, "%s", err.text);
    static const struct xt_want unknown = {XT_MEMBER, true, "task", "new"};
    cr_assert_eq(xt_profile_covers(p, &unknown, 1, &err), XVMI_ERR_MISMATCH);
    static const struct xt_want respelled = {XT_MEMBER, true, "task", "gone|other"};
    cr_assert_eq(xt_profile_covers(p, &respelled, 1, &err), XVMI_ERR_MISMATCH);
    static const struct xt_want required = {XT_MEMBER, false, "task", "gone|long_gone"};
    cr_assert_eq(xt_profile_covers(p, &required, 1, &err), XVMI_ERR_MISMATCH);
    cr_assert_str_eq(err.text, "the profile lacks task.gone|long_gone");
    xvmi_profile_unref(p);
}

Test(profile, wants_that_make_no_sense)
{
    static const struct xt_want bad[] = {
        {XT_SIZE, false, "", ""},     {XT_SIZE, false, "t", "m"},  {XT_MEMBER, false, "", "m"},
        {XT_MEMBER, false, "t", ""},  {XT_ENUM, false, "t", "E"},  {XT_SYMBOL, false, "", ""},
        {XT_SYMBOL, false, "", NULL}, {XT_SYMBOL, false, "", "|"},
    };
    for (size_t i = 0; i < N(bad); i++) {
        struct xt_builder *builder = NULL;
        cr_assert_eq(xt_builder_new(&bad[i], 1, &builder, NULL), XVMI_ERR_INVALID, "%zu", i);
    }
}

Test(profile, without_wants)
{
    struct xt_builder *builder = NULL;
    struct xvmi_profile *p = NULL;
    uint64_t address;
    cr_assert_eq(xt_builder_new(NULL, 0, &builder, NULL), XVMI_OK);
    xt_builder_add_symbol(builder, "x", 1, 1);
    cr_assert_eq(xt_builder_finish(builder, &p, NULL), XVMI_OK);
    cr_assert_eq(xvmi_profile_symbol(p, "x", &address), XVMI_ERR_NOT_FOUND);
    cr_assert_eq(xvmi_profile_count(p), 0);
    xt_builder_free(builder);
    xvmi_profile_unref(p);
}

Test(profile, file_round_trip)
{
    const char *folder = temp_folder();
    char path[128];
    snprintf(path, sizeof(path), "%s/p", folder);
    struct xvmi_profile *p = make(9), *q = NULL;
    struct xvmi_error err = XVMI_ERROR_INIT;
    cr_assert_eq(xvmi_profile_load(path, &q, &err), XVMI_ERR_NOT_FOUND);
    cr_assert_eq(xvmi_profile_save(p, path, &err), XVMI_OK, "%s", err.text);
    cr_assert_eq(xvmi_profile_save(p, path, &err), XVMI_OK, "%s", err.text);
    cr_assert_eq(xvmi_profile_load(path, &q, &err), XVMI_OK, "%s", err.text);
    check(q, 9);
    cr_assert_eq(xt_profile_covers(q, wants, N(wants), &err), XVMI_OK, "%s", err.text);
    cr_assert_eq(xvmi_profile_load(folder, &q, &err), XVMI_ERR_FORMAT);
    xvmi_profile_unref(p);
    xvmi_profile_unref(q);
    remove_folder(folder);
}

Test(profile, every_cut_and_every_flipped_bit_is_noticed)
{
    struct xvmi_profile *p = make(9), *q = NULL;
    struct xvmi_error err = XVMI_ERROR_INIT;
    void *data = NULL;
    size_t size = 0;
    cr_assert_eq(xt_profile_encode(p, &data, &size, &err), XVMI_OK);
    uint8_t *bytes = data;
    for (size_t len = 0; len < size; len++)
        cr_assert_eq(xt_profile_decode(data, len, &q, &err), XVMI_ERR_FORMAT, "cut to %zu", len);
    for (size_t bit = 0; bit < size * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        enum xvmi_status want = bit / 32 == 2 ? XVMI_ERR_UNSUPPORTED : XVMI_ERR_FORMAT;
        cr_assert_eq(xt_profile_decode(data, size, &q, &err), want, "bit %zu", bit);
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    cr_assert_eq(xt_profile_decode(data, size, &q, &err), XVMI_OK);
    check(q, 9);
    xvmi_profile_unref(p);
    xvmi_profile_unref(q);
    free(data);
}

Test(profile, cache_round_trip)
{
    char folder[128];
    const char *top = temp_folder();
    snprintf(folder, sizeof(folder), "%s/a/b", top);
    struct xvmi_profile *p = make(11), *q = NULL;
    struct xvmi_error err = XVMI_ERROR_INIT;
    cr_assert_eq(xt_cache_load(folder, NULL, build_id, 20, &q, &err), XVMI_ERR_NOT_FOUND);
    cr_assert_eq(xt_cache_store(folder, NULL, p, &err), XVMI_OK, "%s", err.text);
    cr_assert_eq(xt_cache_load(folder, NULL, build_id, 20, &q, &err), XVMI_OK, "%s", err.text);
    check(q, 11);
    /* What a guest said of itself serves that guest alone. */
    struct xvmi_profile *own;
    cr_assert_eq(xt_cache_load(folder, "qemu:a", build_id, 20, &own, &err), XVMI_ERR_NOT_FOUND);
    cr_assert_eq(xt_cache_store(folder, "qemu:a", p, &err), XVMI_OK, "%s", err.text);
    cr_assert_eq(xt_cache_load(folder, "qemu:b", build_id, 20, &own, &err), XVMI_ERR_NOT_FOUND);
    cr_assert_eq(xt_cache_load(folder, "qemu:a", build_id, 20, &own, &err), XVMI_OK);
    xvmi_profile_unref(own);
    cr_assert_eq(xt_cache_load(folder, NULL, build_id, 19, &q, &err), XVMI_ERR_NOT_FOUND);
    cr_assert_eq(xt_cache_load(folder, NULL, build_id, 0, &q, &err), XVMI_ERR_INVALID);
    char path[256], other[256];
    snprintf(path, sizeof(path), "%s/ab010203000000000000000000000000000000cd", folder);
    snprintf(other, sizeof(other), "%s/ab", folder);
    cr_assert_eq(access(path, R_OK), 0);
    cr_assert_eq(rename(path, other), 0);
    cr_assert_eq(xt_cache_load(folder, NULL, build_id, 1, &q, &err), XVMI_ERR_MISMATCH);
    xvmi_profile_unref(p);
    xvmi_profile_unref(q);
    remove_folder(top);
}

Test(profile, cache_believes_only_its_own_user)
{
    const char *folder = temp_folder();
    char path[128], link[128];
    snprintf(path, sizeof(path), "%s/ab010203000000000000000000000000000000cd", folder);
    snprintf(link, sizeof(link), "%s/elsewhere", folder);
    struct xvmi_profile *p = make(11), *q = NULL;
    struct xvmi_error err = XVMI_ERROR_INIT;
    cr_assert_eq(xt_cache_store(folder, NULL, p, &err), XVMI_OK, "%s", err.text);
    cr_assert_eq(chmod(path, 0666), 0);
    cr_assert_eq(xt_cache_load(folder, NULL, build_id, 20, &q, &err), XVMI_ERR_PERMISSION);
    cr_assert_eq(chmod(path, 0644), 0);
    cr_assert_eq(chmod(folder, 01777), 0);
    cr_assert_eq(xt_cache_load(folder, NULL, build_id, 20, &q, &err), XVMI_ERR_PERMISSION);
    cr_assert_eq(chmod(folder, 0700), 0);
    cr_assert_eq(rename(path, link), 0);
    cr_assert_eq(symlink(link, path), 0);
    cr_assert_neq(xt_cache_load(folder, NULL, build_id, 20, &q, &err), XVMI_OK);
    cr_assert_eq(unlink(path), 0);
    cr_assert_eq(mkfifo(path, 0600), 0);
    cr_assert_eq(xt_cache_load(folder, NULL, build_id, 20, &q, &err), XVMI_ERR_FORMAT);
    xvmi_profile_unref(p);
    remove_folder(folder);
}

/* Four writers of two different profiles, a reader that must always see one of them whole. */
Test(profile, cache_with_many_writers)
{
    const char *folder = temp_folder();
    struct xvmi_profile *p[2] = {make(100), make(200)};
    struct xvmi_error err = XVMI_ERROR_INIT;
    cr_assert_eq(xt_cache_store(folder, NULL, p[0], &err), XVMI_OK, "%s", err.text);
    pid_t pids[4];
    for (int i = 0; i < 4; i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            for (int k = 0; k < 50; k++)
                if (xt_cache_store(folder, NULL, p[i % 2], &err))
                    _exit(1);
            _exit(0);
        }
    }
    for (int k = 0; k < 500; k++) {
        struct xvmi_profile *q = NULL;
        uint64_t address = 0;
        cr_assert_eq(xt_cache_load(folder, NULL, build_id, 20, &q, &err), XVMI_OK, "%s", err.text);
        cr_assert_eq(xvmi_profile_symbol(q, "init_task", &address), XVMI_OK);
        cr_assert(address == 100 || address == 200);
        xvmi_profile_unref(q);
    }
    for (int i = 0; i < 4; i++) {
        int status = -1;
        cr_assert_eq(waitpid(pids[i], &status, 0), pids[i]);
        cr_assert_eq(status, 0);
    }
    /* The folder is empty but for the file: no temporary one is left. */
    char path[128];
    snprintf(path, sizeof(path), "%s/ab010203000000000000000000000000000000cd", folder);
    cr_assert_eq(unlink(path), 0);
    cr_assert_eq(rmdir(folder), 0);
    xvmi_profile_unref(p[0]);
    xvmi_profile_unref(p[1]);
}
