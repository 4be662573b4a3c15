/* SPDX-License-Identifier: MIT */
/*
 * The file of presets, read, checked and written: what the page's editor needs. The daemon's own reader says what is wrong with a
 * text, and the same pass that it makes over all models what would change. All of that is done in the pool, and so is the
 * answer's text made, since a file of 10,000 sections takes some 10 ms.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "api/body.h"
#include "api/paced.h"
#include "api/reply.h"
#include "base/container_of.h"
#include "base/json_text.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "catalog/ini.h"
#include "server/preset_changes.h"
#include "server/preset_file.h"
#include "server/preset_values.h"

#define JOBS_MAX                                                                                   \
    4 /* at once: each takes a thread of the pool, which a folder that hangs may hold */
#define MISTAKES_MAX 100 /* that are told */
#define NO_ROUTER "a server of one model has no presets"
#define NO_FILE "there is no file of presets: start hostler with --models-preset FILE"
#define OF_A_REPOSITORY "the presets are those of a repository on the hub"
#define ANYBODY                                                                                    \
    "anybody who reaches this server could write them: give it keys (--api-key-file), or let it "  \
    "listen on this machine only"

enum task { READ, CHECK, WRITE };

struct job {
    struct api *api;
    struct http_exchange *x; /* NULL: the client is gone; what was begun goes on */
    enum task task;
    char *text;      /* what is to be checked or written */
    char *tag;       /* of the text that it is to replace */
    char *in_effect; /* the text of which the models are; NULL: none */
    char *problem;   /* why a newer one is not in effect; NULL */
    char *by;        /* who writes */
    const char *why_not;
    uv_work_t work;
    struct refresh_waiter waiter;
    /* What the pool found: */
    json_t *answer, *mistakes, *warnings, *changes;
    unsigned n_mistakes;
    struct error err;
    int rc;
    char *json; /* the answer as text */
    size_t len;
};

static void job_free(struct job *j)
{
    j->api->preset_jobs--;
    host_operation_end(j->api->host);
    json_decref(j->answer);
    json_decref(j->mistakes);
    json_decref(j->warnings);
    json_decref(j->changes);
    free(j->text);
    free(j->tag);
    free(j->in_effect);
    free(j->problem);
    free(j->by);
    free(j->json);
    free(j);
}

/* Why presets cannot be written here, whatever the file permits; NULL: they can. */
static const char *why_not(const struct api *api)
{
    const struct config *c = host_config(api->host);
    if (c->classic)
        return NO_ROUTER;
    if (!c->models_preset)
        return NO_FILE;
    if (c->preset_repo)
        return OF_A_REPOSITORY;
    return api->is_exposed && !c->api_keys.n ? ANYBODY : NULL;
}

/* --- in the pool: what a text says ------------------------------------------------------------- */

struct sections {
    json_t *list;
    json_t *keys; /* of the last one; borrowed */
};

static int on_line(const struct ini_line *line, void *ctx, struct error *err)
{
    struct sections *s = ctx;
    (void)err;
    if (line->key && s->keys)
        json_array_append_new(s->keys,
                              json_pack("{s:o, s:o, s:i}", "key", reply_string(line->key), "value",
                                        reply_string(line->value), "line", (int)line->number));
    if (line->key)
        return 0;
    s->keys = json_array();
    json_array_append_new(s->list, json_pack("{s:o, s:i, s:o}", "name", reply_string(line->section),
                                             "line", (int)line->number, "keys", s->keys));
    return 0;
}

static void on_no_line(unsigned line, const char *section, const char *text, void *ctx)
{
    (void)line;
    (void)section;
    (void)text;
    (void)ctx;
}

/* In the order of the file. */
static json_t *sections_of(const char *text)
{
    struct sections s = {.list = json_array()};
    ini_parse_all(text, strlen(text), on_line, on_no_line, &s);
    return s.list;
}

/* Inserted by its line: the defaults' come first else. */
static void note(json_t *list, unsigned line, const char *section, const char *message)
{
    size_t at = json_array_size(list);
    while (at && json_integer_value(json_object_get(json_array_get(list, at - 1), "line")) >
                     (json_int_t)line)
        at--;
    json_t *entry = json_pack("{s:i, s:o}", "line", (int)line, "message", reply_string(message));
    if (section)
        json_object_set_new(entry, "section", reply_string(section));
    json_array_insert_new(list, at, entry);
}

static void on_report(bool is_error, unsigned line, const char *section, const char *message,
                      void *ctx)
{
    struct job *j = ctx;
    json_t *list = is_error ? j->mistakes : j->warnings;
    j->n_mistakes += is_error;
    if (json_array_size(list) < MISTAKES_MAX)
        note(list, line, section, message);
}

static void on_change(const char *model, enum preset_change change, void *ctx)
{
    struct job *j = ctx;
    json_array_append_new(j->changes, json_pack("{s:o, s:s}", "model", reply_string(model),
                                                "change", preset_change_name(change)));
}

