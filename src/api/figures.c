/* SPDX-License-Identifier: MIT */
#include "api/figures.h"

#include <inttypes.h>
#include <stdio.h>

#include "api/meter.h"
#include "api/metrics.h"
#include "base/container_of.h"
#include "base/log.h"
#include "server/access_log.h"
#include "server/own_usage.h"
#include "server/prompt_store.h"

typedef struct exposition_family family_text;
typedef struct exposition_label label;

/* A family has rows of the daemon as a whole (`all`), or of each model that was used (`each`). */
struct family {
    family_text text;
    void (*all)(const struct figures *f, struct exposition *e, const family_text *t);
    void (*each)(const struct figures *f, struct exposition *e, const family_text *t,
                 const struct meter_model *m);
};

#define NO_LABELS ((const label[]){{NULL, NULL}})
#define LABELS(...) ((const label[]){__VA_ARGS__, {NULL, NULL}})

static const char *status_text(int status, char *out, size_t size)
{
    if (status == METER_OTHER_STATUS)
        snprintf(out, size, METER_OTHER);
    else
        snprintf(out, size, "%d", status);
    return out;
}

/* The record of a model that was used; NULL: it is configured no more, or the row is that of all others. */
static const struct model *record_of(const struct figures *f, const struct meter_model *m)
{
    const struct model *found =
        m == f->api->meter->model[0] ? NULL : host_find(f->api->host, m->id);
    return found && strcmp(found->entry->id, m->id) == 0 ? found : NULL;
}

/* --- the daemon ----------------------------------------------------------------------------------
 */

static void build_info(const struct figures *f, struct exposition *e, const family_text *t)
{
    const struct config *c = host_config(f->api->host);
    const char *engine = engine_options_version(c->engine.options);
    exposition_count(e, t,
                     LABELS({"version", HOSTLER_VERSION},
                            {"mode", c->classic ? "classic" : "router"},
                            {"engine_version", engine ? engine : ""}),
                     1);
}

static void start_time(const struct figures *f, struct exposition *e, const family_text *t)
{
    exposition_value(e, t, NO_LABELS, own_usage_started(f->api->own));
}

static void loop_latency(const struct figures *f, struct exposition *e, const family_text *t)
{
    exposition_histogram(e, t, NO_LABELS, &own_usage_turn_scale, own_usage_turns(f->api->own));
}

static void process_cpu(const struct figures *f, struct exposition *e, const family_text *t)
{
    exposition_value(e, t, NO_LABELS, own_usage_figures(f->api->own)->cpu);
}

static void process_resident(const struct figures *f, struct exposition *e, const family_text *t)
{
    exposition_count(e, t, NO_LABELS, own_usage_figures(f->api->own)->resident);
}

static void process_virtual(const struct figures *f, struct exposition *e, const family_text *t)
{
    exposition_count(e, t, NO_LABELS, own_usage_figures(f->api->own)->virtual);
}

static void process_fds(const struct figures *f, struct exposition *e, const family_text *t)
{
    exposition_count(e, t, NO_LABELS, own_usage_figures(f->api->own)->open_fds);
}

static void process_max_fds(const struct figures *f, struct exposition *e, const family_text *t)
{
    exposition_count(e, t, NO_LABELS, own_usage_figures(f->api->own)->max_fds);
}

static void process_threads(const struct figures *f, struct exposition *e, const family_text *t)
{
    exposition_count(e, t, NO_LABELS, own_usage_figures(f->api->own)->threads);
}

static void log_dropped(const struct figures *f, struct exposition *e, const family_text *t)
{
    (void)f;
    exposition_count(e, t, LABELS({"sink", "stderr"}), log_losses_of_stderr().lines);
    exposition_count(e, t, LABELS({"sink", "file"}), log_losses_of_file().lines);
    exposition_count(e, t, LABELS({"sink", "access"}), access_log_losses().lines);
}

/* --- exchanges and connections -------------------------------------------------------------------
 */

static void http_requests(const struct figures *f, struct exposition *e, const family_text *t)
{
    const struct meter *m = f->api->meter;
    char status[16];
    for (unsigned i = 0; i < m->n_exchanges; i++) {
        const struct meter_exchanges *x = &m->exchanges[i];
        exposition_count(e, t,
                         LABELS({"route", api_route_path(x->tag)},
                                {"method", x->method ? x->method : api_route_method(x->tag)},
                                {"status", status_text(x->status, status, sizeof status)}),
                         x->n);
    }
}

