/* SPDX-License-Identifier: MIT */
#include "api/meter.h"

#include <stdlib.h>
#include <string.h>

#include "base/container_of.h"
#include "base/memory.h"

const struct histogram_scale meter_queue_scale = {
    13, {0.005, 0.01, 0.05, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300}};
const struct histogram_scale meter_first_token_scale = {
    16, {0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10}};
const struct histogram_scale meter_token_scale = {
    13, {0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5}};
const struct histogram_scale meter_duration_scale = {
    14, {0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92}};
const struct histogram_scale meter_load_scale = {
    12, {0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 60, 120, 300}};

/* --- a model's figures ---------------------------------------------------------------------------
 */

static struct meter_model *add(struct meter *m, const char *id)
{
    struct meter_model *new = mem_zalloc(sizeof *new);
    new->id = mem_strdup(id);
    m->model[m->n_models++] = new;
    return new;
}

/* `id` of a model that there is, or was when its request began. */
static struct meter_model *figures_of(struct meter *m, const char *id)
{
    struct meter_model *found = m->last;
    if (found && strcmp(found->id, id) == 0)
        return found;
    HASH_FIND_STR(m->by_id, id, found);
    if (!found && m->n_models > METER_MODELS_MAX)
        return m->model[0];
    if (!found) {
        found = add(m, id);
        HASH_ADD_KEYPTR(hh, m->by_id, found->id, strlen(found->id), found);
    }
    m->last = found;
    return found;
}

void meter_take_models(struct meter *m)
{
    struct model *model;
    for (size_t i = 0; (model = host_at(m->host, i)); i++)
        if (model->sched.waiting || model_instance(model))
            figures_of(m, model->entry->id);
}

/* --- requests ------------------------------------------------------------------------------------
 */

static struct meter_answers *find_answers(struct meter_model *figures, const char *route,
                                          int status)
{
    struct meter_answers *a = figures->answers, *end = a + figures->n_answers;
    while (a < end && (a->route != route || a->status != status))
        a++;
    return a < end ? a : NULL;
}

static struct meter_answers *add_answers(struct meter_model *figures, const char *route, int status)
{
    struct meter_answers *a = &figures->answers[figures->n_answers++];
    *a = (struct meter_answers){.route = route, .operation = operation_of(route), .status = status};
    return a;
}

/* Returns what was asked. */
static enum operation count_answer(struct meter_model *figures, const char *route, int status)
{
    struct meter_answers *a = find_answers(figures, route, status);
    if (!a && figures->n_answers >= METER_ANSWERS_MAX - 1) {
        route = METER_OTHER;
        status = METER_OTHER_STATUS;
        a = find_answers(figures, route, status);
    }
    if (!a)
        a = add_answers(figures, route, status);
    a->n++;
    return a->operation;
}

static void count_refusal(struct meter *m, const char *reason)
{
    const unsigned max = sizeof m->refusals / sizeof *m->refusals;
    unsigned i = 0;
    while (i < m->n_refusals && m->refusals[i].reason != reason &&
           strcmp(m->refusals[i].reason, reason) != 0)
        i++;
    if (i == max)
        return;
    m->n_refusals += i == m->n_refusals;
    m->refusals[i].reason = reason;
    m->refusals[i].n++;
}

static void count_tokens(struct meter_model *figures, const struct request_record *e)
{
    const struct engine_usage *said = &e->usage.said;
    uint64_t *tokens = figures->tokens;
    if (!e->usage.known)
        return;
    uint64_t input = said->prompt_tokens > 0 ? (uint64_t)said->prompt_tokens : 0;
    uint64_t cached = said->cached_tokens > 0 ? (uint64_t)said->cached_tokens : 0;
    cached = cached < input ? cached : input;
    tokens[METER_INPUT] += input;
    tokens[METER_OUTPUT] += said->tokens > 0 ? (uint64_t)said->tokens : 0;
    tokens[METER_CACHED] += cached;
    tokens[METER_RESTORED] += e->restored;
    tokens[METER_COMPUTED] += input - cached;
}

