/* SPDX-License-Identifier: MIT */
/*
 * llama-swap: GET /running has the models that have a process, GET /v1/models those that it tells
 * of, without a state in most versions; GET /unload unloads all, POST /api/models/unload/MODEL one.
 * Both answer when the processes are gone, and do not wait for requests.
 */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "cli/json.h"
#include "cli/peer/peer.h"
#include "cli/peer/url.h"

static json_t *running_in(const struct router_answer *a)
{
    json_t *running = json_object_get(a->body, "running");
    return a->status == 200 && json_is_array(running) ? running : NULL;
}

static int recognise(struct router *r, bool *is)
{
    struct router_answer a;
    int status = router_ask(r, "GET", "/running", NULL, r->timeout_ms, &a);
    *is = !status && running_in(&a);
    router_answer_finish(&a);
    return status;
}

/* What it calls stopped has no process. */
static const char *state_of(json_t *running)
{
    const char *state = cli_json_text_or(running, "state", NULL);
    if (!state || strcmp(state, "ready") == 0)
        return "loaded";
    return strcmp(state, "starting") == 0 ? "loading" : state;
}

static json_t *entry_of(const char *id, const char *state)
{
    return json_pack("{s:s, s:s}", "id", id, "status", state);
}

/* `all` is what it lists, `running` what has a process, listed or not (`unlisted: true`). */
static json_t *merged(json_t *all, json_t *running)
{
    json_t *list = json_array(), *entry;
    json_t *seen = json_object();
    size_t i;
    json_array_foreach (running, i, entry) {
        const char *id = cli_json_text_or(entry, "model", NULL);
        if (id && json_object_set_new(seen, id, json_true()) == 0)
            json_array_append_new(list, entry_of(id, state_of(entry)));
    }
    json_array_foreach (all, i, entry) {
        const char *id = cli_json_text_or(entry, "id", NULL);
        if (id && !json_object_get(seen, id))
            json_array_append_new(list, entry_of(id, "unloaded"));
    }
    json_decref(seen);
    return list;
}

static int list(struct router *r, struct router_models *m, bool reload)
{
    struct router_answer all = {0}, running;
    (void)reload; /* it watches its configuration itself */
    int status = router_ask(r, "GET", "/running", NULL, r->timeout_ms, &running);
    if (!status && !running_in(&running))
        status = router_report_foreign(r, &running, "GET /running");
    if (!status)
        status = router_ask(r, "GET", "/v1/models", NULL, r->timeout_ms, &all);
    json_t *both = status ? NULL : merged(json_object_get(all.body, "data"), running_in(&running));
    router_models_read(m, both);
    json_decref(both);
    router_answer_finish(&all);
    router_answer_finish(&running);
    return status;
}

static void unload(const char *model, struct peer_request *out)
{
    char *escaped = url_escape(model);
    *out = (struct peer_request){.method = "POST",
                                 .path = mem_printf("/api/models/unload/%s", escaped)};
    free(escaped);
}

const struct peer peer_llama_swap = {.kind = ROUTER_LLAMA_SWAP,
                                     .name = "llama-swap",
                                     .in_flight = "are cut off then",
                                     .recognise = recognise,
                                     .list = list,
                                     .unload = unload,
                                     .unload_waits = true,
                                     .unload_all = "/unload"};
