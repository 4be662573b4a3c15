/* SPDX-License-Identifier: MIT */
#include "api/rejection.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "api/body.h"
#include "api/reply.h"
#include "base/duration.h"
#include "base/memory.h"
#include "server/host.h"
#include "server/placement.h"

#define RETRY_MAX_S 60                  /* of what will pass by itself */
#define RETRY_LATER_S 30                /* to clients whose model will hardly load before */
#define OVERLOAD_RETRY_S 2              /* to clients that we had no resources for */
#define HOLD_RETRY_MS ((uint64_t)60000) /* while a hold without an end lasts */

/* `state`: the reason as a word, for programs; NULL: none. Static. */
static struct rejection reject(int status, const char *state, const char *message,
                               unsigned retry_after)
{
    json_t *error = reply_error_object(status, message); /* copies */
    if (state)
        json_object_set_new(error, "state", json_string(state));
    return (struct rejection){
        .status = status, .error = error, .reason = state, .retry_after = retry_after};
}

/* The same; `message` is released. */
static struct rejection reject_with(int status, const char *state, char *message,
                                    unsigned retry_after)
{
    struct rejection r = reject(status, state, message, retry_after);
    free(message);
    return r;
}

/* Where clients of llama.cpp's router are told no `state`. */
static struct rejection because(struct rejection r, const char *reason)
{
    r.reason = reason;
    return r;
}

static struct rejection final(struct rejection r)
{
    r.is_final = true;
    return r;
}

/* The client may come again, with when the model may be there and how many wait before one that comes
 * now. */
static struct rejection reject_for_now(const struct model *m, const char *state, const char *why)
{
    uint64_t ms = host_eta(m);
    unsigned retry_after = ms == SCHED_NEVER         ? 1
                           : ms / 1000 < RETRY_MAX_S ? (unsigned)(ms / 1000 + 1)
                                                     : RETRY_MAX_S;
    struct rejection r = reject_with(
        503, state, mem_printf("model '%s': %s; try again later", m->entry->id, why), retry_after);
    if (ms != SCHED_NEVER)
        json_object_set_new(r.error, "eta_ms", json_integer((json_int_t)ms));
    json_object_set_new(r.error, "position", json_integer(host_waiting(m->host)));
    return r;
}

/* Who holds it is for operators: in the status. */
static struct rejection reject_held(const struct model *m)
{
    const uint64_t now = uv_now(host_loop(m->host)), until = m->sched.held_until;
    const bool endless = until == SCHED_NEVER;
    const uint64_t left = endless ? HOLD_RETRY_MS : until > now ? until - now : 0;
    const char *reason = intent_hold_reason(m);
    char time[32];
    char *message = mem_printf("model '%s' is held%s%s; it will not load %s%s", m->entry->id,
                               reason ? ": " : "", reason ? reason : "",
                               endless ? "until it is released" : "for another ",
                               endless ? "" : duration_format(left, time, sizeof time));
    return final(reject_with(503, "held", message, (unsigned)(left / 1000 + 1)));
}

void rejection_add_log(json_t *error, const char *log)
{
    if (log && *log)
        json_object_set_new(error, "log", reply_string(log));
}

/* Its last load failed. */
static struct rejection reject_failed(const struct model *m, int status, const char *state,
                                      unsigned retry_after, bool with_log)
{
    char *message = m->outcome.failure ? mem_strdup(m->outcome.failure)
                                       : mem_printf("model '%s' failed to load", m->entry->id);
    struct rejection r = final(reject_with(status, state, message, retry_after));
    if (with_log)
        rejection_add_log(r.error, m->outcome.log);
    return r;
}

