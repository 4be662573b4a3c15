/* SPDX-License-Identifier: MIT */
/*
 * Requests that an engine answers. The way of one:
 *
 *     NAMING      the body is collected and scanned until the model's name is known
 *     COLLECTING  and further, if it is small: its client must not occupy an engine while it sends
 *     WAITING     the scheduler has it; the client's socket is not read beyond a bound
 *     RESTORING   it has a lease, and its engine reads what was saved of its prompt
 *     RELAYED     bytes go both ways
 *     EXPLAIN     the engine broke off: for a moment, until it is known how the process ended
 *
 * and at every step the client may leave, which withdraws the request.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "api/body.h"
#include "api/capture.h"
#include "api/dialect.h"
#include "api/engine_end.h"
#include "api/inference_prompt.h"
#include "api/lookup.h"
#include "api/rejection.h"
#include "api/reply.h"
#include "api/request_log.h"
#include "api/sessions.h"
#include "base/container_of.h"
#include "base/duration.h"
#include "base/log.h"
#include "base/memory.h"
#include "http/peek.h"
#include "http/relay.h"
#include "http/target.h"
#include "server/placement.h"
#include "server/prompts.h"

#define BODY_MAX ((size_t)256 * 1024 * 1024) /* held while the model's name has not come */

enum phase { NAMING, COLLECTING, WAITING, RESTORING, RELAYED, EXPLAIN };

struct inference {
    struct api *api;
    struct http_exchange *x; /* NULL when the client is gone */
    enum phase phase;
    const struct api_dialect *dialect; /* the shape of our errors */
    const struct engine_route *route;  /* by which it came; NULL: by none of a kind's */
    struct engine_launch *launch;      /* whose path `target` has */
    char *target;                      /* for the engine, where that differs; NULL */
    struct peek *peek;
    char *name; /* in COLLECTING; NULL: the only model's, in classic mode */
    struct relay relay;
    struct inference_prompt prompt;
    struct host_request request;
    struct request_record *record;
    struct session_request session; /* of a request with a conversation's id */
    bool client_left;               /* it goes on without */
    struct session_reader reader;   /* of one that reads a conversation again, */
    char *reads;                    /* whose id is this; NULL */
    struct engine_end end;          /* in EXPLAIN */
    bool may_load;
    bool barred;   /* its caller may not load a model by it */
    bool replaced; /* it was granted again after its engine was found to be absent, */
    bool resent;   /* or had not read it */
    bool may_read_logs;
    char fields[160];
};

/* --- ending -------------------------------------------------------------------------------------
 */

static void complete_record(struct inference *i)
{
    struct request_record *e = i->record;
    if (!e->status)
        e->status = i->relay.status;
    if (!i->x && !*e->error)
        snprintf(e->error, sizeof e->error, "client_gone");
    request_record_end(e, i->x ? REQUEST_ANSWERED : REQUEST_CLIENT_GONE);
    e->loaded = i->request.loaded;
    e->place = NULL;
    e->streams = i->relay.is_event_stream;
}

static uint64_t now(const struct inference *i)
{
    return uv_now(host_loop(i->api->host));
}

static void record_restored(struct inference *i)
{
    const struct prompt_request *r = &i->prompt.request;
    i->record->restored = r->restored;
    i->record->saved_ms = r->restored ? r->saved_ms : 0;
}

/* Before the lease is given back, which may stop the engine. */
static void note_prompt(struct inference *i)
{
    struct usage *u = &i->record->usage;
    if (i->phase != RELAYED || !i->prompt.request.chain.n)
        return;
    usage_end(u);
    inference_prompt_answer_ended(&i->prompt, i->request.instance, &u->said, u->known,
                                  i->relay.is_event_stream, now(i));
    record_restored(i); /* less, if the engine used nothing of it */
}

/* All but the record, which is returned: its exchange may still be there, to be answered. */
static struct request_record *inference_release(struct inference *i)
{
    struct request_record *record = i->record;
    sessions_leave(&i->session);
    note_prompt(i);
    inference_prompt_finish(&i->prompt);
    relay_finish(&i->relay); /* first: giving the lease back may stop the engine under the call */
    host_withdraw(&i->request);
    if (i->reads)
        sessions_end_reading(i->api->sessions, i->reads, &i->reader);
    free(i->reads);
    complete_record(i);
    peek_destroy(i->peek);
    engine_launch_release(i->launch);
    free(i->target);
    free(i->name);
    engine_end_finish(&i->end);
    free(i);
    return record;
}

