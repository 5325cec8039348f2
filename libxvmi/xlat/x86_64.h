/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XX_X86_64_H
#define XX_X86_64_H

/*
 * x86-64 page tables as arithmetic: 4 and 5 levels, 4 KiB, 2 MiB and 1 GiB pages
 * (Intel SDM vol. 3, 4.5). Nothing is read here. A walk says which entry it needs, the
 * caller reads it and feeds it in:
 *
 *     enum xx_step step = xx_begin(&walk, &paging, va, &fault);
 *     while (step == XX_NEED)
 *         step = xx_feed(&walk, <8 bytes at guest-physical walk.need>, &fault);
 *
 * ends after at most five entries, whatever is fed. Permissions are not looked at: we
 * stand outside. Levels count from the page: 1 is the table of 4 KiB pages, 4 or 5 the root.
 */

#include <stdint.h>

#include <xvmi/error.h>

struct xx_paging {
    uint64_t root;      /* GPA of the top table; low 12 bits (PCID, PTI) are ignored */
    unsigned levels;    /* 4 or 5 */
    unsigned phys_bits; /* width of physical addresses, 32 to 52; 0: not known, 52 */
};

enum xx_why {
    XX_NOT_CANONICAL, /* no such address */
    XX_NOT_PRESENT,   /* an entry says so */
    XX_RESERVED,      /* an entry has bits set that must not be */
    XX_NO_TABLE,      /* an entry could not be read */
    XX_NO_MEMORY,     /* translated, but what it points at could not be read */
    XX_WRAPS,         /* the read goes beyond the last address */
};

/* What failed. A plain value, cheap to fill in; xx_fault_text() makes words of it. */
struct xx_fault {
    enum xvmi_status status; /* XVMI_OK: no fault yet */
    enum xx_why why;
    unsigned level; /* of the entry, where one is to blame */
    unsigned index;
    uint64_t entry; /* its value */
    uint64_t va;
    uint64_t gpa; /* of what could not be read */
};

enum xx_step {
    XX_NEED,  /* feed the entry at walk.need */
    XX_DONE,  /* walk.gpa, walk.left */
    XX_FAULT, /* fault is filled in */
};

struct xx_walk {
    uint64_t va;
    uint64_t need;  /* GPA of the next entry */
    uint64_t gpa;   /* of va, once done */
    uint64_t left;  /* bytes from va to the end of its page, once done */
    uint64_t addr;  /* address bits that an entry may have set */
    unsigned level; /* of the entry needed, of the page once done */
    unsigned levels;
};

enum xx_step xx_begin(struct xx_walk *walk, const struct xx_paging *paging, uint64_t va,
                      struct xx_fault *fault);
enum xx_step xx_feed(struct xx_walk *walk, uint64_t entry, struct xx_fault *fault);

/* The fault of a walk whose needed entry could not be read (status: why). */
struct xx_fault xx_unreadable(const struct xx_walk *walk, enum xvmi_status status);

/* "address 0xffff…: page not present (level 2, entry 17, value 0x0)" into err; returns the
 * fault's status. */
enum xvmi_status xx_fault_text(const struct xx_fault *fault, struct xvmi_error *err);

#endif
