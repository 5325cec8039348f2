// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "support/image-writer.h"
#include "support/pagetable-writer.h"

static const char *folder;

static void save(const char *target, const char *name, struct image *image)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/%s", folder, target);
    mkdir(folder, 0777);
    mkdir(path, 0777);
    snprintf(path, sizeof(path), "%s/%s/%s", folder, target, name);
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(image->v, 1, image->n, f) != image->n || fclose(f) != 0) {
        perror(path);
        exit(1);
    }
}

static uint8_t page[4096];

static struct image elf(const struct image *notes)
{
    struct image image = {0};
    image_elf(&image,
              (struct image_segment[]){
                  {.type = PT_NOTE, .data = notes->v, .size = notes->n},
                  {.type = PT_LOAD, .paddr = 0, .data = page, .size = 4096},
                  {.type = PT_LOAD, .paddr = 0x1000, .data = page, .size = 100, .memsz = 8192},
                  {.type = PT_LOAD, .paddr = 0x100000000, .data = page, .size = 512},
              },
              4);
    return image;
}

static struct image lime(void)
{
    struct image image = {0};
    image_lime(&image, 0x1000, page, 4096);
    image_lime(&image, 0x100000, page, 64);
    return image;
}

static struct image kdump(const struct image *notes)
{
    struct image image = {0};
    image_kdump(&image, 100, (struct image_page[]){{2, page, 4096, 0}, {64, page, 40, 1}}, 2,
                notes);
    return image;
}

/* One byte of options, 16 addresses, RAM with its root table at 0. */
static struct image xlat(uint8_t options)
{
    static const uint64_t gva[16] = {
        0xffff888000000000, 0xffff888000001ff8, 0xffff888000001ffc, 0xffffffff81000000,
        0xffffffff811ffff8, 0xffff888040000000, 0xffff880000000ff9, 0x401000,
        0x7fffffffeff0,     0xffffffffffffffff, 0xff11000000000000, 0xffff888000007ffc,
    };
    static uint8_t ram[8 * 4096];
    pagetable_write(ram, sizeof(ram),
                    "@0x0\n 272: 0x0 PW\n 273: 0x1000 PW\n 511: 0x4000 PW\n 0: 0x5000 PWU\n"
                    "@0x1000\n 0: 0x2000 PW\n 1: 0x0 PWS\n"
                    "@0x2000\n 0: 0x3000 PW\n 1: 0x0 PWS\n"
                    "@0x3000\n 0-15: 0x0 PW\n"
                    "@0x4000\n 510: 0x6000 PW\n"
                    "@0x5000\n 0: 0x6000 PW\n"
                    "@0x6000\n 2: 0x7000 PW\n 8: 0x0 PWS\n"
                    "@0x7000\n 1: 0x3000 PWU\n");
    struct image image = {0};
    image_bytes(&image, &options, 1);
    image_bytes(&image, gva, sizeof(gva));
    image_bytes(&image, ram, sizeof(ram));
    return image;
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: mem-seeds DIR\n");
        return 2;
    }
    folder = argv[1];
    struct image notes = {0};
    image_note_prstatus(&notes, 0);
    image_note_qemu(&notes, 0, 440);
    image_note(&notes, "VMCOREINFO", 0, "OSRELEASE=6.1\n", 14);

    struct image image = elf(&notes);
    save("elfcore", "core", &image);
    save("kdump", "core", &image);
    image_free(&image);
    image = lime();
    save("lime", "lime", &image);
    save("kdump", "lime", &image);
    image_free(&image);
    image = kdump(&notes);
    save("kdump", "kdump", &image);
    struct image flat = {0};
    image_flatten(&flat, &image, 2000);
    save("kdump", "flattened", &flat);
    image_free(&flat);
    image_free(&image);
    for (uint8_t options = 0; options < 16; options++) {
        char name[16];
        snprintf(name, sizeof(name), "tables-%u", options);
        image = xlat(options);
        save("xlat", name, &image);
        image_free(&image);
    }
    image_free(&notes);
    return 0;
}
