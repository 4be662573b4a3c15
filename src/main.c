/* SPDX-License-Identifier: MIT */
/*
 * hostler hosts inference engines: it brings llama-server processes into service when a request
 * needs one, and takes them out again. This file dispatches to a command and holds the map; the
 * rest is a library, which tests link too.
 *
 * Each folder uses only those below it (docs/design.md has the reasons):
 *
 *   cli/      a file a command. All but `serve` are clients that talk HTTP to a running server
 *     cli.h       what commands share; errors and hints on stderr, exit statuses
 *     options.h   parsing, --help; commands.c has the tables, completion.c the shells' scripts
 *     router.h    what is at the other end: hostler, a stock llama.cpp router, or something else
 *     client.h    HTTP by libcurl, loaded when it is needed; url.h the server's address
 *     sse.h chat.h hold.h    the events of an answer, a conversation, holds
 *     table.h format.h progress.h    what a person sees
 *   api/      the routes of the daemon: llama.cpp's, and hostler's own
 *   server/   the daemon: configuration, models and engines, unloading; performs what sched/ decides
 *   sched/    decides who is loaded, who waits, who must go. Pure: no I/O, no clock
 *   engine/   a running llama-server: options, spawn, protocol, state, logs, memory
 *   catalog/  which models exist: folders, GGUF headers
 *   http/     server, client, relay, finding `model` in a body
 *   base/     buffers, strings, errors, durations, log
 */
#include <string.h>

#include "cli/cli.h"
#include "cli/options.h"

static int dispatch(struct cli *cli, int argc, char **argv)
{
    bool help, version;
    int at = cli_parse_globals(cli, argc, argv, &help, &version);
    if (at < 0)
        return CLI_USAGE;
    if (version) {
        printf("hostler %s\n", HOSTLER_VERSION);
        return CLI_OK;
    }
    if (help || at == argc) {
        cli_print_help(cli, help ? stdout : stderr);
        return help ? CLI_OK : CLI_USAGE;
    }
    const struct cli_command *c = cli_command_find(argv[at]);
    if (!c)
        return cli_command_unknown(cli, argv[at]);
    return c->run(cli, argc - at, argv + at);
}

int main(int argc, char **argv)
{
    struct cli cli;
    cli_init(&cli);
    return cli_finish(&cli, dispatch(&cli, argc, argv));
}
