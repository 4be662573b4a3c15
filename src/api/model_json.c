/* SPDX-License-Identifier: MIT */
#include "api/model_json.h"

#include <stdlib.h>

#include "api/reply.h"
#include "base/clock.h"

/* --- memory -------------------------------------------------------------------------------------
 */

json_t *model_json_bytes(const struct host *host, const uint64_t *bytes)
{
    const struct memory_figures *figures = &host_snapshot(host)->figures;
    json_t *o = json_object();
    for (size_t d = 0; d < figures->n; d++)
        json_object_set_new(o, figures->device[d].name, json_integer((json_int_t)bytes[d]));
    return o;
}

static void add_memory(json_t *o, const struct host *host, const uint64_t *bytes,
                       enum footprint_source source)
{
    json_object_set_new(o, "memory", model_json_bytes(host, bytes));
    json_object_set_new(o, "memory_source", json_string(footprint_source_name(source)));
}

void model_json_add_instance_memory(const struct instance *i, json_t *o)
{
    const struct footprint *expected = &i->model->learned.footprint;
    const struct memory_use *use = instance_memory(i);
    if (use)
        add_memory(o, i->model->host, use->bytes, FOOTPRINT_MEASURED);
    else /* it has just been started, or drivers hang */
        add_memory(o, i->model->host, expected->bytes, expected->source);
}

void model_json_add_memory(struct model *m, json_t *o)
{
    const struct footprint *expected = &m->learned.footprint;
    model_follow_cards(m);
    if (model_engine(m))
        model_json_add_instance_memory(model_instance(m), o);
    else if (expected->source != FOOTPRINT_UNKNOWN)
        add_memory(o, m->host, expected->bytes, expected->source);
}

json_t *model_json_footprint(const struct host *host, const struct footprint *f)
{
    if (!f || f->source == FOOTPRINT_UNKNOWN)
        return json_null();
    json_t *o = json_pack("{s:s, s:o, s:I, s:I}", "source", footprint_source_name(f->source),
                          "memory", model_json_bytes(host, f->bytes), "mapped",
                          (json_int_t)f->mapped, "growth", (json_int_t)f->growth);
    if (f->undecided)
        json_object_set_new(o, "undecided", json_string(f->undecided));
    return o;
}

/* The card whose memory the device is; the host and unknown ones have none. */
static const struct card *card_of(const struct memory_figures *figures, size_t device)
{
    const struct card_list *l = &figures->cards;
    for (size_t i = 0; device && i < l->n; i++)
        if (l->card[i].device == device && !l->card[i].partitioned)
            return &l->card[i];
    return NULL;
}

void model_json_add_card(json_t *o, const struct memory_figures *figures, size_t device)
{
    const struct card *card = card_of(figures, device);
    if (card)
        json_object_set_new(o, "card",
                            json_pack("{s:o, s:o, s:o}", "pci", reply_string(card->pci), "uuid",
                                      reply_string(card->uuid), "product",
                                      reply_string(card->product)));
}

/* --- holds and changes --------------------------------------------------------------------------
 */

json_t *model_json_hold(const struct model *m)
{
    json_t *o = json_object();
    uint64_t now = uv_now(host_loop(m->host));
    uint64_t until = m->sched.held_until;
    json_object_set_new(o, "model", reply_string(m->entry->id));
    json_object_set_new(
        o, "until",
        until == SCHED_NEVER
            ? json_null()
            : json_integer(
                  (json_int_t)(clock_unix() + (double)(until > now ? until - now : 0) / 1000)));
    json_object_set_new(o, "reason", reply_string_or_null(intent_hold_reason(m)));
    json_object_set_new(o, "by", reply_string_or_null(intent_hold_by(m)));
    return o;
}

json_t *model_json_change(const struct history_entry *e)
{
    json_t *o = json_object();
    json_object_set_new(o, "at", json_real(e->at));
    json_object_set_new(o, "model", reply_string(e->model));
    json_object_set_new(o, "event", json_string(e->event));
    json_object_set_new(o, "why", reply_string_or_null(e->why));
    return o;
}

/* --- an entry of the list -----------------------------------------------------------------------
 */

static json_t *strings(const struct strv *v)
{
    json_t *a = json_array();
    for (size_t i = 0; i < v->n; i++)
        json_array_append_new(a, reply_string(v->v[i]));
    return a;
}

static json_t *args_of(const struct model *m)
{
    json_t *args = strings(&m->launch->argv);
    json_array_insert_new(args, 0, reply_string(engine_launch_path(m->launch)));
    return args;
}

static json_t *preset_of(const struct model *m)
{
    char *ini = compose_ini(m->launch, host_presets(m->host), m->entry->id);
    json_t *text = reply_string(ini);
    free(ini);
    return text;
}

