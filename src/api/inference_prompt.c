/* SPDX-License-Identifier: MIT */
#include "api/inference_prompt.h"

#include <math.h>

#include "http/relay.h"
#include "server/prompt_costs.h"

#define BODY_MIN 1024 /* bytes of a body whose prompt may be worth saving */
/* Time to generate a token, in tokens of a prompt that are computed in it: more than most models need. */
#define ANSWER_COST 20

void inference_prompt_init(struct inference_prompt *p, struct prompts *prompts,
                           const struct engine_route *route, int64_t body_length)
{
    bool is_short = body_length >= 0 && body_length < BODY_MIN;
    p->prompts = prompts;
    p->route = route;
    if (!prompts_wants(prompts) || is_short || !route ||
        !engine_kind_default()->slots->is_prompt_route(route))
        return;
    p->is_deferred = body_length >= 0 && body_length <= (int64_t)RELAY_REPLAY_MAX;
    if (!p->is_deferred)
        p->scan = prompt_scan_create(prompts_seed(prompts));
}

void inference_prompt_finish(struct inference_prompt *p)
{
    prompt_scan_destroy(p->scan);
    prompt_request_finish(&p->request);
}

/* --- hashing the body ---------------------------------------------------------------------------
 */

/* A slot's file does not say with which adapters it was computed: with a request's own ones it is not saved. And what is restored is of no use
 * to a request that has the engine compute everything, or that goes into another slot, which says nothing of the file. */
static void take_chain(struct inference_prompt *p, struct prompt_scan *scan)
{
    bool apart = prompt_scan_is_apart(scan);
    if (prompt_scan_end(scan, &p->request.chain) && apart)
        prompt_chain_finish(&p->request.chain);
    prompt_scan_destroy(scan);
}

static void hash_deferred(struct inference_prompt *p, const struct held_body *body)
{
    if (!body || body->len != body->memory.len)
        return;
    p->is_deferred = false;
    struct prompt_scan *scan = prompt_scan_create(prompts_seed(p->prompts));
    prompt_scan_feed(scan, body->memory.data, body->len);
    take_chain(p, scan);
}

void inference_prompt_feed(struct inference_prompt *p, const char *data, size_t len)
{
    prompt_scan_feed(p->scan, data, len);
}

void inference_prompt_body_end(struct inference_prompt *p)
{
    if (p->scan)
        take_chain(p, p->scan);
    p->scan = NULL;
}

bool inference_prompt_awaits_body(const struct inference_prompt *p, const char *model,
                                  int64_t length)
{
    return p->scan && length <= INFERENCE_PROMPT_BODY_MAX && prompts_has(p->prompts, model);
}

/* --- restoring, and what the answer tells -------------------------------------------------------
 */

static const struct engine_slots *slots_of(const struct instance *i)
{
    return i->launch->program->kind->slots;
}

const char *inference_prompt_refusal(const struct inference_prompt *p, const struct instance *i)
{
    bool is_ours = i->prompts && i->launch->prompts_variable;
    return p->route && is_ours && slots_of(i)->is_files_route(p->route) ? slots_of(i)->refusal
                                                                        : NULL;
}

bool inference_prompt_restore(struct inference_prompt *p, struct instance *i,
                              const struct held_body *body)
{
    if (p->route && slots_of(i) && slots_of(i)->is_changing_route(p->route))
        prompts_turn_off(i, "a client changed its adapters");
    if (p->is_deferred && prompts_may_restore(i))
        hash_deferred(p, body);
    return prompts_prepare(&p->request, i);
}

void inference_prompt_sent(struct inference_prompt *p, uint64_t now)
{
    p->sent_at = now;
    p->began_at = 0;
}

/* Engines answer when they have computed the prompt: one that was quick is not worth saving. */
void inference_prompt_answer_begins(struct inference_prompt *p, const struct held_body *body,
                                    uint64_t now)
{
    p->began_at = now;
    if (p->is_deferred && now - p->sent_at >= PROMPT_GAIN_MIN_MS)
        hash_deferred(p, body);
}

/* Some APIs' answers do not tell how long computing the prompt took. A stream begins when that is done; for another answer it
 * is estimated, rather too low. */
static void add_prompt_ms(const struct inference_prompt *p, struct engine_usage *said,
                          bool is_event_stream, uint64_t now)
{
    if (said->prompt_ms > 0 || said->prompt_tokens <= 0 || !p->began_at)
        return;
    double sent = (double)p->sent_at;
    double computed = (double)said->prompt_tokens - fmax((double)said->cached_tokens, 0);
    double generated = ANSWER_COST * fmax((double)said->tokens, 0);
    said->prompt_ms = is_event_stream
                          ? (double)p->began_at - sent
                          : ((double)now - sent) * computed / (computed + generated + 1);
}

void inference_prompt_answer_ended(struct inference_prompt *p, struct instance *i,
                                   const struct engine_usage *said, bool known,
                                   bool is_event_stream, uint64_t now)
{
    struct engine_usage usage = *said;
    if (!p->request.chain.n)
        return;
    add_prompt_ms(p, &usage, is_event_stream, now);
    prompts_note(&p->request, i, &usage, known);
}
