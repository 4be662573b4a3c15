/* SPDX-License-Identifier: MIT */
#include "api/doctor.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include "api/api.h"
#include "api/paced.h"
#include "api/reply.h"
#include "base/json_text.h"
#include "base/memory.h"
#include "engine/probe.h"

#define KEPT_MS 10000
#define RUN_MAX_MS 60000
#define ANSWER_MAX                                                                                 \
    ((size_t)16 * 1024 * 1024) /* bytes of memory that its JSON may take when it is parsed */

/* A client that waits for the run. */
struct waiting {
    struct doctor *doctor;
    struct http_exchange *x;
    TAILQ_ENTRY(waiting) link;
};

struct doctor {
    struct host *host;
    char *url;
    bool running;
    uv_work_t work;
    TAILQ_HEAD(, waiting) waiting;
    char *key; /* of who caused the run; NULL: none */
    /* What the last run said; NULL: `problem` says why it said nothing. */
    char *json;
    struct error problem;
    uint64_t at; /* uv_now() at its end; 0: there was none */
};

/* --- in the pool --------------------------------------------------------------------------------
 */

/* The daemon's own environment, with what the command is told: the key is seen by nobody there. */
static void make_environment(const struct doctor *d, struct strv *env)
{
    for (char **e = environ; *e; e++)
        if (strncmp(*e, "HOSTLER_URL=", 12) != 0 && strncmp(*e, "HOSTLER_API_KEY=", 16) != 0)
            strv_add(env, *e);
    strv_addf(env, "HOSTLER_URL=%s", d->url);
    if (d->key)
        strv_addf(env, "HOSTLER_API_KEY=%s", d->key);
}

/* Whatever its exit status, which says whether something is wrong. */
static char *take_json(struct probe *p)
{
    json_t *parsed = NULL;
    if (p->code < 0 || !p->out.len ||
        json_text_parse(&parsed, p->out.data, p->out.len, ANSWER_MAX, NULL))
        return NULL;
    json_decref(parsed);
    return buf_take(&p->out);
}

static void run(uv_work_t *work)
{
    struct doctor *d = work->data;
    char *argv[] = {"/proc/self/exe", "doctor", "--json", NULL};
    struct strv env = {0};
    struct probe p;
    make_environment(d, &env);
    int rc = probe_run(&p, argv, env.v, RUN_MAX_MS, &d->problem);
    d->json = rc ? NULL : take_json(&p);
    if (!rc && !d->json)
        error_set(&d->problem, -EPROTO, "`hostler doctor` ended without its findings");
    probe_finish(&p);
    strv_finish(&env);
}

/* --- on the loop -------------------------------------------------------------------------------- */

static void answer(const struct doctor *d, struct http_exchange *x)
{
    static const char fields[] = "Content-Type: application/json; charset=utf-8\r\n"
                                 "Cache-Control: no-store\r\n";
    char *copy = d->json ? mem_strdup(d->json) : NULL;
    if (copy)
        paced_reply(x, 200, fields, copy, strlen(copy), copy);
    else
        reply_error(x, 500, "%s", d->problem.text);
}

static void on_run(uv_work_t *work, int status)
{
    struct doctor *d = work->data;
    struct waiting *w;
    (void)status;
    d->running = false;
    d->at = uv_now(host_loop(d->host));
    free(d->key);
    d->key = NULL;
    while ((w = TAILQ_FIRST(&d->waiting))) {
        TAILQ_REMOVE(&d->waiting, w, link);
        answer(d, w->x);
        free(w);
    }
    host_operation_end(d->host);
}

static void start(struct doctor *d, const struct http_exchange *x)
{
    const char *key = caller_key_text(http_exchange_head(x));
    free(d->json);
    d->json = NULL;
    d->key = key ? mem_strdup(key) : NULL;
    d->running = true;
    d->work.data = d;
    host_operation_begin(d->host);
    uv_queue_work(host_loop(d->host), &d->work, run, on_run);
}

static void on_gone(struct http_exchange *x, void *ctx)
{
    struct waiting *w = ctx;
    (void)x;
    TAILQ_REMOVE(&w->doctor->waiting, w, link);
    free(w);
}

static void await(struct doctor *d, struct http_exchange *x)
{
    static const struct http_exchange_events events = {.gone = on_gone};
    struct waiting *w = mem_try_zalloc(sizeof *w);
    if (!w) {
        reply_no_memory(x);
        return;
    }
    w->doctor = d;
    w->x = x;
    TAILQ_INSERT_TAIL(&d->waiting, w, link);
    http_exchange_take(x, &events, w);
    if (!d->running)
        start(d, x);
}

void api_doctor(struct api *api, struct http_exchange *x, const struct caller *caller)
{
    struct doctor *d = api->doctor;
    (void)caller;
    if (!d->running && d->at && uv_now(host_loop(d->host)) - d->at < KEPT_MS)
        answer(d, x);
    else
        await(d, x);
}

/* --- the whole ----------------------------------------------------------------------------------
 */

/* A unix socket, whose requests need no certificate, else the first address; one of all addresses as this machine reaches it. */
static char *choose_address(const struct http_server *server)
{
    char address[256], *chosen = NULL;
    bool exposed;
    for (unsigned i = 0; http_server_address(server, i, address, sizeof address, &exposed); i++) {
        const bool is_unix = strncmp(address, "unix:", 5) == 0;
        if (!chosen || is_unix)
            mem_replace(&chosen, address);
        if (is_unix)
            break;
    }
    return chosen;
}

static char *reachable(const char *address)
{
    const char *any = strstr(address, "//0.0.0.0:"), *any6 = strstr(address, "//[::]:");
    if (any)
        return mem_printf("%.*s//127.0.0.1:%s", (int)(any - address), address, any + 10);
    if (any6)
        return mem_printf("%.*s//[::1]:%s", (int)(any6 - address), address, any6 + 7);
    return mem_strdup(address);
}

void doctor_listening(struct doctor *d, const struct http_server *server)
{
    const char *prefix = host_config(d->host)->api_prefix;
    char *chosen = choose_address(server);
    char *address = reachable(chosen ? chosen : "http://localhost:8080");
    const bool is_unix = strncmp(address, "unix:", 5) == 0;
    free(d->url);
    d->url = mem_printf("%s%s%s", address, prefix && is_unix ? ":" : "", prefix ? prefix : "");
    free(address);
    free(chosen);
}

struct doctor *doctor_create(struct host *host)
{
    struct doctor *d = mem_zalloc(sizeof *d);
    d->host = host;
    TAILQ_INIT(&d->waiting);
    return d;
}

void doctor_destroy(struct doctor *d)
{
    if (!d)
        return;
    free(d->url);
    free(d->key);
    free(d->json);
    free(d);
}
