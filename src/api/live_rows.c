/* SPDX-License-Identifier: MIT */
#include "api/live_rows.h"

#include "api/capture.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "api/encode.h"
#include "api/model_json.h"
#include "api/reply.h"
#include "api/request_log.h"
#include "base/clock.h"
#include "base/container_of.h"

#define MIB ((uint64_t)1 << 20)
#define NEXT_MAX 8 /* models that are told to load next */

bool live_rows_find(struct api *api, const char *id, struct live_source *out)
{
    struct model *m = host_find(api->host, id);
    struct downloads_item item;
    *out = (struct live_source){0};
    for (size_t i = 0; !out->download.repo && downloads_at(api->downloads, i, &item); i++)
        if (strcmp(item.repo, id) == 0)
            out->download = item;
    /* As in GET /models: one that is missing and is being downloaded is a download. */
    if (m && strcmp(m->entry->id, id) == 0 && !m->entry->hidden &&
        !(m->entry->missing && out->download.repo))
        out->model = m;
    return out->model || out->download.repo;
}

/* --- what seldom changes ------------------------------------------------------------------------
 */

static void add_strings(json_t *o, const char *name, const struct strv *v)
{
    if (!v->n)
        return;
    json_t *a = json_array();
    for (size_t i = 0; i < v->n; i++)
        json_array_append_new(a, reply_string(v->v[i]));
    json_object_set_new(o, name, a);
}

static void add_text(json_t *o, const char *name, const char *text)
{
    if (text)
        json_object_set_new(o, name, reply_string(text));
}

static void add_flag(json_t *o, const char *name, bool set)
{
    if (set)
        json_object_set_new(o, name, json_true());
}

/* Why it is not loaded. No log lines: these need RIGHT_LOGS. */
static void add_outcome(json_t *o, const struct model *m)
{
    if (model_state(m) != SCHED_UNLOADED)
        return;
    add_text(o, "reason", outcome_reason_name(m->outcome.reason));
    add_flag(o, "failed", outcome_is_failure(&m->outcome));
    if (outcome_is_failure(&m->outcome) || m->outcome.reason == OUTCOME_NO_ROOM)
        add_text(o, "message", m->outcome.failure ? m->outcome.failure : m->entry->problem);
    else
        add_text(o, "message", m->outcome.stop_cause);
}

static void add_inputs(json_t *o, const struct catalog_model *entry)
{
    const struct gguf_info *mmproj = entry->mmproj_info;
    if (!mmproj || (!mmproj->has_vision && !mmproj->has_audio))
        return;
    json_t *inputs = json_pack("[s]", "text");
    if (mmproj->has_vision)
        json_array_append_new(inputs, json_string("image"));
    if (mmproj->has_audio)
        json_array_append_new(inputs, json_string("audio"));
    json_object_set_new(o, "inputs", inputs);
}

static json_t *loading_progress(const struct model *m)
{
    const struct engine *e = model_engine(m);
    return model_state(m) == SCHED_LOADING && e ? engine_progress(e) : NULL;
}

static const char *memory_source(struct model *m)
{
    const struct instance *i = model_instance(m);
    const enum footprint_source source = m->learned.footprint.source;
    if (i && instance_memory(i))
        return footprint_source_name(FOOTPRINT_MEASURED);
    return source == FOOTPRINT_UNKNOWN ? NULL : footprint_source_name(source);
}

static void add_state(json_t *o, struct model *m)
{
    json_object_set_new(o, "state", json_string(model_status(m)));
    add_text(o, "stage", json_string_value(json_object_get(loading_progress(m), "current")));
    add_flag(o, "draining",
             model_is_draining(m) || model_state(m) == SCHED_STOPPING || model_is_to_go(m));
    add_flag(o, "saving", model_state(m) == SCHED_SAVING);
    add_outcome(o, m);
    add_flag(o, "pinned", m->sched.pinned);
}

static json_t *row_of_model(struct model *m)
{
    const struct catalog_model *entry = m->entry;
    const struct instance *i = model_instance(m);
    json_t *o = json_object();
    model_follow_cards(m);
    json_object_set_new(o, "id", reply_string(entry->id));
    add_strings(o, "aliases", &entry->aliases);
    add_strings(o, "tags", &m->tags);
    json_object_set_new(o, "source", json_string(model_source_name(entry->source)));
    json_object_set_new(o, "size", json_integer((json_int_t)entry->size));
    if (entry->header == MODEL_HEADER_READ)
        json_object_set_new(o, "context", json_integer(entry->info.context_length));
    add_inputs(o, entry);
    add_state(o, m);
    add_text(o, "memory_source", memory_source(m));
    if (m->sched.ttl_ms)
        json_object_set_new(o, "ttl_ms", json_integer((json_int_t)m->sched.ttl_ms));
    if (m->load.has_args || m->load.has_ttl)
        json_object_set_new(o, "this_load", model_json_load(m));
    if (i) {
        add_text(o, "loaded_by", i->loaded_by);
        json_object_set_new(o, "loaded_at", json_real(i->loaded_at));
    }
    add_flag(o, "can_remove", entry->source == MODEL_SOURCE_CACHE);
    return o;
}

