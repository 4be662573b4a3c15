/* SPDX-License-Identifier: MIT */
#include "server/prompt_work.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "http/fetch.h"
#include "server/host_core.h"
#include "server/instance.h"
#include "server/model.h"
#include "server/prompt_store.h"
#include "server/prompt_trust.h"

#define ANSWER_MAX ((size_t)1 << 20) /* the list of slots says much of each one's last request */
#define LIST_MS 5000
#define WAKE_MS                                                                                    \
    600000 /* it loads its model; a request waits for that no longer than computing would take */
#define SAVE_MS 60000
#define SAVE_FAILURES_MAX 3

/* --- what is worth it ---------------------------------------------------------------------------
 */

struct prompt_costs *prompt_work_costs(const struct instance_prompts *p)
{
    return &p->instance->model->learned.prompts;
}

static bool is_shared(const struct instance_prompts *p)
{
    const struct engine_launch *l = p->instance->launch;
    return l->program->kind->slots->shares_context(&l->args);
}

bool prompt_work_is_worth_saving(const struct instance_prompts *p, const struct conversation *c,
                                 uint64_t tokens, enum prompt_moment moment)
{
    const struct prompt_costs *costs = prompt_work_costs(p);
    uint64_t bytes = (uint64_t)(costs->bytes * (double)tokens);
    return !p->discard && prompt_costs_worth_saving(costs, tokens, c->saved, moment) &&
           prompt_store_wants(p->prompts->store, bytes, costs->token * (double)tokens);
}

/* How many conversations the slots may hold: where they share one context, idle ones are moved out of it when another
 * request comes. */
unsigned prompt_work_held_at_once(const struct instance_prompts *p)
{
    bool moves = is_shared(p) && p->instance->model->learned.footprint.growth;
    return moves || p->slots < 1 ? 1 : (unsigned)p->slots;
}

/* Tells the scheduler what a stop would have to save. */
void prompt_work_tell_scheduler(const struct instance_prompts *p)
{
    const struct conversation *c;
    const struct prompt_costs *costs = prompt_work_costs(p);
    unsigned left = prompt_work_held_at_once(p);
    double gain = 0, cost = 0;
    if (p->off || !p->identity)
        return;
    TAILQ_FOREACH (c, &p->conversations.list, link) {
        if (!left--)
            break;
        if (!c->total || !prompt_work_is_worth_saving(p, c, c->total, PROMPT_AT_STOP))
            continue;
        gain += costs->token * (double)(c->total - c->saved);
        cost += prompt_costs_save(costs, c->total);
    }
    p->instance->sched.save_gain_ms = (uint64_t)gain;
    p->instance->sched.save_cost_ms = (uint64_t)cost;
}

void prompt_work_turn_off(struct instance_prompts *p, const char *why)
{
    if (p->off)
        return;
    p->off = why;
    conversations_clear(&p->conversations); /* frees those that callers have */
    p->wants_keep = false;
    p->instance->sched.save_gain_ms = 0;
    log_info("model %s: its prompts are not saved: %s", p->instance->model->entry->id, why);
}

/* --- steps --------------------------------------------------------------------------------------
 */

void prompt_work_set_step(struct instance_prompts *p, enum step step)
{
    p->step = step;
    p->began = uv_now(p->prompts->host->loop);
}

static double step_ms(const struct instance_prompts *p)
{
    return (double)(uv_now(p->prompts->host->loop) - p->began);
}

static const struct engine_slots *kind_of(const struct instance_prompts *p)
{
    return p->instance->launch->program->kind->slots;
}

static void name_file(struct instance_prompts *p)
{
    char name[PROMPT_ENGINE_FILE];
    prompt_store_name_file(p->prompts->store, name);
    snprintf(p->path, sizeof p->path, "%s/%s", p->folder, name);
}

/* The file is at p->path. */
static void ask_slot(struct instance_prompts *p, enum engine_slot_deed deed, http_fetch_done *done)
{
    char target[64], body[128];
    const char *name = strrchr(p->path, '/') + 1;
    kind_of(p)->path(target, sizeof target, p->slot[p->at].id, deed);
    kind_of(p)->body(body, sizeof body, name);
    p->fetch = http_fetch(p->prompts->host->loop, p->instance->client,
                          &(struct http_fetch_request){.method = "POST",
                                                       .target = target,
                                                       .body = body,
                                                       .max = ANSWER_MAX,
                                                       .timeout_ms = SAVE_MS},
                          done, p);
}

