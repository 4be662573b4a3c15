/* SPDX-License-Identifier: MIT */
/* The lists below the models: recent events, and requests. Newest first. */
#include <stdlib.h>
#include <string.h>

#include "cli/json.h"
#include "cli/terminal/format.h"
#include "cli/terminal/format_prompts.h"
#include "cli/terminal/format_time.h"
#include "cli/top/view.h"

#define CLOCK 8           /* `12:34:56` */
#define SHORTEST_CLIENT 8 /* columns */

static char *clock_of(double at, char *out, size_t size)
{
    struct tm tm;
    if (!format_local_time(at, &tm) || !strftime(out, size, "%T", &tm))
        snprintf(out, size, "?");
    return out;
}

/* The name's column: as wide as in the table above, at most 1/`part` of the width. */
static unsigned name_width(const struct top *t, unsigned width, unsigned part)
{
    unsigned longest = top_longest_name(&t->snapshot);
    unsigned most = width > 60 ? (width - 2 * CLOCK) / part : 14;
    return longest < most ? longest : most;
}

void top_draw_recent(const struct top *t, unsigned row, unsigned rows, unsigned width)
{
    unsigned name = TOP_LEFT + CLOCK + TOP_GAP, text = name + name_width(t, width, 3) + TOP_GAP;
    char time[FORMAT_SIZE];
    if (text >= width)
        return;
    screen_text(row, TOP_LEFT, CLOCK, TABLE_FAINT, "RECENT");
    screen_text(row, name, text - TOP_GAP - name, TABLE_FAINT, "MODEL");
    screen_text(row, text, width - text, TABLE_FAINT, "EVENT");
    if (!t->snapshot.n_events && rows > 1)
        screen_text(row + 1, TOP_LEFT, width - TOP_LEFT, TABLE_FAINT,
                    "nothing since this began to look");
    for (size_t i = 0; i < t->snapshot.n_events && i + 1 < rows; i++) {
        const struct top_event *e = &t->snapshot.events[i];
        unsigned at = row + 1 + (unsigned)i;
        screen_text(at, TOP_LEFT, CLOCK, TABLE_FAINT, clock_of(e->at, time, sizeof time));
        screen_text(at, name, text - TOP_GAP - name, TABLE_PLAIN, e->model);
        screen_text(at, text, width - text,
                    strncmp(e->text, "failed", 6) == 0 ? TABLE_BAD : TABLE_PLAIN, e->text);
    }
}

/* --- requests -----------------------------------------------------------------------------------
 */

static const struct {
    const char *title;
    unsigned width;
} request_columns[] = {{"STATE", 7}, {"WAITED", 6}, {"TOOK", 6}, {"TOKENS", 6}, {"TOK/S", 6}};
#define N_REQUEST_COLUMNS (sizeof request_columns / sizeof *request_columns)

static void request_cell(json_t *r, size_t column, char *out, size_t size)
{
    static const char *const keys[] = {"state", "waited_ms", "elapsed_ms", "tokens",
                                       "tokens_per_second"};
    json_t *value = json_object_get(r, keys[column]);
    json_t *status = json_object_get(r, "status");
    *out = '\0';
    if (column == 0 && json_is_integer(status))
        snprintf(out, size, "%" JSON_INTEGER_FORMAT, json_integer_value(status));
    else if (column == 0)
        snprintf(out, size, "%s", cli_json_text(r, "state"));
    else if (json_number_value(value) > 0 && column <= 2)
        format_elapsed((uint64_t)json_number_value(value), out, size);
    else if (json_number_value(value) > 0)
        snprintf(out, size, column == 3 ? "%.0f" : "%.1f", json_number_value(value));
}

static unsigned request_style(json_t *r)
{
    json_int_t status = cli_json_integer(r, "status");
    if (status >= 400 || json_is_string(json_object_get(r, "error")))
        return TABLE_BAD;
    return strcmp(cli_json_text(r, "state"), "waiting") == 0   ? TABLE_BUSY
           : strcmp(cli_json_text(r, "state"), "running") == 0 ? TABLE_GOOD
                                                               : TABLE_FAINT;
}

/* Before the client, of the few requests that it is about. Returns where the client begins. */
static unsigned draw_restored(unsigned row, unsigned at, unsigned width, json_t *r)
{
    char *restored = format_prompts_restored(r);
    if (*restored && at + format_width(restored) < width)
        at += screen_text(row, at, width - at, TABLE_GOOD, restored) + TOP_GAP;
    free(restored);
    return at;
}

static void draw_request(unsigned row, unsigned width, unsigned name, json_t *r)
{
    char text[FORMAT_SIZE];
    unsigned at = TOP_LEFT;
    screen_text(row, at, CLOCK, TABLE_FAINT, clock_of(cli_json_number(r, "at"), text, sizeof text));
    at += CLOCK + TOP_GAP;
    screen_text(row, at, name, TABLE_PLAIN, cli_json_text(r, "model"));
    at += name + TOP_GAP;
    for (size_t c = 0; c < N_REQUEST_COLUMNS && at + request_columns[c].width < width; c++) {
        request_cell(r, c, text, sizeof text);
        if (c == 0)
            screen_text(row, at, request_columns[c].width, request_style(r), text);
        else
            top_draw_right(row, at, request_columns[c].width, TABLE_PLAIN, text);
        at += request_columns[c].width + TOP_GAP;
    }
    at = draw_restored(row, at, width, r);
    if (at + SHORTEST_CLIENT < width)
        screen_textf(row, at, width - at, TABLE_FAINT, "%s%s%s  %s", cli_json_text(r, "client"),
                     *cli_json_text(r, "user_agent") ? " " : "", cli_json_text(r, "user_agent"),
                     cli_json_text(r, "request"));
}

void top_draw_requests(const struct top *t, unsigned row, unsigned rows, unsigned width)
{
    unsigned name = name_width(t, width, 4), at = TOP_LEFT + CLOCK + TOP_GAP;
    size_t i;
    json_t *r;
    screen_text(row, TOP_LEFT, CLOCK, TABLE_FAINT, "REQUESTS");
    screen_text(row, at, name, TABLE_FAINT, "MODEL");
    at += name + TOP_GAP;
    for (size_t c = 0; c < N_REQUEST_COLUMNS && at + request_columns[c].width < width; c++) {
        if (c == 0)
            screen_text(row, at, request_columns[c].width, TABLE_FAINT, request_columns[c].title);
        else
            top_draw_right(row, at, request_columns[c].width, TABLE_FAINT,
                           request_columns[c].title);
        at += request_columns[c].width + TOP_GAP;
    }
    if (at + SHORTEST_CLIENT < width)
        screen_text(row, at, width - at, TABLE_FAINT, "CLIENT");
    if (!t->snapshot.requests && rows > 1)
        screen_text(row + 1, TOP_LEFT, width - TOP_LEFT, TABLE_FAINT,
                    "this server does not tell them");
    json_array_foreach (t->snapshot.requests, i, r)
        if (i + 1 < rows)
            draw_request(row + 1 + (unsigned)i, width, name, r);
}
