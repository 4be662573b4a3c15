/* SPDX-License-Identifier: MIT */
/*
 * The INI files that llama.cpp's router reads (--models-preset), in its dialect:
 *
 *     ; comment
 *     [section]              # up to the `]`, blanks around it dropped
 *     key = value            # a value ends at `;`, `#` or the line's end, blanks around it dropped
 *     key = "a;b"            # not in llama.cpp: quotes, single or double, around a value with `;` or `#`
 *
 * Quotes around any other value are a part of it, as in llama.cpp.
 *
 * Not inih: its files differ in what a comment is and where a value goes on, its Debian build cuts
 * lines at 200 bytes, and it does not tell which line a value is from.
 */
#ifndef HOSTLER_CATALOG_INI_H
#define HOSTLER_CATALOG_INI_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

struct ini_line {
    unsigned number;     /* from 1 */
    const char *section; /* NULL before the first */
    const char *key;     /* NULL: the line begins `section` */
    const char *value;   /* may be empty */
    bool
        unclosed; /* the value begins with a quote that nothing closes, which is a part of it then */
    bool cut;     /* a comment follows without a blank, which may be a part of the value: `a;b` */
};

/* Called for each line that says something; its strings are good during the call. A negative errno,
 * with a text, ends the reading. */
typedef int ini_handler(const struct ini_line *line, void *ctx, struct error *err);

/*
 * 0, or what `handler` returned, or -EINVAL for a line that is none of the above. Texts do not name
 * the file; those of this function begin with `line N: `. `text` may hold any bytes.
 */
int ini_parse(const char *text, size_t len, ini_handler *handler, void *ctx, struct error *err)
    __attribute__((warn_unused_result));

/* A mistake of the file, or what `handler` said of a line. `section`: in which the line stands; NULL before the first. */
typedef void ini_problem(unsigned line, const char *section, const char *text, void *ctx);

/* The same for who wants to hear of all mistakes: the reading goes on after each. */
void ini_parse_all(const char *text, size_t len, ini_handler *handler, ini_problem *problem,
                   void *ctx);

#endif
