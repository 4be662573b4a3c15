/* SPDX-License-Identifier: MIT */
/*
 * top's screen. From the top: title, totals, memory by device, models; below them recent events or requests; at the
 * bottom details of the selected model, and the keys. Parts that do not fit are left out, the models last.
 */
#include "cli/top/view.h"

#include <stdlib.h>
#include <string.h>

#include "base/duration.h"
#include "base/memory.h"
#include "cli/json.h"
#include "cli/terminal/format.h"
#include "cli/terminal/format_hold.h"
#include "cli/terminal/format_model.h"
#include "cli/terminal/format_prompts.h"

#define SMALLEST_ROWS 4
#define SMALLEST_COLUMNS 24
#define SHORTEST_LIST 6 /* rows, its titles included */
#define BOTH_LISTS 16   /* rows from which on both lists are shown */
#define TEXT_MAX 160

void top_draw_right(unsigned row, unsigned column, unsigned width, unsigned style, const char *text)
{
    unsigned used = (unsigned)format_width(text);
    screen_text(row, used < width ? column + width - used : column, width, style, text);
}

/* --- the head -----------------------------------------------------------------------------------
 */

static void draw_title(const struct top *t, unsigned width)
{
    char up[FORMAT_SIZE] = "", time[FORMAT_SIZE];
    json_t *uptime = json_object_get(t->snapshot.status, "uptime_ms");
    if (json_is_number(uptime) && !t->feed.outage)
        snprintf(up, sizeof up, "up %s",
                 duration_format((uint64_t)json_number_value(uptime), time, sizeof time));
    unsigned at = TOP_LEFT, end = width - (unsigned)strlen(up) - 1;
    at += screen_text(0, at, width - at, SCREEN_ACCENT, "hostler top") + TOP_GAP;
    if (at + TOP_GAP < end)
        screen_text(0, at, end - TOP_GAP - at, TABLE_PLAIN, t->router.url.shown);
    if (at < end)
        screen_text(0, end, width - end, TABLE_FAINT, up);
}

/* Says that the snapshot is out of date, and why. Returns whether it was drawn. */
static bool draw_outage(const struct top *t, unsigned width, uint64_t now)
{
    char took[FORMAT_SIZE];
    uint64_t silent = top_feed_silent_ms(&t->feed, now);
    if (t->feed.outage)
        screen_textf(1, TOP_LEFT, width - TOP_LEFT, TABLE_BAD, "unreachable for %s: %s",
                     duration_format((now - t->feed.outage_since) / 1000 * 1000, took, sizeof took),
                     t->feed.outage);
    else if (silent)
        screen_textf(1, TOP_LEFT, width - TOP_LEFT, TABLE_BUSY, "no answer for %s",
                     duration_format(silent / 1000 * 1000, took, sizeof took));
    return t->feed.outage || silent;
}

static void add(char *line, size_t size, const char *text)
{
    size_t len = strlen(line);
    snprintf(line + len, size - len, "%s%s", len ? "   " : "", text);
}

/* Only where it does not push others off the line. */
static void add_if_it_fits(char *line, size_t size, const char *text, unsigned width)
{
    if (*text && format_width(line) + 3 + format_width(text) <= width - TOP_LEFT)
        add(line, size, text);
}

static void add_prompts(const struct top *t, char *line, size_t size, unsigned width)
{
    json_t *cache = json_object_get(t->snapshot.status, "prompt_cache");
    char *text = format_prompts_short(cache);
    add_if_it_fits(line, size, text, width);
    free(text);
}