static void refusals(const struct figures *f, struct exposition *e, const family_text *t)
{
    const struct meter *m = f->api->meter;
    for (unsigned i = 0; i < m->n_refusals; i++)
        exposition_count(e, t, LABELS({"reason", m->refusals[i].reason}), m->refusals[i].n);
}

static void connections(const struct figures *f, struct exposition *e, const family_text *t)
{
    const struct http_load *l = &f->load;
    exposition_count(e, t, LABELS({"state", "busy"}), l->busy);
    exposition_count(e, t, LABELS({"state", "idle"}), l->open > l->busy ? l->open - l->busy : 0);
}

static void connections_max(const struct figures *f, struct exposition *e, const family_text *t)
{
    exposition_count(e, t, NO_LABELS, f->load.max);
}

static void connections_refused(const struct figures *f, struct exposition *e, const family_text *t)
{
    exposition_count(e, t, NO_LABELS, f->load.refused);
}

/* --- requests of models --------------------------------------------------------------------------
 */

static void requests(const struct figures *f, struct exposition *e, const family_text *t,
                     const struct meter_model *m)
{
    char status[16];
    (void)f;
    for (unsigned i = 0; i < m->n_answers; i++) {
        const struct meter_answers *a = &m->answers[i];
        exposition_count(e, t,
                         LABELS({"model", m->id}, {"route", a->route},
                                {"status", status_text(a->status, status, sizeof status)}),
                         a->n);
    }
}

static bool is_empty(const struct histogram *h)
{
    for (unsigned i = 0; i <= HISTOGRAM_BOUNDS_MAX; i++)
        if (h->count[i])
            return false;
    return true;
}

/* Models that answered nothing yet have no rows of it. */
static void write_histogram(struct exposition *e, const family_text *t, const struct meter_model *m,
                            const struct histogram_scale *s, const struct histogram *h)
{
    if (!is_empty(h))
        exposition_histogram(e, t, LABELS({"model", m->id}), s, h);
}

static struct histogram sum_of(const struct histogram *of_operation)
{
    struct histogram all = {0};
    for (unsigned o = 0; o < OPERATIONS; o++) {
        for (unsigned i = 0; i <= HISTOGRAM_BOUNDS_MAX; i++)
            all.count[i] += of_operation[o].count[i];
        all.sum += of_operation[o].sum;
    }
    return all;
}

/* OpenTelemetry's conventions want the operation and who provides the model; to Prometheus a model has one row. */
static void write_operations(struct exposition *e, const family_text *t,
                             const struct meter_model *m, const struct histogram_scale *s,
                             const struct histogram *of_operation)
{
    if (e->form != &exposition_otlp) {
        const struct histogram all = sum_of(of_operation);
        write_histogram(e, t, m, s, &all);
        return;
    }
    for (enum operation o = 0; o < OPERATIONS; o++)
        if (!is_empty(&of_operation[o]))
            exposition_histogram(e, t,
                                 LABELS({"gen_ai.operation.name", operation_name(o)},
                                        {"gen_ai.provider.name", m->provider ? m->provider : ""},
                                        {"model", m->id}),
                                 s, &of_operation[o]);
}

static void queue(const struct figures *f, struct exposition *e, const family_text *t,
                  const struct meter_model *m)
{
    (void)f;
    write_histogram(e, t, m, &meter_queue_scale, &m->queue);
}

static void first_token(const struct figures *f, struct exposition *e, const family_text *t,
                        const struct meter_model *m)
{
    (void)f;
    write_operations(e, t, m, &meter_first_token_scale, m->first_token);
}

static void output_token(const struct figures *f, struct exposition *e, const family_text *t,
                         const struct meter_model *m)
{
    (void)f;
    write_operations(e, t, m, &meter_token_scale, m->token);
}

static void duration(const struct figures *f, struct exposition *e, const family_text *t,
                     const struct meter_model *m)
{
    (void)f;
    write_operations(e, t, m, &meter_duration_scale, m->duration);
}

