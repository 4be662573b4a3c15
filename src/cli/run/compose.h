/* SPDX-License-Identifier: MIT */
/*
 * A message put together from lines. A backslash at a line's end goes on with the next one; `"""`
 * at the beginning goes on up to the next `"""` that ends a line. Newlines within what is given as
 * one line (pasted, or out of the history) are the message's own.
 */
#ifndef HOSTLER_CLI_RUN_COMPOSE_H
#define HOSTLER_CLI_RUN_COMPOSE_H

#include "base/buf.h"

enum run_compose_result {
    RUN_COMPOSE_DONE,
    RUN_COMPOSE_MORE, /* another line belongs to it */
    RUN_COMPOSE_TOO_LONG,
};

struct run_compose {
    struct buf text;
    bool begun;
    bool block;  /* within `"""` */
    bool quoted; /* it was in such a block: no command, whatever it begins with */
};

void run_compose_init(struct run_compose *c, size_t max);
void run_compose_finish(struct run_compose *c);
/* Begins a new message. */
void run_compose_clear(struct run_compose *c);
/* `line` comes without its newline. */
enum run_compose_result run_compose_add(struct run_compose *c, const char *line);
/* Whether it is for this program: `/name`, then the end or a blank, in one line. A path, which has
 * another slash, is a message. */
bool run_compose_is_command(struct run_compose *c);

#endif
