/* SPDX-License-Identifier: MIT */
/* Requests to a server, and its answers. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "cli/json.h"
#include "cli/peer/router.h"
#include "cli/peer/url.h"

static size_t leading_blanks(const char *body, size_t len)
{
    size_t n = 0;
    while (n < len && strchr(" \t\r\n", body[n]))
        n++;
    return n;
}

static bool is_page(const char *body, size_t len)
{
    size_t n = leading_blanks(body, len);
    return n < len && body[n] == '<';
}

static char *page_title(const char *page, size_t len)
{
    char *text = mem_strndup(page, len), *title = strcasestr(text, "<title");
    title = title ? strchr(title, '>') : NULL;
    char *end = title ? strchr(title, '<') : NULL;
    if (end)
        *end = '\0';
    for (char *p = title; end && p < end; p++)
        if (*p == '\n' || *p == '\r' || *p == '\t')
            *p = ' ';
    if (end)
        title += 1 + strspn(title + 1, " ");
    char *said =
        end && *title ? mem_printf("a web page, '%.80s'", title) : mem_strdup("a web page");
    free(text);
    return said;
}

/* The first line or so of what is no error in JSON. */
static char *excerpt(const char *body, size_t len)
{
    if (is_page(body, len))
        return page_title(body, len);
    size_t n = leading_blanks(body, len);
    body += n, len -= n;
    n = 0;
    while (n < len && n < 120 && body[n] != '\n' && body[n] != '\r')
        n++;
    return n ? mem_strndup(body, n) : NULL;
}

char *router_error_text(const char *body, size_t len)
{
    json_t *root = len ? json_loadb(body, len, 0, NULL) : NULL;
    json_t *error = json_object_get(root, "error");
    char *copy = cli_json_failure(error);
    const char *text = copy ? NULL : json_string_value(error);
    if (!text && !copy)
        text = cli_json_text_or(root, "detail", NULL);
    if (!copy)
        copy = text ? mem_strdup(text) : excerpt(body, len);
    json_decref(root);
    return copy;
}

static void read_answer(struct router_answer *a, const struct client_answer *raw)
{
    a->status = raw->status;
    a->page = is_page(raw->body.data, raw->body.len);
    a->redirect = raw->redirect ? mem_strdup(raw->redirect) : NULL;
    if (raw->body.len)
        a->body = json_loadb(raw->body.data, raw->body.len, 0, NULL);
    if (a->status >= 400 || !a->body)
        a->text = router_error_text(raw->body.data, raw->body.len);
}

int router_ask_with_tick(struct router *r, const char *method, const char *path, json_t *body,
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
    if (rc == -ECANCELED) /* by `tick`, whose owner knows why */
        return CLI_SOME_FAILED;
    if (rc)
        return router_report_unreachable(r, rc, &err);
    return a->status == 401 || a->status == 403 ? router_report_refused(r) : CLI_OK;
}

int router_ask(struct router *r, const char *method, const char *path, json_t *body,
               unsigned timeout_ms, struct router_answer *a)
{
    return router_ask_with_tick(r, method, path, body, timeout_ms, NULL, NULL, a);
}

void router_answer_finish(struct router_answer *a)
{
    json_decref(a->body);
    free(a->text);
    free(a->redirect);
    *a = (struct router_answer){0};
}

const char *router_message(const struct router_answer *a)
{
    return a->text ? a->text : "it does not say why";
}

int router_report_refusal(struct router *r, const struct router_answer *a, const char *model)
{
    if (a->status != 404 || !model || !router_report_if_unknown(r, model))
        cli_error(r->cli, "%s", router_message(a));
    return CLI_SOME_FAILED;
}

int router_get(struct router *r, const char *path, const char *model, json_t **answer)
{
    struct router_answer a;
    int status = router_ask(r, "GET", path, NULL, r->timeout_ms, &a);
    if (!status && a.status == 200 && json_is_object(a.body)) {
        *answer = json_incref(a.body);
    } else if (!status) {
        status = router_report_refusal(r, &a, model);
    }
    router_answer_finish(&a);
    return status;
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
    if (a->status == 404 && model && router_report_if_unknown(r, model))
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

int router_stream(struct router *r, const char *path, const char *model,
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
        status = router_report_unreachable(r, rc, &err);
    else if (!rc && (a.status == 401 || a.status == 403))
        status = router_report_refused(r);
    else if (!rc && a.status != 200)
        status = told_why(r, path, model, &a);
    else if (!rc && endless) {
        cli_error(r->cli, "%s has ended it: it shuts down", r->url.shown);
        status = CLI_NO_SERVER;
    }
    client_answer_finish(&a);
    return status;
}
