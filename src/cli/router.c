/* SPDX-License-Identifier: MIT */
#include "cli/router.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/nearest.h"
#include "cli/format.h"

int router_open(struct router *r, const struct cli *cli)
{
    struct error err;
    *r = (struct router){.cli = cli, .timeout_ms = 30000};
    if (url_parse(&r->url, cli->url, &err)) {
        cli_error(cli, "%s", err.text);
        return CLI_USAGE;
    }
    if (client_create(&r->client, &r->url, cli->key, &err)) {
        cli_error(cli, "%s", err.text);
        return CLI_NO_SERVER;
    }
    return CLI_OK;
}

void router_close(struct router *r)
{
    json_decref(r->status);
    client_destroy(r->client);
    url_finish(&r->url);
    *r = (struct router){0};
}

/* --- what goes wrong ----------------------------------------------------------------------------
 */

int router_unreachable(const struct router *r, int code, const struct error *err)
{
    cli_error(r->cli, "%s", err->text);
    if (code == -ECONNREFUSED)
        cli_hint(r->cli, "start a server with `hostler serve`, or name another with --url or "
                         "HOSTLER_URL");
    else if (code == -EPROTO)
        cli_hint(r->cli, "is it another service's port? Name the router with --url or HOSTLER_URL");
    return CLI_NO_SERVER;
}

int router_refused(const struct router *r)
{
    cli_error(r->cli, r->cli->key ? "%s refused the key" : "%s wants a key", r->url.shown);
    cli_hint(r->cli, "give %s with HOSTLER_API_KEY or --api-key",
             r->cli->key ? "the right one" : "it");
    return CLI_REFUSED;
}

static int not_a_router(const struct router *r, const char *what)
{
    cli_error(r->cli, "%s is not a llama.cpp router: %s", r->url.shown, what);
    cli_hint(r->cli,
             "name the router with --url or HOSTLER_URL, or start one with `hostler serve`");
    return CLI_NO_SERVER;
}

/* --- talking ------------------------------------------------------------------------------------
 */

/* The first line or so of what is no error in JSON. */
static char *excerpt(const char *body, size_t len)
{
    while (len && strchr(" \t\r\n", body[0]))
        body++, len--;
    size_t n = 0;
    while (n < len && n < 120 && body[n] != '\n' && body[n] != '\r')
        n++;
    return n ? mem_strndup(body, n) : NULL;
}

char *router_error_text(const char *body, size_t len)
{
    json_t *root = len ? json_loadb(body, len, 0, NULL) : NULL;
    json_t *error = json_object_get(root, "error");
    const char *text = json_string_value(json_object_get(error, "message"));
    if (!text)
        text = json_string_value(error);
    if (!text)
        text = json_string_value(json_object_get(root, "detail"));
    char *copy = text ? mem_strdup(text) : excerpt(body, len);
    json_decref(root);
    return copy;
}

static void read_answer(struct router_answer *a, const struct client_answer *raw)
{
    a->status = raw->status;
    if (raw->body.len)
        a->body = json_loadb(raw->body.data, raw->body.len, 0, NULL);
    if (a->status >= 400 || !a->body)
        a->text = router_error_text(raw->body.data, raw->body.len);
}

int router_ask_patiently(struct router *r, const char *method, const char *path, json_t *body,
                         unsigned timeout_ms, int (*tick)(void *ctx), void *ctx,
                         struct router_answer *a)
{
    struct client_answer raw;
    struct error err;
    char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    json_decref(body);
    *a = (struct router_answer){0};
    struct client_request request = {.method = method,
                                     .path = path,
                                     .body = text,
                                     .timeout_ms = timeout_ms,
                                     .tick = tick,
                                     .ctx = ctx};
    int rc = client_do(r->client, &request, &raw, &err);
    if (!rc)
        read_answer(a, &raw);
    client_answer_finish(&raw);
    free(text);
    if (rc)
        return router_unreachable(r, rc, &err);
    return a->status == 401 || a->status == 403 ? router_refused(r) : CLI_OK;
}

int router_ask(struct router *r, const char *method, const char *path, json_t *body,
               unsigned timeout_ms, struct router_answer *a)
{
    return router_ask_patiently(r, method, path, body, timeout_ms, NULL, NULL, a);
}

void router_answer_finish(struct router_answer *a)
{
    json_decref(a->body);
    free(a->text);
    *a = (struct router_answer){0};
}

const char *router_message(const struct router_answer *a)
{
    return a->text ? a->text : "it does not say why";
}

/* --- which server -------------------------------------------------------------------------------
 */

int router_detect(struct router *r)
{
    struct router_answer a;
    int status = router_ask(r, "GET", "/hostler/v1/status", NULL, r->timeout_ms, &a);
    if (!status && a.status == 200 && json_is_object(a.body)) {
        r->kind = ROUTER_HOSTLER;
        r->status = json_incref(a.body);
    } else if (!status && a.status == 200) {
        status = not_a_router(r, "it answers with something else than JSON");
    } else if (!status) {
        r->kind = ROUTER_STOCK; /* unless router_list() finds that it is none at all */
    }
    router_answer_finish(&a);
    return status;
}

