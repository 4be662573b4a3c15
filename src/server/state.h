/* SPDX-License-Identifier: MIT */
/*
 * What outlasts the daemon: holds, pins, footprints. A small JSON file in a folder of its own
 * (--state-dir), `{section: {key: value}}`, written anew as a whole whenever something changed, in
 * the thread pool. One daemon at a time uses a folder; without one all is kept in memory only.
 */
#ifndef HOSTLER_SERVER_STATE_H
#define HOSTLER_SERVER_STATE_H

#include <jansson.h>
#include <uv.h>

#include "base/error.h"

struct state;

/* `dir` is made if need be; NULL: in memory only. -EBUSY: another daemon uses it. Other errors: it
 * cannot be written. A file that holds no such JSON is kept aside as state.json.bad. */
int state_open(struct state **out, uv_loop_t *loop, const char *dir, struct error *err)
    __attribute__((warn_unused_result));
/* Borrowed; NULL when there is none. */
json_t *state_get(const struct state *s, const char *section, const char *key);
/* Releases `value`; NULL removes the key. Of a section's keys the `most` that were set last stay. */
void state_set(struct state *s, const char *section, const char *key, json_t *value, size_t most);
/* Writes what is not yet written, and frees it: now, or when the loop has ended a write. */
void state_close(struct state *s);

#endif
