/* SPDX-License-Identifier: MIT */
/*
 * hostler hosts inference engines: it brings llama-server processes into service when a request
 * needs one, and takes them out again. This file dispatches to a command and holds the map; the
 * rest is a library, which tests link too.
 *
 * Each folder uses only those below it (docs/design.md has the reasons):
 *
 *   cli/      a file or a folder a command. All but `serve` are clients that talk HTTP to a running server
 *     cli.h       what commands share; errors and hints on stderr, exit statuses
 *     options.h   parsing, --help; commands.c has the tables, completion.c the shells' scripts,
 *                 man.h manual pages
 *     json.h      members of an answer, --json; hostler_command.h commands that need hostler itself
 *     peer/       the server at the other end: url.h its address, client.h HTTP by libcurl, sse.h events,
 *                 router.h what kind it is and which models it lists, peer.h the kinds
 *     terminal/   what a person sees: table.h progress.h format.h, format_model.h, format_time.h, format_hold.h,
 *                 format_prompts.h; screen.h the whole terminal, by ncurses
 *     top/        snapshot.h what is known of the server, feed.h the network, view.h the picture, keys.c
 *     run/        chat.h an answer, session.h a conversation, editor.h the line that is typed
 *     engine_page.h hub_preset.h    what `serve` fetches before the daemon starts, in processes of their own
 *     doctor/     a file a group of checks; procfs.h processes of this machine
 *     unload/     on hostler, on other routers, and the report
 *   api/      the routes of the daemon: llama.cpp's, and hostler's own
 *     api.h       the routes; a file a family. access.h who may ask, cors.h which web pages
 *     inference_prompt.h  the prompt of a request that an engine answers: hashed, restored, noted
 *     engine_end.h how an engine ended that broke off an answer
 *     events.h    /models/sse; streams.h which model has a conversation; body.h reply.h names.h
 *     live.h      /hostler/v1/live: live_picture.h what was sent, live_rows.h live_requests.h live_frame.h as JSON
 *     timeline.h  /hostler/v1/timeline
 *     page.h      hostler's page, whose files scripts/ui makes from ui/: page_assets.h; paced.h an answer as fast as its client
 *                 reads; presets.c doctor.h    what the page's editor and its view of the doctor ask for
 *     slices.h work on many models, a slice a turn; fresh.h answers that need current memory figures
 *     metrics.h   GET /metrics: meter.h counts, figures.h the families, exposition.h the format, engine_figures.h of engines;
 *                 operation.h what a request asks of a model, in OpenTelemetry's words
 *     tracing.h otlp_metrics.h    spans of requests and the same figures, for a collector: server/otlp.h sends them
 *     access_line.h access_recorder.h    the access log, which server/access_log.h writes
 *     request_log.h caller.h usage.h    the requests and who observes them, who asks, what an answer took; request_fields.h
 *                 their header fields, without secrets; capture.h their bodies, while that is on
 *   server/   the daemon; performs what sched/ decides
 *     config.h    options; presets.h sources.h refresh.h watch.h which models with which options
 *     compose.h   what a model's engine is started with
 *     preset_file.h preset_changes.h preset_values.h    another text of the presets: written, what it changes, whether
 *                 engines take its values
 *     warm.h      reads the files of a model that waits into the page cache; cache_probe.h how much of it is there
 *     sampler.h   reads the machine's figures in the thread pool and publishes them: snapshot.h
 *     otlp.h      sends to an OpenTelemetry collector, otlp_settings.h which one
 *     own_usage.h what this process takes, and how long the loop's turns are
 *     shortage.h  idle engines go when the host runs short; pressure.h when the kernel tells of it
 *     budget.h footprint.h    how much memory engines may have, and how much a model asks for
 *     fitter.h learned.h      precise estimates by kinds' programs, and what loads before took
 *     state.h history.h       what outlasts the daemon; what happened, and why; timeline.h figures of an hour and a day
 *     prompt_store.h          prompt caches on disk: prompt_index.h finds one, prompt_file.h prompt_folder.h the disk;
 *                             pool_lane.h jobs in the pool, one at a time
 *     prompts.h   saves what engines hold of conversations, and restores it; prompt_work.h one engine's part, step by step;
 *                 forget.h removes what is saved
 *     daemon.h    the whole; supervisor.h what systemd hands over and is told;
 *                 reload.h the files that SIGHUP reads again
 *     host.h      joins models, engines and the scheduler; unload.h downloads.h operations; model_set.h
 *     model.h     what a model is and how it is run; intent.h pending_load.h what operators want of it,
 *                 outcome.h how its last engine ended; instance.h a running engine; pulse.h whether it hangs
 *     placement.h what the scheduler must know of a model that waits
 *   sched/    decides who is loaded, who waits, who must go. Pure: no I/O, no clock
 *   engine/   a running engine: process, state, logs, memory; kind.h launch.h what a kind of engine is, llama/ one,
 *             kinds.c their list; card.h device_table.h device_view.h which cards there are, which
 *             devices they are, and which an engine sees; family.h the processes of one engine; children.h reaps what it adopted;
 *             subgroup.h a control group for each engine
 *   catalog/  which models exist: folders, the cache, GGUF headers, INI
 *   http/     server, TLS, client, relay, finding `model` in a body
 *   base/     buffers, strings, errors, durations, log; log_sink.h a thread that writes it
 *     inherited.h what a process must not take over from whoever started it
 *     memory.h memory_reserve.h json_text.h hash.h    what happens when malloc() fails
 *     whole_file.h    small files that are there as a whole or not at all
 */
#include <string.h>

#include "base/inherited.h"
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
    inherited_reset();
    cli_init(&cli);
    return cli_finish(&cli, dispatch(&cli, argc, argv));
}
