/* SPDX-License-Identifier: MIT */
/* Signals in a conversation: a handler only records them; the conversation polls the record. */
#ifndef HOSTLER_CLI_RUN_SIGNALS_H
#define HOSTLER_CLI_RUN_SIGNALS_H

#include <stdbool.h>

/* Start to record the signal; restore its default action. */
void run_signals_catch(int number);
void run_signals_release(int number);

bool run_signals_received(int number);
void run_signals_forget(int number);

/* Waits until stdin is readable (0) or a recorded signal is pending (its number). Signals are blocked but during the
 * wait, so none is missed. */
int run_signals_wait_for_input(void);

#endif
