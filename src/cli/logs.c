/* SPDX-License-Identifier: MIT */
/* hostler logs: the last lines of the server and its engines, and those that come. */
#include <stdlib.h>

#include "base/memory.h"
#include "cli/facts.h"
#include "cli/format.h"
#include "cli/options.h"

/* As it came in a pipe; on a terminal, without what could steer it. */
static int print(const char *data, size_t len, void *ctx)
{
    const struct cli *cli = ctx;
    char *text = mem_strndup(data, len);
    fputs(cli->out_is_tty ? format_clean(text, FORMAT_KEEP_NEWLINES) : text, stdout);
    free(text);
    return fflush(stdout) != 0;
}

static int show(struct router *r, const struct cli_args *a)
{
    unsigned lines = 100;
    if (!cli_arg_count(a, r->cli, "-n", 0, 100000, &lines))
        return CLI_USAGE;
    bool follow = cli_arg(a, "-f");
    char *base = facts_path("logs", a->n_operands ? a->operands[0] : NULL);
    char *path = mem_printf("%s%slines=%u%s", base, a->n_operands ? "&" : "?", lines,
                            follow ? "&follow=1" : "");
    int status = facts_stream(r, path, print, (void *)r->cli, follow);
    free(path);
    free(base);
    return status;
}

int cli_logs(struct cli *cli, int argc, char **argv)
{
    struct cli_args a;
    struct router r = {0};
    int status;
    if (cli_parse(&a, cli, "logs", argc, argv, &status)) {
        status = facts_open(&r, cli, "does not show its log");
        if (!status)
            status = show(&r, &a);
    }
    router_close(&r);
    cli_args_finish(&a);
    return status;
}
