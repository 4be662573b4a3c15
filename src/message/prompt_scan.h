/* SPDX-License-Identifier: MIT */
/*
 * From a request's body, while it streams in, to the chain of hashes of its prompt (message/prompt_chain.h). Chunks of any size give
 * the same chain. Nothing of the body is kept.
 *
 * The prompt is the member `messages` (chat completions, Anthropic messages), else `input` (responses), else `prompt` (completions): an
 * array, a string, or an object. Of a body that has several of these, a later one replaces an earlier one unless it comes after it in this
 * list; of equal members the last counts, as for llama-server's reader.
 *
 * An element that is an object or an array, as a message is, ends at a point. A string or a token does not: the next turn of a completion
 * goes on within the text, so the chain of one ends at its last multiple of PROMPT_STEP bytes (where there is none, at the prompt's
 * end). So the next turn's chain begins with the whole of this one's in both cases.
 *
 * The head is made of those members beside the prompt that llama-server renders into its text or that decide what its cache holds,
 * whatever their order: system, instructions, tools, chat_template_kwargs, reasoning_effort, reasoning, lora. One that is absent is as one
 * that is null. All other members, known or not, do not count: they sample (temperature, response_format, grammar, tool_choice, thinking:
 * docs/engine.md) or are marks that clients change with each turn (metadata). Where one of these does change the prompt, as it may in
 * another build, the engine finds out, since it compares tokens: that costs time, and never gives a wrong answer.
 *
 * What is hashed is canonical in what varies from turn to turn for the same prompt:
 * - No white space between tokens. Each member and element ends with a comma, also the last one. The order of members stays.
 * - `cache_control` of messages, system, tools and of their content parts is left out: coding agents move these marks with each turn.
 * - A message's or part's `content` that is a string counts as an array of one text part: to set its mark, such an agent makes the
 *   one out of the other.
 * - In `system`, five characters after `cch=` in a text that begins with `x-anthropic-billing-header:`, which change with each request;
 *   llama-server masks them as well (its #21793).
 */
#ifndef HOSTLER_MESSAGE_PROMPT_SCAN_H
#define HOSTLER_MESSAGE_PROMPT_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "message/prompt_chain.h"

/* Brackets nest no deeper in a body that has a chain. */
#define PROMPT_DEPTH_MAX 4096

struct prompt_scan; /* opaque, one a request */

/* NULL: no memory. `seed`: chains are compared with those of the same seed only. */
struct prompt_scan *prompt_scan_create(uint64_t seed);
/* NULL-safe, and so is feeding. */
void prompt_scan_destroy(struct prompt_scan *s);

void prompt_scan_feed(struct prompt_scan *s, const char *data, size_t len);
/* Whether the request keeps apart from others: it chooses its adapters itself (`lora`), so that what is computed is no other request's, or
 * its slot (`id_slot`), or lets the engine use nothing of what a slot has (`"cache_prompt":false`). */
bool prompt_scan_is_apart(const struct prompt_scan *s);
/* The body is complete. False, with `out` empty: it is no JSON object, nests too deeply, or has no prompt, or memory ran out. `out` is
 * the caller's: prompt_chain_finish(). To be called once. */
bool prompt_scan_end(struct prompt_scan *s, struct prompt_chain *out);

#endif
