/* SPDX-License-Identifier: MIT */
#include "cli/hostler_command.h"

#include <stdlib.h>

#include "base/memory.h"
#include "cli/peer/url.h"

int hostler_command(struct cli *cli, int argc, char **argv, const struct hostler_command *c,
                    void *ctx)
{
    struct cli_args a;
    struct router r = {0};
    int status;
    if (cli_parse(&a, cli, c->name, argc, argv, &status)) {
        status = router_connect_hostler(&r, cli, c->others);
        if (!status)
            status = c->run(&r, &a, ctx);
    }
    router_close(&r);
    cli_args_finish(&a);
    return status;
}

char *hostler_path(const char *route, const char *model)
{
    char *escaped = model ? url_escape(model) : NULL;
    char *path =
        mem_printf("/hostler/v1/%s%s%s", route, model ? "?model=" : "", model ? escaped : "");
    free(escaped);
    return path;
}