static void draw_sums(const struct top *t, unsigned width)
{
    struct top_sums s = top_snapshot_sums(&t->snapshot);
    char line[TEXT_MAX * 2] = "", part[TEXT_MAX], time[FORMAT_SIZE];
    json_int_t max = cli_json_integer(t->snapshot.status, "models_max");
    if (max > 0)
        snprintf(part, sizeof part, "%zu of %" JSON_INTEGER_FORMAT " loaded", s.loaded, max);
    else
        snprintf(part, sizeof part, "%zu loaded", s.loaded);
    add(line, sizeof line, part);
    if (t->snapshot.status) {
        snprintf(part, sizeof part, "%" JSON_INTEGER_FORMAT " running", s.running);
        add(line, sizeof line, part);
        snprintf(part, sizeof part, "%" JSON_INTEGER_FORMAT " waiting%s%s", s.waiting,
                 s.waiting ? " up to " : "",
                 s.waiting ? format_elapsed((uint64_t)s.oldest_ms, time, sizeof time) : "");
        add(line, sizeof line, part);
    }
    if (s.held) {
        snprintf(part, sizeof part, "%zu held", s.held);
        add(line, sizeof line, part);
    }
    if (*cli_json_text(t->snapshot.status, "problem"))
        add(line, sizeof line, "presets or models: a problem, see `hostler ps`");
    if (s.tokens >= 0) {
        snprintf(part, sizeof part, "%.1f tok/s (10 s)", s.tokens);
        add_if_it_fits(line, sizeof line, part, width);
    }
    add_prompts(t, line, sizeof line, width);
    screen_text(1, TOP_LEFT, width - TOP_LEFT, TABLE_PLAIN, line);
}

/* --- the foot -----------------------------------------------------------------------------------
 */

static char *why_failed(const struct top_row *r)
{
    const char *message = json_string_value(router_status_get(r->model, "message"));
    json_t *code = router_status_get(r->model, "exit_code");
    char *text, *line;
    if (message)
        text = format_failure(r->id, message);
    else if (json_is_integer(code))
        text = mem_printf("its engine ended with exit code %" JSON_INTEGER_FORMAT,
                          json_integer_value(code));
    else
        text = mem_strdup("see the server's log for the reason");
    text[strcspn(text, "\n")] = '\0'; /* without the log lines, which the key `f` shows */
    line = mem_printf("failed: %s", text);
    free(text);
    return line;
}

static char *engine_line(const struct top_row *r)
{
    char loaded[FORMAT_SIZE], took[FORMAT_SIZE];
    double ms = cli_json_number(r->engine, "load_ms");
    const char *by = cli_json_text(r->engine, "loaded_by");
    format_model_loaded(r->engine, loaded, sizeof loaded);
    return mem_printf("%spid %" JSON_INTEGER_FORMAT "%s%s%s%s%s%s", r->pinned ? "pinned, " : "",
                      cli_json_integer(r->engine, "pid"),
                      !*loaded  ? ""
                      : r->load ? ", begun "
                                : ", loaded ",
                      loaded, ms > 0 && !r->load ? " in " : "",
                      ms > 0 && !r->load ? format_elapsed((uint64_t)ms, took, sizeof took) : "",
                      *by ? " by " : "", by);
}

static char *file_line(const struct top_row *r)
{
    char size[FORMAT_SIZE] = "";
    json_int_t context = router_context(r->model);
    const char *source = cli_json_text(r->model->entry, "source");
    if (router_size(r->model))
        format_bytes((uint64_t)router_size(r->model), size, sizeof size);
    char *tokens = context ? mem_printf("  context %" JSON_INTEGER_FORMAT, context) : NULL;
    char *line =
        mem_printf("%s%s%s%s", size, tokens ? tokens : "", *source ? "  from " : "", source);
    free(tokens);
    return line;
}

/* One line about the selected model: failure, else hold, else engine, else file. The caller frees it. */
static char *detail(const struct top_row *r)
{
    if (r->model && r->model->failed && !r->active)
        return why_failed(r);
    if (r->hold) {
        char *hold = format_hold_line(r->hold), *line = mem_printf("held: %s", hold);
        free(hold);
        return line;
    }
    if (r->engine)
        return engine_line(r);
    return file_line(r);
}

static void draw_detail(const struct top *t, unsigned row, unsigned width, uint64_t now)
{
    const struct top_row *r = top_selected(t);
    if (t->message && now < t->message_until) {
        screen_text(row, TOP_LEFT, width - TOP_LEFT, t->message_is_error ? TABLE_BAD : TABLE_PLAIN,
                    t->message);
    } else if (r) {
        char *text = detail(r);
        screen_text(row, TOP_LEFT, width - TOP_LEFT, TABLE_FAINT, text);
        free(text);
    }
}

struct key_hint {
    const char *key, *what;
};

