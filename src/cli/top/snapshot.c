/* SPDX-License-Identifier: MIT */
#include "cli/top/snapshot.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/memory.h"
#include "cli/json.h"
#include "cli/terminal/format_model.h"

#define OVERTAKEN 0.1 /* of a load: a smaller step back is an old answer, a larger one a new load */

void top_snapshot_init(struct top_snapshot *s)
{
    *s = (struct top_snapshot){0};
}

/* --- loads --------------------------------------------------------------------------------------
 */

static struct top_load *load_of(const struct top_snapshot *s, const char *model)
{
    struct top_load *l;
    HASH_FIND_STR(s->loads, model, l);
    return l;
}

static void forget_load(struct top_snapshot *s, struct top_load *l)
{
    // NOLINTNEXTLINE(clang-analyzer-unix.Malloc): it does not follow that HASH_DEL takes it out
    HASH_DEL(s->loads, l);
    free(l->model);
    free(l->stage);
    free(l);
}

/* `progress`: {"stages","current","value"}, or NULL. */
static struct top_load *note_load(struct top_snapshot *s, const char *model, json_t *progress,
                                  uint64_t now)
{
    struct top_load *l = load_of(s, model);
    const char *stage = cli_json_text_or(progress, "current", NULL);
    double fraction = progress_fraction(progress);
    if (!l) {
        l = mem_zalloc(sizeof *l);
        l->model = mem_strdup(model);
        l->fraction = -1;
        HASH_ADD_KEYPTR(hh, s->loads, l->model, strlen(l->model), l);
    }
    /* An event may arrive before an older answer. */
    bool old = fraction < l->fraction && fraction > l->fraction - OVERTAKEN;
    if (fraction >= 0 && !old) {
        l->fraction = fraction;
        progress_rate_add(&l->rate, fraction, now);
        free(l->stage);
        l->stage = stage ? mem_strdup(stage) : NULL;
    }
    return l;
}

static bool is_loading(const char *state)
{
    return strcmp(state, "loading") == 0 || strcmp(state, "starting") == 0;
}

/* A load that the newest list does not have has ended. */
static void note_loads(struct top_snapshot *s, uint64_t now)
{
    struct top_load *l, *next;
    size_t i;
    json_t *engine;
    for (l = s->loads; l; l = l->hh.next)
        l->listed = false;
    for (i = 0; i < s->models.n; i++) {
        const struct router_model *m = &s->models.v[i];
        if (m->state && is_loading(m->state))
            note_load(s, m->id, router_status_get(m, "progress"), now)->listed = true;
    }
    json_array_foreach (json_object_get(s->status, "engines"), i, engine)
        if (is_loading(cli_json_text(engine, "state")))
            note_load(s, cli_json_text(engine, "model"), json_object_get(engine, "progress"), now)
                ->listed = true;
    HASH_ITER (hh, s->loads, l, next)
        if (!l->listed)
            forget_load(s, l);
}

/* --- events -------------------------------------------------------------------------------------
 */

static void event_finish(struct top_event *e)
{
    free(e->model); // NOLINT(clang-analyzer-unix.Malloc): it does not follow add_event()'s memmove
    free(e->text);
    *e = (struct top_event){0};
}

static void forget_events(struct top_snapshot *s)
{
    while (s->n_events)
        event_finish(&s->events[--s->n_events]);
}

/* Takes `text`. */
static void add_event(struct top_snapshot *s, double at, const char *model, char *text)
{
    if (s->n_events == TOP_EVENTS)
        event_finish(&s->events[--s->n_events]);
    memmove(s->events + 1, s->events, s->n_events * sizeof *s->events);
    s->events[0] = (struct top_event){.at = at, .model = mem_strdup(model), .text = text};
    s->n_events++;
}

/* Only the first line of a cause: the engine's last log lines follow it. */
static char *joined(const char *what, const char *why)
{
    return mem_printf("%s%s%.*s", what, *why ? ": " : "", (int)strcspn(why, "\n"), why);
}

