/* SPDX-License-Identifier: MIT */
#include "cli/terminal/format_model.h"

#include <string.h>

#include "base/buf.h"
#include "base/duration.h"
#include "base/memory.h"
#include "cli/json.h"
#include "cli/terminal/format.h"
#include "cli/terminal/format_time.h"

bool format_model_is_estimate(const char *source)
{
    return source && strcmp(source, "measured") != 0;
}

char *format_model_footprint(json_t *memory, const char *source)
{
    struct buf b;
    const char *device;
    json_t *bytes;
    char figure[FORMAT_SIZE];
    buf_init(&b, BUF_UNBOUNDED);
    json_object_foreach (memory, device, bytes) {
        if (json_integer_value(bytes) <= 0)
            continue;
        format_bytes((uint64_t)json_integer_value(bytes), figure, sizeof figure);
        buf_printf(&b, "%s%s %s%s", b.len ? ", " : "", device,
                   format_model_is_estimate(source) ? "~" : "", figure);
    }
    char *text = buf_take(&b);
    return text ? text : mem_strdup("");
}

char *format_model_memory(json_t *memory)
{
    return format_model_footprint(memory, NULL);
}

char *format_model_state(const char *state, bool failed, bool held, bool pinned)
{
    return mem_printf("%s%s%s", failed ? "failed" : state, held ? ",held" : "",
                      pinned ? ",pinned" : "");
}

static bool is(const char *text, const char *state)
{
    size_t len = strlen(state);
    return strncmp(text, state, len) == 0 && (!text[len] || strcmp(text + len, ",pinned") == 0);
}

enum table_style format_model_state_style(const char *state)
{
    if (is(state, "loaded"))
        return TABLE_GOOD;
    if (strncmp(state, "failed", strlen("failed")) == 0 || is(state, "missing"))
        return TABLE_BAD;
    if (is(state, "unloaded") || is(state, "sleeping"))
        return TABLE_FAINT;
    return TABLE_BUSY;
}

static char *duration(json_t *ms, char *out, size_t size)
{
    *out = '\0';
    if (json_is_number(ms) && json_number_value(ms) >= 0)
        duration_format((uint64_t)json_number_value(ms), out, size);
    return out;
}

char *format_model_state_reason(const char *state, json_t *status)
{
    long long signal = cli_json_integer(status, "signal");
    long long code = cli_json_integer(status, "exit_code");
    const char *reason = cli_json_text_or(status, "reason", NULL);
    const char *message = cli_json_text_or(status, "message", NULL);
    bool loading = reason && strcmp(reason, "load_failed") == 0;
    /* Of an engine a message says `the engine of`; what the model itself lacks is room for one. */
    bool began = !message || !format_is_sentence(message);
    const char *how = loading && began ? "while loading"
                      : loading        ? "no room"
                      : reason         ? reason
                                       : "ended";
    if (!cli_json_true(status, "failed"))
        return mem_strdup(state);
    if (reason && strcmp(reason, "missing") == 0)
        return mem_strdup(reason);
    if (signal)
        return mem_printf("failed (%s: signal %lld)", how, signal);
    if (code && !loading) /* a load that never came to a process has a code as well */
        return mem_printf("failed (%s: exit code %lld)", how, code);
    return mem_printf("failed (%s)", how);
}

char *format_model_requests(json_t *engine, char *out, size_t size)
{
    json_t *requests = json_object_get(engine, "requests");
    json_int_t waiting = cli_json_integer(engine, "waiting");
    *out = '\0';
    if (json_is_integer(requests) && waiting > 0)
        snprintf(out, size, "%" JSON_INTEGER_FORMAT "+%" JSON_INTEGER_FORMAT " waiting",
                 json_integer_value(requests), waiting);
    else if (json_is_integer(requests))
        snprintf(out, size, "%" JSON_INTEGER_FORMAT, json_integer_value(requests));
    return out;
}

char *format_model_idle(json_t *engine, char *out, size_t size)
{
    return duration(json_object_get(engine, "idle_ms"), out, size);
}

char *format_model_ends_in(json_t *engine, char *out, size_t size)
{
    json_t *ttl = json_object_get(engine, "ttl_ms");
    if (cli_json_true(engine, "pinned")) {
        snprintf(out, size, "pinned");
        return out;
    }
    if (!json_is_number(ttl) || json_number_value(ttl) > 0)
        return duration(json_object_get(engine, "ends_in_ms"), out, size);
    snprintf(out, size, "never");
    return out;
}

char *format_model_loaded(json_t *engine, char *out, size_t size)
{
    return format_ago(cli_json_number(engine, "loaded_at"), out, size);
}
