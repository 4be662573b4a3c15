/* SPDX-License-Identifier: MIT */
/*
 * hostler top: the server live on the whole terminal. One thread and one place to wait: for keys,
 * signals and the network, so that none of them keeps the others waiting.
 */
#include "cli/top/top.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/memory.h"
#include "cli/options.h"
#include "cli/terminal/screen.h"

#define SHORTEST_INTERVAL_MS 100
#define FINISH_ACTIONS_MS 1000 /* how long quitting waits for them */

/* --- signals ------------------------------------------------------------------------------------
 * Signals are read like keys: a handler that ended the process while it draws would not restore the terminal.
 */

static int open_signals(sigset_t *before)
{
    static const int wanted[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH};
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        sigaddset(&set, wanted[i]);
    sigprocmask(SIG_BLOCK, &set, before);
    return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

/* Returns the signal that terminates the program; 0 for none. */
static int read_signals(int fd)
{
    struct signalfd_siginfo info;
    int end = 0;
    while (read(fd, &info, sizeof info) == sizeof info)
        if (info.ssi_signo == SIGWINCH)
            screen_resize();
        else
            end = (int)info.ssi_signo;
    return end;
}

/* Dies by that signal's default action, so that the parent process sees it. 0: returns. */
static void die_of(int number, const sigset_t *before)
{
    sigprocmask(SIG_SETMASK, before, NULL);
    if (!number)
        return;
    signal(number, SIG_DFL);
    raise(number);
}

/* --- the loop -----------------------------------------------------------------------------------
 */

static void take_results(struct top *t)
{
    if (t->feed.result)
        top_show_message(t, t->feed.result_is_error, t->feed.result);
    t->feed.result = NULL;
    if (!t->selected && t->snapshot.n_rows)
        t->selected = mem_strdup(t->snapshot.rows[0].id);
}

/* Returns the signal that ended it; 0 for none. */
static int run_loop(struct top *t, int signals)
{
    int fds[] = {STDIN_FILENO, signals}, ended = 0, key;
    while (!t->quit && !ended) {
        unsigned wait = top_feed_run(&t->feed, cli_now_ms());
        take_results(t);
        top_draw(t, cli_now_ms());
        client_wait(t->router.client, fds, 2, wait);
        ended = read_signals(signals);
        while (!t->quit && (key = screen_key()) != SCREEN_NO_KEY)
            top_key(t, key);
        t->quit |= screen_is_gone();
    }
    return ended;
}

/* Actions of keys pressed just before `q` must still reach the server. */
static void finish_actions(struct top *t)
{
    uint64_t end = cli_now_ms() + FINISH_ACTIONS_MS;
    while (!LIST_EMPTY(&t->feed.actions) && cli_now_ms() < end)
        client_wait(t->router.client, NULL, 0, 50);
}

static int run(struct top *t)
{
    struct error err;
    sigset_t before;
    int signals = open_signals(&before), ended = 0, status = CLI_OK;
    if (signals < 0 || screen_open(t->router.cli->out_colour, &err)) {
        cli_error(t->router.cli, "top: %s", signals < 0 ? strerror(errno) : err.text);
        cli_hint(t->router.cli, "`hostler ps` tells the same once, and in lines");
        status = CLI_USAGE;
    } else {
        ended = run_loop(t, signals);
        screen_close();
        finish_actions(t);
    }
    if (signals >= 0)
        close(signals);
    die_of(ended, &before);
    return status;
}

/* --- the command --------------------------------------------------------------------------------
 */

/* Errors at the start are printed as by every other command: the screen is not open yet. */
static int open_server(struct top *t, const struct cli *cli)
{
    struct router_models models;
    int status = router_connect_llama_cpp(&t->router, cli, &models);
    router_models_finish(&models);
    return status;
}

static int top(struct cli *cli, unsigned interval_ms)
{
    struct top t = {0};
    top_snapshot_init(&t.snapshot);
    int status = open_server(&t, cli);
    if (!status) {
        top_feed_init(&t.feed, &t.router, &t.snapshot, interval_ms);
        status = run(&t);
        top_feed_finish(&t.feed);
    }
    top_snapshot_finish(&t.snapshot);
    router_close(&t.router);
    free(t.selected);
    free(t.confirm_model);
    free(t.message);
    return status;
}

int cli_top(struct cli *cli, int argc, char **argv)
{
    struct cli_args a;
    unsigned long long interval = 1000;
    int status;
    if (cli_parse(&a, cli, "top", argc, argv, &status)) {
        status = CLI_USAGE;
        if (cli_arg_time(&a, cli, "--interval", &interval))
            status = top(cli, interval < SHORTEST_INTERVAL_MS ? SHORTEST_INTERVAL_MS
                              : interval > INT32_MAX          ? INT32_MAX
                                                              : (unsigned)interval);
    }
    cli_args_finish(&a);
    return status;
}
