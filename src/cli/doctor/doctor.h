/* SPDX-License-Identifier: MIT */
/*
 * The checks of `hostler doctor`. Each inspects one thing, changes nothing, and adds findings: what is wrong, the evidence,
 * and the commands that fix it.
 *
 * Checks of this machine (files, processes) are made only when the server is on it; they are the
 * one place among the client commands that uses the modules of the catalog, the engine and the
 * server's configuration, so that a file or a binary is judged as the daemon judges it.
 */
#ifndef HOSTLER_CLI_DOCTOR_DOCTOR_H
#define HOSTLER_CLI_DOCTOR_DOCTOR_H

#include <stdbool.h>
#include <stddef.h>

#include "base/strv.h"
#include "cli/doctor/procfs.h"
#include "cli/peer/router.h"

enum doctor_level {
    DOCTOR_OK,
    DOCTOR_NOTE, /* worth knowing; nothing is wrong */
    DOCTOR_WRONG,
};

/* A command that fixes a finding. Both texts are owned and one line each: format_shell() escapes newlines
 * in words. */
struct doctor_remedy {
    char *command; /* for a shell; NULL: there is no remedy */
    char *remark;  /* what it does, or the alternative; NULL */
};

struct doctor_finding {
    enum doctor_level level;
    const char *check; /* static: `server`, `key`, `model`, … */
    char *what;
    char *evidence;                 /* lines; NULL */
    struct doctor_remedy *remedies; /* each can be run on its own */
    size_t n_remedies;
    char *advice; /* what to do where no command does it; NULL */
    char *model;  /* quoted, `'m1'`, where the finding is about a model that does not load; NULL */
};

struct doctor {
    const struct cli *cli;
    struct cli asking;           /* the same, with its errors kept in `captured` */
    struct cli_capture captured; /* of the last question */
    struct router router;
    struct router_models models;     /* empty when it was not reached */
    int reached;                     /* of enum cli_exit: whether the server was */
    const char *model;               /* that it is asked about; NULL */
    bool local;                      /* the server is, or would be, on this machine */
    struct procfs_process process;   /* the server's, when it is to be seen; pid 0 else */
    struct strv checked_files;       /* files, by their real paths: each is checked once */
    struct doctor_finding *findings; /* in the order in which they were found */
    size_t n;
};

/* Takes the texts, of which `evidence` may be NULL. */
void doctor_add(struct doctor *d, enum doctor_level level, const char *check, char *what,
                char *evidence);
/* Takes `command` (NULL: no remedy) and copies `remark` (NULL: none). */
struct doctor_remedy doctor_remedy(char *command, const char *remark);
/* Adds a remedy, which is taken, to the last finding; none where its command is NULL. */
void doctor_add_remedy(struct doctor *d, struct doctor_remedy remedy);
/* Sets the last finding's advice (taken; NULL: none). */
void doctor_set_advice(struct doctor *d, char *advice);
/* Sets the model that the last finding is about (taken). */
void doctor_set_model(struct doctor *d, char *model);
/* Adds the error that an operation on `d->router` has captured, and clears it. Without a remedy, the hint
 * below the error becomes the advice. */
void doctor_add_captured(struct doctor *d, const char *check, char *evidence,
                         struct doctor_remedy remedy);

/* The server: whether it answers, what it is, whether the key is right. Fills in `reached`, `models`
 * and `process`. */
void doctor_server(struct doctor *d);
/* What the server says of its own troubles: clients refused, a log or a state that cannot be written. */
void doctor_troubles(struct doctor *d);
/* Models: the one given on the command line, those whose last load failed, those loaded again and again. */
void doctor_model(struct doctor *d);
void doctor_failed(struct doctor *d);
void doctor_reloads(struct doctor *d);

/* --- this machine -------------------------------------------------------------------------------
 */

/* The value of an option of the server's process, else of a variable of its environment; without a process, of our
 * environment. NULL. */
const char *doctor_setting(const struct doctor *d, const char *option, const char *env);

/* A path relative to the server's working folder, made absolute. The caller frees it. */
char *doctor_path(const struct doctor *d, const char *path);

/* `kill PID`, with sudo for another user's process. The caller frees it. */
char *doctor_kill_command(const struct procfs_process *p);

/* The engine that is, or would be, started. The caller frees it. */
char *doctor_engine_name(const struct doctor *d);
void doctor_engine(struct doctor *d);

/* A file of a model that presets name. */
struct doctor_file {
    const char *noun;  /* `file`, `mmproj`, … */
    const char *model; /* `'m1'`, `[*]` */
    const char *path;  /* of the first part */
    const char *where; /* what names it, for a person; NULL: it lies in a folder of models */
    const struct doctor_remedy *edit; /* opens that place in an editor; NULL */
};

/* Judges it with all its parts. */
void doctor_file(struct doctor *d, const struct doctor_file *f);
/* Checks the files that the presets name. Returns how many models the presets add. */
size_t doctor_presets(struct doctor *d);
void doctor_files(struct doctor *d);
void doctor_open_files(struct doctor *d);
/* Raises a process' limit of open files, given its present limits. */
struct doctor_remedy doctor_raise_limit(int pid, unsigned long soft, unsigned long hard);
void doctor_leftovers(struct doctor *d);
/* Whether a llama-server is, or was, a router's engine: its environment says so. */
bool doctor_is_engine(const struct procfs_process *p);
/* Whether its options or its environment give it a model, so that it is no router. */
bool doctor_has_model(const struct procfs_process *p);
void doctor_memory(struct doctor *d);

#endif
