/* SPDX-License-Identifier: MIT */
/* The parts of top's screen. Each draws from `row` on and uses at most `rows`. */
#ifndef HOSTLER_CLI_TOP_VIEW_H
#define HOSTLER_CLI_TOP_VIEW_H

#include "cli/terminal/screen.h"
#include "cli/top/top.h"

#define TOP_LEFT 1 /* the margin */
#define TOP_GAP 2  /* between columns, as in tables */

void top_draw_right(unsigned row, unsigned column, unsigned width, unsigned style,
                    const char *text);

/* memory.c. Returns the rows used, including an empty one at the end. */
unsigned top_draw_memory(const struct top *t, unsigned row, unsigned rows, unsigned width);
/* models.c. Returns the rows used, including the titles. */
unsigned top_draw_models(struct top *t, unsigned row, unsigned rows, unsigned width, uint64_t now);
/* The display width of the longest id. */
unsigned top_longest_name(const struct top_snapshot *f);
/* lists.c */
void top_draw_recent(const struct top *t, unsigned row, unsigned rows, unsigned width);
void top_draw_requests(const struct top *t, unsigned row, unsigned rows, unsigned width);

#endif