static double seconds(uint64_t from, uint64_t until)
{
    return (double)(until - from) / 1000;
}

/* Negative: not known. A stream's is measured between its first and its last byte, another answer's is the engine's own. */
static double time_of_token(const struct request_record *e)
{
    const struct engine_usage *said = &e->usage.said;
    if (!e->usage.known || said->tokens < 2)
        return -1;
    if (e->streams && e->first_byte)
        return seconds(e->first_byte, e->ended) / (double)(said->tokens - 1);
    return said->tokens_per_second > 0 ? 1 / said->tokens_per_second : -1;
}

static void measure(struct meter_model *figures, const struct request_record *e,
                    enum operation operation)
{
    double token = time_of_token(e);
    if (e->usage.kind)
        figures->provider = e->usage.kind->name;
    if (e->granted)
        histogram_add(&figures->queue, &meter_queue_scale, seconds(e->arrived, e->granted));
    if (e->end != REQUEST_ANSWERED)
        return;
    histogram_add(&figures->duration[operation], &meter_duration_scale,
                  seconds(e->arrived, e->ended));
    if (e->streams && e->first_byte)
        histogram_add(&figures->first_token[operation], &meter_first_token_scale,
                      seconds(e->arrived, e->first_byte));
    if (token >= 0)
        histogram_add(&figures->token[operation], &meter_token_scale, token);
}

/* Names that clients made up have no figures: only `not_found` leaves one in the record. */
static bool has_model(const struct request_record *e)
{
    return e->model && (e->end != REQUEST_REFUSED || strcmp(e->error, "not_found") != 0);
}

static void on_ended(struct request_observer *o, const struct request_record *e)
{
    struct meter *m = container_of(o, struct meter, observer);
    struct meter_model *figures = has_model(e) ? figures_of(m, e->model) : m->model[0];
    const enum operation operation = count_answer(figures, e->route, e->status);
    if (e->end == REQUEST_REFUSED)
        count_refusal(m, e->refusal);
    if (!e->infers)
        return;
    count_tokens(figures, e);
    measure(figures, e, operation);
}

/* --- engines -------------------------------------------------------------------------------------
 */

static void on_ready(struct meter_model *figures, const struct instance *i, uint64_t now)
{
    if (figures->loading != i) /* it is awake again */
        return;
    figures->loading = NULL;
    figures->loads[METER_READY]++;
    histogram_add(&figures->load, &meter_load_scale, seconds(figures->spawned, now));
}

static void on_gone(struct meter_model *figures, const struct model *model,
                    const struct instance *i)
{
    bool failed = outcome_is_failure(&model->outcome) || model->outcome.reason == OUTCOME_NO_ROOM;
    if (!i || figures->loading == i)
        figures->loads[failed ? METER_FAILED : METER_CANCELLED]++;
    if (figures->loading == i)
        figures->loading = NULL;
    if (i)
        figures->stops[model->outcome.reason]++;
}

static void on_host_event(struct host_listener *l, enum host_event event, struct model *model,
                          struct instance *i)
{
    struct meter *m = container_of(l, struct meter, listener);
    const uint64_t now = uv_now(host_loop(m->host));
    switch (event) {
    case HOST_EV_SPAWNED: {
        struct meter_model *figures = figures_of(m, model->entry->id);
        figures->loading = i;
        figures->spawned = now;
        return;
    }
    case HOST_EV_READY:
        on_ready(figures_of(m, model->entry->id), i, now);
        return;
    case HOST_EV_GONE:
        on_gone(figures_of(m, model->entry->id), model, i);
        return;
    case HOST_EV_LOADING:
    case HOST_EV_SLEEPING:
    case HOST_EV_SAVING:
    case HOST_EV_STOPPING:
    case HOST_EV_STAYS:
    case HOST_EV_INTENT:
    case HOST_EV_LEARNED:
    case HOST_EV_SNAPSHOT:
    case HOST_EV_RELOADED:
    case HOST_EV_SHUTDOWN:
        return;
    }
}

/* --- exchanges -----------------------------------------------------------------------------------
 */