/* `recent` has them with their causes, oldest last. */
static void read_recent(struct top_snapshot *s, json_t *recent)
{
    forget_events(s);
    for (size_t i = json_array_size(recent); i--;) {
        json_t *e = json_array_get(recent, i);
        add_event(s, cli_json_number(e, "at"), cli_json_text(e, "model"),
                  joined(cli_json_text(e, "event"), cli_json_text(e, "why")));
    }
}

/* Whether `text` differs from the model's last event. Repeats are progress, or one change under two names. */
static bool is_news(const struct top_snapshot *s, const char *model, const char *text)
{
    for (size_t i = 0; i < s->n_events; i++)
        if (strcmp(s->events[i].model, model) == 0)
            return strcmp(s->events[i].text, text) != 0;
    return true;
}

/* The text of an event; NULL for one that is not shown. The caller frees it. */
static char *event_text(const char *event, json_t *data)
{
    const char *status = cli_json_text(data, "status");
    if (*status) /* model_status, status_change: servers use either for both */
        return joined(status, cli_json_text(data, "reason"));
    if (strcmp(event, "download_progress") == 0)
        return mem_strdup("downloading");
    if (strcmp(event, "download_finished") == 0)
        return mem_strdup("downloaded");
    if (strcmp(event, "download_failed") == 0)
        return joined("download failed", cli_json_text(data, "message"));
    if (strcmp(event, "model_remove") == 0)
        return mem_strdup("removed");
    if (strcmp(event, "models_reload") == 0)
        return mem_strdup("the list of models was read again");
    if (strcmp(event, "hold") == 0 || strcmp(event, "release") == 0 || strcmp(event, "pin") == 0 ||
        strcmp(event, "unpin") == 0)
        return joined(event, cli_json_text(data, "cause"));
    return NULL;
}

bool top_snapshot_event(struct top_snapshot *s, const char *data, double at, uint64_t now)
{
    json_t *frame = json_loads(data, 0, NULL), *more = json_object_get(frame, "data");
    const char *model = cli_json_text(frame, "model"), *status = cli_json_text(more, "status");
    json_t *progress = json_object_get(more, "progress");
    char *text = event_text(cli_json_text(frame, "event"), more);
    bool news = text && is_news(s, model, text);
    /* A load that no list has yet: the lists are out of date. */
    bool unlisted = is_loading(status) && !load_of(s, model);
    if (is_loading(status))
        note_load(s, model, progress, now);
    if (news && !s->tells_recent)
        add_event(s, at, model, mem_strdup(text));
    free(text);
    json_decref(frame);
    return news || unlisted;
}

/* --- answers ------------------------------------------------------------------------------------
 */

static void clear_rows(struct top_snapshot *s)
{
    for (size_t i = 0; i < s->n_rows; i++)
        free(s->rows[i].state);
    free(s->rows);
    s->rows = NULL;
    s->n_rows = 0;
}

void top_snapshot_status(struct top_snapshot *s, json_t *status, uint64_t now)
{
    json_t *recent = json_object_get(status, "recent");
    clear_rows(s); /* they borrow from what is released next */
    json_decref(s->status);
    s->status = json_incref(status);
    if (router_is_classic(status)) {
        router_models_finish(&s->models);
        router_models_read(&s->models, status);
    }
    s->tells_recent = json_is_array(recent);
    if (s->tells_recent)
        read_recent(s, recent);
    note_loads(s, now);
    top_snapshot_arrange(s);
}

void top_snapshot_models(struct top_snapshot *s, json_t *body, uint64_t now)
{
    if (router_is_classic(s->status)) /* GET /models is the engine's there, without states */
        return;
    clear_rows(s);
    router_models_finish(&s->models);
    router_models_read(&s->models, body);
    note_loads(s, now);
    top_snapshot_arrange(s);
}

void top_snapshot_requests(struct top_snapshot *s, json_t *body)
{
    json_t *requests = json_object_get(body, "requests");
    json_decref(s->requests);
    s->requests = json_is_array(requests) ? json_incref(requests) : NULL;
}

void top_snapshot_forget(struct top_snapshot *s)
{
    clear_rows(s);
    struct top_load *l, *next;
    HASH_ITER (hh, s->loads, l, next)
        forget_load(s, l);
    router_models_finish(&s->models);
    json_decref(s->status);
    json_decref(s->requests);
    s->status = s->requests = NULL;
    s->tells_recent = false;
}

