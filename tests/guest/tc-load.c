// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * tc-load OBJECT    Loads the BPF programs of the packet path in all their variants: are they good
 * for the kernel that this runs on? Linked statically, to be carried into guests.
 */
#include <stdio.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "tc/shared.h"

static struct bpf_object *open_with(const char *path, const struct xtc_config *config)
{
    struct bpf_object *object = bpf_object__open_file(path, NULL);
    struct bpf_map *map;
    size_t size;
    if (!object)
        return NULL;
    bpf_object__for_each_map(map, object)
    {
        void *data = (void *)bpf_map__initial_value(map, &size);
        if (strstr(bpf_map__name(map), ".rodata") && size == sizeof(*config))
            memcpy(data, config, sizeof(*config));
    }
    return object;
}

int main(int argc, char **argv)
{
    int failed = argc != 2;
    for (unsigned miss = 0; !failed && miss < 3; miss++) {
        const struct xtc_config config = {.mark = 0x80000001,
                                          .queue = 512,
                                          .lane = 128,
                                          .miss = (uint8_t)miss,
                                          .orphaned = miss & 1 ? XTC_FATE_PASS : XTC_FATE_DROP,
                                          .overflow = XTC_FATE_DROP};
        struct bpf_object *object = open_with(argv[1], &config);
        failed = !object || bpf_object__load(object);
        bpf_object__close(object);
    }
    puts(failed ? "refused" : "loaded");
    return failed;
}
