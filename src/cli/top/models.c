/* SPDX-License-Identifier: MIT */
/* The table of models. Columns that do not fit are left out, in the order of first_to_go. */
#include <string.h>

#include "cli/json.h"
#include "cli/terminal/format.h"
#include "cli/terminal/format_model.h"
#include "cli/top/view.h"

#define TEXT_MAX 64
#define SHORTEST_NAME 20  /* other columns are left out before names are cut below this */
#define SHORTEST_CAUSE 16 /* columns; with less, LOADED BY is left out */

enum column { MODEL, STATE, MEMORY, REQUESTS, WAITED, TOKENS, IDLE, ENDS_IN, LOADED_BY, N_COLUMNS };

static const struct {
    const char *title;
    unsigned width; /* 0: what is left */
    enum table_align align;
    enum top_sort sort; /* that sorts by this column; TOP_SORTS: none */
} columns[] = {
    [MODEL] = {"MODEL", 0, TABLE_LEFT, TOP_BY_NAME},
    [STATE] = {"STATE", 13, TABLE_LEFT, TOP_BY_STATE},
    [MEMORY] = {"MEMORY", 9, TABLE_RIGHT, TOP_BY_MEMORY},
    [REQUESTS] = {"REQS", 5, TABLE_RIGHT, TOP_BY_REQUESTS},
    [WAITED] = {"WAITS", 6, TABLE_RIGHT, TOP_SORTS},
    [TOKENS] = {"TOK/S", 6, TABLE_RIGHT, TOP_BY_TOKENS},
    [IDLE] = {"IDLE", 6, TABLE_RIGHT, TOP_BY_IDLE},
    [ENDS_IN] = {"ENDS IN", 7, TABLE_RIGHT, TOP_SORTS},
    [LOADED_BY] = {"LOADED BY", 0, TABLE_LEFT, TOP_SORTS},
};

struct table_layout {
    unsigned width[N_COLUMNS]; /* 0: left out */
};

static unsigned fixed_width(const struct table_layout *l)
{
    unsigned sum = TOP_LEFT;
    for (size_t c = STATE; c <= ENDS_IN; c++)
        sum += l->width[c] ? TOP_GAP + l->width[c] : 0;
    return sum;
}

unsigned top_longest_name(const struct top_snapshot *f)
{
    size_t longest = strlen("MODEL");
    for (size_t i = 0; i < f->n_rows; i++)
        if (format_width(f->rows[i].id) > longest)
            longest = format_width(f->rows[i].id);
    return (unsigned)longest;
}

static struct table_layout lay_out_table(const struct top *t, unsigned width)
{
    static const enum column first_to_go[] = {ENDS_IN, IDLE, WAITED, TOKENS, REQUESTS, MEMORY};
    struct table_layout l;
    unsigned name = top_longest_name(&t->snapshot);
    unsigned least = name < SHORTEST_NAME ? name : SHORTEST_NAME;
    bool knows_engines = t->snapshot.status; /* a stock router tells states only */
    for (size_t c = 0; c < N_COLUMNS; c++)
        l.width[c] = knows_engines || c <= MEMORY ? columns[c].width : 0;
    for (size_t i = 0; i < sizeof first_to_go / sizeof *first_to_go; i++)
        if (fixed_width(&l) + least > width)
            l.width[first_to_go[i]] = 0;
    unsigned room = width > fixed_width(&l) ? width - fixed_width(&l) : 1;
    l.width[MODEL] = name < room ? name : room;
    room -= l.width[MODEL];
    if (knows_engines && l.width[ENDS_IN] && room >= TOP_GAP + SHORTEST_CAUSE)
        l.width[LOADED_BY] = room - TOP_GAP;
    return l;
}

static unsigned column_at(const struct table_layout *l, size_t column)
{
    unsigned at = TOP_LEFT;
    for (size_t c = 0; c < column; c++)
        at += l->width[c] ? l->width[c] + TOP_GAP : 0;
    return at;
}

static void draw_cell(const struct table_layout *l, unsigned row, enum column c, unsigned style,
                      const char *text)
{
    if (l->width[c] && columns[c].align == TABLE_RIGHT)
        top_draw_right(row, column_at(l, c), l->width[c], style, text);
    else if (l->width[c])
        screen_text(row, column_at(l, c), l->width[c], style, text);
}

/* The title of the column that the table is sorted by is bold. */
static void draw_titles(const struct top *t, const struct table_layout *l, unsigned row)
{
    for (size_t c = 0; c < N_COLUMNS; c++)
        draw_cell(l, row, (enum column)c,
                  columns[c].sort == t->snapshot.sort ? SCREEN_STRONG : TABLE_FAINT,
                  c == MEMORY && !t->snapshot.status ? "" : columns[c].title);
    if (t->snapshot.filter) {
        unsigned used = (unsigned)strlen("MODEL ");
        if (l->width[MODEL] > used + 1)
            screen_textf(row, TOP_LEFT + used, l->width[MODEL] - used, SCREEN_ACCENT, "/%s",
                         t->snapshot.filter);
    }
}