struct rejection rejection_by_scheduler(const struct model *m, enum sched_reject_reason why,
                                        bool with_log)
{
    const char *state = sched_reject_name(why);
    switch (why) {
    case SCHED_REJECT_NOT_LOADED:
        return because(reject(400, NULL, "model is not loaded", 0), state);
    case SCHED_REJECT_HELD:
        return reject_held(m);
    case SCHED_REJECT_QUEUE_FULL:
        return reject_for_now(m, "queue_full", "too many requests wait (--max-queue)");
    case SCHED_REJECT_WAIT_TIMEOUT:
        return reject_for_now(m, "wait_timeout", "no engine could be had in time (--load-timeout)");
    case SCHED_REJECT_LOAD_FAILED:
        return because(reject_failed(m, 500, NULL, 0, with_log), state);
    case SCHED_REJECT_OOM:
    case SCHED_REJECT_FAILED:
        return reject_failed(m, 503, state, RETRY_LATER_S, with_log);
    case SCHED_REJECT_TOO_LARGE:
        return final(reject_with(503, state, placement_explain(m), 0));
    case SCHED_REJECT_NO_ROOM:
        if (placement_lacks_place(m))
            return final(reject_with(503, state, placement_explain(m), 0));
        return reject_with(503, state, placement_explain(m), RETRY_LATER_S);
    case SCHED_REJECT_UNLOADED:
        if (intent_is_held(m))
            return reject_held(m);
        return reject_for_now(m, "unloaded", "an operator unloaded it while the request waited");
    case SCHED_REJECT_REMOVED:
        return because(
            reject(400, NULL, "the model was removed from its folder while the request waited", 0),
            state);
    case SCHED_REJECT_SHUTDOWN:
        return reject_for_now(m, "shutdown", "the server is shutting down");
    }
    return (struct rejection){0};
}

struct rejection rejection_barred(const struct model *m, const char *why)
{
    return reject_for_now(m, "not_loaded", why);
}

struct rejection rejection_engine_busy(const struct model *m)
{
    return reject_for_now(m, "wait_timeout", "its engine was busy all the time (--load-timeout)");
}

struct rejection rejection_no_resources(const struct model *m)
{
    return reject_with(
        503, "overloaded",
        mem_printf("hostler has too few free file descriptors or too little memory to "
                   "reach the engine of model '%s'; try again later",
                   m->entry->id),
        OVERLOAD_RETRY_S);
}

struct rejection rejection_of_body(int error)
{
    switch (error) {
    case -EBADMSG:
        return reject(400, NULL, "the request's body cannot be translated for the engine", 0);
    case -ENOBUFS:
        return reject(413, NULL,
                      "the request's body is too large: its model's name must come within the "
                      "first 256 MiB",
                      0);
    case -ENOSPC:
        return reject(503, "overloaded",
                      "the memory for requests' bodies is used up (--max-body-memory): try again "
                      "later, or name the model at the beginning of the body",
                      OVERLOAD_RETRY_S);
    case -EIO:
        return reject(503, "overloaded",
                      "the file for the request's body cannot be written: try again later, or name "
                      "the model at the beginning of the body",
                      OVERLOAD_RETRY_S);
    default:
        return reject(503, "overloaded", "out of memory for the request's body", OVERLOAD_RETRY_S);
    }
}

static const char *why_unnamed(enum peek_result result)
{
    switch (result) {
    case PEEK_MORE:
    case PEEK_FOUND:
    case PEEK_MISSING:
        break;
    case PEEK_NOT_STRING:
        return "model name must be a string, and not an empty one";
    case PEEK_TOO_LONG:
        return "model name is too long";
    case PEEK_MALFORMED:
        return "the request's body is malformed at byte";
    }
    return "model name is missing from the request";
}

struct rejection rejection_unnamed(enum peek_result result, size_t len, size_t error_at,
                                   bool is_coded)
{
    if (is_coded)
        return reject(415, NULL, BODY_CODED, 0);
    if (result == PEEK_MALFORMED && !len)
        result = PEEK_MISSING;
    const char *why = why_unnamed(result);
    return result == PEEK_MALFORMED ? reject_with(400, NULL, mem_printf("%s %zu", why, error_at), 0)
                                    : reject(400, NULL, why, 0);
}

static const char *reason_of_status(int status)
{
    switch (status) {
    case 404:
        return "no_such_route";
    case 413:
        return "body_too_large";
    case 415:
        return "body_encoded";
    case 501:
        return "not_offered";
    case 502:
        return "broken_off";
    default:
        return status < 500 ? "bad_request" : "overloaded";
    }
}

const char *rejection_reason(const struct rejection *r)
{
    return r->reason ? r->reason : reason_of_status(r->status);
}

void rejection_fields(const struct rejection *r, char out[REJECTION_FIELDS_MAX])
{
    char retry[40] = "";
    if (r->retry_after)
        snprintf(retry, sizeof retry, "Retry-After: %u\r\n", r->retry_after);
    snprintf(out, REJECTION_FIELDS_MAX, "%s%s", retry,
             r->is_final ? "x-should-retry: false\r\n" : "");
}
