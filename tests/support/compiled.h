/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef COMPILED_H
#define COMPILED_H

/* Types that compilers describe in the DWARF of compiled.c, and test-dwarf-compilers by offsetof.
 */

struct compiled_list {
    struct compiled_list *next, *prev;
};
typedef const volatile struct compiled_list compiled_list_alias;

enum compiled_enum { COMPILED_SEVEN = 7, COMPILED_MINUS = -5 };

struct compiled_task {
    int pid;
    enum compiled_enum state;
    compiled_list_alias tasks;
    char comm[16];
    union {
        long both;
        struct {
            unsigned int low, high;
        };
    };
    unsigned int three : 3, thirteen : 13, sixteen : 16;
    long matrix[2][3];
    unsigned long wide : 40;
    _Bool one : 1;
    struct {
        compiled_list_alias inner;
    } named;
    char tail[];
};

#endif
