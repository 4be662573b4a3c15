/* SPDX-License-Identifier: MIT */
#include "cli/terminal/progress.h"

#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/memory.h"
#include "cli/json.h"
#include "cli/terminal/format.h"

/* With less than this, a rate is too inaccurate to show. */
#define SETTLED_MS 700
#define SETTLED_FRACTION 0.02

void progress_init(struct progress *p, const struct cli *cli)
{
    *p = (struct progress){.live = cli->err_colour && !cli->quiet};
}

void progress_clear(struct progress *p)
{
    if (p->drawn)
        fprintf(stderr, "\033[%zuA\033[J", p->drawn);
    fflush(stderr);
    p->drawn = 0;
}

void progress_draw(struct progress *p, char *const *lines, size_t n)
{
    struct winsize size;
    if (!p->live)
        return;
    bool known = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row && size.ws_col;
    size_t rows = known ? size.ws_row : 24, columns = known ? size.ws_col : 80;
    progress_clear(p);
    /* A line that reaches the edge, or the last row, would scroll and spoil the count. */
    for (size_t i = 0; i < n && i + 1 < rows; i++, p->drawn++)
        fprintf(stderr, "%s%.*s%s\n", p->dim ? "\033[2m" : "",
                (int)format_fit(lines[i], columns - 1), lines[i], p->dim ? "\033[0m" : "");
    fflush(stderr);
}

/* --- pure ---------------------------------------------------------------------------------------
 */

double progress_fraction(json_t *progress)
{
    json_t *stages = json_object_get(progress, "stages");
    const char *current = cli_json_text_or(progress, "current", NULL);
    json_t *value = json_object_get(progress, "value");
    double v = json_number_value(value);
    size_t n = json_array_size(stages), i;
    json_t *stage;
    if (!json_is_number(value))
        return -1;
    v = v < 0 ? 0 : v > 1 ? 1 : v;
    if (current)
        json_array_foreach (stages, i, stage)
            if (json_is_string(stage) && strcmp(json_string_value(stage), current) == 0)
                return ((double)i + v) / (double)n;
    return v;
}

char *progress_bar(double fraction, unsigned columns)
{
    static const char full[] = "########################################";
    static const char empty[] = "----------------------------------------";
    int width = columns < sizeof full ? (int)columns : (int)sizeof full - 1;
    int done = (int)(fraction * width + 0.5);
    done = done < 0 ? 0 : done > width ? width : done;
    /* Rounded down: 100 % only when all is read. */
    int percent = (int)(fraction * 100);
    return mem_printf("[%.*s%.*s] %3d%%", done, full, width - done, empty, percent);
}

void progress_rate_add(struct progress_rate *r, double fraction, uint64_t now)
{
    if (!r->begun || fraction < r->last) /* the first, or it began anew */
        *r = (struct progress_rate){.begun = true, .first = fraction, .since = now};
    r->last = fraction;
    r->at = now;
}

bool progress_rate_left(const struct progress_rate *r, uint64_t now, uint64_t *left)
{
    double done = r->last - r->first;
    if (!r->begun || r->at - r->since < SETTLED_MS || done < SETTLED_FRACTION)
        return false;
    double total = (double)(r->at - r->since) / done * (1 - r->last);
    double passed = (double)(now - r->at);
    *left = passed < total ? (uint64_t)(total - passed) : 0;
    return true;
}