static const char *first_string(json_t *object, const char *const *keys)
{
    for (; *keys; keys++) {
        const char *text = json_string_value(json_object_get(object, *keys));
        if (text && *text)
            return text;
    }
    return NULL;
}

static json_t *list_in(json_t *body)
{
    json_t *list = json_object_get(body, "data");
    if (!json_is_array(list))
        list = json_object_get(body, "models");
    return json_is_array(list) ? list : json_is_array(body) ? body : NULL;
}

/* An entry without a usable id is left out: nothing could be done with it. */
bool router_models_read(struct router_models *m, json_t *body)
{
    static const char *const id_keys[] = {"id", "model", "name", NULL};
    size_t i;
    json_t *entry, *list = list_in(body);
    *m = (struct router_models){.list = json_incref(list)};
    m->v = mem_zalloc(json_array_size(list) * sizeof *m->v);
    json_array_foreach (list, i, entry) {
        const char *id = first_string(entry, id_keys);
        json_t *status = json_object_get(entry, "status");
        json_t *value = json_is_object(status) ? json_object_get(status, "value") : status;
        if (id)
            m->v[m->n++] = (struct router_model){
                .id = id,
                .entry = entry,
                .status = status,
                .state = json_string_value(json_is_string(value) ? value
                                                                 : json_object_get(entry, "state")),
                .draining = json_is_true(json_object_get(status, "draining")),
                .failed = json_is_true(json_object_get(status, "failed"))};
    }
    return list;
}

/* No entry tells a state. With no entry at all, /props says what it is. */
static int check_role(struct router *r, const struct router_models *m)
{
    struct router_answer a;
    char *what = NULL;
    if (r->kind == ROUTER_HOSTLER)
        return CLI_OK;
    int status = router_ask(r, "GET", "/props", NULL, r->timeout_ms, &a);
    const char *role = json_string_value(json_object_get(a.body, "role"));
    bool engine = json_is_object(json_object_get(a.body, "default_generation_settings"));
    bool router = role && strcmp(role, "router") == 0;
    if (!status && !(router && !m->n)) {
        if (engine && !router && m->n == 1)
            what = mem_printf("it is a llama-server with one model, '%s'", m->v[0].id);
        status = not_a_router(r, what   ? what
                                 : m->n ? "its list of models tells no states"
                                        : "it has no models, and does not say what it is");
    }
    free(what);
    router_answer_finish(&a);
    return status;
}

static int check_list(struct router *r, struct router_models *m)
{
    size_t without = 0;
    for (size_t i = 0; i < m->n; i++)
        if (!m->v[i].state) {
            m->v[i].state = "unknown";
            without++;
        }
    return without == m->n ? check_role(r, m) : CLI_OK;
}

/* It speaks the API, and said why it does not now. What it does not have, it says of anything. */
static bool says_why(const struct router_answer *a)
{
    json_t *message = json_object_get(json_object_get(a->body, "error"), "message");
    return a->status >= 400 && a->status != 404 && a->status != 405 && json_is_string(message);
}

static int list_failed(struct router *r, const struct router_answer *a)
{
    char *what;
    if (says_why(a)) {
        cli_error(r->cli, "%s", router_message(a));
        return CLI_SOME_FAILED;
    }
    if (a->body && a->status == 200)
        what = mem_strdup("its answer to GET /models is no list");
    else if (a->status == 200)
        what = mem_strdup("it answers with something else than JSON");
    else
        what =
            mem_printf("it answers GET /models with status %d: %s", a->status, router_message(a));
    int status = not_a_router(r, what);
    free(what);
    return status;
}

bool router_is_classic(json_t *status)
{
    const char *mode = json_string_value(json_object_get(status, "mode"));
    return mode && strcmp(mode, "classic") == 0;
}

int router_list(struct router *r, struct router_models *m, bool reload)
{
    struct router_answer a;
    const char *path = router_is_classic(r->status) ? "/hostler/v1/status"
                       : reload                     ? "/models?reload=1"
                                                    : "/models";
    int status = router_ask(r, "GET", path, NULL, r->timeout_ms, &a);
    bool listed = router_models_read(m, a.status == 200 ? a.body : NULL);
    if (!status && !listed)
        status = list_failed(r, &a);
    else if (!status)
        status = check_list(r, m);
    router_answer_finish(&a);
    return status;
}

void router_models_finish(struct router_models *m)
{
    json_decref(m->list);
    free(m->v);
    *m = (struct router_models){0};
}

void router_tell_problem(const struct router *r)
{
    const char *problem = json_string_value(json_object_get(r->status, "problem"));
    if (!problem || r->cli->quiet)
        return;
    char *line = format_clean(mem_strdup(problem), FORMAT_ONE_LINE);
    fflush(stdout); /* so that it is the last line where both are the same file */
    fprintf(stderr, "problem: %s\n", line);
    free(line);
}