void top_snapshot_finish(struct top_snapshot *s)
{
    top_snapshot_forget(s);
    forget_events(s);
    free(s->filter);
    *s = (struct top_snapshot){0};
}

/* --- rows ---------------------------------------------------------------------------------------
 */

/* What hostler's status says, by model. */
struct by_model {
    json_t *engines, *holds, *queue; /* owned; the entries are the status's */
};

/* An array of the status as an object: model → entry. With ten thousand of both, a linear search for each row would
 * take too long for a redraw each second. */
static json_t *index_by_model(const struct top_snapshot *s, const char *key)
{
    size_t i;
    json_t *o, *index = json_object();
    json_array_foreach (json_object_get(s->status, key), i, o)
        json_object_set(index, cli_json_text(o, "model"), o);
    return index;
}

static json_int_t sum_of(json_t *memory)
{
    const char *device;
    json_t *bytes;
    json_int_t sum = 0;
    json_object_foreach (memory, device, bytes)
        sum += json_integer_value(bytes);
    return sum;
}

/* What its engine holds; without one, the list's estimate. */
static void set_memory(struct top_row *r)
{
    json_t *from = r->engine;
    if (r->model && !sum_of(json_object_get(from, "memory")))
        from = r->model->entry;
    r->memory = sum_of(json_object_get(from, "memory"));
    r->estimated = format_model_is_estimate(cli_json_text_or(from, "memory_source", NULL));
}

static void add_row(struct top_snapshot *s, const char *id, const struct router_model *m,
                    json_t *engine, const struct by_model *known)
{
    json_t *tokens = json_object_get(engine, "tokens_per_second");
    struct top_row r = {.id = id, .model = m, .engine = engine, .load = load_of(s, id)};
    const char *state = engine          ? cli_json_text(engine, "state")
                        : m && m->state ? m->state
                                        : "unknown";
    r.hold = json_object_get(known->holds, id);
    r.queue = json_object_get(known->queue, id);
    r.active = engine || (m && m->state && router_is_active(m));
    r.pinned = cli_json_true(engine, "pinned") || (m && cli_json_true(m->entry, "pinned"));
    r.state = format_model_state(state, m && m->failed && !r.active, r.hold,
                                 false); /* a column tells it */
    set_memory(&r);
    r.tokens = json_is_number(tokens) ? json_number_value(tokens) : -1;
    s->rows[s->n_rows++] = r;
}

/* Case-insensitive, in the id or an alias. */
static bool passes(const struct top_snapshot *s, const char *id, const struct router_model *m)
{
    size_t i;
    json_t *alias;
    if (!s->filter || strcasestr(id, s->filter))
        return true;
    if (m)
        json_array_foreach (json_object_get(m->entry, "aliases"), i, alias)
            if (json_is_string(alias) && strcasestr(json_string_value(alias), s->filter))
                return true;
    return false;
}

static int by_name(const struct top_row *a, const struct top_row *b)
{
    int order = strcasecmp(a->id, b->id);
    return order ? order : strcmp(a->id, b->id);
}

static int rank(const struct top_row *r)
{
    return r->active ? 0 : r->queue ? 1 : strncmp(r->state, "failed", 6) == 0 ? 2 : 3;
}

static int descending(double a, double b)
{
    return a > b ? -1 : a < b;
}

static double requests_of(const struct top_row *r)
{
    return (double)(cli_json_integer(r->engine, "requests") +
                    cli_json_integer(r->queue, "waiting"));
}

/* A busy engine sorts as 0, a model without an engine last. */
static double idle_of(const struct top_row *r)
{
    return r->active ? cli_json_number(r->engine, "idle_ms") : 1e18;
}

