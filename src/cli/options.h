/* SPDX-License-Identifier: MIT */
/*
 * Options of the commands: one table per command serves parsing, --help, manual pages and shell completion. Options
 * and operands may be mixed; after `--` everything is an operand, also a name that begins with a dash.
 */
#ifndef HOSTLER_CLI_OPTIONS_H
#define HOSTLER_CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/strv.h"
#include "cli/cli.h"

enum cli_value {
    CLI_SWITCH,   /* --all */
    CLI_VALUE,    /* --drain TIME, --drain=TIME */
    CLI_OPTIONAL, /* --hold, --hold=TIME */
    CLI_REPEATED, /* --except MODEL, any number of times */
};

struct cli_option {
    const char *name; /* with its dashes */
    enum cli_value value;
    const char *arg;      /* placeholder; `MODEL` and `PATH` are completed with names */
    const char *fallback; /* the default, for --help; NULL: off, none */
    const char *env;      /* environment variables, for --help; NULL: none */
    const char *help;
    bool hidden; /* neither in --help nor in completion */
};

enum cli_flags {
    CLI_LOCAL = 1,           /* talks to no server: --url and --api-key are not offered */
    CLI_ENGINES_OPTIONS = 2, /* what is none of its options is one of the engine's */
};

struct cli_command {
    const char *name;
    int (*run)(struct cli *cli, int argc, char **argv);
    const char *operands; /* for the usage line, after `hostler NAME [OPTION]…`; "" for none */
    const char *summary;  /* in the list of commands */
    const char *help;     /* more than the summary; NULL: nothing */
    const struct cli_option
        *options; /* ended by one without name; NULL: the command knows itself */
    size_t min_operands, max_operands;
    const char *missing; /* the error when there are too few operands */
    unsigned flags;
};

#define CLI_MANY ((size_t)-1)
#define CLI_MAX_OPTIONS 16 /* per table */

/* Parsed arguments. Texts are borrowed from argv. */
struct cli_args {
    const struct cli_command *command;
    const char *values[CLI_MAX_OPTIONS];   /* by place in the table; "" for a switch that is on */
    struct strv repeated[CLI_MAX_OPTIONS]; /* likewise; of CLI_REPEATED ones all that was given */
    struct strv engine; /* name without dashes, value, name, value, …: the engine's options */
    const char **operands;
    size_t n_operands;
};

/* All commands, ended by one without name; NULL when there is none of that name. */
extern const struct cli_command cli_commands[];
const struct cli_command *cli_command_find(const char *name);
/* Prints that there is no such command, and the nearest name. Returns CLI_USAGE. */
int cli_command_unknown(const struct cli *cli, const char *name);

/* Accepted by every command, and before it. */
extern const struct cli_option cli_global_options[];
/* Only before it. */
extern const struct cli_option cli_version_option;
/* Whether `c` (NULL: no command yet) accepts the global option `o`. */
bool cli_global_applies(const struct cli_command *c, const struct cli_option *o);

/*
 * Parses what comes before the command. Returns the index of the command's name in argv (argc when there is none), or -1
 * after printing an error; sets *help and *version where they are given.
 */
int cli_parse_globals(struct cli *cli, int argc, char **argv, bool *help, bool *version);

/*
 * Parses a command's arguments. False when the command must end with *status: help or an error was printed. cli_args_finish() in any case.
 */
bool cli_parse(struct cli_args *a, struct cli *cli, const char *name, int argc, char **argv,
               int *status) __attribute__((warn_unused_result));
void cli_args_finish(struct cli_args *a);

/* The option's value, "" for a switch that is on, NULL when it was not given. `name` must be in the
 * command's table. */
const char *cli_arg(const struct cli_args *a, const char *name);
/* All values of a CLI_REPEATED option, in order. */
const struct strv *cli_arg_all(const struct cli_args *a, const char *name);
/* Parses a TIME into *ms, which stays unchanged without the option. False after printing an error. */
bool cli_arg_time(const struct cli_args *a, const struct cli *cli, const char *name,
                  unsigned long long *ms);
/* A number within limits into *value, as cli_arg_time(). */
bool cli_arg_number(const struct cli_args *a, const struct cli *cli, const char *name, double min,
                    double max, double *value);
/* The same for a whole number. */
bool cli_arg_count(const struct cli_args *a, const struct cli *cli, const char *name, unsigned min,
                   unsigned max, unsigned *value);

/* What the program is, in one sentence without its full stop. */
#define CLI_SUMMARY "Hosts llama.cpp engines: loads models, routes requests, unloads"
/* What each of enum cli_exit means, in its order; ended by NULL. */
extern const char *const cli_exit_texts[];
/* The options of serve, which has no table of this kind; `o` is gone after the call. */
void cli_serve_options(void (*visit)(const struct cli_option *o));

/* --help, of one command and of the whole. */
void cli_print_command_help(const struct cli *cli, const struct cli_command *c);
void cli_print_help(const struct cli *cli, FILE *out);

#endif
