/* SPDX-License-Identifier: MIT */
#include "cli/terminal/format_prompts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "cli/json.h"
#include "cli/terminal/format.h"

char *format_count(json_int_t n, char *out, size_t size)
{
    char digits[FORMAT_SIZE];
    size_t len = (size_t)snprintf(digits, sizeof digits, "%llu", n > 0 ? (unsigned long long)n : 0),
           at = 0;
    for (size_t i = 0; i < len && at + 2 < size; i++) {
        if (i && (len - i) % 3 == 0)
            out[at++] = ',';
        out[at++] = digits[i];
    }
    out[at] = '\0';
    return out;
}

char *format_saved_time(double ms, char *out, size_t size)
{
    if (ms >= 1000 && ms < 59950)
        snprintf(out, size, "%.1f s", ms / 1000);
    else
        format_elapsed(ms > 0 && ms < 1e15 ? (uint64_t)ms : 0, out, size);
    return out;
}

static char *bytes_of(json_t *o, const char *key, char *out, size_t size)
{
    json_int_t bytes = cli_json_integer(o, key);
    return format_bytes(bytes > 0 ? (uint64_t)bytes : 0, out, size);
}

static const char *plural(json_int_t n)
{
    return n == 1 ? "" : "s";
}

char *format_prompts_saved(json_t *saved)
{
    char tokens[FORMAT_SIZE], bytes[FORMAT_SIZE];
    json_int_t n = cli_json_integer(saved, "conversations");
    if (n <= 0)
        return mem_strdup("");
    return mem_printf("%" JSON_INTEGER_FORMAT " conversation%s (%s tokens, %s)", n, plural(n),
                      format_count(cli_json_integer(saved, "tokens"), tokens, sizeof tokens),
                      bytes_of(saved, "bytes", bytes, sizeof bytes));
}

char *format_prompts_restored(json_t *request)
{
    char tokens[FORMAT_SIZE], time[FORMAT_SIZE];
    json_int_t n = cli_json_integer(request, "restored_tokens");
    if (n <= 0)
        return mem_strdup("");
    return mem_printf("restored %s token%s, %s saved", format_count(n, tokens, sizeof tokens),
                      plural(n),
                      format_saved_time(cli_json_number(request, "saved_ms"), time, sizeof time));
}

/* `, 5 hits, 1m12s saved`; nothing where there was no hit. */
static char *gain_of(json_t *cache)
{
    char time[FORMAT_SIZE];
    json_int_t hits = cli_json_integer(cache, "hits");
    if (hits <= 0)
        return mem_strdup("");
    return mem_printf(", %" JSON_INTEGER_FORMAT " hit%s, %s saved", hits, plural(hits),
                      format_saved_time(cli_json_number(cache, "saved_ms"), time, sizeof time));
}

char *format_prompts_total(json_t *cache)
{
    char bytes[FORMAT_SIZE], max[FORMAT_SIZE];
    json_int_t files = cli_json_integer(cache, "files");
    if (files <= 0 && cli_json_integer(cache, "hits") <= 0)
        return mem_strdup("");
    char *gain = gain_of(cache);
    char *text = mem_printf("%" JSON_INTEGER_FORMAT " file%s, %s of %s%s", files, plural(files),
                            bytes_of(cache, "bytes", bytes, sizeof bytes),
                            bytes_of(cache, "max_bytes", max, sizeof max), gain);
    free(gain);
    return text;
}

char *format_prompts_short(json_t *cache)
{
    char bytes[FORMAT_SIZE], time[FORMAT_SIZE];
    if (cli_json_integer(cache, "files") <= 0 && cli_json_integer(cache, "hits") <= 0)
        return mem_strdup("");
    bytes_of(cache, "bytes", bytes, sizeof bytes);
    if (cli_json_integer(cache, "hits") <= 0)
        return mem_printf("prompts %s", bytes);
    return mem_printf("prompts %s, %s saved", bytes,
                      format_saved_time(cli_json_number(cache, "saved_ms"), time, sizeof time));
}

char *format_prompts_of_model(json_t *cache)
{
    char tokens[FORMAT_SIZE], bytes[FORMAT_SIZE];
    json_int_t files = cli_json_integer(cache, "files");
    if (files <= 0)
        return mem_strdup("");
    char *gain = gain_of(cache);
    char *text = mem_printf("%" JSON_INTEGER_FORMAT " saved, %s tokens, %s%s", files,
                            format_count(cli_json_integer(cache, "tokens"), tokens, sizeof tokens),
                            bytes_of(cache, "bytes", bytes, sizeof bytes), gain);
    free(gain);
    return text;
}

char *format_prompts_off(json_t *cache)
{
    const char *why = cli_json_text(cache, "off");
    return *why ? mem_printf("not saved: %s", why) : mem_strdup("");
}

/* Appends `, NAME 5.88 ms`; takes `text`. */
static char *add_cost(char *text, json_t *cache, const char *key, const char *name)
{
    double ms = cli_json_number(cache, key);
    if (ms <= 0)
        return text;
    char *longer = mem_printf("%s%s%s %.3g ms", text, *text ? ", " : "", name, ms);
    free(text);
    return longer;
}

char *format_prompts_costs(json_t *cache)
{
    char *text = add_cost(mem_strdup(""), cache, "compute_token_ms", "computing");
    text = add_cost(text, cache, "save_token_ms", "saving");
    text = add_cost(text, cache, "restore_token_ms", "restoring");
    if (!*text)
        return text;
    char *line = mem_printf("a token takes: %s", text);
    free(text);
    return line;
}
