/* SPDX-License-Identifier: MIT */
/* What `/set` and the options of `hostler run` set: members of the request, and the system prompt. */
#ifndef HOSTLER_CLI_RUN_PARAMETERS_H
#define HOSTLER_CLI_RUN_PARAMETERS_H

#include <jansson.h>

#include "base/error.h"

struct run_parameters {
    json_t *request; /* members of the request's body; NULL while nothing is set */
    char *system;    /* NULL: none */
};

enum run_parameter_kind {
    RUN_NUMBER,
    RUN_INTEGER,
    RUN_SWITCH, /* on or off */
    RUN_TEXT,
};

struct run_parameter {
    const char *name, *also; /* `also`: another name; NULL */
    enum run_parameter_kind kind;
    double min, max;
    const char *help;
};

/* Ended by one without name. */
extern const struct run_parameter run_parameters[];

void run_parameters_finish(struct run_parameters *p);
/* By its name or its other one; NULL with a text that names the nearest. */
const struct run_parameter *run_parameter_find(const char *name, struct error *err);
/* `default` takes it back. -EINVAL with a text, which does not name the parameter. */
int run_parameter_set(struct run_parameters *p, const struct run_parameter *what, const char *value,
                      struct error *err) __attribute__((warn_unused_result));
/* `NAME VALUE` or `NAME=VALUE`, as /set and --set take them. -EINVAL with a text that says all. */
int run_parameter_read(struct run_parameters *p, const char *text, struct error *err)
    __attribute__((warn_unused_result));
/* As a person would write it; NULL when it is not set. The caller frees it. */
char *run_parameter_get(const struct run_parameters *p, const struct run_parameter *what);

#endif
