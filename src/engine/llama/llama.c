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
#include "engine/llama/usage.h"

/* What it leaves free on each device when it fits its context to the memory: --fit-target's default. */
#define FIT_TARGET ((uint64_t)1 << 30)

/* --- environment */

/* Any value turns child mode on (docs/engine.md): 0, as there is no port to name. */
static void add_environment(struct strv *env)
{
    environment_set(env, "LLAMA_SERVER_ROUTER_PORT=0");
}

/* All that llama-server reads to find the hub and its cache; it has no use for a proxy. Engines that
 * are given files get none of it: a token is no business of theirs. */
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

/* By what else came with what hostler needs: a child that reports its state and takes orders. */
static bool is_supported(const struct engine_options *o)
{
    return engine_options_find(o, "--models-dir", NULL) != NULL;
}

/* --- stopping */

/*
 * Line and signal at once, as each alone can hang it: while it loads it does not read stdin, and
 * once it is ready SIGTERM leaves a thread of it waiting for a line (docs/engine.md). The line must
 * not come in the moment in which its connections are closed, or it often hangs until the second
 * step: a second SIGTERM makes it exit at once, provided that no thread of it sits in a read of
 * stdin.
 */
static const struct engine_stop_step stop_steps[] = {
    {.delay_ms = 5, .line = PROTOCOL_EXIT, .signal = SIGTERM},
    {.delay_ms = 200, .signal = SIGTERM, .closes_stdin = true},
};

/* ggml's and the C++ library's words: ggml-cuda.cu, ggml-backend.cpp, std::bad_alloc. */
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
    if (!strchr(repo, '/')) /* the empty one would start a router */
        return error_set(err, -EINVAL, "%s cannot be downloaded: give it as user/repo:TAG", repo);
    strv_add(env, "LLAMA_SERVER_CHILD_MODE=download");
    strv_addf(env, "LLAMA_ARG_HF_REPO=%s", repo);
    return 0;
}

/*
 * By the line alone while it fetches, as a signal would leave unfinished files behind; it looks for
 * it each time a thousandth of the file has come, and removes what it has fetched of it. Before that
 * there are no files, and it may not read the line at all: it asks the hub first, for up to ten
 * minutes.
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
    .routes = llama_routes,
    .usage = llama_usage,
    .keep_ms = 3000, /* it closes an idle connection after 5 s */
    /* It often closes a connection right after a streamed answer without saying so, and then takes a
     * request that comes in that moment with it (docs/engine.md). */
    .reuse_after_chunked = false,
    .downloading = &downloading,
};
