/* SPDX-License-Identifier: MIT */
#include "cli/terminal/table.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "cli/terminal/format.h"

#define GAP 2
#define NARROWEST 8 /* columns are not cut below this, nor below their title */

struct cell {
    char *text; /* NULL: not given */
    size_t width;
    enum table_style style;
};

struct table {
    const struct table_column *columns;
    size_t n_columns;
    struct cell *cells; /* row after row */
    size_t n_rows, next;
};

struct table *table_create(const struct table_column *columns, size_t n)
{
    struct table *t = mem_zalloc(sizeof *t);
    t->columns = columns;
    t->n_columns = n;
    return t;
}

void table_destroy(struct table *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < t->n_rows * t->n_columns; i++)
        free(t->cells[i].text);
    free(t->cells);
    free(t);
}

static struct cell *row_of(const struct table *t, size_t row)
{
    return t->cells + row * t->n_columns;
}

void table_row(struct table *t)
{
    size_t used = t->n_rows * t->n_columns;
    t->cells = mem_realloc(t->cells, (used + t->n_columns) * sizeof *t->cells);
    memset(t->cells + used, 0, t->n_columns * sizeof *t->cells);
    t->n_rows++;
    t->next = 0;
}

/* Takes `text`. */
static void add_cell(struct table *t, enum table_style style, char *text)
{
    struct cell *c = &row_of(t, t->n_rows - 1)[t->next++];
    format_sanitize(text, FORMAT_ONE_LINE);
    *c = (struct cell){.text = text, .width = format_width(text), .style = style};
}

void table_styled(struct table *t, enum table_style style, const char *text)
{
    add_cell(t, style, mem_strdup(text && *text ? text : "-"));
}

void table_cell(struct table *t, const char *text)
{
    table_styled(t, TABLE_PLAIN, text);
}

void table_cellf(struct table *t, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *text = mem_vprintf(fmt, ap);
    va_end(ap);
    table_cell(t, text);
    free(text);
}

/* --- layout -------------------------------------------------------------------------------------
 */

static void natural_widths(const struct table *t, size_t *widths)
{
    for (size_t c = 0; c < t->n_columns; c++) {
        widths[c] = strlen(t->columns[c].title);
        for (size_t r = 0; r < t->n_rows; r++)
            if (row_of(t, r)[c].width > widths[c])
                widths[c] = row_of(t, r)[c].width;
    }
}

/* A column of width 0 is left out. */
static size_t total(const size_t *widths, size_t n)
{
    size_t sum = 0;
    for (size_t c = 0; c < n; c++)
        if (widths[c])
            sum += widths[c] + (sum ? GAP : 0);
    return sum;
}

static size_t floor_of(const struct table_column *column)
{
    size_t title = strlen(column->title);
    return title > NARROWEST ? title : NARROWEST;
}

/* Narrows the widest column of that kind by one, repeatedly: they end at similar widths. */
static void shrink(const struct table *t, size_t *widths, enum table_cut kind, size_t width)
{
    while (total(widths, t->n_columns) > width) {
        size_t widest = t->n_columns;
        for (size_t c = 0; c < t->n_columns; c++)
            if (t->columns[c].cut == kind && widths[c] > floor_of(&t->columns[c]) &&
                (widest == t->n_columns || widths[c] > widths[widest]))
                widest = c;
        if (widest == t->n_columns)
            return;
        widths[widest]--;
    }
}

/* Drops other columns first: a cut name cannot be used in a command. */
static void drop_columns(const struct table *t, size_t *widths, unsigned width)
{
    for (enum table_cut kind = TABLE_FIRST; kind <= TABLE_LATE; kind++)
        for (size_t c = t->n_columns; c-- && total(widths, t->n_columns) > width;)
            if (t->columns[c].cut == kind)
                widths[c] = 0;
}

/* Dropping a wide column may have left room for narrow ones that were dropped before it. */
static void restore_columns(const struct table *t, size_t *widths, const size_t *natural,
                            unsigned width)
{
    for (size_t c = 0; c < t->n_columns; c++)
        if (!widths[c] && t->columns[c].cut != TABLE_FIRST &&
            total(widths, t->n_columns) + GAP + natural[c] <= width)
            widths[c] = natural[c];
}

/* --- printing -----------------------------------------------------------------------------------
 */

static const char *const codes[] = {"", "\033[32m", "\033[33m", "\033[31m", "\033[2m"};

static void print_text(FILE *out, const char *text, size_t width, bool cut)
{
    if (cut)
        fprintf(out, "%.*s…", (int)format_fit(text, width - 1), text);
    else
        fputs(text, out);
}

static void print_cell(const struct table *t, FILE *out, size_t column, size_t width, bool last,
                       const struct cell *cell, bool colour)
{
    bool styled = colour && cell->style != TABLE_PLAIN;
    bool cut = cell->width > width;
    size_t shown = cell->width;
    if (cut) { /* a double-width character at the cut leaves one column unused */
        char *head = mem_strndup(cell->text, format_fit(cell->text, width - 1));
        shown = format_width(head) + 1;
        free(head);
    }
    int pad = width > shown ? (int)(width - shown) : 0;
    bool right = t->columns[column].align == TABLE_RIGHT;
    fprintf(out, "%*s%s", right ? pad : 0, "", styled ? codes[cell->style] : "");
    print_text(out, cell->text, width, cut);
    fprintf(out, "%s%*s", styled ? "\033[0m" : "", last ? 0 : (right ? 0 : pad) + GAP, "");
}

static void print_row(const struct table *t, FILE *out, const size_t *widths,
                      const struct cell *row, bool colour)
{
    static char none[] = "-";
    for (size_t c = 0; c < t->n_columns; c++) {
        struct cell missing = {.text = none, .width = 1};
        bool last = true;
        for (size_t next = c + 1; next < t->n_columns; next++)
            last = last && !widths[next];
        if (widths[c])
            print_cell(t, out, c, widths[c], last, row[c].text ? &row[c] : &missing, colour);
    }
    fputc('\n', out);
}

void table_print(const struct table *t, FILE *out, unsigned width, bool colour)
{
    size_t *widths = mem_zalloc(t->n_columns * sizeof *widths);
    size_t *natural = mem_zalloc(t->n_columns * sizeof *natural);
    struct cell *titles = mem_zalloc(t->n_columns * sizeof *titles);
    natural_widths(t, widths);
    if (width) {
        shrink(t, widths, TABLE_FIRST, width);
        natural_widths(t, natural);
        drop_columns(t, widths, width);
        restore_columns(t, widths, natural, width);
        shrink(t, widths, TABLE_LAST, width);
    }
    for (size_t c = 0; c < t->n_columns; c++)
        titles[c] = (struct cell){.text = mem_strdup(t->columns[c].title),
                                  .width = strlen(t->columns[c].title),
                                  .style = TABLE_FAINT};
    print_row(t, out, widths, titles, colour);
    for (size_t r = 0; r < t->n_rows; r++)
        print_row(t, out, widths, row_of(t, r), colour);
    for (size_t c = 0; c < t->n_columns; c++)
        free(titles[c].text);
    free(titles);
    free(natural);
    free(widths);
}