/* Those that clients may choose among without a route are few. */
static const char *known_method(const char *method)
{
    static const char *const usual[] = {"GET", "POST", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH"};
    for (size_t i = 0; i < sizeof usual / sizeof *usual; i++)
        if (strcmp(method, usual[i]) == 0)
            return usual[i];
    return METER_OTHER;
}

/* NULL: its route's. */
static const char *method_of(const struct http_exchange *x, const struct http_figures *figures)
{
    if (figures->is_head)
        return "HEAD";
    if (figures->tag)
        return NULL;
    return http_exchange_head(x)->complete ? known_method(http_exchange_method(x)) : METER_OTHER;
}

static bool is_same(const struct meter_exchanges *e, unsigned tag, const char *method, int status)
{
    return e->tag == tag && e->status == status &&
           (e->method == method || (e->method && method && strcmp(e->method, method) == 0));
}

/* NULL: there are none yet. */
static struct meter_exchanges *find_exchanges(struct meter *m, unsigned tag, const char *method,
                                              int status)
{
    for (unsigned i = 0; i < m->n_exchanges; i++) {
        if (is_same(&m->exchanges[i], tag, method, status)) {
            m->last_of_tag[tag] = i + 1;
            return &m->exchanges[i];
        }
    }
    return NULL;
}

static struct meter_exchanges *add_exchanges(struct meter *m, unsigned tag, const char *method,
                                             int status)
{
    struct meter_exchanges *e = &m->exchanges[m->n_exchanges++];
    *e = (struct meter_exchanges){.tag = tag, .method = method, .status = status};
    return e;
}

static void count_exchange(struct meter *m, unsigned tag, const char *method, int status)
{
    struct meter_exchanges *e = find_exchanges(m, tag, method, status);
    if (!e && m->n_exchanges >= METER_EXCHANGES_MAX - 1) {
        e = find_exchanges(m, 0, METER_OTHER, METER_OTHER_STATUS);
        if (!e)
            e = add_exchanges(m, 0, METER_OTHER, METER_OTHER_STATUS);
    }
    if (!e)
        e = add_exchanges(m, tag, method, status);
    e->n++;
}

void meter_note_exchange(struct meter *m, const struct http_exchange *x,
                         const struct http_figures *figures)
{
    const unsigned last = m->last_of_tag[figures->tag];
    struct meter_exchanges *e = last ? &m->exchanges[last - 1] : NULL;
    /* Mostly it is as the last one of its route was. */
    if (e && figures->tag && !e->method && !figures->is_head && e->status == figures->status)
        e->n++;
    else
        count_exchange(m, figures->tag, method_of(x, figures), figures->status);
}

void meter_note_download(struct meter *m, enum downloads_event event,
                         const struct downloads_item *item)
{
    if (event == DOWNLOADS_EV_FINISHED)
        m->downloads[METER_DOWNLOADED]++;
    else if (event == DOWNLOADS_EV_FAILED)
        m->downloads[item->cancelled ? METER_DOWNLOAD_CANCELLED : METER_NOT_DOWNLOADED]++;
}

/* --- the whole -----------------------------------------------------------------------------------
 */

struct meter *meter_create(struct host *host, struct request_log *requests)
{
    struct meter *m = mem_zalloc(sizeof *m);
    m->host = host;
    m->requests = requests;
    m->observer.ended = on_ended;
    m->listener.on_event = on_host_event;
    add(m, METER_OTHER);
    if (requests)
        request_log_observe(requests, &m->observer);
    if (host)
        host_listen(host, &m->listener);
    return m;
}

static void destroy_figures(struct meter_model *figures)
{
    free(figures->id);
    free(figures);
}

void meter_destroy(struct meter *m)
{
    if (!m)
        return;
    if (m->requests)
        request_log_unobserve(m->requests, &m->observer);
    if (m->host)
        host_unlisten(m->host, &m->listener);
    HASH_CLEAR(hh, m->by_id);
    for (unsigned i = 0; i < m->n_models; i++)
        destroy_figures(m->model[i]);
    free(m);
}
