/* SPDX-License-Identifier: MIT */
/* What a line that begins with a slash does in a conversation. */
#ifndef HOSTLER_CLI_RUN_COMMANDS_H
#define HOSTLER_CLI_RUN_COMMANDS_H

#include "cli/run/session.h"

/* `line` begins with a slash and is changed. False when it ends the conversation. */
bool run_command(struct run_session *s, char *line);

#endif
