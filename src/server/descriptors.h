/* SPDX-License-Identifier: MIT */
/*
 * Who may use how many of the process's file descriptors (RLIMIT_NOFILE). Clients get what is left when the
 * daemon itself, its engines and the reserve for operators have theirs, so that no number of clients keeps an
 * engine from being started, or from being stopped by an operator.
 */
#ifndef HOSTLER_SERVER_DESCRIPTORS_H
#define HOSTLER_SERVER_DESCRIPTORS_H

#include "base/error.h"

/* As many as the system lets this process have. */
void descriptors_raise_limit(void);
/*
 * How many clients may be connected at once: `wanted`, or 0 for as many as `limit` descriptors leave room for.
 * A client counts twice, since each request that is passed on has a connection to its engine. `engines`: at
 * once, 0 for no limit. Never more than there is room for, and never none.
 */
unsigned descriptors_clients(unsigned wanted, unsigned engines, unsigned long limit);
/* The same with this process's limit; logs a warning when `wanted` is too many. */
unsigned descriptors_max_clients(unsigned wanted, unsigned engines);
/* When all that the daemon itself needs is open: -EMFILE with a text if the descriptors that are left are too few to
 * start any engine. */
int descriptors_check(struct error *err) __attribute__((warn_unused_result));

#endif
