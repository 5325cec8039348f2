// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* What an index of types needs at least: the names of all top-level structs of a vmlinux, by
 * libdw. */
#include <dwarf.h>
#include <elfutils/libdw.h>
#include <fcntl.h>

int main(int argc, char **argv)
{
    int fd = argc == 2 ? open(argv[1], O_RDONLY | O_CLOEXEC) : -1;
    Dwarf *dwarf = fd < 0 ? NULL : dwarf_begin(fd, DWARF_C_READ);
    Dwarf_Off at = 0, next;
    size_t header, named = 0;
    for (; dwarf && dwarf_nextcu(dwarf, at, &next, &header, NULL, NULL, NULL) == 0; at = next) {
        Dwarf_Die unit, die;
        if (!dwarf_offdie(dwarf, at + header, &unit) || dwarf_child(&unit, &die) != 0)
            continue;
        do
            named += dwarf_tag(&die) == DW_TAG_structure_type && dwarf_diename(&die);
        while (dwarf_siblingof(&die, &die) == 0);
    }
    return named == 0;
}
