/* SPDX-License-Identifier: MIT */
/* Memory by device: a bar of what engines hold (from the left) and other programs hold (from the right), with a mark at
 * the engines' budget. */
#include <string.h>

#include "cli/json.h"
#include "cli/terminal/format.h"
#include "cli/top/view.h"

#define FIGURE 8 /* `1023 MiB` */
#define NARROWEST_BAR 10

static const char *const figures[] = {"ENGINES", "OTHERS", "FREE", "BUDGET"};
#define N_FIGURES (sizeof figures / sizeof *figures)

struct memory_layout {
    unsigned label, bar; /* columns */
    size_t figures;      /* how many of the figures fit */
};

static unsigned figures_width(size_t n)
{
    return (unsigned)n * (FIGURE + TOP_GAP);
}

static struct memory_layout lay_out_memory(json_t *memory, unsigned width)
{
    struct memory_layout l = {.label = (unsigned)strlen("MEMORY"), .figures = N_FIGURES};
    const char *name;
    json_t *device;
    json_object_foreach (memory, name, device)
        l.label = format_width(name) > l.label ? (unsigned)format_width(name) : l.label;
    unsigned left = TOP_LEFT + l.label + TOP_GAP;
    while (l.figures && left + NARROWEST_BAR + figures_width(l.figures) > width)
        l.figures--;
    left += figures_width(l.figures);
    l.bar = left < width ? width - left : 0;
    return l;
}

static void draw_figure(const struct memory_layout *l, unsigned row, size_t i, unsigned style,
                        const char *text)
{
    unsigned column = TOP_LEFT + l->label + TOP_GAP + l->bar + TOP_GAP + figures_width(i);
    if (i < l->figures)
        top_draw_right(row, column, FIGURE, style, text);
}

static void draw_bytes(const struct memory_layout *l, unsigned row, size_t i, json_int_t bytes)
{
    char text[FORMAT_SIZE];
    format_bytes(bytes > 0 ? (uint64_t)bytes : 0, text, sizeof text);
    draw_figure(l, row, i, TABLE_PLAIN, text);
}

static void draw_bar(unsigned row, unsigned column, unsigned width, const struct top_bar *bar)
{
    screen_glyphs(row, column, width, SCREEN_EMPTY);
    screen_glyphs(row, column + width - bar->others, bar->others, SCREEN_FOREIGN);
    screen_glyphs(row, column, bar->engines, SCREEN_FULL);
    if (bar->budget >= (int)bar->engines)
        screen_glyphs(row, column + (unsigned)bar->budget, 1, SCREEN_LIMIT);
}

static void draw_device(const struct top *t, const struct memory_layout *l, unsigned row,
                        const char *device, json_t *memory)
{
    json_int_t total = cli_json_integer(memory, "total");
    json_int_t available = cli_json_integer(memory, "available");
    json_t *budget = json_object_get(memory, "budget");
    json_int_t engines = top_snapshot_engines_on(&t->snapshot, device);
    struct top_bar bar =
        top_memory_bar(total, available, engines, json_integer_value(budget), l->bar);
    screen_text(row, TOP_LEFT, l->label, TABLE_PLAIN, device);
    draw_bar(row, TOP_LEFT + l->label + TOP_GAP, l->bar, &bar);
    draw_bytes(l, row, 0, engines);
    draw_bytes(l, row, 1, total - available - engines);
    draw_bytes(l, row, 2, available);
    if (json_is_integer(budget))
        draw_bytes(l, row, 3, json_integer_value(budget));
    else
        draw_figure(l, row, 3, TABLE_PLAIN, "-");
}

/* Rows used. */
unsigned top_draw_memory(const struct top *t, unsigned row, unsigned rows, unsigned width)
{
    json_t *memory = json_object_get(t->snapshot.status, "memory"), *device;
    const char *name;
    unsigned used = 1;
    if (!json_object_size(memory) || rows < 3)
        return 0;
    struct memory_layout l = lay_out_memory(memory, width - 1);
    screen_text(row, TOP_LEFT, width - TOP_LEFT, TABLE_FAINT, "MEMORY");
    for (size_t i = 0; i < N_FIGURES; i++)
        draw_figure(&l, row, i, TABLE_FAINT, figures[i]);
    json_object_foreach (memory, name, device)
        if (used + 1 < rows && !json_is_true(json_object_get(device, "gone")))
            draw_device(t, &l, row + used++, name, device);
    return used + 1; /* and an empty row */
}
