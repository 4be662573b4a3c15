/* SPDX-License-Identifier: MIT */
#include "server/prompts.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "http/fetch.h"
#include "server/conversations.h"
#include "server/host_core.h"
#include "server/instance.h"
#include "server/model.h"
#include "server/prompt_identity.h"
#include "server/prompt_store.h"
#include "server/prompt_trust.h"

#define SLOTS_MAX 64
#define ANSWER_MAX ((size_t)1 << 20) /* the list of slots says much of each one's last request */
#define LIST_MS 5000
#define SAVE_MS 60000
#define SIMILARITY 0.15 /* of a prompt: engines use a slot that holds a tenth of it or more */
#define SAVE_FAILURES_MAX 3
#define LOST "with this build and these arguments, prompts could not be saved or were of no use"

struct prompts {
    struct host *host;
    struct prompt_store *store;
    char *problem; /* NULL */
};

/* What is being done with the engine's slots. Changed by set_step() alone. */
enum step {
    IDLE,
    LISTS,    /* it was asked what its slots hold */
    SAVES,    /* one slot is being written */
    LENDS,    /* the store makes a file readable */
    RESTORES, /* it is being read */
};

/* What for. */
enum aim {
    AIM_KEEP,    /* save what is worth it while the engine runs */
    AIM_LEAVE,   /* the same before its stop */
    AIM_RESTORE, /* for the first request that waits */
};

struct instance_prompts {
    struct prompts *prompts;
    struct instance *instance; /* NULL: it is gone, and an operation of the pool is still out */
    struct prompt_identity *finding;
    char *identity;  /* NULL: not found yet */
    char *folder;    /* that the engine saves to */
    bool own_folder; /* it is the store's, not the user's */
    const char *off; /* why nothing is saved; NULL */
    struct conversations conversations;
    TAILQ_HEAD(, prompt_request) waiting;
    struct prompt_request *serving; /* of these, the one for which a file is restored; NULL */
    uv_timer_t patience;            /* of the one that waits no longer first */
    enum step step;
    enum aim aim;
    bool wants_keep, wants_leave;
    bool discard; /* nothing is saved any more */
    bool stopped; /* its connections are closed: nothing is begun any more */
    struct http_fetch *fetch;
    struct engine_slot slot[SLOTS_MAX];
    int slots;                    /* of `slot`; how many the engine has, by its last list */
    uint64_t unlisted[SLOTS_MAX]; /* by index: tokens restored to a slot that had no task yet */
    int at;                       /* in SAVES, LENDS, RESTORES: index of the slot */
    uint64_t number;              /* in LENDS, RESTORES: the file's, in SAVES the conversation's */
    uint64_t tokens;        /* in LENDS, RESTORES: the file's, which may be dropped meanwhile */
    uint64_t began;         /* uv_now() */
    char path[4096];        /* of the file that is written or read */
    unsigned save_failures; /* in a row */
    uint64_t granted;       /* requests with a prompt, so far */
};

static void next(struct instance_prompts *p);

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
    const struct prompt_file *f;
    for (size_t i = 0; p->store && (f = prompt_store_at(p->store, i)); i++)
        if (strcmp(f->model, model) == 0)
            return true;
    return false;
}

/* --- what is worth it ---------------------------------------------------------------------------
 */

static struct prompt_costs *costs_of(const struct instance_prompts *p)
{
    return &p->instance->model->learned.prompts;
}

static bool is_shared(const struct instance_prompts *p)
{
    const struct engine_launch *l = p->instance->launch;
    return l->program->kind->slots->shares_context(&l->args);
}

static bool is_worth_saving(const struct instance_prompts *p, const struct conversation *c,
                            uint64_t tokens, enum prompt_moment moment)
{
    const struct prompt_costs *costs = costs_of(p);
    uint64_t bytes = (uint64_t)(costs->bytes * (double)tokens);
    return !p->discard && prompt_costs_worth_saving(costs, tokens, c->saved, moment) &&
           prompt_store_wants(p->prompts->store, bytes, costs->token * (double)tokens);
}

/* How many conversations the slots may hold: where they share one context, idle ones are moved out of it when another
 * request comes. */
