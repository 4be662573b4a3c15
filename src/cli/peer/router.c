/* SPDX-License-Identifier: MIT */
#include "cli/peer/router.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "cli/peer/peer.h"
#include "cli/terminal/format.h"

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

#define FIRST_JOINED                                                                               \
    100 /* below are the system's own groups, which nobody shall join for a socket */

static bool lists_me(const struct group *g)
{
    const struct passwd *me = getpwuid(geteuid());
    for (char **name = g->gr_mem; me && *name; name++)
        if (strcmp(*name, me->pw_name) == 0)
            return true;
    return false;
}

/* The group that would do, if any; the service's socket is for one (packaging/systemd). */
static const struct group *group_to_join(const struct stat *st)
{
    bool in_it = st->st_gid == getegid() || group_member(st->st_gid);
    bool would_do = st->st_mode & S_IWGRP && st->st_gid >= FIRST_JOINED && !in_it;
    return would_do ? getgrgid(st->st_gid) : NULL;
}

static void hint_denied(const struct router *r)
{
    struct stat st;
    const char *path = r->url.socket;
    bool found = stat(path, &st) == 0; /* else a folder before it is closed */
    const struct group *g = found ? group_to_join(&st) : NULL;
    char *word = format_shell(path);
    if (!found)
        cli_hint(r->cli, "`namei -l %s` shows who may, and which folder is closed", word);
    else if (!g)
        cli_hint(r->cli, "`ls -l %s` shows who may", word);
    else if (lists_me(g))
        cli_hint(r->cli, "its group %s may, and you are in it: log in again", g->gr_name);
    else
        cli_hint(r->cli, "its group may: `sudo usermod -aG %s $USER`, then log in again",
                 g->gr_name);
    free(word);
}

int router_unreachable(const struct router *r, int code, const struct error *err)
{
    cli_error(r->cli, "%s", err->text);
    if (code == -ECONNREFUSED)
        cli_hint(r->cli,
                 "start a server with `hostler serve`, or name another with --url or HOSTLER_URL%s",
                 r->cli->told ? "" : "; `hostler doctor` looks for one");
    else if (code == -EACCES && r->url.socket)
        hint_denied(r);
    else if (code == -EPROTO)
        cli_hint(r->cli, "is it another service's port? Name the router with --url or HOSTLER_URL");
    return CLI_NO_SERVER;
}

int router_refused(const struct router *r)
{
    cli_error(r->cli, r->cli->key ? "%s refused the key" : "%s wants a key", r->url.shown);
    const char *what = !r->cli->key               ? "it"
                       : strchr(r->cli->key, ',') ? "a single one (this holds a comma)"
                                                  : "the right one";
    cli_hint(r->cli, "give %s with HOSTLER_API_KEY or --api-key", what);
    return CLI_REFUSED;
}

int router_is_none(const struct router *r, const char *why, const char *hint)
{
    cli_error(r->cli, "%s is not a llama.cpp router: %s", r->url.shown, why);
    cli_hint(r->cli, "%s",
             hint ? hint
                  : "name the router with --url or HOSTLER_URL, or start one with `hostler serve`");
    return CLI_NO_SERVER;
}

/* It speaks the API, and said why it does not now. What it does not have, it says of anything. */
static bool says_why(const struct router_answer *a)
{
    json_t *message = json_object_get(json_object_get(a->body, "error"), "message");
    return a->status >= 400 && a->status != 404 && a->status != 405 && json_is_string(message);
}

static char *describe(const struct router_answer *a, const char *what)
{
    if (a->redirect)
        return mem_printf("it redirects %s to %s", what, a->redirect);
    if (a->status == 200 && a->page)
        return mem_printf("it answers %s with %s", what, router_message(a));
    if (a->status == 200 && a->body)
        return mem_printf("its answer to %s is no list", what);
    if (a->status == 200)
        return mem_strdup("it answers with something else than JSON");
    return mem_printf("it answers %s with status %d: %s", what, a->status, router_message(a));
}

/* NULL: the usual one. */
static const char *remedy(const struct router *r, const struct router_answer *a)
{
    bool gateway = a->status >= 502 && a->status <= 504;
    if (a->redirect && !r->url.tls && strncmp(a->redirect, "https://", 8) == 0)
        return "name it with https:// in --url or HOSTLER_URL";
    if (gateway && !a->body)
        return "that is a proxy whose server does not run or cannot be reached: look there, or "
               "name the router's own address with --url or HOSTLER_URL";
    if (a->redirect || a->page)
        return "that is a web interface or a proxy before it: name the router's own address with "
               "--url or HOSTLER_URL";
    return NULL;
}

int router_foreign(const struct router *r, const struct router_answer *a, const char *what)
{
    if (says_why(a)) {
        cli_error(r->cli, "%s", router_message(a));
        return CLI_SOME_FAILED;
    }
    char *why = describe(a, what);
    int status = router_is_none(r, why, remedy(r, a));
    free(why);
    return status;
}

/* --- talking ------------------------------------------------------------------------------------
 */

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
    a->page = is_page(raw->body.data, raw->body.len);
    a->redirect = raw->redirect ? mem_strdup(raw->redirect) : NULL;
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
    free(a->redirect);
    *a = (struct router_answer){0};
}

const char *router_message(const struct router_answer *a)
{
    return a->text ? a->text : "it does not say why";
}

/* --- which server -------------------------------------------------------------------------------
 */

static void set_peer(struct router *r, enum router_kind kind, const struct peer *peer)
{
    r->kind = kind;
    r->peer = peer;
}

/* Who explains itself in llama.cpp's words is asked no further; others say just `not found`. */
static int detect_peer(struct router *r, const struct router_answer *first)
{
    static const struct peer *const others[] = {&peer_llama_swap, &peer_ollama, NULL};
    bool speaks = json_is_string(json_object_get(json_object_get(first->body, "error"), "message"));
    bool is = false;
    int status = CLI_OK;
    set_peer(r, ROUTER_STOCK, &peer_llama_cpp);
    for (size_t i = 0; others[i] && !speaks && !is && !status; i++) {
        status = others[i]->recognise(r, &is);
        if (is)
            set_peer(r, others[i]->kind, others[i]);
    }
    return status;
}

int router_detect(struct router *r)
{
    struct router_answer a;
    json_decref(r->status);
    r->status = NULL;
    int status = router_ask(r, "GET", "/hostler/v1/status", NULL, r->timeout_ms, &a);
    if (!status && a.status == 200 && json_is_object(a.body)) {
        set_peer(r, ROUTER_HOSTLER, &peer_llama_cpp);
        r->status = json_incref(a.body);
    } else if (!status && (a.status == 200 || a.redirect)) {
        status = router_foreign(r, &a, "GET /hostler/v1/status");
    } else if (!status) {
        status = detect_peer(r, &a);
    }
    router_answer_finish(&a);
    return status;
}

bool router_is_classic(json_t *status)
{
    const char *mode = json_string_value(json_object_get(status, "mode"));
    return mode && strcmp(mode, "classic") == 0;
}

int router_list(struct router *r, struct router_models *m, bool reload)
{
    *m = (struct router_models){0};
    return (r->peer ? r->peer : &peer_llama_cpp)->list(r, m, reload);
}

int router_wants_llama_cpp(const struct router *r)
{
    if (!r->peer || r->peer == &peer_llama_cpp)
        return CLI_OK;
    cli_error(r->cli, "%s is %s, with which this command does not work", r->url.shown,
              r->peer->name);
    cli_hint(r->cli, "list, ps and unload do; for all of them, serve with hostler");
    return CLI_NO_SERVER;
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
