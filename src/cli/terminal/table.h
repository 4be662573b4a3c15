/* SPDX-License-Identifier: MIT */
/*
 * Tables of text: columns as wide as their content, two blanks between them, nothing after the
 * last. On a terminal that is too narrow, columns that allow it are cut or left out; in a pipe
 * nothing ever is.
 */
#ifndef HOSTLER_CLI_TERMINAL_TABLE_H
#define HOSTLER_CLI_TERMINAL_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum table_align { TABLE_LEFT, TABLE_RIGHT };

enum table_cut {
    TABLE_WHOLE, /* never cut */
    TABLE_FIRST, /* cut first, then left out: least important */
    TABLE_SPARE, /* left out next, never cut: a cut number is misleading */
    TABLE_LATE,  /* left out after TABLE_SPARE, never cut */
    TABLE_LAST,  /* cut last: names */
};

enum table_style { TABLE_PLAIN, TABLE_GOOD, TABLE_BUSY, TABLE_BAD, TABLE_FAINT };

struct table_column {
    const char *title;
    enum table_align align;
    enum table_cut cut;
};

struct table;

/* `columns` must outlive the table. */
struct table *table_create(const struct table_column *columns, size_t n);
void table_destroy(struct table *t);

void table_row(struct table *t);
/* The next cell of the row; `text` is copied, its control characters replaced. NULL and "" are
 * shown as `-`, so that every line has as many words as there are columns. */
void table_cell(struct table *t, const char *text);
void table_cellf(struct table *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void table_styled(struct table *t, enum table_style style, const char *text);

/* `width`: of the terminal, 0 for no limit. */
void table_print(const struct table *t, FILE *out, unsigned width, bool colour);

#endif
