/* SPDX-License-Identifier: MIT */
/*
 * The connections of a server as a set: which are accepted, when they end. Internal to http/.
 *
 * When `limits.connections` are open, the one that has been idle the longest makes way for a new one. With
 * none idle, the new one gets a place in the reserve: it may send one request, which the handler refuses
 * unless an operator needs it (http_exchange_is_over_limit()). When the reserve is full as well, its oldest
 * connection whose request is not being answered makes way. So an operator gets in, whatever clients hold open.
 *
 * While memory is short, too, idle connections are closed, new ones get a place in the reserve, and each ends with
 * its answer.
 */
#ifndef HOSTLER_HTTP_CONNECTIONS_H
#define HOSTLER_HTTP_CONNECTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "http/connection.h"
#include "http/listener.h"

void connections_init(struct connections *c, uv_loop_t *loop, http_handler *handler, void *ctx);
/* Takes over the accepted socket `fd`. False: no further one is to be accepted in this turn of the loop, since it might take
 * the place of one whose request has come and is not read yet. */
bool connections_accept(struct connections *c, const struct listener *l, int fd);
/* Closes the connection that has been idle the longest, for at least `idle_ms`, at once; false: there is
 * none. Of a request that waits unread a connection is not idle. */
bool connections_make_room(struct connections *c, uint64_t idle_ms);
/* A connection or a request was refused for want of a place: counted, and logged at most once a minute. */
void connections_note_refusal(struct connections *c);
/* Memory was short (base/memory_reserve.h), or connections held too much: returns whether that is still so, and logs
 * it once. While memory is short, idle connections are closed. */
bool connections_lack_memory(struct connections *c);
void connections_quiesce(struct connections *c);
size_t connections_busy(const struct connections *c);
/* Closes them all; `closed` is called once every handle is closed. */
void connections_close(struct connections *c, void (*closed)(struct connections *c));

#endif
