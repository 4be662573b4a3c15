/* SPDX-License-Identifier: MIT */
#include "server/prompts.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "http/fetch.h"
#include "server/host_core.h"
#include "server/instance.h"
#include "server/model.h"
#include "server/prompt_identity.h"
#include "server/prompt_store.h"
#include "server/prompt_trust.h"
#include "server/prompt_work.h"

#define SIMILARITY 0.15 /* of a prompt: engines use a slot that holds a tenth of it or more */

/* Of an engine whose identity is not trusted. */
static const char lost[] =
    "with this build and these arguments, prompts could not be saved or were of no use";

/* --- the host's ---------------------------------------------------------------------------------
 */

int prompts_open(struct prompts **out, struct host *host, const char *dir, uint64_t max_bytes,
                 struct error *err)
{
    struct prompts *p = mem_zalloc(sizeof *p);
    p->host = host;
    int rc = dir ? prompt_store_open(&p->store, host->loop, dir, max_bytes, err) : 0;
    if (rc) {
        free(p);
        return rc;
    }
    *out = p;
    return 0;
}

void prompts_close(struct prompts *p, void (*closed)(void *ctx), void *ctx)
{
    struct prompt_store *store = p->store;
    free(p->problem);
    free(p);
    if (store)
        prompt_store_close(store, closed, ctx);
    else
        closed(ctx);
}

struct prompt_store *prompts_store(const struct prompts *p)
{
    return p->store;
}

void prompts_set_problem(struct prompts *p, const char *why)
{
    mem_replace(&p->problem, why);
}

const char *prompts_problem(const struct prompts *p)
{
    return p->problem;
}

bool prompts_wants(const struct prompts *p)
{
    return p->store;
}

uint64_t prompts_seed(const struct prompts *p)
{
    return prompt_store_seed(p->store);
}

bool prompts_has(const struct prompts *p, const char *model)
{
    return p->store && prompt_store_has_model(p->store, model);
}

/* --- of an engine --------------------------------------------------------------------------------
 */

static void on_identity(const char *identity, void *ctx)
{
    struct instance_prompts *p = ctx;
    p->finding = NULL;
    if (!identity) {
        prompt_work_turn_off(p, "a file of its model cannot be read");
        return;
    }
    p->identity = mem_strdup(identity);
    if (prompt_trust_is_lost(p->prompts->host->state, identity))
        prompt_work_turn_off(p, lost);
    prompt_work_tell_scheduler(p);
}

static const char *find_folder(struct instance_prompts *p, const struct engine_launch *l,
                               struct strv *env)
{
    p->own_folder = l->prompts_variable;
    if (!p->own_folder) {
        p->folder = l->prompts_folder ? mem_strdup(l->prompts_folder) : NULL;
        if (p->folder)
            prompt_store_tidy(p->prompts->store, p->folder);
        return p->folder && *p->folder == '/' ? NULL
               : p->folder                    ? "its folder for slots is no absolute path"
                                              : "its engine saves no slots";
    }
    p->folder = prompt_store_create_folder(p->prompts->store);
    if (!p->folder)
        return "the folder of the prompt cache cannot be used";
    strv_addf(env, "%s=%s", l->prompts_variable, p->folder);
    return NULL;
}

void prompts_begin(struct prompts *prompts, struct instance *i, struct strv *env)
{
    const struct engine_launch *l = i->launch;
    const struct host *host = prompts->host;
    if (!prompts->store || !l->program->kind->slots)
        return;
    struct instance_prompts *p = mem_zalloc(sizeof *p);
    i->prompts = p;
    p->prompts = prompts;
    p->instance = i;
    conversations_init(&p->conversations);
    TAILQ_INIT(&p->waiting);
    uv_timer_init(host->loop, &p->patience);
    p->patience.data = p;
    const char *why = find_folder(p, l, env);
    if (!why) {
        p->finding = prompt_identity_find(host->loop, l, i->model->entry,
                                          &host_snapshot(host)->figures, on_identity, p);
        why = p->finding ? NULL : "the file of its model is not known";
    }
    p->off = why;
}

void prompts_forget(struct instance *i)
{
    struct instance_prompts *p = i->prompts;
    if (!p)
        return;
    conversations_clear(&p->conversations);
    memset(p->unlisted, 0, sizeof p->unlisted);
    p->wants_keep = false; /* asking it what it holds would wake it */
    prompt_work_tell_scheduler(p);
}

