/* SPDX-License-Identifier: MIT */
#include "cli/terminal/format_hold.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "cli/json.h"
#include "cli/terminal/format.h"
#include "cli/terminal/format_time.h"

char *format_hold(json_t *hold)
{
    const char *reason = cli_json_text_or(hold, "reason", NULL);
    const char *by = cli_json_text_or(hold, "by", NULL);
    json_t *until = json_object_get(hold, "until");
    char when[40] = "until released";
    struct tm tm;
    if (json_is_number(until) && format_local_time(json_number_value(until), &tm))
        strftime(when, sizeof when, "until %F %T", &tm);
    char *text = mem_printf("%s%s%s%s%s", when, by ? ", by " : "", by ? by : "", reason ? ": " : "",
                            reason ? reason : "");
    return format_sanitize(text, FORMAT_ONE_LINE);
}

char *format_hold_line(json_t *hold)
{
    const char *model = cli_json_text_or(hold, "model", NULL);
    char *text = format_hold(hold);
    char *line = mem_printf("%s %s", model ? model : "?", text);
    free(text);
    return format_sanitize(line, FORMAT_ONE_LINE);
}

void format_hold_print(const struct cli *cli, json_t *hold)
{
    char *line = format_hold_line(hold);
    cli_print_titled(stdout, cli->width, "held:", strlen("held: "), line);
    free(line);
}
