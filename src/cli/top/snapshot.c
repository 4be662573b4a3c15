/* SPDX-License-Identifier: MIT */
#include "cli/top/snapshot.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/memory.h"
#include "cli/terminal/format_model.h"

#define OVERTAKEN 0.1 /* of a load, within which an answer is taken to be late */

static const char *text_of(json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static json_int_t integer_of(json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

void top_facts_init(struct top_facts *f)
{
    *f = (struct top_facts){0};
}

/* --- loads --------------------------------------------------------------------------------------
 */

static struct top_load *load_of(const struct top_facts *f, const char *model)
{
    struct top_load *l;
    HASH_FIND_STR(f->loads, model, l);
    return l;
}

static void forget_load(struct top_facts *f, struct top_load *l)
{
    // NOLINTNEXTLINE(clang-analyzer-unix.Malloc): it does not follow that HASH_DEL takes it out
    HASH_DEL(f->loads, l);
    free(l->model);
    free(l->stage);
    free(l);
}

/* `progress`: {"stages","current","value"}, or NULL. */
static struct top_load *note_load(struct top_facts *f, const char *model, json_t *progress,
                                  uint64_t now)
{
    struct top_load *l = load_of(f, model);
    const char *stage = json_string_value(json_object_get(progress, "current"));
    double fraction = progress_fraction(progress);
    if (!l) {
        l = mem_zalloc(sizeof *l);
        l->model = mem_strdup(model);
        l->fraction = -1;
        HASH_ADD_KEYPTR(hh, f->loads, l->model, strlen(l->model), l);
    }
    /* An answer may be overtaken by an event: a little less is old, much less a new load. */
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

/* The newest list counts: a load that it does not have is over. */
static void note_loads(struct top_facts *f, uint64_t now)
{
    struct top_load *l, *next;
    size_t i;
    json_t *engine;
    for (l = f->loads; l; l = l->hh.next)
        l->listed = false;
    for (i = 0; i < f->models.n; i++) {
        const struct router_model *m = &f->models.v[i];
        if (m->state && is_loading(m->state))
            note_load(f, m->id, router_status_get(m, "progress"), now)->listed = true;
    }
    json_array_foreach (json_object_get(f->status, "engines"), i, engine)
        if (is_loading(text_of(engine, "state")))
            note_load(f, text_of(engine, "model"), json_object_get(engine, "progress"), now)
                ->listed = true;
    HASH_ITER (hh, f->loads, l, next)
        if (!l->listed)
            forget_load(f, l);
}

/* --- events -------------------------------------------------------------------------------------
 */

static void event_finish(struct top_event *e)
{
    free(e->model); // NOLINT(clang-analyzer-unix.Malloc): it does not follow add_event()'s memmove
    free(e->text);
    *e = (struct top_event){0};
}

static void forget_events(struct top_facts *f)
{
    while (f->n_events)
        event_finish(&f->events[--f->n_events]);
}

/* Takes `text`. */
static void add_event(struct top_facts *f, double at, const char *model, char *text)
{
    if (f->n_events == TOP_EVENTS)
        event_finish(&f->events[--f->n_events]);
    memmove(f->events + 1, f->events, f->n_events * sizeof *f->events);
    f->events[0] = (struct top_event){.at = at, .model = mem_strdup(model), .text = text};
    f->n_events++;
}

/* Of a cause the first line: an engine's last words come behind it. */
static char *joined(const char *what, const char *why)
{
    return mem_printf("%s%s%.*s", what, *why ? ": " : "", (int)strcspn(why, "\n"), why);
}

/* The status tells them with their causes, the newest first. */
static void read_recent(struct top_facts *f, json_t *recent)
{
    forget_events(f);
    for (size_t i = json_array_size(recent); i--;) {
        json_t *e = json_array_get(recent, i);
        add_event(f, json_number_value(json_object_get(e, "at")), text_of(e, "model"),
                  joined(text_of(e, "event"), text_of(e, "why")));
    }
}

/* The same again: progress, or two names for one thing. */
static bool is_news(const struct top_facts *f, const char *model, const char *text)
{
    for (size_t i = 0; i < f->n_events; i++)
        if (strcmp(f->events[i].model, model) == 0)
            return strcmp(f->events[i].text, text) != 0;
    return true;
}

/* What a frame says happened; NULL for nothing that a person wants to read. The caller frees it. */
static char *event_text(const char *event, json_t *data)
{
    const char *status = text_of(data, "status");
    if (*status) /* model_status, status_change: servers use either for both */
        return joined(status, text_of(data, "reason"));
    if (strcmp(event, "download_progress") == 0)
        return mem_strdup("downloading");
    if (strcmp(event, "download_finished") == 0)
        return mem_strdup("downloaded");
    if (strcmp(event, "download_failed") == 0)
        return joined("download failed", text_of(data, "message"));
    if (strcmp(event, "model_remove") == 0)
        return mem_strdup("removed");
    if (strcmp(event, "models_reload") == 0)
        return mem_strdup("the list of models was read again");
    if (strcmp(event, "hold") == 0 || strcmp(event, "release") == 0 || strcmp(event, "pin") == 0 ||
        strcmp(event, "unpin") == 0)
        return joined(event, text_of(data, "cause"));
    return NULL;
}

bool top_facts_event(struct top_facts *f, const char *data, double at, uint64_t now)
{
    json_t *frame = json_loads(data, 0, NULL), *more = json_object_get(frame, "data");
    const char *model = text_of(frame, "model"), *status = text_of(more, "status");
    json_t *progress = json_object_get(more, "progress");
    char *text = event_text(text_of(frame, "event"), more);
    bool news = text && is_news(f, model, text);
    /* The first sign of a load that no list has yet says more than that it goes on. */
    bool unlisted = is_loading(status) && !load_of(f, model);
    if (is_loading(status))
        note_load(f, model, progress, now);
    if (news && !f->tells_recent)
        add_event(f, at, model, mem_strdup(text));
    free(text);
    json_decref(frame);
    return news || unlisted;
}

/* --- answers ------------------------------------------------------------------------------------
 */

static void clear_rows(struct top_facts *f)
{
    for (size_t i = 0; i < f->n_rows; i++)
        free(f->rows[i].state);
    free(f->rows);
    f->rows = NULL;
    f->n_rows = 0;
}

void top_facts_status(struct top_facts *f, json_t *status, uint64_t now)
{
    json_t *recent = json_object_get(status, "recent");
    clear_rows(f); /* they borrow from what goes now */
    json_decref(f->status);
    f->status = json_incref(status);
    if (router_is_classic(status)) {
        router_models_finish(&f->models);
        router_models_read(&f->models, status);
    }
    f->tells_recent = json_is_array(recent);
    if (f->tells_recent)
        read_recent(f, recent);
    note_loads(f, now);
    top_facts_arrange(f);
}

void top_facts_models(struct top_facts *f, json_t *body, uint64_t now)
{
    if (router_is_classic(f->status)) /* whose list is the engine's own */
        return;
    clear_rows(f);
    router_models_finish(&f->models);
    router_models_read(&f->models, body);
    note_loads(f, now);
    top_facts_arrange(f);
}

void top_facts_requests(struct top_facts *f, json_t *body)
{
    json_t *requests = json_object_get(body, "requests");
    json_decref(f->requests);
    f->requests = json_is_array(requests) ? json_incref(requests) : NULL;
}

void top_facts_forget(struct top_facts *f)
{
    clear_rows(f);
    struct top_load *l, *next;
    HASH_ITER (hh, f->loads, l, next)
        forget_load(f, l);
    router_models_finish(&f->models);
    json_decref(f->status);
    json_decref(f->requests);
    f->status = f->requests = NULL;
    f->tells_recent = false;
}

void top_facts_finish(struct top_facts *f)
{
    top_facts_forget(f);
    forget_events(f);
    free(f->filter);
    *f = (struct top_facts){0};
}

/* --- rows ---------------------------------------------------------------------------------------
 */

/* What hostler's status says, by model. */
struct by_model {
    json_t *engines, *holds, *queue; /* owned; the entries are the status's */
};

/* An array of the status as an object: from a model to the entry about it. There may be ten thousand
 * of both, and a picture a second. */
static json_t *index_by_model(const struct top_facts *f, const char *key)
{
    size_t i;
    json_t *o, *index = json_object();
    json_array_foreach (json_object_get(f->status, key), i, o)
        json_object_set(index, text_of(o, "model"), o);
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

/* What its engine has, else what the list says that one takes. */
static void set_memory(struct top_row *r)
{
    json_t *from = r->engine;
    if (r->model && !sum_of(json_object_get(from, "memory")))
        from = r->model->entry;
    r->memory = sum_of(json_object_get(from, "memory"));
    r->estimated = cells_is_estimate(json_string_value(json_object_get(from, "memory_source")));
}

static void add_row(struct top_facts *f, const char *id, const struct router_model *m,
                    json_t *engine, const struct by_model *known)
{
    json_t *tokens = json_object_get(engine, "tokens_per_second");
    struct top_row r = {.id = id, .model = m, .engine = engine, .load = load_of(f, id)};
    const char *state = engine ? text_of(engine, "state") : m && m->state ? m->state : "unknown";
    r.hold = json_object_get(known->holds, id);
    r.queue = json_object_get(known->queue, id);
    r.active = engine || (m && m->state && router_is_active(m));
    r.pinned = json_is_true(json_object_get(engine, "pinned")) ||
               (m && json_is_true(json_object_get(m->entry, "pinned")));
    r.state =
        cells_state(state, m && m->failed && !r.active, r.hold, false); /* a column tells it */
    set_memory(&r);
    r.tokens = json_is_number(tokens) ? json_number_value(tokens) : -1;
    f->rows[f->n_rows++] = r;
}

/* In any case of letters, in the id or an alias. */
static bool passes(const struct top_facts *f, const char *id, const struct router_model *m)
{
    size_t i;
    json_t *alias;
    if (!f->filter || strcasestr(id, f->filter))
        return true;
    if (m)
        json_array_foreach (json_object_get(m->entry, "aliases"), i, alias)
            if (json_is_string(alias) && strcasestr(json_string_value(alias), f->filter))
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
    return (double)(integer_of(r->engine, "requests") + integer_of(r->queue, "waiting"));
}

/* Who is in use has been idle for no time, who has no engine for the longest. */
static double idle_of(const struct top_row *r)
{
    return r->active ? json_number_value(json_object_get(r->engine, "idle_ms")) : 1e18;
}

static int compare(const void *one, const void *other, void *ctx)
{
    const struct top_facts *f = ctx;
    const struct top_row *a = one, *b = other;
    int order = 0;
    switch (f->sort) {
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
    return f->backwards ? -order : order;
}

void top_facts_arrange(struct top_facts *f)
{
    struct by_model known = {index_by_model(f, "engines"), index_by_model(f, "holds"),
                             index_by_model(f, "queue")};
    json_t *engine;
    const char *key;
    clear_rows(f);
    f->rows = mem_zalloc((f->models.n + json_object_size(known.engines)) * sizeof *f->rows);
    for (size_t i = 0; i < f->models.n; i++) {
        const struct router_model *m = &f->models.v[i];
        if (passes(f, m->id, m))
            add_row(f, m->id, m, json_object_get(known.engines, m->id), &known);
        json_object_del(known.engines, m->id);
    }
    json_object_foreach (known.engines, key, engine) /* whose models are listed no more */
        if (passes(f, key, NULL))
            add_row(f, text_of(engine, "model"), NULL, engine, &known);
    json_decref(known.engines);
    json_decref(known.holds);
    json_decref(known.queue);
    qsort_r(f->rows, f->n_rows, sizeof *f->rows, compare, f);
}

size_t top_facts_find(const struct top_facts *f, const char *id)
{
    size_t i = 0;
    while (i < f->n_rows && (!id || strcmp(f->rows[i].id, id) != 0))
        i++;
    return i;
}

/* --- sums ---------------------------------------------------------------------------------------
 */

struct top_sums top_facts_sums(const struct top_facts *f)
{
    struct top_sums s = {.tokens = -1};
    json_t *engines = json_object_get(f->status, "engines"), *o;
    size_t i;
    json_array_foreach (engines, i, o) {
        json_t *tokens = json_object_get(o, "tokens_per_second");
        s.running += integer_of(o, "requests");
        if (json_is_number(tokens))
            s.tokens = (s.tokens < 0 ? 0 : s.tokens) + json_number_value(tokens);
    }
    json_array_foreach (json_object_get(f->status, "queue"), i, o) {
        s.waiting += integer_of(o, "waiting");
        if (integer_of(o, "oldest_ms") > s.oldest_ms)
            s.oldest_ms = integer_of(o, "oldest_ms");
    }
    s.held = json_array_size(json_object_get(f->status, "holds"));
    s.loaded = json_array_size(engines);
    for (i = 0; !f->status && i < f->models.n; i++)
        s.loaded += f->models.v[i].state && router_is_active(&f->models.v[i]);
    return s;
}

json_int_t top_facts_engines_on(const struct top_facts *f, const char *device)
{
    json_int_t sum = 0;
    size_t i;
    json_t *engine;
    json_array_foreach (json_object_get(f->status, "engines"), i, engine)
        sum += integer_of(json_object_get(engine, "memory"), device);
    return sum;
}

/* Something shows as soon as there is something. */
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
