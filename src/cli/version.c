/* SPDX-License-Identifier: MIT */
/* hostler version: of this program, and of the server if one answers. */
#include <stdlib.h>
#include <string.h>

#include "cli/json.h"
#include "cli/options.h"
#include "cli/peer/router.h"
#include "cli/terminal/format.h"

#define TIMEOUT_MS 2000

struct found {
    char kind[32];
    char version[64];
    char problem[1100]; /* why there is none; empty */
    bool refused;       /* the key */
};

static void read_props(struct found *f, json_t *props)
{
    const char *build = cli_json_text_or(props, "build_info", NULL);
    const char *role = cli_json_text_or(props, "role", NULL);
    bool router = role && strcmp(role, "router") == 0;
    snprintf(f->kind, sizeof f->kind, router ? "llama.cpp router" : "llama-server");
    snprintf(f->version, sizeof f->version, "%s", build ? build : "");
}

/* True when `path` was answered with an object, which is *body then. */
static bool get_object(struct router *r, const char *path, struct found *f, json_t **body)
{
    struct error err;
    struct client_answer a;
    struct client_request request = {.method = "GET", .path = path, .timeout_ms = TIMEOUT_MS};
    *body = NULL;
    if (client_do(r->client, &request, &a, &err))
        snprintf(f->problem, sizeof f->problem, "%s", err.text);
    else if (a.status == 401 || a.status == 403) {
        f->refused = true;
        snprintf(f->problem, sizeof f->problem, "%s %s", r->url.shown,
                 r->cli->key ? "refused the key" : "wants a key: set HOSTLER_API_KEY");
    } else if (a.status == 200 && a.body.len)
        *body = json_loadb(a.body.data, a.body.len, 0, NULL);
    client_answer_finish(&a);
    return json_is_object(*body);
}

static void identify_server(struct router *r, struct found *f)
{
    json_t *body;
    if (get_object(r, "/hostler/v1/status", f, &body)) {
        const char *version = cli_json_text_or(body, "version", NULL);
        snprintf(f->kind, sizeof f->kind, "hostler");
        snprintf(f->version, sizeof f->version, "%s", version ? version : "");
    } else if (!*f->problem) {
        json_decref(body);
        if (get_object(r, "/props", f, &body))
            read_props(f, body);
        else if (!*f->problem)
            snprintf(f->problem, sizeof f->problem, "the server at %s is no llama.cpp server",
                     r->url.shown);
    }
    json_decref(body);
}

static void print_found(const struct router *r, struct found *f)
{
    const struct cli *cli = r->cli;
    if (!cli->json)
        format_sanitize(f->version, FORMAT_ONE_LINE);
    if (cli->json && *f->kind)
        cli_print_json(json_pack("{s:s, s:{s:s, s:s, s:s}}", "version", HOSTLER_VERSION, "server",
                                 "url", r->url.shown, "kind", f->kind, "version", f->version));
    else if (cli->json)
        cli_print_json(json_pack("{s:s, s:n}", "version", HOSTLER_VERSION, "server"));
    else if (*f->kind)
        printf("hostler %s\nserver %s %s at %s\n", HOSTLER_VERSION, f->kind, f->version,
               r->url.shown);
    else
        printf("hostler %s\nserver: not reached (%s)\n", HOSTLER_VERSION, f->problem);
}

int cli_version(struct cli *cli, int argc, char **argv)
{
    struct cli_args a;
    struct router r = {0};
    struct found f = {0};
    int status;
    if (cli_parse(&a, cli, "version", argc, argv, &status)) {
        status = router_open(&r, cli);
        if (!status)
            identify_server(&r, &f);
        if (status == CLI_NO_SERVER) { /* libcurl is missing; the error is printed */
            snprintf(f.problem, sizeof f.problem, "it cannot be asked");
            status = CLI_OK;
        }
        if (!status)
            print_found(&r, &f);
        if (!status && cli->url_given && !*f.kind)
            status = f.refused ? CLI_REFUSED : CLI_NO_SERVER;
    }
    router_close(&r);
    cli_args_finish(&a);
    return status;
}