static void tokens(const struct figures *f, struct exposition *e, const family_text *t,
                   const struct meter_model *m)
{
    static const char *const type[METER_TOKENS] = {
        [METER_INPUT] = "input",       [METER_OUTPUT] = "output",     [METER_CACHED] = "cached",
        [METER_RESTORED] = "restored", [METER_COMPUTED] = "computed",
    };
    (void)f;
    for (unsigned i = 0; i < METER_TOKENS; i++)
        exposition_count(e, t, LABELS({"model", m->id}, {"type", type[i]}), m->tokens[i]);
}

static unsigned running_of(const struct model *m)
{
    return m->sched.leases;
}

static void running(const struct figures *f, struct exposition *e, const family_text *t,
                    const struct meter_model *m)
{
    const struct model *record = record_of(f, m);
    if (record)
        exposition_count(e, t, LABELS({"model", m->id}), running_of(record));
}

static void waiting(const struct figures *f, struct exposition *e, const family_text *t,
                    const struct meter_model *m)
{
    const struct model *record = record_of(f, m);
    if (record)
        exposition_count(e, t, LABELS({"model", m->id}), record->sched.waiting);
}

static void oldest(const struct figures *f, struct exposition *e, const family_text *t)
{
    const uint64_t now = uv_now(host_loop(f->api->host));
    const struct model *m;
    uint64_t most = 0;
    for (size_t i = 0; (m = host_at(f->api->host, i)); i++)
        if (m->sched.waiting && m->sched.waiting_since < now && now - m->sched.waiting_since > most)
            most = now - m->sched.waiting_since;
    exposition_value(e, t, NO_LABELS, (double)most / 1000);
}

static void leases(const struct figures *f, struct exposition *e, const family_text *t)
{
    exposition_count(e, t, NO_LABELS, sched_leases(host_sched(f->api->host)));
}

/* --- engines -------------------------------------------------------------------------------------
 */

static void loads(const struct figures *f, struct exposition *e, const family_text *t,
                  const struct meter_model *m)
{
    static const char *const result[METER_LOADS] = {
        [METER_READY] = "ready", [METER_FAILED] = "failed", [METER_CANCELLED] = "cancelled"};
    (void)f;
    for (unsigned i = 0; i < METER_LOADS; i++)
        exposition_count(e, t, LABELS({"model", m->id}, {"result", result[i]}), m->loads[i]);
}

static void load_time(const struct figures *f, struct exposition *e, const family_text *t,
                      const struct meter_model *m)
{
    (void)f;
    write_histogram(e, t, m, &meter_load_scale, &m->load);
}

static void stops(const struct figures *f, struct exposition *e, const family_text *t,
                  const struct meter_model *m)
{
    (void)f;
    for (unsigned i = 0; i < sizeof m->stops / sizeof *m->stops; i++)
        if ((m->stops[i] || i == OUTCOME_CRASHED) && /* an alert must see the first one as a rise */
            outcome_reason_name((enum outcome_reason)i))
            exposition_count(
                e, t,
                LABELS({"model", m->id}, {"reason", outcome_reason_name((enum outcome_reason)i)}),
                m->stops[i]);
}

/* In sum of all models, so that a rule of thrash needs no sum over a thousand series. */
static void evictions(const struct figures *f, struct exposition *e, const family_text *t)
{
    static const struct {
        const char *cause;
        enum outcome_reason reason;
    } causes[] = {{"room", OUTCOME_EVICTED}, {"memory", OUTCOME_MEMORY}, {"idle", OUTCOME_IDLE}};
    const struct meter *m = f->api->meter;
    for (size_t c = 0; c < sizeof causes / sizeof *causes; c++) {
        uint64_t n = 0;
        for (unsigned i = 0; i < m->n_models; i++)
            n += m->model[i]->stops[causes[c].reason];
        exposition_count(e, t, LABELS({"cause", causes[c].cause}), n);
    }
}

/* Of its engine, in the words of the API; one that is not loaded says what became of it. */
static const char *state_of(const struct model *m)
{
    if (model_state(m) == SCHED_UNLOADED && outcome_is_failure(&m->outcome))
        return "failed";
    if (model_state(m) == SCHED_UNLOADED && model_waits(m))
        return "waiting";
    switch (model_state(m)) {
    case SCHED_UNLOADED:
    case SCHED_LOADING:
    case SCHED_READY:
        return model_status(m);
    case SCHED_YIELDING:
    case SCHED_DRAINING:
        return "draining";
    case SCHED_SAVING:
        return "saving";
    case SCHED_STOPPING:
        return "stopping";
    }
    return model_status(m);
}

