/* SPDX-License-Identifier: MIT */
#include "api/dialect.h"

#include <string.h>

#include "api/encode.h"
#include "api/reply.h"
#include "http/target.h"

/* `event: NAME` if there is a name, and `data: JSON`, between blank lines, since the engine may have broken
 * off within an event. Releases `data`. */
static char *event_text(const char *name, json_t *data)
{
    struct buf text;
    buf_init(&text, BUF_OWN);
    buf_printf(&text, "\n\n%s%s%sdata: ", name ? "event: " : "", name ? name : "",
               name ? "\n" : "");
    int rc = encode_json(&text, data);
    (void)rc; /* of hostler's own: it does not fail */
    buf_puts(&text, "\n\n");
    json_decref(data);
    return buf_take(&text);
}

/* --- OpenAI: {"error":{…}}, in streams of chat and text completions too ----------------------------
 */

static char *end_openai(json_t *error)
{
    return event_text(NULL, json_pack("{s:O}", "error", error));
}

static const struct api_dialect openai = {
    .name = "openai", .refuse = reply_error_json, .end_stream = end_openai};

/* --- OpenAI's responses: events have names and a type ---------------------------------------------
 */

/* With `error` as well, by which OpenAI's own clients know that it is one. */
static char *end_responses(json_t *error)
{
    return event_text("error",
                      json_pack("{s:s, s:s, s:O?, s:n, s:i, s:O}", "type", "error", "code",
                                "server_error", "message", json_object_get(error, "message"),
                                "param", "sequence_number", 0, "error", error));
}

static const char *const responses_paths[] = {"/responses", "/v1/responses", NULL};
static const struct api_dialect responses = {.name = "responses",
                                             .paths = responses_paths,
                                             .refuse = reply_error_json,
                                             .end_stream = end_responses};

/* --- Anthropic's messages: events have names; its clients pass over those without one --------------
 */

static char *end_messages(json_t *error)
{
    return event_text("error",
                      json_pack("{s:s, s:{s:s, s:O?}}", "type", "error", "error", "type",
                                "api_error", "message", json_object_get(error, "message")));
}

static const char *const messages_paths[] = {"/v1/messages", NULL};
static const struct api_dialect messages = {.name = "anthropic",
                                            .paths = messages_paths,
                                            .refuse = reply_error_json,
                                            .end_stream = end_messages};

/* --- which one ------------------------------------------------------------------------------------
 */

static const struct api_dialect *const others[] = {&responses, &messages, NULL};

const struct api_dialect *dialect_of(const char *target)
{
    const size_t len = target_path_len(target);
    for (const struct api_dialect *const *d = others; *d; d++)
        for (const char *const *p = (*d)->paths; *p; p++)
            if (strlen(*p) == len && memcmp(*p, target, len) == 0)
                return *d;
    return &openai;
}