static void inference_free(struct inference *i)
{
    struct request_log *log = i->api->requests;
    request_log_end(log, inference_release(i));
}

/* Answers with an error and ends. */
static void inference_reject(struct inference *i, struct rejection r)
{
    struct http_exchange *x = i->x;
    const char *state = json_string_value(json_object_get(r.error, "state"));
    char fields[REJECTION_FIELDS_MAX];
    request_record_refuse(i->record, r.status, rejection_reason(&r));
    if (state)
        request_record_set_error(i->record, state);
    const struct api_dialect *dialect = i->dialect;
    struct request_log *log = i->api->requests;
    struct request_record *record = inference_release(i);
    rejection_fields(&r, fields);
    dialect->refuse(x, r.status, r.error, fields);
    request_log_end(log, record);
}

static void inference_fail(struct inference *i, int status, const char *message)
{
    inference_reject(
        i, (struct rejection){.status = status, .error = reply_error_object(status, message)});
}

/* --- an engine that broke off -------------------------------------------------------------------
 */

/* `log`: the engine's last lines; NULL. */
static json_t *error_of_end(const struct inference *i, const char *text, const char *log)
{
    json_t *error = reply_error_object(502, text);
    if (*i->record->error)
        json_object_set_new(error, "state", json_string(i->record->error));
    rejection_add_log(error, log);
    return error;
}

/* A stream that has begun can still say why it ends. */
static void end_begun_answer(struct inference *i, const char *text, const char *last_lines)
{
    struct http_exchange *x = i->x;
    json_t *error = i->relay.is_event_stream ? error_of_end(i, text, last_lines) : NULL;
    char *last = error ? i->dialect->end_stream(error) : NULL;
    json_decref(error);
    struct request_log *log = i->api->requests;
    struct request_record *record = inference_release(i);
    if (last) {
        http_exchange_write(x, last, strlen(last));
        http_exchange_end(x);
    } else {
        http_exchange_abort(x);
    }
    request_log_end(log, record);
    free(last);
}

static void on_end_known(struct engine_end *e)
{
    struct inference *i = container_of(e, struct inference, end);
    const char *log = i->may_read_logs ? e->log : NULL;
    if (e->by_itself)
        prompts_blame(host_prompts(i->api->host), &i->prompt.request);
    request_record_set_error(i->record, e->state);
    request_record_end(i->record, REQUEST_BROKEN_OFF);
    if (!i->x)
        inference_free(i);
    else if (i->relay.status)
        end_begun_answer(i, e->text, log);
    else
        inference_reject(i,
                         (struct rejection){.status = 502, .error = error_of_end(i, e->text, log)});
}

static void explain(struct inference *i)
{
    i->phase = EXPLAIN;
    i->end = (struct engine_end){.host = i->api->host,
                                 .model = i->request.model,
                                 .instance = i->request.instance,
                                 .known = on_end_known};
    engine_end_await(&i->end);
}

/* --- relaying -----------------------------------------------------------------------------------
 */

/* The engine has read nothing of the request: it may be granted once more. */
static void submit_again(struct inference *i)
{
    struct model *m = i->request.model;
    i->record->granted = 0;
    i->phase = WAITING;
    sessions_wait_again(&i->session);
    host_withdraw(&i->request);
    host_submit(&i->request, m, i->may_load);
}

/* Nothing listens on the engine's socket: that is evidence, and the next engine gets the request. */
static void replace_engine(struct inference *i)
{
    struct model *m = i->request.model;
    if (i->replaced || host_is_stopping(&i->request)) {
        explain(i);
        return;
    }
    i->replaced = true;
    log_warn("model %s: nothing listens on its engine's socket; the request waits for a new engine",
             m->entry->id);
    i->phase = WAITING;
    instance_broken(i->request.instance);
    submit_again(i);
}

/* The connection was closed before the engine read the request. That is no evidence: if the process
 * has ended, its exit is reported. */
static void send_again(struct inference *i)
{
    if (i->resent || host_is_stopping(&i->request)) {
        explain(i);
        return;
    }
    i->resent = true;
    submit_again(i);
}

/* The rest of the request's body cannot be had. Its answer may have begun. */
static void refuse_body(struct inference *i, int error)
{
    if (!i->relay.status) {
        inference_reject(i, rejection_of_body(error));
        return;
    }
    request_record_set_error(i->record, "body_lost");
    request_record_end(i->record, REQUEST_BROKEN_OFF);
    end_begun_answer(i, "the request's body could not be read to its end", NULL);
}

