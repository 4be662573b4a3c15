/* SPDX-License-Identifier: MIT */
/*
 * What survives a restart of the daemon: holds, pins, footprints. A JSON file `{section: {key: value}}` in
 * a folder of its own (--state-dir), rewritten by the thread pool after each change. Only one daemon at a
 * time uses a folder; without a folder everything is in memory only.
 */
#ifndef HOSTLER_SERVER_STATE_H
#define HOSTLER_SERVER_STATE_H

#include <jansson.h>
#include <stdint.h>
#include <uv.h>

#include "base/error.h"

struct state;

/* `dir` is created if it is missing; NULL: in memory only. -EBUSY: another daemon uses it. Other errors: it
 * cannot be written. A file that is not such JSON is renamed to state.json.bad. */
int state_open(struct state **out, uv_loop_t *loop, const char *dir, struct error *err)
    __attribute__((warn_unused_result));
/* Borrowed; NULL: there is none. */
json_t *state_get(const struct state *s, const char *section, const char *key);
/* All keys of a section with their values: borrowed, good until the next state_set(); NULL: there are none. */
const json_t *state_section(const struct state *s, const char *section);
/* Takes over `value`; NULL removes the key. A section keeps the `most` keys that were set last. */
void state_set(struct state *s, const char *section, const char *key, json_t *value, size_t most);
/* How writing the file goes. */
struct state_writes {
    const char *path; /* of the file; NULL: there is none */
    uint64_t failed;  /* writes that failed since the start */
    int error;        /* errno of the last one; 0: all is written, or will be soon */
};
struct state_writes state_writes(const struct state *s);
/* Writes what is not written yet, and frees it: now, or when a running write has ended. */
void state_close(struct state *s);

#endif
