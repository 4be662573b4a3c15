/* SPDX-License-Identifier: MIT */
#include "cli/facts.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/memory.h"
#include "cli/peer/peer.h"
#include "cli/peer/url.h"
#include "cli/terminal/format.h"

int facts_open_any(struct router *r, const struct cli *cli)
{
    struct router_models models;
    int status = router_open(r, cli);
    if (!status)
        status = router_detect(r);
    if (status || r->kind == ROUTER_HOSTLER)
        return status;
    /* That it is not hostler says nothing yet: its list tells whether it is a router at all. */
    status = router_list(r, &models, false);
    router_models_finish(&models);
    return status;
}

int facts_open(struct router *r, const struct cli *cli, const char *what)
{
    int status = facts_open_any(r, cli);
    if (status || r->kind == ROUTER_HOSTLER)
        return status;
    cli_error(cli, "%s is %s, which %s", r->url.shown, r->peer->name, what);
    cli_hint(cli, "serve with hostler for that");
    return CLI_NO_SERVER;
}

int facts_command(struct cli *cli, int argc, char **argv, const char *name, const char *what,
                  int (*show)(struct router *r, const struct cli_args *a))
{
    struct cli_args a;
    struct router r = {0};
    int status;
    if (cli_parse(&a, cli, name, argc, argv, &status)) {
        status = facts_open(&r, cli, what);
        if (!status)
            status = show(&r, &a);
    }
    router_close(&r);
    cli_args_finish(&a);
    return status;
}

int facts_get(struct router *r, const char *path, const char *model, json_t **answer)
{
    struct router_answer a;
    int status = router_ask(r, "GET", path, NULL, r->timeout_ms, &a);
    if (!status && a.status == 200 && json_is_object(a.body)) {
        *answer = json_incref(a.body);
    } else if (!status) {
        if (a.status != 404 || !model || !router_tell_unknown(r, model))
            cli_error(r->cli, "%s", router_message(&a));
        status = CLI_SOME_FAILED;
    }
    router_answer_finish(&a);
    return status;
}

char *facts_path(const char *route, const char *model)
{
    char *escaped = model ? url_escape(model) : NULL;
    char *path =
        mem_printf("/hostler/v1/%s%s%s", route, model ? "?model=" : "", model ? escaped : "");
    free(escaped);
    return path;
}

/* The end of the year 9999: strftime()'s buffers hold it, and a time_t does. */
#define LAST_TIME 253402300799.0

bool facts_local(double at, struct tm *out)
{
    bool is_time = at > -LAST_TIME && at < LAST_TIME;
    time_t t = is_time ? (time_t)at : 0;
    return is_time && localtime_r(&t, out);
}

char *facts_time(double at, char *out, size_t size)
{
    struct tm then, today;
    if (!facts_local(at, &then) || !facts_local((double)time(NULL), &today)) {
        snprintf(out, size, "?");
        return out;
    }
    bool same = then.tm_year == today.tm_year && then.tm_yday == today.tm_yday;
    strftime(out, size, same ? "%T" : "%F %T", &then);
    return out;
}

char *facts_log_line(const char *line)
{
    struct tm utc = {0};
    char when[FORMAT_SIZE];
    const char *rest = strptime(line, "%Y-%m-%dT%H:%M:%S", &utc);
    size_t fraction = rest && *rest == '.' ? 1 + strspn(rest + 1, "0123456789") : 0;
    if (!fraction || strncmp(rest + fraction, "Z ", 2) != 0)
        return mem_strdup(line);
    facts_time((double)timegm(&utc), when, sizeof when);
    return mem_printf("%s%.*s%s", when, (int)fraction, rest, rest + fraction + 1);
}

const char *facts_text(json_t *o, const char *key)
{
    return json_string_value(json_object_get(o, key));
}

const char *facts_word(json_t *o, const char *key)
{
    const char *text = facts_text(o, key);
    return text ? text : "?";
}

char *facts_state(const char *state, json_t *status)
{
    long long signal = json_integer_value(json_object_get(status, "signal"));
    long long code = json_integer_value(json_object_get(status, "exit_code"));
    const char *reason = facts_text(status, "reason");
    const char *message = facts_text(status, "message");
    bool loading = reason && strcmp(reason, "load_failed") == 0;
    /* Of an engine a message says `the engine of`; what the model itself lacks is room for one. */
    bool began = !message || !format_is_sentence(message);
    const char *how = loading && began ? "while loading"
                      : loading        ? "no room"
                      : reason         ? reason
                                       : "ended";
    if (!json_is_true(json_object_get(status, "failed")))
        return mem_strdup(state);
    if (signal)
        return mem_printf("failed (%s: signal %lld)", how, signal);
    if (code && !loading) /* a load that never came to a process has a code as well */
        return mem_printf("failed (%s: exit code %lld)", how, code);
    return mem_printf("failed (%s)", how);
}

/* --- following ----------------------------------------------------------------------------------
 */

struct following {
    int (*data)(const char *data, size_t len, void *ctx);
    void *ctx;
    bool ended; /* by `data` */
};

static int on_data(const char *data, size_t len, void *ctx)
{
    struct following *f = ctx;
    f->ended = f->data(data, len, f->ctx) != 0;
    return f->ended;
}

static int told_why(struct router *r, const char *path, const char *model,
                    const struct client_answer *a)
{
    if (a->status == 404 && model && router_tell_unknown(r, model))
        return CLI_SOME_FAILED;
    char *text = router_error_text(a->body.data, a->body.len);
    if (a->status == 404 && text)
        cli_error(r->cli, "%s", text);
    else
        cli_error(r->cli, "%s answers %d to GET %s%s%s", r->url.shown, a->status, path,
                  text ? ": " : "", text ? text : "");
    free(text);
    return a->status == 404 ? CLI_SOME_FAILED : CLI_NO_SERVER;
}

int facts_stream(struct router *r, const char *path, const char *model,
                 int (*data)(const char *data, size_t len, void *ctx), void *ctx, bool endless)
{
    struct following f = {.data = data, .ctx = ctx};
    const struct client_request request = {
        .method = "GET", .path = path, .data = on_data, .ctx = &f};
    struct client_answer a;
    struct error err;
    int status = CLI_OK;
    int rc = client_do(r->client, &request, &a, &err);
    if (rc && !f.ended)
        status = router_unreachable(r, rc, &err);
    else if (!rc && (a.status == 401 || a.status == 403))
        status = router_refused(r);
    else if (!rc && a.status != 200)
        status = told_why(r, path, model, &a);
    else if (!rc && endless) {
        cli_error(r->cli, "%s has ended it: it shuts down", r->url.shown);
        status = CLI_NO_SERVER;
    }
    client_answer_finish(&a);
    return status;
}