static void states(const struct figures *f, struct exposition *e, const family_text *t,
                   const struct meter_model *m)
{
    const struct model *record = record_of(f, m);
    if (record)
        exposition_count(e, t, LABELS({"model", m->id}, {"state", state_of(record)}), 1);
}

static void models(const struct figures *f, struct exposition *e, const family_text *t)
{
    size_t n = 0;
    while (host_at(f->api->host, n))
        n++;
    exposition_count(e, t, NO_LABELS, n);
}

static void engines(const struct figures *f, struct exposition *e, const family_text *t)
{
    const struct sched *s = host_sched(f->api->host);
    exposition_count(e, t, LABELS({"state", "loading"}), s->loading);
    exposition_count(e, t, LABELS({"state", "running"}), s->running - s->loading);
}

static void held(const struct figures *f, struct exposition *e, const family_text *t)
{
    struct model *m;
    size_t n = 0;
    for (size_t i = 0; (m = host_at(f->api->host, i)); i++)
        n += intent_is_held(m);
    exposition_count(e, t, NO_LABELS, n);
}

/* --- memory --------------------------------------------------------------------------------------
 */

static void memory(const struct figures *f, struct exposition *e, const family_text *t)
{
    const struct budget *b = host_budget(f->api->host);
    const struct snapshot *s = host_snapshot(f->api->host);
    for (size_t i = 0; i < s->figures.n; i++) {
        const struct memory_device *d = &s->figures.device[i];
        if (!d->total)
            continue;
        exposition_count(e, t, LABELS({"device", d->name}, {"kind", "total"}), d->total);
        exposition_count(e, t, LABELS({"device", d->name}, {"kind", "free"}), d->available);
        exposition_count(e, t, LABELS({"device", d->name}, {"kind", "engines"}), s->held[i]);
        exposition_count(e, t, LABELS({"device", d->name}, {"kind", "others"}),
                         snapshot_others(s, i));
        if (b->devices)
            exposition_count(e, t, LABELS({"device", d->name}, {"kind", "budget"}),
                             budget_ceiling(b, i));
    }
}

static void memory_age(const struct figures *f, struct exposition *e, const family_text *t)
{
    uint64_t now = uv_now(host_loop(f->api->host));
    uint64_t began = host_snapshot(f->api->host)->began_at;
    exposition_value(e, t, NO_LABELS, now > began ? (double)(now - began) / 1000 : 0);
}

static void model_memory_rows(const struct figures *f, struct exposition *e, const family_text *t,
                              const struct meter_model *m)
{
    const struct model *record = record_of(f, m);
    const struct memory_figures *machine = &host_snapshot(f->api->host)->figures;
    struct memory_use use;
    if (!record || !model_engine(record))
        return;
    model_memory(record, &use);
    for (size_t d = 0; d < machine->n; d++)
        if (use.bytes[d] || !d)
            exposition_count(e, t, LABELS({"model", m->id}, {"device", machine->device[d].name}),
                             use.bytes[d]);
}

static void oom_kills(const struct figures *f, struct exposition *e, const family_text *t)
{
    exposition_count(e, t, NO_LABELS, host_snapshot(f->api->host)->oom_kills);
}

/* --- prompt caches and downloads -----------------------------------------------------------------
 */

static struct prompt_store_status store_of(const struct figures *f)
{
    const struct prompt_store *s = prompts_store(host_prompts(f->api->host));
    return s ? prompt_store_status(s) : (struct prompt_store_status){0};
}

static void cache_files(const struct figures *f, struct exposition *e, const family_text *t)
{
    exposition_count(e, t, NO_LABELS, store_of(f).files);
}

static void cache_bytes(const struct figures *f, struct exposition *e, const family_text *t)
{
    exposition_count(e, t, NO_LABELS, store_of(f).bytes);
}

static void cache_limit(const struct figures *f, struct exposition *e, const family_text *t)
{
    exposition_count(e, t, NO_LABELS, store_of(f).max_bytes);
}

static void cache_hits(const struct figures *f, struct exposition *e, const family_text *t)
{
    exposition_count(e, t, NO_LABELS, store_of(f).hits);
}

static void cache_saved(const struct figures *f, struct exposition *e, const family_text *t)
{
    exposition_value(e, t, NO_LABELS, store_of(f).saved_ms / 1000);
}