void prompts_save(struct instance *i)
{
    struct instance_prompts *p = i->prompts;
    if (!p || p->off || !p->identity || p->discard || !i->client) {
        host_sched_event(i->model->host,
                         &(struct sched_event){.type = SCHED_EV_SAVED, .instance = &i->sched});
        return;
    }
    p->wants_leave = true;
    prompt_work_next(p);
}

void prompts_turn_off(struct instance *i, const char *why)
{
    if (i->prompts)
        prompt_work_turn_off(i->prompts, why);
}

void prompts_discard(struct instance *i, bool discard)
{
    if (!i->prompts)
        return;
    i->prompts->discard = discard;
    prompt_work_tell_scheduler(i->prompts);
}

void prompts_note_cleared(struct instance *i)
{
    struct conversation *c;
    if (!i->prompts)
        return;
    TAILQ_FOREACH (c, &i->prompts->conversations.list, link)
        c->saved = c->bytes = 0;
    if (i->prompts->off == lost)
        i->prompts->off = NULL;
    prompt_work_tell_scheduler(i->prompts);
}

void prompts_stop(struct instance *i)
{
    struct instance_prompts *p = i->prompts;
    if (!p)
        return;
    p->stopped = true;
    if (p->fetch)
        http_fetch_cancel(p->fetch);
    if (p->step == SAVES || p->step == RESTORES)
        prompt_store_discard(p->prompts->store, p->path);
    prompt_store_forget(p->prompts->store, p);
    p->fetch = NULL;
    p->wants_keep = p->wants_leave = false;
    prompt_work_set_step(p, IDLE);
    prompt_work_let_all_go(p, true);
}

/* Its process ended by itself in the middle of it: that may be why. */
static void note_ended_by(struct instance_prompts *p)
{
    struct state *state = p->prompts->host->state;
    const char *model = p->instance->model->entry->id;
    if (p->step == SAVES)
        prompt_trust_note_failure(state, p->identity, model, PROMPT_SAVE);
    if (p->step != RESTORES)
        return;
    prompt_trust_note_failure(state, p->identity, model, PROMPT_RESTORE);
    prompt_store_drop(p->prompts->store, p->number, "its engine ended while it was restored");
}

static void on_patience_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void prompts_end(struct instance *i)
{
    struct instance_prompts *p = i->prompts;
    if (!p)
        return;
    note_ended_by(p);
    prompts_stop(i);
    prompt_identity_cancel(p->finding);
    conversations_clear(&p->conversations);
    if (p->own_folder && p->folder)
        prompt_store_remove_folder(p->prompts->store, p->folder);
    else if (*p->path) /* the engine may have gone on with what it was writing */
        prompt_store_discard(p->prompts->store, p->path);
    free(p->folder);
    free(p->identity);
    i->prompts = NULL;
    uv_close((uv_handle_t *)&p->patience, on_patience_closed);
}

const char *prompts_off(const struct model *m, const struct instance *i)
{
    const struct prompts *p = m->host->prompts;
    if (p->problem)
        return p->problem;
    if (!p->store)
        return "--prompt-cache is off";
    if (!m->launch->program->kind->slots)
        return "engines of its kind save no prompts";
    return i && i->prompts ? i->prompts->off : NULL;
}

struct prompts_saved prompts_saved_of(const struct instance *i)
{
    struct prompts_saved all = {0};
    const struct conversation *c;
    if (!i->prompts || i->prompts->discard)
        return all;
    TAILQ_FOREACH (c, &i->prompts->conversations.list, link) {
        all.conversations += c->bytes > 0;
        all.tokens += c->bytes ? c->saved : 0;
        all.bytes += c->bytes;
    }
    return all;
}

/* --- of a request --------------------------------------------------------------------------------
 */

/* Bytes of the conversations that were used after it: the engine keeps them in its slots, or in host memory, and finds
 * them there faster. */
static bool engine_has(const struct instance_prompts *p, const struct conversation *c)
{
    unsigned rank = conversations_rank(&p->conversations, c);
    uint64_t growth = p->instance->model->learned.footprint.growth;
    return rank < prompt_work_held_at_once(p) ||
           prompt_work_costs(p)->bytes * (double)conversations_tokens_before(&p->conversations, c) <
               (double)growth;
}

/* What of the prompt is in the file, as tokens. */
static uint64_t tokens_in_common(const struct prompt_file *f, uint64_t common)
{
    return common >= f->chain.bytes
               ? f->tokens
               : (uint64_t)((double)f->tokens * (double)common / (double)f->chain.bytes);
}

