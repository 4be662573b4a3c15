/* SPDX-License-Identifier: MIT */
/* Signals in a conversation: they are noted, and seen where it waits. */
#ifndef HOSTLER_CLI_RUN_SIGNALS_H
#define HOSTLER_CLI_RUN_SIGNALS_H

#include <stdbool.h>

/* From now on it is noted; or does again what it did at the start of the program. */
void run_signals_catch(int number);
void run_signals_release(int number);

bool run_signals_received(int number);
void run_signals_forget(int number);

/* Waits until stdin can be read (0) or a signal is noted that nobody has forgotten (its number).
 * None can slip in between the looking and the waiting. */
int run_signals_wait_for_input(void);

#endif
