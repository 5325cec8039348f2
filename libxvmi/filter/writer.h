/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef XF_WRITER_H
#define XF_WRITER_H

#include "filter/ast.h"

/* The tree as text and as JSON; NULL when memory is out. To be freed. */
char *xf_write_text(const struct xf_ast *ast);
char *xf_write_json(const struct xf_ast *ast);

#endif
