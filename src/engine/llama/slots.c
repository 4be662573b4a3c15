/* SPDX-License-Identifier: MIT */
#include "engine/llama/slots.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "engine/llama/arg_value.h"
#include "engine/llama/option_traits.h"

#define PATH "/slots"

static bool has_prompts(const struct engine_args *args)
{
    return !arg_is_on(args, "--embedding") && !arg_is_on(args, "--reranking") &&
           !arg_is_off(args, "--slots");
}

static bool depends_on(const struct engine_option *o)
{
    return !option_leaves_cache_alone(o);
}

static bool is_changing_route(const struct engine_route *r)
{
    return strcmp(r->method, "POST") == 0 && strcmp(r->path, "/lora-adapters") == 0;
}

static bool is_files_route(const struct engine_route *r)
{
    return strcmp(r->method, "POST") == 0 && strcmp(r->path, PATH "/*") == 0;
}

static bool is_prompt_route(const struct engine_route *r)
{
    static const char *const paths[] = {
        "/chat/completions", "/v1/chat/completions", "/completion",   "/completions",
        "/v1/completions",   "/responses",           "/v1/responses", "/v1/messages",
    };
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        if (strcmp(r->path, paths[i]) == 0)
            return true;
    return false;
}

static int64_t number(const json_t *o, const char *name, int64_t otherwise)
{
    const json_t *n = json_object_get(o, name);
    return json_is_integer(n) ? json_integer_value(n) : otherwise;
}

static uint64_t count(const json_t *o, const char *name)
{
    int64_t n = number(o, name, 0);
    return n > 0 ? (uint64_t)n : 0;
}

static int parse_list(const char *body, size_t len, struct engine_slot *out, size_t max)
{
    json_t *slots = json_loadb(body, len, 0, NULL);
    size_t n = json_array_size(slots);
    for (size_t i = 0; i < n && i < max; i++) {
        const json_t *s = json_array_get(slots, i);
        out[i] = (struct engine_slot){.id = (unsigned)count(s, "id"),
                                      .busy = json_is_true(json_object_get(s, "is_processing")),
                                      .task = number(s, "id_task", -1),
                                      .tokens = count(s, "n_prompt_tokens"),
                                      .context = count(s, "n_ctx")};
    }
    json_decref(slots);
    return n ? (int)n : -EBADMSG;
}

static void path(char *out, size_t size, unsigned slot, enum engine_slot_deed deed)
{
    snprintf(out, size, PATH "/%u?action=%s", slot, deed == ENGINE_SLOT_SAVE ? "save" : "restore");
}

static void body(char *out, size_t size, const char *name)
{
    snprintf(out, size, "{\"filename\":\"%s\"}", name);
}

static int64_t parse_done(const char *text, size_t len, enum engine_slot_deed deed)
{
    json_t *answer = json_loadb(text, len, 0, NULL);
    int64_t n = number(answer, deed == ENGINE_SLOT_SAVE ? "n_saved" : "n_restored", -EBADMSG);
    json_decref(answer);
    return n;
}

static uint64_t parse_bytes(const char *text, size_t len)
{
    json_t *answer = json_loadb(text, len, 0, NULL);
    uint64_t n = count(answer, "n_written");
    json_decref(answer);
    return n;
}

/* By default, and where nobody said how many slots there are. */
static bool shares_context(const struct engine_args *args)
{
    const char *slots = arg_text(args, "--parallel");
    bool is_auto = !slots || *slots == '-';
    return arg_is_on(args, "--kv-unified") || (is_auto && !arg_is_off(args, "--kv-unified"));
}

const struct engine_slots llama_slots = {
    .has_prompts = has_prompts,
    .depends_on = depends_on,
    .is_prompt_route = is_prompt_route,
    .is_changing_route = is_changing_route,
    .is_files_route = is_files_route,
    .refusal = "This server does not support slots action. Start it with `--slot-save-path`",
    .list_path = PATH,
    .parse_list = parse_list,
    .path = path,
    .body = body,
    .parse_done = parse_done,
    .parse_bytes = parse_bytes,
    .shares_context = shares_context,
};
