/* SPDX-License-Identifier: MIT */
/* What is known of saved prompts, as text: the same in every command. Each result is "" where nothing is known; the caller
 * frees it. */
#ifndef HOSTLER_CLI_TERMINAL_FORMAT_PROMPTS_H
#define HOSTLER_CLI_TERMINAL_FORMAT_PROMPTS_H

#include <jansson.h>
#include <stddef.h>

/* 2549 as `2,549`. Returns `out` (FORMAT_SIZE). */
char *format_count(json_int_t n, char *out, size_t size);
/* Milliseconds as `14.9 s`, and as format_elapsed() below a second and from a minute on. Returns `out` (FORMAT_SIZE). */
char *format_saved_time(double ms, char *out, size_t size);

/* Of a stop, {"conversations","tokens","bytes"}: `2 conversations (5,098 tokens, 112 MiB)`. */
char *format_prompts_saved(json_t *saved);
/* Of a request: `restored 2,549 tokens, 14.9 s saved`. */
char *format_prompts_restored(json_t *request);
/* Of the status' `prompt_cache`: `3 files, 168 MiB of 8.0 GiB, 5 hits, 1m12s saved`. */
char *format_prompts_total(json_t *cache);
/* The same where there is little room: `prompts 168 MiB, 1m12s saved`. */
char *format_prompts_short(json_t *cache);
/* Of the `prompt_cache` of a model: what is saved; why no more is; what its tokens take. */
char *format_prompts_of_model(json_t *cache);
char *format_prompts_off(json_t *cache);
char *format_prompts_costs(json_t *cache);

#endif