static void on_relay_done(struct relay *r, enum relay_result result)
{
    struct inference *i = container_of(r, struct inference, relay);
    switch (result) {
    case RELAY_DONE:
    case RELAY_CLIENT_GONE:
        inference_free(i);
        return;
    case RELAY_ABSENT:
        replace_engine(i);
        return;
    case RELAY_NOT_SENT:
        send_again(i);
        return;
    case RELAY_NO_RESOURCES:
        inference_reject(i, rejection_no_resources(i->request.model));
        return;
    case RELAY_NO_PLACE:
        inference_reject(i, rejection_engine_busy(i->request.model));
        return;
    case RELAY_BAD_REQUEST:
        refuse_body(i, -EBADMSG);
        return;
    case RELAY_BODY_LOST:
        refuse_body(i, -EIO);
        return;
    case RELAY_NO_ANSWER:
    case RELAY_BROKEN:
        explain(i);
        return;
    case RELAY_UNTRANSLATABLE:
        request_record_set_error(i->record, "untranslatable");
        request_record_end(i->record, REQUEST_BROKEN_OFF);
        end_begun_answer(i, "the engine's answer could not be translated", NULL);
        return;
    }
}

/* NULL: not all of it is there. */
static const struct held_body *complete_body(const struct inference *i)
{
    return i->relay.body_complete ? &i->relay.body : NULL;
}

/* Of a stream, the prompt has been computed by now; its head came before that. */
static void on_first_byte(struct inference *i)
{
    request_log_first_byte(i->api->requests, i->record);
    if (i->relay.is_event_stream)
        inference_prompt_answer_begins(&i->prompt, complete_body(i), now(i));
}

static void on_passed(struct relay *r, const char *data, size_t len)
{
    struct inference *i = container_of(r, struct inference, relay);
    i->request.instance->pulse.heard = now(i);
    if (!i->record->first_byte)
        on_first_byte(i);
    usage_add(&i->record->usage, data, len);
    if (i->record->captured)
        capture_answer(i->record->captured, data, len);
}

/* The engine may have another path for it, or no such route: then it is answered, and the result is false. */
static bool take_route(struct inference *i, const struct model *m, struct engine_launch *l)
{
    const struct engine_route *r = i->route ? engine_launch_route(l, i->route) : NULL;
    const char *target = http_exchange_target(i->x);
    if (i->route && !r) {
        char *why = mem_printf("model '%s' has no route %s %s: its engine serves other ones",
                               m->entry->id, i->route->method, i->route->path);
        inference_fail(i, 404, why);
        free(why);
        return false;
    }
    engine_launch_release(i->launch);
    i->launch = engine_launch_share(l);
    free(i->target);
    i->target = r && r->engine_path
                    ? mem_printf("%s%s", r->engine_path, target + target_path_len(target))
                    : NULL;
    i->relay.target = i->target;
    return true;
}

/* What it waited for, for the client. */
static void write_fields(struct inference *i)
{
    const struct host_request *r = &i->request;
    uint64_t waited = now(i) - r->arrived;
    int n = 0;
    i->fields[0] = '\0';
    if (waited || r->loaded)
        n = snprintf(i->fields, sizeof i->fields, "X-Hostler-Queued-Ms: %llu\r\n%s",
                     (unsigned long long)waited, r->loaded ? "X-Hostler-Loaded: 1\r\n" : "");
    if (i->prompt.request.restored)
        snprintf(i->fields + n, sizeof i->fields - (size_t)n, "X-Hostler-Restored-Tokens: %llu\r\n",
                 (unsigned long long)i->prompt.request.restored);
    i->relay.fields = i->fields;
}

static void on_begins(struct relay *r, const struct http_head *head)
{
    struct inference *i = container_of(r, struct inference, relay);
    request_log_answer_begins(i->record, head);
    if (!r->is_event_stream)
        inference_prompt_answer_begins(&i->prompt, complete_body(i), now(i));
}

static void begin_relay(struct inference *i)
{
    const struct host_request *r = &i->request;
    i->phase = RELAYED;
    record_restored(i);
    write_fields(i);
    i->record->sent = now(i);
    inference_prompt_sent(&i->prompt, i->record->sent);
    i->relay.begins = on_begins;
    i->relay.done = on_relay_done;
    i->relay.passed = on_passed;
    i->relay.traceparent = *i->record->trace.traceparent ? i->record->trace.traceparent : NULL;
    int rc = relay_start(&i->relay, r->instance->client);
    if (rc)
        inference_reject(i,
                         rc == -ENOMEM ? rejection_no_resources(r->model) : rejection_of_body(rc));
}