/* Draws as many as fit; `?` lists all of them. */
static void draw_keys(unsigned row, unsigned at, unsigned width, const struct key_hint *hints)
{
    for (; hints->key; hints++) {
        unsigned key = (unsigned)format_width(hints->key);
        unsigned what = (unsigned)strlen(hints->what);
        if (at + key + 1 + what > width)
            return;
        screen_text(row, at, key, SCREEN_ACCENT, hints->key);
        screen_text(row, at + key + 1, what, TABLE_FAINT, hints->what);
        at += key + 1 + what + TOP_GAP;
    }
}

static void draw_confirmation(const struct top *t, unsigned row, unsigned width)
{
    static const struct key_hint here[] = {{"y", "yes"}, {"h", "yes, and hold"}, {"n", "no"}, {0}};
    static const struct key_hint stock[] = {{"y", "yes"}, {"n", "no"}, {0}};
    bool is_stock = t->router.kind == ROUTER_STOCK;
    char *question = t->confirm_model
                         ? mem_printf("Unload %s?", t->confirm_model)
                         : mem_printf("Unload all %zu?", top_snapshot_sums(&t->snapshot).loaded);
    screen_textf(row - 1, TOP_LEFT, width - TOP_LEFT, SCREEN_STRONG, "%s %s", question,
                 !is_stock          ? "Requests in flight finish first."
                 : t->confirm_model ? "This server cuts off its requests."
                                    : "This server cuts off their requests.");
    draw_keys(row, TOP_LEFT, width, is_stock ? stock : here);
    free(question);
}

static void draw_filter(const struct top *t, unsigned row, unsigned width)
{
    static const struct key_hint hints[] = {{"Enter", "keep"}, {"Esc", "clear"}, {0}};
    unsigned used = screen_textf(row - 1, TOP_LEFT, width - TOP_LEFT - 1, SCREEN_STRONG, "/%s",
                                 t->snapshot.filter ? t->snapshot.filter : "");
    screen_reverse(true); /* the cursor */
    screen_blank(row - 1, TOP_LEFT + used, 1);
    screen_reverse(false);
    draw_keys(row, TOP_LEFT, width, hints);
}

/* The last two rows, of which `row` is the last. */
static void draw_footer(const struct top *t, unsigned row, unsigned width, uint64_t now)
{
    static const struct key_hint hints[] = {
        {"?", "help"}, {"q", "quit"}, {"l", "load"},   {"u", "unload"}, {"U", "all"}, {"h", "hold"},
        {"p", "pin"},  {"f", "log"},  {"/", "filter"}, {"s", "sort"},   {0}};
    if (t->mode == TOP_CONFIRMING) {
        draw_confirmation(t, row, width);
    } else if (t->mode == TOP_FILTERING) {
        draw_filter(t, row, width);
    } else {
        draw_detail(t, row - 1, width, now);
        draw_keys(row, TOP_LEFT, width, hints);
    }
}

/* --- help and log -----------------------------------------------------------------------------
 */

#define NOTES 15 /* their first row */

/* Fits into 60 columns and 20 rows. */
static void draw_help(unsigned rows, unsigned width)
{
    static const struct key_hint keys[] = {
        {"up, down, k, j", "select a model; PgUp, PgDn, Home, End, g, G"},
        {"l", "load it; ends a hold"},
        {"u", "unload it, after its requests"},
        {"U", "unload all; asks first"},
        {"h", "hold it against requests, or release it"},
        {"p", "pin it against eviction, or unpin it"},
        {"f, Enter", "follow its log"},
        {"/", "filter by a part of the name; Esc ends that"},
        {"s, r", "sort by the next column; turn the order"},
        {"Tab", "requests or recent events, if one has room"},
        {"q, Ctrl-C", "quit"},
        {0},
    };
    static const char *const notes[] = {
        "Bars: engines from the left, other programs from the right,",
        "| what engines may have. REQS 2+1: 2 running, 1 waiting.",
        "TOK/S: of running answers since each began, and of what",
        "ended in the last 10 s.",
        NULL,
    };
    screen_text(0, TOP_LEFT, width - TOP_LEFT, SCREEN_ACCENT, "hostler top: keys");
    for (unsigned i = 0; keys[i].key && i + 2 < rows; i++) {
        screen_text(i + 2, TOP_LEFT, width - TOP_LEFT, SCREEN_STRONG, keys[i].key);
        if (width > 20)
            screen_text(i + 2, TOP_LEFT + 16, width - TOP_LEFT - 16, TABLE_PLAIN, keys[i].what);
    }
    for (unsigned i = 0; notes[i] && NOTES + i + 1 < rows; i++)
        screen_text(NOTES + i, TOP_LEFT, width - TOP_LEFT, TABLE_FAINT, notes[i]);
}