static int compare(const void *one, const void *other, void *ctx)
{
    const struct top_snapshot *s = ctx;
    const struct top_row *a = one, *b = other;
    int order = 0;
    switch (s->sort) {
    case TOP_BY_STATE:
        order = rank(a) - rank(b);
        break;
    case TOP_BY_MEMORY:
        order = descending((double)a->memory, (double)b->memory);
        break;
    case TOP_BY_REQUESTS:
        order = descending(requests_of(a), requests_of(b));
        break;
    case TOP_BY_TOKENS:
        order = descending(a->tokens, b->tokens);
        break;
    case TOP_BY_IDLE:
        order = descending(idle_of(b), idle_of(a));
        break;
    case TOP_BY_NAME:
    case TOP_SORTS:
        break;
    }
    order = order ? order : by_name(a, b);
    return s->backwards ? -order : order;
}

void top_snapshot_arrange(struct top_snapshot *s)
{
    struct by_model known = {index_by_model(s, "engines"), index_by_model(s, "holds"),
                             index_by_model(s, "queue")};
    json_t *engine;
    const char *key;
    clear_rows(s);
    s->rows = mem_zalloc((s->models.n + json_object_size(known.engines)) * sizeof *s->rows);
    for (size_t i = 0; i < s->models.n; i++) {
        const struct router_model *m = &s->models.v[i];
        if (passes(s, m->id, m))
            add_row(s, m->id, m, json_object_get(known.engines, m->id), &known);
        json_object_del(known.engines, m->id);
    }
    json_object_foreach (known.engines, key, engine) /* whose models are listed no more */
        if (passes(s, key, NULL))
            add_row(s, cli_json_text(engine, "model"), NULL, engine, &known);
    json_decref(known.engines);
    json_decref(known.holds);
    json_decref(known.queue);
    qsort_r(s->rows, s->n_rows, sizeof *s->rows, compare, s);
}

size_t top_snapshot_find(const struct top_snapshot *s, const char *id)
{
    size_t i = 0;
    while (i < s->n_rows && (!id || strcmp(s->rows[i].id, id) != 0))
        i++;
    return i;
}

/* --- sums ---------------------------------------------------------------------------------------
 */

struct top_sums top_snapshot_sums(const struct top_snapshot *s)
{
    struct top_sums sums = {.tokens = -1};
    json_t *engines = json_object_get(s->status, "engines"), *o;
    size_t i;
    json_array_foreach (engines, i, o) {
        json_t *tokens = json_object_get(o, "tokens_per_second");
        sums.running += cli_json_integer(o, "requests");
        if (json_is_number(tokens))
            sums.tokens = (sums.tokens < 0 ? 0 : sums.tokens) + json_number_value(tokens);
    }
    json_array_foreach (json_object_get(s->status, "queue"), i, o) {
        sums.waiting += cli_json_integer(o, "waiting");
        if (cli_json_integer(o, "oldest_ms") > sums.oldest_ms)
            sums.oldest_ms = cli_json_integer(o, "oldest_ms");
    }
    sums.held = json_array_size(json_object_get(s->status, "holds"));
    sums.loaded = json_array_size(engines);
    for (i = 0; !s->status && i < s->models.n; i++)
        sums.loaded += s->models.v[i].state && router_is_active(&s->models.v[i]);
    return sums;
}

json_int_t top_snapshot_engines_on(const struct top_snapshot *s, const char *device)
{
    json_int_t sum = 0;
    size_t i;
    json_t *engine;
    json_array_foreach (json_object_get(s->status, "engines"), i, engine)
        sum += cli_json_integer(json_object_get(engine, "memory"), device);
    return sum;
}

/* At least one column for any part above 0. */
static unsigned columns_of(double part, double total, unsigned columns)
{
    if (part <= 0)
        return 0;
    unsigned n = (unsigned)(part / total * columns + 0.5);
    return n ? n : 1;
}

struct top_bar top_memory_bar(json_int_t total, json_int_t available, json_int_t engines,
                              json_int_t budget, unsigned columns)
{
    struct top_bar bar = {.budget = -1};
    if (total <= 0 || !columns)
        return bar;
    if (engines > total)
        engines = total;
    bar.engines = columns_of((double)engines, (double)total, columns);
    bar.others = columns_of((double)(total - available - engines), (double)total, columns);
    if (bar.others > columns - bar.engines)
        bar.others = columns - bar.engines;
    if (budget > 0 && budget < total)
        bar.budget = (int)((double)budget / (double)total * columns);
    return bar;
}
