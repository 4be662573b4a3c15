/* SPDX-License-Identifier: MIT */
/* llama.cpp's router, of any build, and servers that list models as it does, hostler among them. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "cli/json.h"
#include "cli/peer/peer.h"

/* For a list without any state: /props tells whether it is a router without models or a single-model server. */
static int check_role(struct router *r, const struct router_models *m)
{
    struct router_answer a;
    if (r->kind == ROUTER_HOSTLER)
        return CLI_OK;
    int status = router_ask(r, "GET", "/props", NULL, r->timeout_ms, &a);
    const char *role = cli_json_text_or(a.body, "role", NULL);
    bool engine = json_is_object(json_object_get(a.body, "default_generation_settings"));
    bool router = role && strcmp(role, "router") == 0;
    r->single_model = !status && engine && !router && m->n == 1;
    if (r->single_model) {
        char *what = mem_printf("it is a llama-server with one model, '%s'", m->v[0].id);
        status = router_report_no_router(
            r, what,
            "its memory comes back when it ends: `hostler doctor` tells its "
            "pid. Or name a router with --url or HOSTLER_URL");
        free(what);
    } else if (!status && !(router && !m->n)) {
        status = router_report_no_router(r,
                                         m->n ? "its list of models tells no states"
                                              : "it has no models, and does not say what it is",
                                         NULL);
    }
    router_answer_finish(&a);
    return status;
}

static int check_states(struct router *r, struct router_models *m)
{
    size_t without = 0;
    for (size_t i = 0; i < m->n; i++)
        if (!m->v[i].state) {
            m->v[i].state = "unknown";
            without++;
        }
    return without == m->n ? check_role(r, m) : CLI_OK;
}

static int list(struct router *r, struct router_models *m, bool reload)
{
    struct router_answer a;
    const char *path = router_is_classic(r->status) ? "/hostler/v1/status"
                       : reload                     ? "/models?reload=1"
                                                    : "/models";
    int status = router_ask(r, "GET", path, NULL, r->timeout_ms, &a);
    bool listed = router_models_read(m, a.status == 200 ? a.body : NULL);
    if (!status && !listed)
        status = router_report_foreign(r, &a, "GET /models");
    else if (!status)
        status = check_states(r, m);
    router_answer_finish(&a);
    return status;
}

static void unload(const char *model, struct peer_request *out)
{
    *out = (struct peer_request){.method = "POST",
                                 .path = mem_strdup("/models/unload"),
                                 .body = json_pack("{s:o}", "model", cli_json_string(model))};
}

/* Each engine process has its own port, which its arguments contain. */
static bool is_another(const struct router_model *before, const struct router_model *now)
{
    json_t *args = router_status_get(before, "args");
    return args && !json_equal(args, router_status_get(now, "args"));
}

const struct peer peer_llama_cpp = {.kind = ROUTER_STOCK,
                                    .name = "a stock llama.cpp router",
                                    .in_flight = "are cut off then",
                                    .list = list,
                                    .unload = unload,
                                    .is_another = is_another};
