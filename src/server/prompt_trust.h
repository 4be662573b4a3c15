/* SPDX-License-Identifier: MIT */
/*
 * Whether engines of an identity (prompt_identity.h) can be trusted with saved prompts. What fails PROMPT_FAILURES_MAX times in a
 * row is not asked of them again: restores of which nothing is used, restores and saves that end the engine. Kept in the
 * state folder, so that it counts across engines and daemons; another build has another identity, and is tried anew.
 */
#ifndef HOSTLER_SERVER_PROMPT_TRUST_H
#define HOSTLER_SERVER_PROMPT_TRUST_H

#include <stdbool.h>

#include "server/state.h"

#define PROMPT_FAILURES_MAX 2

enum prompt_deed { PROMPT_SAVE, PROMPT_RESTORE };

bool prompt_trust_is_lost(const struct state *s, const char *identity);
void prompt_trust_note_success(struct state *s, const char *identity, enum prompt_deed deed);
/* `model`: its id, for people who read the file. */
void prompt_trust_note_failure(struct state *s, const char *identity, const char *model,
                               enum prompt_deed deed);
/* An operator wants it to be tried again: what is remembered of the identities of a model (NULL: of all) is forgotten. */
void prompt_trust_reset(struct state *s, const char *model);

#endif