bool prompts_may_restore(const struct instance *i)
{
    const struct instance_prompts *p = i->prompts;
    return p && !p->off && p->identity && prompt_store_has(p->prompts->store, p->identity);
}

bool prompts_prepare(struct prompt_request *r, struct instance *i)
{
    struct instance_prompts *p = i->prompts;
    uint64_t common, live;
    r->promised = r->restored = 0; /* by an engine that is gone */
    if (!p)
        return false;
    r->order = ++p->granted;
    if (!r->chain.n || p->stopped || !prompts_may_restore(i))
        return false;
    const struct prompt_file *f =
        prompt_store_find(p->prompts->store, p->identity, &r->chain, &common);
    if (!f || (double)common < SIMILARITY * (double)r->chain.bytes)
        return false;
    const struct conversation *c = conversations_find(&p->conversations, &r->chain, &live);
    if (c && live >= common && engine_has(p, c))
        return false;
    r->promised = tokens_in_common(f, common);
    double gain = f->token_ms * (double)r->promised;
    if (!prompt_costs_worth_restoring(prompt_work_costs(p), f->tokens, gain)) {
        prompt_costs_doubt(prompt_work_costs(p));
        return false;
    }
    r->saved_ms = gain;
    r->file = f->number;
    r->since = uv_now(p->prompts->host->loop);
    r->waits_for = p;
    TAILQ_INSERT_TAIL(&p->waiting, r, link);
    prompt_work_arm_patience(p);
    prompt_work_next(p);
    return true;
}

void prompts_cancel(struct prompt_request *r)
{
    if (r->waits_for)
        prompt_work_leave(r);
}

void prompt_request_finish(struct prompt_request *r)
{
    prompts_cancel(r);
    prompt_chain_finish(&r->chain);
}

/* Requests that came meanwhile may have taken the slot: then nothing is known. */
static bool is_evidence(const struct instance_prompts *p, const struct prompt_request *r)
{
    return p->granted == r->order;
}

static void note_use(struct instance_prompts *p, struct prompt_request *r, uint64_t cached)
{
    struct state *state = p->prompts->host->state;
    if (2 * cached >= r->restored) {
        prompt_trust_note_success(state, p->identity, PROMPT_RESTORE);
        prompt_store_used(p->prompts->store, r->file, r->saved_ms);
        return;
    }
    r->restored = 0; /* it was of no use */
    if (is_evidence(p, r)) {
        prompt_store_drop(p->prompts->store, r->file, "the engine used nothing of it");
        prompt_trust_note_failure(state, p->identity, p->instance->model->entry->id,
                                  PROMPT_RESTORE);
        if (prompt_trust_is_lost(state, p->identity))
            prompt_work_turn_off(p, lost);
    }
}

void prompts_blame(struct prompts *p, const struct prompt_request *r)
{
    const struct prompt_file *f = r->restored ? prompt_store_get(p->store, r->file) : NULL;
    if (!f)
        return;
    prompt_trust_note_failure(p->host->state, f->identity, f->model, PROMPT_RESTORE);
    prompt_store_drop(p->store, r->file, "the engine ended when it was used");
}

void prompts_note(struct prompt_request *r, struct instance *i, const struct engine_usage *usage,
                  bool known)
{
    struct instance_prompts *p = i->prompts;
    uint64_t prompt = known && usage->prompt_tokens > 0 ? (uint64_t)usage->prompt_tokens : 0;
    uint64_t cached = known && usage->cached_tokens > 0 ? (uint64_t)usage->cached_tokens : 0;
    uint64_t total = prompt ? prompt + (uint64_t)usage->tokens : 0;
    if (!p || p->off || p->stopped || !r->chain.n)
        return;
    if (known && usage->prompt_ms > 0 && prompt > cached)
        prompt_costs_note_computed(prompt_work_costs(p), prompt - cached, usage->prompt_ms);
    if (known && r->restored && usage->cached_tokens >= 0)
        note_use(p, r, cached);
    if (p->off)
        return;
    struct conversation *c = conversations_note(&p->conversations, &r->chain, prompt, total);
    c->order = r->order;
    if (r->restored > c->saved) {
        const struct prompt_file *f = prompt_store_get(p->prompts->store, r->file);
        c->saved = r->restored;
        c->bytes = f ? f->bytes : 0;
    }
    if (p->identity && c->total &&
        prompt_work_is_worth_saving(p, c, c->total, PROMPT_WHILE_RUNNING))
        p->wants_keep = true;
    prompt_work_tell_scheduler(p);
    prompt_work_next(p);
}