static void cache_failures(const struct figures *f, struct exposition *e, const family_text *t)
{
    exposition_count(e, t, NO_LABELS, store_of(f).failed);
}

static void engines_left_out(const struct figures *f, struct exposition *e, const family_text *t)
{
    exposition_count(e, t, LABELS({"cause", "silent"}), f->api->meter->engines_silent);
    exposition_count(e, t, LABELS({"cause", "refused"}), f->api->meter->engines_refused);
}

static void downloads(const struct figures *f, struct exposition *e, const family_text *t)
{
    static const char *const result[METER_DOWNLOADS] = {[METER_DOWNLOADED] = "finished",
                                                        [METER_NOT_DOWNLOADED] = "failed",
                                                        [METER_DOWNLOAD_CANCELLED] = "cancelled"};
    for (unsigned i = 0; i < METER_DOWNLOADS; i++)
        exposition_count(e, t, LABELS({"result", result[i]}), f->api->meter->downloads[i]);
}

static void downloads_running(const struct figures *f, struct exposition *e, const family_text *t)
{
    struct downloads_item item;
    size_t n = 0;
    while (downloads_at(f->api->downloads, n, &item))
        n++;
    exposition_count(e, t, NO_LABELS, n);
}

/* --- the list ------------------------------------------------------------------------------------
 */

#define COUNTER EXPOSITION_COUNTER
#define GAUGE EXPOSITION_GAUGE
#define HISTOGRAM EXPOSITION_HISTOGRAM