static void draw_log(struct top *t, unsigned rows, unsigned width)
{
    static const struct key_hint hints[] = {
        {"q", "back"}, {"up, down", "scroll"}, {"G", "end"}, {0}};
    struct top_log *l = &t->feed.log;
    size_t page = rows - 2, most = l->lines.n > page ? l->lines.n - page : 0;
    if (t->log_back) /* scrolled back: the shown lines stay while new ones arrive */
        t->log_back += l->written - t->log_seen;
    t->log_seen = l->written;
    t->log_back = t->log_back > most ? most : t->log_back;
    size_t first = most - t->log_back;
    screen_textf(0, TOP_LEFT, width - TOP_LEFT, SCREEN_ACCENT, "log of %s", l->model);
    for (size_t i = 0; i < page && first + i < l->lines.n; i++)
        screen_text(1 + (unsigned)i, TOP_LEFT, width - TOP_LEFT, TABLE_PLAIN,
                    l->lines.v[first + i]);
    if (l->end && l->lines.n < page)
        screen_text(1 + (unsigned)l->lines.n, TOP_LEFT, width - TOP_LEFT, TABLE_BUSY, l->end);
    draw_keys(rows - 1, TOP_LEFT, width, hints);
}

/* --- the whole ----------------------------------------------------------------------------------
 */

/* At the end of a list's titles: the key that switches to the other list. */
static void draw_other(const struct top *t, unsigned row, unsigned width)
{
    const struct key_hint other[] = {{"Tab", t->wants_requests ? "recent" : "requests"}, {0}};
    unsigned used = (unsigned)(strlen("Tab ") + strlen(other[0].what));
    if (used + SMALLEST_COLUMNS > width)
        return;
    screen_blank(row, width - used - 1, 1);
    draw_keys(row, width - used, width, other);
}

/* Both lists where they fit, else the selected one. */
static void draw_lists(const struct top *t, unsigned row, unsigned rows, unsigned width)
{
    unsigned half = (rows - 1) / 2;
    if (rows < 2)
        return;
    if (rows >= BOTH_LISTS && t->snapshot.requests) {
        top_draw_requests(t, row, half, width);
        top_draw_recent(t, row + half + 1, rows - half - 1, width);
        return;
    }
    if (t->wants_requests)
        top_draw_requests(t, row, rows, width);
    else
        top_draw_recent(t, row, rows, width);
    draw_other(t, row, width);
}

static void draw_table(struct top *t, unsigned rows, unsigned width, uint64_t now)
{
    bool foot = rows >= 8;
    unsigned row = rows >= 6 ? 2 : 0, end = foot ? rows - 2 : rows;
    if (row)
        draw_title(t, width);
    if (row && !draw_outage(t, width, now))
        draw_sums(t, width);
    if (rows >= 12)
        row++; /* an empty one */
    if (rows >= 16)
        row += top_draw_memory(t, row, (rows - row) / 3, width);
    unsigned room = end - row, lists = room >= 14 ? 1 + SHORTEST_LIST : 0;
    row += top_draw_models(t, row, room - lists, width, now) + 1;
    draw_lists(t, row, row + foot < end ? end - row - foot : 0, width);
    if (foot)
        draw_footer(t, rows - 1, width, now);
}

void top_draw(struct top *t, uint64_t now)
{
    unsigned rows, width;
    screen_size(&rows, &width);
    screen_begin();
    if (rows < SMALLEST_ROWS || width < SMALLEST_COLUMNS)
        screen_text(0, 0, width, TABLE_PLAIN, "too small");
    else if (t->mode == TOP_HELP)
        draw_help(rows, width);
    else if (t->mode == TOP_LOG)
        draw_log(t, rows, width);
    else
        draw_table(t, rows, width, now);
    screen_end();
}