static unsigned held_at_once(const struct instance_prompts *p)
{
    bool moves = is_shared(p) && p->instance->model->learned.footprint.growth;
    return moves || p->slots < 1 ? 1 : (unsigned)p->slots;
}

/* Tells the scheduler what a stop would have to save. */
static void tell_scheduler(const struct instance_prompts *p)
{
    const struct conversation *c;
    const struct prompt_costs *costs = costs_of(p);
    unsigned left = held_at_once(p);
    double gain = 0, cost = 0;
    if (p->off || !p->identity)
        return;
    TAILQ_FOREACH (c, &p->conversations.list, link) {
        if (!left--)
            break;
        if (!c->total || !is_worth_saving(p, c, c->total, PROMPT_AT_STOP))
            continue;
        gain += costs->token * (double)(c->total - c->saved);
        cost += prompt_costs_save(costs, c->total);
    }
    p->instance->sched.save_gain_ms = (uint64_t)gain;
    p->instance->sched.save_cost_ms = (uint64_t)cost;
}

static void turn_off(struct instance_prompts *p, const char *why)
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

static void set_step(struct instance_prompts *p, enum step step)
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

static void name_file(struct instance_prompts *p, char *name, size_t size)
{
    uint64_t random[2] = {0};
    (void)uv_random(NULL, NULL, random, sizeof random, 0, NULL);
    snprintf(name, size, "%016" PRIx64 "%016" PRIx64, random[0], random[1]);
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

static void arm_patience(struct instance_prompts *p)
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

static void leave(struct prompt_request *r)
{
    struct instance_prompts *p = r->waits_for;
    TAILQ_REMOVE(&p->waiting, r, link);
    r->waits_for = NULL;
    if (p->serving == r)
        p->serving = NULL;
    arm_patience(p);
}

/* Anything may happen in `ready`, also the end of the instance; `p` itself is freed in another turn of the loop. */
static void let_go(struct prompt_request *r, bool gone)
{
    leave(r);
    r->ready(r, gone);
}

static void let_all_go(struct instance_prompts *p, bool gone)
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
        arm_patience(p);
}

/* What was begun is over. */
static void finish(struct instance_prompts *p)
{
    enum aim aim = p->aim;
    set_step(p, IDLE);
    tell_scheduler(p);
    /* The stop may have been called off since, and decided again. */
    if (aim == AIM_LEAVE && !p->wants_leave)
        host_sched_event(p->prompts->host, &(struct sched_event){.type = SCHED_EV_SAVED,
                                                                 .instance = &p->instance->sched});
    if (aim == AIM_RESTORE && p->serving)
        let_go(p->serving, false);
    if (p->off)
        let_all_go(p, false);
    next(p);
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
    prompt_costs_note_saved(costs_of(p), tokens, bytes, step_ms(p));
    c->saved = tokens;
    c->bytes = bytes;
}

/* It is not tried again with these tokens. */
static void note_not_saved(struct instance_prompts *p, struct conversation *c, int status)
{
    c->saved = c->total;
    if (status == 501)
        turn_off(p, "its engine says that it cannot save its slots");
    else if (status != 200 && ++p->save_failures >= SAVE_FAILURES_MAX)
        turn_off(p, "its engine could not save its slots, several times in a row");
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
                                              .token_ms = costs_of(p)->token},
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
    char name[40];
    p->at = at;
    p->number = c->number;
    c->saving = true;
    name_file(p, name, sizeof name);
    set_step(p, SAVES);
    ask_slot(p, ENGINE_SLOT_SAVE, on_saved);
}

static struct conversation *worth_saving(const struct instance_prompts *p, int at,
                                         enum prompt_moment moment)
{
    struct conversation *c =
        conversations_of_slot(&p->conversations, &p->slot[at], p->slot, p->slots);
    return c && !c->saving && is_worth_saving(p, c, p->slot[at].tokens, moment) ? c : NULL;
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
    turn_off(p, "its engine could not restore a prompt");
}

