/* SPDX-License-Identifier: MIT */
#include "cli/run/session.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "cli/json.h"
#include "cli/run/image.h"
#include "cli/terminal/format.h"

int run_session_open(struct run_session *s, const struct cli *cli, const char *model)
{
    *s = (struct run_session){
        .cli = cli, .model = mem_strdup(model), .messages = json_array(), .images = json_array()};
    return router_open(&s->router, cli);
}

void run_session_close(struct run_session *s)
{
    run_parameters_finish(&s->parameters);
    run_answer_finish(&s->answer);
    json_decref(s->messages);
    json_decref(s->images);
    strv_finish(&s->shown);
    free(s->model);
    router_close(&s->router);
}

void run_session_set_model(struct run_session *s, const char *model)
{
    mem_replace(&s->model, model);
    s->vision = RUN_VISION_UNKNOWN;
}

void run_session_clear(struct run_session *s)
{
    json_array_clear(s->messages);
}

static json_t *message(const char *role, json_t *content)
{
    return json_pack("{s:s, s:o}", "role", role, "content", content);
}

json_t *run_session_messages(const struct run_session *s)
{
    json_t *all = json_array();
    if (s->parameters.system)
        json_array_append_new(all, message("system", cli_json_string(s->parameters.system)));
    json_array_extend(all, s->messages);
    return all;
}

/* --- images -------------------------------------------------------------------------------------
 */

/* hostler has not read its files: one that is fetched at its first load, or the server has just begun.
 * Until then the entry says `text`. */
static bool is_unread(const struct router_model *m)
{
    return json_object_get(m->entry, "size") && !json_object_get(m->entry, "context_length");
}

static enum run_vision vision_of(const struct router_model *m)
{
    json_t *inputs = json_object_get(json_object_get(m->entry, "architecture"), "input_modalities");
    json_t *input;
    size_t i;
    json_array_foreach (inputs, i, input)
        if (json_is_string(input) && strcmp(json_string_value(input), "image") == 0)
            return RUN_VISION_YES;
    return json_is_array(inputs) && !is_unread(m) ? RUN_VISION_NO : RUN_VISION_UNKNOWN;
}

static void report_no_vision(const struct run_session *s, const struct router_models *models,
                             const char *path)
{
    const char *other = NULL;
    for (size_t i = 0; !other && i < models->n; i++)
        if (vision_of(&models->v[i]) == RUN_VISION_YES)
            other = models->v[i].id;
    cli_error(s->cli, "model '%s' cannot see %s: it takes no images", s->model, path);
    if (other)
        cli_hint(s->cli, "'%s' can; a name in backquotes is only a name", other);
    else
        cli_hint(s->cli, "no model of this server can, without an --mmproj; a name in backquotes "
                         "is only a name");
}

/* Lists the models, unless it is known that this one takes images. */
static void detect_vision(struct run_session *s, struct router_models *models)
{
    if (s->vision == RUN_VISION_YES)
        return;
    const struct router_model *m =
        router_list_quietly(&s->router, models) ? NULL : router_find(models, s->model);
    s->vision = m ? vision_of(m) : RUN_VISION_UNKNOWN;
}

/* Where the list does not say, the image is sent and the server decides. */
static bool lacks_vision(struct run_session *s, const char *path)
{
    struct router_models models = {0};
    detect_vision(s, &models);
    if (s->vision == RUN_VISION_NO)
        report_no_vision(s, &models, path);
    router_models_finish(&models);
    return s->vision == RUN_VISION_NO;
}

/* A model that is asked about an image it did not get invents one: so a missing file is an error. */
static void report_missing(const struct run_session *s, const struct strv *paths)
{
    for (size_t i = 0; i < paths->n; i++)
        cli_error(s->cli, "there is no file %s here: model '%s' is told its name and sees nothing",
                  paths->v[i], s->model);
    if (paths->n)
        cli_hint(s->cli, "a name in backquotes is only a name");
}

int run_session_attach(struct run_session *s, const char *path)
{
    struct error err;
    char *url;
    if (strv_has(&s->shown, path))
        return CLI_OK;
    if (run_image_read(path, &url, &err)) {
        cli_error(s->cli, "the image %s", err.text);
        return CLI_USAGE;
    }
    bool blind = lacks_vision(s, path);
    if (!blind) {
        json_array_append_new(
            s->images, json_pack("{s:s, s:{s:s}}", "type", "image_url", "image_url", "url", url));
        strv_add(&s->shown, path);
    }
    free(url);
    return blind ? CLI_SOME_FAILED : CLI_OK;
}

int run_session_attach_named(struct run_session *s, const char *text)
{
    struct strv paths = {0}, missing = {0};
    int status = CLI_OK;
    run_image_find(text, &paths, &missing);
    for (size_t i = 0; !status && i < paths.n; i++)
        status = run_session_attach(s, paths.v[i]);
    if (!status)
        report_missing(s, &missing);
    strv_finish(&paths);
    strv_finish(&missing);
    return status;
}

void run_session_clear_images(struct run_session *s)
{
    json_array_clear(s->images);
    strv_finish(&s->shown);
}

/* --- what went wrong ----------------------------------------------------------------------------
 */