static json_t *row_of_download(const struct downloads_item *item)
{
    return json_pack("{s:o, s:s, s:i, s:s}", "id", reply_string(item->repo), "source", "cache",
                     "size", 0, "state", item->fetched ? "downloaded" : "downloading");
}

/* Its end is told as a time of day, which is computed anew each time and not always the same: the hash is of the scheduler's. */
static XXH64_hash_t hold_seed(const struct model *m)
{
    const char *reason = intent_hold_reason(m), *by = intent_hold_by(m);
    XXH64_hash_t seed = m->sched.held_until;
    if (reason)
        seed = XXH3_64bits_withSeed(reason, strlen(reason), seed);
    return by ? XXH3_64bits_withSeed(by, strlen(by), ~seed) : seed;
}

/* Of hostler's own: it does not fail. */
static void write_json(struct buf *out, json_t *value)
{
    int rc = encode_json(out, value);
    (void)rc;
    json_decref(value);
}

uint64_t live_rows_model(struct buf *out, struct api *api, const struct live_source *s)
{
    struct model *m = s->model;
    const size_t begin = out->len;
    bool is_held = m && intent_is_held(m);
    (void)api;
    write_json(out, m ? row_of_model(m) : row_of_download(&s->download));
    out->len--; /* the object's end */
    uint64_t hash =
        XXH3_64bits_withSeed(out->data + begin, out->len - begin, is_held ? hold_seed(m) : 0);
    if (is_held) {
        json_t *held = model_json_hold(m);
        json_object_del(held, "model");
        buf_puts(out, ",\"held\":");
        write_json(out, held);
    }
    return hash;
}

/* --- figures ------------------------------------------------------------------------------------
 */

/* To three digits. */
static double rounded(double x)
{
    char text[32];
    snprintf(text, sizeof text, "%.3g", x);
    return strtod(text, NULL);
}

/* Of the whole load: of several stages each counts the same. */
static unsigned percent_of(const json_t *progress)
{
    const json_t *stages = json_object_get(progress, "stages"),
                 *current = json_object_get(progress, "current");
    size_t n = json_array_size(stages), at = 0;
    double value = json_number_value(json_object_get(progress, "value"));
    while (at < n && !json_equal(json_array_get(stages, at), current))
        at++;
    if (!n || at == n)
        return (unsigned)(100 * fmin(fmax(value, 0), 1));
    return (unsigned)(100 * ((double)at + fmin(fmax(value, 0), 1)) / (double)n);
}

static void set_memory(struct live_figures *f, struct model *m)
{
    const struct instance *i = model_instance(m);
    const struct memory_use *use = i ? instance_memory(i) : NULL;
    const struct footprint *expected = &m->learned.footprint;
    const size_t n = host_snapshot(m->host)->figures.n;
    if (!use && expected->source == FOOTPRINT_UNKNOWN)
        return;
    f->has |= LIVE_MEMORY;
    for (size_t d = 0; d < n; d++)
        f->memory[d] = (uint32_t)((use ? use->bytes[d] : expected->bytes[d]) / MIB);
}

static void set_of_instance(struct live_figures *f, struct api *api, const struct instance *i)
{
    const struct model *m = i->model;
    const json_t *progress = loading_progress(m);
    f->has |= LIVE_REQUESTS;
    f->requests = i->sched.leases;
    f->rate = rounded(request_log_rate(api->requests, m->entry->id));
    if (f->rate > 0)
        f->has |= LIVE_RATE;
    if (progress) {
        f->has |= LIVE_PROGRESS;
        f->progress = percent_of(progress);
    }
    if (i->sched.state == SCHED_READY && !i->sched.leases) {
        f->has |= LIVE_IDLE;
        f->last_used = i->sched.last_used;
    }
}

static void set_of_download(struct live_figures *f, const struct downloads_item *item)
{
    const char *url;
    json_t *file;
    uint64_t done = 0, total = 0;
    json_object_foreach (item->progress, url, file) {
        done += (uint64_t)json_integer_value(json_object_get(file, "done"));
        total += (uint64_t)json_integer_value(json_object_get(file, "total"));
    }
    f->has |= LIVE_DOWNLOAD;
    f->done = (uint32_t)(done / MIB);
    f->total = (uint32_t)(total / MIB);
}