/* `failed` and `exit_code` as in llama.cpp, and why, which it cannot say. */
static void add_end(json_t *status, const struct model *m)
{
    const char *reason = outcome_reason_name(m->outcome.reason);
    if (model_state(m) != SCHED_UNLOADED)
        return;
    if (reason)
        json_object_set_new(status, "reason", json_string(reason));
    const char *message = m->outcome.failure ? m->outcome.failure : m->entry->problem;
    if (m->outcome.reason == OUTCOME_NO_ROOM && message)
        json_object_set_new(status, "message", reply_string(message));
    if (!outcome_is_failure(&m->outcome))
        return;
    json_object_set_new(status, "failed", json_true());
    json_object_set_new(status, "exit_code", json_integer(outcome_exit_code(&m->outcome)));
    if (m->outcome.exit.signal)
        json_object_set_new(status, "signal", json_integer(m->outcome.exit.signal));
    if (message)
        json_object_set_new(status, "message", reply_string(message));
    if (m->outcome.log && *m->outcome.log)
        json_object_set_new(status, "log", reply_string(m->outcome.log));
}

static json_t *status_of(const struct model *m)
{
    json_t *status = json_object();
    json_object_set_new(status, "value", json_string(model_status(m)));
    json_object_set_new(status, "args", args_of(m));
    json_object_set_new(status, "preset", preset_of(m));
    if (model_is_draining(m) || model_state(m) == SCHED_STOPPING || model_is_to_go(m))
        json_object_set_new(status, "draining", json_true());
    if (model_state(m) == SCHED_SAVING)
        json_object_set_new(status, "saving", json_true());
    if (model_state(m) == SCHED_LOADING && model_engine(m) && engine_progress(model_engine(m)))
        json_object_set(status, "progress", engine_progress(model_engine(m)));
    add_end(status, m);
    return status;
}

static json_t *architecture_of(const struct catalog_model *m)
{
    json_t *input = json_pack("[s]", "text");
    const struct gguf_info *mmproj = m->mmproj_info;
    if (mmproj && mmproj->has_vision)
        json_array_append_new(input, json_string("image"));
    if (mmproj && mmproj->has_audio)
        json_array_append_new(input, json_string("audio"));
    return json_pack("{s:o, s:[s]}", "input_modalities", input, "output_modalities", "text");
}

/* What the engine itself tells of its model while it runs, in `ready`'s report: it knows more of what
 * it takes than the files' headers do. */
static void merge_engine_info(json_t *entry, const struct model *m)
{
    json_t *info = model_engine(m) ? engine_info(model_engine(m)) : NULL;
    static const char *const members[] = {"meta", "architecture"};
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        json_t *member = json_object_get(info, members[i]);
        if (member)
            json_object_set(entry, members[i], member);
    }
}

json_t *model_json_entry(struct model *m)
{
    const struct catalog_model *entry = m->entry;
    json_t *e = json_object();
    json_object_set_new(e, "id", reply_string(entry->id));
    json_object_set_new(e, "aliases", strings(&entry->aliases));
    json_object_set_new(e, "tags", strings(&m->tags));
    json_object_set_new(e, "object", json_string("model"));
    json_object_set_new(e, "owned_by", json_string("llamacpp"));
    json_object_set_new(e, "created", json_integer((json_int_t)entry->created));
    json_object_set_new(e, "status", status_of(m));
    json_object_set_new(e, "architecture", architecture_of(entry));
    json_object_set_new(e, "source", json_string(model_source_name(entry->source)));
    json_object_set_new(e, "can_remove", json_boolean(entry->source == MODEL_SOURCE_CACHE));
    if (entry->header == MODEL_HEADER_READ)
        json_object_set_new(e, "context_length", json_integer(entry->info.context_length));
    json_object_set_new(e, "size", json_integer((json_int_t)entry->size));
    model_json_add_memory(m, e);
    if (intent_is_held(m))
        json_object_set_new(e, "held", model_json_hold(m));
    if (m->sched.pinned)
        json_object_set_new(e, "pinned", json_true());
    merge_engine_info(e, m);
    return e;
}

json_t *model_json_public_entry(struct model *m)
{
    json_t *entry = model_json_entry(m), *held = json_object_get(entry, "held");
    json_object_del(json_object_get(entry, "status"), "log");
    json_object_del(held, "reason");
    json_object_del(held, "by");
    return entry;
}

static json_t *value_of(const struct engine_arg *arg)
{
    if (arg->option->role == ENGINE_OPTION_TOKEN)
        return json_null();
    return arg->value ? reply_string(arg->value) : json_boolean(!arg->negated);
}

/* Values of one option that accumulates are a list. */
static void add_argument(json_t *args, const struct engine_arg *arg)
{
    const char *name = arg->option->canonical + strspn(arg->option->canonical, "-");
    json_t *before = json_object_get(args, name);
    if (!before)
        json_object_set_new(args, name, value_of(arg));
    else if (json_is_array(before))
        json_array_append_new(before, value_of(arg));
    else
        json_object_set_new(args, name, json_pack("[O, o]", before, value_of(arg)));
}

json_t *model_json_load(const struct model *m)
{
    const struct load_options *l = &m->load;
    if (!l->has_args && !l->has_ttl)
        return json_null();
    json_t *args = json_object();
    for (size_t i = 0; l->has_args && i < l->args.n; i++)
        add_argument(args, &l->args.v[i]);
    json_t *o = json_pack("{s:o}", "args", args);
    if (l->has_ttl)
        json_object_set_new(o, "ttl_ms", json_integer((json_int_t)l->ttl_ms));
    return o;
}
