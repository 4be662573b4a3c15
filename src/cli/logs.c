/* SPDX-License-Identifier: MIT */
/* hostler logs: the last lines of the server and its engines, and those that come. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/memory.h"
#include "cli/hostler_command.h"
#include "cli/json.h"
#include "cli/options.h"
#include "cli/peer/router.h"
#include "cli/terminal/format.h"
#include "cli/terminal/format_time.h"

#define LONGEST 65536 /* bytes of a line; what is longer is printed in pieces */

struct printer {
    const struct cli *cli;
    struct buf line; /* its beginning: the network cuts anywhere, also in a letter */
};

/* On a terminal, without what could steer it. As JSON it keeps its time in UTC. */
static void print_line(struct printer *p, const char *end)
{
    char *text = mem_strndup(p->line.data, p->line.len);
    if (p->cli->json) {
        cli_print_json_line(json_pack("{s:o}", "line", cli_json_string(text)));
    } else {
        char *line = format_log_line(text);
        fputs(p->cli->out_is_tty ? format_sanitize(line, FORMAT_KEEP_NEWLINES) : line, stdout);
        fputs(end, stdout);
        free(line);
    }
    free(text);
    buf_clear(&p->line);
}

static int print(const char *data, size_t len, void *ctx)
{
    struct printer *p = ctx;
    for (const char *end = data + len; data < end;) {
        const char *newline = memchr(data, '\n', (size_t)(end - data));
        size_t n = (size_t)((newline ? newline : end) - data);
        size_t room = LONGEST - p->line.len;
        size_t taken = n < room ? n : room;
        if (buf_append(&p->line, data, taken))
            mem_out();
        data += taken;
        if (taken < n)
            print_line(p, "");
        else if (newline) {
            print_line(p, "\n");
            data++;
        }
    }
    return fflush(stdout) != 0;
}

static int show(struct router *r, const struct cli_args *a, void *ctx)
{
    (void)ctx;
    unsigned lines = 100;
    if (!cli_arg_count(a, r->cli, "-n", 0, 100000, &lines))
        return CLI_USAGE;
    bool follow = cli_arg(a, "-f");
    const char *model = a->n_operands ? a->operands[0] : NULL;
    char *base = hostler_path("logs", model);
    char *path =
        mem_printf("%s%slines=%u%s", base, model ? "&" : "?", lines, follow ? "&follow=1" : "");
    struct printer p = {.cli = r->cli};
    buf_init(&p.line, LONGEST);
    int status = router_stream(r, path, model, print, &p, follow);
    if (p.line.len)
        print_line(&p, "");
    buf_finish(&p.line);
    free(path);
    free(base);
    return status;
}

int cli_logs(struct cli *cli, int argc, char **argv)
{
    static const struct hostler_command command = {"logs", "does not show its log", show};
    return hostler_command(cli, argc, argv, &command, NULL);
}