void live_rows_figures(struct live_figures *f, struct api *api, const struct live_source *s)
{
    memset(f, 0, sizeof *f);
    if (s->download.repo)
        set_of_download(f, &s->download);
    if (!s->model)
        return;
    f->waiting = s->model->sched.waiting;
    if (f->waiting)
        f->has |= LIVE_WAITING;
    if (model_instance(s->model))
        set_of_instance(f, api, model_instance(s->model));
    set_memory(f, s->model);
}

static bool differs(double sent, double now)
{
    return fabs(now - sent) > sent / 100 || (now == 0) != (sent == 0);
}

static bool memory_differs(const struct live_figures *sent, const struct live_figures *now)
{
    for (size_t d = 0; d < MEMORY_DEVICES_MAX; d++)
        if (differs(sent->memory[d], now->memory[d]))
            return true;
    return false;
}

unsigned live_rows_compare(const struct live_figures *sent, const struct live_figures *now)
{
    unsigned both = sent->has & now->has, which = sent->has ^ now->has;
    if ((both & LIVE_REQUESTS) && sent->requests != now->requests)
        which |= LIVE_REQUESTS;
    if ((both & LIVE_WAITING) && sent->waiting != now->waiting)
        which |= LIVE_WAITING;
    if ((both & LIVE_RATE) && differs(sent->rate, now->rate))
        which |= LIVE_RATE;
    if ((both & LIVE_PROGRESS) && sent->progress != now->progress)
        which |= LIVE_PROGRESS;
    if ((both & LIVE_IDLE) && sent->last_used != now->last_used)
        which |= LIVE_IDLE;
    if ((both & LIVE_MEMORY) && memory_differs(sent, now))
        which |= LIVE_MEMORY;
    if ((both & LIVE_DOWNLOAD) && (sent->done != now->done || sent->total != now->total))
        which |= LIVE_DOWNLOAD;
    return which;
}

void live_rows_take(struct live_figures *sent, const struct live_figures *now, unsigned which)
{
    sent->has = (sent->has & ~which) | (now->has & which);
    if (which & LIVE_REQUESTS)
        sent->requests = now->requests;
    if (which & LIVE_WAITING)
        sent->waiting = now->waiting;
    if (which & LIVE_RATE)
        sent->rate = now->rate;
    if (which & LIVE_PROGRESS)
        sent->progress = now->progress;
    if (which & LIVE_IDLE)
        sent->last_used = now->last_used;
    if (which & LIVE_MEMORY)
        memcpy(sent->memory, now->memory, sizeof sent->memory);
    if (which & LIVE_DOWNLOAD) {
        sent->done = now->done;
        sent->total = now->total;
    }
}

static void write_memory(struct buf *out, const struct host *host, const uint32_t *mib)
{
    const struct memory_figures *figures = &host_snapshot(host)->figures;
    buf_puts(out, "{");
    for (size_t d = 0; d < figures->n; d++)
        buf_printf(out, "%s\"%s\":%llu", d ? "," : "", figures->device[d].name,
                   (unsigned long long)mib[d] * MIB);
    buf_puts(out, "}");
}

static void write_value(struct buf *out, struct host *host, const struct live_figures *f,
                        enum live_figure which)
{
    const double now = (double)uv_now(host_loop(host));
    if (!(f->has & which)) {
        buf_puts(out, "null");
        return;
    }
    switch (which) {
    case LIVE_REQUESTS:
        buf_printf(out, "%u", f->requests);
        return;
    case LIVE_WAITING:
        buf_printf(out, "%u", f->waiting);
        return;
    case LIVE_RATE:
        buf_printf(out, "%g", f->rate);
        return;
    case LIVE_PROGRESS:
        buf_printf(out, "%g", f->progress / 100.0);
        return;
    case LIVE_IDLE:
        buf_printf(out, "%.1f", clock_unix() - (now - (double)f->last_used) / 1000);
        return;
    case LIVE_MEMORY:
        write_memory(out, host, f->memory);
        return;
    case LIVE_DOWNLOAD:
        buf_printf(out, "{\"done\":%llu,\"total\":%llu}", (unsigned long long)f->done * MIB,
                   (unsigned long long)f->total * MIB);
        return;
    }
}

void live_rows_write(struct buf *out, struct host *host, const struct live_figures *f,
                     unsigned which)
{
    static const char *const names[] = {"requests",   "waiting", "tokens_per_second", "progress",
                                        "idle_since", "memory",  "download"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (!(which & (1U << i)))
            continue;
        buf_printf(out, ",\"%s\":", names[i]);
        write_value(out, host, f, (enum live_figure)(1U << i));
    }
}

bool live_rows_is_busy(const struct live_source *s, const struct live_figures *f)
{
    return s->model && (f->rate > 0 || f->requests || f->waiting);
}

/* --- the machine --------------------------------------------------------------------------------
 */