/* --- who waits -----------------------------------------------------------------------------------
 */

static void on_patience(uv_timer_t *timer);

static uint64_t patience_ends(const struct prompt_request *r)
{
    return r->since + (uint64_t)r->saved_ms;
}

void prompt_work_arm_patience(struct instance_prompts *p)
{
    const struct prompt_request *r;
    uint64_t now = uv_now(p->prompts->host->loop), at = UINT64_MAX;
    TAILQ_FOREACH (r, &p->waiting, link)
        if (patience_ends(r) < at)
            at = patience_ends(r);
    if (TAILQ_EMPTY(&p->waiting))
        uv_timer_stop(&p->patience);
    else
        uv_timer_start(&p->patience, on_patience, at > now ? at - now : 0, 0);
}

void prompt_work_leave(struct prompt_request *r)
{
    struct instance_prompts *p = r->waits_for;
    TAILQ_REMOVE(&p->waiting, r, link);
    r->waits_for = NULL;
    if (p->serving == r)
        p->serving = NULL;
    prompt_work_arm_patience(p);
}

/* Anything may happen in `ready`, also the end of the instance; `p` itself is freed in another turn of the loop. */
static void let_go(struct prompt_request *r, bool gone)
{
    prompt_work_leave(r);
    r->ready(r, gone);
}

void prompt_work_let_all_go(struct instance_prompts *p, bool gone)
{
    struct prompt_request *r;
    while ((r = TAILQ_FIRST(&p->waiting)))
        let_go(r, gone);
}

static struct prompt_request *find_impatient(const struct instance_prompts *p)
{
    struct prompt_request *r;
    TAILQ_FOREACH (r, &p->waiting, link)
        if (patience_ends(r) <= uv_now(p->prompts->host->loop))
            return r;
    return NULL;
}

/* Whatever the engine is doing, and for whom: computing anew would be done by now. */
static void on_patience(uv_timer_t *timer)
{
    struct instance_prompts *p = timer->data;
    struct prompt_request *r;
    while ((r = find_impatient(p)))
        let_go(r, false);
    if (!TAILQ_EMPTY(&p->waiting))
        prompt_work_arm_patience(p);
}

/* What was begun is over. */
static void finish(struct instance_prompts *p)
{
    enum aim aim = p->aim;
    prompt_work_set_step(p, IDLE);
    prompt_work_tell_scheduler(p);
    /* The stop may have been called off since, and decided again. */
    if (aim == AIM_LEAVE && !p->wants_leave)
        host_sched_event(p->prompts->host, &(struct sched_event){.type = SCHED_EV_SAVED,
                                                                 .instance = &p->instance->sched});
    if (aim == AIM_RESTORE && p->serving)
        let_go(p->serving, false);
    if (p->off)
        prompt_work_let_all_go(p, false);
    prompt_work_next(p);
}

/* --- saving -------------------------------------------------------------------------------------
 */

static void save_next(struct instance_prompts *p);
static void lend(struct instance_prompts *p);

static struct conversation *saving_one(const struct instance_prompts *p)
{
    return conversations_get(&p->conversations, p->number);
}

static void note_saved(struct instance_prompts *p, struct conversation *c, uint64_t tokens,
                       uint64_t bytes)
{
    prompt_costs_note_saved(prompt_work_costs(p), tokens, bytes, step_ms(p));
    c->saved = tokens;
    c->bytes = bytes;
}

/* It is not tried again with these tokens. */
static void note_not_saved(struct instance_prompts *p, struct conversation *c, int status)
{
    c->saved = c->total;
    if (status == 501)
        prompt_work_turn_off(p, "its engine says that it cannot save its slots");
    else if (status != 200 && ++p->save_failures >= SAVE_FAILURES_MAX)
        prompt_work_turn_off(p, "its engine could not save its slots, several times in a row");
}

static void take(struct instance_prompts *p, const struct conversation *c, uint64_t tokens,
                 uint64_t bytes)
{
    prompt_store_take(p->prompts->store,
                      &(struct prompt_taking){.path = p->path,
                                              .identity = p->identity,
                                              .model = p->instance->model->entry->id,
                                              .chain = &c->chain,
                                              .tokens = tokens,
                                              .bytes = bytes,
                                              .token_ms = prompt_work_costs(p)->token},
                      NULL, NULL);
}

