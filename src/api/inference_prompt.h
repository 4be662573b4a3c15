/* SPDX-License-Identifier: MIT */
/*
 * The prompt of one request that an engine answers: which one it is, what is restored of it before the engine gets the request,
 * and what the answer tells of it. Embedded in struct inference. Server side: server/prompts.h.
 *
 * The request's body is hashed at one of two moments. A body of up to RELAY_REPLAY_MAX bytes is kept until its answer begins (a
 * stream with its first piece: the head comes before anything is computed), and is hashed as a whole only if something of its
 * model is saved, or if computing its prompt turned out to take long. A longer body, or one whose length is not announced, is
 * not kept: it is hashed as it comes.
 */
#ifndef HOSTLER_API_INFERENCE_PROMPT_H
#define HOSTLER_API_INFERENCE_PROMPT_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/route.h"
#include "engine/usage.h"
#include "http/held_body.h"
#include "message/prompt_scan.h"
#include "server/instance.h"
#include "server/prompts.h"

/* Bytes of a body that is collected to be compared with what is saved. */
#define INFERENCE_PROMPT_BODY_MAX (16 << 20)

struct inference_prompt {
    struct prompts *prompts;
    const struct engine_route *route; /* by which the request came; NULL: by none that is known */
    struct prompt_scan *scan;         /* of a body that is hashed as it comes; NULL */
    bool is_deferred;                 /* the body is kept, and hashed when that is worth it */
    struct prompt_request request;
    uint64_t sent_at,
        began_at; /* uv_now() when the engine got the request, and when it began to answer; 0: not yet */
};

/* Zeroed before; a zeroed one has no prompt. `body_length` -1: not announced. */
void inference_prompt_init(struct inference_prompt *p, struct prompts *prompts,
                           const struct engine_route *route, int64_t body_length);
void inference_prompt_finish(struct inference_prompt *p);

/* A piece of the body. inference_prompt_body_end(): that was all of it. */
void inference_prompt_feed(struct inference_prompt *p, const char *data, size_t len);
void inference_prompt_body_end(struct inference_prompt *p);
/* Whether a body of that length, or of which that has come so far, is to be collected before the model is asked for, because something may be restored. */
bool inference_prompt_awaits_body(const struct inference_prompt *p, const char *model,
                                  int64_t length);

/* Why the engine must not get the request (501): its folder for slots' files is ours, not clients'; NULL: it may. */
const char *inference_prompt_refusal(const struct inference_prompt *p, const struct instance *i);
/* The engine that was granted is about to get the request. True: something is restored first, and request.ready() follows, never
 * from within this call. `body`: all of it; NULL: not all of it is there. */
bool inference_prompt_restore(struct inference_prompt *p, struct instance *i,
                              const struct held_body *body);
void inference_prompt_sent(struct inference_prompt *p, uint64_t now);
/* The answer begins: its head, but the first piece of an event stream, whose head engines send before they compute. `body` as above. */
void inference_prompt_answer_begins(struct inference_prompt *p, const struct held_body *body,
                                    uint64_t now);
/* The answer has ended, and the engine is still leased: `said` is what the answer told of it, if `known`. */
void inference_prompt_answer_ended(struct inference_prompt *p, struct instance *i,
                                   const struct engine_usage *said, bool known,
                                   bool is_event_stream, uint64_t now);

#endif