static void on_restored(int status, const char *body, size_t len, void *ctx)
{
    struct instance_prompts *p = ctx;
    int64_t tokens = status == 200 ? kind_of(p)->parse_done(body, len, ENGINE_SLOT_RESTORE) : -1;
    p->fetch = NULL;
    prompt_store_discard(p->prompts->store, p->path);
    if (tokens > 0 && (uint64_t)tokens == p->tokens) {
        prompt_costs_note_restored(costs_of(p), p->tokens, step_ms(p));
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
    set_step(p, RESTORES);
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
    char name[40];
    if (!f) {
        finish(p);
        return;
    }
    p->number = f->number;
    p->tokens = f->tokens;
    name_file(p, name, sizeof name);
    set_step(p, LENDS);
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
    int n = status == 200 ? kind_of(p)->parse_list(body, len, p->slot, SLOTS_MAX) : -1;
    p->fetch = NULL;
    p->slots = n > 0 ? n < SLOTS_MAX ? n : SLOTS_MAX : 0;
    if (status == 501 || (status == 200 && n < 0))
        turn_off(p, "its engine does not tell what its slots hold");
    add_unlisted(p);
    p->at = -1;
    if (p->aim == AIM_RESTORE)
        restore(p);
    else
        save_next(p);
}

static void begin(struct instance_prompts *p, enum aim aim)
{
    p->aim = aim;
    set_step(p, LISTS);
    p->fetch = http_fetch(p->prompts->host->loop, p->instance->client,
                          &(struct http_fetch_request){.method = "GET",
                                                       .target = kind_of(p)->list_path,
                                                       .max = ANSWER_MAX,
                                                       .timeout_ms = LIST_MS},
                          on_list, p);
}

static void begin_restore(struct instance_prompts *p)
{
    p->serving = TAILQ_FIRST(&p->waiting);
    begin(p, AIM_RESTORE);
}

static void next(struct instance_prompts *p)
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

/* --- of an engine --------------------------------------------------------------------------------
 */

static void on_identity(const char *identity, void *ctx)
{
    struct instance_prompts *p = ctx;
    p->finding = NULL;
    if (!identity) {
        turn_off(p, "a file of its model cannot be read");
        return;
    }
    p->identity = mem_strdup(identity);
    if (prompt_trust_is_lost(p->prompts->host->state, identity))
        turn_off(p, LOST);
    tell_scheduler(p);
}

static const char *find_folder(struct instance_prompts *p, const struct engine_launch *l,
                               struct strv *env)
{
    p->own_folder = l->prompts_variable;
    if (!p->own_folder) {
        p->folder = l->prompts_folder ? mem_strdup(l->prompts_folder) : NULL;
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
    tell_scheduler(p);
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
    next(p);
}

void prompts_turn_off(struct instance *i, const char *why)
{
    if (i->prompts)
        turn_off(i->prompts, why);
}

void prompts_discard(struct instance *i, bool discard)
{
    if (!i->prompts)
        return;
    i->prompts->discard = discard;
    tell_scheduler(i->prompts);
}

void prompts_note_cleared(struct instance *i)
{
    struct conversation *c;
    if (!i->prompts)
        return;
    TAILQ_FOREACH (c, &i->prompts->conversations.list, link)
        c->saved = c->bytes = 0;
    tell_scheduler(i->prompts);
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
    set_step(p, IDLE);
    let_all_go(p, true);
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
    return rank < held_at_once(p) ||
           costs_of(p)->bytes * (double)conversations_tokens_before(&p->conversations, c) <
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
    if (!r->chain.n || p->stopped || !prompts_may_restore(i) ||
        engine_state(i->engine) == ENGINE_SLEEPING)
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
    if (!prompt_costs_worth_restoring(costs_of(p), f->tokens, gain)) {
        prompt_costs_doubt(costs_of(p));
        return false;
    }
    r->saved_ms = gain;
    r->file = f->number;
    r->since = uv_now(p->prompts->host->loop);
    r->waits_for = p;
    TAILQ_INSERT_TAIL(&p->waiting, r, link);
    arm_patience(p);
    next(p);
    return true;
}

void prompts_cancel(struct prompt_request *r)
{
    if (r->waits_for)
        leave(r);
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
            turn_off(p, LOST);
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
        prompt_costs_note_computed(costs_of(p), prompt - cached, usage->prompt_ms);
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
    if (p->identity && c->total && is_worth_saving(p, c, c->total, PROMPT_WHILE_RUNNING))
        p->wants_keep = true;
    tell_scheduler(p);
    next(p);
}