static void on_restored(struct prompt_request *p, bool gone)
{
    struct inference *i = container_of(p, struct inference, prompt.request);
    if (!gone)
        begin_relay(i);
    else if (host_is_stopping(&i->request))
        explain(i);
    else
        submit_again(i); /* the engine has heard nothing of it */
}

static void on_granted(struct host_request *r)
{
    struct inference *i = container_of(r, struct inference, request);
    if (r->instance->launch != i->launch && !take_route(i, r->model, r->instance->launch))
        return; /* its presets have changed since it asked */
    const char *refusal = inference_prompt_refusal(&i->prompt, r->instance);
    if (refusal) {
        inference_fail(i, 501, refusal);
        return;
    }
    request_log_grant(i->api->requests, i->record);
    i->record->loaded = r->loaded;
    sessions_grant(&i->session);
    i->phase = RESTORING;
    i->prompt.request.ready = on_restored;
    if (!inference_prompt_restore(&i->prompt, r->instance, complete_body(i)))
        begin_relay(i);
}

/* --- refusals of the scheduler ------------------------------------------------------------------
 */

/* Its model's file changed: there is another record of it now. */
static bool follow(struct inference *i)
{
    struct model *m = host_find(i->api->host, i->request.model->entry->id);
    if (!m || m == i->request.model)
        return false;
    host_submit(&i->request, m, i->may_load);
    return true;
}

static void on_rejected(struct host_request *r, enum sched_reject_reason why)
{
    struct inference *i = container_of(r, struct inference, request);
    if (why == SCHED_REJECT_NOT_LOADED && i->barred)
        inference_reject(
            i,
            rejection_barred(
                r->model, i->record->page == PAGE_FOREIGN
                              ? "it is not loaded, and a page of another origin cannot load it so"
                              : "it is not loaded, and only a request with an API key loads it"));
    else if (why != SCHED_REJECT_REMOVED || !follow(i))
        inference_reject(i, rejection_by_scheduler(r->model, why, i->may_read_logs));
}

/* --- conversations ------------------------------------------------------------------------------
 */

static void set_unread(struct inference *i, bool unread)
{
    i->record->unread = unread;
    host_set_unread(&i->request, unread);
}

static void on_left(struct http_exchange *x, void *ctx)
{
    struct inference *i = ctx;
    (void)x;
    i->client_left = true;
    set_unread(i, !i->session.is_read);
}

static void on_read_again(struct session_request *r)
{
    struct inference *i = container_of(r, struct inference, session);
    if (i->client_left)
        set_unread(i, !r->is_read);
}

static void on_stopped(struct session_request *r)
{
    struct inference *i = container_of(r, struct inference, session);
    inference_fail(i, 400, "request cancelled by a stop while the model was loading");
}

/* The engine generates on for a conversation when its client is gone, so that it can read the
 * answer later: then the client's leaving must end neither the lease nor the wait for it. */
static void begin_conversation(struct inference *i, const struct model *m)
{
    const char *id = http_head_get(http_exchange_head(i->x), "x-conversation-id");
    if (!id || !*id || host_config(i->api->host)->classic || i->request.passive)
        return;
    i->session.stopped = on_stopped;
    i->session.read_again = on_read_again;
    if (sessions_begin(i->api->sessions, id, m->entry->id, &i->session))
        http_exchange_outlive(i->x);
}

/* --- naming the model ---------------------------------------------------------------------------
 */

/* `?autoload=1` and `true` allow a load, anything else forbids it; absent or empty: the server's
 * default. To a server of one model it means nothing. */
static bool autoload(struct api *api, struct http_exchange *x)
{
    if (host_config(api->host)->classic)
        return true;
    char *wish = target_query(http_exchange_target(x), "autoload");
    bool may = wish && *wish ? strcmp(wish, "1") == 0 || strcmp(wish, "true") == 0
                             : host_config(api->host)->autoload;
    free(wish);
    return may;
}

/* A complete one of that size can be sent again, and so may go over a kept connection, too. A larger one, or one whose length is
 * not announced, is awaited where something may be restored for it: the engine, too, begins when it has all of it. */
