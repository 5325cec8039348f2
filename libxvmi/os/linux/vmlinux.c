// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "os/linux/vmlinux.h"

#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "os/linux/kernel.h"
#include "type/elf.h"

bool xl_is_elf(const char *path)
{
    char magic[SELFMAG];
    xb_auto_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    return fd >= 0 && read(fd, magic, SELFMAG) == SELFMAG && memcmp(magic, ELFMAG, SELFMAG) == 0;
}

/* Is there a build-id note with these bytes among the notes? */
static bool has_build_id(struct xt_bytes notes, const uint8_t *id, size_t len)
{
    while (notes.n >= sizeof(Elf64_Nhdr)) {
        Elf64_Nhdr nhdr;
        memcpy(&nhdr, notes.p, sizeof(nhdr));
        uint64_t name = ((uint64_t)nhdr.n_namesz + 3) & ~UINT64_C(3);
        uint64_t size = sizeof(nhdr) + name + (((uint64_t)nhdr.n_descsz + 3) & ~UINT64_C(3));
        if (size > notes.n)
            return false;
        if (nhdr.n_type == NT_GNU_BUILD_ID && nhdr.n_namesz == 4 && nhdr.n_descsz == len &&
            memcmp(notes.p + sizeof(nhdr), "GNU", 4) == 0 &&
            memcmp(notes.p + sizeof(nhdr) + name, id, len) == 0)
            return true;
        notes.p += size;
        notes.n -= size;
    }
    return false;
}

static bool is_built_as(const char *path, const struct xl_kernel *kernel)
{
    struct xt_elf elf;
    struct xt_bytes notes;
    if (xt_elf_open(path, &elf, NULL))
        return false;
    bool same = !xt_elf_section(&elf, ".notes", &notes, NULL) &&
                has_build_id(notes, kernel->build_id, kernel->build_id_len);
    xt_elf_close(&elf);
    return same;
}

bool xl_vmlinux_find(const struct xl_kernel *kernel, char path[XL_VMLINUX_PATH_MAX])
{
    static const char *const places[] = {
        "/usr/lib/debug/boot/vmlinux-%s",
        "/usr/lib/debug/lib/modules/%s/vmlinux",
        "/usr/lib/debug/usr/lib/modules/%s/vmlinux",
        "/boot/vmlinux-%s",
    };
    /* The release comes from the guest and becomes part of a path. */
    if (!kernel->build_id_len || strchr(kernel->release, '/') || kernel->release[0] == '.')
        return false;
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        const char *mark = strstr(places[i], "%s");
        snprintf(path, XL_VMLINUX_PATH_MAX, "%.*s%s%s", (int)(mark - places[i]), places[i],
                 kernel->release, mark + 2);
        if (access(path, R_OK) == 0 && is_built_as(path, kernel))
            return true;
    }
    return false;
}