void live_rows_devices(struct live_devices *out, const struct host *host)
{
    const struct snapshot *s = host_snapshot(host);
    const struct budget *b = host_budget(host);
    memset(out, 0, sizeof *out);
    out->n = s->figures.n;
    out->version = s->figures.version;
    for (size_t d = 0; d < s->figures.n; d++) {
        out->device[d].total = (uint32_t)(s->figures.device[d].total / MIB);
        out->device[d].available = (uint32_t)(s->figures.device[d].available / MIB);
        out->device[d].engines = (uint32_t)(s->held[d] / MIB);
        out->device[d].has_budget = b->devices;
        out->device[d].budget = b->devices ? (uint32_t)(budget_ceiling(b, d) / MIB) : 0;
        out->device[d].gone = s->figures.device[d].gone;
    }
}

static bool far_apart(uint32_t a, uint32_t b, uint32_t total)
{
    return (a > b ? a - b : b - a) > total / 100;
}

bool live_rows_devices_differ(const struct live_devices *sent, const struct live_devices *now)
{
    if (sent->n != now->n || sent->version != now->version)
        return true;
    for (size_t d = 0; d < now->n; d++) {
        uint32_t total = now->device[d].total;
        if (sent->device[d].total != total || sent->device[d].gone != now->device[d].gone ||
            sent->device[d].has_budget != now->device[d].has_budget ||
            far_apart(sent->device[d].budget, now->device[d].budget, total) ||
            far_apart(sent->device[d].available, now->device[d].available, total) ||
            differs(sent->device[d].engines, now->device[d].engines))
            return true;
    }
    return false;
}

static json_t *bytes_of(uint64_t mib)
{
    return json_integer((json_int_t)mib * (json_int_t)MIB);
}

json_t *live_rows_devices_json(const struct live_devices *d, const struct host *host)
{
    const struct memory_figures *figures = &host_snapshot(host)->figures;
    json_t *all = json_object();
    for (size_t i = 0; i < d->n && i < figures->n; i++) {
        uint32_t used = d->device[i].total - d->device[i].available;
        bool others = d->device[i].total > d->device[i].available && used > d->device[i].engines;
        json_t *o = json_pack("{s:o, s:o, s:o, s:o, s:o}", "total", bytes_of(d->device[i].total),
                              "available", bytes_of(d->device[i].available), "budget",
                              d->device[i].has_budget ? bytes_of(d->device[i].budget) : json_null(),
                              "engines", bytes_of(d->device[i].engines), "others",
                              bytes_of(others ? used - d->device[i].engines : 0));
        model_json_add_card(o, figures, i);
        add_flag(o, "gone", d->device[i].gone);
        json_object_set_new(all, figures->device[i].name, o);
    }
    return json_pack("{s:o}", "devices", all);
}

json_t *live_rows_queue(struct api *api, const struct http_exchange *x)
{
    const struct sched_model *s;
    struct http_load load;
    json_t *next = json_array();
    http_exchange_server_load(x, &load);
    TAILQ_FOREACH (s, &host_sched(api->host)->waiting_models, queue_link) {
        const struct model *m = container_of(s, struct model, sched);
        if (json_array_size(next) == NEXT_MAX)
            break;
        json_array_append_new(next, reply_string(m->entry->id));
    }
    return json_pack("{s:i, s:i, s:{s:i, s:i}, s:o}", "waiting", (int)host_waiting(api->host),
                     "running", (int)sched_leases(host_sched(api->host)), "connections", "open",
                     (int)load.open, "max", (int)load.max, "models_next", next);
}

static json_t *rights_of(unsigned rights)
{
    static const char *const names[RIGHT_COUNT] = {
        [RIGHT_LIST] = "list",     [RIGHT_INFER] = "infer", [RIGHT_RESUME] = "resume",
        [RIGHT_STATUS] = "status", [RIGHT_LOGS] = "logs",   [RIGHT_LOAD] = "load",
        [RIGHT_UNLOAD] = "unload", [RIGHT_HOLD] = "hold",   [RIGHT_DOWNLOAD] = "download",
        [RIGHT_DELETE] = "delete", [RIGHT_ADMIN] = "admin"};
    json_t *all = json_array();
    for (unsigned r = 0; r < RIGHT_COUNT; r++)
        if (names[r] && (rights & (1U << r)))
            json_array_append_new(all, json_string(names[r]));
    return all;
}

json_t *live_rows_server(struct api *api, unsigned rights, double started)
{
    const struct config *c = host_config(api->host);
    return json_pack("{s:s, s:f, s:b, s:b, s:i, s:b, s:o, s:o}", "version", HOSTLER_VERSION,
                     "started", started, "router", !c->classic, "classic", c->classic, "models_max",
                     (int)c->models_max, "autoload", (int)c->autoload, "rights", rights_of(rights),
                     "capture", capture_json(api->capture));
}
