/* SPDX-License-Identifier: MIT */
/* hostler help [COMMAND] */
#include "cli/options.h"

#include <stdlib.h>

#include "base/memory.h"
#include "cli/man.h"

static int help_with(struct cli *cli, const char *name, bool man)
{
    static char help[] = "--help";
    const struct cli_command *c = cli_command_find(name);
    if (!c)
        return cli_command_unknown(cli, name);
    if (man) {
        man_print(c);
        return CLI_OK;
    }
    if (c->options) {
        cli_print_command_help(cli, c);
        return CLI_OK;
    }
    /* It knows its options itself. */
    char *own = mem_strdup(c->name);
    int status = c->run(cli, 2, (char *[]){own, help, NULL});
    free(own);
    return status;
}

int cli_help(struct cli *cli, int argc, char **argv)
{
    struct cli_args a;
    int status;
    if (cli_parse(&a, cli, "help", argc, argv, &status)) {
        bool man = cli_arg(&a, "--man");
        status = CLI_OK;
        if (a.n_operands)
            status = help_with(cli, a.operands[0], man);
        else if (man)
            man_print(NULL);
        else
            cli_print_help(cli, stdout);
    }
    cli_args_finish(&a);
    return status;
}
