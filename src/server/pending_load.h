/* SPDX-License-Identifier: MIT */
/*
 * Loads that an operator asked for, of models whose record went before they were done: a file that changes, or is not there for a
 * while, makes another record. Such a load is begun again when there is a record of that name with a file. Until then it is
 * pending; it ends when an operator unloads or holds that name, and is given up after --load-timeout, which the log and the
 * history tell.
 */
#ifndef HOSTLER_SERVER_PENDING_LOAD_H
#define HOSTLER_SERVER_PENDING_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

struct host;
struct model;
struct pending_load;
TAILQ_HEAD(pending_loads, pending_load); /* the oldest first */

/* The record of `m` goes: keeps a load that is wanted or under way, for the record that may replace it at once; one that an
 * operator asked for also for a later one. */
void pending_load_keep(struct model *m);
/* Records have come and gone: begins what can be begun. */
void pending_load_begin(struct host *host);
/* By a model's id or another spelling of it; NULL after the last. */
const char *pending_load_at(const struct host *host, size_t index);
bool pending_load_has(const struct host *host, const char *name);
/* Whether there was one. */
bool pending_load_cancel(struct host *host, const char *name);
void pending_load_cancel_all(struct host *host);
/* Gives up those whose time is over. */
void pending_load_expire(struct host *host);
/* When the next one is given up, in uv_now() milliseconds; SCHED_NEVER. */
uint64_t pending_load_deadline(const struct host *host);

#endif