static void hint_command(const struct run_session *s, const char *command, const char *does)
{
    char *word = format_shell(s->model);
    cli_hint(s->cli, "'hostler %s %s' %s", command, word, does);
    free(word);
}

static bool has_images(const struct run_session *s)
{
    json_t *m;
    size_t i;
    json_array_foreach (s->messages, i, m)
        if (json_is_array(json_object_get(m, "content")))
            return true;
    return false;
}

/* The server does not say which image it means, nor that an earlier message holds one. */
static void hint_images(const struct run_session *s)
{
    for (size_t i = 0; i < s->shown.n; i++)
        cli_hint(s->cli, "it was shown %s%s", s->shown.v[i],
                 i + 1 < s->shown.n ? "" : ": llama.cpp reads PNG, JPEG, GIF and BMP, undamaged");
    if (!s->shown.n && has_images(s))
        cli_hint(s->cli, "earlier messages hold images; /clear forgets what was said");
}

static int report_refused(struct run_session *s, const struct chat *c)
{
    if (c->status == 401 || c->status == 403)
        return router_report_refused(&s->router);
    if ((c->status == 400 || c->status == 404) && router_report_if_unknown(&s->router, s->model))
        return CLI_SOME_FAILED;
    if (c->status == 404 || c->status == 405 || c->status == 501) {
        cli_error(s->cli, "%s cannot chat: POST /v1/chat/completions is answered with %d: %s",
                  s->router.url.shown, c->status, c->err.text);
        cli_hint(s->cli, "name the router with --url or HOSTLER_URL");
        return CLI_NO_SERVER;
    }
    char *text = format_failure(s->model, c->err.text);
    if (format_is_sentence(text))
        cli_error(s->cli, "%s", text);
    else
        cli_error(s->cli, "model '%s' did not answer: %s", s->model, text);
    free(text);
    if (strcmp(c->state, "held") == 0)
        hint_command(s, "release", "ends it");
    else if (c->status == 400 && strcmp(c->err.text, "model is not loaded") == 0)
        hint_command(s, "load", "loads it: requests do not (--no-models-autoload)");
    else if (strstr(c->err.text, "image"))
        hint_images(s);
    return CLI_SOME_FAILED;
}

static void report_broken(const struct run_session *s, const struct chat *c)
{
    char *text = format_failure(s->model, c->err.text);
    cli_error(s->cli, "the answer of model '%s' broke off: %s", s->model, text);
    free(text);
}

/* An empty output without an error would look like an answer. */
static int report_unanswered(const struct run_session *s, const struct chat *c)
{
    if (c->content.len || !c->reasoning.len || !chat_was_cut(c) || s->cli->json)
        return CLI_OK;
    cli_error(s->cli, "model '%s' thought until its tokens were used up, and did not answer",
              s->model);
    cli_hint(s->cli, "give it more with --max-tokens, or in a conversation with /set max_tokens");
    return CLI_SOME_FAILED;
}

static int report_end(struct run_session *s, const struct chat *c)
{
    switch (c->end) {
    case CHAT_COMPLETE:
        return report_unanswered(s, c);
    case CHAT_STOPPED:
        return s->answer.out_failed ? CLI_SOME_FAILED : CLI_OK;
    case CHAT_REFUSED:
        return report_refused(s, c);
    case CHAT_BROKEN:
        report_broken(s, c);
        return CLI_SOME_FAILED;
    case CHAT_NO_SERVER:
        return router_report_unreachable(&s->router, c->code, &c->err);
    }
    return CLI_SOME_FAILED;
}

/* --- asking -------------------------------------------------------------------------------------
 */

/* Pictures first, as models that see were taught; a text alone is a string, which all understand. */
static json_t *question(const struct run_session *s, const char *text, size_t len)
{
    json_t *string = json_stringn(text, len);
    string = string ? string : cli_json_string(text);
    if (!json_array_size(s->images))
        return message("user", string);
    json_t *parts = json_copy(s->images);
    json_array_append_new(parts, json_pack("{s:s, s:o}", "type", "text", "text", string));
    return message("user", parts);
}

static int ask(struct run_session *s, struct chat *c)
{
    json_t *messages = run_session_messages(s);
    struct chat_request wish = {
        .model = s->model, .messages = messages, .parameters = s->parameters.request};
    struct chat_listener listener = run_answer_begin(&s->answer, s->cli, s->model);
    chat_run(c, &s->router, &wish, &listener);
    run_answer_end(&s->answer, c);
    json_decref(messages);
    return report_end(s, c);
}

int run_session_ask(struct run_session *s, const char *text, size_t len)
{
    struct chat c;
    size_t before = json_array_size(s->messages);
    json_array_append_new(s->messages, question(s, text, len));
    int status = ask(s, &c);
    json_t *answer = c.content.len && !status ? json_stringn(c.content.data, c.content.len) : NULL;
    if (answer)
        json_array_append_new(s->messages, message("assistant", answer));
    else
        json_array_remove(s->messages, before);
    /* Also after a failure: an image that the server cannot decode would make every later request fail. */
    run_session_clear_images(s);
    chat_finish(&c);
    return status;
}
