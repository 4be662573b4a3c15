/* SPDX-License-Identifier: MIT */
/*
 * What all commands share: the server's address, the key, what the terminal can do, and how errors are printed.
 *
 * stdout carries a command's answer and nothing else; errors, hints and live updates go to stderr.
 */
#ifndef HOSTLER_CLI_CLI_H
#define HOSTLER_CLI_CLI_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* Scripts rely on these; `hostler --help` lists them. */
enum cli_exit {
    CLI_OK = 0,
    CLI_SOME_FAILED = 1, /* some of it failed; the rest was done */
    CLI_USAGE = 2,       /* wrong usage; nothing was done */
    CLI_NO_SERVER = 3,   /* it does not answer, is not a router, or one that cannot do this */
    CLI_REFUSED = 4,     /* it wants a key, or another one */
};

/* Errors and hints, kept in place of being printed: `doctor` turns them into findings. */
struct cli_capture {
    char *error, *hint; /* owned; only the first of each is kept; NULL: none came */
};

/* `cli->url` is this pointer where neither an option nor the environment gives an address. Where nothing listens
 * there, the commands try the port that llama-server has by default (b11669: 9931). */
extern const char cli_default_url[], cli_stock_url[];

struct cli {
    const char *url;             /* as given: --url, else the environment, else the default */
    const char *key;             /* NULL: none */
    char *first_key;             /* owned; of LLAMA_API_KEY */
    bool url_given;              /* address or key come from an option or the environment */
    bool json;                   /* the command was given --json */
    bool quiet;                  /* prints no errors: shell completion runs while a person types */
    struct cli_capture *capture; /* receives errors and hints in place of stderr; NULL: stderr */
    bool out_is_tty, err_is_tty;
    bool out_colour, err_colour; /* a terminal, and no NO_COLOR */
    unsigned width;              /* columns of the terminal on stdout; 0 when it is none */
    unsigned err_width;          /* the same of stderr */
};

/* Fills in the environment and the terminal. Command line options come later and win. */
void cli_init(struct cli *cli);

/* `hostler: …` on stderr. Control characters, which a server may send, are replaced. */
void cli_error(const struct cli *cli, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Below an error: what to do next; broken at blanks where the terminal ends. Control characters are
 * replaced, newlines too. */
void cli_hint(const struct cli *cli, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* A line of the answer on stdout. Control characters, which a server may send, are replaced. */
void cli_print(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Prints `title`, then `text` from column `column` on, wrapped at blanks to `width` columns (0: not wrapped). */
void cli_print_titled(FILE *out, unsigned width, const char *title, size_t column,
                      const char *text);
/* The same where the first line is already printed up to column `at`. */
void cli_print_wrapped(FILE *out, unsigned width, size_t at, size_t column, const char *text);
/* Flushes `file`: 0, or the errno of a write that failed, now or before. */
int cli_write_error(FILE *file);
/* Flushes stdout, at the very end. `status`, or CLI_SOME_FAILED when what was printed did not arrive. */
int cli_finish(struct cli *cli, int status);

/* Milliseconds of the monotonic clock. */
uint64_t cli_now_ms(void);
/* Sleeps; a signal ends it early. */
void cli_sleep_ms(unsigned ms);

/* The commands. argv[0] is the command's name. They return an enum cli_exit. */
int cli_serve(struct cli *cli, int argc, char **argv);
int cli_list(struct cli *cli, int argc, char **argv);
int cli_ps(struct cli *cli, int argc, char **argv);
int cli_load(struct cli *cli, int argc, char **argv);
int cli_unload(struct cli *cli, int argc, char **argv);
int cli_hold(struct cli *cli, int argc, char **argv);
int cli_release(struct cli *cli, int argc, char **argv);
int cli_run(struct cli *cli, int argc, char **argv);
int cli_show(struct cli *cli, int argc, char **argv);
int cli_estimate(struct cli *cli, int argc, char **argv);
int cli_requests(struct cli *cli, int argc, char **argv);
int cli_log_level(struct cli *cli, int argc, char **argv);
int cli_events(struct cli *cli, int argc, char **argv);
int cli_logs(struct cli *cli, int argc, char **argv);
int cli_cache(struct cli *cli, int argc, char **argv);
int cli_pin(struct cli *cli, int argc, char **argv);
int cli_unpin(struct cli *cli, int argc, char **argv);
int cli_top(struct cli *cli, int argc, char **argv);
int cli_completion(struct cli *cli, int argc, char **argv);
int cli_help(struct cli *cli, int argc, char **argv);
int cli_version(struct cli *cli, int argc, char **argv);
int cli_doctor(struct cli *cli, int argc, char **argv);

#endif