/* --- finding ------------------------------------------------------------------------------------
 */

static bool has_alias(const struct router_model *m, const char *name)
{
    size_t i;
    json_t *alias;
    json_array_foreach (json_object_get(m->entry, "aliases"), i, alias)
        if (json_is_string(alias) && strcmp(json_string_value(alias), name) == 0)
            return true;
    return false;
}

const struct router_model *router_find(const struct router_models *m, const char *name)
{
    for (size_t i = 0; i < m->n; i++)
        if (strcmp(m->v[i].id, name) == 0)
            return &m->v[i];
    for (size_t i = 0; i < m->n; i++)
        if (has_alias(&m->v[i], name))
            return &m->v[i];
    return NULL;
}

static char *lowered(const char *text)
{
    char *copy = mem_strdup(text);
    for (char *p = copy; *p; p++)
        *p = (char)tolower((unsigned char)*p);
    return copy;
}

/* What a name was likely meant to be: the better kind of likeness wins, within one the fewest
 * edits; beginnings and parts only count when one model alone has them. */
struct guess {
    char *wanted; /* in lower case */
    const char *same, *beginning, *part, *edited;
    size_t beginnings, parts; /* models */
    struct nearest near;
};

static void guess_consider(struct guess *g, const char *name, bool *begins, bool *holds)
{
    char *low = lowered(name);
    const char *at = *g->wanted ? strstr(low, g->wanted) : NULL;
    size_t before = g->near.best_edits;
    if (strcmp(low, g->wanted) == 0)
        g->same = name;
    if (at == low && !*begins)
        *begins = true, g->beginning = name;
    if (at && !*holds)
        *holds = true, g->part = name;
    nearest_consider(&g->near, low);
    if (g->near.best_edits < before)
        g->edited = name;
    free(low);
}

const char *router_nearest(const struct router_models *m, const char *name)
{
    struct guess g = {.wanted = lowered(name)};
    nearest_init(&g.near, g.wanted);
    for (size_t i = 0; i < m->n; i++) {
        size_t j;
        json_t *alias;
        bool begins = false, holds = false;
        guess_consider(&g, m->v[i].id, &begins, &holds);
        json_array_foreach (json_object_get(m->v[i].entry, "aliases"), j, alias)
            if (json_is_string(alias))
                guess_consider(&g, json_string_value(alias), &begins, &holds);
        g.beginnings += begins;
        g.parts += holds;
    }
    free(g.wanted);
    return g.same ? g.same : g.beginnings == 1 ? g.beginning : g.parts == 1 ? g.part : g.edited;
}

void router_unknown(const struct router *r, const struct router_models *m, const char *name)
{
    const char *near = router_nearest(m, name);
    cli_error(r->cli, "there is no model '%s'", name);
    if (near)
        cli_hint(r->cli, "did you mean '%s'?", near);
    else
        cli_hint(r->cli, "`hostler list` shows what there is; --reload looks for new files first");
}

/* --- one model ----------------------------------------------------------------------------------
 */

static bool state_in(const struct router_model *m, const char *const *states)
{
    for (; *states; states++)
        if (strcmp(m->state, *states) == 0)
            return true;
    return false;
}

bool router_is_active(const struct router_model *m)
{
    static const char *const states[] = {"loaded", "sleeping", "loading",  "starting",
                                         "ready",  "draining", "stopping", NULL};
    return state_in(m, states);
}

bool router_is_ready(const struct router_model *m)
{
    static const char *const states[] = {"loaded", "sleeping", "ready", NULL};
    return state_in(m, states);
}

json_t *router_status_get(const struct router_model *m, const char *key)
{
    return json_object_get(m->status, key); /* NULL for a string */
}

static json_int_t context_from_args(json_t *args)
{
    size_t i;
    json_t *arg;
    json_array_foreach (args, i, arg) {
        const char *text = json_string_value(arg);
        const char *next = json_string_value(json_array_get(args, i + 1));
        if (text && next && (strcmp(text, "--ctx-size") == 0 || strcmp(text, "-c") == 0))
            return strtoll(next, NULL, 10);
    }
    return 0;
}

json_int_t router_context(const struct router_model *m)
{
    json_t *meta = json_object_get(m->entry, "meta");
    json_int_t n = json_integer_value(json_object_get(meta, "n_ctx"));
    if (n <= 0)
        n = context_from_args(router_status_get(m, "args"));
    if (n <= 0)
        n = json_integer_value(json_object_get(m->entry, "context_length"));
    if (n <= 0)
        n = json_integer_value(json_object_get(meta, "n_ctx_train"));
    return n > 0 ? n : 0;
}

json_int_t router_size(const struct router_model *m)
{
    json_int_t n = json_integer_value(json_object_get(m->entry, "size"));
    if (n <= 0)
        n = json_integer_value(json_object_get(json_object_get(m->entry, "meta"), "size"));
    return n > 0 ? n : 0;
}
