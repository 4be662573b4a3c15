/* SPDX-License-Identifier: MIT */
/*
 * A second kind of engine, for tests: a script that Python runs, which serves HTTP on a TCP port and
 * reports nothing. In a tree of its own such a kind would be a folder below src/engine/, and a line in
 * engine/kinds.c; here tests/kind/kinds.c is in the place of that file.
 *
 *     [speech]
 *     script = /opt/speech.py              which makes the section one of this kind
 *     check = /up                          the path that says whether it is ready, and whether it hangs
 *     folder = /opt                        that it runs in
 *     inference = /run                     its path for /v1/audio/transcriptions, in place of /inference
 *     stop = /opt/stop ${PID}              a command that is run when it is to stop
 */
#include "script.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#include "base/memory.h"
#include "engine/environment.h"

/* --- options */

static const struct {
    const char *name;
    enum engine_option_role role;
} options[] = {
    {"--script", ENGINE_OPTION_REMOTE}, {"--check", ENGINE_OPTION_OTHER},
    {"--folder", ENGINE_OPTION_OTHER},  {"--inference", ENGINE_OPTION_OTHER},
    {"--stop", ENGINE_OPTION_OTHER},
};

static int load_options(struct engine_options **out, const char *program, struct error *why)
{
    struct engine_options *all = engine_options_create();
    (void)program;
    (void)why;
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        struct engine_option *o = engine_options_add(all);
        strv_add(&o->names, options[i].name);
        o->canonical = o->names.v[0];
        o->takes_value = true;
        o->role = options[i].role;
        o->selects = i == 0;
    }
    *out = all;
    return 0;
}

/* --- arguments */

static char *copy_of(const struct engine_args *args, const char *name)
{
    const struct engine_arg *a = engine_args_find(args, name);
    return a ? mem_strdup(a->value) : NULL;
}

static void set_route(struct engine_particulars *own, const char *path)
{
    strv_add(&own->route_texts, path);
    own->routes = mem_zalloc(sizeof *own->routes);
    own->n_routes = 1;
    own->routes[0] = script_kind.routes->v[0];
    own->routes[0].engine_path = own->route_texts.v[0];
}

static void compose_script(struct engine_launch *out, const struct engine_setup *s)
{
    struct engine_particulars *own = engine_launch_own(out);
    if (s->load)
        engine_args_merge(&out->args, s->load);
    engine_args_merge(&out->args, s->section);
    strv_copy(&out->env, s->env);
    strv_add(&out->argv, engine_args_find(&out->args, "--script")->value);
    own->ready_path = copy_of(&out->args, "--check");
    own->health_path = copy_of(&out->args, "--check");
    own->directory = copy_of(&out->args, "--folder");
    if (engine_args_find(&out->args, "--inference"))
        set_route(own, engine_args_find(&out->args, "--inference")->value);
    if (engine_args_find(&out->args, "--stop"))
        strv_split(&own->stop_command, engine_args_find(&out->args, "--stop")->value, ' ');
    out->connections = 8;
}

static void set_environment(struct strv *env)
{
    environment_set(env, "KIND=script");
}

static bool uses_tcp(const struct strv *args)
{
    (void)args;
    return true;
}

static void add_place(struct strv *argv, struct strv *env, const struct engine_place *place)
{
    (void)env;
    strv_addf(argv, "%u", place->port);
}

/* --- memory and answers */

static void estimate(struct engine_estimate *out, const struct engine_question *q)
{
    (void)q;
    *out = (struct engine_estimate){.bytes[0] = SCRIPT_BYTES};
}

static bool is_out_of_memory(const char *log)
{
    return strstr(log, "MemoryError") != NULL;
}

static bool usage(struct engine_usage *out, const char *tail, size_t len)
{
    json_t *spent = engine_usage_value(tail, len, "\"spent\":");
    const json_t *words = json_object_get(spent, "words");
    bool known = json_is_integer(words);
    if (known)
        *out = (struct engine_usage){.prompt_tokens = -1, .tokens = json_integer_value(words)};
    json_decref(spent);
    return known;
}

static const struct engine_route list[] = {
    {"POST", "/v1/audio/transcriptions", ENGINE_ROUTE_INFER, ENGINE_ROUTE_MODEL_IN_BODY,
     "/inference"},
    {"GET", "/v1/voices", ENGINE_ROUTE_READ, ENGINE_ROUTE_MODEL_IN_QUERY, NULL},
};

static const struct engine_routes routes = {list, sizeof list / sizeof *list};

static const struct engine_stop_step stop[] = {{.signal = SIGTERM}};

const struct engine_kind script_kind = {
    .name = "script",
    .program = "python3",
    .program_env = "SCRIPT_PYTHON",
    .project = "Python",
    .options_load = load_options,
    .model_hint = "'script = FILE'",
    .compose = compose_script,
    .environment = set_environment,
    .uses_tcp = uses_tcp,
    .add_place = add_place,
    .readiness = ENGINE_READY_ANSWERS,
    .ready_path = "/",
    .stop = stop,
    .n_stop = 1,
    .is_out_of_memory = is_out_of_memory,
    .estimate = estimate,
    .routes = &routes,
    .usage = usage,
};
