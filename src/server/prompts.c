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

#define SLOTS_MAX 64
#define ANSWER_MAX ((size_t)1 << 20) /* the list of slots says much of each one's last request */
#define LIST_MS 5000
#define SAVE_MS 60000
#define SIMILARITY 0.15 /* of a prompt: engines use a slot that holds a tenth of it or more */
#define MISSES_MAX 2

/* Of the state folder: identities of which nothing was used that was restored. */
#define SECTION "prompts"
#define REMEMBERED 500
#define NOTHING_USED "engines of this build use nothing of what is restored"

struct prompts {
    struct host *host;
    struct prompt_store *store;
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
    uv_timer_t patience;            /* of that one */
    enum step step;
    enum aim aim;
    bool wants_keep, wants_leave;
    bool discard; /* nothing is saved any more */
    struct http_fetch *fetch;
    struct engine_slot slot[SLOTS_MAX];
    int slots;       /* of `slot`; how many the engine has, by its last list */
    int at;          /* in SAVES, RESTORES: index of the slot */
    uint64_t number; /* in LENDS, RESTORES: the file's, in SAVES the conversation's */
    uint64_t began;  /* uv_now() */
    char path[4096]; /* of the file that is written or read */
    struct prompts_saved saved;
    unsigned misses; /* restored prompts, in a row, of which the engine used nothing */
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
    conversations_clear(&p->conversations);
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

static void leave(struct prompt_request *r)
{
    struct instance_prompts *p = r->waits_for;
    TAILQ_REMOVE(&p->waiting, r, link);
    r->waits_for = NULL;
    if (p->serving != r)
        return;
    p->serving = NULL;
    uv_timer_stop(&p->patience);
}

static void let_go(struct prompt_request *r, bool gone)
{
    leave(r);
    r->ready(r, gone);
}

/* What was begun is over. */
static void finish(struct instance_prompts *p)
{
    enum aim aim = p->aim;
    set_step(p, IDLE);
    tell_scheduler(p);
    if (aim == AIM_LEAVE) {
        p->wants_leave = false;
        host_sched_event(p->prompts->host, &(struct sched_event){.type = SCHED_EV_SAVED,
                                                                 .instance = &p->instance->sched});
        return; /* it is being stopped now */
    }
    if (aim == AIM_RESTORE && p->serving)
        let_go(p->serving, false);
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
    struct prompt_costs *costs = costs_of(p);
    prompt_costs_note_saved(costs, tokens, bytes, step_ms(p));
    p->saved.conversations++;
    p->saved.tokens += tokens;
    p->saved.bytes += bytes;
    p->saved.gain_ms += costs->token * (double)(tokens - c->saved);
    c->saved = tokens;
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
    if (status == 501)
        turn_off(p, "its engine says that it cannot save its slots");
    /* Another request may have had the slot in between. */
    if (!c || tokens <= 0 || (uint64_t)tokens != p->slot[p->at].tokens) {
        prompt_store_discard(p->prompts->store, p->path);
        if (c)
            c->saved = c->total; /* not tried again */
    } else {
        note_saved(p, c, (uint64_t)tokens, bytes);
        prompt_store_take(p->prompts->store,
                          &(struct prompt_taking){.path = p->path,
                                                  .identity = p->identity,
                                                  .model = p->instance->model->entry->id,
                                                  .chain = &c->chain,
                                                  .tokens = (uint64_t)tokens,
                                                  .bytes = bytes,
                                                  .token_ms = costs_of(p)->token},
                          NULL, NULL);
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
    bool others_wait = p->aim == AIM_KEEP && (p->wants_leave || !TAILQ_EMPTY(&p->waiting));
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

static void on_restored(int status, const char *body, size_t len, void *ctx)
{
    struct instance_prompts *p = ctx;
    const struct prompt_file *f = prompt_store_get(p->prompts->store, p->number);
    int64_t tokens = status == 200 ? kind_of(p)->parse_done(body, len, ENGINE_SLOT_RESTORE) : -1;
    p->fetch = NULL;
    prompt_store_discard(p->prompts->store, p->path);
    if (tokens > 0 && f && (uint64_t)tokens == f->tokens) {
        prompt_costs_note_restored(costs_of(p), f->tokens, step_ms(p));
        if (p->serving)
            p->serving->restored = p->serving->promised;
    } else if (status > 0) {
        prompt_store_drop(p->prompts->store, p->number, "the engine could not restore it");
        turn_off(p, "its engine could not restore a prompt");
    }
    finish(p);
}

static void on_lent(int rc, void *ctx)
{
    struct instance_prompts *p = ctx;
    if (rc) {
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

static void on_patience(uv_timer_t *timer)
{
    struct instance_prompts *p = timer->data;
    let_go(p->serving, false);
}

/* --- what comes next ----------------------------------------------------------------------------
 */

static void on_list(int status, const char *body, size_t len, void *ctx)
{
    struct instance_prompts *p = ctx;
    int n = status == 200 ? kind_of(p)->parse_list(body, len, p->slot, SLOTS_MAX) : -1;
    p->fetch = NULL;
    p->slots = n > 0 ? n < SLOTS_MAX ? n : SLOTS_MAX : 0;
    if (status == 501 || (status == 200 && n < 0))
        turn_off(p, "its engine does not tell what its slots hold");
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
    struct prompt_request *r = TAILQ_FIRST(&p->waiting);
    uint64_t waited = uv_now(p->prompts->host->loop) - r->since;
    uint64_t patience = (uint64_t)r->saved_ms > waited ? (uint64_t)r->saved_ms - waited : 0;
    p->serving = r;
    uv_timer_start(&p->patience, on_patience, patience, 0);
    begin(p, AIM_RESTORE);
}

static void next(struct instance_prompts *p)
{
    if (p->step != IDLE || !p->instance->client)
        return;
    if (p->wants_leave) {
        p->saved = (struct prompts_saved){0};
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
    if (state_get(p->prompts->host->state, SECTION, identity))
        turn_off(p, NOTHING_USED);
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
    if (!i->prompts)
        return;
    conversations_clear(&i->prompts->conversations);
    tell_scheduler(i->prompts);
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

void prompts_discard(struct instance *i)
{
    if (!i->prompts)
        return;
    i->prompts->discard = true;
    tell_scheduler(i->prompts);
}

void prompts_stop(struct instance *i)
{
    struct instance_prompts *p = i->prompts;
    struct prompt_request *r;
    if (!p)
        return;
    if (p->fetch)
        http_fetch_cancel(p->fetch);
    if (p->step == SAVES || p->step == RESTORES)
        prompt_store_discard(p->prompts->store, p->path);
    prompt_store_forget(p->prompts->store, p);
    p->fetch = NULL;
    p->wants_keep = p->wants_leave = false;
    set_step(p, IDLE);
    while ((r = TAILQ_FIRST(&p->waiting)))
        let_go(r, true);
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
    prompts_stop(i);
    prompt_identity_cancel(p->finding);
    conversations_clear(&p->conversations);
    if (p->own_folder && p->folder)
        prompt_store_remove_folder(p->prompts->store, p->folder);
    free(p->folder);
    free(p->identity);
    i->prompts = NULL;
    uv_close((uv_handle_t *)&p->patience, on_patience_closed);
}

const char *prompts_off(const struct instance *i)
{
    return i->prompts ? i->prompts->off : "prompts are not saved (--prompt-cache off)";
}

const struct prompts_saved *prompts_last_saved(const struct instance *i)
{
    static const struct prompts_saved none;
    return i->prompts ? &i->prompts->saved : &none;
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
    if (!r->chain.n || !prompts_may_restore(i) || engine_state(i->engine) == ENGINE_SLEEPING)
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
    if (!prompt_costs_worth_restoring(costs_of(p), f->tokens, gain))
        return false;
    r->saved_ms = gain;
    r->file = f->number;
    r->since = uv_now(p->prompts->host->loop);
    r->waits_for = p;
    TAILQ_INSERT_TAIL(&p->waiting, r, link);
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

/* A model of which nothing is used is left alone: see prompts.h. */
static void note_use(struct instance_prompts *p, const struct prompt_request *r, uint64_t cached)
{
    if (2 * cached >= r->restored) {
        p->misses = 0;
        prompt_store_used(p->prompts->store, r->file, r->saved_ms);
        return;
    }
    prompt_store_drop(p->prompts->store, r->file, "the engine used nothing of it");
    if (++p->misses < MISSES_MAX)
        return;
    state_set(p->prompts->host->state, SECTION, p->identity,
              json_pack("{s:s}", "model", p->instance->model->entry->id), REMEMBERED);
    turn_off(p, NOTHING_USED);
}

void prompts_note(struct prompt_request *r, struct instance *i, const struct engine_usage *usage,
                  bool known)
{
    struct instance_prompts *p = i->prompts;
    uint64_t prompt = known && usage->prompt_tokens > 0 ? (uint64_t)usage->prompt_tokens : 0;
    uint64_t cached = known && usage->cached_tokens > 0 ? (uint64_t)usage->cached_tokens : 0;
    uint64_t total = prompt ? prompt + (uint64_t)usage->tokens : 0;
    if (!p || p->off || !r->chain.n)
        return;
    if (known && usage->prompt_ms > 0 && prompt > cached)
        prompt_costs_note_computed(costs_of(p), prompt - cached, usage->prompt_ms);
    if (known && r->restored && usage->cached_tokens >= 0)
        note_use(p, r, cached);
    if (p->off)
        return;
    struct conversation *c = conversations_note(&p->conversations, &r->chain, prompt, total);
    if (r->restored > c->saved)
        c->saved = r->restored;
    if (p->identity && c->total && is_worth_saving(p, c, c->total, PROMPT_WHILE_RUNNING))
        p->wants_keep = true;
    tell_scheduler(p);
    next(p);
}
