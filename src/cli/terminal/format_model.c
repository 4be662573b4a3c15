/* SPDX-License-Identifier: MIT */
#include "cli/terminal/format_model.h"

#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "base/duration.h"
#include "base/memory.h"
#include "cli/terminal/format.h"

bool cells_is_estimate(const char *source)
{
    return source && strcmp(source, "measured") != 0;
}

char *cells_footprint(json_t *memory, const char *source)
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
        buf_printf(&b, "%s%s %s%s", b.len ? ", " : "", device, cells_is_estimate(source) ? "~" : "",
                   figure);
    }
    char *text = buf_take(&b);
    return text ? text : mem_strdup("");
}

char *cells_memory(json_t *memory)
{
    return cells_footprint(memory, NULL);
}

char *cells_state(const char *state, bool failed, bool held, bool pinned)
{
    return mem_printf("%s%s%s", failed ? "failed" : state, held ? ",held" : "",
                      pinned ? ",pinned" : "");
}

static bool is(const char *text, const char *state)
{
    size_t len = strlen(state);
    return strncmp(text, state, len) == 0 && (!text[len] || strcmp(text + len, ",pinned") == 0);
}

enum table_style cells_state_style(const char *state)
{
    if (is(state, "loaded"))
        return TABLE_GOOD;
    if (strncmp(state, "failed", strlen("failed")) == 0)
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

char *cells_requests(json_t *engine, char *out, size_t size)
{
    json_t *requests = json_object_get(engine, "requests");
    json_int_t waiting = json_integer_value(json_object_get(engine, "waiting"));
    *out = '\0';
    if (json_is_integer(requests) && waiting > 0)
        snprintf(out, size, "%" JSON_INTEGER_FORMAT "+%" JSON_INTEGER_FORMAT " waiting",
                 json_integer_value(requests), waiting);
    else if (json_is_integer(requests))
        snprintf(out, size, "%" JSON_INTEGER_FORMAT, json_integer_value(requests));
    return out;
}

char *cells_idle(json_t *engine, char *out, size_t size)
{
    return duration(json_object_get(engine, "idle_ms"), out, size);
}

char *cells_ends_in(json_t *engine, char *out, size_t size)
{
    json_t *ttl = json_object_get(engine, "ttl_ms");
    if (json_is_true(json_object_get(engine, "pinned"))) {
        snprintf(out, size, "pinned");
        return out;
    }
    if (!json_is_number(ttl) || json_number_value(ttl) > 0)
        return duration(json_object_get(engine, "ends_in_ms"), out, size);
    snprintf(out, size, "never");
    return out;
}

char *cells_ago(double at, char *out, size_t size)
{
    char text[FORMAT_SIZE];
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    double age = (double)now.tv_sec + (double)now.tv_nsec / 1e9 - at;
    if (at <= 0)
        *out = '\0';
    else if (age < 1) /* or the clocks differ */
        snprintf(out, size, "now");
    else
        snprintf(out, size, "%s ago", duration_format((uint64_t)age * 1000, text, sizeof text));
    return out;
}

char *cells_loaded(json_t *engine, char *out, size_t size)
{
    return cells_ago(json_number_value(json_object_get(engine, "loaded_at")), out, size);
}
