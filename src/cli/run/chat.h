/* SPDX-License-Identifier: MIT */
/* One answer of a model: POST /v1/chat/completions, streamed, and put together from its pieces. */
#ifndef HOSTLER_CLI_RUN_CHAT_H
#define HOSTLER_CLI_RUN_CHAT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "cli/peer/router.h"

struct chat_request {
    const char *model;
    json_t *messages;   /* borrowed */
    json_t *parameters; /* borrowed; more members of the request; NULL */
};

/* Receives the answer as it arrives. `text` is UTF-8, zero-terminated; a callback's non-zero result stops the answer. */
struct chat_listener {
    int (*content)(const char *text, void *ctx);
    int (*reasoning)(const char *text, void *ctx); /* reasoning before the answer */
    bool (*stopped)(void *ctx);                    /* polled once a second: whether to stop */
    void *ctx;
};

enum chat_end {
    CHAT_COMPLETE,
    CHAT_STOPPED, /* by the listener */
    CHAT_REFUSED, /* the server answered with an error */
    CHAT_BROKEN,  /* it ended in the middle, or with an error */
    CHAT_NO_SERVER,
};

struct chat {
    enum chat_end end;
    int status;       /* HTTP's, when REFUSED */
    int code;         /* errno, when NO_SERVER */
    struct error err; /* why it is not complete */
    char state[32];   /* the error's `state`, when REFUSED: `held`, …; empty */
    struct buf content, reasoning;
    json_t *last; /* owned: the members of the last chunks that stand for the whole; never NULL */
    char *finish_reason;            /* NULL */
    uint64_t started, first, ended; /* ms; `first`: of the first token, 0 none */
    unsigned pieces;                /* of text that came */
};

/* Asks and reads the answer to its end. chat_finish() afterwards, whatever came. */
void chat_run(struct chat *c, struct router *r, const struct chat_request *wish,
              const struct chat_listener *listener);
void chat_finish(struct chat *c);

/* Whether it ended because the tokens (--max-tokens) or the context were used up. */
bool chat_was_cut(const struct chat *c);
/* Tokens generated and their rate: as the server says, else counted here. 0 unknown. */
void chat_speed(const struct chat *c, json_int_t *tokens, double *per_second);
/* The answer as one `chat.completion` object, as if it had not been streamed. */
json_t *chat_object(const struct chat *c);

/* Reading of one event, for tests: CHAT_… or 0 to go on. */
int chat_event(struct chat *c, const char *data, size_t len, bool error,
               const struct chat_listener *listener);
void chat_init(struct chat *c);

#endif