static const struct family families[] = {
    {{"hostler_build_info", NULL, "Version of hostler and of its engines' program; always 1.",
      GAUGE},
     build_info,
     NULL},
    {{"hostler_start_time_seconds", "seconds", "When the daemon started, Unix time.", GAUGE},
     start_time,
     NULL},
    {{"hostler_requests", NULL,
      "Requests for engines that are over, by the status of their answer; 0: the client left "
      "before it.",
      COUNTER},
     NULL,
     requests},
    {{"hostler_request_queue_seconds", "seconds",
      "From a request's arrival until an engine was granted, loads included.", HISTOGRAM},
     NULL,
     queue},
    {{"hostler_request_time_to_first_token_seconds", "seconds",
      "From a streaming request's arrival until the first byte of its answer.", HISTOGRAM},
     NULL,
     first_token},
    {{"hostler_request_time_per_output_token_seconds", "seconds",
      "Time a token after the first, a mean of each answer.", HISTOGRAM},
     NULL,
     output_token},
    {{"hostler_request_duration_seconds", "seconds",
      "From a request's arrival until the end of its engine's answer.", HISTOGRAM},
     NULL,
     duration},
    {{"hostler_tokens", NULL,
      "Tokens as the answers tell them; input is cached and computed together, restored is part of "
      "cached.",
      COUNTER},
     NULL,
     tokens},
    {{"hostler_requests_running", NULL, "Requests that an engine answers now.", GAUGE},
     NULL,
     running},
    {{"hostler_requests_waiting", NULL, "Requests that wait for an engine now.", GAUGE},
     NULL,
     waiting},
    {{"hostler_queue_oldest_seconds", "seconds",
      "How long the request that has waited the longest waits by now; 0: none waits.", GAUGE},
     oldest,
     NULL},
    {{"hostler_leases", NULL, "Leases of all engines now.", GAUGE}, leases, NULL},
    {{"hostler_refusals", NULL, "Requests for engines that hostler refused, by reason.", COUNTER},
     refusals,
     NULL},
    {{"hostler_loads", NULL, "Loads that are over, by result.", COUNTER}, NULL, loads},
    {{"hostler_load_seconds", "seconds", "From an engine's start until it was ready.", HISTOGRAM},
     NULL,
     load_time},
    {{"hostler_stops", NULL, "Engines that ended, by reason.", COUNTER}, NULL, stops},
    {{"hostler_evictions", NULL,
      "Engines that hostler stopped by itself: for another model's room, for want of memory, or "
      "idle.",
      COUNTER},
     evictions,
     NULL},
    {{"hostler_models", NULL, "Models that are configured.", GAUGE}, models, NULL},
    {{"hostler_models_held", NULL, "Models that an operator keeps from loading.", GAUGE},
     held,
     NULL},
    {{"hostler_model_state", NULL, "The state of each model that was used; always 1.", GAUGE},
     NULL,
     states},
    {{"hostler_engines", NULL, "Engine processes now, by state.", GAUGE}, engines, NULL},
    {{"hostler_memory_bytes", "bytes", "Memory of each device.", GAUGE}, memory, NULL},
    {{"hostler_memory_age_seconds", "seconds", "Age of the figures of memory.", GAUGE},
     memory_age,
     NULL},
    {{"hostler_model_memory_bytes", "bytes", "Memory that a model's engines hold.", GAUGE},
     NULL,
     model_memory_rows},
    {{"hostler_oom_kills", NULL,
      "Processes of the machine that the kernel killed for want of memory, since it booted.",
      COUNTER},
     oom_kills,
     NULL},
    {{"hostler_prompt_cache_files", NULL, "Saved prompts.", GAUGE}, cache_files, NULL},
    {{"hostler_prompt_cache_bytes", "bytes", "Size of saved prompts.", GAUGE}, cache_bytes, NULL},
    {{"hostler_prompt_cache_limit_bytes", "bytes", "What saved prompts may take.", GAUGE},
     cache_limit,
     NULL},
    {{"hostler_prompt_cache_hits", NULL, "Saved prompts that an engine used.", COUNTER},
     cache_hits,
     NULL},
    {{"hostler_prompt_cache_saved_seconds", "seconds",
      "What computing the restored prompts would have taken.", COUNTER},
     cache_saved,
     NULL},
    {{"hostler_prompt_cache_failures", NULL, "Uses of the disk for saved prompts that failed.",
      COUNTER},
     cache_failures,
     NULL},
    {{"hostler_downloads", NULL, "Downloads that are over, by result.", COUNTER}, downloads, NULL},
    {{"hostler_downloads_running", NULL, "Downloads that go on.", GAUGE}, downloads_running, NULL},
    {{"hostler_http_requests", NULL,
      "Requests of every kind that are over, also those that needed no engine.", COUNTER},
     http_requests,
     NULL},
    {{"hostler_engine_metrics_failures", NULL,
      "Engines that did not tell their own figures when GET /metrics?engines=1 asked them.",
      COUNTER},
     engines_left_out,
     NULL},
    {{"hostler_connections", NULL, "Open connections of clients.", GAUGE}, connections, NULL},
    {{"hostler_connections_limit", NULL, "Connections that may be open.", GAUGE},
     connections_max,
     NULL},
    {{"hostler_connections_refused", NULL, "Connections and requests without a place.", COUNTER},
     connections_refused,
     NULL},
    {{"hostler_loop_latency_seconds", "seconds",
      "How long the work of one turn of the event loop took.", HISTOGRAM},
     loop_latency,
     NULL},
    {{"hostler_log_lines_dropped", NULL, "Lines of the log that could not be written.", COUNTER},
     log_dropped,
     NULL},
    {{"process_cpu_seconds", "seconds", "CPU time of the daemon, without its engines.", COUNTER},
     process_cpu,
     NULL},
    {{"process_resident_memory_bytes", "bytes", "Resident memory of the daemon.", GAUGE},
     process_resident,
     NULL},
    {{"process_virtual_memory_bytes", "bytes", "Address space of the daemon.", GAUGE},
     process_virtual,
     NULL},
    {{"process_open_fds", NULL, "Open file descriptors of the daemon.", GAUGE}, process_fds, NULL},
    {{"process_max_fds", NULL, "Its limit.", GAUGE}, process_max_fds, NULL},
    {{"process_threads", NULL, "Threads of the daemon.", GAUGE}, process_threads, NULL},
    {{"process_start_time_seconds", "seconds", "When the daemon started, Unix time.", GAUGE},
     start_time,
     NULL},
};

bool figures_write(struct figures *f, struct exposition *e)
{
    const struct meter *m = f->api->meter;
    if (f->family == sizeof families / sizeof *families)
        return false;
    const struct family *family = &families[f->family];
    if (!f->model)
        exposition_begin_family(e, &family->text);
    if (family->all)
        family->all(f, e, &family->text);
    else if (f->model < m->n_models)
        family->each(f, e, &family->text, m->model[f->model++]);
    if (family->all || f->model >= m->n_models) {
        f->model = 0;
        f->family++;
    }
    return true;
}