static void on_saved(int status, const char *body, size_t len, void *ctx)
{
    struct instance_prompts *p = ctx;
    struct conversation *c = saving_one(p);
    int64_t tokens = status == 200 ? kind_of(p)->parse_done(body, len, ENGINE_SLOT_SAVE) : -1;
    uint64_t bytes = tokens > 0 ? kind_of(p)->parse_bytes(body, len) : 0;
    p->fetch = NULL;
    if (c)
        c->saving = false;
    /* Another request may have had the slot in between. */
    if (c && !p->discard && tokens > 0 && (uint64_t)tokens == p->slot[p->at].tokens) {
        p->save_failures = 0;
        prompt_trust_note_success(p->prompts->host->state, p->identity, PROMPT_SAVE);
        note_saved(p, c, (uint64_t)tokens, bytes);
        take(p, c, (uint64_t)tokens, bytes);
    } else {
        prompt_store_discard(p->prompts->store, p->path);
        if (c)
            note_not_saved(p, c, status);
    }
    if (p->aim == AIM_RESTORE)
        lend(p);
    else
        save_next(p);
}

static void save_slot(struct instance_prompts *p, int at, struct conversation *c)
{
    p->at = at;
    p->number = c->number;
    c->saving = true;
    name_file(p);
    prompt_work_set_step(p, SAVES);
    ask_slot(p, ENGINE_SLOT_SAVE, on_saved);
}

static struct conversation *worth_saving(const struct instance_prompts *p, int at,
                                         enum prompt_moment moment)
{
    struct conversation *c =
        conversations_of_slot(&p->conversations, &p->slot[at], p->slot, p->slots);
    return c && !c->saving && prompt_work_is_worth_saving(p, c, p->slot[at].tokens, moment) ? c
                                                                                            : NULL;
}

/* The next slot that is worth it, after p->at. */
static void save_next(struct instance_prompts *p)
{
    enum prompt_moment moment = p->aim == AIM_LEAVE ? PROMPT_AT_STOP : PROMPT_WHILE_RUNNING;
    bool others_wait = p->wants_leave || !TAILQ_EMPTY(&p->waiting);
    for (int at = p->at + 1; at < p->slots && !others_wait && !p->off; at++) {
        struct conversation *c = worth_saving(p, at, moment);
        if (c) {
            save_slot(p, at, c);
            return;
        }
    }
    finish(p);
}

/* --- restoring ----------------------------------------------------------------------------------
 */

/* What it may do after it could not restore a prompt is not known (llama.cpp #27068). */
static void note_not_restored(struct instance_prompts *p, int status)
{
    const char *why = status ? "the engine could not restore it"
                             : "the engine gave no answer when it was restored";
    prompt_trust_note_failure(p->prompts->host->state, p->identity, p->instance->model->entry->id,
                              PROMPT_RESTORE);
    prompt_store_drop(p->prompts->store, p->number, why);
    prompt_work_turn_off(p, "its engine could not restore a prompt");
}

static void on_restored(int status, const char *body, size_t len, void *ctx)
{
    struct instance_prompts *p = ctx;
    int64_t tokens = status == 200 ? kind_of(p)->parse_done(body, len, ENGINE_SLOT_RESTORE) : -1;
    p->fetch = NULL;
    prompt_store_discard(p->prompts->store, p->path);
    if (tokens > 0 && (uint64_t)tokens == p->tokens) {
        prompt_costs_note_restored(prompt_work_costs(p), p->tokens, step_ms(p));
        p->unlisted[p->at] = p->tokens;
        if (p->serving)
            p->serving->restored = p->serving->promised;
    } else if (status >= 0) { /* else for want of our own resources */
        note_not_restored(p, status);
    }
    finish(p);
}

static void on_lent(int rc, void *ctx)
{
    struct instance_prompts *p = ctx;
    if (rc || !p->serving) { /* nobody waits for it any more */
        if (!rc)
            prompt_store_discard(p->prompts->store, p->path);
        finish(p);
        return;
    }
    prompt_work_set_step(p, RESTORES);
    ask_slot(p, ENGINE_SLOT_RESTORE, on_restored);
}

static uint64_t tokens_of_all(const struct instance_prompts *p)
{
    uint64_t sum = 0;
    for (int s = 0; s < p->slots; s++)
        sum += p->slot[s].tokens;
    return sum;
}

/* Slots that share one context hold no more than that together. */
static bool has_room(const struct instance_prompts *p, int at, uint64_t tokens)
{
    const struct engine_slot *s = &p->slot[at];
    uint64_t others = is_shared(p) ? tokens_of_all(p) - s->tokens : 0;
    return !s->busy && others + tokens < s->context;
}