/* A load: its percentage in the STATE column, a bar in the MEMORY column, and the time left at the end of the row. */
static void draw_load(const struct table_layout *l, unsigned row, const struct top_load *load,
                      uint64_t now)
{
    char text[TEXT_MAX], time[FORMAT_SIZE];
    unsigned at = column_at(l, MEMORY), end = column_at(l, LOADED_BY) - TOP_GAP, width;
    uint64_t left;
    unsigned done = (unsigned)(load->fraction * l->width[MEMORY] + 0.5);
    snprintf(text, sizeof text, "loading %d%%", (int)(load->fraction * 100));
    draw_cell(l, row, STATE, TABLE_BUSY, text);
    screen_glyphs(row, at, done, SCREEN_FULL);
    screen_glyphs(row, at + done, l->width[MEMORY] - done, SCREEN_EMPTY);
    if (load->fraction >= 1) /* all is read; the engine warms up, which has no progress */
        snprintf(text, sizeof text, "warming up");
    else if (progress_rate_left(&load->rate, now, &left))
        snprintf(text, sizeof text, "%s left", format_elapsed(left, time, sizeof time));
    else
        return;
    at = column_at(l, TOKENS);
    width = end > at ? end - at : 0;
    if (width >= format_width(text))
        top_draw_right(row, at, width, TABLE_PLAIN, text);
}

static void draw_waiting(const struct table_layout *l, unsigned row, const struct top_row *r)
{
    char text[FORMAT_SIZE] = "";
    json_int_t running = cli_json_integer(r->engine, "requests");
    json_int_t waiting = cli_json_integer(r->queue, "waiting");
    json_int_t oldest = cli_json_integer(r->queue, "oldest_ms");
    if (waiting)
        snprintf(text, sizeof text, "%" JSON_INTEGER_FORMAT "+%" JSON_INTEGER_FORMAT, running,
                 waiting);
    else if (r->engine)
        snprintf(text, sizeof text, "%" JSON_INTEGER_FORMAT, running);
    draw_cell(l, row, REQUESTS, TABLE_PLAIN, text);
    if (waiting)
        draw_cell(l, row, WAITED, TABLE_BUSY,
                  format_elapsed(oldest > 0 ? (uint64_t)oldest : 0, text, sizeof text));
}

static void draw_figures(const struct table_layout *l, unsigned row, const struct top_row *r)
{
    char text[FORMAT_SIZE] = "", bytes[FORMAT_SIZE - 1];
    if (r->memory > 0)
        snprintf(text, sizeof text, "%s%s", r->estimated ? "~" : "",
                 format_bytes((uint64_t)r->memory, bytes, sizeof bytes));
    draw_cell(l, row, MEMORY, r->active ? TABLE_PLAIN : TABLE_FAINT, text);
    if (r->tokens > 0) {
        snprintf(text, sizeof text, "%.1f", r->tokens);
        draw_cell(l, row, TOKENS, TABLE_PLAIN, text);
    }
    draw_cell(l, row, IDLE, TABLE_PLAIN, format_model_idle(r->engine, text, sizeof text));
    if (r->pinned)
        draw_cell(l, row, ENDS_IN, TABLE_PLAIN, "pinned");
    else if (r->engine)
        draw_cell(l, row, ENDS_IN, TABLE_PLAIN, format_model_ends_in(r->engine, text, sizeof text));
}

static void draw_model(const struct top *t, const struct table_layout *l, unsigned row,
                       unsigned width, const struct top_row *r, uint64_t now)
{
    bool selected = t->selected && strcmp(t->selected, r->id) == 0;
    screen_reverse(selected);
    if (selected)
        screen_blank(row, 0, width);
    draw_cell(l, row, MODEL, r->active || r->queue ? TABLE_PLAIN : TABLE_FAINT, r->id);
    draw_waiting(l, row, r);
    if (r->load && r->load->fraction >= 0 && !t->feed.outage) {
        draw_load(l, row, r->load, now);
    } else {
        draw_cell(l, row, STATE, t->feed.outage ? TABLE_FAINT : format_model_state_style(r->state),
                  r->state);
        draw_figures(l, row, r);
    }
    draw_cell(l, row, LOADED_BY, TABLE_FAINT, cli_json_text(r->engine, "loaded_by"));
    screen_reverse(false);
}

/* Scrolls so that the selected row is visible. */
static void scroll(struct top *t, size_t page)
{
    size_t selected = top_snapshot_find(&t->snapshot, t->selected), n = t->snapshot.n_rows;
    t->page = page ? page : 1;
    if (selected < n && selected < t->first)
        t->first = selected;
    if (selected < n && selected >= t->first + t->page)
        t->first = selected - t->page + 1;
    if (t->first + t->page > n)
        t->first = n > t->page ? n - t->page : 0;
}

static const char *nothing_to_show(const struct top *t)
{
    if (t->snapshot.filter)
        return "no model has that in its name";
    return t->snapshot.models.list ? "the server knows no models yet: put GGUF files into its "
                                     "--models-dir"
                                   : "";
}

/* Returns the row after the last. */
static unsigned draw_rows(const struct top *t, const struct table_layout *l, unsigned row,
                          unsigned width, uint64_t now)
{
    size_t end = t->first + t->page;
    for (size_t i = t->first; i < end && i < t->snapshot.n_rows; i++)
        draw_model(t, l, row++, width, &t->snapshot.rows[i], now);
    return row;
}

unsigned top_draw_models(struct top *t, unsigned row, unsigned rows, unsigned width, uint64_t now)
{
    struct table_layout l = lay_out_table(t, width);
    unsigned begin = row;
    bool all = t->snapshot.n_rows < rows || rows < 4;
    scroll(t, all ? rows - 1 : rows - 2);
    draw_titles(t, &l, row);
    row = draw_rows(t, &l, row + 1, width, now);
    if (!t->snapshot.n_rows)
        screen_text(row++, TOP_LEFT, width - TOP_LEFT, TABLE_FAINT, nothing_to_show(t));
    else if (!all)
        screen_textf(row++, TOP_LEFT, width - TOP_LEFT, TABLE_FAINT, "%zu to %zu of %zu",
                     t->first + 1, t->first + t->page, t->snapshot.n_rows);
    return row - begin;
}