/* Fills in mistakes, warnings and changes. */
static void examine(struct job *j)
{
    const struct config *c = host_config(j->api->host);
    struct sources before, after;
    struct error err = {""};
    if (strlen(j->text) > PRESET_FILE_MAX) {
        on_report(true, 1, NULL, "the text is too large: at most 768 KiB", j);
        return;
    }
    if (sources_try(&after, c, j->text, on_report, j, &err)) {
        if (!j->n_mistakes) /* a folder of models cannot be read now */
            on_report(false, 1, NULL, err.text, j);
        return;
    }
    if (sources_read(&before, c, j->in_effect ? j->in_effect : "", &err) == 0) {
        preset_values_check(j->text, &before.presets, &after.presets, on_report, j);
        preset_changes(c, &before, &after, on_change, j);
        sources_finish(&before);
    }
    sources_finish(&after);
}

/* --- in the pool: the tasks --------------------------------------------------------------------- */

/* `line N: MESSAGE` of the first mistake in the file; NULL: there is none. */
static json_t *first_mistake(struct job *j, const char *text)
{
    struct presets presets;
    presets_try(&presets, host_config(j->api->host), text, on_report, j);
    presets_finish(&presets);
    json_t *first = json_array_get(j->mistakes, 0);
    if (!first)
        return NULL;
    char *told = mem_printf("line %d: %s", (int)json_integer_value(json_object_get(first, "line")),
                            json_string_value(json_object_get(first, "message")));
    json_t *found = reply_string(told);
    free(told);
    return found;
}

static json_t *problem_of(struct job *j, const struct preset_file *f)
{
    json_t *mistake = f->text ? first_mistake(j, f->text) : NULL;
    return mistake ? mistake : reply_string_or_null(f->problem ? f->problem : j->problem);
}

static void read_file(struct job *j)
{
    const struct config *c = host_config(j->api->host);
    struct preset_file f;
    preset_file_read(&f, c);
    const bool fits = f.text && strlen(f.text) <= PRESET_FILE_MAX;
    const char *obstacle = j->why_not ? j->why_not : f.obstacle;
    j->answer =
        json_pack("{s:o, s:b, s:o, s:o, s:s, s:o, s:o, s:b}", "path",
                  reply_string(c->models_preset), "writable", !obstacle, "why",
                  reply_string_or_null(obstacle), "text", reply_string(fits ? f.text : ""), "etag",
                  f.tag, "sections", sections_of(fits ? f.text : ""), "problem", problem_of(j, &f),
                  "in_effect", f.text && j->in_effect && strcmp(f.text, j->in_effect) == 0);
    preset_file_finish(&f);
}

static void check_text(struct job *j)
{
    examine(j);
    j->answer = json_pack("{s:b, s:O, s:O, s:O}", "ok", !j->n_mistakes, "problems", j->mistakes,
                          "warnings", j->warnings, "changes", j->changes);
}

static void write_file(struct job *j)
{
    char tag[PRESET_FILE_TAG];
    examine(j);
    if (j->n_mistakes) {
        j->rc = error_set(
            &j->err, -EINVAL, "the presets have mistakes: line %d: %s",
            (int)json_integer_value(json_object_get(json_array_get(j->mistakes, 0), "line")),
            json_string_value(json_object_get(json_array_get(j->mistakes, 0), "message")));
        return;
    }
    j->rc = preset_file_write(host_config(j->api->host), j->tag, j->text, tag, &j->err);
    if (!j->rc)
        j->answer = json_pack("{s:s, s:O, s:O}", "etag", tag, "warnings", j->warnings, "changes",
                              j->changes);
}

static void make_text(struct job *j)
{
    struct buf out;
    buf_init(&out, BUF_UNBOUNDED);
    int rc = json_text_append(&out, j->answer, JSON_COMPACT);
    j->len = out.len;
    if (!rc && !json_text_was_incomplete())
        j->json = buf_take(&out);
    buf_finish(&out);
}

static void work(uv_work_t *w)
{
    struct job *j = w->data;
    json_text_begin();
    j->mistakes = json_array();
    j->warnings = json_array();
    j->changes = json_array();
    switch (j->task) {
    case READ:
        read_file(j);
        break;
    case CHECK:
        check_text(j);
        break;
    case WRITE:
        write_file(j);
        break;
    }
    if (j->answer)
        make_text(j);
}

/* --- on the loop -------------------------------------------------------------------------------- */

static int status_of(int error)
{
    switch (error) {
    case -EINVAL:
        return 400;
    case -EPERM:
        return 403;
    case -ESTALE:
        return 409;
    case -ENOSPC:
    case -EDQUOT:
        return 507;
    }
    return 500;
}

static void refuse(struct job *j)
{
    const int status = status_of(j->rc);
    json_t *error = reply_error_object(status, j->err.text);
    if (j->n_mistakes)
        json_object_set(error, "problems", j->mistakes);
    reply_error_json(j->x, status, error, NULL);
}