/*
 * Into an empty slot, the last one: engines give other requests the first of several that were not used. Else into the one whose
 * content was used the longest ago but one, which no other request gets next; -1: all are busy, or too small.
 */
static int choose_slot(const struct instance_prompts *p, uint64_t tokens)
{
    int oldest = -1, chosen = -1;
    for (int at = p->slots - 1; at >= 0; at--) {
        if (!has_room(p, at, tokens))
            continue;
        if (!p->slot[at].tokens)
            return at;
        if (oldest < 0 || p->slot[at].task < p->slot[oldest].task) {
            chosen = oldest;
            oldest = at;
        } else if (chosen < 0 || p->slot[at].task < p->slot[chosen].task) {
            chosen = at;
        }
    }
    return chosen >= 0 ? chosen : oldest;
}

/* The file for the request that is being served; NULL: one of them is gone. */
static const struct prompt_file *wanted_file(const struct instance_prompts *p)
{
    return p->serving ? prompt_store_get(p->prompts->store, p->serving->file) : NULL;
}

/* Into the slot p->at. */
static void lend(struct instance_prompts *p)
{
    const struct prompt_file *f = p->off ? NULL : wanted_file(p);
    if (!f) {
        finish(p);
        return;
    }
    p->number = f->number;
    p->tokens = f->tokens;
    name_file(p);
    prompt_work_set_step(p, LENDS);
    prompt_store_lend(p->prompts->store, f->number, p->path, on_lent, p);
}

/* What the slot holds is saved before it is lost. */
static void restore(struct instance_prompts *p)
{
    const struct prompt_file *f = wanted_file(p);
    p->at = f ? choose_slot(p, f->tokens) : -1;
    if (p->at < 0) {
        finish(p);
        return;
    }
    struct conversation *c = worth_saving(p, p->at, PROMPT_AT_STOP);
    if (c)
        save_slot(p, p->at, c);
    else
        lend(p);
}

/* --- what comes next ----------------------------------------------------------------------------
 */

/* An engine tells nothing of a slot that had no task, also when something was restored to it. */
static void add_unlisted(struct instance_prompts *p)
{
    for (int at = 0; at < p->slots; at++) {
        struct engine_slot *s = &p->slot[at];
        if (s->task < 0 && !s->tokens)
            s->tokens = p->unlisted[at];
        else
            p->unlisted[at] = 0;
    }
}

static void on_list(int status, const char *body, size_t len, void *ctx)
{
    struct instance_prompts *p = ctx;
    int n = status == 200 ? kind_of(p)->parse_list(body, len, p->slot, PROMPT_SLOTS_MAX) : -1;
    p->fetch = NULL;
    p->slots = n > 0 ? n < PROMPT_SLOTS_MAX ? n : PROMPT_SLOTS_MAX : 0;
    if (status == 501 || (status == 200 && n < 0))
        prompt_work_turn_off(p, "its engine does not tell what its slots hold");
    add_unlisted(p);
    p->at = -1;
    if (p->aim == AIM_RESTORE)
        restore(p);
    else
        save_next(p);
}

static void begin(struct instance_prompts *p, enum aim aim)
{
    bool sleeps = engine_state(p->instance->engine) == ENGINE_SLEEPING; /* the question wakes it */
    p->aim = aim;
    prompt_work_set_step(p, LISTS);
    p->fetch = http_fetch(p->prompts->host->loop, p->instance->client,
                          &(struct http_fetch_request){.method = "GET",
                                                       .target = kind_of(p)->list_path,
                                                       .max = ANSWER_MAX,
                                                       .timeout_ms = sleeps ? WAKE_MS : LIST_MS},
                          on_list, p);
}

static void begin_restore(struct instance_prompts *p)
{
    p->serving = TAILQ_FIRST(&p->waiting);
    begin(p, AIM_RESTORE);
}

void prompt_work_next(struct instance_prompts *p)
{
    if (p->step != IDLE || p->stopped || !p->instance->client)
        return;
    if (p->wants_leave) {
        p->wants_leave = false;
        begin(p, AIM_LEAVE);
    } else if (!TAILQ_EMPTY(&p->waiting)) {
        begin_restore(p);
    } else if (p->wants_keep) {
        p->wants_keep = false;
        begin(p, AIM_KEEP);
    }
}