static bool is_awaited(const struct inference *i, const struct model *m)
{
    int64_t length = http_exchange_body_length(i->x);
    if (i->relay.body_complete)
        return false;
    return (length >= 0 && length <= (int64_t)RELAY_REPLAY_MAX) ||
           inference_prompt_awaits_body(&i->prompt, m->entry->id,
                                        length < 0 ? (int64_t)i->relay.body.len : length);
}

static void inference_submit(struct inference *i, const char *name)
{
    struct model *m = host_find(i->api->host, name);
    if (!m || m->entry->missing) {
        struct http_exchange *x = i->x;
        char *copy = mem_strdup(name);
        struct api *api = i->api;
        request_record_refuse(i->record, 400, "not_found");
        request_record_set_model(i->record, name);
        request_record_set_error(i->record, "not_found");
        struct request_record *record = inference_release(i);
        lookup_refuse_as_stock(api, x, 400, copy);
        request_log_end(api->requests, record);
        free(copy);
        return;
    }
    if (is_awaited(i, m)) {
        i->name = name ? mem_strdup(name) : NULL;
        i->phase = COLLECTING;
        return;
    }
    if (!take_route(i, m, m->launch))
        return;
    peek_destroy(i->peek);
    i->peek = NULL;
    i->phase = WAITING;
    if (!i->relay.body_complete)
        relay_pause(&i->relay);
    begin_conversation(i, m);
    request_record_set_model(i->record, m->entry->id);
    capture_named(i->record);
    host_submit(&i->request, m, i->may_load);
}

/* By its name: the record of that model may be another one by now. */
static void submit_collected(struct inference *i)
{
    char *name = i->name;
    i->name = NULL;
    inference_submit(i, name);
    free(name);
}

static void inference_named(struct inference *i, enum peek_result result)
{
    if (result == PEEK_FOUND)
        inference_submit(i, peek_model(i->peek));
    else if (result != PEEK_MORE)
        inference_reject(i, rejection_unnamed(result, i->relay.body.len, peek_error_at(i->peek),
                                              body_is_coded(i->relay.x)));
}

/* --- the client's side --------------------------------------------------------------------------
 */

/* Keeps what came of the body. Otherwise answers, and returns non-zero. */
static int collect(struct inference *i, const char *data, size_t len)
{
    inference_prompt_feed(&i->prompt, data, len);
    int rc = relay_hold(&i->relay, data, len);
    if (rc)
        inference_reject(i, rejection_of_body(rc));
    return rc;
}

static void on_body(struct http_exchange *x, const char *data, size_t len, void *ctx)
{
    struct inference *i = ctx;
    int rc;
    if (i->record->captured)
        capture_request(i->record->captured, data, len);
    switch (i->phase) {
    case NAMING:
        if (!collect(i, data, len))
            inference_named(i, peek_feed(i->peek, data, len));
        return;
    case COLLECTING:
        if (!collect(i, data, len) && http_exchange_body_length(x) < 0 &&
            i->relay.body.len > INFERENCE_PROMPT_BODY_MAX)
            submit_collected(i);
        return;
    case WAITING:
    case RESTORING:
        (void)collect(i, data, len);
        return;
    case RELAYED:
        inference_prompt_feed(&i->prompt, data, len);
        rc = relay_body(&i->relay, data, len);
        if (rc)
            refuse_body(i, rc);
        return;
    case EXPLAIN:
        return;
    }
}

static void on_body_end(struct http_exchange *x, void *ctx)
{
    struct inference *i = ctx;
    (void)x;
    if (i->relay.body_complete) /* there was none, and that was known from the start */
        return;
    inference_prompt_body_end(&i->prompt);
    switch (i->phase) {
    case NAMING:
        i->relay.body_complete = true;
        inference_named(i, peek_end(i->peek));
        return;
    case COLLECTING:
        i->relay.body_complete = true;
        submit_collected(i);
        return;
    case WAITING:
    case RESTORING:
        i->relay.body_complete = true;
        return;
    case RELAYED:
        relay_body_end(&i->relay);
        return;
    case EXPLAIN:
        return;
    }
}

static void on_drain(struct http_exchange *x, void *ctx)
{
    struct inference *i = ctx;
    (void)x;
    if (i->phase == RELAYED)
        relay_drain(&i->relay);
}

static void on_gone(struct http_exchange *x, void *ctx)
{
    struct inference *i = ctx;
    http_exchange_set_note(x, NULL);
    i->x = NULL;
    if (i->phase == EXPLAIN)
        engine_end_hurry(&i->end); /* nobody waits for the explanation any more */
    else
        inference_free(i);
}