static void finish(struct job *j)
{
    static const char fields[] = "Content-Type: application/json; charset=utf-8\r\n"
                                 "Cache-Control: no-store\r\n";
    if (j->x && j->rc)
        refuse(j);
    else if (j->x && !j->json)
        reply_no_memory(j->x);
    else if (j->x) {
        char *json = j->json;
        j->json = NULL;
        paced_reply(j->x, 200, fields, json, j->len, json);
    }
    job_free(j);
}

/* The file is written, and the models are those of it, or stay as they were, which status and log tell. */
static void on_refreshed(struct refresh_waiter *w, const char *problem)
{
    (void)problem;
    finish(container_of(w, struct job, waiter));
}

static void on_worked(uv_work_t *w, int status)
{
    struct job *j = w->data;
    (void)status;
    if (j->task == WRITE)
        j->api->preset_is_written = false;
    if (j->task != WRITE || j->rc) {
        finish(j);
        return;
    }
    log_info("%s was written by %s", host_config(j->api->host)->models_preset, j->by);
    j->waiter.done = on_refreshed;
    refresh_request(j->api->refresh, &j->waiter);
}

static void on_gone(struct http_exchange *x, void *ctx)
{
    struct job *j = ctx;
    (void)x;
    j->x = NULL;
}

static struct job *job_create(struct api *api, struct http_exchange *x, enum task task)
{
    const char *in_effect = refresh_presets(api->refresh), *problem = refresh_problem(api->refresh);
    struct job *j = mem_zalloc(sizeof *j);
    *j = (struct job){.api = api,
                      .x = x,
                      .task = task,
                      .in_effect = in_effect ? mem_strdup(in_effect) : NULL,
                      .problem = problem ? mem_strdup(problem) : NULL,
                      .why_not = why_not(api)};
    j->work.data = j;
    api->preset_jobs++;
    host_operation_begin(api->host);
    return j;
}

static void begin(struct job *j)
{
    static const struct http_exchange_events events = {.gone = on_gone};
    http_exchange_take(j->x, &events, j);
    uv_queue_work(host_loop(j->api->host), &j->work, work, on_worked);
}

/* Whether another one may begin; else it is answered. */
static bool has_room(struct api *api, struct http_exchange *x)
{
    if (api->preset_jobs < JOBS_MAX)
        return true;
    reply_error_fields(x, 503, "the presets are being read for others: try again",
                       "Retry-After: 1\r\n");
    return false;
}

/* --- routes -------------------------------------------------------------------------------------
 */

void api_presets(struct api *api, struct http_exchange *x, const struct caller *caller)
{
    (void)caller;
    if (host_config(api->host)->classic || !host_config(api->host)->models_preset)
        reply_json(x, 200,
                   json_pack("{s:n, s:b, s:s, s:s, s:s, s:[], s:n, s:b}", "path", "writable", 0,
                             "why", why_not(api), "text", "", "etag", "", "sections", "problem",
                             "in_effect", 0));
    else if (has_room(api, x))
        begin(job_create(api, x, READ));
}

/* `text` of the body; NULL after an answer. */
static const char *text_of(struct http_exchange *x, json_t *body, const char *member)
{
    json_t *value = json_object_get(body, member);
    const char *text = json_string_value(value);
    if (!text || strlen(text) != json_string_length(value)) {
        reply_error(x, 400, "'%s' must be a text without zero bytes", member);
        return NULL;
    }
    return text;
}

static void check(struct api *api, struct http_exchange *x, const struct caller *caller,
                  json_t *body)
{
    static const char *const known[] = {"text", NULL};
    const char *text;
    (void)caller;
    if (body_check_members(x, body, known) || !(text = text_of(x, body, "text")))
        return;
    if (host_config(api->host)->classic) {
        reply_error(x, 400, NO_ROUTER);
        return;
    }
    if (!has_room(api, x))
        return;
    struct job *j = job_create(api, x, CHECK);
    j->text = mem_strdup(text);
    begin(j);
}

static void put(struct api *api, struct http_exchange *x, const struct caller *caller, json_t *body)
{
    static const char *const known[] = {"text", "etag", NULL};
    const char *text, *tag;
    if (body_check_members(x, body, known) || !(text = text_of(x, body, "text")) ||
        !(tag = text_of(x, body, "etag")))
        return;
    if (why_not(api)) {
        reply_error(x, 403, "the presets cannot be written: %s", why_not(api));
        return;
    }
    if (api->preset_is_written) {
        reply_error(x, 409, "somebody else writes them now: read them again");
        return;
    }
    if (!has_room(api, x))
        return;
    struct job *j = job_create(api, x, WRITE);
    j->text = mem_strdup(text);
    j->tag = mem_strdup(tag);
    j->by = caller_describe(caller);
    api->preset_is_written = true;
    begin(j);
}

void api_presets_check(struct api *api, struct http_exchange *x, const struct caller *caller)
{
    body_read_json(api, x, caller, check);
}

void api_presets_put(struct api *api, struct http_exchange *x, const struct caller *caller)
{
    body_read_json(api, x, caller, put);
}
