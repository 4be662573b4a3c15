/* SPDX-License-Identifier: MIT */
/*
 * Prompts outlive their engine: what an engine's slots hold is saved to the store (prompt_store.h) and restored when a request
 * comes that continues it. The requests' bytes pass untouched: the engine itself finds the slot with the longest common
 * beginning, and compares tokens.
 *
 *     a request is granted   prompts_prepare(): if the store has the beginning of its prompt, and the engine has not, it
 *                            is restored into an idle slot before the request is sent
 *     its answer ends        prompts_note(): the conversation is known by its prompt and its count of tokens; it is saved
 *                            again if that is worth it (prompt_costs.h)
 *     the engine is to stop  prompts_save(): what is in its slots and worth it, then SCHED_EV_SAVED
 *
 * One request to an engine at a time. Whatever fails, or takes longer than what it gains, is given up: the request
 * goes on as if nothing was saved. A model whose engines use nothing of what was restored, or end by it, is left alone until
 * its identity changes (prompt_trust.h).
 */
#ifndef HOSTLER_SERVER_PROMPTS_H
#define HOSTLER_SERVER_PROMPTS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/error.h"
#include "base/strv.h"
#include "engine/usage.h"
#include "message/prompt_chain.h"

struct host;
struct instance;
struct instance_prompts;
struct model;
struct prompt_store;
struct prompts;

/* A request's part. Zeroed; `chain` is set before prompts_prepare(), `ready` too. */
struct prompt_request {
    struct prompt_chain chain; /* of its prompt; empty: it has none, or a short one */
    uint64_t promised;         /* of its tokens, those that a file has that is being restored */
    uint64_t restored;         /* the same, when it was */
    double saved_ms;           /* what computing them would have taken, in ms */
    uint64_t file;             /* of these, its number in the store */
    uint64_t since;            /* uv_now() when it began to wait */
    uint64_t order;            /* of its engine's requests */
    struct instance_prompts *waits_for; /* while it waits; NULL */
    /* It may be sent now. `gone`: its engine is not there any more. */
    void (*ready)(struct prompt_request *r, bool gone);
    TAILQ_ENTRY(prompt_request) link; /* in waits_for->waiting */
};

/* What the store has of the conversations that an engine answered in. */
struct prompts_saved {
    unsigned conversations;
    uint64_t tokens, bytes;
};

/* `dir` NULL: nothing is saved, and every function below does nothing. */
int prompts_open(struct prompts **out, struct host *host, const char *dir, uint64_t max_bytes,
                 struct error *err) __attribute__((warn_unused_result));
/* No instance has prompts any more. `closed` is called on the loop. */
void prompts_close(struct prompts *p, void (*closed)(void *ctx), void *ctx);
/* NULL: nothing is saved. */
struct prompt_store *prompts_store(const struct prompts *p);
/* The folder cannot be used, though it is wanted: `why`, which is copied. Before that, and where it can: NULL. */
void prompts_set_problem(struct prompts *p, const char *why);
const char *prompts_problem(const struct prompts *p);

/* --- of an engine --------------------------------------------------------------------------------
 */

/* Before its start: adds to `env` what it must be told. */
void prompts_begin(struct prompts *p, struct instance *i, struct strv *env);
/* Its slots are empty again: it sleeps. */
void prompts_forget(struct instance *i);
/* The scheduler lets it save before it stops. SCHED_EV_SAVED follows: from within this call where nothing is to be saved. */
void prompts_save(struct instance *i);
/* Nothing of it is saved or restored from now on. `why`: never freed. */
void prompts_turn_off(struct instance *i, const char *why);
/* It is not to save anything (more): the operator wants its prompts forgotten; or it goes on after all, and may again. */
void prompts_discard(struct instance *i, bool discard);
/* What the store had of its model was removed, and that it is not trusted is forgotten. */
void prompts_note_cleared(struct instance *i);
/* Its connections are about to be closed, or its process is gone: whoever waits for it is told. */
void prompts_stop(struct instance *i);
/* It is gone. */
void prompts_end(struct instance *i);
/* Why nothing of it is saved; NULL: it is. `i` NULL: of any engine of the model. */
const char *prompts_off(const struct model *m, const struct instance *i);
struct prompts_saved prompts_saved_of(const struct instance *i);

/* --- of a request --------------------------------------------------------------------------------
 */

/* Whether the bodies of its requests are worth to be looked at. */
bool prompts_wants(const struct prompts *p);
uint64_t prompts_seed(const struct prompts *p);
/* Whether something of the model is saved. */
bool prompts_has(const struct prompts *p, const char *model);
/* Whether anything is saved that the instance could restore. */
bool prompts_may_restore(const struct instance *i);
/* It was granted. True: something is restored for it, and `ready` follows, never from within this call. */
bool prompts_prepare(struct prompt_request *r, struct instance *i);
/* It does not wait any more. */
void prompts_cancel(struct prompt_request *r);
/* Its answer has ended, `known`: `usage` says what it took. Takes r->chain. The instance has its client still. */
void prompts_note(struct prompt_request *r, struct instance *i, const struct engine_usage *usage,
                  bool known);
/* Its engine ended by itself before it had answered: what was restored for it may be why. */
void prompts_blame(struct prompts *p, const struct prompt_request *r);
void prompt_request_finish(struct prompt_request *r);

#endif
