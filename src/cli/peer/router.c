/* SPDX-License-Identifier: MIT */
#include "cli/peer/router.h"

#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/memory.h"
#include "cli/json.h"
#include "cli/peer/peer.h"
#include "cli/terminal/format.h"

static bool listens(const struct addrinfo *a)
{
    int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool yes = fd >= 0 && connect(fd, a->ai_addr, a->ai_addrlen) == 0;
    if (fd >= 0)
        close(fd);
    return yes;
}

/* `url`: http://localhost:PORT */
static bool somebody_listens(const char *url)
{
    struct addrinfo *all, hints = {.ai_socktype = SOCK_STREAM};
    bool yes = false;
    if (getaddrinfo("localhost", strrchr(url, ':') + 1, &hints, &all))
        return false;
    for (const struct addrinfo *a = all; a && !yes; a = a->ai_next)
        yes = listens(a);
    freeaddrinfo(all);
    return yes;
}

static const char *choose_url(const struct cli *cli)
{
    bool is_default = cli->url == cli_default_url;
    return is_default && !somebody_listens(cli_default_url) && somebody_listens(cli_stock_url)
               ? cli_stock_url
               : cli->url;
}

int router_open(struct router *r, const struct cli *cli)
{
    struct error err;
    *r = (struct router){.cli = cli, .timeout_ms = 30000};
    if (url_parse(&r->url, choose_url(cli), &err)) {
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

/* --- which server -------------------------------------------------------------------------------
 */

static void set_peer(struct router *r, enum router_kind kind, const struct peer *peer)
{
    r->kind = kind;
    r->peer = peer;
}

/* llama.cpp answers an unknown route with an error object; then no further kinds are probed. */
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
        status = router_report_foreign(r, &a, "GET /hostler/v1/status");
    } else if (!status) {
        status = detect_peer(r, &a);
    }
    router_answer_finish(&a);
    return status;
}

bool router_is_classic(json_t *status)
{
    const char *mode = cli_json_text_or(status, "mode", NULL);
    return mode && strcmp(mode, "classic") == 0;
}

int router_list(struct router *r, struct router_models *m, bool reload)
{
    *m = (struct router_models){0};
    return (r->peer ? r->peer : &peer_llama_cpp)->list(r, m, reload);
}

int router_require_llama_cpp(const struct router *r)
{
    if (!r->peer || r->peer == &peer_llama_cpp)
        return CLI_OK;
    cli_error(r->cli, "%s is %s, with which this command does not work", r->url.shown,
              r->peer->name);
    cli_hint(r->cli, "list, ps and unload do; for all of them, serve with hostler");
    return CLI_NO_SERVER;
}

void router_report_problem(const struct router *r)
{
    const char *problem = cli_json_text_or(r->status, "problem", NULL);
    if (!problem || r->cli->quiet)
        return;
    char *line = format_sanitize(mem_strdup(problem), FORMAT_ONE_LINE);
    fflush(stdout); /* so that it is the last line where stdout and stderr are the same file */
    fprintf(stderr, "problem: %s\n", line);
    free(line);
}

/* --- opening ------------------------------------------------------------------------------------
 */

int router_connect(struct router *r, const struct cli *cli)
{
    int status = router_open(r, cli);
    return status ? status : router_detect(r);
}

int router_connect_router(struct router *r, const struct cli *cli)
{
    struct router_models models;
    int status = router_connect(r, cli);
    if (status || r->kind == ROUTER_HOSTLER)
        return status;
    status = router_list(r, &models, false);
    router_models_finish(&models);
    return status;
}

int router_connect_llama_cpp(struct router *r, const struct cli *cli, struct router_models *m)
{
    *m = (struct router_models){0};
    int status = router_connect(r, cli);
    if (!status)
        status = router_require_llama_cpp(r);
    return status ? status : router_list(r, m, false);
}

int router_connect_hostler(struct router *r, const struct cli *cli, const char *what)
{
    int status = router_connect_router(r, cli);
    if (status || r->kind == ROUTER_HOSTLER)
        return status;
    cli_error(cli, "%s is %s, which %s", r->url.shown, r->peer->name, what);
    cli_hint(cli, "this command needs a server that runs `hostler serve`");
    return CLI_NO_SERVER;
}
