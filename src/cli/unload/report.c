/* SPDX-License-Identifier: MIT */
/* The result of an unload, for a person: a line per model, then the memory that was freed. */
#include <stdlib.h>
#include <string.h>

#include "base/duration.h"
#include "base/memory.h"
#include "cli/json.h"
#include "cli/peer/peer.h"
#include "cli/terminal/format.h"
#include "cli/terminal/format_model.h"
#include "cli/terminal/format_prompts.h"
#include "cli/unload/unload.h"

static void report_returned(const struct router *r, const char *model, const char *word,
                            const char *by)
{
    cli_error(r->cli, "model '%s' was unloaded, but a request loaded it again%s%s", model,
              *by ? ": " : "", by);
    if (r->kind == ROUTER_HOSTLER)
        cli_hint(r->cli, "keep it out: hostler unload --hold -- %s", word);
    else
        cli_hint(r->cli, "stop its clients first, or serve it with hostler, whose --hold prevents "
                         "that");
}

/* Why it is still loaded, and what to do. */
static void report_failure(const struct router *r, json_t *result)
{
    const char *model = cli_json_text(result, "model"), *reason = cli_json_text(result, "reason"),
               *message = cli_json_text(result, "message");
    bool busy = strcmp(cli_json_text(result, "result"), "busy") == 0;
    char *word = format_shell(model);
    if (busy) {
        cli_error(r->cli, "model '%s' is still loaded: its requests did not end in time", model);
        cli_hint(r->cli, "wait longer: hostler unload --drain 10m -- %s; or end them: --force",
                 word);
    } else if (strcmp(reason, "loaded_again") == 0) {
        report_returned(r, model, word, cli_json_text(result, "loaded_by"));
    } else if (strcmp(reason, "timeout") == 0) {
        cli_error(r->cli, "model '%s' is still loaded: the server was asked and did not unload it",
                  model);
        cli_hint(r->cli, "see `hostler ps` and the server's log");
    } else {
        cli_error(r->cli, "model '%s' was not unloaded: %s%s%s", model,
                  *reason ? reason : "no reason given", *message ? ": " : "", message);
        cli_hint(r->cli, "see `hostler ps` and the server's log");
    }
    free(word);
}

/* The requests of `model`, from the status before the unload; 0 unknown. */
static json_int_t requests_of(const struct router *r, const char *model)
{
    size_t i;
    json_t *engine;
    json_array_foreach (json_object_get(r->status, "engines"), i, engine)
        if (strcmp(cli_json_text(engine, "model"), model) == 0)
            return cli_json_integer(engine, "requests");
    return 0;
}

static void report_preview(const struct router *r, json_t *result, const char *model)
{
    char *freed = format_model_memory(json_object_get(result, "freed"));
    json_int_t requests = requests_of(r, cli_json_text(result, "model"));
    cli_print("%s would be unloaded%s%s", model, *freed ? ", freeing " : "", freed);
    if (strcmp(cli_json_text(result, "reason"), "would_wait_for_requests") == 0 && requests > 0)
        cli_print("%s would wait for %" JSON_INTEGER_FORMAT " request%s first", model, requests,
                  requests == 1 ? "" : "s");
    else if (strcmp(cli_json_text(result, "reason"), "would_wait_for_requests") == 0)
        cli_print("%s would wait for its requests first", model);
    free(freed);
}

static void report_unloaded(json_t *result, const char *model)
{
    char took[FORMAT_SIZE];
    char *saved = format_prompts_saved(json_object_get(result, "saved"));
    double ms = cli_json_number(result, "drained_ms") + cli_json_number(result, "stopped_ms");
    char *freed = format_model_memory(json_object_get(result, "freed"));
    cli_print("%s unloaded in %s%s%s%s%s", model,
              format_elapsed(ms > 0 ? (uint64_t)ms : 0, took, sizeof took),
              *freed ? ", freed " : "", freed, *saved ? ", saved " : "", saved);
    free(saved);
    free(freed);
}

static void report_result(const struct router *r, const struct unload_plan *p, json_t *result)
{
    const char *what = cli_json_text(result, "result"), *reason = cli_json_text(result, "reason");
    const char *model = cli_json_text(result, "model");
    if (strcmp(what, "unloaded") == 0 && p->dry_run)
        report_preview(r, result, model);
    else if (strcmp(what, "unloaded") == 0)
        report_unloaded(result, model);
    else if (strcmp(what, "skipped") == 0 && strcmp(reason, "not_loaded") == 0 && !p->all)
        cli_print("%s not loaded", model);
    else if (strcmp(what, "skipped") == 0 && strcmp(reason, "not_loaded") != 0)
        cli_print("%s left alone%s%s", model, *reason ? ": " : "", reason);
    else if (strcmp(what, "skipped") != 0 && strcmp(reason, "not_found") != 0)
        report_failure(r, result);
}

