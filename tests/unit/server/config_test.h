/* SPDX-License-Identifier: MIT */
/* config_parse() with a shell script for an engine, which knows --help and --version. */
#ifndef HOSTLER_TESTS_CONFIG_TEST_H
#define HOSTLER_TESTS_CONFIG_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/config.h"

static const char script[] =
    "#!/bin/sh\n"
    "[ \"$1\" = --version ] && { echo 'version: 0.7.0 (build 42)' >&2; exit 0; }\n"
    "cat <<'END'\n"
    "----- common params -----\n"
    "\n"
    "-h,    --help, --usage                  print usage and exit\n"
    "-c,    --ctx-size N                     size of the prompt context (default: 0)\n"
    "                                        (env: LLAMA_ARG_CTX_SIZE)\n"
    "-kvo,  --kv-offload, -nkvo, --no-kv-offload\n"
    "                                        whether to enable KV cache offloading\n"
    "                                        (env: LLAMA_ARG_KV_OFFLOAD)\n"
    "--mlock                                 keep the model in RAM\n"
    "                                        (env: LLAMA_ARG_MLOCK)\n"
    "-hf,   -hfr, --hf-repo <user>/<model>[:quant]\n"
    "                                        Hugging Face model repository\n"
    "                                        (env: LLAMA_ARG_HF_REPO)\n"
    "-hft,  --hf-token TOKEN                 access token (env: HF_TOKEN)\n"
    "-mu,   --model-url MODEL_URL            model download url\n"
    "                                        (env: LLAMA_ARG_MODEL_URL)\n"
    "-cl,   --cache-list                     show list of models in cache\n"
    "--list-devices                          print list of available devices and exit\n"
    "--version                               show version and build info\n"
    "--lora FNAME                            path to LoRA adapter\n"
    "--mmap, --no-mmap                       map the model\n"
    "                                        (env: LLAMA_ARG_MMAP)\n"
    "--control-vector-layer-range START END  layer range\n"
    "-m,    --model FNAME                    model path to load\n"
    "                                        (env: LLAMA_ARG_MODEL)\n"
    "----- example-specific params -----\n"
    "-np,   --parallel N                     number of server slots\n"
    "                                        (env: LLAMA_ARG_N_PARALLEL)\n"
    "-mm,   --mmproj FILE                    path to a multimodal projector file\n"
    "                                        (env: LLAMA_ARG_MMPROJ)\n"
    "-md,   --model-draft FNAME              draft model\n"
    "-hfd,  -hfrd, --hf-repo-draft <user>/<model>[:quant]\n"
    "                                        the same for the draft model\n"
    "-mmu,  --mmproj-url URL                 URL to a multimodal projector file\n"
    "--gpt-oss-20b-default                   use gpt-oss-20b\n"
    "--threads-http N                        threads for HTTP requests\n"
    "                                        (env: LLAMA_ARG_THREADS_HTTP)\n"
    "-a,    --alias STRING                   names of the model\n"
    "                                        (env: LLAMA_ARG_ALIAS)\n"
    "--tags STRING                           tags of the model\n"
    "                                        (env: LLAMA_ARG_TAGS)\n"
    "--api-key KEY                           key (env: LLAMA_API_KEY)\n"
    "--host HOST                             ip address to listen\n"
    "                                        (env: LLAMA_ARG_HOST)\n"
    "--port PORT                             port to listen\n"
    "                                        (env: LLAMA_ARG_PORT)\n"
    "--models-dir PATH                       directory\n"
    "                                        (env: LLAMA_ARG_MODELS_DIR)\n"
    "--models-preset PATH                    presets\n"
    "                                        (env: LLAMA_ARG_MODELS_PRESET)\n"
    "-to,   --timeout N                      seconds\n"
    "                                        (env: LLAMA_ARG_TIMEOUT)\n"
    "--api-prefix PREFIX                     prefix path\n"
    "                                        (env: LLAMA_ARG_API_PREFIX)\n"
    "--cors-origins ORIGINS                  allowed origins\n"
    "                                        (env: LLAMA_ARG_CORS_ORIGINS)\n"
    "--reuse-port                            share the port\n"
    "                                        (env: LLAMA_ARG_REUSE_PORT)\n"
    "--tools TOOLS                           built-in tools\n"
    "                                        (env: LLAMA_ARG_TOOLS)\n"
    "--ssl-key-file FNAME                    path to a private key\n"
    "                                        (env: LLAMA_ARG_SSL_KEY_FILE)\n"
    "END\n";

static char folder[64], engine[80], engine_variable[100], path_variable[100];
static struct config c;
static struct error err;

static void put(const char *name, const char *text, mode_t mode)
{
    char path[100];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, mode), 0);
}

static inline int set_up(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/hostler-config-XXXXXX");
    assert_non_null(mkdtemp(folder));
    put("llama-server", script, 0700);
    put("keys", "# a comment\nk1\r\n\nk,2\n", 0600);
    put("no-keys", "# nothing\n\n", 0600);
    snprintf(engine, sizeof engine, "%s/llama-server", folder);
    snprintf(engine_variable, sizeof engine_variable, "LLAMA_SERVER=%s", engine);
    snprintf(path_variable, sizeof path_variable, "PATH=/nonexistent:%s", folder);
    return 0;
}

static inline int tear_down(void **state)
{
    static const char *const files[] = {"llama-server", "keys", "no-keys"};
    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char path[100];
        snprintf(path, sizeof path, "%s/%s", folder, files[i]);
        unlink(path);
    }
    return rmdir(folder);
}

static inline int finish(void **state)
{
    (void)state;
    config_finish(&c);
    return 0;
}

static int parse_into(char *const *argv, char *const *env)
{
    int argc = 0;
    while (argv[argc])
        argc++;
    config_finish(&c);
    err = (struct error){0};
    return config_parse(&c, argc, (char **)(uintptr_t)argv, (char **)(uintptr_t)env, &err);
}

/* The environment always names the engine; `ENV()` adds to it. */
#define ENV(...) ((char *const[]){engine_variable, __VA_ARGS__, NULL})
#define ARGV(...) ((char *const[]){__VA_ARGS__, NULL})

static inline void parse(char *const *argv, char *const *env)
{
    int rc = parse_into(argv, env);
    if (rc)
        fail_msg("%d: %s", rc, err.text);
}

/* It fails, and `why` is part of the text. */
static inline void refuse(char *const *argv, char *const *env, const char *why)
{
    assert_true(parse_into(argv, env) < 0);
    if (!strstr(err.text, why))
        fail_msg("'%s' is not in: %s", why, err.text);
}

#define MODELS "--models-dir", "/m"

static inline const char *engine_value(const char *name)
{
    const struct engine_option *o = engine_options_find(c.engine.options, name, NULL);
    assert_non_null(o);
    const struct engine_arg *a = engine_args_get(&c.args, o);
    if (!a)
        a = engine_args_get(&c.env_args, o);
    return a ? a->value ? a->value : a->negated ? "off" : "on" : NULL;
}

#endif
