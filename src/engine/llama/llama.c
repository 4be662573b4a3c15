/* SPDX-License-Identifier: MIT */
#include "engine/llama/llama.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#include "engine/environment.h"
#include "engine/llama/compose.h"
#include "engine/llama/estimate.h"
#include "engine/llama/fit.h"
#include "engine/llama/help.h"
#include "engine/llama/protocol.h"
#include "engine/llama/slots.h"
#include "engine/llama/usage.h"
#include "engine/llama/values.h"

/* --fit-target's default: what llama-server leaves free on each device when it fits its context to the
 * memory. */
#define FIT_TARGET ((uint64_t)1 << 30)

/* --- environment */

/* Any value turns on child mode (docs/engine.md). */
static void add_environment(struct strv *env)
{
    environment_set(env, "LLAMA_SERVER_ROUTER_PORT=0");
}

/* What llama-server reads to find the hub and its cache; it uses no proxy. Only engines that download get
 * these variables, because they hold a token. */
static void add_hub_environment(struct strv *env, char *const *parent)
{
    static const char *const names[] = {
        "HF_TOKEN",    "HF_ENDPOINT",   "MODEL_ENDPOINT",
        "LLAMA_CACHE", "HF_HUB_CACHE",  "HUGGINGFACE_HUB_CACHE",
        "HF_HOME",     "SSL_CERT_FILE", "SSL_CERT_DIR",
    };
    environment_copy(env, parent, names, sizeof names / sizeof *names);
}

/* --- address */

static void add_place(struct strv *argv, struct strv *env, const struct engine_place *place)
{
    (void)env;
    strv_add(argv, "--host");
    strv_add(argv, place->socket);
}

/* --- options */

/* The option is a sign of a build that has child mode, with reports and the exit line. */
static bool is_supported(const struct engine_options *o)
{
    return engine_options_find(o, "--models-dir", NULL) != NULL;
}

/* --- stopping */

/*
 * Line and signal together, because each alone can hang llama-server: while it loads it does not read
 * stdin, and when it is ready SIGTERM leaves a thread waiting for a line (docs/engine.md). If the line
 * comes at the moment when its connections are closed, it often hangs until the second step. A second
 * SIGTERM makes it exit at once if no thread reads stdin.
 */
static const struct engine_stop_step stop_steps[] = {
    {.delay_ms = 5, .line = PROTOCOL_EXIT, .signal = SIGTERM},
    {.delay_ms = 200, .signal = SIGTERM, .closes_stdin = true},
};

/* Messages of ggml and of the C++ library: ggml-cuda.cu, ggml-backend.cpp, std::bad_alloc. */
static bool is_out_of_memory(const char *log)
{
    static const char *const words[] = {"out of memory", "failed to allocate", "unable to allocate",
                                        "cudaMalloc failed", "bad_alloc"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcasestr(log, words[i]))
            return true;
    return false;
}

/* --- downloads: llama-server in download mode (docs/engine.md) */

static int compose_download(struct strv *env, const char *repo, struct error *err)
{
    if (!strchr(repo, '/')) /* an empty name would start a router */
        return error_set(err, -EINVAL, "%s cannot be downloaded: give it as user/repo:TAG", repo);
    strv_add(env, "LLAMA_SERVER_CHILD_MODE=download");
    strv_addf(env, "LLAMA_ARG_HF_REPO=%s", repo);
    return 0;
}

/*
 * While it fetches, only the line: a signal would leave unfinished files. It checks for the line after each
 * thousandth of a file and then removes the unfinished file. Before that there are no files, and it may not
 * read the line at all, because it asks the hub first, for up to ten minutes.
 */
static const struct engine_stop_step download_early[] = {
    {.line = PROTOCOL_EXIT, .signal = SIGTERM},
    {.delay_ms = 2000, .signal = SIGTERM, .closes_stdin = true},
};
static const struct engine_stop_step download_late[] = {
    {.line = PROTOCOL_EXIT},
    {.delay_ms = 2000, .signal = SIGTERM, .closes_stdin = true},
};

static const struct engine_downloading downloading = {
    .compose = compose_download,
    .stop_early = download_early,
    .n_stop_early = sizeof download_early / sizeof *download_early,
    .stop = download_late,
    .n_stop = sizeof download_late / sizeof *download_late,
};

const struct engine_kind llama_kind = {
    .name = "llama",
    .program = "llama-server",
    .program_env = "LLAMA_SERVER",
    .project = "llama.cpp",
    .options_load = llama_help_load,
    .values_check = llama_values_check,
    .option_by_env = llama_help_find_env,
    .option_env_prefix = "LLAMA_ARG_",
    .is_supported = is_supported,
    .model_hint = "'model = FILE' or 'hf-repo = USER/REPO:TAG'",
    .compose = llama_compose,
    .environment = add_environment,
    .hub_environment = add_hub_environment,
    .add_place = add_place,
    .parse = llama_protocol_parse,
    .readiness = ENGINE_READY_REPORTED,
    .health_path = "/health",
    .stop = stop_steps,
    .n_stop = sizeof stop_steps / sizeof *stop_steps,
    .is_out_of_memory = is_out_of_memory,
    .estimate = llama_estimate,
    .dry_run = &llama_fit,
    .memory_options = llama_memory_options,
    .memory_hint = "give it a smaller --ctx-size",
    .memory_note = llama_memory_note,
    .memory_margin = FIT_TARGET,
    .routes = &llama_routes,
    .usage = llama_usage,
    .keep_ms = 3000, /* it closes an idle connection after 5 s */
    /* It often closes a connection right after a streamed answer without notice; a request that is sent at
     * that moment is lost (docs/engine.md). */
    .reuse_after_chunked = false,
    /* It answers 400, without a word, to a line of more than 8 KiB in a head (cpp-httplib's
     * CPPHTTPLIB_HEADER_MAX_LENGTH). No field that it reads is as long, but what proxies in front add may be:
     * cookies, tokens. */
    .field_max = 8000,
    .slots = &llama_slots,
    .downloading = &downloading,
};