/* Names that the server does not know, with the nearest one. */
static int report_unknown(struct router *r, json_t *results)
{
    struct router_models models = {0};
    size_t i;
    json_t *result;
    int status = CLI_OK;
    json_array_foreach (results, i, result)
        if (!status && strcmp(cli_json_text(result, "reason"), "not_found") == 0) {
            if (!models.list)
                status = router_list(r, &models, false);
            if (!status)
                router_report_unknown(r, &models, cli_json_text(result, "model"));
        }
    router_models_finish(&models);
    return status;
}

static void report_memory(json_t *body, size_t unloaded)
{
    char *freed = format_model_memory(json_object_get(body, "freed"));
    const char *device;
    json_t *figures;
    if (*freed && unloaded > 1) /* of one, it stands in its own line */
        cli_print("freed %s", freed);
    json_object_foreach (json_object_get(json_object_get(body, "memory"), "after"), device,
                         figures) {
        char available[FORMAT_SIZE], total[FORMAT_SIZE];
        json_int_t all = cli_json_integer(figures, "total");
        json_int_t now = cli_json_integer(figures, "available");
        if (all > 0 && now >= 0)
            cli_print("%s now has %s of %s available", device,
                      format_bytes((uint64_t)now, available, sizeof available),
                      format_bytes((uint64_t)all, total, sizeof total));
    }
    free(freed);
}

/* Of --forget. */
static void report_forgotten(const struct unload_plan *p, json_t *forgotten)
{
    json_int_t files = cli_json_integer(forgotten, "files");
    json_int_t bytes = cli_json_integer(forgotten, "bytes");
    char size[FORMAT_SIZE];
    if (files > 0)
        cli_print("%" JSON_INTEGER_FORMAT " saved prompt%s %sremoved, %s", files,
                  files == 1 ? "" : "s", p->dry_run ? "would be " : "",
                  format_bytes(bytes > 0 ? (uint64_t)bytes : 0, size, sizeof size));
    else if (json_is_object(forgotten))
        cli_print("no prompts were saved");
}

/* How many models are held now: of those named, else of all. */
static size_t count_held(struct router *r, const struct unload_plan *p, json_t *results)
{
    size_t i, n = 0;
    json_t *o;
    if (!p->all) {
        json_array_foreach (results, i, o)
            n += strcmp(cli_json_text(o, "reason"), "not_found") != 0;
        return n;
    }
    json_decref(r->status);
    r->status = NULL;
    if (router_detect(r))
        return 0;
    json_array_foreach (json_object_get(r->status, "holds"), i, o)
        n += !strv_has(&p->except, cli_json_text(o, "model"));
    return n;
}

/* The arguments of `hostler release` that undo it. The caller frees it. */
static char *release_words(const struct unload_plan *p, json_t *results)
{
    size_t i;
    json_t *o;
    char *words = mem_strdup(p->all ? " --all" : "");
    json_array_foreach (results, i, o) {
        if (p->all || strcmp(cli_json_text(o, "reason"), "not_found") == 0)
            continue;
        char *word = format_shell(cli_json_text(o, "model"));
        char *more = mem_printf("%s%s%s", words, *word == '-' ? " -- " : " ", word);
        free(word);
        free(words);
        words = more;
    }
    return words;
}

static void report_hold(struct router *r, const struct unload_plan *p, json_t *body, bool unloaded)
{
    json_t *results = json_object_get(body, "results");
    char time[FORMAT_SIZE] = "";
    size_t n = count_held(r, p, results);
    if (!n)
        return;
    char *words = release_words(p, results);
    if (p->hold_ms)
        duration_format(p->hold_ms, time, sizeof time);
    cli_print("%s%zu model%s held %s%s%s%s%s; 'hostler release%s' ends it",
              p->all && !unloaded ? "nothing was loaded; " : "", n, n == 1 ? "" : "s",
              p->hold_ms ? "for " : "until released", time, p->reason ? " (" : "",
              p->reason ? p->reason : "", p->reason ? ")" : "", words);
    free(words);
}

int unload_report(struct router *r, const struct unload_plan *p, json_t *body)
{
    json_t *results = json_object_get(body, "results"), *result;
    size_t i, unloaded = 0;
    int status = CLI_OK;
    json_array_foreach (results, i, result) {
        const char *what = cli_json_text(result, "result");
        bool fine = strcmp(what, "unloaded") == 0;
        unloaded += fine;
        if (!fine && strcmp(what, "skipped") != 0)
            status = CLI_SOME_FAILED;
        if (!r->cli->json)
            report_result(r, p, result);
    }
    bool held = cli_json_true(body, "held") && !p->dry_run;
    int listed = report_unknown(r, results);
    if (r->cli->json)
        cli_print_json(json_incref(body));
    else if (unloaded && !p->dry_run)
        report_memory(body, unloaded);
    else if (p->all && !unloaded && !status && !held)
        puts("nothing to unload");
    if (!r->cli->json)
        report_forgotten(p, json_object_get(body, "forgotten"));
    if (!r->cli->json && held)
        report_hold(r, p, body, json_array_size(results) > 0);
    return listed ? listed : status;
}
