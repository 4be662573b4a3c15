/* SPDX-License-Identifier: MIT */
#include "cli/facts.h"

#include <stdlib.h>
#include <time.h>

#include "base/memory.h"

int facts_open(struct router *r, const struct cli *cli, const char *what)
{
    int status = router_open(r, cli);
    if (!status)
        status = router_detect(r);
    if (status || r->kind == ROUTER_HOSTLER)
        return status;
    cli_error(cli, "%s is not hostler, and %s", r->url.shown, what);
    cli_hint(cli, "serve with hostler for that");
    return CLI_USAGE;
}

int facts_get(struct router *r, const char *path, json_t **answer)
{
    struct router_answer a;
    int status = router_ask(r, "GET", path, NULL, r->timeout_ms, &a);
    if (!status && a.status == 200 && json_is_object(a.body)) {
        *answer = json_incref(a.body);
    } else if (!status) {
        cli_error(r->cli, "%s", router_message(&a));
        if (a.status == 404)
            cli_hint(r->cli, "`hostler list` shows what there is");
        status = CLI_SOME_FAILED;
    }
    router_answer_finish(&a);
    return status;
}

static bool is_plain(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

char *facts_path(const char *route, const char *model)
{
    struct buf path;
    buf_init(&path, BUF_UNBOUNDED);
    buf_printf(&path, "/hostler/v1/%s", route);
    if (model)
        buf_puts(&path, "?model=");
    for (; model && *model; model++)
        buf_printf(&path, is_plain(*model) ? "%c" : "%%%02X", (unsigned char)*model);
    return buf_take(&path);
}

char *facts_time(double at, char *out, size_t size)
{
    time_t t = (time_t)at, now = time(NULL);
    struct tm then, today;
    localtime_r(&t, &then);
    localtime_r(&now, &today);
    bool same = then.tm_year == today.tm_year && then.tm_yday == today.tm_yday;
    strftime(out, size, same ? "%T" : "%F %T", &then);
    return out;
}

const char *facts_text(json_t *o, const char *key)
{
    return json_string_value(json_object_get(o, key));
}