static const struct http_exchange_events events = {
    .body = on_body, .body_end = on_body_end, .drain = on_drain, .gone = on_gone, .left = on_left};

static char *describe(const struct host_request *r)
{
    return caller_text_describe(&container_of(r, struct inference, request)->record->caller);
}

static struct inference *inference_create(struct api *api, struct http_exchange *x,
                                          const struct caller *caller,
                                          const struct engine_route *route,
                                          struct request_kind kind)
{
    struct inference *i = mem_zalloc(sizeof *i);
    i->api = api;
    i->x = x;
    i->route = route;
    i->dialect = dialect_of(http_exchange_target(x));
    i->request.passive = kind.passive;
    i->may_load = autoload(api, x);
    i->may_read_logs = caller_may(caller, RIGHT_LOGS, NULL);
    i->request.granted = on_granted;
    i->request.rejected = on_rejected;
    i->request.describe = describe;
    kind.dialect = i->dialect->name;
    i->record = request_log_begin(api->requests, caller, &i->request, &kind);
    capture_begin(api->capture, i->record, caller);
    http_exchange_set_note(x, i->record);
    relay_init(&i->relay, x);
    i->relay.body.max = BODY_MAX;
    i->relay.body.share.budget = &api->bodies;
    i->relay.body_complete = http_exchange_body_length(x) == 0;
    http_exchange_take(x, &events, i);
    return i;
}

static void begin_prompt(struct inference *i, const struct engine_route *route)
{
    inference_prompt_init(&i->prompt, host_prompts(i->api->host), route,
                          http_exchange_body_length(i->x));
}

/* `meant`: NULL: by none. */
static struct request_kind kind_of_route(const struct engine_route *meant)
{
    return (struct request_kind){.route = meant ? meant->path : REQUEST_OTHER_ROUTE,
                                 .infers = meant && meant->use == ENGINE_ROUTE_INFER};
}

static void by_body(struct api *api, struct http_exchange *x, const struct caller *caller,
                    const struct engine_route *route)
{
    struct inference *i = inference_create(api, x, caller, route, kind_of_route(route));
    char *name = target_query(http_exchange_target(x), "model");
    begin_prompt(i, route);
    i->peek = peek_create(http_head_get(http_exchange_head(x), "content-type"));
    /* A name in the query needs no look into the body: some clients can only send it there. */
    if (name)
        inference_submit(i, name);
    else if (i->relay.body_complete)
        inference_named(i, peek_end(i->peek));
    free(name);
}

static void by_query(struct api *api, struct http_exchange *x, const struct caller *caller,
                     const struct engine_route *route, const struct engine_route *meant)
{
    bool classic = host_config(api->host)->classic;
    char *name = target_query(http_exchange_target(x), "model");
    if ((!name || !*name) && !classic) {
        reply_error(x, 400, "model name is missing from the request");
        free(name);
        return;
    }
    /* The web interface's files are public in classic mode, but who has no key makes no use of the
     * model by them. */
    bool uses = classic && caller_may(caller, RIGHT_INFER, NULL);
    struct request_kind kind = kind_of_route(meant);
    kind.passive = !uses;
    struct inference *i = inference_create(api, x, caller, route, kind);
    i->relay.urgent = !classic;
    i->barred = !uses && !caller_may(caller, RIGHT_LOAD, NULL);
    i->may_load &= !i->barred;
    begin_prompt(i, meant);
    inference_submit(i, name);
    free(name);
}

void api_inference(struct api *api, struct http_exchange *x, const struct caller *caller,
                   const struct engine_route *route)
{
    switch (route->model) {
    case ENGINE_ROUTE_MODEL_IN_BODY:
        by_body(api, x, caller, route);
        return;
    case ENGINE_ROUTE_MODEL_IN_QUERY:
        by_query(api, x, caller, route, route);
        return;
    }
}

void api_inference_query(struct api *api, struct http_exchange *x, const struct caller *caller,
                         const struct engine_route *meant)
{
    by_query(api, x, caller, NULL, meant);
}

void api_inference_of(struct api *api, struct http_exchange *x, const struct caller *caller,
                      struct model *m, const char *conversation)
{
    const struct request_kind kind = {.route = "/v1/stream", .passive = true};
    struct inference *i = inference_create(api, x, caller, NULL, kind);
    i->may_load = false;
    i->reads = mem_strdup(conversation);
    sessions_begin_reading(api->sessions, conversation, &i->reader);
    inference_submit(i, m->entry->id);
}
